"""Who is let in, until when, and from which event on: the same over a WebSocket and while a client polls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from chalicelib import auth, clock
from chalicelib.errors import Unauthorized
from chalicelib.ids import is_id
from chalicelib.realtime import recovery, store
from chalicelib.realtime.model import Format


class Admitted(Struct, frozen=True, kw_only=True):
    """A client that may join: it is told the organization's events that come after `since`."""

    organization_id: str
    since: int
    ends: int | None
    """When its token expires, in seconds since 1970."""

    recovery_id: str | None


def admit(
    given: dict[str, Any], *, asked: str | None, campaign_id: str | None, speaks: Format, now: datetime
) -> Admitted:
    """Let in whom a CONNECT is from. Raises Unauthorized, Unavailable, Busy."""
    token = given.get("token")
    identity = auth.identify(token if isinstance(token, str) else "")
    organization_id = identity.organization_id
    if asked is not None and asked != organization_id:
        raise Unauthorized("The token is of another organization.")
    try:
        wanted = number(given.get("since"))
    except ValueError:
        raise Unauthorized("`since` is not the number of an event.") from None
    feed = store.follow(organization_id, now=now)
    known = recovery.place(given.get("pid"), given.get("offset"), organization_id, campaign_id)
    since = next((each for each in (wanted, known) if each is not None), feed.seq)
    recovery_id = None
    if speaks is Format.SOCKET_IO_RECOVERING:
        recovered = known is not None and since <= known and store.is_kept(feed, since)
        recovery_id = given["pid"] if recovered else recovery.new_id(organization_id, campaign_id, since)
    return Admitted(organization_id=organization_id, since=since, ends=ends(identity), recovery_id=recovery_id)


def ends(identity: auth.Identity) -> int | None:
    """When a token expires, in seconds since 1970."""
    return None if identity.expires_at is None else int(identity.expires_at)


def valid_until(ends: int | None, connected_at: datetime) -> str | None:
    """When the token expires; None when the connection ends sooner anyway."""
    if ends is None or ends >= (connected_at + store.LONGEST_CONNECTION).timestamp():
        return None
    return clock.stamp(datetime.fromtimestamp(ends, UTC))


def campaign(query: dict[str, str]) -> str | None:
    """The one campaign that is asked for. Raises ValueError for what is no id."""
    given = query.get("campaignId")
    if given is not None and not is_id(given.lower()):
        raise ValueError
    return given and given.lower()


def organization(query: dict[str, str]) -> str | None:
    """The organization that is asked for. Raises ValueError for what can be none's id."""
    given = query.get("organizationId")
    if given is not None and not (given.isprintable() and len(given) <= auth.LONGEST_NAME):
        raise ValueError
    return given


def number(given: object) -> int | None:
    """Raises ValueError for what is no number of an event."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | str) or not 0 <= int(given) < 10**15:
        raise ValueError
    return int(given)
