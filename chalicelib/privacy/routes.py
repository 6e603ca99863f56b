"""Deleting a contact, and erasing the person."""

from __future__ import annotations

from chalice.app import Response
from msgspec import Struct

from chalicelib import http
from chalicelib.calls import store as calls
from chalicelib.contacts import store as contacts
from chalicelib.errors import CallUnderWay, NotFound
from chalicelib.http import BASE, Request
from chalicelib.privacy import messages
from chalicelib.privacy.messages import Erase

routes = http.Routes(__name__)


class Removal(Struct, frozen=True):
    """Whether the person is erased everywhere, and not only the contact deleted."""

    erase: bool = False


@routes.delete(f"{BASE}/contacts/{{id}}", "deleteContact", query=Removal, answers={204: None}, raises=[CallUnderWay])
def remove(request: Request) -> Response:
    """Delete a contact; its calls stay. With `erase` nothing of the person stays anywhere."""
    organization_id, contact_id = request.identity.organization_id, request.id()
    if not request.parameters(Removal).erase:
        contacts.remove(organization_id, contact_id)
        return http.no_content()
    if not contacts.begin_erasure(organization_id, contact_id) and not _was_called(organization_id, contact_id):
        raise NotFound
    messages.work(Erase(organization_id=organization_id, contact_id=contact_id))
    return http.no_content()


def _was_called(organization_id: str, contact_id: str) -> bool:
    """Whether a contact that is gone left calls."""
    return any(call.organization_id == organization_id for call in calls.of_contact(contact_id))
