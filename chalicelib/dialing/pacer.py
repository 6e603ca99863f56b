"""The pacer: a campaign's mailbox, one batch at a time. It books what happened, claims who is next, ends the campaign.

A round reads the campaign and the calls its messages are about, decides, and writes everything in one transaction
where it fits: the calls, the phones they let go, and the campaign's counters. Every write is conditional on what was
read, so a round that dies anywhere can simply be run again.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import agents, clock
from chalicelib.agents import failover, health, limits
from chalicelib.agents import store as usages
from chalicelib.agents.health import Health, Said, Verdict
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import Cancelled, Transaction, chunks
from chalicelib.calls import store
from chalicelib.calls.model import ANSWERED, ANY_ZONE, Call, CallState, CallStatus
from chalicelib.campaigns import schedule
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Audit, Remove, Wake, wake, work
from chalicelib.campaigns.model import IN_FLIGHT, WAITING, Campaign, CampaignStatus, counter_of
from chalicelib.dialing import claiming, ledger, policy, silence
from chalicelib.dialing.claiming import Accounts, Claim, Look
from chalicelib.dialing.ledger import Booking, Sign
from chalicelib.dialing.messages import Ask, Dial, Event, dial
from chalicelib.errors import Conflict, NotFound
from chalicelib.log import correlated, logger, measure
from chalicelib.organizations.model import Organization, OrganizationSettings

CHUNK = 40
"""Calls booked in one transaction: each takes two writes, which leaves room to claim as many more."""


STEPS = 60
"""Transactions of one round; a round that needs more is delivered again."""


EMPTY_AT_START = "The start time came while the campaign had no contacts."

CALLBACK_TOLD_LATE = (
    "A contact asked to be called back, which was reported after the campaign's end: redial CALLBACK_REQUESTED."
)

RUNNING, PAUSED, COMPLETED = CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.COMPLETED

Now = Callable[[], datetime]


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
            ledger.bar(organization_id, ledger.asking(events), now())
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
    ledger.bar(campaign.organization_id, ledger.unknown(campaign, ledger.asking(events)), now)
    bookings = ledger.decide(campaign, own, events, sweep=woken, now=now)
    fitting = next(chunks(bookings, CHUNK, lambda booking: booking.new.weight), [])
    more, bookings = len(bookings) > len(fitting), _asked(campaign, fitting, this, now)
    for booking in bookings:
        ledger.tell_contact(booking)
    changes = _agent_changes(campaign, own, bookings, now)
    before = claiming.accounts(campaign, own, bookings)
    look = claiming.look(
        replace(campaign, **changes), own, bookings, before, now, stale=this.stale, refused=this.refused
    )
    accounts = claiming.used(campaign, before, look, now)
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
            accounts = claiming.accounts(campaign, own, bookings)
            _write(campaign, bookings, Look(next_due=at + claiming.AGAIN), {}, at, accounts=accounts)
        except Conflict:
            continue
    raise Conflict


def _order_again(campaign: Campaign, this: Round, now: Now) -> None:
    """Order once more whatever is claimed: an order that is there twice is carried out once."""
    flying = store.in_flight(campaign.campaign_id, ledger.SWEEP) if campaign.in_flight else []
    calls = store.find_many(campaign.campaign_id, [each.contact_id for each in flying]) if flying else {}
    queued = [call for call in calls.values() if call.state is CallState.QUEUED]
    lease = policy.queue_lease(claiming.held_seconds(campaign))
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
    moved = ledger.moved(campaign, ledger.moves(bookings))
    filling = schedule.filling(moved, now)
    reason = campaign.status_reason
    if campaign.status is RUNNING:
        pause = failover.pause_reason(campaign.providers, after, now)
        changes |= {"status": PAUSED} if pause else {}
        never = schedule.never_open(campaign, own.timezone, now)
        trouble = failover.trouble(campaign.providers, after, moved.in_flight, now)
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
    moves = ledger.moves(bookings)
    moves.update({WAITING: -len(look.claims), IN_FLIGHT: len(look.claims)})
    given = Counter(claim.agent for claim in look.claims)
    heard = replace(campaign, **changes)
    probed = [health.probed(each, given[place], now) for place, each in enumerate(heard.healths)]
    changes = changes | _health_changes(heard, probed)
    after = ledger.moved(replace(campaign, **changes), moves)
    lease = clock.later(policy.queue_lease(claiming.held_seconds(campaign)), than=now)
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
    lease, timeout = policy.queue_lease(claiming.held_seconds(campaign)), campaign.call_timeout_seconds
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
