"""How much an organization's sockets are told. Above its rate it gets progress and `resync` in place of single events.

A bucket of posts: an event costs one for every socket, and the log's writes make it cost ten at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from chalicelib import clock
from chalicelib.realtime.model import Feed, Told

POSTS_PER_SECOND = 2_000
"""200 events a second at up to 10 sockets, or 4 a second at 500."""

BURST_SECONDS = 10
LEAST_COST = 10
LASTING = ("campaign-complete",)
PROGRESS = ("campaign-progress", "import-progress")


class Plan(Struct, frozen=True):
    """What is told now, what is held for the next second, and what is left of the allowance."""

    tell: Sequence[Told]
    held: Sequence[Told]
    allowance: float


def plan(feed: Feed, told: Sequence[Told], sockets: int, now: datetime) -> Plan:
    """All that is to be told, or when that is too much only what lasts, and the rest summed up a second later."""
    allowance = _allowance(feed, now)
    each = max(sockets, LEAST_COST)
    if len(told) * each <= allowance:
        newer = {_about(one) for one in told} if feed.held else set()
        held = [one for one in feed.held if _about(one) not in newer]
        return Plan(told, held, allowance - len(told) * each)
    lasting = [one for one in told if one.name in LASTING]
    progress = {_about(one): one for one in (*feed.held, *told) if one.name in PROGRESS}
    resync = next((one for one in feed.held if one.name == "resync"), _resync(told[0]))
    return Plan(lasting, [*progress.values(), resync], max(allowance - len(lasting) * each, 0.0))


def _allowance(feed: Feed, now: datetime) -> float:
    most = float(POSTS_PER_SECOND * BURST_SECONDS)
    if feed.allowance_at is None:
        return most
    seconds = max((now - clock.moment(feed.allowance_at)).total_seconds(), 0.0)
    return min(feed.allowance + seconds * POSTS_PER_SECOND, most)


def _about(progress: Told) -> tuple[str, object]:
    data = msgspec.json.decode(progress.data)
    return progress.name, data.get("campaignId") or data.get("id")


def _resync(dropped: Told) -> Told:
    return Told(record=f"resync:{dropped.record}", name="resync", data=msgspec.Raw(b"{}"))
