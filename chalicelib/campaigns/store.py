"""Campaigns and their counters. The counters change only in the transaction of the calls they count."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.update import Action

from chalicelib import clock
from chalicelib.aws.dynamodb import (
    Cancelled,
    Json,
    Page,
    Paging,
    Row,
    Transaction,
    fields_of,
    get,
    get_together,
    index,
    listed,
    put_if,
    still,
    table,
    update_if,
)
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call
from chalicelib.campaigns.model import IN_FLIGHT, AuditReport, AuditStatus, Campaign, CampaignStatus
from chalicelib.campaigns.settings import CampaignSettings
from chalicelib.errors import CampaignRunning, Conflict, NotFound
from chalicelib.organizations import store as organizations
from chalicelib.organizations.model import Organization
from chalicelib.totals.store import Kind, count

WAKE_SHARDS = 8
NEWS_KEPT = 1_000
"""Pieces of news that wait in rows of their own; a campaign's row has 400 KB at most."""

RACES = 5
DELETED, AUDITS = "#deleted", "#audits"
"""Beside an organization's campaigns: those deleted whose calls are not removed yet, and the audits' reports."""


class CampaignRow(Row, keeps=Campaign):
    class Meta:
        table_name = table("campaigns_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    campaign_id = UnicodeAttribute(range_key=True, attr_name="campaignId")
    status_key = UnicodeAttribute(attr_name="statusKey")
    wake_shard = UnicodeAttribute(null=True, attr_name="wakeShard")
    status_index = index("status", "statusKey", "campaignId")
    wake_index = index("wake", "wakeShard", "wakeAt")


class AuditRow(Row):
    class Meta:
        table_name = table("campaigns_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    campaign_id = UnicodeAttribute(range_key=True, attr_name="campaignId")
    report = Json(AuditReport)
    audit_id = UnicodeAttribute(null=True, attr_name="auditId")
    until = UnicodeAttribute(null=True)
    """While an audit goes on: which one, and when it is given up unless it comes further."""


class CampaignKey(Struct, frozen=True):
    """Which campaign of which organization."""

    organization_id: str
    campaign_id: str


def find(organization_id: str, campaign_id: str) -> Campaign:
    """A campaign. Raises NotFound."""
    row = get(CampaignRow, organization_id, campaign_id)
    if row is None:
        raise NotFound
    return row.value(Campaign)


def find_with_settings(organization_id: str, campaign_id: str) -> tuple[Campaign, Organization]:
    """A campaign and what its organization has set, both as they are right now, in one request. Raises NotFound."""
    row, own = get_together((CampaignRow, organization_id, campaign_id), organizations.key(organization_id))
    if row is None:
        raise NotFound
    return row.value(Campaign), organizations.of_row(own)


def find_with_call(
    organization_id: str, campaign_id: str, contact_id: str
) -> tuple[Campaign, Organization, Call | None]:
    """As `find_with_settings`, with a contact's call if there is one. Raises NotFound."""
    row, own, call = get_together(
        (CampaignRow, organization_id, campaign_id),
        organizations.key(organization_id),
        calls.key(campaign_id, contact_id),
    )
    if row is None:
        raise NotFound
    return row.value(Campaign), organizations.of_row(own), call and call.value(Call)


def _row(campaign: Campaign) -> CampaignRow:
    row = CampaignRow.of(campaign, status_key=_status_key(campaign.organization_id, campaign.status))
    row.wake_shard = _shard(campaign.campaign_id) if campaign.wake_at else None
    return row


def page(organization_id: str, status: CampaignStatus | None, paging: Paging) -> Page:
    """A page of the organization's campaigns."""
    where = (organization_id, None) if status is None else (_status_key(organization_id, status), "status")
    rows, cursor = listed(CampaignRow, where[0], CampaignRow.campaign_id, paging, index=where[1])
    return Page([row.value(Campaign).view() for row in rows], cursor)


def add(campaign: Campaign) -> None:
    """Store a new campaign."""
    transaction = Transaction()
    row = _row(campaign)
    transaction.put(row, CampaignRow.campaign_id.does_not_exist())
    count(transaction, Kind.CAMPAIGNS, campaign.organization_id, campaign.campaign_id, {campaign.status: 1})
    transaction.commit()


def change(
    campaign: Campaign, changes: dict[str, Any], *, condition: Condition | None = None, at: datetime
) -> Campaign:
    """Set fields by name, None clears one, if the campaign's status is still as read and `condition` holds.

    A change of `status` moves the organization's totals with it. Raises Conflict when the campaign moved on.
    """
    changes = changes | {"updated_at": clock.stamp(at)}
    new = replace(campaign, **changes)
    unmoved = CampaignRow.status == campaign.status
    unmoved = unmoved if condition is None else unmoved & condition
    row, actions = CampaignRow(campaign.organization_id, campaign.campaign_id), _assignments(new, changes)
    if new.status is campaign.status:
        update_if(row, actions, unmoved)
        return new
    transaction = Transaction()
    _move(transaction, new, campaign.status)
    transaction.update(row, actions, unmoved, tag="campaign")
    transaction.commit()
    return new


def as_set(campaign: Campaign) -> Condition:
    """That the campaign's settings are as they were read."""
    return still(CampaignRow.revision, campaign.revision)


def _move(transaction: Transaction, new: Campaign, old: CampaignStatus) -> None:
    count(transaction, Kind.CAMPAIGNS, new.organization_id, new.campaign_id, {old: -1, new.status: 1})


def _assignments(new: Campaign, changes: dict[str, Any]) -> list[Action]:
    if "status" in changes:
        changes = changes | {"status_key": _status_key(new.organization_id, new.status)}
    if "wake_at" in changes:
        changes = changes | {"wake_shard": new.wake_at and _shard(new.campaign_id)}
    attributes = CampaignRow.get_attributes()
    written: list[Action] = [
        attributes[name].remove() if value is None else attributes[name].set(value) for name, value in changes.items()
    ]
    return [*written, CampaignRow.revision.add(1)] if changes.keys() & set(fields_of(CampaignSettings)) else written


def move(
    transaction: Transaction,
    campaign: Campaign,
    moves: Counter[str],
    changes: dict[str, Any],
    *,
    claims: int = 0,
    enrols: bool = False,
    news: Collection[str] | None = None,
    zones: Iterable[str] = (),
    tag: object = "campaign",
) -> None:
    """Add to a transaction what its calls do to their campaign: differences of its counters, and fields to set.

    With `claims` new calls in flight it requires that the campaign is RUNNING and has slots for all of them; with
    `enrols`, that nobody was taken out since it was read; with `news`, the pieces that are done with, that there is no
    other than it holds.
    """
    new = replace(campaign, **changes)
    attributes = CampaignRow.get_attributes()
    actions = [attributes[name].add(change) for name, change in moves.items() if change]
    if new_zones := set(zones) - campaign.zones:
        actions.append(CampaignRow.zones.add(new_zones))
    if news:
        actions.append(CampaignRow.news.delete(set(news)))
    condition = CampaignRow.status == campaign.status
    if news is not None:
        condition &= no_news_since(campaign)
    if enrols:
        condition &= still(CampaignRow.withdrawals, campaign.withdrawals)
    if claims:
        taken = moves[IN_FLIGHT]
        condition &= CampaignRow.in_flight <= campaign.max_concurrent_calls - taken
        condition &= CampaignRow.max_concurrent_calls == campaign.max_concurrent_calls
    if new.status is not campaign.status:
        _move(transaction, new, campaign.status)
    row = CampaignRow(campaign.organization_id, campaign.campaign_id)
    transaction.update(row, [*actions, *_assignments(new, changes)], condition, tag=tag)


def no_news_since(campaign: Campaign) -> Condition:
    """That no further news waits: whoever looks has seen all there is, and may say when to look again."""
    none: Condition = CampaignRow.news.does_not_exist()
    return size(CampaignRow.news) == len(campaign.news) if campaign.news else none


def complete(campaign: Campaign, *, at: datetime) -> bool:
    """End a campaign with nobody waiting, in flight or being added, and no news. Returns whether that is still so.

    Its row keeps `last_writes`, by whichever way it comes to its end.
    """
    nobody = (CampaignRow.waiting == 0) & (CampaignRow.in_flight == 0)
    nobody &= no_news_since(campaign)
    nobody &= still(CampaignRow.orders, campaign.orders)
    changes = {
        "status": CampaignStatus.COMPLETED,
        "status_reason": None,
        "completed_at": clock.stamp(at),
        "wake_at": None,
    }
    try:
        change(campaign, changes, condition=nobody, at=at)
    except Conflict:
        return False
    return True


def begin_order(campaign: Campaign, order_id: str, *, until: datetime, at: datetime) -> None:
    """The campaign does not end before an order has been followed, or makes no progress until then. Raises Conflict."""
    _set_orders(campaign, {"orders": _with(campaign.orders, order_id, until, at)})


def ask(campaign: Campaign, order_id: str, asks: str, *, until: datetime, at: datetime) -> None:
    """Until then equal requests are one with an order that nobody has begun to follow. Raises Conflict."""
    if campaign.has_order(order_id, at) and campaign.followed != order_id:
        _set_orders(campaign, {"asked": _with(campaign.asked, asks, until, at)})


def follow(campaign: Campaign, order_id: str, asks: str, *, joined: bool, until: datetime, at: datetime) -> None:
    """The worker is at an order now. Equal requests are one with it if they are `joined`, and else come after it.

    Raises Conflict.
    """
    orders, asked = (_with(of, name, until, at) for of, name in ((campaign.orders, order_id), (campaign.asked, asks)))
    asked = asked if joined else _without(asked, asks)
    _set_orders(campaign, {"orders": orders, "followed": order_id, "asked": asked})


def end_order(campaign: Campaign, order_id: str, asks: str, *, at: datetime) -> None:
    """An order is followed no more: the campaign looks whether it is at its end. Raises Conflict."""
    changes: dict[str, Any] = {"orders": _without(campaign.orders, order_id), "asked": _without(campaign.asked, asks)}
    if campaign.followed == order_id:
        changes["followed"] = None
    if campaign.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED):
        changes["wake_at"] = clock.minute(at)
    _set_orders(campaign, changes)


def _with(ends: dict[str, str], name: str, until: datetime, at: datetime) -> dict[str, str]:
    """Moments by name with one more, and without those that have passed."""
    return {each: end for each, end in ends.items() if end > clock.stamp(at)} | {name: clock.stamp(until)}


def _without(ends: dict[str, str], name: str) -> dict[str, str]:
    return {each: end for each, end in ends.items() if each != name}


def _set_orders(campaign: Campaign, changes: dict[str, Any]) -> None:
    row = CampaignRow(campaign.organization_id, campaign.campaign_id)
    as_read = (CampaignRow.status == campaign.status) & still(CampaignRow.orders, campaign.orders)
    as_read &= still(CampaignRow.followed, campaign.followed) & still(CampaignRow.asked, campaign.asked)
    update_if(row, _assignments(replace(campaign, **changes), changes), as_read)


def keep_news(transaction: Transaction, organization_id: str, campaign_id: str, news_id: str, *, at: datetime) -> None:
    """Add to a transaction that the campaign looks at once at a piece of news that is kept."""
    wake = [CampaignRow.wake_at.set(clock.minute(at)), CampaignRow.wake_shard.set(_shard(campaign_id))]
    room = CampaignRow.news.does_not_exist() | (size(CampaignRow.news) < NEWS_KEPT)
    transaction.update(
        CampaignRow(organization_id, campaign_id),
        [CampaignRow.news.add({news_id}), *wake],
        CampaignRow.campaign_id.exists() & room,
        tag="campaign",
    )


def remove(campaign: Campaign, *, at: datetime) -> None:
    """Hide a campaign at once; its rows are removed later. Raises CampaignRunning."""
    if campaign.status is CampaignStatus.RUNNING or campaign.in_flight:
        raise CampaignRunning
    idle = (CampaignRow.status == campaign.status) & (CampaignRow.in_flight == 0)
    transaction = Transaction()
    transaction.delete(CampaignRow(campaign.organization_id, campaign.campaign_id), idle, tag="campaign")
    owner = campaign.organization_id + DELETED
    transaction.put(_row(replace(campaign, organization_id=owner, wake_at=clock.minute(at))))
    count(transaction, Kind.CAMPAIGNS, campaign.organization_id, campaign.campaign_id, {campaign.status: -1})
    try:
        transaction.commit()
    except Cancelled:
        raise CampaignRunning from None


def forget(organization_id: str, campaign_id: str) -> None:
    """Remove what `remove` left of a campaign."""
    CampaignRow(organization_id + DELETED, campaign_id).delete()
    AuditRow(organization_id + AUDITS, campaign_id).delete()


def take_audit(organization_id: str, campaign_id: str, audit_id: str, *, until: datetime, at: datetime) -> None:
    """Note that an audit goes on, to be given up then. Raises Conflict while another does."""
    row = AuditRow(organization_id + AUDITS, campaign_id, report=AuditReport(AuditStatus.RUNNING), audit_id=audit_id)
    row.until = clock.stamp(until)
    nobody_else = (AuditRow.audit_id == audit_id) | AuditRow.until.does_not_exist() | (AuditRow.until < clock.stamp(at))
    put_if(row, nobody_else)


def put_audit(organization_id: str, campaign_id: str, report: AuditReport) -> None:
    """Keep the report of a campaign's last audit, which is over."""
    AuditRow(organization_id + AUDITS, campaign_id, report=report).save()


def audit_of(organization_id: str, campaign_id: str) -> AuditReport:
    """The report of a campaign's last audit. Raises NotFound."""
    row = get(AuditRow, organization_id + AUDITS, campaign_id)
    if row is None:
        raise NotFound("The campaign was not audited yet.")
    report: AuditReport = row.report
    return report


def due(now: datetime) -> Iterator[CampaignKey]:
    """The campaigns whose `wakeAt` has come."""
    for shard in range(WAKE_SHARDS):
        for row in CampaignRow.query(str(shard), CampaignRow.wake_at <= clock.minute(now), index_name="wake"):
            yield CampaignKey(row.organization_id, row.campaign_id)


def running(organization_id: str) -> Iterator[CampaignKey]:
    """The organization's running campaigns, as an index knows them that lags by moments."""
    for row in CampaignRow.query(_status_key(organization_id, CampaignStatus.RUNNING), index_name="status"):
        yield CampaignKey(row.organization_id, row.campaign_id)


def _shard(campaign_id: str) -> str:
    return str(zlib.crc32(campaign_id.encode()) % WAKE_SHARDS)


def _status_key(organization_id: str, status: CampaignStatus) -> str:
    return f"{organization_id}#{status}"


def is_live(image: dict[str, Any]) -> bool:
    """Whether a row in a stream record's image is a campaign an organization sees."""
    return "#" not in image["organizationId"]["S"]


def of_image(image: dict[str, Any]) -> Campaign:
    """The value of a row in a stream record's image."""
    return CampaignRow.from_raw_data(image).value(Campaign)
