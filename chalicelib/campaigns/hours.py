"""Calling hours: whether, and when next, a campaign may call. Pure.

It is open while the clock on the wall of a time zone reads a time from `from` to before `to` of a window, on one of its
days. Where it is set back, a time of day that comes twice counts twice; one that is skipped never comes. A window whose
end is not after its begin ends on the next day and belongs to the day it begins on. On a holiday only windows of
`HOLIDAY` begin, and what began on another day ends at its midnight.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from chalicelib import clock
from chalicelib.calls.model import ANY_ZONE, FALLBACK_ZONE
from chalicelib.contacts.model import Contact
from chalicelib.contacts.phone import zones
from chalicelib.errors import InvalidBody
from chalicelib.organizations.model import CONTACT, DAYS, HOLIDAY, CallingHours, faults

HORIZON = timedelta(days=14)
"""Who cannot be called for so long is never called; zones whose clocks go alike for so long are one."""

DAY = timedelta(days=1)
KEPT = 4_096
"""Windows that are remembered (a look asks for a few days of each zone), and sets of zones."""

Stretch = tuple[datetime, datetime]
"""From a moment to before another, in UTC."""


def check(hours: CallingHours) -> None:
    """What types alone do not say. Raises InvalidBody naming the field."""
    if errors := faults(hours, "callingHours"):
        raise InvalidBody(*errors)


def zone(hours: CallingHours | None, contact: Contact, now: datetime) -> str:
    """Where a call to a contact waits: if the hours are the contact's own, in the one time zone that they are in.

    That is the contact's own `timezone`, or the one its number is in; FALLBACK_ZONE where neither is known.
    """
    if hours is None or hours.timezone != CONTACT:
        return ANY_ZONE
    return contact.timezone or _alike(zones(contact.phone), now.date()) or FALLBACK_ZONE


def home(hours: CallingHours | None, contact: Contact | None, organizations: str, now: datetime) -> str:
    """The time zone in which a contact is taken to read the clock: its own, its number's, the hours', or else that of
    its organization. None: the contact is gone.
    """
    own = contact and (contact.timezone or _alike(zones(contact.phone), now.date()))
    if own or hours is None:
        return own or organizations
    return (hours.fallback_timezone or organizations) if hours.timezone == CONTACT else hours.timezone


def is_local(text: str | None) -> bool:
    """Whether a text is a moment on somebody's clock, of which it does not say where that is."""
    try:
        return text is not None and datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


def placed(local: str, zone: str) -> str:
    """A moment on the clock of a time zone, as a stamp. Where the clock shows it twice the first is meant, and one that
    it skips is as long after the change as it says. What no calendar of ours has stays as it is.
    """
    try:
        return clock.stamp(datetime.fromisoformat(local).replace(tzinfo=_clock(zone)))
    except (ValueError, OverflowError):
        return local


@functools.lru_cache(maxsize=KEPT)
def _alike(names: tuple[str, ...], day: date) -> str | None:
    """The first of time zones whose clocks show the same from the beginning of a day to the horizon; else None."""
    begin = datetime.combine(day, time(0), tzinfo=UTC)
    kinds = {tuple(_offsets(begin, begin + HORIZON + DAY, _clock(name))) for name in names}
    return names[0] if len(kinds) == 1 else None


def opening(hours: CallingHours | None, now: datetime, zone: str, fallback: str = "") -> datetime | None:
    """The first moment from `now` on when calls that wait in a zone may be dialed: `now` itself inside the hours.

    `fallback` is the organization's time zone for calls in FALLBACK_ZONE, where the hours name none. Calls whose zone
    is not known yet are open: the dialer looks where they belong. None when nothing opens within the horizon.
    """
    if hours is None:
        return now
    name = _timezone(hours, zone, fallback)
    return now if name is None else _opening(hours, now, name)


def never(hours: CallingHours | None, now: datetime, zones: Iterable[str], fallback: str = "") -> bool:
    """Whether there are zones in which calls wait and none of them opens within the horizon."""
    if hours is None:
        return False
    known = {name for zone in zones if (name := _timezone(hours, zone, fallback))}
    return bool(known) and all(_opening(hours, now, name) is None for name in known)


def _timezone(hours: CallingHours, zone: str, fallback: str) -> str | None:
    """The time zone that decides about calls in a zone; None where it is not known yet.

    Such calls came there under other hours, or wait in several zones at once as earlier versions let them.
    """
    if hours.timezone != CONTACT:
        return hours.timezone
    if zone == FALLBACK_ZONE:
        return hours.fallback_timezone or fallback
    return None if zone == ANY_ZONE or "," in zone else zone


def _opening(hours: CallingHours, now: datetime, zone: str) -> datetime | None:
    """The first open moment in one time zone.

    Where the clock is set back, the next day's windows may begin before a day's: two days are enough to tell.
    """
    today = now.astimezone(_clock(zone)).date()
    days = (today + timedelta(days=n) for n in range(-1, HORIZON.days + 2))
    coming = ([max(now, begin) for begin, end in _open(hours, day, zone) if now < end] for day in days)
    first = min(next(filter(None, coming), ()), default=None)
    if first is None or first == now:
        return first
    first = min([first, *next(coming, ())])
    return first if first <= now + HORIZON else None


def _open(hours: CallingHours, day: date, zone: str) -> list[Stretch]:
    """When it is open of the windows that begin on a day."""
    is_holiday = day in hours.closed
    spans = hours.spans.get(HOLIDAY if is_holiday else DAYS[day.weekday()], ())
    cut = bool(spans) and not is_holiday and day + DAY in hours.closed
    return [stretch for from_, to in spans for stretch in window(from_, to, day, zone, cut=cut)]


@functools.lru_cache(maxsize=KEPT)
def window(from_: str, to: str, day: date, zone: str, *, cut: bool = False) -> tuple[Stretch, ...]:
    """When it is open of a window that begins on a day; `cut`: not beyond midnight.

    One stretch of time, or two where the clock is changed nearby.
    """
    begin = datetime.combine(day, time.fromisoformat(from_), tzinfo=UTC)
    midnight = datetime.combine(day + DAY, time(0), tzinfo=UTC)
    end = midnight if to == "24:00" else datetime.combine(day, time.fromisoformat(to), tzinfo=UTC)
    end = end if end > begin else end + DAY
    end = min(end, midnight) if cut else end
    found = (
        (max(begin - offset, since), min(end - offset, until))
        for since, until, offset in _offsets(begin - DAY, end + DAY, _clock(zone))
    )
    return tuple(stretch for stretch in found if stretch[0] < stretch[1])


def _offsets(since: datetime, until: datetime, tz: tzinfo) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The offsets from UTC of some days, and from when to when they hold.

    The clock changes at most once in them: Morocco's, which change most often, stand for a month in between.
    """
    before, after = _offset(since, tz), _offset(until, tz)
    if before != after:
        seconds = range(int((until - since).total_seconds()))
        change = since + timedelta(
            seconds=bisect_left(seconds, True, key=lambda n: _offset(since + timedelta(seconds=n), tz) != before)
        )
        yield since, change, before
        since = change
    yield since, until, after


@functools.cache
def _clock(zone: str) -> tzinfo:
    """A time zone by its name. The library itself remembers only eight, and reads the others from their files again."""
    from zoneinfo import ZoneInfo

    return ZoneInfo(zone)


def _offset(at: datetime, tz: tzinfo) -> timedelta:
    return at.astimezone(tz).utcoffset() or timedelta(0)
