"""Values of the calling floor, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import Attempt, Call, CallState, CallStatus, Result, Retry
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.contacts.model import Contact
from chalicelib.imports.model import Import
from chalicelib.organizations.model import CallingHours

NOW = datetime(2026, 11, 23, 6, 15, tzinfo=UTC)
AT = clock.stamp(NOW)


def later(**units: float) -> str:
    """The stamp of a moment after NOW."""
    return clock.stamp(NOW + timedelta(**units))


def a_call(state: CallState = CallState.CALLING, **fields: Any) -> Call:
    """A call under way, or in another state, as it is there."""
    usual: dict[str, Any] = {"organization_id": "1", "campaign_id": "campaign", "contact_id": "contact"}
    match state:
        case CallState.WAITING:
            usual |= {"due_at": AT}
        case CallState.QUEUED:
            usual |= {"attempt_id": "first", "lease": 1, "due_at": later(seconds=120), "call_status": "CALLING"}
        case CallState.CALLING:
            usual |= {"attempt_id": "first", "lease": 1, "due_at": later(minutes=15), "started_at": AT}
        case CallState.DONE:
            usual |= {"call_status": CallStatus.NO_ANSWER, "attempts": [an_attempt("first", CallStatus.NO_ANSWER)]}
    if "call_status" in usual:
        usual["call_status"] = CallStatus(usual["call_status"])
    return Call(**{**usual, "state": state, "updated_at": AT, **fields})


def an_attempt(attempt_id: str, status: CallStatus = CallStatus.FAILED, **fields: Any) -> Attempt:
    return Attempt(attempt_id=attempt_id, call_status=status, ended_at=AT, **fields)


def a_result(status: CallStatus = CallStatus.SUCCESS, **fields: Any) -> Result:
    return Result(call_status=status, **fields)


def a_campaign(status: CampaignStatus = CampaignStatus.RUNNING, **fields: Any) -> Campaign:
    usual = {
        "organization_id": "1",
        "campaign_id": "campaign",
        "name": "January",
        "retry": Retry(),
        "agent": AgentChoice("simulated"),
        "created_at": AT,
        "updated_at": AT,
    }
    return Campaign(**{**usual, "status": status, **fields})


def some_hours(timezone: str = "Asia/Tashkent", from_: str = "09:00", to: str = "20:00", **fields: Any) -> CallingHours:
    if "windows" in fields:
        return CallingHours(timezone, **fields)
    usual = {"days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]}
    return CallingHours(**{**usual, "timezone": timezone, "from_": from_, "to": to, **fields})


def a_contact(**fields: Any) -> Contact:
    usual = {
        "organization_id": "1",
        "contact_id": "contact",
        "first_name": "Ali",
        "phone": "+998901234567",
        "created_at": AT,
        "updated_at": AT,
    }
    return Contact(**{**usual, **fields})


def an_import(**fields: Any) -> Import:
    usual = {"organization_id": "1", "import_id": "import", "key": "k", "file_name": "list.xlsx", "created_at": AT}
    return Import(**{**usual, **fields})


def an_order(**fields: Any) -> CallOrder:
    usual: dict[str, Any] = {
        "phone_number": "+998901234567",
        "first_name": "Ali",
        "last_name": "Valiyev",
        "custom_data": {"totalDebt": 5000},
        "call_id": "attempt",
        "organization_id": "1",
        "campaign_id": "campaign",
        "campaign_name": "January",
        "campaign_type": "DEBT_COLLECTION",
        "contact_id": "contact",
        "call_timeout_seconds": 900,
        "callback_url": "https://api.test/auto-calling/agents/http/webhook",
    }
    return CallOrder(**{**usual, **fields})
