"""How many more calls an organization's campaigns may make with one account whose limits are set. Pure.

Campaigns share an account: the next call is that campaign's which has the fewest under way, of equals that which has
waited longest. Calls a second are kept by giving calls their moments, up to AHEAD from now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.organizations.model import AgentSettings

AHEAD = timedelta(minutes=2)
"""How far ahead calls are given their moments: campaigns look around each minute."""

ASKED = timedelta(minutes=3)
"""How long a campaign is taken to want calls that has asked for them; it asks again before."""

RENEWED = timedelta(minutes=2)


class Limits(Struct, frozen=True, rename="camel"):
    """What an account bears, as far as that is set."""

    max_concurrent_calls: int | None = None
    calls_per_second: Annotated[float, Meta(gt=0)] | None = None

    @property
    def are_set(self) -> bool:
        return self != Limits()


class Share(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a campaign has of an account: its calls under way, and since when it wants more than it was given."""

    in_flight: int = 0
    asked_at: str | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """What is made of an account. `next_call_at` is when the next call may be placed; `campaigns` has those that have
    calls under way or want some.
    """

    next_call_at: str | None = None
    campaigns: dict[str, Share] = msgspec.field(default_factory=dict)
    version: int = 0

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self.campaigns.values())


def of(own: AgentSettings) -> Limits:
    """The limits of an account, of what an organization has set of its provider."""
    return msgspec.convert(own.values, Limits)


def room(usage: Usage, limits: Limits, now: datetime) -> int | None:
    """How many more calls may be claimed now; None: any number."""
    first = _first_moment(usage, now)
    if first > now + AHEAD or (first > now and limits.calls_per_second is None):
        return 0
    rooms = []
    if limits.max_concurrent_calls is not None:
        rooms.append(max(limits.max_concurrent_calls - usage.in_flight, 0))
    if limits.calls_per_second is not None:
        rooms.append(math.floor((now + AHEAD - first).total_seconds() * limits.calls_per_second) + 1)
    return min(rooms, default=None)


def granted(usage: Usage, limits: Limits, campaign_id: str, wanted: int, now: datetime) -> int:
    """How many of the calls that a campaign wants it is given; the others' turns are left to them."""
    left = room(usage, limits, now)
    if left is None:
        return wanted
    mine = usage.campaigns.get(campaign_id, Share())
    turns = {each: _turn(usage.campaigns[each], now) for each in wanting(usage, campaign_id, now)}
    turns[campaign_id] = _turn(mine, now)
    given = 0
    for _ in range(left):
        if given == wanted:
            break
        following = min(turns, key=lambda each: (*turns[each], each))
        given += following == campaign_id
        under_way, since = turns[following]
        turns[following] = under_way + 1, since
    return given


def _turn(share: Share, now: datetime) -> tuple[int, str]:
    return share.in_flight, share.asked_at or clock.stamp(now)


def wanting(usage: Usage, campaign_id: str, now: datetime) -> list[str]:
    """The other campaigns that want calls, whose turn is next first."""
    others = {
        each: share for each, share in usage.campaigns.items() if each != campaign_id and _asks(share, ASKED, now)
    }
    return sorted(others, key=lambda each: (*_turn(others[each], now), each))


def _asks(share: Share, lasting: timedelta, now: datetime) -> bool:
    return share.asked_at is not None and share.asked_at > clock.stamp(now - lasting)


def delays(usage: Usage, limits: Limits, number: int, now: datetime) -> list[int]:
    """After how many seconds each of the next calls is placed."""
    if limits.calls_per_second is None:
        return [0] * number
    first = (_first_moment(usage, now) - now).total_seconds()
    return [math.ceil(first + n / limits.calls_per_second) for n in range(number)]


def _first_moment(usage: Usage, now: datetime) -> datetime:
    return max(clock.moment(usage.next_call_at), now) if usage.next_call_at else now


def taken(usage: Usage, limits: Limits, campaign_id: str, number: int, *, wants_more: bool, now: datetime) -> Usage:
    """The usage after a campaign was given calls, and whether it wants more."""
    mine = usage.campaigns.get(campaign_id, Share())
    asks = None
    if wants_more:
        asks = mine.asked_at if not number and _asks(mine, RENEWED, now) else clock.stamp(now)
    after = _with(usage, campaign_id, Share(mine.in_flight + number, asks))
    if number and limits.calls_per_second is not None:
        following = clock.later(number / limits.calls_per_second, than=_first_moment(usage, now))
        after = replace(after, next_call_at=clock.stamp(following))
    return after


def left(usage: Usage, campaign_id: str, number: int = 1) -> Usage:
    """The usage after calls of a campaign are no longer under way."""
    mine = usage.campaigns.get(campaign_id, Share())
    return _with(usage, campaign_id, replace(mine, in_flight=mine.in_flight - number))


def slowed(usage: Usage, until: datetime) -> Usage:
    """The usage after the account's provider wants no call before a moment."""
    return replace(usage, next_call_at=max(usage.next_call_at or "", clock.stamp(until)))


def _with(usage: Usage, campaign_id: str, share: Share) -> Usage:
    others = {each: known for each, known in usage.campaigns.items() if each != campaign_id}
    return replace(usage, campaigns=others if share == Share() else {**others, campaign_id: share})


def tidied(usage: Usage, now: datetime) -> Usage:
    """The usage without campaigns that have nothing under way and have not asked for long."""
    kept = {each: share for each, share in usage.campaigns.items() if share.in_flight or _asks(share, ASKED, now)}
    return usage if len(kept) == len(usage.campaigns) else replace(usage, campaigns=kept)


def under_way(usages: Mapping[str, Usage], campaign_id: str) -> dict[str, int]:
    """A campaign's calls under way that count in accounts, by provider."""
    counted = {provider: usage.campaigns.get(campaign_id, Share()).in_flight for provider, usage in usages.items()}
    return {provider: number for provider, number in counted.items() if number}
