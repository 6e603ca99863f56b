"""REST routes of contacts."""

from __future__ import annotations

from typing import Any

from chalice.app import Response
from msgspec import Struct

from chalicelib import clock, http
from chalicelib.activity.model import Action
from chalicelib.auth import Role
from chalicelib.aws.dynamodb import Page, Paging
from chalicelib.contacts import model, store
from chalicelib.contacts.model import Contact, ContactChange, ContactStatus, NewContact, Person, Phone
from chalicelib.contacts.phone import normalize, uncallable
from chalicelib.errors import CallUnderWay, FieldError, InvalidBody, InvalidParameter, PhoneTaken
from chalicelib.http import BASE, Request
from chalicelib.settings import settings
from chalicelib.totals import store as totals

routes = http.Routes(__name__)


class ContactFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which contacts are listed: by status, or who has a phone, however it is written."""

    status: ContactStatus | None = None
    phone: Phone | None = None


@routes.post(
    f"{BASE}/contacts",
    "createContact",
    role=Role.OPERATOR,
    does=Action.CONTACT_CREATED,
    body=NewContact,
    example={"firstName": "Aziz", "lastName": "Karimov", "phone": "+998 90 123-45-67", "customData": {"debt": 500_000}},
    answers={201: Contact},
    locates=True,
    tags=True,
    raises=[PhoneTaken],
)
def create(request: Request) -> Response:
    """Add a contact. A phone belongs to one contact of an organization."""
    at = clock.stamp(request.at)
    contact = store.add(
        Contact(
            **_checked(request, request.json(NewContact).given()),
            organization_id=request.identity.organization_id,
            contact_id=request.new_id,
            created_at=at,
            updated_at=at,
        ),
        answer_key=request.answer_key,
    )
    return http.ok(contact, 201, location=f"/contacts/{contact.contact_id}", about=Person)


@routes.get(f"{BASE}/contacts", "listContacts", role=Role.VIEWER, query=ContactFilter, lists=Contact, sorts=True)
def show_all(request: Request) -> Response:
    """List contacts, the newest first."""
    paging, wanted = request.paging(), request.parameters(ContactFilter)
    status, organization_id = wanted.status, request.identity.organization_id
    if wanted.phone is not None:
        return _with_phone(request, paging, wanted.phone, status)
    return http.listing(
        request,
        paging,
        store.page(organization_id, status, paging),
        totals.total(totals.Kind.CONTACTS, organization_id, status),
    )


def _with_phone(request: Request, paging: Paging, written: str, status: ContactStatus | None) -> Response:
    try:
        phone = normalize(written, settings().default_phone_region)
    except FieldError as error:
        raise InvalidParameter(error) from None
    contact = store.by_phone(request.identity.organization_id, phone)
    matching = [contact] if contact and status in (None, contact.status) else []
    shown = matching if paging.page == 1 else []
    return http.listing(request, paging, Page(shown, None), len(matching))


@routes.get(f"{BASE}/contacts/{{id}}", "getContact", role=Role.VIEWER, answers={200: Contact}, tags=True)
def show(request: Request) -> Response:
    """Look at a contact."""
    return http.ok(store.find(request.identity.organization_id, request.id()), about=Person)


@routes.patch(
    f"{BASE}/contacts/{{id}}",
    "changeContact",
    role=Role.OPERATOR,
    does=Action.CONTACT_CHANGED,
    body=ContactChange,
    example={"notes": "Speaks Russian", "dateOfBirth": None},
    headers=http.IF_MATCH,
    answers={200: Contact},
    tags=True,
    raises=[CallUnderWay, PhoneTaken],
)
def change(request: Request) -> Response:
    """Change a contact; null clears what is optional. It takes a manager to let a DO_NOT_CALL one be called again."""

    def decide(contact: Contact) -> dict[str, Any]:
        request.expects(Person, contact)
        changes = request.changes(ContactChange, contact)
        if contact.status is ContactStatus.DO_NOT_CALL and "status" in changes:
            request.require(Role.MANAGER)
        return _checked(request, changes, has=contact.phone)

    contact = store.revise(request.identity.organization_id, request.id(), decide, at=clock.stamp(clock.now()))
    return http.ok(contact, about=Person)


def _checked(request: Request, given: dict[str, Any], *, has: str | None = None) -> dict[str, Any]:
    """The fields a request names, the phone in E.164; who gets a barred one is barred, too. Raises InvalidBody.

    `has` is the phone that the contact has already.
    """
    model.check(given)
    if "phone" not in given:
        return given
    try:
        phone = normalize(given["phone"], settings().default_phone_region)
        barred, own = store.barred_with_settings(request.identity.organization_id, phone)
        if said := uncallable(phone, own.allowed_countries):
            raise FieldError("phone", said)
    except FieldError as error:
        raise InvalidBody(error) from None
    shut = {"status": ContactStatus.DO_NOT_CALL} if barred and phone != has else {}
    return given | {"phone": phone} | shut
