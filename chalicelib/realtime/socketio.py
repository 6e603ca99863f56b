"""The wire format of Socket.IO 4 in Engine.IO 4, over the WebSocket transport only: one packet is one text frame.

Packets: https://socket.io/docs/v4/engine-io-protocol/ and https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.realtime.model import Logged

NAMESPACE = "/auto-calling"
PING_SECONDS, PONG_SECONDS = 240, 180
"""A client gives up when it heard no ping for the sum of both."""

PING, PONG, CLOSE = "2", "3", "1"
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


class Close(Struct, frozen=True):
    """A client closes the connection."""


class Ignored(Struct, frozen=True):
    """A packet that asks for nothing: a pong, an event, an acknowledgement."""


Packet = Connect | Disconnect | Ping | Close | Ignored


def opened(session_id: str) -> str:
    """The Engine.IO open packet."""
    handshake = {
        "sid": session_id,
        "upgrades": [],
        "pingInterval": PING_SECONDS * 1000,
        "pingTimeout": PONG_SECONDS * 1000,
        "maxPayload": MAX_PAYLOAD,
    }
    return "0" + msgspec.json.encode(handshake).decode()


def connected(session_id: str) -> str:
    """The answer to a Connect that is granted."""
    return f"40{NAMESPACE}," + msgspec.json.encode({"sid": session_id}).decode()


def refused(namespace: str, reason: str) -> str:
    """The answer to a Connect that is not: the client's `connect_error` carries the reason."""
    where = "" if namespace == "/" else f"{namespace},"
    return f"44{where}" + msgspec.json.encode({"message": reason}).decode()


def event(logged: Logged) -> str:
    """An event's packet; the listener gets the data, and the sequence number as a second argument."""
    told = logged.told
    return f"42{NAMESPACE}," + msgspec.json.encode([told.name, told.data, logged.seq]).decode()


def decode(frame: str) -> Packet:
    """A client's packet. Raises Malformed."""
    match frame[:1]:
        case "1":
            return Close()
        case "2":
            return Ping(frame[1:])
        case "3" | "5" | "6":
            return Ignored()
        case "4":
            return _message(frame[1:])
    raise Malformed


def _message(packet: str) -> Packet:
    kind, rest = packet[:1], packet[1:]
    if kind in ("2", "3", "5", "6"):
        return Ignored()
    if kind not in ("0", "1"):
        raise Malformed
    namespace, payload = "/", rest
    if rest.startswith("/"):
        namespace, _, payload = rest.partition(",")
    if kind == "1":
        return Disconnect(namespace)
    return Connect(namespace.partition("?")[0], _auth(payload))


def _auth(payload: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any]) if payload else {}
    except msgspec.DecodeError:
        raise Malformed from None
