"""Rows put in bulk are the rows PynamoDB would put."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.aws import bulk
from chalicelib.aws.dynamodb import Row, Transaction, connection
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.contacts.store import ContactRow, PhoneRow
from chalicelib.settings import Settings


@pytest.fixture(autouse=True)
def _deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.__struct_fields__[: -len(Settings.__struct_defaults__)]:
        monkeypatch.setenv(name.upper(), name)


def a_contact(**fields: Any) -> Contact:
    at = "2026-11-23T06:15:00.000Z"
    given = {"first_name": "Ali", "phone": "+998901234567", "created_at": at, "updated_at": at} | fields
    return Contact(organization_id="1", contact_id="01a20895-31cc-75d4-ae54-80a1c92f0eac", **given)


@pytest.mark.parametrize(
    "contact",
    [
        a_contact(),
        a_contact(last_name="Karimov", date_of_birth="1985-03-15", notes="Ўзбекча"),
        a_contact(custom_data={"debt": 5420.5, "list": [1, None, "a"]}, status=ContactStatus.INACTIVE),
        a_contact(is_called=True, last_called_at="2026-11-23T06:15:00.000Z", last_conversation_outcome="Paid"),
    ],
)
def test_contact(contact: Contact) -> None:
    more = {"status_key": "1#ACTIVE", "import_id": "2"}
    assert in_bulk(ContactRow, contact, more) == ContactRow.of(contact, **more).serialize()
    owned = PhoneRow(contact.organization_id, contact.phone, contact_id=contact.contact_id, status=contact.status)
    assert in_bulk(PhoneRow, contact, {}) == owned.serialize()


def test_transaction_sent_again_after_a_time_out_is_known_by_its_token() -> None:
    tokens: list[str] = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        tokens.append(json.loads(params["body"])["ClientRequestToken"])
        return SimpleNamespace(status_code=200), {"ResponseMetadata": {}}

    events = connection().client.meta.events
    events.register("before-call.dynamodb", answer, unique_id="tokens")
    try:
        for transaction in (Transaction(), bulk.Bulk(), Transaction()):
            transaction.delete(PhoneRow("1", "+998901234567"))
            transaction.commit()
    finally:
        events.unregister("before-call.dynamodb", unique_id="tokens")
    assert len(set(tokens)) == 3
    assert all(1 <= len(token) <= 36 for token in tokens)


def in_bulk(kind: type[Row], contact: Contact, more: dict[str, str]) -> Any:
    [item] = bulk.items(kind, [contact], more)
    return json.loads(item)
