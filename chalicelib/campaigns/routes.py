"""REST routes of campaigns and the calls in them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from chalice.app import Response
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from chalicelib import clock, http
from chalicelib.activity.model import Action
from chalicelib.auth import Role
from chalicelib.aws.dynamodb import Page
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call, Callee, CallState, CallStatus, CallView, WhyNotCalled
from chalicelib.campaigns import audit, control, enrolment, hours, messages, results, schedule, settings, store, waiting
from chalicelib.campaigns.messages import Enrol, Redial
from chalicelib.campaigns.model import AuditReport, Campaign, CampaignStatus, CampaignView
from chalicelib.campaigns.settings import (
    DEPLOYMENTS_AGENT,
    WHILE_RUNNING,
    AgentChoice,
    CampaignChange,
    CampaignSettings,
    NewCampaign,
)
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import (
    CampaignEmpty,
    CampaignFinished,
    CampaignNotRunning,
    CampaignRunning,
    Conflict,
    FieldError,
    InvalidBody,
    NotFound,
)
from chalicelib.http import BASE, Request
from chalicelib.ids import Id, is_id, packed
from chalicelib.imports import store as imports
from chalicelib.organizations import store as organizations
from chalicelib.organizations.model import OrganizationSettings
from chalicelib.settings import settings as deployment
from chalicelib.totals import store as totals

routes = http.Routes(__name__)

AT_ONCE = 1_000
"""Contacts enrolled, or looked at for a redial, while the request waits; more go to the worker."""

PATIENCE = timedelta(seconds=10)
"""What a request may take; the rest of its work goes to the worker."""

EndedStatus = Literal[
    "SUCCESS", "FAILED", "NO_ANSWER", "BUSY", "PROMISE_TO_PAY", "REFUSED", "CALLBACK_REQUESTED", "SKIPPED"
]

MAX_IDS_BODY = 512 * 1024
RACES = 5


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which contacts, by their status."""

    status: ContactStatus


class Enrolment(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Whom to add to a campaign: exactly one of the three."""

    rules: ClassVar[dict[str, Any]] = {"minProperties": 1, "maxProperties": 1}

    contact_ids: Annotated[list[Id], Meta(max_length=10_000)] | None = None
    import_id: Id | None = None
    filter: Filter | None = None

    def as_kept(self) -> Enrolment:
        """The same with ids as they are kept: in lower case."""
        contact_ids = self.contact_ids and [each.lower() for each in self.contact_ids]
        return structs.replace(self, contact_ids=contact_ids, import_id=self.import_id and self.import_id.lower())


class RedialRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which ended calls to make again."""

    call_status: Annotated[list[EndedStatus], Meta(min_length=1, max_length=8)]


class CampaignFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which campaigns are listed."""

    status: CampaignStatus | None = None


class CallFilter(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which calls are listed."""

    call_status: CallStatus | None = None


class Enrolling(Struct, frozen=True, rename="camel"):
    """Contacts are being added in the background; how many there were before."""

    campaign_id: Id
    total_contacts: int


class CallNamed(Struct, frozen=True, rename="camel"):
    """Which call."""

    campaign_id: Id
    contact_id: Id


class CampaignNamed(Struct, frozen=True, rename="camel"):
    """Which campaign."""

    campaign_id: Id


class Requeued(Struct, frozen=True):
    """How many calls are made again."""

    requeued: int


@routes.post(
    f"{BASE}/campaigns",
    "createCampaign",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_CREATED,
    body=NewCampaign,
    example={"name": "January debts", "campaignType": "DEBT_COLLECTION", "maxConcurrentCalls": 20},
    answers={201: CampaignView},
    locates=True,
    tags=True,
)
def create(request: Request) -> Response:
    """Create a campaign, with contacts if you like. It calls nobody before it is started or its time comes."""
    now = request.at
    given = request.json(NewCampaign).given()
    contact_ids = [each.lower() for each in given.pop("contact_ids", [])]
    campaign = _campaign(_checked(given, now), request)
    settings.check_agents(campaign)
    _known(campaign.organization_id, contact_ids)
    campaign = _added(campaign)
    if contact_ids:
        at = campaign.created_at
        enrolment.enrol(campaign.organization_id, campaign.campaign_id, contact_ids, at=at, now=now)
        campaign = store.find(campaign.organization_id, campaign.campaign_id)
    return _shown(campaign, 201, location=f"/campaigns/{campaign.campaign_id}")


def _shown(campaign: Campaign, status: int = 200, *, location: str | None = None) -> Response:
    return http.ok(campaign.view(), status, location=location, about=CampaignSettings)


def _campaign(given: dict[str, Any], request: Request) -> Campaign:
    organization_id, by = request.identity.organization_id, request.identity.subject
    own: dict[str, Any] = {"agent": _default_agent()}
    if "calling_hours" not in given:
        own["calling_hours"] = organizations.find(organization_id).default_calling_hours
    at = clock.stamp(request.at)
    return Campaign(
        **own | given,
        organization_id=organization_id,
        campaign_id=request.new_id,
        wake_at=_start_of(given),
        created_at=at,
        updated_at=at,
        created_by=by,
        updated_by=by,
    )


def _added(campaign: Campaign) -> Campaign:
    """The campaign in its store; as it is there when the request was made before."""
    try:
        store.add(campaign)
    except Conflict:
        return store.find(campaign.organization_id, campaign.campaign_id)
    return campaign


def _checked(given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The settings a request names, as they are kept. Raises InvalidBody for what types alone do not say."""
    if given.get("calling_hours"):
        hours.check(given["calling_hours"])
    if given.get("scheduled_at") is not None:
        given["scheduled_at"] = settings.scheduled(given["scheduled_at"], now=now)
    if given.get("agent") is DEPLOYMENTS_AGENT:
        given["agent"] = _default_agent()
    return given


def _start_of(given: dict[str, Any]) -> str | None:
    at = given.get("scheduled_at")
    return at and clock.minute(clock.moment(at))


def _default_agent() -> AgentChoice:
    return AgentChoice(deployment().agent_provider)


def _known(organization_id: str, contact_ids: list[str]) -> None:
    """Raises InvalidBody naming the ids that are no contact of the organization."""
    known = contacts.find_many(organization_id, filter(is_id, contact_ids))
    errors = [
        FieldError(f"contactIds[{n}]", "there is no such contact")
        for n, contact_id in enumerate(contact_ids)
        if contact_id not in known
    ]
    if errors:
        raise InvalidBody(*errors)


@routes.get(
    f"{BASE}/campaigns",
    "listCampaigns",
    role=Role.VIEWER,
    query=CampaignFilter,
    lists=CampaignView,
    limit=20,
    sorts=True,
)
def show_all(request: Request) -> Response:
    """List campaigns, the newest first."""
    paging, status = request.paging(), request.parameters(CampaignFilter).status
    organization_id = request.identity.organization_id
    total = totals.total(totals.Kind.CAMPAIGNS, organization_id, status)
    return http.listing(request, paging, store.page(organization_id, status, paging), total)


@routes.get(f"{BASE}/campaigns/{{id}}", "getCampaign", role=Role.VIEWER, answers={200: CampaignView}, tags=True)
def show(request: Request) -> Response:
    """Look at a campaign."""
    return _shown(store.find(request.identity.organization_id, request.id()))


@routes.patch(
    f"{BASE}/campaigns/{{id}}",
    "changeCampaign",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_CHANGED,
    body=CampaignChange,
    example={"maxConcurrentCalls": 50},
    headers=http.IF_MATCH,
    answers={200: CampaignView},
    tags=True,
    raises=[CampaignRunning],
)
def change(request: Request) -> Response:
    """Change a campaign. While it runs: its name, description, concurrency, retry policy and hours."""
    now = clock.now()
    for _ in range(RACES):
        campaign, own = store.find_with_settings(request.identity.organization_id, request.id())
        request.expects(CampaignSettings, campaign.view())
        wanted = request.changes(CampaignChange, campaign.view())
        changes = _changes(campaign, own, wanted, now) | {"updated_by": request.identity.subject}
        try:
            changed = store.change(campaign, changes, condition=store.as_set(campaign), at=now)
        except Conflict:
            continue
        if changed.status is CampaignStatus.RUNNING:
            messages.wake(changed.organization_id, changed.campaign_id)
        return _shown(changed)
    raise Conflict


def _changes(campaign: Campaign, own: OrganizationSettings, wanted: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The fields a request sets. Raises InvalidBody, and CampaignRunning for what a running campaign keeps."""
    if campaign.status is CampaignStatus.RUNNING and wanted.keys() - WHILE_RUNNING:
        free = [each.encode_name for each in structs.fields(CampaignChange) if each.name in WHILE_RUNNING]
        raise CampaignRunning(f"While the campaign runs only {', '.join(free)} may change.")
    changes = _checked(dict(wanted), now)
    if changes.keys() & settings.CONCERN_AGENTS:
        settings.check_agents(structs.replace(campaign, **changes))
    if "scheduled_at" in changes:
        if campaign.status is not CampaignStatus.PENDING:
            raise InvalidBody(FieldError("scheduledAt", "only a campaign that was never started can be scheduled"))
        changes |= {"wake_at": _start_of(changes), "status_reason": None}
    elif campaign.status is CampaignStatus.RUNNING:
        changes["wake_at"] = clock.minute(now)
    if "calling_hours" in changes and campaign.status_reason in (None, schedule.NEVER_OPEN):
        after = structs.replace(campaign, **changes)
        changes["status_reason"] = schedule.never_open(after, own.timezone, now)
    return changes


@routes.delete(
    f"{BASE}/campaigns/{{id}}",
    "deleteCampaign",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_DELETED,
    answers={204: None},
    raises=[CampaignRunning],
)
def remove(request: Request) -> Response:
    """Delete a campaign and its calls. It is hidden at once and removed in the background."""
    organization_id, campaign_id = request.identity.organization_id, request.id()
    store.remove(store.find(organization_id, campaign_id), at=clock.now())
    messages.remove(organization_id, campaign_id)
    return http.no_content()


@routes.post(
    f"{BASE}/campaigns/{{id}}/start",
    "startCampaign",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_STARTED,
    answers={200: CampaignView},
    tags=True,
    raises=[CampaignEmpty, CampaignFinished],
)
def start(request: Request) -> Response:
    """Start a campaign, or resume it."""
    who = request.identity
    return _shown(control.start(who.organization_id, request.id(), now=clock.now(), by=who.subject))


@routes.post(
    f"{BASE}/campaigns/{{id}}/stop",
    "stopCampaign",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_STOPPED,
    answers={200: CampaignView},
    tags=True,
    raises=[CampaignNotRunning],
)
def stop(request: Request) -> Response:
    """Stop a campaign. Calls under way end normally."""
    who = request.identity
    return _shown(control.stop(who.organization_id, request.id(), now=clock.now(), by=who.subject))


@routes.post(
    f"{BASE}/campaigns/{{id}}/contacts",
    "addContactsToCampaign",
    role=Role.OPERATOR,
    does=Action.CONTACTS_ADDED,
    body=Enrolment,
    example={"filter": {"status": "ACTIVE"}},
    answers={200: enrolment.Enrolled, 202: Enrolling},
    max_body=MAX_IDS_BODY,
)
def enrol(request: Request) -> Response:
    """Add contacts to a campaign: up to 1,000 ids at once; more, an import's or a filter's in the background.

    One such order of a campaign is followed at a time: an equal request joins it, any other comes after it.
    """
    wanted = request.json(Enrolment).as_kept()
    organization_id, campaign_id = request.identity.organization_id, request.id()
    if [wanted.contact_ids, wanted.import_id, wanted.filter].count(None) != 2:
        raise InvalidBody(FieldError("contactIds", "send exactly one of contactIds, importId and filter"))
    ids_ = wanted.contact_ids
    if ids_ is not None and len(ids_) <= AT_ONCE:
        return http.ok(_enrol_now(organization_id, campaign_id, ids_, request.at))
    campaign = store.find(organization_id, campaign_id)
    enrolment.begin(_order(campaign, wanted, request.at), now=request.at)
    return http.ok(Enrolling(campaign_id, campaign.total), 202)


def _enrol_now(organization_id: str, campaign_id: str, contact_ids: list[str], at: datetime) -> enrolment.Enrolled:
    """Enrol what can be an id; the rest is not found."""
    known = list(filter(is_id, contact_ids))
    done = enrolment.enrol(organization_id, campaign_id, known, at=clock.stamp(at), now=clock.now())
    odd = [contact_id for contact_id in dict.fromkeys(contact_ids) if not is_id(contact_id)]
    return msgspec.structs.replace(done, not_found=[*done.not_found, *odd])


def _order(campaign: Campaign, wanted: Enrolment, at: datetime) -> Enrol:
    """The worker's order for an enrolment. Raises NotFound for an import there is none of.

    Who was taken out after a request was meant by it, and is by the next: the two do not ask for the same.
    """
    if wanted.import_id is not None:
        if not is_id(wanted.import_id):
            raise NotFound("There is no such import in this organization.")
        imports.find(campaign.organization_id, wanted.import_id)
    known = list(filter(is_id, wanted.contact_ids or []))
    status = wanted.filter.status if wanted.filter else None
    asked = [wanted.import_id, status, sorted(set(known)), campaign.withdrawals]
    return Enrol(
        organization_id=campaign.organization_id,
        campaign_id=campaign.campaign_id,
        import_id=wanted.import_id,
        status=status,
        packed_ids=packed(known),
        asks=hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:32],
        at=clock.stamp(at),
    )


@routes.get(
    f"{BASE}/campaigns/{{id}}/contacts", "listCallsOfCampaign", role=Role.VIEWER, query=CallFilter, lists=CallView
)
def show_calls(request: Request) -> Response:
    """List the contacts of a campaign and what came of their calls."""
    paging, status = request.paging(), request.parameters(CallFilter).call_status
    campaign = store.find(request.identity.organization_id, request.id())
    found, cursor = calls.page(campaign.campaign_id, status, paging)
    total = campaign.total if status is None else campaign.counted(status)
    page = Page(_with_contacts(campaign.organization_id, found), cursor)
    return http.listing(request, paging, page, total, by="contactId")


@routes.get(f"{BASE}/campaigns/{{id}}/contacts/{{contactId}}", "getCall", role=Role.VIEWER, answers={200: CallView})
def show_call(request: Request) -> Response:
    """Look at a contact's call; one that waits says why, and when it may be made."""
    campaign, own = store.find_with_settings(request.identity.organization_id, request.id())
    call = calls.find(campaign.campaign_id, request.id("contactId"))
    person = contacts.find_many(campaign.organization_id, [call.contact_id]).get(call.contact_id)
    view, now = _with_contact(call, person), clock.now()
    if call.state is CallState.WAITING:
        zone = hours.zone(campaign.calling_hours, person, now) if person else call.zone
        on_it = person and contacts.attempt_on(campaign.organization_id, person.phone, now=now)
        other = None if on_it == call.attempt_id else on_it
        view.why_not_called, view.next_attempt_at = waiting.why(campaign, own, call, zone, busy=bool(other), now=now)
        if other and view.why_not_called is WhyNotCalled.PHONE_IN_ANOTHER_CALL:
            view.other_campaign_id = _other_campaign(campaign, other)
    return http.ok(view)


def _other_campaign(campaign: Campaign, attempt_id: str) -> str | UnsetType:
    """The campaign of an attempt, if that is another."""
    try:
        found = calls.attempt(attempt_id).campaign_id
    except NotFound:
        return UNSET
    return UNSET if found == campaign.campaign_id else found


@routes.delete(
    f"{BASE}/campaigns/{{id}}/contacts/{{contactId}}",
    "removeContactFromCampaign",
    role=Role.OPERATOR,
    does=Action.CONTACT_REMOVED,
    answers={204: None},
)
def withdraw(request: Request) -> Response:
    """Take a contact out of a campaign. A call under way ends normally; a result stays."""
    enrolment.withdraw(request.identity.organization_id, request.id(), request.id("contactId"), now=clock.now())
    return http.no_content()


@routes.post(
    f"{BASE}/campaigns/{{id}}/contacts/{{contactId}}/cancel",
    "cancelCall",
    role=Role.OPERATOR,
    does=Action.CALL_CANCELLED,
    answers={202: CallNamed},
)
def cancel(request: Request) -> Response:
    """Give the call under way up: it is FAILED until a late result says otherwise."""
    enrolment.give_up(request.identity.organization_id, request.id(), request.id("contactId"))
    return http.ok(CallNamed(request.id(), request.id("contactId")), 202)


@routes.post(
    f"{BASE}/campaigns/{{id}}/redial",
    "redialCampaign",
    role=Role.OPERATOR,
    does=Action.CALLS_REDIALED,
    body=RedialRequest,
    example={"callStatus": ["NO_ANSWER", "BUSY"]},
    answers={202: Requeued},
)
def redial(request: Request) -> Response:
    """Make ended calls again. A COMPLETED campaign is PAUSED after it, to be started."""
    wanted = request.json(RedialRequest)
    campaign = store.find(request.identity.organization_id, request.id())
    order = Redial(
        organization_id=campaign.organization_id,
        campaign_id=campaign.campaign_id,
        statuses=list(dict.fromkeys(CallStatus(status) for status in wanted.call_status)),
        before=clock.stamp(request.at),
    )
    if campaign.total <= AT_ONCE:
        requeued = enrolment.redial(order, now=clock.now, until=clock.now() + PATIENCE)
    else:
        requeued = sum(map(campaign.counted, order.statuses))
        enrolment.begin(order, now=request.at)
    return http.ok(Requeued(requeued), 202)


@routes.post(
    f"{BASE}/campaigns/{{id}}/audit",
    "startAudit",
    role=Role.OPERATOR,
    does=Action.CAMPAIGN_AUDITED,
    answers={202: AuditReport},
    locates=True,
)
def start_audit(request: Request) -> Response:
    """Have a campaign's counters compared with a recount of its calls."""
    campaign = store.find(request.identity.organization_id, request.id())
    report = audit.begin(campaign, now=clock.now())
    return http.ok(report, 202, location=f"/campaigns/{campaign.campaign_id}/audit")


@routes.get(f"{BASE}/campaigns/{{id}}/audit", "getAudit", role=Role.VIEWER, answers={200: AuditReport})
def show_audit(request: Request) -> Response:
    """Look at a campaign's last audit."""
    campaign = store.find(request.identity.organization_id, request.id())
    return http.ok(store.audit_of(campaign.organization_id, campaign.campaign_id))


@routes.get(
    f"{BASE}/campaigns/{{id}}/results",
    "getResults",
    role=Role.MANAGER,
    does=Action.CAMPAIGN_EXPORTED,
    answers={200: results.Download, 202: CampaignNamed},
)
def show_results(request: Request) -> Response:
    """Download every contact of a campaign with its result as a workbook; 202 while that is being written."""
    campaign = store.find(request.identity.organization_id, request.id())
    found = results.download(campaign, now=clock.now())
    return http.ok(found) if found else http.ok(CampaignNamed(campaign.campaign_id), 202)


@routes.get(f"{BASE}/contacts/{{id}}/calls", "listCallsOfContact", role=Role.VIEWER, lists=CallView)
def show_calls_of_contact(request: Request) -> Response:
    """List a contact's calls of all campaigns."""
    paging = request.paging()
    contact = contacts.find(request.identity.organization_id, request.id())
    found, cursor = calls.page_of_contact(contact.contact_id, paging)
    page = Page(_with_contacts(contact.organization_id, found), cursor)
    return http.listing(request, paging, page, calls.count_of_contact(contact.contact_id), by="campaignId")


def _with_contacts(organization_id: str, found: list[Call]) -> list[CallView]:
    """Calls as the API shows them, each with whom it is to."""
    people = contacts.find_many(organization_id, [call.contact_id for call in found])
    return [_with_contact(call, people.get(call.contact_id)) for call in found]


def _with_contact(call: Call, person: Contact | None) -> CallView:
    """A call as the API shows it, with whom it is to; a contact that was deleted has only its id."""
    if person is None:
        return call.view(Callee(id=call.contact_id))
    return call.view(
        Callee(id=call.contact_id, first_name=person.first_name, last_name=person.last_name, phone=person.phone)
    )
