"""How well a campaign's agent takes calls, and how many it may be given. Pure.

A full agent (429, a concurrency limit) halves the campaign's window; ten calls taken widen it by one. Twenty failures
in a row that went on for two minutes leave one probe a minute; fifteen minutes without a success, or refused
credentials at once, pause the campaign. No contact's attempt is spent on any of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock

FAILURES_IN_A_ROW = 20
OUTAGE_AFTER = timedelta(minutes=2)
PROBE_EVERY = timedelta(minutes=1)
PAUSE_AFTER = timedelta(minutes=15)
WIDEN_EVERY = 10

REFUSED = "The agent refuses our credentials: renew the deployment's agent token and start the campaign again."
AWAY = "The agent has taken no call since {since}: see that it works and start the campaign again."


class Verdict(StrEnum):
    """What a try to place a call says of the agent."""

    TAKEN = "taken"
    FULL = "full"
    AWAY = "away"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class Health(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An agent as a campaign knows it. `window` is None while it may take all the campaign's slots."""

    window: int | None = None
    taken: int = 0
    failures: int = 0
    failing_since: str | None = None
    probed_at: str | None = None
    refused: bool = False

    @property
    def troubled(self) -> bool:
        """Whether the pacer wants to hear of every call the agent takes."""
        return self != WELL


WELL = Health()


def after(health: Health, verdicts: Iterable[Verdict], *, cap: int, in_flight: int, now: datetime) -> Health:
    """The agent's health after some tries; a burst of refusals halves the window once.

    `in_flight` is what the agent had when they came.
    """
    given = list(verdicts)
    once = [Verdict.FULL] if Verdict.FULL in given else []
    for verdict in [*once, *(each for each in given if each is not Verdict.FULL)]:
        health = _after(health, verdict, cap, in_flight, now)
    return health


def _after(health: Health, verdict: Verdict, cap: int, in_flight: int, now: datetime) -> Health:
    match verdict:
        case Verdict.TAKEN:
            return _widened(replace(health, failures=0, failing_since=None, probed_at=None, refused=False), cap)
        case Verdict.FULL:
            present = min(health.window or cap, max(in_flight, 1))
            return replace(health, window=max(present // 2, 1), taken=0)
        case Verdict.REFUSED:
            return replace(health, refused=True)
        case Verdict.AWAY | Verdict.UNKNOWN:
            since = health.failing_since or clock.stamp(now)
            return replace(health, failures=health.failures + 1, failing_since=since)


def _widened(health: Health, cap: int) -> Health:
    if health.window is None:
        return health
    taken = health.taken + 1
    if taken < WIDEN_EVERY:
        return replace(health, taken=taken)
    wider = health.window + 1
    return replace(health, window=None if wider >= cap else wider, taken=0)


def away(health: Health, now: datetime) -> bool:
    """Whether the agent is given probes only."""
    if health.failures < FAILURES_IN_A_ROW or health.failing_since is None:
        return False
    return now >= clock.moment(health.failing_since) + OUTAGE_AFTER


def slots(health: Health, *, cap: int, in_flight: int, now: datetime) -> int:
    """How many more calls the agent may be given."""
    if away(health, now):
        return min(0 if next_probe(health, now) > now else 1, max(cap - in_flight, 0))
    return max(min(cap, health.window or cap) - in_flight, 0)


def next_probe(health: Health, now: datetime) -> datetime:
    """When an agent that is away is tried again."""
    return now if health.probed_at is None else max(clock.moment(health.probed_at) + PROBE_EVERY, now)


def probed(health: Health, claims: int, now: datetime) -> Health:
    """The health with a probe noted, if it is one."""
    return replace(health, probed_at=clock.stamp(now)) if claims and away(health, now) else health


def pause_reason(health: Health, now: datetime) -> str | None:
    """Why a campaign must be paused; None while it need not."""
    if health.refused:
        return REFUSED
    if away(health, now) and health.failing_since and now >= clock.moment(health.failing_since) + PAUSE_AFTER:
        return AWAY.format(since=health.failing_since)
    return None
