"""Starting and stopping a campaign by hand, and waking those whose `wakeAt` has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib import clock
from chalicelib.campaigns import messages, schedule, store
from chalicelib.campaigns.messages import Wake
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.errors import CampaignEmpty, CampaignFinished, CampaignNotRunning, Conflict

RACES = 5


def start(organization_id: str, campaign_id: str, *, now: datetime, by: str | None = None) -> Campaign:
    """Let a campaign run; one that runs stays as it is. Raises NotFound, CampaignEmpty, CampaignFinished."""
    campaign = _settled(organization_id, campaign_id, lambda campaign: _start(campaign, now, by))
    messages.wake(organization_id, campaign_id)
    return campaign


def _start(campaign: Campaign, now: datetime, by: str | None) -> Campaign:
    if campaign.status is CampaignStatus.RUNNING:
        return campaign
    if campaign.status is CampaignStatus.COMPLETED:
        raise CampaignFinished
    if not campaign.total and not campaign.is_filling(now):
        raise CampaignEmpty
    return store.change(campaign, schedule.started(campaign, now) | {"updated_by": by}, at=now)


def stop(organization_id: str, campaign_id: str, *, now: datetime, by: str | None = None) -> Campaign:
    """Pause a campaign; calls under way end normally. Raises NotFound, CampaignNotRunning."""
    return _settled(organization_id, campaign_id, lambda campaign: _stop(campaign, now, by))


def _stop(campaign: Campaign, now: datetime, by: str | None) -> Campaign:
    if campaign.status is CampaignStatus.PAUSED:
        return campaign
    if campaign.status is not CampaignStatus.RUNNING:
        raise CampaignNotRunning
    changes = {"status": CampaignStatus.PAUSED, "status_reason": None, "wake_at": clock.minute(now), "updated_by": by}
    return store.change(campaign, changes, at=now)


def _settled(organization_id: str, campaign_id: str, step: Callable[[Campaign], Campaign]) -> Campaign:
    """Take a step on a campaign as it is right now, again when it moved on in between."""
    for _ in range(RACES):
        try:
            return step(store.find(organization_id, campaign_id))
        except Conflict:
            continue
    raise Conflict


def wake_running(organization_id: str) -> None:
    """Have every running campaign of an organization look around at once."""
    wakes = (
        Wake(organization_id=key.organization_id, campaign_id=key.campaign_id) for key in store.running(organization_id)
    )
    messages.tell_pacer(wakes)


def wake_due(*, now: datetime) -> int:
    """Wake every campaign whose `wakeAt` has come; how many there were."""
    wakes = [Wake(organization_id=key.organization_id, campaign_id=key.campaign_id) for key in store.due(now)]
    messages.tell_pacer(wakes)
    return len(wakes)
