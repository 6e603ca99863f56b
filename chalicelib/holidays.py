"""Public holidays by country, as https://pypi.org/project/holidays knows them. `infra/holidays.py` writes them down.

They are those of the whole country, with the days they are moved to. The library itself is not shipped: it is 0.8 MB,
and its first answer takes a second.
"""

from __future__ import annotations

import functools
from datetime import date
from pathlib import Path

YEARS = range(2026, 2036)
"""Of which the holidays are known."""

FILE = Path(__file__).with_name("holidays.txt")
"""A line for each country and year: `UZ 2027 0101 0308 …`."""


def is_known(country: str) -> bool:
    """Whether a country's holidays are known, by its ISO 3166 code."""
    return country in _lines()


@functools.cache
def dates(country: str) -> frozenset[date]:
    """A country's holidays; none of one that is not known."""
    return frozenset(
        date.fromisoformat(year + day) for year, *days in map(str.split, _lines().get(country, ())) for day in days
    )


@functools.cache
def _lines() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in FILE.read_text().splitlines():
        country, _, days = line.partition(" ")
        found.setdefault(country, []).append(days)
    return found
