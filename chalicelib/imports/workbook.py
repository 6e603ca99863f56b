"""A workbook's rows become contacts-to-be or errors. Pure, but for the reading of the bytes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from msgspec import Struct

from chalicelib.contacts.model import ContactStatus, is_date
from chalicelib.errors import Failure, FieldError
from chalicelib.imports.model import RowError

HEADER_SEARCH = 20
"""Rows in which the header is looked for."""

COLUMNS = {
    "firstname": "first_name",
    "first name": "first_name",
    "ism": "first_name",
    "исм": "first_name",
    "имя": "first_name",
    "lastname": "last_name",
    "last name": "last_name",
    "familiya": "last_name",
    "фамилия": "last_name",
    "phone": "phone",
    "phone number": "phone",
    "telefon": "phone",
    "телефон": "phone",
    "dateofbirth": "date_of_birth",
    "date of birth": "date_of_birth",
    "tug'ilgan sana": "date_of_birth",
    "туғилган сана": "date_of_birth",
    "дата рождения": "date_of_birth",
    "customdata": "custom_data",
    "custom data": "custom_data",
    "notes": "notes",
    "izoh": "notes",
    "изоҳ": "notes",
    "заметки": "notes",
    "status": "status",
    "holat": "status",
    "ҳолат": "status",
    "статус": "status",
}
"""Headers in English, Uzbek (Latin, Cyrillic) and Russian → fields. Any other becomes a key of `customData`."""

LIMITS = {"first_name": 100, "last_name": 100, "notes": 10_000}
API_NAMES = {
    "first_name": "firstName",
    "last_name": "lastName",
    "date_of_birth": "dateOfBirth",
    "custom_data": "customData",
}

Cells = list[Any]


class Unreadable(Failure):
    """The file cannot be read as a workbook."""


class Person(Struct, frozen=True):
    """What a row says of a contact: only the fields whose cells have a value."""

    row: int
    phone: str
    fields: dict[str, Any]


def read(content: bytes, file_name: str) -> Iterator[tuple[int, Cells]]:
    """The rows of a workbook's first sheet with their numbers. Raises Unreadable."""
    if file_name.lower().endswith(".csv"):
        return enumerate(_csv(content), 1)
    return enumerate(_sheet(content), 1)


def _sheet(content: bytes) -> Iterable[Cells]:
    import python_calamine

    try:
        book = python_calamine.load_workbook(io.BytesIO(content))
        sheet = book.get_sheet_by_index(0)
        return sheet.to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, IndexError) as error:
        raise Unreadable(f"The file cannot be read as a workbook: {error}") from None


def _csv(content: bytes) -> Iterable[Cells]:
    text = _decoded(content)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    return csv.reader(io.StringIO(text), dialect)


def _decoded(content: bytes) -> str:
    """CSV in UTF-8, UTF-16 with a byte order mark, or else Windows-1251."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1251", "replace")


def people(rows: Iterable[tuple[int, Cells]], normalize: Callable[[str], str]) -> Iterator[Person | RowError]:
    """Each row below the header as a person, or why not; empty rows are left out. Raises Unreadable."""
    rows = iter(rows)
    header = _header(rows)
    for number, cells in rows:
        if any(not _empty(cell) for cell in cells):
            yield _person(number, header, cells, normalize)


def _header(rows: Iterator[tuple[int, Cells]]) -> list[str]:
    """The header row: the first of the first rows that names a phone column."""
    for number, cells in rows:
        names = [_text(cell) for cell in cells]
        if "phone" in (COLUMNS.get(_plain(name)) for name in names):
            return names
        if number >= HEADER_SEARCH:
            break
    raise Unreadable(f"No header with a phone column in the first {HEADER_SEARCH} rows of the first sheet.")


def _plain(header: str) -> str:
    """A header without remarks in parentheses, case, spare spaces and the many forms of the apostrophe."""
    bare = re.sub(r"\(.*?\)", "", header)
    return re.sub(r"\s+", " ", re.sub("[ʻʼ‘’`´]", "'", bare)).strip().lower()


def _person(number: int, header: list[str], cells: Cells, normalize: Callable[[str], str]) -> Person | RowError:
    fields: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=False):
        if _empty(cell) or not name:
            continue
        field = COLUMNS.get(_plain(name))
        try:
            if field is None:
                more[name] = _json_value(cell)
            else:
                fields[field] = _reader(field)(cell)
        except FieldError as error:
            return RowError(number, error.field, _text(cell)[:200], str(error))
    if more:
        fields["custom_data"] = more | fields.get("custom_data", {})
    return _complete(number, fields, normalize)


def _complete(number: int, fields: dict[str, Any], normalize: Callable[[str], str]) -> Person | RowError:
    text = fields.pop("phone", "")
    if not text:
        return RowError(number, "phone", "", "required")
    if not fields.get("first_name"):
        return RowError(number, "firstName", "", "required")
    try:
        return Person(number, normalize(text), fields)
    except FieldError as error:
        return RowError(number, "phone", text[:200], str(error))


def _plain_text(field: str) -> Callable[[Any], str]:
    def read_text(cell: Any) -> str:
        text = _text(cell)
        if len(text) > LIMITS.get(field, 10_000):
            raise FieldError(API_NAMES.get(field, field), f"at most {LIMITS[field]} characters")
        return text

    return read_text


def _phone(cell: Any) -> str:
    """A phone cell, also one that Excel made a number; one whose digits it lost is refused."""
    if isinstance(cell, float):
        if not cell.is_integer():
            raise FieldError("phone", "expected a phone number such as +998901234567")
        cell = int(cell)
    text = _text(cell)
    rounded = re.fullmatch(r"([0-9])[.,]?([0-9]*)[eE]\+?([0-9]{1,2})", text)
    if rounded:
        digits = rounded[1] + rounded[2]
        if len(digits) != int(rounded[3]) + 1:
            raise FieldError("phone", "digits were lost: format the column as text and type the number again")
        return digits
    return text


def _date(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    text = _text(cell)
    dotted = re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4})", text)
    iso = f"{dotted[3]}-{int(dotted[2]):02}-{int(dotted[1]):02}" if dotted else text[:10]
    if not is_date(iso):
        raise FieldError("dateOfBirth", "expected a date such as 1985-03-15 or 15.03.1985")
    return iso


def _custom_data(cell: Any) -> dict[str, Any]:
    try:
        value = json.loads(_text(cell))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise FieldError("customData", 'expected a JSON object such as {"totalDebt": 5000}')
    return value


def _status(cell: Any) -> ContactStatus:
    try:
        return ContactStatus(_text(cell).upper())
    except ValueError:
        raise FieldError("status", f"expected one of {', '.join(ContactStatus)}") from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "phone": _phone,
    "date_of_birth": _date,
    "custom_data": _custom_data,
    "status": _status,
}


def _reader(field: str) -> Callable[[Any], Any]:
    return _READERS.get(field) or _plain_text(field)


def _json_value(cell: Any) -> Any:
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, str | int | float | bool) else _text(cell)


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def _empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())
