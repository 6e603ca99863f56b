"""Which of a campaign's waiting calls are claimed next: as its slots, its agents and their accounts bear it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import agents, clock, ids
from chalicelib.agents import failover, limits
from chalicelib.agents import store as usages
from chalicelib.agents.limits import Limits, Usage
from chalicelib.aws.dynamodb import TRANSACTION_LIMIT
from chalicelib.calls import store
from chalicelib.calls.model import ANY_ZONE, Call, CallState
from chalicelib.calls.store import Candidate
from chalicelib.campaigns import hours, schedule
from chalicelib.campaigns.model import IN_FLIGHT, WAITING, Campaign, CampaignStatus
from chalicelib.dialing import ledger
from chalicelib.dialing.ledger import Booking
from chalicelib.organizations.model import Organization, OrganizationSettings
from chalicelib.settings import settings

AGAIN = timedelta(minutes=1)
"""After so long an account that has no room, or a queue that takes no orders, is tried again."""


class Claim(Struct, frozen=True):
    """A candidate, the attempt it is claimed for, and which of the campaign's agents is to make it, after a delay.

    `counted` is the provider in whose account's limits it counts.
    """

    candidate: Candidate
    attempt_id: str
    agent: int
    counted: str | None = None
    delay_seconds: int = 0

    @property
    def contact_id(self) -> str:
        return self.candidate.contact_id

    @property
    def lease(self) -> int:
        return self.candidate.lease + 1


class Account(Struct, frozen=True):
    """An organization's account with a provider: its limits, what was made of it as it was read, and as it will be."""

    limits: Limits
    old: Usage
    new: Usage


Accounts = Mapping[str, Account]
"""Those accounts with limits that a step is about, by provider."""


class Look(Struct, frozen=True):
    """What a look at the waiting calls found: who is claimed, when the next is due, and whether there are more.

    `short` has the providers whose accounts' limits let fewer calls be claimed than there could be.
    """

    claims: Sequence[Claim] = ()
    next_due: datetime | None = None
    more: bool = False
    short: Collection[str] = ()


def accounts(campaign: Campaign, own: Organization, bookings: Sequence[Booking]) -> dict[str, Account]:
    """The accounts with limits that the campaign's calls count in, or will; as they are after the bookings."""
    gone = Counter(each.old.counted for each in bookings if each.old.counted and not each.new.counted)
    bounds = {name: limits.of(own.agents[name]) for name in campaign.providers if name in own.agents}
    wanted = {name for name, each in bounds.items() if each.are_set} | gone.keys()
    found = {}
    for provider, usage in usages.usages(campaign.organization_id, sorted(wanted)).items():
        after = limits.left(usage, campaign.campaign_id, gone[provider]) if gone[provider] else usage
        for until in _wanted_no_calls_before(campaign, bookings, provider):
            after = limits.slowed(after, until)
        found[provider] = Account(bounds.get(provider, Limits()), usage, after)
    return found


def _wanted_no_calls_before(campaign: Campaign, bookings: Sequence[Booking], provider: str) -> Iterator[datetime]:
    """Moments before which a provider said that it wants no calls."""
    for sign in itertools.chain.from_iterable(booking.signs for booking in bookings):
        if sign.said.again_at and campaign.providers[sign.agent] == provider:
            yield clock.moment(sign.said.again_at)


def used(campaign: Campaign, accounts: Accounts, look: Look, now: datetime) -> Accounts:
    """Accounts after a look's claims, and whether the campaign wants more of them."""
    given = Counter(claim.counted for claim in look.claims)
    after_claims = {}
    for provider, account in accounts.items():
        short = provider in look.short
        after = limits.taken(
            account.new, account.limits, campaign.campaign_id, given[provider], wants_more=short, now=now
        )
        after_claims[provider] = replace(account, new=limits.tidied(after, now))
    return after_claims


def look(
    campaign: Campaign,
    own: OrganizationSettings,
    bookings: Sequence[Booking],
    accounts: Accounts,
    now: datetime,
    *,
    stale: Collection[str],
    refused: bool,
) -> Look:
    """Who is next, as far as there are slots, accounts bear it and the transaction has room."""
    moves = ledger.moves(bookings)
    in_flight = campaign.in_flight + moves[IN_FLIGHT]
    shares = failover.shares(campaign.healths, cap=_cap(campaign, now), in_flight=in_flight, now=now)
    if campaign.status is not CampaignStatus.RUNNING or not campaign.waiting + moves[WAITING]:
        return Look()
    if own.calling_paused:
        return Look(next_due=now + schedule.LONGEST_SLEEP)
    if refused:
        return Look(next_due=now + AGAIN)
    if not shares:
        again = failover.next_try(campaign.healths, now)
        return Look(next_due=again if again > now else None)
    limit = min(len(shares), TRANSACTION_LIMIT - 2 - 2 * len(bookings) - len(accounts))
    changing = set(stale) | {booking.old.contact_id for booking in bookings}
    found, closed_until = _waiting(campaign, own, limit + len(changing) + 1, now)
    due = [each for each in found if each.contact_id not in changing and each.due_at <= clock.stamp(now)]
    later = [clock.moment(each.due_at) for each in found if each.due_at > clock.stamp(now)] + closed_until
    wanted = shares[: len(due[:limit])]
    given = _given(campaign, accounts, wanted, now)
    claims = [
        Claim(each, each.attempt_id or ids.new_id(), agent, counted, delay)
        for each, (agent, counted, delay) in zip(due, given, strict=False)
    ]
    if len(claims) < len(wanted):
        asked = Counter(campaign.providers[agent] for agent in wanted)
        asked.subtract(campaign.providers[claim.agent] for claim in claims)
        return Look(claims, min([*later, now + AGAIN]), short=+asked)
    again_now = any(_waits_now(booking.new, now) for booking in bookings)
    more = len(claims) < len(shares) and (len(due) > limit or again_now)
    return Look(claims, min(later, default=None), more)


def _given(
    campaign: Campaign, accounts: Accounts, wanted: Sequence[int], now: datetime
) -> list[tuple[int, str | None, int]]:
    """Which of the calls that could be claimed now their agents' accounts bear: whose, where it counts, its delay."""
    providers = campaign.providers
    moments: dict[str, Iterator[int]] = {}
    for provider, number in Counter(providers[agent] for agent in wanted).items():
        if (account := accounts.get(provider)) and account.limits.are_set:
            borne = limits.granted(account.new, account.limits, campaign.campaign_id, number, now)
            moments[provider] = iter(limits.delays(account.new, account.limits, borne, now))
    given: list[tuple[int, str | None, int]] = []
    for agent in wanted:
        provider = providers[agent]
        if provider not in moments:
            given.append((agent, None, 0))
        elif (delay := next(moments[provider], None)) is not None:
            given.append((agent, provider, delay))
    return given


def _cap(campaign: Campaign, now: datetime) -> int:
    """Calls at a time. While an agent holds its dialers, more than there are would only wait in the queue."""
    if _waits_seconds(campaign, failover.active(campaign.healths, now) or 0) is None:
        return campaign.max_concurrent_calls
    return min(campaign.max_concurrent_calls, settings().dialer_max_concurrency)


def _waits_seconds(campaign: Campaign, place: int) -> float | None:
    """How long a call holds its dialer at most, as far as is known; None where the agent reports results later."""
    always = agents.waits_seconds(campaign.agents[place].provider)
    may_wait = always is None and campaign.healths[place].waits is not False
    return settings().agent_timeout_seconds if may_wait else always


def held_seconds(campaign: Campaign) -> float:
    """How long a call of any campaign may hold its dialer, as far as is known."""
    waits = [_waits_seconds(campaign, place) or 0 for place in range(len(campaign.agents))]
    return max(settings().agent_timeout_seconds, *waits)


def _waits_now(call: Call, now: datetime) -> bool:
    return call.state is CallState.WAITING and call.due_at is not None and call.due_at <= clock.stamp(now)


def _waiting(
    campaign: Campaign, own: OrganizationSettings, limit: int, now: datetime
) -> tuple[list[Candidate], list[datetime]]:
    """Calls that wait where it is open now, in the order they are due; and when the closed zones open.

    A campaign keeps each zone that anybody ever waited in; where there are more of them than calls, it asks for those.
    """
    zones = sorted({ANY_ZONE, *campaign.zones})
    openings = {zone: hours.opening(campaign.calling_hours, now, zone, own.timezone) for zone in zones}
    open_ = [zone for zone in zones if openings[zone] == now]
    closed_until = [openings[zone] or now + schedule.LONGEST_SLEEP for zone in zones if zone not in open_]
    if 2 * (campaign.waiting + campaign.in_flight) < len(open_):
        everywhere = store.waiting_anywhere(campaign.campaign_id, ledger.SWEEP)
        found = [each for zone in open_ for each in everywhere.get(zone, ())]
    else:
        found = [each for zone in open_ for each in store.waiting(campaign.campaign_id, zone, limit)]
    return sorted(found, key=lambda each: each.due_at), closed_until
