"""What a voice agent is asked and what it may answer. Providers implement `Agent`; the dialer knows no other.

`docs/agents.md` shows a whole provider.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from chalicelib.agents.health import Verdict
from chalicelib.calls.model import Result
from chalicelib.errors import Failure


class CallOrder(Struct, frozen=True, kw_only=True, rename="camel"):
    """A call to be placed. `call_id` is the attempt's id.

    `agent_id`, `variables`, `caller_numbers` and `max_duration_seconds` are the campaign's own for its agent.
    `call_timeout_seconds` is by when the result must be there.
    """

    phone_number: str
    first_name: str
    last_name: str
    notes: str | None = None
    timezone: str | None = None
    custom_data: dict[str, Any]
    call_id: str
    organization_id: str
    campaign_id: str
    campaign_name: str
    campaign_type: str
    contact_id: str
    agent_id: str | None = None
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    caller_numbers: Sequence[str] = ()
    max_duration_seconds: int | None = None
    call_timeout_seconds: int
    callback_url: str

    def caller(self, numbers: Sequence[str] = ()) -> str | None:
        """Who calls: one of the campaign's numbers, or else of those given; of the same ones a contact's is the same.

        Each contact ranks them by itself, so that numbers share the contacts, and one that comes or goes moves only
        the contacts that it gets or had.
        """
        whose = self.contact_id or self.phone_number
        return max(self.caller_numbers or numbers, key=lambda number: _rank(whose, number), default=None)

    @property
    def longest_talk_seconds(self) -> int:
        """See `longest_talk_seconds`."""
        return longest_talk_seconds(self.call_timeout_seconds, self.max_duration_seconds)


def longest_talk_seconds(call_timeout_seconds: int, max_duration_seconds: int | None) -> int:
    """How long a conversation may be, so that ringing, analysis and report fit into the time-out as well."""
    most = max(call_timeout_seconds - 120, call_timeout_seconds // 2)
    return min(most, max_duration_seconds or most)


def _rank(contact: str, number: str) -> bytes:
    return hashlib.sha256(f"{contact} {number}".encode()).digest()


class Accepted(Struct, frozen=True):
    """The agent places the call and reports its result later.

    `conversation_id` is its own id of the call; `asked_by_it` where it finds a call well by no other.
    """

    conversation_id: str | None = None
    asked_by_it: bool = False


class Declined(Struct, frozen=True):
    """The agent will not call this contact: an end of the call, which spends an attempt. `words` are the agent's."""

    result: Result
    words: str


class NotPlaced(Failure):
    """The agent surely began no call: it may be asked again, when it is no longer full, away or refusing us.

    `again_seconds` is when, if it says so.
    """

    def __init__(self, message: str, verdict: Verdict = Verdict.AWAY, again_seconds: int = 0) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.again_seconds = again_seconds


class OutcomeUnknown(Failure):
    """Nobody knows whether a call began or how it ended: it waits for its webhook. `said` is what its answer says."""

    def __init__(self, message: str, said: str | None = None) -> None:
        super().__init__(message)
        self.said = said


class Ending(Struct, frozen=True):
    """How a call ended.

    `never_dialed`, where the agent had accepted the call and dialed nobody after all, is what that says of the agent:
    no attempt is spent then, and the result's outcome says why.
    """

    result: Result
    never_dialed: Verdict | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """What a webhook tells of a call, known by the attempt's id or, where that is not in it, by the provider's own."""

    call_id: str | None = None
    conversation_id: str | None = None
    ending: Ending


class Inquiry(Struct, frozen=True, kw_only=True):
    """A call that is asked after: the attempt's id, the agent's own where that is known, and when it was ordered."""

    call_id: str
    conversation_id: str | None = None
    organization_id: str
    ordered_at: datetime


class Whereabouts(StrEnum):
    """What an agent says of a call of which it does not say how it ended."""

    UNDER_WAY = "under way"
    NO_TRACE = "no trace"
    """It knows of no such call."""

    UNSAID = "unsaid"
    """It cannot be asked."""


class Agent(Protocol):
    """A voice-agent provider."""

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        """Place a call. Returns its result when the agent waits for it. Raises NotPlaced or OutcomeUnknown."""

    @property
    def waits_seconds(self) -> float | None:
        """How long an answer takes at most when it always is the result; None when results may come later."""


@runtime_checkable
class Answering(Protocol):
    """A provider that can be asked what became of a call."""

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """How a call ended, as its webhook would tell it, or where it is. Raises OutcomeUnknown."""


@runtime_checkable
class Reporter(Protocol):
    """A provider that reports results by webhook. Header names are in small letters."""

    takes_only_200: bool
    """Whether it must be answered 200 whatever it tells, or it sends no more."""

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Raises Unauthorized when a webhook is not the provider's."""

    def read(self, body: bytes) -> Webhook | None:
        """What a webhook tells; None for one that tells of no end. Raises InvalidBody."""
