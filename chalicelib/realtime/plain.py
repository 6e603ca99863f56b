"""The plain wire format: a text frame is `{"event": …, "data": …, "seq": …}`."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from chalicelib.realtime.model import Logged

PONG = '{"event":"pong"}'
UNREADABLE = '{"event":"error","data":{"message":"Send {\\"action\\":\\"ping\\"} or nothing."}}'


def event(logged: Logged) -> str:
    """An event's frame."""
    told = logged.told
    return msgspec.json.encode({"event": told.name, "data": told.data, "seq": logged.seq}).decode()


class _Request(Struct):
    action: str


def is_ping(frame: str) -> bool:
    """Whether a client's frame is `{"action":"ping"}`."""
    try:
        return msgspec.json.decode(frame, type=_Request).action == "ping"
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False
