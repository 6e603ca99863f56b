"""What a cell says of a contact's field: readers that take a cell and return the field's value, or refuse it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import chain, count
from typing import Any

import msgspec

from chalicelib.contacts.model import (
    CUSTOM_DATA_LEVELS,
    CUSTOM_DATA_LIMIT,
    TIMEZONE_EXPECTED,
    ContactStatus,
    is_date,
    levels,
    timezones,
)
from chalicelib.contacts.phone import EXPECTED as PHONE_EXPECTED
from chalicelib.errors import FieldError
from chalicelib.workbooks import headers

API_NAMES = {
    "first_name": "firstName",
    "last_name": "lastName",
    "date_of_birth": "dateOfBirth",
    "custom_data": "customData",
}
"""Fields whose name in the API differs."""

DAY_ZERO = date(1899, 12, 30)
FIRST_SERIAL = 3654
"""1910-01-01 as Excel counts days; smaller numbers are as likely a year."""

DATES_KEPT = 10_000
"""Dates of birth repeat: so many are remembered."""

DIGITS_LOST = "digits were lost: format the column as text and type the number again"
DATE_EXPECTED = "expected a date such as 1985-03-15 or 15.03.1985"
OBJECT_EXPECTED = 'expected a JSON object such as {"totalDebt": 5000}'
OBJECT_LIMIT = "at most 16 KB"

_SCIENTIFIC = re.compile(r"([0-9])[.,]?([0-9]*)[eE]\+?([0-9]{1,2})")
_TIME = r"(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.0+)?)?)?\s*(?:(?:г(?:ода?)?|й(?:ил)?|y(?:il)?)\.?)?"
_DAY_FIRST = re.compile(r"'?(?P<day>\d{1,2})[./-](?P<month>\d{1,2})[./-](?P<year>\d{4})" + _TIME)
_YEAR_FIRST = re.compile(r"'?(?P<year>\d{4})[./-](?P<month>\d{1,2})[./-](?P<day>\d{1,2})" + _TIME)

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

EXACT = 1e15
"""From here on Excel has not kept all digits of a number, but 15."""

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
    written = text(cell)
    rounded = _SCIENTIFIC.fullmatch(written)
    if rounded:
        digits = rounded[1] + rounded[2]
        if len(digits) != int(rounded[3]) + 1:
            raise FieldError("phone", DIGITS_LOST)
        return digits
    return written.removesuffix(".0").lstrip("'")


@functools.lru_cache(maxsize=DATES_KEPT)
def date_of_birth(cell: Any) -> str:
    """A date cell, year-month-day, day.month.year, or the number of days that Excel keeps a date as."""
    if isinstance(cell, int | float) and FIRST_SERIAL <= cell < 100_000:
        return (DAY_ZERO + timedelta(days=int(cell))).isoformat()
    written = text(cell)
    if len(written) == len("1985-03-15") and is_date(written):
        return written
    found = _DAY_FIRST.fullmatch(written) or _YEAR_FIRST.fullmatch(written)
    iso = f"{found['year']}-{int(found['month']):02}-{int(found['day']):02}" if found else ""
    if not is_date(iso):
        raise FieldError("dateOfBirth", DATE_EXPECTED)
    return iso


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


def value(cell: Any) -> Any:
    """A cell of a column of one's own, as JSON: numbers stay numbers."""
    return cell.strip().removesuffix("T00:00:00") if isinstance(cell, str) else _number(cell)


def check_size(data: dict[str, Any]) -> None:
    """Raises FieldError when `customData` is larger than a contact may have."""
    if len(msgspec.json.encode(data)) > CUSTOM_DATA_LIMIT:
        raise FieldError("customData", OBJECT_LIMIT)


READERS: dict[str, Reader] = {
    "first_name": limited("first_name", 100),
    "last_name": limited("last_name", 100),
    "phone": phone,
    "date_of_birth": date_of_birth,
    "custom_data": custom_data,
    "notes": limited("notes", 10_000),
    "timezone": timezone,
    "status": status,
}


def of(header: list[Any]) -> list[Column]:
    """The columns of a list, also those beyond its header. Keys of two columns differ."""
    titles = [text(cell) for cell in header] + [""] * (headers.LONGEST_ROW - len(header))
    keys = _keys(title[:KEY_LIMIT] or f"Column {_letter(n)}" for n, title in enumerate(titles, 1))
    found = zip(headers.fields(titles), keys, strict=True)
    return [(field, key, READERS[field] if field else value) for field, key in found]


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
