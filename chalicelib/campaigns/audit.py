"""The audit: a campaign's calls are recounted and compared with its counters, which must agree at any quiet moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from chalicelib import clock, ids
from chalicelib.agents import limits
from chalicelib.agents import store as accounts
from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.campaigns import messages, store
from chalicelib.campaigns.messages import Audit
from chalicelib.campaigns.model import AuditReport, AuditStatus, Campaign, counter_of
from chalicelib.errors import Conflict
from chalicelib.log import alarm, logger

PAGE = 1_000
TRIES = 5
"""How often a campaign that changed during the recount is counted again at once."""

MOST_WAITS = 100
"""How often it is left for a while after that, about a day in all: calling hours close, and a campaign that ends is
audited then."""

UNTAKEN = timedelta(minutes=1)
"""After so long an order for an audit that no worker has begun is given again: it may be lost."""

LONGEST = timedelta(minutes=40)
"""Without progress for so long an audit has died: its next try is at most 15 minutes away, and 5 are made."""

AT_THE_END = "end"
"""The audit that nobody asked for."""

COUNTERS = (
    "waiting",
    "in_flight",
    "success",
    "failed",
    "no_answer",
    "busy",
    "promise_to_pay",
    "refused",
    "callback_requested",
    "skipped",
)


IN_ACCOUNT = "in_account_"
"""Before a provider's name: calls in flight that count in its account's limits."""


def begin(campaign: Campaign, *, now: datetime) -> AuditReport:
    """Have a campaign audited, unless that is being done; the report as it stands. Raises SendFailed."""
    organization_id, campaign_id, audit_id = campaign.organization_id, campaign.campaign_id, ids.new_id()
    try:
        store.take_audit(organization_id, campaign_id, audit_id, until=now + UNTAKEN, at=now)
    except Conflict:
        return store.audit_of(organization_id, campaign_id)
    messages.work(Audit(organization_id=organization_id, campaign_id=campaign_id, audit_id=audit_id))
    return AuditReport(AuditStatus.RUNNING)


def audit(order: Audit, *, now: Callable[[], datetime], until: datetime) -> None:
    """Recount a campaign and keep the report; a difference raises an alarm. Raises NotFound.

    A campaign that keeps changing while it is counted is counted again later; one that another audit counts is not.
    """
    organization_id, campaign_id = order.organization_id, order.campaign_id
    store.find(organization_id, campaign_id)
    try:
        audit_id = order.audit_id or AT_THE_END
        store.take_audit(organization_id, campaign_id, audit_id, until=now() + LONGEST, at=now())
    except Conflict:
        logger().info("another audit goes on", campaignId=campaign_id)
        return
    for _ in range(TRIES):
        before = store.find(organization_id, campaign_id)
        recounted = _recount(campaign_id)
        counted = {name.removeprefix(IN_ACCOUNT) for name in recounted if name.startswith(IN_ACCOUNT)}
        held = _in_accounts(before, counted)
        after = store.find(organization_id, campaign_id)
        if (before.updated_at, _counters(before)) == (after.updated_at, _counters(after)):
            report = compare(_counters(after) | held, recounted, at=now())
            store.put_audit(organization_id, campaign_id, report)
            if not report.consistent:
                alarm("CounterDifference", campaignId=campaign_id, differences=report.differences)
            return
        if now() >= until:
            break
    _leave(order)


def _leave(order: Audit) -> None:
    if order.waits >= MOST_WAITS:
        logger().warning("never quiet enough to be audited", campaignId=order.campaign_id)
        return
    pause = min(60 << min(order.waits, 4), sqs.LONGEST_DELAY_SECONDS)
    messages.work(replace(order, waits=order.waits + 1), delay_seconds=pause)


def compare(counters: dict[str, int], recounted: dict[str, int], *, at: datetime) -> AuditReport:
    """The report of counters and a recount: a difference is what the counter has too many."""
    names = [*COUNTERS, *sorted({*counters, *recounted} - {*COUNTERS})]
    gaps = {name: counters.get(name, 0) - recounted.get(name, 0) for name in names}
    differences = {name: gap for name, gap in gaps.items() if gap}
    return AuditReport(AuditStatus.COMPLETED, not differences, counters, recounted, differences, clock.stamp(at))


def _counters(campaign: Campaign) -> dict[str, int]:
    return {name: getattr(campaign, name) for name in COUNTERS}


def _in_accounts(campaign: Campaign, providers: Iterable[str]) -> dict[str, int]:
    """The campaign's calls in flight as its organization's accounts with providers count them."""
    asked = {*providers, *(choice.provider for choice in campaign.agents)}
    counted = limits.under_way(accounts.usages(campaign.organization_id, asked), campaign.campaign_id)
    return {IN_ACCOUNT + provider: number for provider, number in counted.items()}


def _recount(campaign_id: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    after = None
    while found := calls.some(campaign_id, PAGE, after=after):
        counts.update(map(counter_of, found))
        counts.update(IN_ACCOUNT + call.counted for call in found if call.counted)
        after = found[-1].contact_id
    return dict.fromkeys(COUNTERS, 0) | counts
