"""Write down the holidays that the functions know: `python -m infra.holidays`, after another `holidays` is pinned."""

from collections.abc import Iterable, Iterator

import holidays

from chalicelib.holidays import FILE, YEARS


def lines(countries: Iterable[str]) -> Iterator[str]:
    """The lines of countries, without years in which the library knows of no holiday."""
    for country in countries:
        for year in YEARS:
            days = sorted(day for day in holidays.country_holidays(country, years=year) if day.year == year)
            if days:
                yield " ".join([country, str(year), *(f"{day:%m%d}" for day in days)])


def countries() -> list[str]:
    """The countries that the library knows, by their ISO 3166 codes."""
    return sorted(holidays.list_supported_countries(include_aliases=False))


if __name__ == "__main__":
    FILE.write_text("\n".join([*lines(countries()), ""]))
