"""A campaign: whom to call, how fast, how often and when; and how far it has come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib import clock
from chalicelib.dialing.health import WELL, Health
from chalicelib.dialing.model import FAILURES, SUCCESSES, Call, CallState, CallStatus
from chalicelib.errors import FieldError, InvalidBody

Name = Annotated[str, Meta(max_length=200, pattern=r"\S", description="text that is not blank")]
Description = Annotated[str, Meta(max_length=2_000)]
Concurrency = Annotated[int, Meta(ge=1, le=500)]
CallTimeout = Annotated[int, Meta(ge=120, le=7200)]
Ids = Annotated[list[str], Meta(max_length=1_000)]

WAITING, IN_FLIGHT = "waiting", "in_flight"
"""The two counters a call is in before it has a final status."""


class CampaignType(StrEnum):
    """What a campaign is for."""

    GENERAL = "GENERAL"
    DEBT_COLLECTION = "DEBT_COLLECTION"
    SURVEY = "SURVEY"
    REMINDER = "REMINDER"
    MARKETING = "MARKETING"
    CUSTOMER_SERVICE = "CUSTOMER_SERVICE"


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Retry(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which outcomes are dialed again, how often in all, and after how many minutes (the last delay repeats)."""

    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1
    delay_minutes: Annotated[list[Annotated[int, Meta(ge=0, le=20_160)]], Meta(min_length=1, max_length=10)] = (
        msgspec.field(default_factory=lambda: [60])
    )
    on: list[CallStatus] = msgspec.field(default_factory=lambda: [CallStatus.NO_ANSWER, CallStatus.BUSY])

    def __post_init__(self) -> None:
        if not set(self.on) <= set(FAILURES):
            raise ValueError(f"expected `on` among {', '.join(FAILURES)}")


class CallingHours(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False):
    """When contacts may be called: `from`–`to` on `days`, not on `holidays`, in a time zone or in the contact's own."""

    timezone: str
    days: Annotated[list[str], Meta(min_length=1, max_length=7)]
    from_: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", description="HH:MM")] = msgspec.field(
        name="from"
    )
    to: Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", description="HH:MM, up to 24:00")]
    holidays: Annotated[list[str], Meta(max_length=400)] = msgspec.field(default_factory=list)


class AgentChoice(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which voice agent places the calls."""

    provider: str


class Campaign(Struct, kw_only=True):
    """A campaign as it is kept. `view` is what the API shows."""

    organization_id: str
    campaign_id: str
    name: str
    description: str | None = None
    campaign_type: CampaignType = CampaignType.GENERAL
    status: CampaignStatus = CampaignStatus.PENDING
    status_reason: str | None = None
    max_concurrent_calls: int = 10
    retry: Retry
    calling_hours: CallingHours | None = None
    call_timeout_seconds: int = 900
    agent: AgentChoice
    scheduled_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    created_at: str
    updated_at: str
    wake_at: str | None = None
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
    """The time zones calls wait in, where the hours are in the contact's own; see `dialing.store`."""
    health: Health = WELL

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

    def counters(self) -> dict[str, Any]:
        """The counters as the API shows them."""
        return {
            "totalContacts": self.total,
            "calledContacts": self.successful + self.unsuccessful,
            "successfulCalls": self.successful,
            "failedCalls": self.unsuccessful,
            "skippedContacts": self.skipped,
            "inFlightCalls": self.in_flight,
            "statusCounts": {status.value: self.counted(status) for status in CallStatus},
        }

    def view(self) -> dict[str, Any]:
        """The campaign as the API shows it."""
        return {
            "id": self.campaign_id,
            "organizationId": self.organization_id,
            "name": self.name,
            "description": self.description,
            "campaignType": self.campaign_type,
            "status": self.status,
            "statusReason": self.status_reason,
            **self.counters(),
            "maxConcurrentCalls": self.max_concurrent_calls,
            "retry": self.retry,
            "callingHours": self.calling_hours,
            "callTimeoutSeconds": self.call_timeout_seconds,
            "agent": self.agent,
            "scheduledAt": self.scheduled_at,
            "startedAt": self.started_at,
            "completedAt": self.completed_at,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }


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
    audited_at: str | None = None


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


class NewCampaign(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What a request may say of a campaign to be created."""

    name: Name
    description: Description | None = None
    campaign_type: CampaignType = CampaignType.GENERAL
    contact_ids: Ids = msgspec.field(default_factory=list)
    max_concurrent_calls: Concurrency = 10
    retry: Retry | None = None
    calling_hours: CallingHours | None | UnsetType = UNSET
    call_timeout_seconds: CallTimeout = 900
    agent: AgentChoice | None = None
    scheduled_at: str | None = None


class CampaignChange(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What a request may change; a null clears an optional value or restores its default."""

    name: Name | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    campaign_type: CampaignType | UnsetType = UNSET
    max_concurrent_calls: Concurrency | UnsetType = UNSET
    retry: Retry | None | UnsetType = UNSET
    calling_hours: CallingHours | None | UnsetType = UNSET
    call_timeout_seconds: CallTimeout | UnsetType = UNSET
    agent: AgentChoice | None | UnsetType = UNSET
    scheduled_at: str | None | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields the request names, with their values."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


WHILE_RUNNING = {"name", "description", "max_concurrent_calls", "retry", "calling_hours"}
"""What may change while a campaign runs."""


def scheduled(text: str, *, now: datetime) -> str:
    """A start time a request asks for, as a stamp. Raises InvalidBody for one that is no time or has passed."""
    try:
        at = clock.moment(text)
        stamp = clock.stamp(at)
    except (ValueError, OverflowError):
        raise InvalidBody(FieldError("scheduledAt", "expected an ISO 8601 time such as 2026-11-23T06:15:00Z")) from None
    if at.tzinfo is None:
        raise InvalidBody(FieldError("scheduledAt", "expected a time zone: end it with Z or an offset such as +05:00"))
    if at <= now:
        raise InvalidBody(FieldError("scheduledAt", "the time has passed"))
    return stamp
