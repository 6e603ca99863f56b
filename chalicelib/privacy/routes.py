"""Deleting a contact, and erasing the person."""

from __future__ import annotations

from chalice.app import Response
from msgspec import Struct

from chalicelib import http
from chalicelib.activity.model import Action
from chalicelib.auth import Role
from chalicelib.contacts import store as contacts
from chalicelib.errors import CallUnderWay
from chalicelib.http import BASE, Request
from chalicelib.privacy import erasing

routes = http.Routes(__name__)


class Removal(Struct, frozen=True):
    """Whether the person is erased everywhere, and not only the contact deleted."""

    erase: bool = False


@routes.delete(
    f"{BASE}/contacts/{{id}}",
    "deleteContact",
    role=Role.OPERATOR,
    does=lambda request: Action.CONTACT_ERASED if _erases(request) else Action.CONTACT_DELETED,
    query=Removal,
    answers={204: None},
    raises=[CallUnderWay],
)
def remove(request: Request) -> Response:
    """Delete a contact; its calls stay. With `erase`, which takes a manager, nothing of the person stays anywhere."""
    organization_id, contact_id = request.identity.organization_id, request.id()
    if not _erases(request):
        contacts.remove(organization_id, contact_id)
        return http.no_content()
    request.require(Role.MANAGER)
    erasing.begin(organization_id, contact_id)
    return http.no_content()


def _erases(request: Request) -> bool:
    return request.parameters(Removal).erase
