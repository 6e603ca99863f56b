"""The audit: a campaign's calls are recounted and compared with its counters, which must agree at any quiet moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.campaigns import messages, store
from chalicelib.campaigns.messages import Audit
from chalicelib.campaigns.model import AuditReport, AuditStatus, Campaign, counter_of
from chalicelib.log import alarm, logger

PAGE = 1_000
TRIES = 5
"""How often a campaign that changed during the recount is counted again at once."""

MOST_WAITS = 100
"""How often it is left for a while after that, about a day in all: calling hours close, and a campaign that ends is
audited then."""

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


def audit(order: Audit, *, now: Callable[[], datetime], until: datetime) -> None:
    """Recount a campaign and keep the report; a difference raises an alarm. Raises NotFound.

    A campaign that keeps changing while it is counted is counted again later.
    """
    organization_id, campaign_id = order.organization_id, order.campaign_id
    for _ in range(TRIES):
        before = store.find(organization_id, campaign_id)
        recounted = _recount(campaign_id)
        after = store.find(organization_id, campaign_id)
        if (before.updated_at, _counters(before)) == (after.updated_at, _counters(after)):
            report = compare(_counters(after), recounted, at=now())
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
    differences = {name: counters[name] - recounted[name] for name in COUNTERS if counters[name] != recounted[name]}
    return AuditReport(AuditStatus.COMPLETED, not differences, counters, recounted, differences, clock.stamp(at))


def _counters(campaign: Campaign) -> dict[str, int]:
    return {name: getattr(campaign, name) for name in COUNTERS}


def _recount(campaign_id: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    after = None
    while found := calls.some(campaign_id, PAGE, after=after):
        counts.update(map(counter_of, found))
        after = found[-1].contact_id
    return {name: counts[name] for name in COUNTERS}
