"""Signed webhooks that cannot be read, kept in the bucket for two weeks to be looked at: how they are built, masked.

Masked means that of a value only its kind is kept. Members keep names such as programs give, and a few that say what a
message is keep a word. So nobody's name, phone or words are in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.aws import s3
from chalicelib.log import logger

PREFIX = "unread"

SLOTS = 64
"""Files kept of an account at most: each way to be built has its own, where the next one lies over the last."""

LEVELS, LISTED, VALUES = 10, 3, 300
"""How deep it is looked into a message, at how many of a list and at how many values in all."""

TELLING = {"type", "event", "status", "call_status", "endedReason", "disconnection_reason", "failure_reason"}
"""Members whose words say what a message is."""

KINDS = {float: "number", bool: "truth", type(None): "null"}

_NAME = re.compile("[A-Za-z_]{1,40}[0-9]{0,2}")
_WORD = re.compile("[A-Za-z_.-]{1,80}")


def keep(account: str, body: bytes, why: str, *, now: datetime) -> None:
    """Keep how a webhook of an account is built; where that fails its sender is answered all the same.

    `account` tells it from others, as `webhooks.Sender.account` does.
    """
    built = masked(body)
    slot = hashlib.sha256(json.dumps(built).encode()).digest()[0] % SLOTS
    key = f"{PREFIX}/{account}/{slot:02}.json"
    try:
        s3.put(key, msgspec.json.encode({"at": clock.stamp(now), "why": why, "bytes": len(body), "built": built}))
    except Exception:  # noqa: BLE001 (it is for inspection only)
        logger().warning("unread webhook not kept", exc_info=True)
    else:
        logger().info("unread webhook kept", key=key)


def masked(body: bytes) -> Any:
    """How a body of JSON is built."""
    try:
        given = json.loads(body.decode("utf-8-sig", "replace"), parse_int=float)
    except (ValueError, RecursionError):
        return "no JSON"
    return _Mask().of(given)


class _Mask:
    def __init__(self) -> None:
        self._left = VALUES

    def of(self, value: Any, levels: int = LEVELS, *, telling: bool = False) -> Any:
        self._left -= 1
        if self._left < 0 or not levels:
            return "…"
        if isinstance(value, dict):
            some = list(value.items())[: max(self._left, 0)]
            return {_named(name): self.of(each, levels - 1, telling=name in TELLING) for name, each in some}
        if isinstance(value, list):
            return [*(self.of(each, levels - 1) for each in value[:LISTED]), *(["…"] if value[LISTED:] else [])]
        if isinstance(value, str):
            return value if telling and _WORD.fullmatch(value) else "text" if value else "empty"
        return KINDS[type(value)]


def _named(name: str) -> str:
    return name if _NAME.fullmatch(name) else "…"
