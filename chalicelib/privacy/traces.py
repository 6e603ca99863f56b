"""What a person is found by in lists and reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from chalicelib.contacts.model import Contact
from chalicelib.contacts.phone import national
from chalicelib.imports.model import RowError
from chalicelib.workbooks.columns import text


class Traces(Struct, frozen=True):
    """A phone's digits as they are written at home, which those with a country code end with; and the names."""

    phone: str
    first_name: str
    last_name: str


def of(contact: Contact) -> Traces:
    """What a contact is found by."""
    return Traces(national(contact.phone), _plain(contact.first_name), _plain(contact.last_name))


def in_row(traces: Traces, cells: Iterable[Any]) -> bool:
    """Whether a row of a list may be about the person: rather one too many than one too few."""
    texts = [_plain(text(cell)) for cell in cells]
    if any(traces.phone in _digits(each) for each in texts):
        return True
    return any(traces.first_name in each for each in texts) and any(traces.last_name in each for each in texts)


def without(traces: Traces, errors: list[RowError]) -> list[RowError]:
    """An import's errors without the values that may be the person's."""
    return [replace(error, value="") if _in_value(traces, error.value) else error for error in errors]


def _in_value(traces: Traces, value: str) -> bool:
    plain = _plain(value)
    named = any(name and name in plain for name in (traces.first_name, traces.last_name))
    return named or traces.phone in _digits(plain)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
