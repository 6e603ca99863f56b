"""Calling hours: whether, and when next, a campaign may call. Pure; wall-clock times are those of the time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from chalicelib.calls.model import ANY_ZONE
from chalicelib.campaigns.settings import CallingHours
from chalicelib.contacts.model import is_date
from chalicelib.contacts.phone import zones
from chalicelib.errors import FieldError, InvalidBody

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
CONTACT = "contact"
"""The time zone that stands for the one of each contact's own number."""

HORIZON = timedelta(days=400)


def check(hours: CallingHours) -> None:
    """What types alone do not say. Raises InvalidBody naming the field."""
    errors = []
    if hours.timezone != CONTACT and not _known(hours.timezone):
        errors.append(
            FieldError("callingHours.timezone", "expected an IANA time zone such as Asia/Tashkent, or contact")
        )
    unknown = [day for day in hours.days if day not in DAYS]
    if unknown:
        errors.append(FieldError("callingHours.days", f"expected {', '.join(DAYS)}"))
    if hours.from_ == hours.to:
        errors.append(FieldError("callingHours.to", "expected another time than from"))
    if not all(map(is_date, hours.holidays)):
        errors.append(FieldError("callingHours.holidays", "expected dates as YYYY-MM-DD"))
    if errors:
        raise InvalidBody(*errors)


def _known(name: str) -> bool:
    from zoneinfo import available_timezones

    return name in available_timezones() - {"localtime"}


def zone(hours: CallingHours | None, phone: str) -> str:
    """Where a call to a phone waits: in its time zones, comma separated, if the hours are the contact's own."""
    return ",".join(zones(phone)) if hours is not None and hours.timezone == CONTACT else ANY_ZONE


def opening(hours: CallingHours | None, now: datetime, zone: str) -> datetime | None:
    """The first moment from `now` on when calls that wait in a zone may be dialed: `now` itself inside the hours.

    A number in several time zones may be called when all are open; where its zones are not known yet (it waits in
    ANY_ZONE although the hours are the contact's own) the dialer looks. None when nothing opens within 400 days.
    """
    if hours is None or (hours.timezone == CONTACT and zone == ANY_ZONE):
        return now
    names = zone.split(",") if hours.timezone == CONTACT else [hours.timezone]
    at = now
    while at <= now + HORIZON:
        moments = [_opening(hours, at, name) for name in names]
        if None in moments:
            return None
        latest = max(moment for moment in moments if moment is not None)
        if latest == at:
            return at
        at = latest
    return None


def _opening(hours: CallingHours, now: datetime, zone: str) -> datetime | None:
    """The first open moment in one zone: of the windows that begin from yesterday on, the first that has not ended."""
    from zoneinfo import ZoneInfo

    tz = ZoneInfo(zone)
    first = now.astimezone(tz).date() - timedelta(days=1)
    for offset in range(HORIZON.days):
        day = first + timedelta(days=offset)
        if DAYS[day.weekday()] not in hours.days or day.isoformat() in hours.holidays:
            continue
        begin, end = _window(hours, day, tz)
        if now < end and begin < end:
            return max(now, begin)
    return None


def _window(hours: CallingHours, day: date, tz: tzinfo) -> tuple[datetime, datetime]:
    """The window that begins on a day, in UTC; one whose end is not after its begin ends the next day.

    An end at a time of day that the clock skips comes early rather than late.
    """
    begin = time.fromisoformat(hours.from_)
    whole = hours.to == "24:00"
    end = time(0) if whole else time.fromisoformat(hours.to)
    last = day + timedelta(days=1) if whole or end <= begin else day
    closing = datetime.combine(last, end, tzinfo=tz)
    return (
        datetime.combine(day, begin, tzinfo=tz).astimezone(UTC),
        min(closing.astimezone(UTC), closing.replace(fold=1).astimezone(UTC)),
    )
