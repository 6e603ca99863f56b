"""When a campaign starts, stops and looks around: starting by hand or by the clock, and the next `wakeAt`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from chalicelib import clock, queues
from chalicelib.campaigns import store
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.dialing.health import WELL
from chalicelib.errors import CampaignEmpty, CampaignFinished, CampaignNotRunning, Conflict
from chalicelib.queues import Wake

LONGEST_SLEEP = timedelta(minutes=15)
"""A campaign with calls waiting or in flight looks around at least this often."""

LAG = timedelta(minutes=1)
"""How soon it looks again when slots are free, calls wait, and the index showed none."""

RACES = 5


def start(organization_id: str, campaign_id: str, *, now: datetime) -> Campaign:
    """Let a campaign run; one that runs stays as it is. Raises NotFound, CampaignEmpty, CampaignFinished."""
    campaign = _settled(organization_id, campaign_id, lambda campaign: _start(campaign, now))
    queues.tell_pacer([Wake(organization_id=organization_id, campaign_id=campaign_id)])
    return campaign


def _start(campaign: Campaign, now: datetime) -> Campaign:
    if campaign.status is CampaignStatus.RUNNING:
        return campaign
    if campaign.status is CampaignStatus.COMPLETED:
        raise CampaignFinished
    if not campaign.total:
        raise CampaignEmpty
    return store.change(campaign, started(campaign, now), at=now)


def started(campaign: Campaign, now: datetime) -> dict[str, object]:
    """What starting changes of a campaign."""
    return {
        "status": CampaignStatus.RUNNING,
        "status_reason": None,
        "scheduled_at": None,
        "health": WELL,
        "started_at": campaign.started_at or clock.stamp(now),
        "wake_at": clock.minute(now),
    }


def stop(organization_id: str, campaign_id: str, *, now: datetime) -> Campaign:
    """Pause a campaign; calls under way end normally. Raises NotFound, CampaignNotRunning."""
    return _settled(organization_id, campaign_id, lambda campaign: _stop(campaign, now))


def _stop(campaign: Campaign, now: datetime) -> Campaign:
    if campaign.status is CampaignStatus.PAUSED:
        return campaign
    if campaign.status is not CampaignStatus.RUNNING:
        raise CampaignNotRunning
    return store.change(campaign, {"status": CampaignStatus.PAUSED, "wake_at": clock.minute(now)}, at=now)


def _settled(organization_id: str, campaign_id: str, step: Callable[[Campaign], Campaign]) -> Campaign:
    """Take a step on a campaign as it is right now, again when it moved on in between."""
    for _ in range(RACES):
        try:
            return step(store.find(organization_id, campaign_id, consistent=True))
        except Conflict:
            continue
    raise Conflict


def next_wake(
    campaign: Campaign, *, next_lease: datetime | None, next_due: datetime | None, now: datetime
) -> str | None:
    """The minute a campaign must look around again; None when only a request can bring it work.

    `next_lease` is when the first lease in flight runs out, `next_due` when the first waiting call may be dialed,
    None where the indexes showed none (they lag, so that proves nothing).
    """
    if campaign.status is CampaignStatus.PENDING:
        return campaign.scheduled_at and clock.minute(clock.moment(campaign.scheduled_at))
    running = campaign.status is CampaignStatus.RUNNING
    moments = []
    if campaign.in_flight:
        moments.append(next_lease or now + LAG)
    if running and campaign.waiting and campaign.in_flight < campaign.max_concurrent_calls:
        moments.append(next_due or now + LAG)
    if running and not campaign.in_flight and not campaign.waiting:
        moments.append(now + LAG)
    if not moments and not (running and campaign.waiting):
        return None
    earliest = min([*moments, now + LONGEST_SLEEP])
    return clock.minute(max(earliest, now + LAG))


def wake_due(*, now: datetime) -> int:
    """Wake every campaign whose `wakeAt` has come; how many there were."""
    wakes = [Wake(organization_id=key.organization_id, campaign_id=key.campaign_id) for key in store.due(now)]
    queues.tell_pacer(wakes)
    return len(wakes)
