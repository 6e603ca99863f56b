"""The plain wire format: a text frame is `{"event": …, "data": …}`."""

from typing import Any

import msgspec

PONG = '{"event":"pong"}'


def encode(name: str, data: Any) -> str:
    """An event's frame."""
    return msgspec.json.encode({"event": name, "data": data}).decode()


def is_ping(frame: str) -> bool:
    """Whether a client's frame is `{"action":"ping"}`."""
    try:
        message = msgspec.json.decode(frame)
    except msgspec.DecodeError:
        return False
    return isinstance(message, dict) and message.get("action") == "ping"
