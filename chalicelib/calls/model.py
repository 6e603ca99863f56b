"""A call: one contact in one campaign, with its attempts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.clock import Date, Moment
from chalicelib.ids import Id
from chalicelib.money import Money


class CallStatus(StrEnum):
    """A call's status as the API shows it."""

    PENDING = "PENDING"
    CALLING = "CALLING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    NO_ANSWER = "NO_ANSWER"
    BUSY = "BUSY"
    PROMISE_TO_PAY = "PROMISE_TO_PAY"
    REFUSED = "REFUSED"
    CALLBACK_REQUESTED = "CALLBACK_REQUESTED"
    SKIPPED = "SKIPPED"


SUCCESSES = (CallStatus.SUCCESS, CallStatus.PROMISE_TO_PAY, CallStatus.CALLBACK_REQUESTED)
FAILURES = (CallStatus.FAILED, CallStatus.NO_ANSWER, CallStatus.BUSY, CallStatus.REFUSED)
OUTCOMES = (*SUCCESSES, *FAILURES)
"""The statuses an attempt can end with."""

ANSWERED = (*SUCCESSES, CallStatus.REFUSED)
"""Those of attempts in which the agent has spoken with somebody."""


class CallState(StrEnum):
    """Where a call is in its life. The campaign's in-flight calls are the QUEUED and the CALLING ones."""

    WAITING = "WAITING"
    QUEUED = "QUEUED"
    CALLING = "CALLING"
    DONE = "DONE"


class WhyNotCalled(StrEnum):
    """Why a call waits."""

    OUTSIDE_CALLING_HOURS = "outside-calling-hours"
    NEVER_OPEN = "never-open"
    CAMPAIGN_NOT_RUNNING = "campaign-not-running"
    CALLING_PAUSED = "calling-paused"
    WAITING_FOR_RETRY = "waiting-for-retry"
    PHONE_IN_ANOTHER_CALL = "phone-in-another-call"
    WAITING_FOR_SLOT = "waiting-for-slot"
    AGENT_UNAVAILABLE = "agent-unavailable"


PHONE_BUSY = "the phone is in another call"
"""Why a claim is given back whose contact is talking already, for another campaign."""

ANY_ZONE = "-"
"""Where calls wait whose campaign's hours are the same for everybody."""

FALLBACK_ZONE = "fallback"
"""Where calls wait whose campaign's hours are in the contact's own time zone, which nobody knows."""

UNSPOKEN = dict.fromkeys(("outcome", "summary", "recording_url", "promised_date", "promised_amount"))
"""What tells of what was said, when nothing of that is kept."""

OUTCOME_LIMIT, SUMMARY_LIMIT, URL_LIMIT, MOMENT_LIMIT = 1_000, 4_000, 2_000, 40
"""Characters kept of what an agent reports."""


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an attempt ended. `duration` in seconds; `callback_at` a moment the contact asked to be called at.

    `promised_date` and `promised_amount` are what the contact promised to pay and when, `cost` what the attempt cost.
    `do_not_call`: the contact asked never to be called again.
    """

    call_status: CallStatus
    outcome: str | None = None
    summary: str | None = None
    duration: int | None = None
    recording_url: str | None = None
    callback_at: str | None = None
    promised_date: str | None = None
    promised_amount: Money | None = None
    cost: Money | None = None
    do_not_call: bool = False

    def wordless(self) -> Result:
        """This result without what was said."""
        return replace(self, **UNSPOKEN)

    def cut(self) -> Result:
        """This result within the limits of what travels and is stored."""
        return replace(
            self,
            outcome=self.outcome and self.outcome[:OUTCOME_LIMIT],
            summary=self.summary and self.summary[:SUMMARY_LIMIT],
            recording_url=self.recording_url and self.recording_url[:URL_LIMIT],
            callback_at=self.callback_at and self.callback_at[:MOMENT_LIMIT],
        )


class Retry(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which outcomes are dialed again, how often in all, and after how many minutes (the last delay repeats)."""

    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1
    delay_minutes: Annotated[list[Annotated[int, Meta(ge=0, le=20_160)]], Meta(min_length=1, max_length=10)] = (
        msgspec.field(default_factory=lambda: [60])
    )
    on: Annotated[list[CallStatus], Meta(max_length=7)] = msgspec.field(
        default_factory=lambda: [CallStatus.NO_ANSWER, CallStatus.BUSY]
    )

    def __post_init__(self) -> None:
        if not set(self.on) <= set(FAILURES):
            raise ValueError(f"expected `on` among {', '.join(FAILURES)}")


class Attempt(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An attempt that has ended."""

    attempt_id: str
    started_at: str | None = None
    ended_at: str
    call_status: CallStatus
    outcome: str | None = None
    summary: str | None = None
    duration: int | None = None
    recording_url: str | None = None
    callback_at: str | None = None
    promised_date: str | None = None
    promised_amount: Money | None = None
    cost: Money | None = None
    provider: str | None = None
    do_not_call: bool = False
    presumed: bool = False
    """True when nobody reported this end: the lease ran out. A late result corrects it."""

    def view(self) -> AttemptView:
        """The attempt as the API shows it."""
        shown = {name: getattr(self, name) for name in AttemptView.__struct_fields__}
        return AttemptView(**shown | {"callback_at": self.callback_at or UNSET})


class AttemptView(Struct, frozen=True, kw_only=True, rename="camel"):
    """An attempt that has ended. `duration` in seconds; `callbackAt` where the contact named a moment.

    `promisedDate` and `promisedAmount` are what the contact promised to pay and when, `cost` what the attempt cost;
    `provider` is who placed the call.
    """

    attempt_id: Id
    started_at: Moment | None
    ended_at: Moment
    call_status: CallStatus
    outcome: str | None
    summary: str | None
    duration: int | None
    recording_url: str | None
    promised_date: Date | None
    promised_amount: Money | None
    cost: Money | None
    provider: str | None
    callback_at: str | UnsetType = UNSET


class Callee(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom a call is to; of a contact that was deleted only the id is known."""

    id: Id
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None


class CallView(Struct, kw_only=True, rename="camel"):
    """A contact in a campaign. What is said of the conversation is its last attempt's; `callDuration` in seconds.

    `conversationOutcome` of a SKIPPED one says why nobody was dialed. `whyNotCalled` is told of one that waits, when
    it is asked for by itself; `otherCampaignId` is the campaign in whose call its phone is right then.
    """

    campaign_id: Id
    contact_id: Id
    call_status: CallStatus
    conversation_outcome: str | None
    conversation_summary: str | None
    call_duration: int | None
    recording_url: str | None
    attempts: list[AttemptView]
    next_attempt_at: Moment | None
    called_at: Moment | None
    contact: Callee
    why_not_called: WhyNotCalled | UnsetType = UNSET
    other_campaign_id: Id | UnsetType = UNSET


OVER: dict[str, Any] = {
    **dict.fromkeys(("started_at", "answer", "provider", "claimed_by", "awaited_until", "counted")),
    **dict.fromkeys(("heard", "unsure"), False),
    "agent": 0,
}
"""Of a call that is not under way any more, nothing that it is only while it is."""


class Call(Struct, kw_only=True):
    """A contact in a campaign.

    `version` rises with every write of the row, which is conditional on the one read. `attempt_id` is the attempt under
    way or, after a release, the one to be made next; `lease` counts claims and redials, so that messages and index rows
    of an earlier one change nothing; `due_at` is when a waiting call may be dialed, or when one in flight is looked at:
    its lease runs out, or its agent is to be asked after it.
    """

    organization_id: str
    campaign_id: str
    contact_id: str
    state: CallState = CallState.WAITING
    call_status: CallStatus = CallStatus.PENDING
    version: int = 0
    attempt_id: str | None = None
    lease: int = 0
    due_at: str | None = None
    phone: str | None = None
    agent: int = 0
    """Which of its campaign's agents it is claimed for, by its place among them."""
    provider: str | None = None
    """Who places the call under way."""
    counted: str | None = None
    """The provider in whose account's limits it counts while it is in flight."""
    started_at: str | None = None
    awaited_until: str | None = None
    """When its lease runs out, if the agent is to be asked before that: at `due_at` it is."""
    unsure: bool = False
    """Whether the agent may never have begun the call under way: there was no answer to the order."""
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    skip_reason: str | None = None
    release_reason: str | None = None
    """Why its last claim came to no call, as long as it waits for the next one."""
    answer: str | None = None
    """What the agent answered of the call under way without saying how it ended."""
    claimed_by: str | None = None
    """Which dialer is at the call under way: each has a name for each claim, so that it knows its own again."""
    heard: bool = False
    """Whether the campaign knows what the agent did when it was asked for the call under way."""
    called_back: bool = False
    spent: int = 0
    """Attempts in the list made before a redial, which gave the retry policy a fresh start; less those not kept."""
    redialed_at: str | None = None
    """When it was put back last to be made again: no redial that was asked for before puts it back once more."""
    leaving: bool = False
    """Taken out of the campaign during its call or after it: whatever comes of that is final, and nobody redials it."""
    erased: bool = False
    """Nothing is kept any more of what was said in it, and of whom it was to."""
    zone: str = ANY_ZONE
    """Where the call waits: the contact's time zone, when the campaign calls in the contact's own hours."""
    updated_at: str

    @property
    def write(self) -> str:
        """What the last write of its row is known by within its campaign."""
        return f"{self.contact_id}:{self.version}"

    @property
    def next_write(self) -> str:
        """What the next write of its row will be known by."""
        return replace(self, version=self.version + 1).write

    @property
    def weight(self) -> int:
        """About how many bytes its row has."""
        return 1_000 + len(msgspec.json.encode(self.attempts))

    @property
    def ended_at(self) -> str:
        """When a call that has ended did so."""
        return self.attempts[-1].ended_at if self.attempts else self.updated_at

    def is_told(self, before: Call) -> bool:
        """Whether browsers hear of what changed: it began, its attempt came to an end, or it is skipped."""
        if self.erased and not before.erased:
            return False
        if self.state is CallState.CALLING or before.state is CallState.CALLING:
            return self.state is not before.state
        skipped = self.call_status is CallStatus.SKIPPED and before.call_status is not CallStatus.SKIPPED
        return skipped or (self.attempts != before.attempts and bool(self.attempts))

    def rings_until(self, after: Call) -> str | None:
        """Until when this call, under way, may ring although it has ended: when it was cancelled, until its lease ends.

        `after` is the call as it is then.
        """
        last = after.attempts[-1] if after.attempts else None
        if last is None or last.attempt_id != self.attempt_id or not last.presumed:
            return None
        until = self.awaited_until or self.due_at
        return until if until and until > last.ended_at else None

    def is_claimed(self, attempt_id: str, lease: int) -> bool:
        """Whether it is under way by this claim."""
        return (self.state, self.attempt_id, self.lease) == (CallState.CALLING, attempt_id, lease)

    def waiting(self, due: datetime, *, now: datetime, because: str | None = None) -> Call:
        """This call when it waits, to be dialed from `due` on; `because` of what its claim was given back."""
        return replace(
            self,
            state=CallState.WAITING,
            call_status=CallStatus.PENDING,
            due_at=clock.stamp(due),
            **OVER,
            release_reason=because,
            updated_at=clock.stamp(now),
        )

    def redialed(self, *, now: datetime) -> Call:
        """This call, which has ended, when it shall be made again, with a fresh start for the retry policy."""
        fresh = replace(
            self,
            skip_reason=None,
            spent=len(self.attempts),
            called_back=False,
            leaving=False,
            lease=self.lease + 1,
            redialed_at=clock.stamp(now),
        )
        return fresh.waiting(now, now=now)

    def finished(self, *, now: datetime, never_dialed: str) -> Call:
        """This call when it is dialed no more: as its last attempt ended, or SKIPPED for the reason given."""
        last = self.attempts[-1] if self.attempts else None
        return replace(
            self,
            state=CallState.DONE,
            call_status=last.call_status if last else CallStatus.SKIPPED,
            skip_reason=None if last else never_dialed,
            release_reason=None,
            attempt_id=None,
            due_at=None,
            **OVER,
            updated_at=clock.stamp(now),
        )

    def blanked(self, *, now: datetime) -> Call:
        """This call, which has ended, without what was said in it and whom it was to."""
        attempts = [replace(each, **UNSPOKEN) for each in self.attempts]
        return replace(self, attempts=attempts, phone=None, answer=None, erased=True, updated_at=clock.stamp(now))

    def withdrawn(self, *, now: datetime) -> Call | None:
        """This call when its contact is taken out: one under way ends normally, a result stays; None: nothing does."""
        if self.state is CallState.CALLING or self.state is CallState.DONE:
            return replace(self, leaving=True, updated_at=clock.stamp(now))
        return replace(self.finished(now=now, never_dialed=""), leaving=True) if self.attempts else None

    def returned(self, *, now: datetime) -> Call:
        """This call of a contact that was taken out and is enrolled anew."""
        if self.state is CallState.DONE:
            return self.redialed(now=now)
        return replace(self, leaving=False, updated_at=clock.stamp(now))

    def view(self, contact: Callee) -> CallView:
        """The call as the API shows it."""
        last = self.attempts[-1] if self.attempts else None
        return CallView(
            campaign_id=self.campaign_id,
            contact_id=self.contact_id,
            call_status=self.call_status,
            conversation_outcome=self.skip_reason or (last.outcome if last else None),
            conversation_summary=last.summary if last else None,
            call_duration=last.duration if last else None,
            recording_url=last.recording_url if last else None,
            attempts=[attempt.view() for attempt in self.attempts],
            next_attempt_at=self.due_at if self.state is CallState.WAITING else None,
            called_at=last.ended_at if last else None,
            contact=contact,
        )
