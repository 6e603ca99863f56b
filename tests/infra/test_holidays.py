"""The holidays that are written down are those of the library that is pinned."""

from __future__ import annotations

from datetime import date

from chalicelib import holidays
from infra.holidays import countries, lines


def test_holidays_are_the_librarys() -> None:
    kept = holidays.FILE.read_text().splitlines()
    assert kept == list(lines(countries()))


def test_dates_are_those_of_a_country() -> None:
    uzbek = holidays.dates("UZ")
    assert {date(2027, 9, 1), date(2027, 5, 10)} <= uzbek
    assert date(2027, 9, 2) not in uzbek
    assert {day.year for day in uzbek} == set(holidays.YEARS)
    assert holidays.dates("QQ") == frozenset()
    assert [country for country in ("UZ", "US", "QQ", "uz") if holidays.is_known(country)] == ["UZ", "US"]
