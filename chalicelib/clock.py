"""The present moment and how moments are written: ISO 8601, UTC, milliseconds."""

from datetime import UTC, datetime, timedelta


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
