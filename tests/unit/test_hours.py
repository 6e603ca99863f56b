"""Calling hours against a look at every minute, over clock changes, midnights, holidays and several zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.calls.model import ANY_ZONE
from chalicelib.campaigns import hours
from chalicelib.campaigns.hours import DAYS, opening
from chalicelib.campaigns.settings import CallingHours
from chalicelib.errors import InvalidBody
from tests.unit.builders import NOW, some_hours

MINUTE = timedelta(minutes=1)
BERLIN, NEW_YORK, TASHKENT, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Tashkent", "Asia/Kolkata"
CHANGES = [
    *(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    *(datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
]
"""When the clocks of Berlin and New York go forward and back."""


def is_open(given: CallingHours, at: datetime, zone: str) -> bool:
    """What the wall clock of a zone says: inside the window of today or of the day before."""
    wall = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return any(
        _allowed(given, day) and _begin(given, day) <= wall < _end(given, day)
        for day in (wall.date(), wall.date() - timedelta(days=1))
    )


def _allowed(given: CallingHours, day: date) -> bool:
    return DAYS[day.weekday()] in given.days and day.isoformat() not in given.holidays


def _begin(given: CallingHours, day: date) -> datetime:
    return datetime.combine(day, time.fromisoformat(given.from_))


def _end(given: CallingHours, day: date) -> datetime:
    if given.to == "24:00":
        return datetime.combine(day, time(0)) + timedelta(days=1)
    end = datetime.combine(day, time.fromisoformat(given.to))
    return end if end > _begin(given, day) else end + timedelta(days=1)


def minute_by_minute(given: CallingHours, now: datetime, zones: list[str]) -> datetime:
    """The first open moment, found by looking at every minute."""
    at = now
    while not all(is_open(given, at, zone) for zone in zones):
        at = at.replace(second=0, microsecond=0) + MINUTE
    return at


@st.composite
def clock_times(draw: st.DrawFn) -> str:
    """A time of day that every day has exactly once, whatever the clocks do."""
    hour = draw(st.integers(0, 23).filter(lambda hour: hour != 2))
    return f"{hour:02}:{draw(st.sampled_from([0, 1, 15, 30, 59])):02}"


@st.composite
def calling_hours(draw: st.DrawFn, timezone: str) -> CallingHours:
    from_ = draw(clock_times())
    to = draw(st.one_of(clock_times(), st.just("24:00")).filter(lambda to: to != from_))
    days = draw(st.lists(st.sampled_from(DAYS), min_size=2, max_size=7, unique=True))
    around = [change.date() + timedelta(days=n) for change in CHANGES for n in (-1, 0, 1)]
    holidays = draw(st.lists(st.sampled_from(around), max_size=2, unique=True))
    return some_hours(timezone, from_, to, days=days, holidays=[day.isoformat() for day in holidays])


moments = st.builds(
    lambda change, minutes, seconds: change + timedelta(minutes=minutes, seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-48 * 60, 48 * 60),
    st.sampled_from([0, 0, 1, 59]),
)


@given(data=st.data(), now=moments, zone=st.sampled_from([BERLIN, NEW_YORK, TASHKENT]))
@settings(max_examples=100, deadline=None)
def test_opening_is_the_first_open_minute(data: st.DataObject, now: datetime, zone: str) -> None:
    given = data.draw(calling_hours(zone))
    assert opening(given, now, ANY_ZONE) == minute_by_minute(given, now, [zone])


@given(data=st.data(), now=moments)
@settings(max_examples=40, deadline=None)
def test_number_in_several_zones_is_called_when_all_are_open(data: st.DataObject, now: datetime) -> None:
    zones = data.draw(st.sampled_from([[BERLIN, TASHKENT], [NEW_YORK, "America/Chicago"], [KOLKATA]]))
    given = some_hours(hours.CONTACT, "09:00", data.draw(st.sampled_from(["15:00", "20:00", "24:00"])))
    assert opening(given, now, ",".join(zones)) == minute_by_minute(given, now, zones)


def test_without_hours_any_time_will_do() -> None:
    assert opening(None, NOW, ANY_ZONE) == NOW


def at(text: str, zone: str) -> datetime:
    """A moment by the clock on the wall."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_window_opens_and_closes_by_the_wall_clock_on_both_sides_of_a_change() -> None:
    for day in ("2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"):
        assert opening(some_hours(BERLIN), at(f"{day}T07:00", BERLIN), ANY_ZONE) == at(f"{day}T09:00", BERLIN)
        assert opening(some_hours(BERLIN), at(f"{day}T19:59", BERLIN), ANY_ZONE) == at(f"{day}T19:59", BERLIN)


def test_end_of_the_window_is_closed() -> None:
    assert opening(some_hours(), at("2026-11-23T20:00", TASHKENT), ANY_ZONE) == at("2026-11-24T09:00", TASHKENT)


def test_night_shift_belongs_to_the_day_it_begins_on() -> None:
    night = some_hours(from_="22:00", to="02:00", days=["SAT"])
    assert opening(night, at("2026-11-29T01:59", TASHKENT), ANY_ZONE) == at("2026-11-29T01:59", TASHKENT)
    assert opening(night, at("2026-11-28T01:00", TASHKENT), ANY_ZONE) == at("2026-11-28T22:00", TASHKENT)
    away = some_hours(from_="22:00", to="02:00", holidays=["2026-11-28"])
    assert opening(away, at("2026-11-29T01:00", TASHKENT), ANY_ZONE) == at("2026-11-29T22:00", TASHKENT)


def test_weekend_and_holidays_are_skipped() -> None:
    given = some_hours(days=["MON", "TUE", "WED", "THU", "FRI"], holidays=["2026-11-30", "2026-12-01"])
    assert opening(given, at("2026-11-27T20:00", TASHKENT), ANY_ZONE) == at("2026-12-02T09:00", TASHKENT)


def test_hours_that_never_open_again_have_no_opening() -> None:
    days = [(NOW.date() + timedelta(days=n)).isoformat() for n in range(-2, 420)]
    assert opening(some_hours(holidays=days), NOW, ANY_ZONE) is None


def test_zones_that_are_never_open_together_have_no_opening() -> None:
    assert opening(some_hours(hours.CONTACT, "09:00", "12:00"), NOW, f"{TASHKENT},{NEW_YORK}") is None


def test_call_waits_in_its_contacts_zones_only_if_the_hours_are_the_contacts() -> None:
    assert hours.zone(some_hours(hours.CONTACT), "+4930901820") == BERLIN
    assert hours.zone(some_hours(BERLIN), "+4930901820") == ANY_ZONE
    assert hours.zone(None, "+4930901820") == ANY_ZONE


def test_zone_that_is_not_known_yet_is_left_to_the_dialer() -> None:
    midnight = at("2026-11-23T00:00", TASHKENT)
    assert opening(some_hours(hours.CONTACT), midnight, ANY_ZONE) == midnight


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (some_hours("Mars/Olympus"), "callingHours.timezone"),
        (some_hours(""), "callingHours.timezone"),
        (some_hours(days=["MON", "Monday"]), "callingHours.days"),
        (some_hours(from_="09:00", to="09:00"), "callingHours.to"),
        (some_hours(holidays=["2027-01-01", "01.01.2027"]), "callingHours.holidays"),
        (some_hours(holidays=["2027-02-30"]), "callingHours.holidays"),
    ],
)
def test_hours_that_make_no_sense_are_refused(given: CallingHours, field: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        hours.check(given)
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("given", [some_hours(), some_hours(hours.CONTACT), some_hours(BERLIN, "22:00", "24:00")])
def test_sensible_hours_are_taken(given: CallingHours) -> None:
    hours.check(given)


def test_window_that_ends_in_a_skipped_hour_ends_early() -> None:
    night = CallingHours(timezone="Europe/Berlin", days=["SAT"], from_="22:00", to="02:30")
    for minute, is_open in (("00:29", True), ("00:31", False), ("01:10", False)):
        now = datetime.fromisoformat(f"2026-03-29T{minute}Z")
        assert (hours.opening(night, now, ANY_ZONE) == now) is is_open
