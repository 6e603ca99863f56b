"""The pacer: a campaign's mailbox, one batch at a time. It books what happened, claims who is next, ends the campaign.

A round reads the campaign and the calls its messages are about, decides, and writes everything in one transaction
where it fits: the calls, the phones they let go, and the campaign's counters. Every write is conditional on what was
read, so a round that dies anywhere can simply be run again.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import agents, clock, ids
from chalicelib.agents import failover, health, limits
from chalicelib.agents import store as usages
from chalicelib.agents.health import Health, Said, Verdict
from chalicelib.agents.limits import Limits, Usage
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import TRANSACTION_LIMIT, Cancelled, Transaction, chunks
from chalicelib.calls import store
from chalicelib.calls.model import ANSWERED, ANY_ZONE, Attempt, Call, CallState, CallStatus
from chalicelib.calls.store import Candidate
from chalicelib.campaigns import hours, schedule
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Audit, Remove, Wake, wake, work
from chalicelib.campaigns.model import IN_FLIGHT, WAITING, Campaign, CampaignStatus, counter_of
from chalicelib.contacts import store as contacts
from chalicelib.dialing import policy, silence
from chalicelib.dialing.messages import Ask, CallEvent, Dial, Ended, Event, Heard, dial
from chalicelib.errors import Conflict, NotFound
from chalicelib.log import correlated, logger, measure
from chalicelib.organizations.model import Organization, OrganizationSettings
from chalicelib.settings import settings

CHUNK = 40
"""Calls booked in one transaction: each takes two writes, which leaves room to claim as many more."""

SWEEP = 200
"""Overdue leases, or the last calls of a campaign with many zones, looked at in one round."""

STEPS = 60
"""Transactions of one round; a round that needs more is delivered again."""

AGAIN = timedelta(minutes=1)
"""After so long a queue that takes no orders is tried again."""

EMPTY_AT_START = "The start time came while the campaign had no contacts."

CALLBACK_TOLD_LATE = (
    "A contact asked to be called back, which was reported after the campaign's end: redial CALLBACK_REQUESTED."
)

RUNNING, PAUSED, COMPLETED = CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.COMPLETED

Now = Callable[[], datetime]


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


class Sign(Struct, frozen=True):
    """What an event says of one of the campaign's agents.

    `waits`: whether it answers with results, where the event shows that.
    """

    agent: int
    said: Said
    waits: bool | None = None


class Booking(Struct, frozen=True):
    """A call as it was read, as it will be, and what that tells of the agents."""

    old: Call
    new: Call
    signs: Sequence[Sign] = ()


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


class Round(Struct):
    """What is remembered from one step of a round to the next."""

    stale: set[str] = msgspec.field(default_factory=set)
    """Candidates that turned out not to be waiting."""

    asked: set[str | None] = msgspec.field(default_factory=set)
    """Attempts that agents were asked after."""

    refused: bool = False
    """Whether the dial queue took no orders: nobody else is claimed for it."""

    interrupted: bool = False
    """Whether an earlier one may have died between its claims and their orders."""


def handle(records: Iterable[dict[str, Any]], *, now: Now = clock.now) -> list[str]:
    """Handle a batch of SQS records of any campaigns. Returns the message ids to be delivered again."""
    mailboxes: dict[tuple[str, str], list[tuple[str, Event]]] = defaultdict(list)
    failed = []
    interrupted = set()
    for record in records:
        try:
            event = sqs.decode(record["body"], Event)
        except msgspec.DecodeError:
            logger().exception("not a campaign event", messageId=record["messageId"])
            failed.append(record["messageId"])
        else:
            mailboxes[event.organization_id, event.campaign_id].append((record["messageId"], event))
            if int(record["attributes"]["ApproximateReceiveCount"]) > 1:
                interrupted.add((event.organization_id, event.campaign_id))
    for (organization_id, campaign_id), mail in mailboxes.items():
        again = (organization_id, campaign_id) in interrupted
        try:
            with correlated(sqs.parts_of(event for _, event in mail)):
                pace(organization_id, campaign_id, [event for _, event in mail], now=now, interrupted=again)
        except Exception:  # noqa: BLE001 (it must not hold up other campaigns)
            logger().exception("campaign not paced", organizationId=organization_id, campaignId=campaign_id)
            failed.extend(message_id for message_id, _ in mail)
    return failed


def pace(
    organization_id: str,
    campaign_id: str,
    events: Sequence[Event],
    *,
    now: Now = clock.now,
    interrupted: bool = False,
) -> None:
    """One round of a campaign. Doing it again, or twice at once, changes nothing more. `interrupted`: see Round."""
    if organization_id.endswith(campaigns.DELETED):
        owner = organization_id.removesuffix(campaigns.DELETED)
        return work(Remove(organization_id=owner, campaign_id=campaign_id))
    this = Round(interrupted=interrupted)
    for _ in range(STEPS):
        try:
            campaign, own = campaigns.find_with_settings(organization_id, campaign_id)
        except NotFound:
            _bar(organization_id, _asking(events), now())
            return None
        try:
            if this.interrupted:
                _order_again(campaign, this, now)
            more = _step(_start_if_due(campaign, now()), own, [*events, *_kept_news(campaign)], this, now())
        except Conflict:
            continue
        if not more:
            return None
    raise Conflict


def _kept_news(campaign: Campaign) -> Iterator[Event]:
    """What no queue took; see `telling`."""
    for news in store.news_of(campaign.news) if campaign.news else ():
        try:
            yield sqs.decode(news, Event)
        except msgspec.DecodeError:
            logger().exception("news of an attempt not read", campaignId=campaign.campaign_id)


def _step(campaign: Campaign, own: Organization, events: Sequence[Event], this: Round, now: datetime) -> bool:
    """Write one transaction's worth of what there is to do. Returns whether there may be more.

    Raises Conflict when something moved in between.
    """
    woken = any(isinstance(event, Wake) for event in events)
    _bar(campaign.organization_id, _unknown(campaign, _asking(events)), now)
    bookings = _decide(campaign, own, events, sweep=woken, now=now)
    fitting = next(chunks(bookings, CHUNK, lambda booking: booking.new.weight), [])
    more, bookings = len(bookings) > len(fitting), _asked(campaign, fitting, this, now)
    for booking in bookings:
        _tell_contact(booking)
    changes = _agent_changes(campaign, own, bookings, now)
    before = _accounts(campaign, own, bookings)
    look = _look(replace(campaign, **changes), own, bookings, before, this, now)
    accounts = _used(campaign, before, look, now)
    news = set() if more else campaign.news
    try:
        campaign = _write(campaign, bookings, look, changes, now, news=news, accounts=accounts)
    except Cancelled as cancelled:
        this.stale |= {claim.contact_id for claim in look.claims} & cancelled.failed.keys()
        raise
    _measure(campaign, bookings, look.claims, is_down="status" in changes or health.away(campaign.health, now))
    store.forget_news(news)
    for delay, claims in itertools.groupby(look.claims, key=lambda claim: claim.delay_seconds):
        _dial(campaign, [_order(campaign, claim) for claim in claims], this, lambda: now, delay_seconds=delay)
    _wake_next(campaign, accounts, now)
    if _is_over(campaign, now):
        if campaigns.complete(campaign, at=now):
            work(Audit(organization_id=campaign.organization_id, campaign_id=campaign.campaign_id))
        return False
    return more or look.more


def _asked(campaign: Campaign, bookings: Sequence[Booking], this: Round, now: datetime) -> list[Booking]:
    """Have agents asked after calls that are silent for too long; what is to be booked then.

    They are asked before it is booked that they were: once more than needed costs nothing, and never being asked a
    result. Those that no queue takes are looked at again soon.
    """
    silent = [each for each in bookings if _is_silent(each, now)]
    if not silent:
        return list(bookings)
    questions = {each.old.attempt_id: _question(each.old) for each in silent if each.old.attempt_id not in this.asked}
    try:
        dial(campaign.organization_id, questions.values())
    except sqs.SendFailed:
        this.refused = True
        return [each for each in bookings if each not in silent]
    this.asked |= questions.keys()
    return list(bookings)


def _is_silent(booking: Booking, now: datetime) -> bool:
    return (booking.old.due_at or "") <= clock.stamp(now) and policy.is_asked_after(booking.old, booking.new)


def _question(call: Call) -> Ask:
    return Ask(
        organization_id=call.organization_id,
        campaign_id=call.campaign_id,
        contact_id=call.contact_id,
        attempt_id=call.attempt_id or "",
        correlation_id=call.attempt_id or "",
        provider=call.provider or "",
        ordered_at=call.started_at or "",
        unsure=call.unsure,
    )


def _measure(campaign: Campaign, bookings: Sequence[Booking], claims: Sequence[Claim], *, is_down: bool) -> None:
    """Tell what a step has done, and where the campaign stands then."""
    if not bookings and not claims and not is_down:
        return
    of = {"organizationId": campaign.organization_id, "campaignId": campaign.campaign_id}
    ended: dict[tuple[str, CallStatus], list[str]] = defaultdict(list)
    for booking in bookings:
        for attempt in booking.new.attempts[len(booking.old.attempts) :]:
            ended[attempt.provider or campaign.agent.provider, attempt.call_status].append(attempt.attempt_id)
    for (provider, status), attempts in ended.items():
        counts = {"CallsEnded": len(attempts), "CallsAnswered": len(attempts) if status in ANSWERED else 0}
        about = {"provider": provider, "outcome": status.value}
        measure("calls ended", counts, about, **of, attemptIds=attempts)
    taken = {"CapOccupancy": 100 * campaign.in_flight / campaign.max_concurrent_calls, "AgentDown": int(is_down)}
    measure(
        "campaign paced",
        taken,
        {"provider": campaign.agent.provider},
        **of,
        claimed=[each.attempt_id for each in claims],
    )


def _accounts(campaign: Campaign, own: Organization, bookings: Sequence[Booking]) -> dict[str, Account]:
    """The accounts with limits that the campaign's calls count in, or will; as they are after the bookings."""
    gone = Counter(each.old.counted for each in bookings if each.old.counted and not each.new.counted)
    bounds = {name: limits.of(own.agents[name]) for name in _providers(campaign) if name in own.agents}
    wanted = {name for name, each in bounds.items() if each.are_set} | gone.keys()
    accounts = {}
    for provider, usage in usages.usages(campaign.organization_id, sorted(wanted)).items():
        after = limits.left(usage, campaign.campaign_id, gone[provider]) if gone[provider] else usage
        for until in _wanted_no_calls_before(campaign, bookings, provider):
            after = limits.slowed(after, until)
        accounts[provider] = Account(bounds.get(provider, Limits()), usage, after)
    return accounts


def _wanted_no_calls_before(campaign: Campaign, bookings: Sequence[Booking], provider: str) -> Iterator[datetime]:
    """Moments before which a provider said that it wants no calls."""
    for sign in itertools.chain.from_iterable(booking.signs for booking in bookings):
        if sign.said.again_at and _providers(campaign)[sign.agent] == provider:
            yield clock.moment(sign.said.again_at)


def _used(campaign: Campaign, accounts: Accounts, look: Look, now: datetime) -> Accounts:
    """Accounts after a look's claims, and whether the campaign wants more of them."""
    given = Counter(claim.counted for claim in look.claims)
    used = {}
    for provider, account in accounts.items():
        short = provider in look.short
        after = limits.taken(
            account.new, account.limits, campaign.campaign_id, given[provider], wants_more=short, now=now
        )
        used[provider] = replace(account, new=limits.tidied(after, now))
    return used


def _wake_next(campaign: Campaign, accounts: Accounts, now: datetime) -> None:
    """Have the campaign look whose turn it is, where an account has room. It would within a minute."""
    for account in accounts.values():
        waiting = limits.wanting(account.new, campaign.campaign_id, now)
        if waiting and limits.room(account.new, account.limits, now) != 0:
            wake(campaign.organization_id, waiting[0])


def _dial(campaign: Campaign, orders: Sequence[Dial], this: Round, now: Now, *, delay_seconds: int = 0) -> None:
    """Order claimed calls; those the queue does not take wait again at once, and not only when their leases run out."""
    try:
        dial(campaign.organization_id, orders, delay_seconds=delay_seconds)
    except sqs.SendFailed:
        this.refused = True
        _give_back(campaign, orders, now)


def _give_back(campaign: Campaign, orders: Sequence[Dial], now: Now) -> None:
    """Let calls whose orders were not taken wait again, whatever else becomes of the campaign meanwhile.

    Raises Conflict when that never stands still.
    """
    leases = {order.contact_id: order.lease for order in orders}
    for _ in range(STEPS):
        queued = [
            call
            for call in store.find_many(campaign.campaign_id, leases).values()
            if call.state is CallState.QUEUED and call.lease == leases[call.contact_id]
        ]
        if not queued:
            return
        at = now()
        bookings = [Booking(call, call.waiting(at, now=at)) for call in queued[:CHUNK]]
        try:
            campaign, own = campaigns.find_with_settings(campaign.organization_id, campaign.campaign_id)
            accounts = _accounts(campaign, own, bookings)
            _write(campaign, bookings, Look(next_due=at + AGAIN), {}, at, accounts=accounts)
        except Conflict:
            continue
    raise Conflict


def _order_again(campaign: Campaign, this: Round, now: Now) -> None:
    """Order once more whatever is claimed: an order that is there twice is carried out once."""
    flying = store.in_flight(campaign.campaign_id, SWEEP) if campaign.in_flight else []
    calls = store.find_many(campaign.campaign_id, [each.contact_id for each in flying]) if flying else {}
    queued = [call for call in calls.values() if call.state is CallState.QUEUED]
    lease = policy.queue_lease(_held_seconds(campaign))
    moments = {call.contact_id: policy.delay_seconds(call, lease, now()) for call in queued}
    queued.sort(key=lambda call: moments[call.contact_id])
    for delay, some in itertools.groupby(queued, key=lambda call: moments[call.contact_id]):
        _dial(campaign, [_order(campaign, call) for call in some], this, now, delay_seconds=delay)
    this.interrupted = False


def _is_over(campaign: Campaign, now: datetime) -> bool:
    return campaign.is_idle and not campaign.is_filling(now) and campaign.status in (RUNNING, PAUSED)


def _agent_changes(
    campaign: Campaign,
    own: OrganizationSettings,
    bookings: Sequence[Booking],
    now: datetime,
) -> dict[str, Any]:
    """What the agents' answers, and their silence, change of the campaign: their health, at worst its status."""
    after = [_health_after(campaign, place, bookings, now) for place in range(len(campaign.agents))]
    changes = _health_changes(campaign, after)
    moved = _moved(campaign, _moves(bookings))
    filling = schedule.filling(moved, now)
    reason = campaign.status_reason
    if campaign.status is RUNNING:
        pause = failover.pause_reason(_providers(campaign), after, now)
        changes |= {"status": PAUSED} if pause else {}
        never = schedule.never_open(campaign, own.timezone, now)
        trouble = failover.trouble(_providers(campaign), after, moved.in_flight, now)
        reason = pause or trouble or never or filling
    elif campaign.status is COMPLETED and any(map(_asks_to_be_called_back, bookings)):
        reason = CALLBACK_TOLD_LATE
    elif reason in (None, schedule.FILLING):
        reason = filling
    return changes if reason == campaign.status_reason else changes | {"status_reason": reason}


def _health_after(campaign: Campaign, place: int, bookings: Sequence[Booking], now: datetime) -> Health:
    """An agent's health after what bookings tell of it."""
    signs = [each for booking in bookings for each in booking.signs if each.agent == place]
    said = sorted((each.said for each in signs), key=lambda each: each.at)
    silent = [each.old for each in bookings if _ran_out(each) and each.old.agent == place]
    after = health.after(
        campaign.healths[place],
        _since_start(campaign, [*said, *(Said(Verdict.SILENT, at=call.started_at or "") for call in silent)]),
        cap=campaign.max_concurrent_calls,
        in_flight=campaign.in_flight,
        now=now,
    )
    return replace(after, waits=_waits(after, signs))


def _since_start(campaign: Campaign, said: Iterable[Said]) -> list[Said]:
    """What was said of an agent since the campaign was started last; silence counts from when the call was placed."""
    since = campaign.resumed_at or ""
    return [each for each in said if not each.at or each.at >= since]


def _health_changes(campaign: Campaign, after: Sequence[Health]) -> dict[str, Any]:
    """What of a campaign changes with the health of its agents."""
    first, *others = after
    changes: dict[str, Any] = {} if first == campaign.health else {"health": first}
    return changes if others == campaign.healths[1:] else changes | {"fallback_healths": others}


def _providers(campaign: Campaign) -> list[str]:
    return [each.provider for each in campaign.agents]


def _waits(known: Health, signs: Iterable[Sign]) -> bool | None:
    """Whether the agent answers with results. One that has done so once may do it again."""
    shown = {each.waits for each in signs}
    return True if known.waits or True in shown else False if False in shown else known.waits


def _ran_out(booking: Booking) -> bool:
    """Whether an attempt ended because nobody reported it in time."""
    last = booking.new.attempts[-1] if len(booking.new.attempts) > len(booking.old.attempts) else None
    return last is not None and last.presumed and (last.outcome or "").startswith(policy.NO_RESULT)


def _asks_to_be_called_back(booking: Booking) -> bool:
    """Whether it has become known of a call that has ended that its contact asked for another."""
    old, new = booking.old, booking.new
    asked = new.call_status is CallStatus.CALLBACK_REQUESTED
    return asked and (old.call_status is not new.call_status or old.attempts[-1].callback_at is None)


def _start_if_due(campaign: Campaign, now: datetime) -> Campaign:
    """A scheduled campaign whose time has come runs, or says why it does not."""
    if campaign.status is not CampaignStatus.PENDING or not campaign.scheduled_at:
        return campaign
    if clock.moment(campaign.scheduled_at) > now:
        return campaign
    if not campaign.total and not campaign.is_filling(now):
        changes = {"status_reason": EMPTY_AT_START, "scheduled_at": None, "wake_at": None}
        return campaigns.change(campaign, changes, at=now)
    return campaigns.change(campaign, schedule.started(campaign, now), at=now)


def _decide(
    campaign: Campaign, own: OrganizationSettings, events: Sequence[Event], *, sweep: bool, now: datetime
) -> list[Booking]:
    """What the events, and with `sweep` the leases that ran out, make of their calls."""
    about = [_placed(campaign, own, event, now) for event in events if not isinstance(event, Wake)]
    overdue = store.in_flight(campaign.campaign_id, SWEEP, overdue=now) if sweep and campaign.in_flight else []
    concerned = [each.contact_id for each in [*about, *overdue]]
    old = store.find_many(campaign.campaign_id, concerned) if concerned else {}
    new = dict(old)
    signs: dict[str, list[Sign]] = defaultdict(list)
    for event in about:
        call = new.get(event.contact_id)
        if call and (after := policy.after(call, event, campaign.retry, now=now, over=campaign.status is COMPLETED)):
            new[event.contact_id] = after
            signs[event.contact_id] += _signs(campaign, call, event)
    for each in overdue:
        if call := new.get(each.contact_id):
            new[each.contact_id] = policy.expired(call, now=now) or call
    return [
        Booking(old[contact_id], call, signs[contact_id])
        for contact_id, call in new.items()
        if call is not old[contact_id]
    ]


def _placed(campaign: Campaign, own: OrganizationSettings, event: CallEvent, now: datetime) -> CallEvent:
    """An event; the moment its result names is one of the contact's clock, where it says no zone."""
    if not isinstance(event, Ended) or not (local := event.result.callback_at) or not hours.is_local(local):
        return event
    try:
        person = contacts.find(campaign.organization_id, event.contact_id)
    except NotFound:
        person = None
    zone = hours.home(campaign.calling_hours, person, own.timezone, now)
    return replace(event, result=replace(event.result, callback_at=hours.placed(local, zone)))


def _signs(campaign: Campaign, call: Call, event: CallEvent) -> Iterator[Sign]:
    """What an event that changes a call says of who placed it."""
    if said := policy.said(call, event):
        waits = None
        if isinstance(event, Ended) and event.waited:
            waits = True
        elif isinstance(event, Heard) and said.verdict is Verdict.TAKEN:
            waits = False
        yield Sign(policy.placed_by(call, event.attempt_id, _providers(campaign)), said, waits)


def _tell_contact(booking: Booking) -> None:
    """The contact shows the attempt that ended last, and is barred when it asks; before the booking, so repeatable.

    Its phone, which may have rung on for an attempt that was cancelled, is free when that is reported after all.

    Each attempt bars once: a report that comes again later does not undo what a person has decided since.
    """
    barred = {attempt.attempt_id for attempt in booking.old.attempts if attempt.do_not_call}
    presumed = {attempt.attempt_id for attempt in booking.old.attempts if attempt.presumed}
    for attempt in booking.new.attempts:
        if attempt.do_not_call and attempt.attempt_id not in barred:
            contacts.bar(booking.new.organization_id, booking.new.contact_id, at=booking.new.updated_at)
        if not attempt.presumed and attempt.attempt_id in presumed and booking.new.phone:
            contacts.silence(booking.new.organization_id, booking.new.phone, attempt.attempt_id)
        if attempt not in booking.old.attempts and not _only_shortened(attempt, booking.old):
            contacts.note_call(
                booking.new.organization_id,
                booking.new.contact_id,
                attempt.attempt_id,
                outcome=attempt.outcome,
                at=attempt.ended_at,
            )


def _asking(events: Iterable[Event]) -> list[Ended]:
    """The events by which contacts ask never to be called again."""
    return [event for event in events if isinstance(event, Ended) and event.result.do_not_call]


def _unknown(campaign: Campaign, events: Sequence[Ended]) -> list[Ended]:
    """Those whose attempt no call of the campaign has any more, so that nothing of them is booked."""
    calls = store.find_many(campaign.campaign_id, [event.contact_id for event in events]) if events else {}
    return [event for event in events if not _has(calls.get(event.contact_id), event.attempt_id)]


def _has(call: Call | None, attempt_id: str) -> bool:
    return call is not None and attempt_id in (call.attempt_id, *(each.attempt_id for each in call.attempts))


def _bar(organization_id: str, events: Iterable[Ended], now: datetime) -> None:
    """Bar whoever asked for that in a call of which nothing is kept, each time that it is told."""
    for event in events:
        contacts.bar(organization_id, event.contact_id, at=clock.stamp(now))


def _only_shortened(attempt: Attempt, old: Call) -> bool:
    """Whether all that changed of an attempt is its summary, which the contact does not show."""
    return any(replace(each, summary=attempt.summary) == attempt for each in old.attempts)


def _look(
    campaign: Campaign,
    own: OrganizationSettings,
    bookings: Sequence[Booking],
    accounts: Accounts,
    this: Round,
    now: datetime,
) -> Look:
    """Who is next, as far as there are slots, accounts bear it and the transaction has room."""
    moves = _moves(bookings)
    in_flight = campaign.in_flight + moves[IN_FLIGHT]
    shares = failover.shares(campaign.healths, cap=_cap(campaign, now), in_flight=in_flight, now=now)
    if campaign.status is not RUNNING or not campaign.waiting + moves[WAITING]:
        return Look()
    if own.calling_paused:
        return Look(next_due=now + schedule.LONGEST_SLEEP)
    if this.refused:
        return Look(next_due=now + AGAIN)
    if not shares:
        again = failover.next_try(campaign.healths, now)
        return Look(next_due=again if again > now else None)
    limit = min(len(shares), TRANSACTION_LIMIT - 2 - 2 * len(bookings) - len(accounts))
    changing = this.stale | {booking.old.contact_id for booking in bookings}
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
        asked = Counter(_providers(campaign)[agent] for agent in wanted)
        asked.subtract(_providers(campaign)[claim.agent] for claim in claims)
        return Look(claims, min([*later, now + AGAIN]), short=+asked)
    again_now = any(_waits_now(booking.new, now) for booking in bookings)
    more = len(claims) < len(shares) and (len(due) > limit or again_now)
    return Look(claims, min(later, default=None), more)


def _given(
    campaign: Campaign, accounts: Accounts, wanted: Sequence[int], now: datetime
) -> list[tuple[int, str | None, int]]:
    """Which of the calls that could be claimed now their agents' accounts bear: whose, where it counts, its delay."""
    providers = _providers(campaign)
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


def _held_seconds(campaign: Campaign) -> float:
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
        everywhere = store.waiting_anywhere(campaign.campaign_id, SWEEP)
        found = [each for zone in open_ for each in everywhere.get(zone, ())]
    else:
        found = [each for zone in open_ for each in store.waiting(campaign.campaign_id, zone, limit)]
    return sorted(found, key=lambda each: each.due_at), closed_until


def _write(
    campaign: Campaign,
    bookings: Sequence[Booking],
    look: Look,
    changes: dict[str, Any],
    now: datetime,
    *,
    news: Collection[str] = (),
    accounts: Accounts,
) -> Campaign:
    """Write a step in one transaction, with which pieces of `news` it is done; the campaign as it is then.

    Raises Conflict when anything moved in between.
    """
    moves = _moves(bookings)
    moves.update({WAITING: -len(look.claims), IN_FLIGHT: len(look.claims)})
    given = Counter(claim.agent for claim in look.claims)
    heard = replace(campaign, **changes)
    probed = [health.probed(each, given[place], now) for place, each in enumerate(heard.healths)]
    changes = changes | _health_changes(heard, probed)
    after = _moved(replace(campaign, **changes), moves)
    lease = clock.later(policy.queue_lease(_held_seconds(campaign)), than=now)
    next_lease = _next_look(campaign, after, bookings, look, now)
    wake_at = schedule.next_wake(after, next_lease=next_lease, next_due=look.next_due, now=now)
    changes = changes if wake_at == campaign.wake_at else changes | {"wake_at": wake_at}
    if not bookings and not look.claims and not news:
        _ask_for_room(campaign, accounts)
        no_news = campaigns.no_news_since(campaign)
        return campaigns.change(campaign, changes, condition=no_news, at=now) if changes else campaign
    transaction = Transaction()
    for booking in bookings:
        store.swap(transaction, booking.old, booking.new)
    for claim in look.claims:
        store.claim_for_dialing(
            transaction,
            campaign.campaign_id,
            claim.candidate,
            claim.attempt_id,
            lease + timedelta(seconds=claim.delay_seconds),
            agent=claim.agent,
            counted=claim.counted,
            now=now,
        )
    for provider, account in accounts.items():
        if account.new != account.old:
            usages.move(transaction, campaign.organization_id, provider, account.old, account.new)
    changes = changes | {"updated_at": clock.stamp(now)}
    if told := [booking.new.next_write for booking in bookings if booking.new.is_told(booking.old)]:
        changes["last_writes"] = told
    zones = {booking.new.zone for booking in bookings} - {ANY_ZONE}
    campaigns.move(transaction, campaign, moves, changes, claims=len(look.claims), zones=zones, news=news)
    transaction.commit()
    return replace(after, **changes, news=campaign.news - set(news))


def _ask_for_room(campaign: Campaign, accounts: Accounts) -> None:
    """Note in accounts that the campaign wants calls of them, where that is all that changes. It may ask again."""
    for provider, account in accounts.items():
        if account.new != account.old:
            with contextlib.suppress(Conflict):
                usages.change(campaign.organization_id, provider, account.old, account.new)


def _moves(bookings: Sequence[Booking]) -> Counter[str]:
    """What bookings do to the campaign's counters: every call leaves one and enters another."""
    moves: Counter[str] = Counter()
    for booking in bookings:
        moves[counter_of(booking.old)] -= 1
        moves[counter_of(booking.new)] += 1
    return moves


def _moved(campaign: Campaign, moves: Counter[str]) -> Campaign:
    """A campaign with its counters moved."""
    return replace(campaign, **{name: getattr(campaign, name) + n for name, n in moves.items()})


def _next_look(
    before: Campaign, after: Campaign, bookings: Sequence[Booking], look: Look, now: datetime
) -> datetime | None:
    """When the first of the calls in flight is to be looked at, as far as is known.

    A wake that is still to come stands for those that were in flight before, and saves the query.
    """
    flying = [each.new for each in bookings if counter_of(each.new) == IN_FLIGHT]
    moments = [clock.moment(call.due_at) for call in flying if call.due_at]
    if look.claims:
        moments.append(clock.later(_look_seconds(before), than=now))
    if after.in_flight > len(look.claims) + len(flying):
        if before.wake_at and before.wake_at > clock.minute(now):
            moments.append(clock.moment(before.wake_at + "Z"))
        elif first := store.in_flight(after.campaign_id, 1):
            moments.append(clock.moment(first[0].due_at))
    return min(moments, default=None)


def _look_seconds(campaign: Campaign) -> float:
    """Seconds from now in which nothing is to be done about a call that is claimed now."""
    lease, timeout = policy.queue_lease(_held_seconds(campaign)), campaign.call_timeout_seconds
    asked = [choice for choice in campaign.agents if agents.can_be_asked(choice.provider)]
    return min([lease, *(silence.first_look(timeout, choice.max_duration_seconds, timeout) for choice in asked)])


def _order(campaign: Campaign, claimed: Claim | Call) -> Dial:
    return Dial(
        organization_id=campaign.organization_id,
        campaign_id=campaign.campaign_id,
        contact_id=claimed.contact_id,
        attempt_id=claimed.attempt_id or "",
        correlation_id=claimed.attempt_id or "",
        lease=claimed.lease,
        agent=claimed.agent,
        call_timeout_seconds=campaign.call_timeout_seconds,
    )
