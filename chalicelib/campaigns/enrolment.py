"""Contacts become calls of a campaign, in transactions with its counters: repeating an enrolment adds nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import TRANSACTION_LIMIT, Cancelled, Paging, Transaction
from chalicelib.calls import store as calls
from chalicelib.calls.model import ANY_ZONE, Call, CallState
from chalicelib.campaigns import hours, messages, store
from chalicelib.campaigns.messages import Enrol, Redial, Wake
from chalicelib.campaigns.model import WAITING, Campaign, CampaignStatus, counter_of
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import Conflict
from chalicelib.imports import store as imports

CHUNK = TRANSACTION_LIMIT - 2
"""Calls in one transaction: beside them it holds the campaign and the organization's totals."""

REDIAL_PAGE = CHUNK
RACES = 5

FIRST_WAIT_SECONDS = 3
SLICE = 500
"""Contacts the worker enrols between two looks at the time."""


class Enrolled(Struct, frozen=True, rename="camel"):
    """What an enrolment came to."""

    added: int
    already_in_campaign: int
    not_found: list[str]
    total_contacts: int


def enrol(organization_id: str, campaign_id: str, contact_ids: Sequence[str], *, now: datetime) -> Enrolled:
    """Add contacts to a campaign. Raises NotFound for the campaign; contacts that do not exist are reported."""
    wanted = list(dict.fromkeys(contact_ids))
    known = contacts.find_many(organization_id, wanted)
    present = [contact_id for contact_id in wanted if contact_id in known]
    store.find(organization_id, campaign_id)
    added = sum(
        _add(organization_id, campaign_id, [known[each] for each in present[start : start + CHUNK]], now)
        for start in range(0, len(present), CHUNK)
    )
    campaign = store.find(organization_id, campaign_id, consistent=True)
    if added and campaign.status is CampaignStatus.RUNNING:
        messages.tell_pacer([Wake(organization_id=organization_id, campaign_id=campaign_id)])
    missing = [contact_id for contact_id in wanted if contact_id not in known]
    return Enrolled(added, len(present) - added, missing, campaign.total)


def _add(organization_id: str, campaign_id: str, people: list[Contact], now: datetime) -> int:
    """Add one transaction's worth of contacts, leaving out those who are in the campaign; how many were added."""
    while people:
        campaign = store.find(organization_id, campaign_id, consistent=True)
        new = [_new_call(campaign, contact, now) for contact in people]
        transaction = Transaction()
        for call in new:
            calls.enrol(transaction, call)
        own = {call.zone for call in new} - {ANY_ZONE}
        store.move(transaction, campaign, Counter({WAITING: len(new)}), _awakened(campaign, now), zones=own)
        try:
            transaction.commit()
        except Cancelled as cancelled:
            people = [contact for contact in people if contact.contact_id not in cancelled.failed]
        else:
            return len(new)
    return 0


def _new_call(campaign: Campaign, contact: Contact, now: datetime) -> Call:
    at = clock.stamp(now)
    return Call(
        organization_id=campaign.organization_id,
        campaign_id=campaign.campaign_id,
        contact_id=contact.contact_id,
        due_at=at,
        updated_at=at,
        zone=hours.zone(campaign.calling_hours, contact.phone),
    )


def withdraw(organization_id: str, campaign_id: str, contact_id: str, *, now: datetime) -> None:
    """Take a contact out of a campaign; a call under way ends normally and is the last. Raises NotFound."""
    for _ in range(RACES):
        campaign = store.find(organization_id, campaign_id, consistent=True)
        call = calls.find(campaign_id, contact_id, consistent=True)
        transaction = Transaction()
        if call.state is CallState.CALLING:
            calls.swap(transaction, call, replace(call, leaving=True))
        else:
            calls.take_out(transaction, call)
            store.move(transaction, campaign, Counter({counter_of(call): -1}), _looking(campaign, now))
        try:
            transaction.commit()
        except Cancelled:
            continue
        return messages.tell_pacer([Wake(organization_id=organization_id, campaign_id=campaign_id)])
    raise Conflict


def redial(order: Redial, *, now: Callable[[], datetime], until: datetime) -> None:
    """Let calls that ended with one of the statuses wait again, and queue the rest when the time is up."""
    for n, status in enumerate(order.statuses):
        cursor = order.cursor if n == 0 else None
        while True:
            found, cursor = calls.page(order.campaign_id, status, Paging(REDIAL_PAGE, None, cursor))
            ended = [call for call in found if call.updated_at <= order.before]
            _wait_again(order.organization_id, order.campaign_id, ended, now())
            if cursor is None:
                break
            if now() >= until:
                return messages.work(replace(order, statuses=order.statuses[n:], cursor=cursor))
    return messages.tell_pacer([Wake(organization_id=order.organization_id, campaign_id=order.campaign_id)])


def _wait_again(organization_id: str, campaign_id: str, ended: Sequence[Call], now: datetime) -> None:
    """Let calls wait again, leaving out those that changed meanwhile."""
    for _ in range(RACES):
        ended = [call for call in ended if call.state is CallState.DONE]
        if not ended:
            return None
        campaign = store.find(organization_id, campaign_id, consistent=True)
        transaction = Transaction()
        moves = Counter({WAITING: len(ended)})
        for call in ended:
            calls.swap(transaction, call, call.redialed(now=now))
            moves[counter_of(call)] -= 1
        store.move(transaction, campaign, moves, _awakened(campaign, now))
        try:
            return transaction.commit()
        except Cancelled:
            ended = list(calls.find_many(campaign_id, [call.contact_id for call in ended]).values())
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
        changes |= {"status": CampaignStatus.PAUSED, "completed_at": None}
    return changes


def in_background(order: Enrol, *, now: Callable[[], datetime], until: datetime) -> None:
    """Enrol what an order names, and queue the rest when the time is up; an import's contacts once that has ended."""
    if pause := _seconds_to_wait(order, now()):
        return messages.work(order, delay_seconds=pause)
    while True:
        found, cursor = _some(order)
        enrol(order.organization_id, order.campaign_id, found, now=now())
        if cursor is None:
            return None
        order = replace(order, cursor=cursor)
        if now() >= until:
            return messages.work(order)


def _seconds_to_wait(order: Enrol, now: datetime) -> int:
    """After which to look again for the contacts of an import that is under way: the older it is, the later."""
    if order.import_id is None:
        return 0
    store.find(order.organization_id, order.campaign_id)
    of = imports.find(order.organization_id, order.import_id)
    age = now - clock.moment(of.created_at)
    return min(FIRST_WAIT_SECONDS + int(age.total_seconds()) // 10, sqs.LONGEST_DELAY_SECONDS) if of.under_way else 0


def _some(order: Enrol) -> tuple[Sequence[str], str | None]:
    """The next contacts of an order, and where to go on after them."""
    if order.import_id is not None:
        return imports.contacts_of(order.organization_id, order.import_id, after=order.cursor)
    if order.status is not None:
        paging = Paging(SLICE, None if order.cursor else 1, order.cursor)
        return contacts.ids(order.organization_id, ContactStatus(order.status), paging)
    return order.contact_ids, None
