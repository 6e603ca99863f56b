"""What events, and leases that run out, make of a campaign's calls.

A booking is decided from the call as it was read; whoever writes it does so only while the call is that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.agents.health import Said, Verdict
from chalicelib.calls import store
from chalicelib.calls.model import Attempt, Call
from chalicelib.campaigns import hours
from chalicelib.campaigns.messages import Wake
from chalicelib.campaigns.model import Campaign, CampaignStatus, counter_of
from chalicelib.contacts import store as contacts
from chalicelib.dialing import policy
from chalicelib.dialing.messages import CallEvent, Ended, Event, Heard
from chalicelib.errors import NotFound
from chalicelib.organizations.model import OrganizationSettings

SWEEP = 200
"""Calls in flight, or the last ones that wait, looked at in one round."""


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


def decide(
    campaign: Campaign, own: OrganizationSettings, events: Sequence[Event], *, sweep: bool, now: datetime
) -> list[Booking]:
    """What the events, and with `sweep` the leases that ran out, make of their calls."""
    about = [_placed(campaign, own, event, now) for event in events if not isinstance(event, Wake)]
    overdue = store.in_flight(campaign.campaign_id, SWEEP, overdue=now) if sweep and campaign.in_flight else []
    concerned = [each.contact_id for each in [*about, *overdue]]
    old = store.find_many(campaign.campaign_id, concerned) if concerned else {}
    new, over = dict(old), campaign.status is CampaignStatus.COMPLETED
    signs: dict[str, list[Sign]] = defaultdict(list)
    for event in about:
        call = new.get(event.contact_id)
        if call and (after := policy.after(call, event, campaign.retry, now=now, over=over)):
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
        yield Sign(policy.placed_by(call, event.attempt_id, campaign.providers), said, waits)


def tell_contact(booking: Booking) -> None:
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


def _only_shortened(attempt: Attempt, old: Call) -> bool:
    """Whether all that changed of an attempt is its summary, which the contact does not show."""
    return any(replace(each, summary=attempt.summary) == attempt for each in old.attempts)


def asking(events: Iterable[Event]) -> list[Ended]:
    """The events by which contacts ask never to be called again."""
    return [event for event in events if isinstance(event, Ended) and event.result.do_not_call]


def unknown(campaign: Campaign, events: Sequence[Ended]) -> list[Ended]:
    """Those whose attempt no call of the campaign has any more, so that nothing of them is booked."""
    calls = store.find_many(campaign.campaign_id, [event.contact_id for event in events]) if events else {}
    return [event for event in events if not _has(calls.get(event.contact_id), event.attempt_id)]


def _has(call: Call | None, attempt_id: str) -> bool:
    return call is not None and attempt_id in (call.attempt_id, *(each.attempt_id for each in call.attempts))


def bar(organization_id: str, events: Iterable[Ended], now: datetime) -> None:
    """Bar whoever asked for that in a call of which nothing is kept, each time that it is told."""
    for event in events:
        contacts.bar(organization_id, event.contact_id, at=clock.stamp(now))


def moves(bookings: Sequence[Booking]) -> Counter[str]:
    """What bookings do to the campaign's counters: every call leaves one and enters another."""
    moves: Counter[str] = Counter()
    for booking in bookings:
        moves[counter_of(booking.old)] -= 1
        moves[counter_of(booking.new)] += 1
    return moves


def moved(campaign: Campaign, moves: Counter[str]) -> Campaign:
    """A campaign with its counters moved."""
    return replace(campaign, **{name: getattr(campaign, name) + n for name, n in moves.items()})
