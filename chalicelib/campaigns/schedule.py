"""When a campaign looks around: what starting changes of it, what its hours make it say, its next `wakeAt`. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.agents.health import WELL, Health
from chalicelib.calls.model import ANY_ZONE
from chalicelib.campaigns import hours
from chalicelib.campaigns.model import Campaign, CampaignStatus

LONGEST_SLEEP = timedelta(minutes=15)
"""A campaign with calls waiting or in flight looks around at least this often."""

LAG = timedelta(minutes=1)
"""How soon it looks again when slots are free, calls wait, and the index showed none."""

NEVER_OPEN = (
    f"Nobody can be called: the calling hours do not open in the next {hours.HORIZON.days} days. "
    "Change their days, times or holidays."
)

FILLING = "Nobody is left to call at the moment, but contacts are still being added or put back to be called again."


def started(campaign: Campaign, now: datetime) -> dict[str, object]:
    """What starting changes of a campaign."""
    return {
        "status": CampaignStatus.RUNNING,
        "status_reason": None,
        "scheduled_at": None,
        "health": _fresh(campaign.health),
        **({"fallback_healths": list(map(_fresh, campaign.healths[1:]))} if campaign.fallback_healths else {}),
        "started_at": campaign.started_at or clock.stamp(now),
        "resumed_at": clock.stamp(now),
        "wake_at": clock.minute(now),
    }


def _fresh(known: Health) -> Health:
    """What is expected of an agent when a campaign is started."""
    return replace(WELL, waits=known.waits)


def never_open(campaign: Campaign, fallback: str, now: datetime) -> str | None:
    """What a running campaign says whose hours let nobody who waits ever be called; None while they let somebody.

    `fallback` is the organization's time zone.
    """
    waits = campaign.status is CampaignStatus.RUNNING and campaign.waiting
    never = waits and hours.never(campaign.calling_hours, now, {ANY_ZONE, *campaign.zones}, fallback)
    return NEVER_OPEN if never else None


def filling(campaign: Campaign, now: datetime) -> str | None:
    """What a campaign says that would be at its end, if the worker did not bring it contacts."""
    open_ = campaign.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
    return FILLING if open_ and campaign.is_idle and campaign.is_filling(now) else None


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
    if running and campaign.is_idle:
        moments.append(now + LAG)
    if campaign.status is CampaignStatus.PAUSED and campaign.is_idle and campaign.is_filling(now):
        moments.append(clock.moment(max(campaign.orders.values())))
    if not moments:
        return None
    earliest = min([*moments, now + LONGEST_SLEEP])
    return clock.minute(max(earliest, now + LAG))
