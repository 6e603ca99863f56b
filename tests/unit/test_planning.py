"""The plan of an import: one person per phone, in chunks that are read back as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.imports import planning
from chalicelib.imports.model import Duplicates
from chalicelib.imports.people import Person
from chalicelib.imports.planning import CHUNK, Draft

UPDATE, SKIP = Duplicates.UPDATE, Duplicates.SKIP


def a_person(row: int, phone: int, **fields: Any) -> Person:
    return Person(row, f"+{998_900_000_000 + phone}", {"first_name": f"Name {row}", **fields})


def planned(place: Path, persons: list[Person], duplicates: Duplicates = UPDATE) -> list[list[Person]]:
    """The chunks of a plan that is written and read again."""
    with (place / "draft").open("w+b") as file:
        draft = Draft(file, duplicates)
        for person in persons:
            draft.add(person)
        draft.finish(place / "plan")
    read = list(planning.chunks(place / "plan"))
    assert [number for number, _ in read] == list(range(len(read)))
    return [planning.people(chunk) for _, chunk in read]


def test_persons_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    persons = [a_person(n + 2, n) for n in range(2 * CHUNK + 5)]
    chunks = planned(tmp_path, persons)
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 5]
    assert [person for chunk in chunks for person in chunk] == persons


def test_file_without_persons_has_an_empty_plan(tmp_path: Path) -> None:
    assert planned(tmp_path, []) == []


def test_later_row_adds_to_the_earlier_one(tmp_path: Path) -> None:
    first = a_person(2, 1, notes="Early", custom_data={"debt": 1, "branch": "A"})
    later = a_person(9, 1, custom_data={"debt": 2})
    [[person]] = planned(tmp_path, [first, later])
    assert (person.row, person.rows) == (9, 2)
    assert person.fields == {
        "first_name": "Name 9",
        "notes": "Early",
        "custom_data": {"debt": 2, "branch": "A"},
    }


def test_later_row_is_only_counted_when_duplicates_are_skipped(tmp_path: Path) -> None:
    [[person]] = planned(tmp_path, [a_person(2, 1, notes="Early"), a_person(9, 1, notes="Late")], SKIP)
    assert (person.row, person.rows, person.fields["notes"]) == (2, 2, "Early")


@pytest.mark.parametrize("duplicates", Duplicates)
@pytest.mark.parametrize("statuses", [("DO_NOT_CALL", "ACTIVE"), ("ACTIVE", "DO_NOT_CALL"), ("DO_NOT_CALL", None)])
def test_who_must_not_be_called_by_one_row_is_not(
    tmp_path: Path, duplicates: Duplicates, statuses: tuple[str | None, ...]
) -> None:
    rows = [a_person(n, 1, **({"status": status} if status else {})) for n, status in enumerate(statuses)]
    [[person]] = planned(tmp_path, rows, duplicates)
    assert person.fields["status"] == "DO_NOT_CALL"


rows = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["notes", "last_name"]), st.text(max_size=5)), max_size=150
)


@pytest.mark.parametrize("duplicates", Duplicates)
@given(rows=rows)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_counts_and_every_phone_comes_once(
    tmp_path: Path, duplicates: Duplicates, rows: list[tuple[int, str, str]]
) -> None:
    persons = [a_person(n, phone, **{name: text}) for n, (phone, name, text) in enumerate(rows, 2)]
    found = [person for chunk in planned(tmp_path, persons, duplicates) for person in chunk]
    assert [person.phone for person in found] == list(dict.fromkeys(person.phone for person in persons))
    assert sum(person.rows for person in found) == len(persons)
    for person in found:
        same = [each for each in persons if each.phone == person.phone]
        last: dict[str, Any] = {}
        for each in same:
            last |= each.fields
        assert person.fields == (same[0].fields if duplicates is SKIP else last)
        assert person.row == (same[0].row if duplicates is SKIP else same[-1].row)
