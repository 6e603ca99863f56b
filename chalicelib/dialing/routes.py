"""REST routes of test calls."""

from __future__ import annotations

from chalice.app import Response
from msgspec import Struct

from chalicelib import clock, http
from chalicelib.activity.model import Action
from chalicelib.auth import Role
from chalicelib.calls.model import CallStatus
from chalicelib.campaigns import store as campaigns
from chalicelib.contacts import store as contacts
from chalicelib.contacts.phone import normalize
from chalicelib.dialing import policy, store, trials
from chalicelib.dialing.model import KEPT, TestCallView, Trial
from chalicelib.errors import FieldError, InvalidBody, NotFound
from chalicelib.http import BASE, Request
from chalicelib.ids import Id, is_id
from chalicelib.settings import settings

routes = http.Routes(__name__)


class NewTestCall(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which phone to ring, and as which contact: the agent is told what is known of that."""

    phone: str
    contact_id: str | None = None


class TestCallOrdered(Struct, frozen=True, rename="camel"):
    """The test call is made."""

    call_id: Id


@routes.post(
    f"{BASE}/campaigns/{{id}}/test-calls",
    "makeTestCall",
    role=Role.OPERATOR,
    does=Action.CALL_TESTED,
    body=NewTestCall,
    example={"phone": "+998 90 123-45-67"},
    answers={202: TestCallOrdered},
    locates=True,
)
def make(request: Request) -> Response:
    """Ring one phone with the campaign's agent, whatever its hours and limits; 10 an hour and person.

    It is in none of the campaign's counters, lists, results and events.
    """
    organization_id, now = request.identity.organization_id, clock.now()
    campaign = campaigns.find(organization_id, request.id())
    wanted = request.json(NewTestCall)
    try:
        phone = normalize(wanted.phone, settings().default_phone_region)
    except FieldError as error:
        raise InvalidBody(error) from None
    barred, own = contacts.barred_with_settings(organization_id, phone)
    trial = Trial(
        organization_id=organization_id,
        call_id=request.new_id,
        campaign_id=campaign.campaign_id,
        phone=phone,
        contact_id=_known(organization_id, wanted.contact_id),
        requested_at=clock.stamp(now),
    )
    trial = store.add(trial, request.identity.subject or "", now=now)
    if trial.status is CallStatus.PENDING:
        if why := contacts.BARRED if barred else trials.why_not(trial, own, now=now):
            store.end(organization_id, trial.call_id, trials.skipped(why), now=now)
        else:
            trials.order(trial, campaign.call_timeout_seconds)
    path = f"/campaigns/{campaign.campaign_id}/test-calls/{trial.call_id}"
    return http.ok(TestCallOrdered(trial.call_id), 202, location=path)


def _known(organization_id: str, contact_id: str | None) -> str | None:
    """The id of a contact as it is kept. Raises InvalidBody for one of none."""
    if contact_id is None:
        return None
    try:
        if is_id(kept := contact_id.lower()):
            return contacts.find(organization_id, kept).contact_id
    except NotFound:
        pass
    raise InvalidBody(FieldError("contactId", "there is no such contact"))


@routes.get(
    f"{BASE}/campaigns/{{id}}/test-calls/{{callId}}", "getTestCall", role=Role.VIEWER, answers={200: TestCallView}
)
def show(request: Request) -> Response:
    """Look at what came of a test call, for a day."""
    now = clock.now()
    trial = store.find(request.identity.organization_id, request.id("callId"))
    if trial.campaign_id != request.id() or clock.moment(trial.requested_at) + KEPT < now:
        raise NotFound
    return http.ok(trial.view(now, policy.NO_RESULT))
