"""Contacts become calls of a campaign, in transactions with its counters: repeating an enrolment adds nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from chalicelib import clock, queues
from chalicelib.campaigns import store
from chalicelib.campaigns.model import WAITING, Campaign, CampaignStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from chalicelib.dialing import store as calls
from chalicelib.dialing.model import Call
from chalicelib.errors import CampaignRunning
from chalicelib.imports import store as imports
from chalicelib.queues import Enrol, Wake
from chalicelib.store import TRANSACTION_LIMIT, Cancelled, Paging, Transaction

CHUNK = TRANSACTION_LIMIT - 2
"""Calls in one transaction: beside them it holds the campaign and the organization's totals."""

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
        _add(organization_id, campaign_id, present[start : start + CHUNK], now)
        for start in range(0, len(present), CHUNK)
    )
    campaign = store.find(organization_id, campaign_id, consistent=True)
    if added and campaign.status is CampaignStatus.RUNNING:
        queues.tell_pacer([Wake(organization_id=organization_id, campaign_id=campaign_id)])
    missing = [contact_id for contact_id in wanted if contact_id not in known]
    return Enrolled(added, len(present) - added, missing, campaign.total)


def _add(organization_id: str, campaign_id: str, contact_ids: list[str], now: datetime) -> int:
    """Add one transaction's worth of contacts, leaving out those who are in the campaign; how many were added."""
    while contact_ids:
        campaign = store.find(organization_id, campaign_id, consistent=True)
        transaction = Transaction()
        for contact_id in contact_ids:
            calls.enrol(transaction, _new_call(organization_id, campaign_id, contact_id, now))
        store.move(transaction, campaign, Counter({WAITING: len(contact_ids)}), _awakened(campaign, now))
        try:
            transaction.commit()
        except Cancelled as cancelled:
            contact_ids = [contact_id for contact_id in contact_ids if contact_id not in cancelled.failed]
        else:
            return len(contact_ids)
    return 0


def _new_call(organization_id: str, campaign_id: str, contact_id: str, now: datetime) -> Call:
    at = clock.stamp(now)
    return Call(
        organization_id=organization_id, campaign_id=campaign_id, contact_id=contact_id, due_at=at, updated_at=at
    )


def _awakened(campaign: Campaign, now: datetime) -> dict[str, Any]:
    """What an enrolment does to a campaign: a running one looks at once, a completed one has work again."""
    changes: dict[str, Any] = {"updated_at": clock.stamp(now)}
    if campaign.status is CampaignStatus.RUNNING:
        changes["wake_at"] = clock.minute(now)
    if campaign.status is CampaignStatus.COMPLETED:
        changes |= {"status": CampaignStatus.PAUSED, "completed_at": None}
    return changes


def in_background(order: Enrol, *, now: Callable[[], datetime], until: datetime) -> None:
    """Enrol what an order names, and queue the rest when the time is up."""
    while True:
        found, cursor = _some(order)
        enrol(order.organization_id, order.campaign_id, found, now=now())
        if cursor is None:
            return
        order = Enrol(
            organization_id=order.organization_id,
            campaign_id=order.campaign_id,
            import_id=order.import_id,
            status=order.status,
            cursor=cursor,
        )
        if now() >= until:
            return queues.work(order)


def _some(order: Enrol) -> tuple[Sequence[str], str | None]:
    """The next contacts of an order, and where to go on after them."""
    if order.import_id is not None:
        return imports.contacts_of(order.organization_id, order.import_id, after=order.cursor)
    if order.status is not None:
        paging = Paging(SLICE, None if order.cursor else 1, order.cursor)
        return contacts.ids(order.organization_id, ContactStatus(order.status), paging)
    return order.contact_ids, None
