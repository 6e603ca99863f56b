"""Which of a campaign's agents are given its next calls, by their places among them. Pure.

The first that is not out is given them. Those before it are probed, a call a minute each, and take their calls back as
soon as one of them is taken. One that spends contacts' attempts is left alone until the campaign is started again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chalicelib.agents import health
from chalicelib.agents.health import Health, Verdict

STANDS_IN = "{provider} places the calls as long as others take none: {out}."


def active(healths: Sequence[Health], now: datetime) -> int | None:
    """Who is given the calls; None while all agents are out."""
    return next((n for n, each in enumerate(healths) if not health.is_out(each, now)), None)


def shares(healths: Sequence[Health], *, cap: int, in_flight: int, now: datetime) -> list[int]:
    """Whom each of the next calls is given: as many as may be made now."""
    first = active(healths, now)
    room = max(cap - in_flight, 0)
    shared = [n for n in _probed(healths, now) if health.next_try(healths[n], now) <= now][:room]
    if first is not None:
        free = health.slots(healths[first], cap=cap, in_flight=in_flight + len(shared), now=now)
        shared += [first] * free
    return shared


def next_try(healths: Sequence[Health], now: datetime) -> datetime:
    """When the first of the agents may be tried that have to wait for that; `now` where the one in use need not."""
    first = active(healths, now)
    tried = _probed(healths, now) if first is None else [*_probed(healths, now), first]
    return min((health.next_try(healths[n], now) for n in tried), default=now)


def _probed(healths: Sequence[Health], now: datetime) -> list[int]:
    """Those who are given a call now and then to see whether they take calls again."""
    first = active(healths, now)
    return [n for n, each in enumerate(healths[:first]) if not health.spoils(each)]


def unavailable(healths: Sequence[Health], in_flight: int, now: datetime) -> bool:
    """Whether the last call that was tried could not be placed."""
    first = active(healths, now)
    return health.unavailable(healths[first or 0], in_flight) or first is None


def is_anothers(agents: int, known: Health, verdict: Verdict, now: datetime) -> bool:
    """Whether a call that one of some agents did not take is another's at once: it probed it, or shows that it is out.

    If it waited for as long as the agent asks for, it could be the next probe, too, and never come to who takes calls.
    """
    return agents > 1 and (verdict is Verdict.REFUSED or health.only_probed(known, now))


def pause_reason(providers: Sequence[str], healths: Sequence[Health], now: datetime) -> str | None:
    """Why a campaign must be paused; None while one of its agents need not be given up."""
    reasons = [health.pause_reason(each, now) for each in healths]
    if not all(reasons):
        return None
    if len(reasons) == 1:
        return reasons[0]
    return " ".join(f"{provider}: {reason}" for provider, reason in zip(providers, reasons, strict=True))


def trouble(providers: Sequence[str], healths: Sequence[Health], in_flight: int, now: datetime) -> str | None:
    """What a person should know of the agents while the campaign goes on; None while the first takes calls."""
    first = active(healths, now)
    if not first:
        return health.trouble(healths[0], in_flight)
    out = ", ".join(f"{providers[n]} ({healths[n].words or 'no results come'})" for n in range(first))
    return health.trouble(healths[first], in_flight) or STANDS_IN.format(provider=providers[first], out=out)
