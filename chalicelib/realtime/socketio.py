"""The wire format of Socket.IO 4 in Engine.IO 4. Over the WebSocket one packet is one text frame.

Packets: https://socket.io/docs/v4/engine-io-protocol/ and https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from chalicelib.realtime.model import Logged

NAMESPACE = "/auto-calling"
PING_SECONDS, PONG_SECONDS = 240, 180
"""A client gives up when it heard no ping for the sum of both."""

PING, PONG, CLOSE, NOOP = "2", "3", "1", "6"
PROBE = "probe"
SEPARATOR = "\x1e"
"""Between the packets of an HTTP body."""

MAX_PAYLOAD = 131_072
"""Bytes in a message of API Gateway, https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


class Malformed(ValueError):
    """Not a packet of the protocol."""


class Connect(Struct, frozen=True):
    """A client asks to join a namespace."""

    namespace: str
    auth: dict[str, Any]


class Disconnect(Struct, frozen=True):
    """A client leaves a namespace."""

    namespace: str


class Ping(Struct, frozen=True):
    """A client asks whether anybody is there."""

    probe: str


class Pong(Struct, frozen=True):
    """A client answers a ping: it is there."""


class Close(Struct, frozen=True):
    """A client closes the connection."""


class Upgrade(Struct, frozen=True):
    """A client goes on over this WebSocket."""


class Ignored(Struct, frozen=True):
    """A packet that asks for nothing: an event, an acknowledgement."""


Packet = Connect | Disconnect | Ping | Pong | Close | Upgrade | Ignored


def opened(session_id: str, upgrades: Sequence[str] = ()) -> str:
    """The Engine.IO open packet."""
    handshake = {
        "sid": session_id,
        "upgrades": list(upgrades),
        "pingInterval": PING_SECONDS * 1000,
        "pingTimeout": PONG_SECONDS * 1000,
        "maxPayload": MAX_PAYLOAD,
    }
    return "0" + msgspec.json.encode(handshake).decode()


def connected(session_id: str, recovery_id: str | None = None) -> str:
    """The answer to a Connect that is granted. A client that gets the recovery id it had has missed nothing."""
    more = {"pid": recovery_id} if recovery_id else {}
    return f"40{NAMESPACE}," + msgspec.json.encode({"sid": session_id, **more}).decode()


def refused(namespace: str, reason: str) -> str:
    """The answer to a Connect that is not: the client's `connect_error` carries the reason."""
    where = "" if namespace == "/" else f"{namespace},"
    return f"44{where}" + msgspec.json.encode({"message": reason}).decode()


def event(logged: Logged) -> str:
    """An event's packet; the listener gets the data, and the sequence number as a second argument."""
    told = logged.told
    return f"42{NAMESPACE}," + msgspec.json.encode([told.name, told.data, logged.seq]).decode()


def event_with_offset(logged: Logged) -> str:
    """As `event`, with the number as a text behind it: clients that recover take their place from there."""
    told = logged.told
    return f"42{NAMESPACE}," + msgspec.json.encode([told.name, told.data, logged.seq, str(logged.seq)]).decode()


def decode(frame: str) -> Packet:
    """A client's packet. Raises Malformed, also for binary ones, of which none is known here."""
    match frame[:1]:
        case "1":
            return Close()
        case "2":
            return Ping(frame[1:])
        case "3":
            return Pong()
        case "5":
            return Upgrade()
        case "6":
            return Ignored()
        case "4":
            return _message(frame[1:])
    raise Malformed


def _message(packet: str) -> Packet:
    kind, rest = packet[:1], packet[1:]
    namespace, payload = "/", rest
    if rest.startswith("/"):
        namespace, _, payload = rest.partition(",")
    match kind:
        case "0":
            return Connect(namespace.partition("?")[0], _json(payload, dict[str, Any]) if payload else {})
        case "1":
            return Disconnect(namespace)
        case "2" | "3":
            _json(payload.lstrip("0123456789"), Annotated[list[Any], Meta(min_length=1 if kind == "2" else 0)])
            return Ignored()
    raise Malformed


def _json(payload: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Malformed from None
