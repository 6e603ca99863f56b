"""The dialer: one claimed call per message. It passes the last gate, asks the agent, and tells the pacer the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib import agents, clock, ids
from chalicelib.agents import failover
from chalicelib.agents.contract import Accepted, Agent, CallOrder, Declined, Ending, NotPlaced, OutcomeUnknown
from chalicelib.agents.health import Health, Said, Verdict
from chalicelib.agents.settings import Own
from chalicelib.agents.settings import own as settings_of
from chalicelib.calls import store
from chalicelib.calls.model import PHONE_BUSY, CallState, CallStatus, Result
from chalicelib.calls.store import AlreadyClaimed, AttemptKey, NotCallable, PhoneBusy, PhoneChanged
from chalicelib.campaigns import hours
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.contacts.phone import uncallable
from chalicelib.dialing import asking, messages, silence, trials
from chalicelib.dialing import store as test_calls
from chalicelib.dialing.messages import Ask, Dial, Heard, Released, Skipped
from chalicelib.dialing.model import NOBODY, Trial
from chalicelib.dialing.policy import WITHDRAWN
from chalicelib.dialing.telling import ended, hear, heard, said_now, tell
from chalicelib.errors import Conflict, Failure, NotFound
from chalicelib.log import logger, measure
from chalicelib.organizations.model import Organization
from chalicelib.settings import settings

PHONE_BUSY_SECONDS = 60
"""When a phone that is in another call is tried again."""

AGAIN_SECONDS = {Verdict.FULL: 5, Verdict.AWAY: 60, Verdict.REFUSED: 0}
"""When a call that the agent did not place is tried again."""

UNKNOWN_PHONE_SECONDS = 900
"""When a contact is tried again whose phone belongs to nobody: its row is gone, which a person must mend."""

UNREAD_SECONDS = 30
NAME_LENGTH = 12
"""Characters that tell a claim's dialer from the others of the same call."""

RACES = 5


class Release(Failure):
    """The claim goes back without a call; see `Released`."""

    def __init__(
        self,
        reason: str,
        delay_seconds: int = 0,
        *,
        said: Said | None = None,
        zone: str | None = None,
        claimed_by: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.delay_seconds = delay_seconds
        self.said = said
        self.zone = zone
        self.claimed_by = claimed_by


class Voice(Struct, frozen=True):
    """Who places a call: a choice of the campaign's, what its organization has set of that provider, the agent, and how
    the campaign knows it.
    """

    choice: AgentChoice
    own: Own
    agent: Agent
    health: Health


def handle(
    bodies: Iterable[str],
    *,
    agent: Callable[[str, Own], Agent] = agents.agent,
    now: Callable[[], datetime] = clock.now,
) -> None:
    """Dial, or ask after, what each message orders."""
    for body in bodies:
        match messages.order(body):
            case Ask() as question:
                asking.ask(question, agent=agent, now=now)
            case Dial() as order:
                dial(order, agent=agent, now=now)


def dial(order: Dial, *, agent: Callable[[str, Own], Agent], now: Callable[[], datetime]) -> None:
    """Place one call, if it still is to be placed. A message that came before does nothing."""
    key = AttemptKey(order.organization_id, order.campaign_id, order.contact_id, order.attempt_id)
    if order.contact_id == NOBODY:
        return ring(order, key, agent=agent, now=now)
    state = CallState.QUEUED
    try:
        campaign, own = _campaign(order)
        voice = _voice(order, campaign, own, agent)
        contact = _claim(order, key, campaign, own, voice, now)
        state = CallState.CALLING
        campaign = _last_look(order, contact, now)
        _place(key, campaign, contact, voice, now)
    except AlreadyClaimed:
        logger().info("dial order came again, or its call is over", attemptId=order.attempt_id)
    except NotCallable as refusal:
        tell(Skipped(**_about(order), reason=str(refusal)), now=now())
    except Release as release:
        logger().info("call released", attemptId=order.attempt_id, reason=str(release))
        tell(_released(order, state, release), now=now())


def ring(order: Dial, key: AttemptKey, *, agent: Callable[[str, Own], Agent], now: Callable[[], datetime]) -> None:
    """Make a test call, if it still is to be made. Whatever may stop it is looked at after it is claimed."""
    try:
        trial = test_calls.find(order.organization_id, order.attempt_id)
        if trial.status is not CallStatus.PENDING:
            raise Conflict
        campaign, own = campaigns.find_with_settings(order.organization_id, order.campaign_id)
        voice = _voice(order, campaign, own, agent)
        store.remember(key, now=now())
        until = clock.later(_longest(order, voice.agent), than=now())
        test_calls.begin(trial, voice.choice.provider, until, now=now())
        campaign, own = campaigns.find_with_settings(order.organization_id, order.campaign_id)
        why = trials.why_not(trial, own, now=now())
    except Conflict:
        logger().info("test call ordered again", attemptId=order.attempt_id)
        return
    except NotFound:
        why = "the campaign was deleted"
    result = trials.skipped(why) if why else _rung(key, campaign, voice, trial, now)
    if result:
        test_calls.end(order.organization_id, order.attempt_id, result, now=now())


def _rung(
    key: AttemptKey, campaign: Campaign, voice: Voice, trial: Trial, now: Callable[[], datetime]
) -> Result | None:
    """Ask the agent for a test call; its result, or None where that comes later, or never."""
    try:
        answer = voice.agent.place(trials.ordered(_order(key, campaign, voice, trials.person(trial)), trial))
    except NotPlaced as refusal:
        return trials.failed(str(refusal))
    except Exception as unknown:  # noqa: BLE001 (whatever it is, a call may have begun)
        logger().warning("outcome unknown", attemptId=key.attempt_id, reason=str(unknown), exc_info=True)
        return None
    match answer:
        case Accepted():
            if answer.conversation_id:
                _link(key, agents.line(voice.choice.provider, voice.own), answer, now())
            return None
        case Declined():
            return answer.result
        case _:
            return answer


def _voice(order: Dial, campaign: Campaign, own: Organization, agent: Callable[[str, Own], Agent]) -> Voice:
    """Whom the call is claimed for; of a campaign that has fewer agents by now, the first."""
    place = order.agent if order.agent < len(campaign.agents) else 0
    choice = campaign.agents[place]
    mine = settings_of(order.organization_id, choice.provider, own)
    return Voice(choice, mine, agent(choice.provider, mine), campaign.healths[place])


def _released(order: Dial, state: CallState, release: Release) -> Released:
    return Released(
        **_about(order),
        state=state,
        reason=str(release),
        delay_seconds=release.delay_seconds,
        said=release.said,
        zone=release.zone,
        claimed_by=release.claimed_by,
    )


def _about(order: Dial) -> dict[str, Any]:
    return {
        "organization_id": order.organization_id,
        "campaign_id": order.campaign_id,
        "contact_id": order.contact_id,
        "attempt_id": order.attempt_id,
        "lease": order.lease,
    }


def _longest(order: Dial, agent: Agent) -> float:
    """Seconds of a call's lease: the campaign's, but never shorter than this waits for the agent's answer.

    Of an agent that always waits for the result it need not be longer either: nobody reports a call whose dialer died.
    """
    if agent.waits_seconds is not None:
        return agent.waits_seconds + silence.SLACK_SECONDS
    return max(order.call_timeout_seconds, settings().agent_timeout_seconds + silence.SLACK_SECONDS)


def _look_seconds(order: Dial, choice: AgentChoice, lease_seconds: float) -> float:
    """Seconds from a call's claim until its agent is asked after it, or its lease ends."""
    if not agents.can_be_asked(choice.provider):
        return lease_seconds
    return silence.first_look(order.call_timeout_seconds, choice.max_duration_seconds, lease_seconds)


def _claim(
    order: Dial,
    key: AttemptKey,
    campaign: Campaign,
    own: Organization,
    voice: Voice,
    now: Callable[[], datetime],
) -> Contact:
    """Pass the gate; the contact as it is then. Raises AlreadyClaimed, NotCallable, Release.

    A claim whose answer is lost may be written or not. Nobody was asked yet: it is given back in both cases.
    """
    me = ids.new_id()[-NAME_LENGTH:]
    lease_seconds = _longest(order, voice.agent)
    for _ in range(RACES):
        try:
            contact = contacts.find(order.organization_id, order.contact_id)
        except NotFound:
            raise NotCallable("contact was deleted") from None
        if said := uncallable(contact.phone, own.allowed_countries):
            raise NotCallable(said)
        _check_hours(campaign, own, contact, now())
        store.remember(key, now=now())
        try:
            at = now()
            store.claim(
                key,
                order.lease,
                contact,
                clock.later(lease_seconds, than=at),
                provider=voice.choice.provider,
                dialer=me,
                look_at=clock.later(_look_seconds(order, voice.choice, lease_seconds), than=at),
                now=at,
            )
        except PhoneChanged:
            continue
        except PhoneBusy:
            raise Release(PHONE_BUSY, PHONE_BUSY_SECONDS) from None
        except (AlreadyClaimed, NotCallable):
            raise
        except Exception as failure:
            logger().exception("claim not answered", attemptId=order.attempt_id)
            raise Release("the claim was not answered", UNREAD_SECONDS, claimed_by=me) from failure
        return contact
    raise Release("the contact's phone is not known as its own", UNKNOWN_PHONE_SECONDS)


def _campaign(order: Dial) -> tuple[Campaign, Organization]:
    """The campaign, if it may call right now, and what its organization has set. Raises Release."""
    try:
        campaign, own = campaigns.find_with_settings(order.organization_id, order.campaign_id)
    except NotFound:
        raise Release("the campaign was deleted") from None
    _check_running(campaign, own)
    return campaign, own


def _check_running(campaign: Campaign, own: Organization) -> None:
    """Raises Release when the campaign may not call right now."""
    if own.calling_paused:
        raise Release("all calling is paused")
    if campaign.status is not CampaignStatus.RUNNING:
        raise Release(f"the campaign is {campaign.status}")
    if campaign.in_flight > campaign.max_concurrent_calls:
        raise Release("the campaign may make fewer calls at a time now")


def _check_hours(campaign: Campaign, own: Organization, contact: Contact, at: datetime) -> None:
    """Raises Release outside the hours."""
    if campaign.calling_hours is not None:
        zone = hours.zone(campaign.calling_hours, contact, at)
        if hours.opening(campaign.calling_hours, at, zone, own.timezone) != at:
            raise Release("outside the calling hours", zone=zone)


def _last_look(order: Dial, contact: Contact, now: Callable[[], datetime]) -> Campaign:
    """The campaign, read after the claim: no call claimed after a stop, in a pause or outside the hours goes on.

    Nor does one that was cancelled meanwhile, or whose contact was taken out. Raises Release, and AlreadyClaimed when
    the call is over. Nobody was asked yet: whatever fails here gives the call back.
    """
    try:
        campaign, own, call = campaigns.find_with_call(order.organization_id, order.campaign_id, order.contact_id)
        if call is None or not call.is_claimed(order.attempt_id, order.lease):
            contacts.silence(order.organization_id, contact.phone, order.attempt_id)
            raise AlreadyClaimed
        if call.leaving:
            raise Release(WITHDRAWN)
        _check_running(campaign, own)
        if said := uncallable(contact.phone, own.allowed_countries):
            raise Release(said)
        _check_hours(campaign, own, contact, now())
    except (Release, AlreadyClaimed):
        raise
    except NotFound:
        raise AlreadyClaimed from None
    except Exception as failure:
        logger().exception("campaign not read", attemptId=order.attempt_id)
        raise Release("the campaign could not be read", UNREAD_SECONDS) from failure
    return campaign


def _place(key: AttemptKey, campaign: Campaign, contact: Contact, voice: Voice, now: Callable[[], datetime]) -> None:
    """Ask the agent. Raises Release when it surely began no call."""
    try:
        answer = _asked(key, voice, _order(key, campaign, voice, contact), now)
    except NotPlaced as refusal:
        logger().warning("call not placed", attemptId=key.attempt_id, reason=str(refusal))
        said = said_now(refusal.verdict, now(), str(refusal), again_seconds=refusal.again_seconds)
        again = max(AGAIN_SECONDS[refusal.verdict], refusal.again_seconds)
        if failover.is_anothers(len(campaign.agents), voice.health, refusal.verdict, now()):
            again = 0
        raise Release(str(refusal), again, said=said) from None
    except Exception as unknown:  # noqa: BLE001 (whatever it is, a call may have begun)
        logger().warning("outcome unknown", attemptId=key.attempt_id, reason=str(unknown), exc_info=True)
        tell(_unknown(key, unknown, now()), now=now())
        return
    match answer:
        case Accepted():
            if voice.health.troubled:
                tell(heard(key, said_now(Verdict.TAKEN, now())), now=now())
            if answer.conversation_id:
                _link(key, agents.line(voice.choice.provider, voice.own), answer, now())
        case Declined():
            tell(ended(key, answer.result, said_now(Verdict.DECLINED, now(), answer.words), now=now()), now=now())
        case _:
            tell(ended(key, answer, waited=True, now=now()), now=now())


def _asked(
    key: AttemptKey, voice: Voice, order: CallOrder, now: Callable[[], datetime]
) -> Accepted | Result | Declined:
    """The agent's answer, measured. Raises as `Agent.place` does."""
    began, began_call, failed, full = now(), 0, 1, 0
    try:
        answer = voice.agent.place(order)
        began_call, failed = int(not isinstance(answer, Declined)), 0
    except NotPlaced as refusal:
        full = int(refusal.verdict is Verdict.FULL)
        failed = 1 - full
        raise
    finally:
        milliseconds = round((now() - began).total_seconds() * 1000)
        counts = {"CallsStarted": began_call, "AgentErrors": failed, "AgentFull": full, "AgentLatency": milliseconds}
        of = {"organizationId": key.organization_id, "campaignId": key.campaign_id, "attemptId": key.attempt_id}
        measure("agent asked", counts, {"provider": voice.choice.provider}, **of)
    return answer


def _link(key: AttemptKey, line: str, accepted: Accepted, now: datetime) -> None:
    """Keep the provider's id of a call, and pass on what it told of it before anybody knew whose it was."""
    conversation_id = accepted.conversation_id or ""
    if accepted.asked_by_it:
        store.keep_conversation(key.attempt_id, conversation_id)
    if early := store.link(line, conversation_id, key.attempt_id, now=now):
        hear(key, msgspec.json.decode(early, type=Ending), now=now)
        store.forget_early(line, conversation_id)


def _unknown(key: AttemptKey, why: Exception, now: datetime) -> Heard:
    if isinstance(why, OutcomeUnknown):
        return heard(key, said_now(Verdict.UNKNOWN, now, str(why)), why.said)
    return heard(key, said_now(Verdict.UNKNOWN, now, "the agent's answer cannot be understood"))


def _order(key: AttemptKey, campaign: Campaign, voice: Voice, contact: Contact) -> CallOrder:
    """A campaign's call to a contact, for the agent that is to place it."""
    choice = voice.choice
    return CallOrder(
        phone_number=contact.phone,
        first_name=contact.first_name,
        last_name=contact.last_name,
        notes=contact.notes,
        timezone=contact.timezone,
        custom_data=contact.custom_data or {},
        call_id=key.attempt_id,
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        campaign_name=campaign.name,
        campaign_type=campaign.campaign_type,
        contact_id=key.contact_id,
        agent_id=choice.agent_id,
        variables=choice.variables,
        caller_numbers=choice.caller_numbers or (),
        max_duration_seconds=choice.max_duration_seconds,
        call_timeout_seconds=campaign.call_timeout_seconds,
        callback_url=settings().public_url + agents.webhook(choice.provider, voice.own),
    )
