"""A list's rows become contacts-to-be, or rows that were rejected. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from chalicelib.contacts.model import ContactStatus
from chalicelib.errors import FieldError
from chalicelib.imports.model import RowError
from chalicelib.workbooks import columns
from chalicelib.workbooks.columns import Column
from chalicelib.workbooks.dates import Dates
from chalicelib.workbooks.reader import Cells, Row

VALUE_KEPT = 200
"""Characters of a rejected cell that an error shows."""


class Person(Struct, frozen=True, array_like=True):
    """What rows say of a contact: only the fields whose cells have a value. `row` is the last of them."""

    row: int
    phone: str
    fields: dict[str, Any]
    rows: int = 1
    """How many rows of the file have this phone."""

    @property
    def is_named(self) -> bool:
        """Whether a contact can be made of it; else its phone is one that must not be called, whoever has it."""
        return "first_name" in self.fields


class Rejected(Struct, frozen=True):
    """A row that cannot become a contact, as it was, and why not."""

    error: RowError
    cells: Cells


def people(
    rows: Iterable[Row], normalize: Callable[[str], str], dates: Dates | None = None
) -> Iterator[Person | Rejected]:
    """Each row below the header as a person, or why not; empty rows are left out. `rows` begin with the header."""
    rows = iter(rows)
    _, header = next(rows)
    read = columns.of(header, dates or Dates())
    for number, cells in rows:
        try:
            person = _person(number, read.arranged(cells), read.columns, normalize)
        except FieldError as error:
            yield Rejected(
                RowError(number, error.field, _shown(error, read.columns, read.arranged(cells)), str(error)), cells
            )
        else:
            if person:
                yield person


def _person(number: int, cells: Cells, read: list[Column], normalize: Callable[[str], str]) -> Person | None:
    """A row's person; None for a row without values. Raises FieldError.

    Of several columns of one field the first with a value counts, of several phones the first that is one; the others
    become keys of `customData`.
    """
    fields: dict[str, Any] = {}
    more: dict[str, Any] = {}
    phones: list[tuple[str, Any]] = []
    for (field, key, reader), cell in zip(read, cells, strict=False):
        if cell == "" or (isinstance(cell, str) and cell.isspace()):
            continue
        if field == "phone":
            phones.append((key, cell))
        elif field and field not in fields:
            found = reader(cell)
            if found is not None:
                fields[field] = found
        else:
            more[key] = columns.value(cell)
    if not (fields or more or phones):
        return None
    phone = _phone(phones, more, normalize)
    if not fields.get("first_name") and fields.get("status") is not ContactStatus.DO_NOT_CALL:
        raise FieldError(columns.API_NAMES["first_name"], "required")
    if more:
        fields["custom_data"] = more | fields.get("custom_data", {})
    if "custom_data" in fields:
        columns.check_size(fields["custom_data"])
    return Person(number, phone, fields)


def _phone(cells: list[tuple[str, Any]], more: dict[str, Any], normalize: Callable[[str], str]) -> str:
    """The first phone of a row's cells, in E.164; the others go to `more` by their keys. Raises FieldError."""
    phone, refused = None, FieldError("phone", "required")
    for n, (key, cell) in enumerate(cells):
        alone = False
        if phone is None:
            try:
                phone, alone = columns.dialed(cell, normalize)
            except FieldError as error:
                refused = refused if n else error
        if not alone:
            more[key] = columns.value(cell)
    if phone is None:
        raise refused
    return phone


def _shown(error: FieldError, read: list[Column], cells: Cells) -> str:
    """What stands in the cell that an error names."""
    for (field, *_), cell in zip(read, cells, strict=False):
        if cell != "" and columns.API_NAMES.get(field or "", field) == error.field:
            return columns.text(cell)[:VALUE_KEPT]
    return ""


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Fields of a row over older ones; `customData` key by key, or the row's alone if both are too large."""
    before, after = old.get("custom_data") or {}, new.get("custom_data") or {}
    custom = before | after
    if before and after:
        try:
            columns.check_size(custom)
        except FieldError:
            custom = after
    return old | new | ({"custom_data": custom} if custom else {})
