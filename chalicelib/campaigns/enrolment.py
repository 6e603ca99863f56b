"""Contacts become calls of a campaign, in transactions with its counters: repeating an enrolment adds nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock, ids
from chalicelib.agents import store as accounts
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import TRANSACTION_LIMIT, Cancelled, Paging, Transaction, chunks
from chalicelib.calls import store as calls
from chalicelib.calls.model import ANY_ZONE, Call, CallState
from chalicelib.campaigns import hours, messages, schedule, store
from chalicelib.campaigns.messages import Enrol, GivenUp, Redial
from chalicelib.campaigns.model import WAITING, WITHDRAWALS, Campaign, CampaignStatus, counter_of
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import Conflict, NotFound
from chalicelib.imports import store as imports

T = TypeVar("T")

CHUNK = TRANSACTION_LIMIT - 2
"""Calls in one transaction: beside them it holds the campaign and the organization's totals."""

PAGE = 500
"""Calls that a redial looks at in one request."""

RACES = 5

ORDER_RACES = 20
"""A request gives up to ten orders at once, and a worker begins each at about the same time."""

PATIENCE = timedelta(minutes=40)
"""Without progress for so long an order is lost: its next try is at most 15 minutes away, and 5 are made."""

UNTAKEN = timedelta(minutes=1)
"""After so long an order that no worker has looked at may be lost: an equal request is one of its own."""

FIRST_WAIT_SECONDS = 3
SLICE = 500
"""Contacts the worker enrols between two looks at the time."""


class Enrolled(Struct, frozen=True, rename="camel"):
    """What an enrolment came to."""

    added: int
    already_in_campaign: int
    not_found: list[str]
    total_contacts: int


def enrol(organization_id: str, campaign_id: str, contact_ids: Sequence[str], *, at: str, now: datetime) -> Enrolled:
    """Add contacts to a campaign, as was asked for `at` a moment: not those who were taken out of it since.

    Raises NotFound for the campaign; contacts that do not exist are reported.
    """
    wanted = list(dict.fromkeys(contact_ids))
    known = contacts.find_many(organization_id, wanted)
    present = [contact_id for contact_id in wanted if contact_id in known]
    store.find(organization_id, campaign_id)
    added = already = 0
    for start in range(0, len(present), CHUNK):
        some = [known[each] for each in present[start : start + CHUNK]]
        new, old = _add(organization_id, campaign_id, some, at, now)
        added, already = added + new, already + old
    campaign = store.find(organization_id, campaign_id)
    if added and campaign.status is CampaignStatus.RUNNING:
        messages.wake(organization_id, campaign_id)
    missing = [contact_id for contact_id in wanted if contact_id not in known]
    return Enrolled(added, already, missing, campaign.total)


def _add(organization_id: str, campaign_id: str, people: list[Contact], at: str, now: datetime) -> tuple[int, int]:
    """Add one transaction's worth of contacts; how many wait now, and how many are in the campaign already.

    Who was taken out since it was asked for is neither.
    """
    present: dict[str, Call] = {}
    already = 0
    while people:
        campaign = store.find(organization_id, campaign_id)
        people = _not_withdrawn(campaign, people, at)
        if not people:
            break
        new = [_new_call(campaign, contact, now) for contact in people if contact.contact_id not in present]
        back = [present[contact.contact_id] for contact in people if contact.contact_id in present]
        transaction = Transaction()
        for call in new:
            calls.enrol(transaction, call)
        moves = Counter({WAITING: len(new)})
        for call in back:
            moves.update(_return(transaction, call, now))
        own = {call.zone for call in [*new, *back]} - {ANY_ZONE}
        store.move(transaction, campaign, moves, _awakened(campaign, now), enrols=True, zones=own)
        try:
            transaction.commit()
        except Cancelled as cancelled:
            present |= {call.contact_id: call for call in _calls_in(cancelled)}
            absent = [each for each in people if each.contact_id not in present or present[each.contact_id].leaving]
            already += len(people) - len(absent)
            people = absent
        else:
            return moves[WAITING], already + len(people) - moves[WAITING]
    return 0, already


def _not_withdrawn(campaign: Campaign, people: list[Contact], at: str) -> list[Contact]:
    """Those who were not taken out of the campaign after a moment."""
    if not campaign.withdrawals:
        return people
    gone = calls.withdrawals(campaign.campaign_id, [contact.contact_id for contact in people])
    return [each for each in people if each.contact_id not in gone or gone[each.contact_id] < at]


def _calls_in(cancelled: Cancelled) -> list[Call]:
    """The calls because of which an enrolment was cancelled, as they are."""
    return [calls.of_image(image) for tag, image in cancelled.failed.items() if tag != "campaign" and image]


def _return(transaction: Transaction, call: Call, now: datetime) -> Counter[str]:
    """Add to a transaction that a contact who was taken out is back; what that does to the counters."""
    back = call.returned(now=now)
    calls.swap(transaction, call, back)
    moves = Counter({counter_of(back): 1})
    moves.subtract({counter_of(call): 1})
    return moves


def _new_call(campaign: Campaign, contact: Contact, now: datetime) -> Call:
    """A call of somebody new; its version was never one of a call that was taken out before."""
    at = clock.stamp(now)
    return Call(
        organization_id=campaign.organization_id,
        campaign_id=campaign.campaign_id,
        contact_id=contact.contact_id,
        version=int(now.timestamp() * 1000),
        due_at=at,
        updated_at=at,
        zone=hours.zone(campaign.calling_hours, contact, now),
    )


def withdraw(organization_id: str, campaign_id: str, contact_id: str, *, now: datetime) -> None:
    """Take a contact out of a campaign; a call under way ends normally and is the last, a result stays.

    Raises NotFound.
    """
    for _ in range(RACES):
        campaign = store.find(organization_id, campaign_id)
        call = calls.find(campaign_id, contact_id)
        if call.leaving:
            return None
        transaction = Transaction()
        moves = _take_out(transaction, call, now)
        calls.note_withdrawal(transaction, campaign_id, contact_id, now=now)
        store.move(transaction, campaign, moves, _looking(campaign, now))
        try:
            transaction.commit()
        except Cancelled:
            continue
        return messages.wake(organization_id, campaign_id)
    raise Conflict


def _take_out(transaction: Transaction, call: Call, now: datetime) -> Counter[str]:
    """Add to a transaction that a call is not made any more; what that does to the counters."""
    left = call.withdrawn(now=now)
    if call.counted and not (left and left.counted):
        accounts.leave(transaction, call.organization_id, call.counted, call.campaign_id)
    moves = Counter({WITHDRAWALS: 1})
    if left is None:
        calls.take_out(transaction, call)
    else:
        calls.swap(transaction, call, left)
        moves[counter_of(left)] += 1
    moves[counter_of(call)] -= 1
    return moves


def give_up(organization_id: str, campaign_id: str, contact_id: str) -> None:
    """Wait no longer for the call under way: it has FAILED, until its result comes after all. Raises NotFound."""
    store.find(organization_id, campaign_id)
    call = calls.find(campaign_id, contact_id)
    if call.attempt_id is not None:
        key = {"organization_id": organization_id, "campaign_id": campaign_id, "contact_id": contact_id}
        messages.tell_pacer([GivenUp(**key, attempt_id=call.attempt_id)])


def redial(order: Redial, *, now: Callable[[], datetime], until: datetime) -> int:
    """Let calls that ended with one of the statuses wait again; how many did. What is left in the end is queued.

    It goes by the rows themselves, all of the campaign's: the index of statuses lags.
    """
    if not _is_turn(order, now()):
        _wait(order, now())
        return 0
    cursor, waiting = order.cursor, 0
    while found := calls.some(order.campaign_id, PAGE, after=cursor):
        ended = [call for call in found if _is_redialed(call, order)]
        for some in chunks(ended, CHUNK, lambda call: call.weight):
            waiting += _wait_again(order, some, now())
        cursor = found[-1].contact_id
        if now() >= until:
            begin(replace(order, cursor=cursor), now=now())
            break
    else:
        _end(order, now())
    messages.wake(order.organization_id, order.campaign_id)
    return waiting


def _is_redialed(call: Call, order: Redial) -> bool:
    ended = call.state is CallState.DONE and call.ended_at <= order.before
    again = call.redialed_at is not None and call.redialed_at >= order.before
    return ended and not again and call.call_status in order.statuses and not call.leaving


def _wait_again(order: Redial, ended: Sequence[Call], now: datetime) -> int:
    """Let calls wait again, leaving out those that changed meanwhile; how many do."""
    for _ in range(RACES):
        if not ended:
            return 0
        campaign = store.find(order.organization_id, order.campaign_id)
        transaction = Transaction()
        moves = Counter({WAITING: len(ended)})
        for call in ended:
            calls.swap(transaction, call, call.redialed(now=now))
            moves[counter_of(call)] -= 1
        store.move(transaction, campaign, moves, _awakened(campaign, now))
        try:
            transaction.commit()
        except Cancelled:
            changed = calls.find_many(order.campaign_id, [call.contact_id for call in ended])
            ended = [call for call in changed.values() if _is_redialed(call, order)]
        else:
            return len(ended)
    raise Conflict


def _looking(campaign: Campaign, now: datetime) -> dict[str, Any]:
    """A campaign that may have come to its end looks."""
    changes: dict[str, Any] = {"updated_at": clock.stamp(now)}
    if campaign.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED):
        changes["wake_at"] = clock.minute(now)
    return changes


def _awakened(campaign: Campaign, now: datetime) -> dict[str, Any]:
    """What new work does to a campaign: a running one looks at once, a completed one is paused."""
    changes: dict[str, Any] = {"updated_at": clock.stamp(now)}
    if campaign.status is CampaignStatus.RUNNING:
        changes["wake_at"] = clock.minute(now)
    if campaign.status is CampaignStatus.COMPLETED:
        changes |= {"status": CampaignStatus.PAUSED, "status_reason": None, "completed_at": None}
    if campaign.status_reason == schedule.FILLING:
        changes["status_reason"] = None
    return changes


def begin(order: Enrol | Redial, *, now: datetime) -> None:
    """Have an order followed in the background; the campaign does not end before. Raises NotFound, SendFailed.

    One that asks for what another asks for is that other, unless who is meant may have changed since it was begun.
    """
    order = replace(order, order_id=order.order_id or ids.new_id())
    if not _mark(order, lambda campaign: _kept_open(campaign, order, now)):
        return
    try:
        messages.work(order)
    except sqs.SendFailed:
        _end(order, now)
        raise
    _ask(order, UNTAKEN, now)


def _kept_open(campaign: Campaign, order: Enrol | Redial, now: datetime) -> bool:
    """Whether a campaign has an order now; not where one that it has asks for the same."""
    if campaign.is_asked(_asks(order), now):
        return False
    store.begin_order(campaign, order.order_id, until=now + PATIENCE, at=now)
    return True


def _ask(order: Enrol | Redial, for_: timedelta, now: datetime) -> None:
    """Equal requests are one with an order until then; it must be on its way, for it is theirs as well."""
    if asks := _asks(order):
        _mark(order, lambda campaign: store.ask(campaign, order.order_id, asks, until=now + for_, at=now))


def _is_turn(order: Enrol | Redial, now: datetime) -> bool:
    """Whether an order may be followed now: one of a campaign at a time. Raises NotFound."""
    return not order.order_id or _mark(order, lambda campaign: _followed(campaign, order, now))


def _followed(campaign: Campaign, order: Enrol | Redial, now: datetime) -> bool:
    if campaign.follows_another(order.order_id, now):
        return False
    asks = _asks(order)
    joined = bool(asks) and isinstance(order, Enrol) and order.status is None
    store.follow(campaign, order.order_id, asks, joined=joined, until=now + PATIENCE, at=now)
    return True


def _asks(order: Enrol | Redial) -> str:
    return order.asks if isinstance(order, Enrol) else ""


def _wait(order: Enrol | Redial, now: datetime) -> None:
    """Look at an order again later: the older it is, the later. Raises NotFound."""
    if order.order_id:
        _mark(order, lambda campaign: store.begin_order(campaign, order.order_id, until=now + PATIENCE, at=now))
    asked = order.at if isinstance(order, Enrol) else order.before
    age = now - clock.moment(asked) if asked else timedelta()
    seconds = min(FIRST_WAIT_SECONDS + int(age.total_seconds()) // 10, sqs.LONGEST_DELAY_SECONDS)
    messages.work(order, delay_seconds=seconds)
    _ask(order, timedelta(seconds=seconds) + UNTAKEN, now)


def _end(order: Enrol | Redial, now: datetime) -> None:
    """The order is followed no more; a campaign that only waited for it looks whether it is at its end."""
    if order.order_id:
        _mark(order, lambda campaign: store.end_order(campaign, order.order_id, _asks(order), at=now))
        messages.wake(order.organization_id, order.campaign_id)


def _mark(order: Enrol | Redial, write: Callable[[Campaign], T]) -> T:
    for _ in range(ORDER_RACES):
        try:
            return write(store.find(order.organization_id, order.campaign_id))
        except Conflict:
            continue
    raise Conflict


def in_background(order: Enrol, *, now: Callable[[], datetime], until: datetime) -> None:
    """Enrol what an order names, and queue the rest when the time is up; an import's contacts once that has ended.

    Raises NotFound for the campaign, and for an import that is gone: nothing waits for that any more.
    """
    try:
        if _waits_for_import(order) or not _is_turn(order, now()):
            return _wait(order, now())
        _go_on(order, now, until)
    except NotFound:
        _end(order, now())
        raise


def _go_on(order: Enrol, now: Callable[[], datetime], until: datetime) -> None:
    while True:
        found, cursor = _some(order)
        enrol(order.organization_id, order.campaign_id, found, at=order.at, now=now())
        if cursor is None:
            return _end(order, now())
        order = replace(order, cursor=cursor)
        if now() >= until:
            return messages.work(order)


def _waits_for_import(order: Enrol) -> bool:
    """Whether an order is about an import that is under way, as it is only for a campaign that is there."""
    if order.import_id is None:
        return False
    store.find(order.organization_id, order.campaign_id)
    return imports.find(order.organization_id, order.import_id).under_way


def _some(order: Enrol) -> tuple[Sequence[str], str | None]:
    """The next contacts of an order, and where to go on after them."""
    if order.import_id is not None:
        return imports.contacts_of(order.organization_id, order.import_id, after=order.cursor)
    if order.status is not None:
        paging = Paging(SLICE, None if order.cursor else 1, order.cursor)
        return contacts.ids(order.organization_id, ContactStatus(order.status), paging)
    start = int(order.cursor or 0)
    end = start + SLICE
    listed = [*order.contact_ids, *ids.unpacked(order.packed_ids)]
    return listed[start:end], str(end) if end < len(listed) else None
