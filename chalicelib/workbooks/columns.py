"""What a cell says of a contact's field: readers that take a cell and return the field's value, or refuse it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from typing import Any, NamedTuple

import msgspec

from chalicelib.clock import TIMEZONE_EXPECTED, timezones
from chalicelib.contacts.model import CUSTOM_DATA_LEVELS, CUSTOM_DATA_LIMIT, ContactStatus, levels
from chalicelib.contacts.phone import EXPECTED as PHONE_EXPECTED
from chalicelib.errors import FieldError
from chalicelib.workbooks import dates, headers
from chalicelib.workbooks.dates import Dates

API_NAMES = {
    "first_name": "firstName",
    "last_name": "lastName",
    "date_of_birth": "dateOfBirth",
    "custom_data": "customData",
}
"""Fields whose name in the API differs."""

DIGITS_LOST = "digits were lost: format the column as text and type the number again"
LETTERS_LOST = "letters were lost: save the file as .xlsx or as CSV UTF-8"
OBJECT_EXPECTED = 'expected a JSON object such as {"totalDebt": 5000}'
OBJECT_LIMIT = "at most 16 KB"

_SCIENTIFIC = re.compile(r"([0-9])[.,]?([0-9]*)[eE]\+?([0-9]{1,2})")
_DECIMALS = re.compile(r"(\+?(?:[\d\s]|[.,'](?=\d{3}\b)){9,})[.,]0+")
_THOUSANDS = re.compile(r"\d{1,3}([,.'’])\d{3}(?:\1\d{3})+")
_SEPARATORS = re.compile(r":::|[,;\n]")

_STATUS_NAMES = {
    ContactStatus.ACTIVE: "active|faol|фаол|активный|активная|активен|активна",
    ContactStatus.INACTIVE: (
        "inactive|nofaol|faol emas|нофаол|фаол эмас|неактивный|неактивная|неактивен|неактивна|не активный|не активен"
    ),
    ContactStatus.COMPLETED: (
        "completed|yakunlangan|tugallangan|якунланган|тугалланган|завершён|завершен|завершено|завершённый|завершенный"
    ),
    ContactStatus.DO_NOT_CALL: (
        "do not call|qo'ng'iroq qilinmasin|qo'ng'iroq qilmang|qo'ng'iroq qilma|қўнғироқ қилинмасин|қўнғироқ қилманг"
        "|не звонить|не звоните"
    ),
}
STATUSES = {name: status for status, names in _STATUS_NAMES.items() for name in names.split("|")}

Reader = Callable[[Any], Any]
Column = tuple[str | None, str, Reader]
"""The contact's field that a column holds, or None; the key of `customData` that it becomes otherwise; its reader."""


class Columns(NamedTuple):
    """A list's columns as they are to be asked, also those beyond its header; their places where these differ."""

    columns: list[Column]
    places: list[int] | None

    def arranged(self, cells: list[Any]) -> list[Any]:
        """The cells of a row as its columns are."""
        if self.places is None:
            return cells
        width = len(self.places)
        padded = cells + [""] * (width - len(cells))
        return [padded[place] for place in self.places] + cells[width:]


EXACT = 1e15
"""From here on Excel has not kept all digits of a number, but 15."""

LOST = "\ufffd"
"""What stands for bytes that are no letter."""

KEY_LIMIT = 250
"""Characters of a header that its key keeps."""


def text(cell: Any) -> str:
    """A cell as text: whole numbers without a point, spare spaces at the ends gone."""
    return cell.strip() if isinstance(cell, str) else str(_number(cell))


def _number(cell: Any) -> Any:
    """A number as Excel shows it: whole without a point, and 2.02080009001235E+19 where digits were lost."""
    if not isinstance(cell, float):
        return cell
    if abs(cell) >= EXACT:
        return f"{cell:.15G}"
    return int(cell) if cell.is_integer() else cell


def phone(cell: Any) -> str:
    """A phone cell, also one that Excel made a number; one whose digits it lost is refused."""
    if isinstance(cell, float) and not cell.is_integer():
        raise FieldError("phone", PHONE_EXPECTED)
    written = text(cell).lstrip("'")
    rounded = _SCIENTIFIC.fullmatch(written)
    if rounded:
        digits = rounded[1] + rounded[2]
        if len(digits) != int(rounded[3]) + 1:
            raise FieldError("phone", DIGITS_LOST)
        return digits
    if not written.isdigit() and not written[1:].isdigit():
        if decimals := _DECIMALS.fullmatch(written):
            written = decimals[1]
        if _THOUSANDS.fullmatch(written):
            written = re.sub(r"\D", "", written)
    return written


def dialed(cell: Any, normalize: Callable[[str], str]) -> tuple[str, bool]:
    """The phone (E.164) of a cell, and whether that is all it says: of several whole phones the first is dialed.

    Raises FieldError.
    """
    written = phone(cell)
    try:
        return normalize(written), True
    except FieldError:
        listed = [part for each in _SEPARATORS.split(written) if (part := each.strip())]
        if len(listed) < 2:
            raise
        first, *_ = [normalize(part) for part in listed]
        return first, False


def custom_data(cell: Any) -> dict[str, Any]:
    """A cell that holds a JSON object."""
    written = text(cell)
    try:
        value = msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = None
    if not isinstance(value, dict) or (_opened(written) > CUSTOM_DATA_LEVELS < levels(value)):
        raise FieldError("customData", OBJECT_EXPECTED)
    return value


def _opened(written: str) -> int:
    """How many objects and lists a JSON text begins, at most: no value is nested deeper."""
    return written.count("{") + written.count("[")


def status(cell: Any) -> ContactStatus:
    """A status by its name in the API, in Uzbek or in Russian."""
    known = STATUSES.get(headers.plain(text(cell)))
    if known is None:
        raise FieldError("status", f"expected one of {', '.join(ContactStatus)}")
    return known


def timezone(cell: Any) -> str:
    """The name of an IANA time zone, in any letter case and also with spaces."""
    known = timezones().get("_".join(text(cell).lower().split()))
    if known is None:
        raise FieldError("timezone", TIMEZONE_EXPECTED)
    return known


def limited(field: str, limit: int) -> Reader:
    """A reader of text of at most `limit` characters."""

    def read(cell: Any) -> str:
        written = text(cell)
        if len(written) > limit:
            raise FieldError(API_NAMES.get(field, field), f"at most {limit} characters")
        return written

    return read


def name(field: str) -> Reader:
    """A reader of names; one some of whose letters were in no encoding of the file is refused."""
    within = limited(field, 100)

    def read(cell: Any) -> str:
        written: str = within(cell)
        if LOST in written:
            raise FieldError(API_NAMES[field], LETTERS_LOST)
        return written

    return read


def value(cell: Any) -> Any:
    """A cell of a column of one's own, as JSON: numbers stay numbers."""
    return cell.strip().removesuffix("T00:00:00") if isinstance(cell, str) else _number(cell)


def check_size(data: dict[str, Any]) -> None:
    """Raises FieldError when `customData` is larger than a contact may have."""
    if len(msgspec.json.encode(data)) > CUSTOM_DATA_LIMIT:
        raise FieldError("customData", OBJECT_LIMIT)


READERS: dict[str, Reader] = {
    "first_name": name("first_name"),
    "last_name": name("last_name"),
    "phone": phone,
    "custom_data": custom_data,
    "notes": limited("notes", 10_000),
    "timezone": timezone,
    "status": status,
}


def of(header: list[Any], days: Dates) -> Columns:
    """The columns of a list, also those beyond its header. Keys of two columns differ."""
    titles = [text(cell) for cell in header] + [""] * (headers.LONGEST_ROW - len(header))
    keys = _keys(title[:KEY_LIMIT] or f"Column {_letter(n)}" for n, title in enumerate(titles, 1))
    readers = READERS | {"date_of_birth": days.read}
    found = zip(headers.fields(titles), keys, strict=True)
    columns = [(field, key, readers[field] if field else value) for field, key in found]
    places = headers.order(titles[: len(header)])
    if places == sorted(places):
        return Columns(columns, None)
    return Columns([columns[place] for place in places] + columns[len(places) :], places)


def dates_are_english(header: list[Any]) -> bool:
    """Whether the header of a list's dates of birth is English."""
    titles = [text(cell) for cell in header]
    return any(
        dates.is_english(headers.plain(title))
        for title, field in zip(titles, headers.fields(titles), strict=True)
        if field == "date_of_birth"
    )


def _letter(n: int) -> str:
    """How a spreadsheet calls its n-th column: A, B, …, Z, AA."""
    return _letter((n - 1) // 26) + chr(ord("A") + (n - 1) % 26) if n else ""


def _keys(names: Iterable[str]) -> Iterator[str]:
    """Names, numbered where they come again."""
    used: set[str] = set()
    for name in names:
        key = next(each for each in chain([name], (f"{name} {n}" for n in count(2))) if each not in used)
        used.add(key)
        yield key
