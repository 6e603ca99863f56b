"""Sockets, and events on their way to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock

SILENCE = timedelta(minutes=12)
"""After which a Socket.IO client is given up: three pings, one of which the clock may have skipped, and what
`store.hear` leaves unwritten."""


class Format(StrEnum):
    """The wire format a socket speaks."""

    PLAIN = "plain"
    SOCKET_IO = "socket.io"
    SOCKET_IO_RECOVERING = "socket.io+offset"
    """Socket.IO with connection state recovery: an event's offset is its last argument."""

    @property
    def is_socketio(self) -> bool:
        return self is not Format.PLAIN


class Socket(Struct, frozen=True, kw_only=True):
    """An open socket of an organization."""

    organization_id: str
    connection_id: str
    connected_at: str
    format: Format = Format.PLAIN
    campaign_id: str | None = None
    """The one campaign it wants to hear of, or none: all."""

    since: int | None = None
    """Where a socket stands that is being told what it missed; one that is not told live events yet."""

    tries: int = 0
    """How often in a row it took nothing."""

    aside_at: str | None = None
    """When it was last set aside, to be told what it missed later."""

    valid_until: str | None = None
    """When the token that let it in expires, unless its connection ends sooner anyway."""

    heard_at: str | None = None
    """When a Socket.IO client is known to have been there: it joined, or answered a ping."""

    @property
    def closes_at(self) -> str | None:
        """When it is closed: its token has expired, or it has answered no ping for long."""
        silent = self.heard_at and clock.stamp(clock.moment(self.heard_at) + SILENCE)
        return min((each for each in (self.valid_until, silent) if each), default=None)

    def is_admitted(self, at: datetime) -> bool:
        """Whether its token still lets it hear of anything."""
        return self.valid_until is None or clock.stamp(at) < self.valid_until

    def wants(self, told: Told) -> bool:
        """Whether an event is for this socket."""
        return self.campaign_id is None or told.campaign_id == self.campaign_id


class Session(Struct, frozen=True, kw_only=True):
    """A Socket.IO client that polls, until it has a WebSocket. Times are stamps."""

    id: str
    began_at: str
    campaign_id: str | None = None
    asked: str | None = None
    """The organization its address asked for."""

    format: Format = Format.SOCKET_IO
    joined: str | None = None
    """The organization it is told events of, once it has joined."""

    since: int | None = None
    """The number of the last event it was told."""

    ends: int | None = None
    """When the token expires that let it in, in seconds since 1970."""

    outbox: list[str] = []
    """Packets for the next poll, or for the WebSocket it gets before that."""

    poll: str | None = None
    """The ticket of the poll that is held; none is after `polled_until`."""

    polled_until: str | None = None
    """When it is known to have polled last."""

    pinged_at: str | None = None
    heard_at: str | None = None
    """When it was last pinged, and when it last answered."""

    probed_at: str | None = None
    """When a WebSocket last asked to take over."""

    closing: str | None = None
    """The packet it ends with, if it has ended."""

    last_poll: str | None = None
    """The ticket of the last poll that is answered so; later ones are refused."""

    socket: str | None = None
    """The connection it goes on over, if it has a WebSocket."""

    def wants(self, told: Told) -> bool:
        """Whether an event is for this session."""
        return told.name == "resync" or self.campaign_id is None or told.campaign_id == self.campaign_id


class Told(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event to be told. `record` names the change it comes from, the same at every delivery of that change."""

    record: str
    name: str
    data: msgspec.Raw
    campaign_id: str | None = None
    correlation_id: str = ""


class Logged(Struct, frozen=True, rename="camel"):
    """An event with its place among the organization's events, counted from 1."""

    seq: int
    told: Told


class Feed(Struct, kw_only=True):
    """Where an organization's events stand."""

    organization_id: str
    seq: int = 0
    followed_at: str | None = None
    """When a socket of the organization was last opened."""

    left_out: int | None = None
    """The number that was last left out, because nobody had followed: whoever stood before it has missed something."""

    allowance: float = 0
    """Posts it may make at once; see `rate`."""

    allowance_at: str | None = None
    held: list[Told] = []
    """What stands in place of events that were too many, until it is told."""

    held_at: str | None = None
    """When it was last ordered to be told."""


class Plan(Struct, frozen=True):
    """What is told now, what is held for the next second and since when, and what is left of the allowance."""

    tell: Sequence[Told]
    held: Sequence[Told]
    held_at: str | None
    allowance: float


def without(told: Told, contact_id: str) -> Told:
    """An event without the person that a contact is, if it is about them."""
    if contact_id.encode() not in bytes(told.data):
        return told
    data = msgspec.json.decode(told.data)
    if told.name == "contact-update" and data["id"] == contact_id:
        data = {"id": contact_id}
    elif told.name == "campaign-update" and data["contactId"] == contact_id:
        data |= {"contact": {"id": contact_id}, "outcome": None, "summary": None}
    return replace(told, data=msgspec.Raw(msgspec.json.encode(data)))
