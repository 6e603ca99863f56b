"""A contact: a person of an organization who may be called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from chalicelib import bodies
from chalicelib.bodies import CLEARABLE
from chalicelib.clock import TIMEZONE_EXPECTED, Date, Moment, Timezone, is_date, is_timezone
from chalicelib.errors import FieldError, InvalidBody
from chalicelib.ids import Id

Name = Annotated[str, Meta(max_length=100, pattern=r"\S", description="text that is not blank")]
LastName = Annotated[str, Meta(max_length=100)]
Notes = Annotated[str, Meta(max_length=10_000)]
Outcome = Annotated[str, Meta(max_length=1_000)]

Phone = Annotated[str, Meta(extra_json_schema={"format": "phone"})]
"""As `phone.normalize` takes it."""

CUSTOM_DATA_LIMIT = 16 * 1024
"""Bytes of a contact's `customData` as compact JSON."""

CUSTOM_DATA_LEVELS = 32
"""Objects and lists inside each other in `customData`: far less than any reader of JSON gives up at."""


NOBODY = "-"
"""The name and phone of somebody who was erased, where there must be one."""


class ContactStatus(StrEnum):
    """Whether a contact may be called: only ACTIVE ones are."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    COMPLETED = "COMPLETED"
    DO_NOT_CALL = "DO_NOT_CALL"


class Person(Struct, rename="camel", kw_only=True):
    """What people say of a contact: its writable fields. Phones are E.164 once kept, dates `YYYY-MM-DD`."""

    first_name: Name
    last_name: Annotated[LastName, CLEARABLE] = ""
    phone: Phone
    date_of_birth: Date | None = None
    custom_data: dict[str, Any] | None = None
    notes: Notes | None = None
    timezone: Timezone | None = None
    """IANA name; None where only the phone says where the contact is."""
    status: ContactStatus = ContactStatus.ACTIVE
    last_conversation_outcome: Outcome | None = None


class Contact(Person, rename="camel", kw_only=True):
    """A contact. `lastCalledAt` is when its last call ended."""

    organization_id: str
    contact_id: Id = msgspec.field(name="id")
    is_called: bool = False
    last_called_at: Moment | None = None
    created_at: Moment
    updated_at: Moment

    def blanked(self, organization_id: str) -> Contact:
        """This contact of an organization without anything of the person."""
        return Contact(
            first_name=NOBODY,
            phone=NOBODY,
            organization_id=organization_id,
            contact_id=self.contact_id,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


NewContact = bodies.creation("NewContact", Person)
ContactChange = bodies.change("ContactChange", Person)


def check(given: dict[str, Any]) -> None:
    """What types alone do not say of the fields a request names. Raises InvalidBody naming the field."""
    errors = []
    date_of_birth, custom_data = given.get("date_of_birth"), given.get("custom_data")
    if date_of_birth is not None and not is_date(date_of_birth):
        errors.append(FieldError("dateOfBirth", "expected a date as YYYY-MM-DD"))
    if given.get("timezone") is not None and not is_timezone(given["timezone"]):
        errors.append(FieldError("timezone", TIMEZONE_EXPECTED))
    if custom_data is not None:
        if levels(custom_data) > CUSTOM_DATA_LEVELS:
            errors.append(FieldError("customData", f"nested more than {CUSTOM_DATA_LEVELS} levels deep"))
        elif len(msgspec.json.encode(custom_data)) > CUSTOM_DATA_LIMIT:
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
