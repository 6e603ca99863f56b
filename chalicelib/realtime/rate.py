"""How much an organization's sockets are told. Above its rate it gets progress and `resync` in place of single events,
and so it does when its sockets take events more slowly than they happen.

A bucket of posts: an event costs one for every socket, and the log's writes make it cost ten at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chalicelib import clock
from chalicelib.realtime.model import Feed, Logged, Plan, Told

POSTS_PER_SECOND = 2_000
"""200 events a second at up to 10 sockets, or 4 a second at 500."""

BURST_SECONDS = 10
LEAST_COST = 10
LASTING = ("campaign-complete",)
PROGRESS = ("campaign-progress", "import-progress")

BEHIND = timedelta(seconds=5)
"""Events that happened longer ago are summed up: more of them come than can be told."""

PATIENCE = timedelta(seconds=10)
"""What was held for longer is ordered to be told again: the order was lost."""


def plan(feed: Feed, told: Sequence[Told], sockets: int, now: datetime, *, since: datetime | None = None) -> Plan:
    """All that is to be told, or when that is too much only what lasts, and the rest summed up a second later.

    It is too much above the rate, and when the first of it happened, at `since`, too long ago.
    """
    allowance = _allowance(feed, now)
    each = max(sockets, LEAST_COST)
    is_behind = since is not None and now - since > BEHIND
    if len(told) * each <= allowance and not is_behind:
        newer = {_about(one) for one in told} if feed.held else set()
        held = [one for one in feed.held if _about(one) not in newer]
        return Plan(told, held, _held_at(feed, held, now), allowance - len(told) * each)
    lasting = [one for one in told if one.name in LASTING]
    progress = {_about(one): one for one in (*feed.held, *told) if one.name in PROGRESS}
    held = [*progress.values(), _resync(feed, told)]
    return Plan(lasting, held, _held_at(feed, held, now), max(allowance - len(lasting) * each, 0.0))


def too_late(feed: Feed, told: Sequence[Told], now: datetime) -> Plan:
    """Nothing of events that say what was true long ago: in their place `resync`, with what is held already."""
    held = [*(one for one in feed.held if one.name in PROGRESS), _resync(feed, told)]
    return Plan((), held, _held_at(feed, held, now), _allowance(feed, now))


def gist(rest: Sequence[Logged]) -> list[Logged]:
    """What is told of numbered events for which there is no time: what lasts, the last progress, and `resync`."""
    progress = {_about(each.told): each for each in rest if each.told.name in PROGRESS}
    lasting = [each for each in rest if each.told.name in LASTING]
    last = Logged(rest[-1].seq, resync(rest[-1].told))
    return [*sorted([*progress.values(), *lasting], key=lambda each: each.seq), last]


def _held_at(feed: Feed, held: Sequence[Told], now: datetime) -> str | None:
    """When what is held was ordered to be told: now, unless that was done and is not overdue."""
    if not held:
        return None
    if feed.held_at is not None and now - clock.moment(feed.held_at) < PATIENCE:
        return feed.held_at
    return clock.stamp(now)


def _allowance(feed: Feed, now: datetime) -> float:
    most = float(POSTS_PER_SECOND * BURST_SECONDS)
    if feed.allowance_at is None:
        return most
    seconds = max((now - clock.moment(feed.allowance_at)).total_seconds(), 0.0)
    return min(feed.allowance + seconds * POSTS_PER_SECOND, most)


def _about(progress: Told) -> tuple[str, object]:
    data = msgspec.json.decode(progress.data)
    return progress.name, data.get("campaignId") or data.get("id")


def _resync(feed: Feed, dropped: Sequence[Told]) -> Told:
    """The one that is held already, or one in place of what is dropped."""
    known = next((one for one in feed.held if one.name == "resync"), None)
    return known or resync(dropped[0])


def resync(of: Told) -> Told:
    """What asks to read again, in place of an event and of what came with it."""
    return Told(record=f"resync:{of.record}", name="resync", data=msgspec.Raw(b"{}"))
