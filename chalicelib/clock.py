"""The present moment and how moments are written: ISO 8601, UTC, milliseconds. What days and time zones are called."""

import functools
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from msgspec import Meta

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""As `stamp` writes it."""

Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]
"""As `is_date` takes it."""

Timezone = Annotated[str, Meta(extra_json_schema={"format": "timezone"})]
"""As `is_timezone` takes it."""

TIMEZONE_EXPECTED = "expected an IANA time zone such as Asia/Tashkent"


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`2026-11-23T06:15:00.000Z`; strings of this form sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The moment a stamp names."""
    return datetime.fromisoformat(text)


def minute(at: datetime) -> str:
    """`2026-11-23T06:15`: the minute a moment falls in."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def later(seconds: float, *, than: datetime) -> datetime:
    """The moment `seconds` after `than`."""
    return than + timedelta(seconds=seconds)


def is_date(text: str) -> bool:
    """Whether `text` is a calendar date as `YYYY-MM-DD`."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_timezone(text: str) -> bool:
    """Whether `text` is the name of an IANA time zone."""
    return timezones().get(text.lower()) == text


@functools.cache
def timezones() -> dict[str, str]:
    """The IANA time zones, by their names in small letters; names of no place and of this machine are none."""
    from zoneinfo import available_timezones

    return {name.lower(): name for name in available_timezones() - {"Factory", "localtime"}}
