"""Ids that sort by time, and how moments are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import clock
from chalicelib.ids import is_id, new_id

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_ids_are_different_and_in_the_order_they_were_made() -> None:
    made = [new_id() for _ in range(2_000)]
    assert made == sorted(set(made))
    assert all(map(is_id, made))


@given(st.uuids())
def test_only_the_canonical_form_is_an_id(uuid: object) -> None:
    assert is_id(str(uuid))
    for other in (f"{{{uuid}}}", f"urn:uuid:{uuid}", str(uuid).replace("-", ""), f"{uuid} "):
        assert not is_id(other)


@pytest.mark.parametrize("text", ["", "1", "first", "01934D8C-7B5A-7C3D-8E4F-000000000001", "x" * 36, "é" * 36])
def test_anything_else_is_no_id(text: str) -> None:
    assert not is_id(text)


def test_moments_are_written_in_utc_with_milliseconds() -> None:
    tashkent = datetime(2026, 11, 23, 11, 15, 0, 123_999, tzinfo=timezone(timedelta(hours=5)))
    assert clock.stamp(tashkent) == "2026-11-23T06:15:00.123Z"
    assert clock.minute(tashkent) == "2026-11-23T06:15"


@given(moments, moments)
def test_stamps_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (clock.stamp(one) < clock.stamp(other)) <= (one < other)
    assert abs(clock.moment(clock.stamp(one)) - one) < timedelta(milliseconds=1)


@given(moments, st.integers(-86_400, 86_400))
def test_later_is_so_many_seconds_later(at: datetime, seconds: int) -> None:
    assert clock.later(seconds, than=at) - at == timedelta(seconds=seconds)
