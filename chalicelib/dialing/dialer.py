"""The dialer: one claimed call per message. It passes the last gate, asks the agent, and tells the pacer the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from chalicelib import agents, clock
from chalicelib.agents.contract import Accepted, Agent, CallOrder, NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.aws import sqs
from chalicelib.calls import store
from chalicelib.calls.model import CallState, Result
from chalicelib.calls.store import AlreadyClaimed, AttemptKey, NotCallable, PhoneBusy, PhoneChanged
from chalicelib.campaigns import hours
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import tell_pacer
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.dialing.messages import Dial, Ended, Heard, Released, Skipped
from chalicelib.errors import Failure, NotFound
from chalicelib.log import logger
from chalicelib.settings import settings

PHONE_BUSY_SECONDS = 60
"""When a phone that is in another call is tried again."""

AGAIN_SECONDS = {Verdict.FULL: 5, Verdict.AWAY: 60, Verdict.REFUSED: 0}
"""When a call that the agent did not place is tried again."""

RACES = 5


class Release(Failure):
    """The claim goes back without a call; see `Released`."""

    def __init__(
        self, reason: str, delay_seconds: int = 0, *, verdict: Verdict | None = None, zone: str | None = None
    ) -> None:
        super().__init__(reason)
        self.delay_seconds = delay_seconds
        self.verdict = verdict
        self.zone = zone


def handle(
    bodies: Iterable[str],
    *,
    agent: Callable[[str], Agent] = agents.agent,
    now: Callable[[], datetime] = clock.now,
) -> None:
    """Dial what each message orders."""
    for body in bodies:
        dial(sqs.decode(body, Dial), agent=agent, now=now)


def dial(order: Dial, *, agent: Callable[[str], Agent], now: Callable[[], datetime]) -> None:
    """Place one call, if it still is to be placed. A message that came before does nothing."""
    key = AttemptKey(order.organization_id, order.campaign_id, order.contact_id, order.attempt_id)
    state = CallState.QUEUED
    try:
        contact = _claim(order, key, now)
        state = CallState.CALLING
        campaign = _allowed(order, contact, now)
        _place(key, campaign, contact, agent(campaign.agent.provider))
    except AlreadyClaimed:
        logger().info("dial order came again", attemptId=order.attempt_id)
    except NotCallable as refusal:
        tell_pacer([Skipped(**_about(order), reason=str(refusal))])
    except Release as release:
        logger().info("call released", attemptId=order.attempt_id, reason=str(release))
        tell_pacer(
            [
                Released(
                    **_about(order),
                    state=state,
                    reason=str(release),
                    delay_seconds=release.delay_seconds,
                    verdict=release.verdict,
                    zone=release.zone,
                )
            ]
        )


def _about(order: Dial) -> dict[str, Any]:
    return {
        "organization_id": order.organization_id,
        "campaign_id": order.campaign_id,
        "contact_id": order.contact_id,
        "attempt_id": order.attempt_id,
        "lease": order.lease,
    }


def _claim(order: Dial, key: AttemptKey, now: Callable[[], datetime]) -> Contact:
    """Pass the gate; the contact as it is then. Raises AlreadyClaimed, NotCallable, Release."""
    for _ in range(RACES):
        try:
            contact = contacts.find(order.organization_id, order.contact_id, consistent=True)
        except NotFound:
            raise NotCallable("contact was deleted") from None
        store.remember(key, contact.phone, now=now())
        try:
            lease_until = clock.later(order.call_timeout_seconds, than=now())
            store.claim(key, order.lease, contact, lease_until, now=now())
        except PhoneChanged:
            continue
        except PhoneBusy:
            raise Release("the phone is in another call", PHONE_BUSY_SECONDS) from None
        return contact
    raise Release("the contact's phone keeps changing")


def _allowed(order: Dial, contact: Contact, now: Callable[[], datetime]) -> Campaign:
    """The campaign, read after the claim: no call claimed after a stop or outside the hours goes on. Raises Release."""
    try:
        campaign = campaigns.find(order.organization_id, order.campaign_id, consistent=True)
    except NotFound:
        raise Release("the campaign was deleted") from None
    if campaign.status is not CampaignStatus.RUNNING:
        raise Release(f"the campaign is {campaign.status}")
    if campaign.calling_hours is not None:
        zone, at = hours.zone(campaign.calling_hours, contact.phone), now()
        if hours.opening(campaign.calling_hours, at, zone) != at:
            raise Release("outside the calling hours", zone=zone)
    return campaign


def _place(key: AttemptKey, campaign: Campaign, contact: Contact, agent: Agent) -> None:
    """Ask the agent. Raises Release when it surely began no call."""
    provider = campaign.agent.provider
    order = CallOrder(
        phone_number=contact.phone,
        first_name=contact.first_name,
        last_name=contact.last_name,
        custom_data=contact.custom_data or {},
        call_id=key.attempt_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        campaign_type=campaign.campaign_type,
        callback_url=f"{settings().public_url}/auto-calling/agents/{provider}/webhook",
    )
    try:
        answer = agent.place(order)
    except NotPlaced as refusal:
        logger().warning("call not placed", attemptId=key.attempt_id, reason=str(refusal))
        raise Release(str(refusal), AGAIN_SECONDS[refusal.verdict], verdict=refusal.verdict) from None
    except Exception as unknown:  # noqa: BLE001 (whatever it is, a call may have begun)
        logger().warning("outcome unknown", attemptId=key.attempt_id, reason=str(unknown), exc_info=True)
        tell_pacer([heard(key, Verdict.UNKNOWN)])
        return
    if not isinstance(answer, Accepted):
        tell_pacer([ended(key, answer)])
    elif campaign.health.troubled:
        tell_pacer([heard(key, Verdict.TAKEN)])


def heard(key: AttemptKey, verdict: Verdict) -> Heard:
    """The news of what an agent does."""
    return Heard(
        organization_id=key.organization_id, campaign_id=key.campaign_id, attempt_id=key.attempt_id, verdict=verdict
    )


def ended(key: AttemptKey, result: Result) -> Ended:
    """The news that an attempt ended."""
    return Ended(
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        attempt_id=key.attempt_id,
        result=result,
    )
