"""A contact: a person of an organization who may be called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chalicelib.errors import FieldError, InvalidBody

Name = Annotated[str, Meta(max_length=100, pattern=r"\S", description="text that is not blank")]
LastName = Annotated[str, Meta(max_length=100)]
Notes = Annotated[str, Meta(max_length=10_000)]
Outcome = Annotated[str, Meta(max_length=1_000)]

CUSTOM_DATA_LIMIT = 16 * 1024
"""Bytes of a contact's `customData` as compact JSON."""

CUSTOM_DATA_LEVELS = 32
"""Objects and lists inside each other in `customData`: far less than any reader of JSON gives up at."""


class ContactStatus(StrEnum):
    """Whether a contact may be called: only ACTIVE ones are."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    COMPLETED = "COMPLETED"
    DO_NOT_CALL = "DO_NOT_CALL"


class Contact(Struct, rename="camel", kw_only=True):
    """A contact as it is kept. Phones are E.164, dates `YYYY-MM-DD`, moments ISO 8601 UTC."""

    organization_id: str
    contact_id: str = msgspec.field(name="id")
    first_name: str
    last_name: str = ""
    phone: str
    date_of_birth: str | None = None
    custom_data: dict[str, Any] | None = None
    notes: str | None = None
    status: ContactStatus = ContactStatus.ACTIVE
    is_called: bool = False
    last_conversation_outcome: str | None = None
    last_called_at: str | None = None
    created_at: str
    updated_at: str


class NewContact(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What a request may say of a contact to be created."""

    first_name: Name
    last_name: LastName | None = None
    phone: str
    date_of_birth: str | None = None
    custom_data: dict[str, Any] | None = None
    notes: Notes | None = None
    status: ContactStatus = ContactStatus.ACTIVE
    last_conversation_outcome: Outcome | None = None


class ContactChange(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a request may change; a null clears an optional value."""

    first_name: Name | UnsetType = UNSET
    last_name: LastName | None | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    date_of_birth: str | None | UnsetType = UNSET
    custom_data: dict[str, Any] | None | UnsetType = UNSET
    notes: Notes | None | UnsetType = UNSET
    status: ContactStatus | UnsetType = UNSET
    last_conversation_outcome: Outcome | None | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields the request names, with their values."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


def check(values: NewContact | ContactChange) -> None:
    """What types alone do not say. Raises InvalidBody naming the field."""
    errors = []
    if isinstance(values.date_of_birth, str) and not is_date(values.date_of_birth):
        errors.append(FieldError("dateOfBirth", "expected a date as YYYY-MM-DD"))
    if isinstance(values.custom_data, dict):
        if levels(values.custom_data) > CUSTOM_DATA_LEVELS:
            errors.append(FieldError("customData", f"nested more than {CUSTOM_DATA_LEVELS} levels deep"))
        elif len(msgspec.json.encode(values.custom_data)) > CUSTOM_DATA_LIMIT:
            errors.append(FieldError("customData", "at most 16 KB"))
    if errors:
        raise InvalidBody(*errors)


def levels(value: Any) -> int:
    """How many objects and lists are inside each other."""
    depth, inside = 0, [value]
    while inside := [each for each in inside if isinstance(each, dict | list)]:
        depth += 1
        inside = [below for each in inside for below in (each.values() if isinstance(each, dict) else each)]
    return depth


def is_date(text: str) -> bool:
    """Whether `text` is a calendar date as `YYYY-MM-DD`."""
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def create(new: NewContact, *, organization_id: str, contact_id: str, phone: str, at: str) -> Contact:
    """The contact a request asks for; `phone` is its phone in E.164."""
    return Contact(
        organization_id=organization_id,
        contact_id=contact_id,
        first_name=new.first_name,
        last_name=new.last_name or "",
        phone=phone,
        date_of_birth=new.date_of_birth,
        custom_data=new.custom_data,
        notes=new.notes,
        status=new.status,
        last_conversation_outcome=new.last_conversation_outcome,
        created_at=at,
        updated_at=at,
    )
