"""The same list as different programs write it: what comes of each row."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from chalicelib.contacts.bulk_phones import normalizer
from chalicelib.imports import people
from chalicelib.imports.people import Person, Rejected
from chalicelib.workbooks import reader

CORPUS = Path(__file__).parents[1] / "data" / "workbooks"
FILES = sorted(path.name for path in CORPUS.iterdir() if path.suffix != ".md")
HEADER_ROW = {"cyrillic": 4, "russian": 4, "latin": 1, "english": 1}


def headers_of(name: str) -> str:
    return name.split("-")[1].partition(".")[0]


@functools.cache
def rows_of(name: str) -> dict[int, Person | Rejected]:
    """What became of the rows, by their place below the header."""
    rows = reader.rows(CORPUS / name)
    first = HEADER_ROW[headers_of(name)]
    found = people.people(rows, normalizer("UZ"))
    return {(each.row if isinstance(each, Person) else each.error.row) - first: each for each in found}


def test_corpus_has_every_format() -> None:
    assert {Path(name).suffix for name in FILES} == {".xlsx", ".xls", ".ods", ".csv"}


def test_corpus_is_large_and_of_many_programs() -> None:
    assert len(FILES) >= 120
    assert len({name.partition("-")[0] for name in FILES}) >= 8


@pytest.mark.parametrize("name", FILES)
def test_every_row_but_the_empty_one_is_read(name: str) -> None:
    kinds = {number: type(each) for number, each in rows_of(name).items()}
    assert kinds == {1: Person, 2: Person, 3: Person, 5: Rejected, 6: Rejected, 7: Rejected, 8: Person}


@pytest.mark.parametrize("name", FILES)
def test_people(name: str) -> None:
    rows = rows_of(name)
    russian = headers_of(name) == "russian"
    expected: dict[int, tuple[str, dict[str, Any]]] = {
        1: ("+998901234567", {"first_name": "Dilshod", "date_of_birth": "1985-03-15", "notes": "Yangi mijoz"}),
        2: (
            "+998901234568",
            {
                "first_name": "Гульнора" if russian else "Гулнора",
                "date_of_birth": "1990-05-20",
                "notes": "Звонить вечером, после 18:00" if russian else "Кечқурун, 18:00 дан кейин",
            },
        ),
        3: ("+998901234569", {"first_name": "O'tkir", "last_name": "Yo'ldoshev", "date_of_birth": "1991-12-31"}),
        8: ("+998901234567", {"first_name": "Dilshod", "last_name": "Karimov", "notes": "Ikkinchi qator"}),
    }
    for number, (phone, fields) in expected.items():
        person = rows[number]
        assert isinstance(person, Person)
        assert person.phone == phone
        assert person.fields | fields == person.fields


@pytest.mark.parametrize("name", FILES)
def test_rejected_rows_say_which_cell_and_why(name: str) -> None:
    errors = {n: each.error for n, each in rows_of(name).items() if isinstance(each, Rejected)}
    assert {n: (error.field, error.value) for n, error in errors.items()} == {
        5: ("phone", "8 (90) 123-45"),
        6: ("firstName", ""),
        7: ("dateOfBirth", "31.02.1990"),
    }


@pytest.mark.parametrize("name", [name for name in FILES if headers_of(name) in {"latin", "english"}])
def test_json_column_is_custom_data(name: str) -> None:
    person = rows_of(name)[1]
    assert isinstance(person, Person)
    expected = {"totalDebt": 5420.5, "contract": "UZ-1042"}
    assert person.fields["custom_data"] | expected == person.fields["custom_data"]


@pytest.mark.parametrize("name", [name for name in FILES if headers_of(name) in {"cyrillic", "russian"}])
def test_other_columns_are_custom_data(name: str) -> None:
    person = rows_of(name)[3]
    assert isinstance(person, Person)
    number, branch = (3, 7.5) if not name.endswith(".csv") else ("3", "7.5")
    assert person.fields["custom_data"] == {"№": number, "Филиал": branch}
