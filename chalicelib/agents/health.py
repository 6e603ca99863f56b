"""How well a campaign's agent takes calls, and how many it may be given. Pure.

- A full agent (429, a concurrency limit) halves the campaign's window, once for all calls placed before; a narrowed
  window again when it refuses more than it takes. Ten calls taken widen it by one. One that is full although it has
  nothing of ours is asked ever more seldom, at last once a minute.
- Twenty failures in a row that went on for two minutes leave one probe a minute; fifteen minutes without a success, or
  refused credentials at once, pause the campaign. No contact's attempt is spent on any of it.
- An agent that refuses everybody, or takes calls and never reports what became of them, spends attempts: after twenty
  such ends in a row, or more than half of the last fifty, the campaign is paused before the list is burned.
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

REFUSALS_BEYOND = 3
"""By how many its refusals outnumber the calls it takes when it is asked for too many: fewer may be others' calls."""

FULL_IN_A_ROW = 3
"""How often an agent that has nothing of ours may be full before it is left alone for a while."""

FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 60

ENDS_KEPT = 50
"""Calls whose ends are remembered as soon as one of them was bad."""

SPENT_IN_A_ROW = 20

REFUSED = "The agent refuses our credentials: renew the deployment's agent token and start the campaign again."
AWAY = "The agent has taken no call since {since}: see that it works and start the campaign again."
SPOILED = (
    "The agent refused some of the last calls ({said}), and of others no results came: see what it wants of a request,"
    " that it can reach this deployment (PUBLIC_URL) and signs with the webhook's secret, then start the campaign"
    " again."
)
DECLINES = (
    "The agent has refused the last calls ({said}): see what it wants of a request, and its numbers, then start the"
    " campaign again."
)
UNPAID = "The agent wants payment ({said}): see to its account and start the campaign again."
SILENCE = (
    "The agent took the last calls, and no results came: see that it can reach this deployment (PUBLIC_URL) and signs"
    " with the webhook's secret, then start the campaign again."
)
HOLDS = "The agent wants no calls before {until} ({said})."
FAILING = "No call can be placed since {since}: {said}."
STAYS_FULL = "The agent takes no more calls since {since} ({said}): it is asked once a minute."


class Verdict(StrEnum):
    """What a try to place a call, or its end, says of the agent."""

    TAKEN = "taken"
    ENDED = "ended"
    DECLINED = "declined"
    SILENT = "silent"
    FULL = "full"
    AWAY = "away"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class Said(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A verdict, the agent's words for it (such as its status), and when they came.

    `again_at` is before when the agent wants no call, if it says so.
    """

    verdict: Verdict
    words: str = ""
    at: str = ""
    again_at: str | None = None


MARKS = {Verdict.ENDED: ".", Verdict.DECLINED: "d", Verdict.SILENT: "s"}
"""How the ends of calls are remembered."""


class Health(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An agent as a campaign knows it. `window` is None while it may take all the campaign's slots."""

    window: int | None = None
    taken: int = 0
    """Calls it has taken since the window changed last."""

    turned_away: int = 0
    """Calls for which it was full since then."""

    narrowed_at: str | None = None
    failures: int = 0
    failing_since: str | None = None
    failed_at: str | None = None
    """When the last of these failures was heard of: time that passes proves nothing."""

    unsure: int = 0
    """How many of these failures may be calls under way."""

    probed_at: str | None = None
    refused: bool = False
    words: str = ""
    """What it said last when something was wrong."""

    fulls: int = 0
    """How often in a row it was full although it had nothing of ours."""

    full_since: str | None = None
    asked_at: str | None = None
    ends: str = ""
    """How the last calls ended, oldest first, from the first bad end on: one of MARKS each."""

    again_at: str | None = None
    """Before when it wants no call."""

    waits: bool | None = None
    """Whether it answers with results, holding a dialer during the call; None until it has answered."""

    @property
    def troubled(self) -> bool:
        """Whether the pacer wants to hear of every call the agent takes."""
        return (
            self.waits is None
            or self.window is not None
            or self.failures > 0
            or self.refused
            or self.full_since is not None
        )


WELL = Health()


def after(health: Health, said: Iterable[Said], *, cap: int, in_flight: int, now: datetime) -> Health:
    """The agent's health after some tries and ends; a burst of refusals halves the window once.

    `in_flight` is what the agent had when they came. A full agent says so of the moment when its call was placed: one
    from before the window was narrowed says nothing of the narrower one.
    """
    given = list(said)
    full = [each for each in given if each.verdict is Verdict.FULL]
    if full := [each for each in full if not each.at or each.at > (health.narrowed_at or "")]:
        health = _full(health, full[-1].words, len(full), cap, in_flight, now)
    for each in given:
        health = _after(health, each, cap, now)
    again = max([health.again_at or "", *(each.again_at or "" for each in given)])
    return replace(health, again_at=again if again > clock.stamp(now) else None)


def _after(health: Health, said: Said, cap: int, now: datetime) -> Health:
    match said.verdict:
        case Verdict.TAKEN:
            return _widened(_working(health), cap)
        case Verdict.ENDED | Verdict.DECLINED:
            return _widened(_working(_noted(health, said)), cap)
        case Verdict.SILENT:
            return _noted(health, said)
        case Verdict.FULL:
            return health
        case Verdict.REFUSED:
            return replace(health, refused=True, words=said.words)
        case Verdict.AWAY | Verdict.UNKNOWN:
            since = health.failing_since or clock.stamp(now)
            return replace(
                health,
                failures=health.failures + 1,
                unsure=health.unsure + (said.verdict is Verdict.UNKNOWN),
                failing_since=since,
                failed_at=clock.stamp(now),
                words=said.words,
            )


def _working(health: Health) -> Health:
    """The health of an agent that has just taken a call."""
    return replace(
        health,
        failures=0,
        unsure=0,
        failing_since=None,
        failed_at=None,
        probed_at=None,
        refused=False,
        words=health.words if health.ends else "",
        fulls=0,
        full_since=None,
        asked_at=None,
    )


def _widened(health: Health, cap: int) -> Health:
    if health.window is None:
        return health
    taken = health.taken + 1
    if taken < WIDEN_EVERY:
        return replace(health, taken=taken)
    if health.window + 1 >= cap:
        return replace(health, window=None, taken=0, turned_away=0, narrowed_at=None)
    return replace(health, window=health.window + 1, taken=0, turned_away=0)


def _full(health: Health, words: str, times: int, cap: int, in_flight: int, now: datetime) -> Health:
    """The health of an agent that has just been full some times."""
    present = min(health.window or cap, max(in_flight, 1))
    health = replace(
        health,
        turned_away=health.turned_away + times,
        words=words,
        fulls=health.fulls + 1 if present == 1 else 0,
        full_since=health.full_since or clock.stamp(now),
        asked_at=clock.stamp(now),
    )
    if health.window is not None and health.turned_away < health.taken + REFUSALS_BEYOND:
        return health
    return replace(health, window=max(present // 2, 1), taken=0, turned_away=0, narrowed_at=clock.stamp(now))


def _noted(health: Health, said: Said) -> Health:
    """The end of a call is remembered; ends before the first bad one were good and need not be."""
    ends = (health.ends + MARKS[said.verdict])[-ENDS_KEPT:].lstrip(MARKS[Verdict.ENDED])
    return replace(health, ends=ends, words=(said.words or health.words) if ends else "")


def away(health: Health, now: datetime) -> bool:
    """Whether the agent has failed for long."""
    if health.failures < FAILURES_IN_A_ROW or health.failing_since is None:
        return False
    return now >= clock.moment(health.failing_since) + OUTAGE_AFTER


def unavailable(health: Health, in_flight: int) -> bool:
    """Whether the last call that was tried could not be placed."""
    return _fails(health, in_flight) or health.full_since is not None


def _fails(health: Health, in_flight: int) -> bool:
    """Whether calls fail to be placed: not because some went unanswered beside others that were taken and go on."""
    return health.failures > health.unsure or 0 < health.failures >= in_flight


def only_probed(health: Health, now: datetime) -> bool:
    """Whether the agent is given a call now and then only, to see whether it takes calls again."""
    return health.refused or away(health, now)


def is_out(health: Health, now: datetime) -> bool:
    """Whether calls are another agent's, where there is one."""
    return only_probed(health, now) or spoils(health)


def slots(health: Health, *, cap: int, in_flight: int, now: datetime) -> int:
    """How many more calls the agent may be given."""
    if next_try(health, now) > now:
        return 0
    most = 1 if only_probed(health, now) else min(cap, health.window or cap) - in_flight
    return max(min(most, cap - in_flight), 0)


def next_try(health: Health, now: datetime) -> datetime:
    """When an agent that is away, refuses us, stays full or said when to come again is tried; `now` if it need not
    wait.
    """
    now = max(clock.moment(health.again_at), now) if health.again_at else now
    if only_probed(health, now):
        return now if health.probed_at is None else max(clock.moment(health.probed_at) + PROBE_EVERY, now)
    if health.fulls > FULL_IN_A_ROW and health.asked_at:
        return max(clock.later(_pause_seconds(health), than=clock.moment(health.asked_at)), now)
    return now


def _pause_seconds(health: Health) -> int:
    doublings = min(health.fulls - FULL_IN_A_ROW - 1, 10)
    return min(FIRST_PAUSE_SECONDS << doublings, LONGEST_PAUSE_SECONDS)


def probed(health: Health, claims: int, now: datetime) -> Health:
    """The health with a probe noted, if it is one."""
    return replace(health, probed_at=clock.stamp(now)) if claims and only_probed(health, now) else health


def trouble(health: Health, in_flight: int) -> str | None:
    """What a person should know of the agent while the campaign goes on; None while it takes calls."""
    if _fails(health, in_flight) and health.failing_since:
        return FAILING.format(since=health.failing_since, said=health.words or "the agent did not answer")
    if health.again_at:
        return HOLDS.format(until=health.again_at, said=health.words or "Retry-After")
    if health.full_since and health.fulls > FULL_IN_A_ROW:
        return STAYS_FULL.format(since=health.full_since, said=health.words or "429")
    return None


def pause_reason(health: Health, now: datetime) -> str | None:
    """Why a campaign must be paused; None while it need not."""
    if health.refused:
        return UNPAID.format(said=health.words) if "402" in health.words else REFUSED
    if away(health, now) and _failed_for(health) >= PAUSE_AFTER:
        return AWAY.format(since=health.failing_since)
    if not spoils(health):
        return None
    if MARKS[Verdict.DECLINED] not in health.ends:
        return SILENCE
    reason = SPOILED if MARKS[Verdict.SILENT] in health.ends else DECLINES
    return reason.format(said=health.words)


def _failed_for(health: Health) -> timedelta:
    """From the first failure in a row to the last."""
    if health.failing_since is None or health.failed_at is None:
        return timedelta()
    return clock.moment(health.failed_at) - clock.moment(health.failing_since)


def spoils(health: Health) -> bool:
    """Whether an agent uses up a list's attempts: by refusals, by silence, or by both."""
    good = MARKS[Verdict.ENDED]
    in_a_row = len(health.ends) - len(health.ends.rstrip("".join({*MARKS.values()} - {good})))
    return in_a_row >= SPENT_IN_A_ROW or 2 * (len(health.ends) - health.ends.count(good)) > ENDS_KEPT
