"""A campaign: its settings, and how far it has come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from chalicelib import clock
from chalicelib.agents.health import WELL, Health
from chalicelib.calls.model import FAILURES, SUCCESSES, Call, CallState, CallStatus
from chalicelib.campaigns.settings import CampaignSettings
from chalicelib.clock import Moment
from chalicelib.ids import Id

WAITING, IN_FLIGHT = "waiting", "in_flight"
"""The two counters a call is in before it has a final status."""

WITHDRAWALS = "withdrawals"
"""What a withdrawal adds to beside them."""


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Campaign(CampaignSettings, kw_only=True):
    """A campaign as it is kept. `view` is what the API shows."""

    organization_id: str
    campaign_id: str
    status: CampaignStatus = CampaignStatus.PENDING
    status_reason: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    created_at: str
    updated_at: str
    created_by: str | None = None
    updated_by: str | None = None
    resumed_at: str | None = None
    """When it was started last: what the agent said before does not count any more."""

    revision: int = 0
    """How often its settings were changed."""

    wake_at: str | None = None
    orders: dict[str, str] = msgspec.field(default_factory=dict)
    """The orders to enrol or to redial that the worker follows, with when each is given up unless it comes further."""

    followed: str | None = None
    """Which of the orders the worker is at: one of a campaign at a time, the others wait."""

    asked: dict[str, str] = msgspec.field(default_factory=dict)
    """What orders ask for, and until when an equal request is one with them."""

    withdrawals: int = 0
    """How often a contact was taken out."""

    news: set[str] = msgspec.field(default_factory=set)
    """The attempts whose rows keep what no queue took; see `calls.store`."""

    last_writes: list[str] = msgspec.field(default_factory=list)
    """The calls that were booked last and are told, by `Call.write`: their updates come before its end."""

    waiting: int = 0
    in_flight: int = 0
    success: int = 0
    failed: int = 0
    no_answer: int = 0
    busy: int = 0
    promise_to_pay: int = 0
    refused: int = 0
    callback_requested: int = 0
    skipped: int = 0
    zones: set[str] = msgspec.field(default_factory=set)
    """Where calls wait besides ANY_ZONE: time zones and FALLBACK_ZONE, where the hours are in the contact's own."""
    health: Health = WELL
    """Of its agent."""

    fallback_healths: list[Health] = msgspec.field(default_factory=list)
    """Of its fallback agents, as far as anything is known of them."""

    @property
    def healths(self) -> list[Health]:
        """Of each of its `agents`."""
        known = [self.health, *self.fallback_healths][: len(self.agents)]
        return known + [WELL] * (len(self.agents) - len(known))

    def counted(self, status: CallStatus) -> int:
        """How many calls have a status; queued ones count as CALLING."""
        number: int = getattr(self, counter(status))
        return number

    @property
    def successful(self) -> int:
        return sum(map(self.counted, SUCCESSES))

    @property
    def unsuccessful(self) -> int:
        return sum(map(self.counted, FAILURES))

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight + self.successful + self.unsuccessful + self.skipped

    def is_filling(self, now: datetime) -> bool:
        """Whether contacts are still being added, or put back to be called again, in the background."""
        return any(self.has_order(order_id, now) for order_id in self.orders)

    def has_order(self, order_id: str, now: datetime) -> bool:
        """Whether an order is still to be followed, and not given up."""
        return self.orders.get(order_id, "") > clock.stamp(now)

    def follows_another(self, order_id: str, now: datetime) -> bool:
        """Whether the worker is at another order than this."""
        return self.followed not in (None, order_id) and self.has_order(self.followed or "", now)

    def is_asked(self, asks: str, now: datetime) -> bool:
        """Whether an order asks for the same that a request asks for now."""
        return self.asked.get(asks, "") > clock.stamp(now)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nobody is being called."""
        return not self.waiting and not self.in_flight

    def counters(self) -> Counters:
        """The counters as the API shows them."""
        return Counters(
            total_contacts=self.total,
            called_contacts=self.successful + self.unsuccessful,
            successful_calls=self.successful,
            failed_calls=self.unsuccessful,
            skipped_contacts=self.skipped,
            in_flight_calls=self.in_flight,
            status_counts={status: self.counted(status) for status in CallStatus},
        )

    def progress(self) -> Progress:
        """How far the campaign has come, as sockets are told."""
        return Progress(
            campaign_id=self.campaign_id,
            status=self.status,
            status_reason=self.status_reason,
            **asdict(self.counters()),
        )

    def view(self) -> CampaignView:
        """The campaign as the API shows it."""
        return CampaignView(
            **{name: getattr(self, name) for name in CampaignSettings.__struct_fields__},
            **asdict(self.counters()),
            id=self.campaign_id,
            organization_id=self.organization_id,
            status=self.status,
            status_reason=self.status_reason,
            started_at=self.started_at,
            completed_at=self.completed_at,
            created_at=self.created_at,
            updated_at=self.updated_at,
            created_by=self.created_by,
            updated_by=self.updated_by,
        )


class Counters(Struct, kw_only=True, rename="camel"):
    """A campaign's calls, counted: every one is in one of `statusCounts`.

    `calledContacts` are the successful and the failed ones; a promise to pay and a callback count as successful.
    """

    total_contacts: int
    called_contacts: int
    successful_calls: int
    failed_calls: int
    skipped_contacts: int
    in_flight_calls: int
    status_counts: dict[CallStatus, int]


class Progress(Counters, kw_only=True):
    """How far a campaign has come."""

    campaign_id: str
    status: CampaignStatus
    status_reason: str | None


class CampaignView(CampaignSettings, kw_only=True):
    """A campaign: its settings, where it stands, and its calls, counted.

    `statusReason` says why it paused, or what keeps its calls waiting; it is for people to read. `createdBy` and
    `updatedBy` are who made it and who changed, started or stopped it last: the `sub` of their tokens.
    """

    id: Id
    organization_id: str
    status: CampaignStatus
    status_reason: str | None
    total_contacts: int
    called_contacts: int
    successful_calls: int
    failed_calls: int
    skipped_contacts: int
    in_flight_calls: int
    status_counts: dict[CallStatus, int]
    started_at: Moment | None
    completed_at: Moment | None
    created_at: Moment
    updated_at: Moment
    created_by: str | None
    updated_by: str | None


class AuditStatus(StrEnum):
    """How far an audit has come."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"


class AuditReport(Struct, frozen=True, rename="camel"):
    """A campaign's counters beside a recount of its calls. `consistent` is None until both are known."""

    status: AuditStatus
    consistent: bool | None = None
    counters: dict[str, int] | None = None
    recounted: dict[str, int] | None = None
    differences: dict[str, int] | None = None
    audited_at: Moment | None = None


def counter(status: CallStatus) -> str:
    """The campaign's counter that a call of a status is in."""
    return {CallStatus.PENDING: WAITING, CallStatus.CALLING: IN_FLIGHT}.get(status, status.lower())


def counter_of(call: Call) -> str:
    """The campaign's counter that a call is in: every call is in exactly one."""
    match call.state:
        case CallState.WAITING:
            return WAITING
        case CallState.QUEUED | CallState.CALLING:
            return IN_FLIGHT
        case CallState.DONE:
            return counter(call.call_status)
