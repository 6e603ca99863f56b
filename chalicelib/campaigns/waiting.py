"""Why a waiting contact has not been called yet, and when it may be. Pure."""

from __future__ import annotations

from datetime import datetime

from chalicelib import clock
from chalicelib.agents import failover
from chalicelib.calls.model import PHONE_BUSY, Call, WhyNotCalled
from chalicelib.campaigns import hours
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.organizations.model import OrganizationSettings


def why(
    campaign: Campaign, own: OrganizationSettings, call: Call, zone: str, *, busy: bool, now: datetime
) -> tuple[WhyNotCalled, str | None]:
    """The reason that keeps a waiting call longest from being dialed, and the next moment it may be; None if unknown.

    `own` is what the organization has set, `zone` where the hours let the call wait (`hours.zone`); `busy`
    says that its phone is in another call right now, of which nobody knows when it ends.
    """
    if campaign.status is not CampaignStatus.RUNNING:
        return WhyNotCalled.CAMPAIGN_NOT_RUNNING, campaign.scheduled_at
    if own.calling_paused:
        return WhyNotCalled.CALLING_PAUSED, None
    due = clock.moment(call.due_at) if call.due_at else now
    ready = max(due, now)
    opening = hours.opening(campaign.calling_hours, ready, zone, own.timezone)
    if opening is None:
        return WhyNotCalled.NEVER_OPEN, None
    if opening != ready:
        return WhyNotCalled.OUTSIDE_CALLING_HOURS, clock.stamp(opening)
    if due > now and call.release_reason is None:
        return WhyNotCalled.WAITING_FOR_RETRY, clock.stamp(due)
    if due > now and call.release_reason == PHONE_BUSY:
        return WhyNotCalled.PHONE_IN_ANOTHER_CALL, clock.stamp(due)
    if busy:
        return WhyNotCalled.PHONE_IN_ANOTHER_CALL, None
    if failover.unavailable(campaign.healths, campaign.in_flight, now):
        return WhyNotCalled.AGENT_UNAVAILABLE, clock.stamp(max(failover.next_try(campaign.healths, now), due))
    if due > now:
        return WhyNotCalled.WAITING_FOR_RETRY, clock.stamp(due)
    return WhyNotCalled.WAITING_FOR_SLOT, clock.stamp(now)
