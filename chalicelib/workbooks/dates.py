"""Dates of birth as people write them. Whether day or month comes first, a column's rows tell together. Pure."""

from __future__ import annotations

import functools
import re
from datetime import date, timedelta
from typing import Any

from chalicelib.clock import is_date
from chalicelib.errors import FieldError

EXPECTED = "expected a date such as 1985-03-15 or 15.03.1985"
DAY_FIRST = "the rows do not agree whether day or month comes first: dates such as 03.04.1985 were read as 3 April"
MONTH_FIRST = "the rows do not agree whether day or month comes first: dates such as 03/04/1985 were read as 4 March"

DAY_ZERO = date(1899, 12, 30)
FIRST_SERIAL = 3654
"""1910-01-01 as Excel counts days; smaller numbers are as likely a year."""

KEPT = 10_000
"""Dates of birth repeat: so many are remembered."""

_TIME = r"(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.0+)?)?Z?)?\s*(?:(?:г(?:ода?)?|й(?:ил)?|y(?:il)?)\.?)?"
_YEAR_LAST = re.compile(r"'?(?P<first>\d{1,2})(?P<sign>[./-])(?P<second>\d{1,2})[./-](?P<year>\d{4})" + _TIME)
_YEAR_FIRST = re.compile(r"'?(?P<year>\d{4})[./-](?P<month>\d{1,2})[./-](?P<day>\d{1,2})" + _TIME)
_NONE = re.compile(
    r"0{1,4}([./-])0{1,2}\1(?:0{1,4}|1900)(?: [0:]+)?|(?:--|1604-)[01]?\d-?[0-3]\d|[-–—]+"
    r"|1899-12-3[01](?:T[0:]+)?"
)
"""No date: Outlook's 0/0/00, a birthday without its year (vCard, iPhones), a dash, a zero that Excel shows as one."""

_ENGLISH = re.compile(r"(?:date of )?birth(?: ?da(?:y|te))?")


class Dates:
    """Reads a column of dates, and remembers what its rows say of their order.

    `month_first` is that order once it is known. Until then a doubtful date is read day first; where lists are
    `american`, month first between slashes.
    """

    def __init__(self, *, american: bool = False, month_first: bool | None = None) -> None:
        self._american = american
        self._month_first = month_first
        self._sure = {True: 0, False: 0}
        self._read_as: set[bool] = set()
        self.read = functools.lru_cache(maxsize=KEPT)(self._read)

    @property
    def month_first(self) -> bool | None:
        """The order that more dates of no doubt have; None when there are none, or as many of either."""
        months, days = self._sure[True], self._sure[False]
        return None if months == days else months > days

    @property
    def misread(self) -> bool:
        """Whether doubtful dates were read in another order than the column's: it must be read again."""
        return self.month_first is not None and (not self.month_first) in self._read_as

    @property
    def doubt(self) -> str | None:
        """How doubtful dates were read whose order the others do not tell with one voice; None without any."""
        if not self._read_as or min(self._sure.values()) == 0 < max(self._sure.values()):
            return None
        return MONTH_FIRST if True in self._read_as else DAY_FIRST

    def _read(self, cell: Any) -> str | None:
        """A date cell, text, or the number of days that Excel keeps; None for what stands for no date."""
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            if cell == 0:
                return None
            if FIRST_SERIAL <= cell < 100_000:
                return (DAY_ZERO + timedelta(days=int(cell))).isoformat()
        written = str(cell).strip()
        if _NONE.fullmatch(written):
            return None
        if len(written) == len("1985-03-15") and is_date(written):
            return written
        if found := _YEAR_FIRST.fullmatch(written):
            return _checked(found["year"], found["month"], found["day"])
        if found := _YEAR_LAST.fullmatch(written):
            return self._ordered(int(found["first"]), found["sign"], int(found["second"]), found["year"])
        raise FieldError("dateOfBirth", EXPECTED)

    def _ordered(self, first: int, sign: str, second: int, year: str) -> str:
        sure = first > 12 or second > 12
        if first == second:
            month_first = False
        elif sure:
            month_first = second > 12
        elif self._month_first is None:
            month_first = self._american and sign == "/"
        else:
            month_first = self._month_first
        month, day = (first, second) if month_first else (second, first)
        iso = _checked(year, str(month), str(day))
        if sure:
            self._sure[month_first] += 1
        elif first != second:
            self._read_as.add(month_first)
        return iso


def is_english(title: str) -> bool:
    """Whether a header of dates is English, as other programs have it: `dateOfBirth` is our own template's."""
    return _ENGLISH.fullmatch(title) is not None


def _checked(year: str, month: str, day: str) -> str:
    iso = f"{year}-{int(month):02}-{int(day):02}"
    if not is_date(iso):
        raise FieldError("dateOfBirth", EXPECTED)
    return iso
