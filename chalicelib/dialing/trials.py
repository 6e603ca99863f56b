"""Test calls: one phone rung with a campaign's agent, outside of the campaign's counters, lists, results and events.

The dialer places them, so that nobody else holds agents' keys. What must not be called is not called here either: in a
pause, at a barred phone, in another country. Hours and limits are not heeded: who tests wants to hear the agent now.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import CallStatus, Result
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.contacts.phone import uncallable
from chalicelib.dialing.messages import Dial, dial
from chalicelib.dialing.model import NOBODY, Trial
from chalicelib.errors import NotFound
from chalicelib.organizations.model import OrganizationSettings


def order(trial: Trial, call_timeout_seconds: int) -> None:
    """Have the dialer make a test call: once, however often it is ordered. Raises SendFailed."""
    ordered = Dial(
        organization_id=trial.organization_id,
        campaign_id=trial.campaign_id,
        contact_id=NOBODY,
        attempt_id=trial.call_id,
        lease=0,
        call_timeout_seconds=call_timeout_seconds,
    )
    dial(trial.organization_id, [ordered])


def skipped(why: str) -> Result:
    """How a test call ended that rang nobody."""
    return Result(call_status=CallStatus.SKIPPED, outcome=why)


def failed(why: str) -> Result:
    """How a test call ended that the agent did not place."""
    return Result(call_status=CallStatus.FAILED, outcome=why)


def why_not(trial: Trial, own: OrganizationSettings, *, now: datetime) -> str | None:
    """Why its phone is not rung right now; None where it is."""
    if own.calling_paused:
        return "all calling is paused"
    return uncallable(trial.phone, own.allowed_countries) or contacts.shut(trial.organization_id, trial.phone, now=now)


def person(trial: Trial) -> Contact:
    """Whom the agent takes itself to be talking to: the contact that was named, at the phone that is rung."""
    try:
        if trial.contact_id:
            return replace(contacts.find(trial.organization_id, trial.contact_id), phone=trial.phone)
    except NotFound:
        pass
    at = trial.requested_at
    return Contact(
        first_name="",
        phone=trial.phone,
        organization_id=trial.organization_id,
        contact_id=NOBODY,
        created_at=at,
        updated_at=at,
    )


def ordered(given: CallOrder, trial: Trial) -> CallOrder:
    """A campaign's order, of the contact that was named."""
    return replace(given, contact_id=trial.contact_id or NOBODY)
