"""Calling hours against a look at every minute, over clock changes, midnights and holidays; and whose hours apply."""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.calls.model import ANY_ZONE, FALLBACK_ZONE
from chalicelib.campaigns import hours
from chalicelib.campaigns.hours import HORIZON, opening
from chalicelib.contacts.model import Contact
from chalicelib.errors import InvalidBody
from chalicelib.organizations.model import CONTACT, DAYS, HOLIDAY, CallingHours, Window
from tests.unit.builders import NOW, a_contact, some_hours

MINUTE = timedelta(minutes=1)
BERLIN, NEW_YORK, TASHKENT, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Tashkent", "Asia/Kolkata"
SANTIAGO, LORD_HOWE, BEIRUT, CASABLANCA = "America/Santiago", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Casablanca"
CHANGES = [
    *((BERLIN, "2026-03-29T01:00Z"), (BERLIN, "2026-10-25T01:00Z")),
    *((NEW_YORK, "2026-03-08T07:00Z"), (NEW_YORK, "2026-11-01T06:00Z")),
    *((SANTIAGO, "2026-04-05T03:00Z"), (SANTIAGO, "2026-09-06T04:00Z")),
    *((LORD_HOWE, "2026-04-04T15:00Z"), (LORD_HOWE, "2026-10-03T15:30Z")),
    *((BEIRUT, "2026-03-28T22:00Z"), (BEIRUT, "2026-10-24T21:00Z")),
    *((CASABLANCA, "2026-02-15T02:00Z"), (CASABLANCA, "2026-03-22T02:00Z")),
    *((KOLKATA, "2026-03-29T01:00Z"), (TASHKENT, "2026-11-01T06:00Z")),
]
"""When clocks go forward and back: at night, at midnight, by half an hour; and clocks that never do."""


def spans(given: CallingHours, today: date) -> list[tuple[datetime, datetime]]:
    """What a day is open in by the clock on the wall: its own windows, and those of the day before that go on."""
    yesterday = today - timedelta(days=1)
    goes_on = _is_holiday(given, yesterday) or not _is_holiday(given, today)
    return [
        _span(window, day)
        for day in ((today, yesterday) if goes_on else (today,))
        for window in given.opens
        if (HOLIDAY if _is_holiday(given, day) else DAYS[day.weekday()]) in window.days
    ]


def _is_holiday(given: CallingHours, day: date) -> bool:
    return day.isoformat() in given.holidays


def _span(window: Window, day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, time.fromisoformat(window.from_))
    end = datetime.combine(day, time(0) if window.to == "24:00" else time.fromisoformat(window.to))
    return begin, end if end > begin else end + timedelta(days=1)


def minute_by_minute(given: CallingHours, now: datetime, zone: str) -> datetime | None:
    """The first open moment, found by looking at every minute until the horizon."""
    open_on = functools.cache(functools.partial(spans, given))
    at, clock = now, ZoneInfo(zone)
    while at <= now + HORIZON:
        wall = at.astimezone(clock).replace(tzinfo=None)
        if any(begin <= wall < end for begin, end in open_on(wall.date())):
            return at
        at = at.replace(second=0, microsecond=0) + MINUTE
    return None


clock_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """A window of any length on some days."""
    from_ = draw(clock_times)
    to = draw(st.one_of(clock_times, st.just("24:00")).filter(lambda to: to != from_))
    return Window(draw(st.lists(st.sampled_from([*DAYS, HOLIDAY]), min_size=1, max_size=8, unique=True)), from_, to)


@st.composite
def cases(draw: st.DrawFn) -> tuple[CallingHours, datetime]:
    """Hours in a zone, and a moment within two days of a change of its clock."""
    zone, change = draw(st.sampled_from(CHANGES))
    changed = datetime.fromisoformat(change)
    around = [(changed + timedelta(days=n)).date().isoformat() for n in (-2, -1, 0, 1, 2)]
    holidays = draw(st.lists(st.sampled_from(around), max_size=3, unique=True))
    now = changed + timedelta(
        minutes=draw(st.integers(-48 * 60, 48 * 60)), seconds=draw(st.sampled_from([0, 0, 1, 59]))
    )
    return CallingHours(zone, windows=draw(st.lists(windows(), min_size=1, max_size=3)), holidays=holidays), now


@given(cases())
@example((some_hours(NEW_YORK, "01:01", "24:00"), datetime(2026, 11, 1, 6, tzinfo=UTC)))
@example((some_hours(NEW_YORK, "09:00", "01:30"), datetime(2026, 11, 1, 5, 45, tzinfo=UTC)))
@example((some_hours(NEW_YORK, "01:45", "01:30"), datetime(2026, 11, 1, 5, 35, tzinfo=UTC)))
@settings(max_examples=300, deadline=None)
def test_opening_is_the_first_minute_that_the_clock_on_the_wall_reads_as_open(
    case: tuple[CallingHours, datetime],
) -> None:
    given, now = case
    assert opening(given, now, ANY_ZONE) == minute_by_minute(given, now, given.timezone)


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


def test_holiday_ends_the_evening_before_at_midnight() -> None:
    night = some_hours(from_="22:00", to="02:00", holidays=["2026-11-28"])
    assert opening(night, at("2026-11-27T23:59", TASHKENT), ANY_ZONE) == at("2026-11-27T23:59", TASHKENT)
    assert opening(night, at("2026-11-28T00:00", TASHKENT), ANY_ZONE) == at("2026-11-29T22:00", TASHKENT)


def holidays(number: int) -> list[str]:
    """The days from the day before on."""
    return [(NOW.date() + timedelta(days=n)).isoformat() for n in range(-1, number)]


LUNCH = CallingHours(
    TASHKENT,
    windows=[
        Window(["MON", "TUE", "WED", "THU", "FRI"], "08:00", "13:00"),
        Window(["mon", "tue", "wed", "thu", "fri"], "14:00", "22:00"),
        Window(["SAT", "SUN", "HOLIDAY"], "9:00", "20:00"),
    ],
    holiday_country="UZ",
    holidays=["2026-11-25"],
)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23T12:59", "2026-11-23T12:59"),
        ("2026-11-23T13:00", "2026-11-23T14:00"),
        ("2026-11-23T22:00", "2026-11-24T08:00"),
        ("2026-11-28T08:00", "2026-11-28T09:00"),
        ("2026-11-24T22:00", "2026-11-25T09:00"),
        ("2026-11-25T20:00", "2026-11-26T08:00"),
        ("2026-12-08T08:30", "2026-12-08T09:00"),
        ("2026-12-08T13:30", "2026-12-08T13:30"),
    ],
)
def test_each_day_has_windows_of_its_own_and_a_break_for_lunch(now: str, opens: str) -> None:
    assert opening(LUNCH, at(now, TASHKENT), ANY_ZONE) == at(opens, TASHKENT)


def test_holidays_of_a_country_are_closed_where_no_window_is_theirs() -> None:
    closed = at("2026-12-08T10:00", TASHKENT)
    assert opening(some_hours(), closed, ANY_ZONE) == closed
    every_day = Window(list(DAYS), "09:00", "20:00")
    for uzbek in (some_hours(holiday_country="UZ"), some_hours(holiday_country="UZ", windows=[every_day])):
        assert opening(uzbek, closed, ANY_ZONE) == at("2026-12-09T09:00", TASHKENT)


def test_holidays_night_goes_on_into_the_next_day_and_no_others_into_a_holiday() -> None:
    nights = some_hours(windows=[Window([*DAYS, "HOLIDAY"], "22:00", "02:00")], holidays=["2026-11-28", "2026-11-29"])
    for night in ("2026-11-29T01:00", "2026-11-30T01:00", "2026-12-01T01:00"):
        assert opening(nights, at(night, TASHKENT), ANY_ZONE) == at(night, TASHKENT)
    assert opening(nights, at("2026-11-28T01:00", TASHKENT), ANY_ZONE) == at("2026-11-28T22:00", TASHKENT)


def test_hours_that_do_not_open_in_two_weeks_have_no_opening() -> None:
    assert opening(some_hours(holidays=holidays(13)), NOW, ANY_ZONE) == at("2026-12-06T09:00", TASHKENT)
    assert opening(some_hours(holidays=holidays(20)), NOW, ANY_ZONE) is None


def test_campaign_never_opens_when_none_of_its_zones_does() -> None:
    closed, open_ = some_hours(CONTACT, holidays=holidays(20)), some_hours(CONTACT)
    assert hours.never(closed, NOW, {ANY_ZONE, BERLIN, FALLBACK_ZONE}, TASHKENT)
    assert not hours.never(open_, NOW, {ANY_ZONE, BERLIN}, TASHKENT)
    assert not hours.never(closed, NOW, {ANY_ZONE}, TASHKENT)
    assert hours.never(some_hours(holidays=holidays(20)), NOW, {ANY_ZONE})
    assert not hours.never(None, NOW, {ANY_ZONE})


OWN = some_hours(CONTACT)
RUSSIAN_MOBILE, CHILEAN, KAZAKH_MOBILE = "+79161234567", "+56912345678", "+77011234567"


@pytest.mark.parametrize(
    ("phone", "timezone", "zone"),
    [
        ("+4930901820", None, BERLIN),
        ("+4930901820", NEW_YORK, NEW_YORK),
        (KAZAKH_MOBILE, None, "Asia/Almaty"),
        ("+447400123456", None, "Europe/Guernsey"),
        (RUSSIAN_MOBILE, None, FALLBACK_ZONE),
        (RUSSIAN_MOBILE, "Europe/Moscow", "Europe/Moscow"),
        (CHILEAN, None, FALLBACK_ZONE),
        (CHILEAN, SANTIAGO, SANTIAGO),
    ],
)
def test_call_waits_in_its_contacts_zone_or_else_in_its_numbers_if_that_is_one(
    phone: str, timezone: str | None, zone: str
) -> None:
    contact = a_contact(phone=phone, timezone=timezone)
    assert hours.zone(OWN, contact, NOW) == zone
    assert hours.zone(some_hours(BERLIN), contact, NOW) == hours.zone(None, contact, NOW) == ANY_ZONE


def test_zones_are_one_while_their_clocks_go_alike_for_two_weeks() -> None:
    between_phoenix_and_denver = a_contact(phone="+19282834567")
    winter, spring = datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    assert hours.zone(OWN, between_phoenix_and_denver, winter) == "America/Denver"
    assert hours.zone(OWN, between_phoenix_and_denver, spring) == FALLBACK_ZONE


def test_fallback_is_the_hours_own_or_else_the_deployments() -> None:
    night = at("2026-11-24T03:00", TASHKENT)
    in_berlin = some_hours(CONTACT, fallback_timezone=BERLIN)
    assert opening(OWN, night, FALLBACK_ZONE, TASHKENT) == at("2026-11-24T09:00", TASHKENT)
    assert opening(in_berlin, night, FALLBACK_ZONE, TASHKENT) == at("2026-11-24T09:00", BERLIN)


@pytest.mark.parametrize("zone", [ANY_ZONE, f"{BERLIN},{TASHKENT}"])
def test_zone_that_is_not_known_yet_is_left_to_the_dialer(zone: str) -> None:
    midnight = at("2026-11-23T00:00", TASHKENT)
    assert opening(OWN, midnight, zone, TASHKENT) == midnight


def test_looking_again_works_no_window_out_again() -> None:
    zones = [BERLIN, NEW_YORK, TASHKENT, KOLKATA, SANTIAGO]
    moments = [NOW + timedelta(minutes=n) for n in range(0, 24 * 60, 10)]
    hours.window.cache_clear()
    for zone in zones:
        for moment in moments:
            opening(OWN, moment, zone, TASHKENT)
    assert hours.window.cache_info().misses <= 5 * len(zones)


SECOND = "callingHours.windows[1]"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (some_hours("Mars/Olympus"), "callingHours.timezone"),
        (some_hours(""), "callingHours.timezone"),
        (some_hours(days=["MON", "Monday"]), "callingHours.days"),
        (some_hours(from_="09:00", to="09:00"), "callingHours.to"),
        (some_hours(holidays=["2027-01-01", "01.01.2027"]), "callingHours.holidays"),
        (some_hours(holidays=["2027-02-30"]), "callingHours.holidays"),
        (some_hours(CONTACT, fallback_timezone="contact"), "callingHours.fallbackTimezone"),
        (some_hours(holiday_country="QQ"), "callingHours.holidayCountry"),
        (some_hours(windows=[Window(["MON"], "09:00", "20:00"), Window(["DAY"], "09:00", "20:00")]), f"{SECOND}.days"),
        (some_hours(windows=[Window(["MON"], "09:00", "20:00"), Window(["TUE"], "9:00", "09:00")]), f"{SECOND}.to"),
        (CallingHours(TASHKENT, windows=LUNCH.windows, to="20:00"), "callingHours.to"),
        (CallingHours(TASHKENT, days=["MON"], to="20:00"), "callingHours.from"),
    ],
)
def test_hours_that_make_no_sense_are_refused(given: CallingHours, field: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        hours.check(given)
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize(
    "given", [some_hours(), LUNCH, some_hours(CONTACT, fallback_timezone=BERLIN), some_hours(BERLIN, "22:00", "24:00")]
)
def test_sensible_hours_are_taken(given: CallingHours) -> None:
    hours.check(given)


def test_window_that_ends_in_a_skipped_hour_ends_when_the_clock_skips_it() -> None:
    night = some_hours(BERLIN, "22:00", "02:30", days=["SAT"])
    for minute, is_open in (("00:59", True), ("01:00", False), ("01:10", False)):
        now = datetime.fromisoformat(f"2026-03-29T{minute}Z")
        assert (opening(night, now, ANY_ZONE) == now) is is_open


@pytest.mark.parametrize(
    ("given", "contact", "zone"),
    [
        (None, a_contact(timezone=BERLIN), BERLIN),
        (some_hours(KOLKATA), a_contact(timezone=BERLIN), BERLIN),
        (None, a_contact(), TASHKENT),
        (None, a_contact(phone="+79161234567"), NEW_YORK),
        (None, None, NEW_YORK),
        (some_hours(KOLKATA), a_contact(phone="+79161234567"), KOLKATA),
        (some_hours(KOLKATA), None, KOLKATA),
        (some_hours(CONTACT), None, NEW_YORK),
        (some_hours(CONTACT, fallback_timezone=SANTIAGO), None, SANTIAGO),
        (some_hours(CONTACT, fallback_timezone=SANTIAGO), a_contact(timezone=BERLIN), BERLIN),
    ],
)
def test_contact_reads_the_clock_where_it_is_taken_to_live(
    given: CallingHours | None, contact: Contact | None, zone: str
) -> None:
    assert hours.home(given, contact, NEW_YORK, NOW) == zone


@pytest.mark.parametrize(
    ("local", "zone", "at"),
    [
        ("2026-12-01T18:30:00", TASHKENT, "2026-12-01T13:30:00.000Z"),
        ("2026-12-01 18:30", BERLIN, "2026-12-01T17:30:00.000Z"),
        ("2026-07-01T18:30", BERLIN, "2026-07-01T16:30:00.000Z"),
        ("2026-12-01", TASHKENT, "2026-11-30T19:00:00.000Z"),
        ("2026-10-25T02:30", BERLIN, "2026-10-25T00:30:00.000Z"),
        ("2026-03-29T02:30", BERLIN, "2026-03-29T01:30:00.000Z"),
        ("0001-01-01T00:00", TASHKENT, "0001-01-01T00:00"),
    ],
)
def test_moment_without_a_zone_is_one_of_somebodys_clock(local: str, zone: str, at: str) -> None:
    assert hours.is_local(local)
    assert hours.placed(local, zone) == at


@pytest.mark.parametrize("said", [None, "soon", "18:30", "2026-12-01T18:30:00+05:00", "2026-12-01T18:30Z", ""])
def test_what_says_its_zone_or_nothing_is_left_alone(said: str | None) -> None:
    assert not hours.is_local(said)
