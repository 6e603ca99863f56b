"""Asking an agent what became of a call of which it has not told: its answer is booked as its webhook would be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib import clock
from chalicelib.agents.contract import Agent, Answering, Ending, Inquiry, Whereabouts
from chalicelib.agents.settings import Own
from chalicelib.agents.settings import own as settings_of
from chalicelib.calls import store
from chalicelib.calls.store import AttemptKey
from chalicelib.dialing import silence
from chalicelib.dialing.messages import Ask, Undialed
from chalicelib.dialing.telling import UNDIALED_SECONDS, tell, told
from chalicelib.log import logger
from chalicelib.organizations import store as organizations
from chalicelib.settings import settings


def ask(order: Ask, *, agent: Callable[[str, Own], Agent], now: Callable[[], datetime]) -> None:
    """Ask after one call. Doing it again changes nothing more; where nothing is learned, it is asked later."""
    key = AttemptKey(order.organization_id, order.campaign_id, order.contact_id, order.attempt_id)
    conversation_id = store.conversation(order.attempt_id)
    own = settings_of(order.organization_id, order.provider, organizations.find(order.organization_id))
    answer = _answer(order, conversation_id, agent(order.provider, own))
    logger().info("asked after a call", attemptId=order.attempt_id, over=isinstance(answer, Ending))
    if isinstance(answer, Ending):
        tell(told(key, answer, now=now()), now=now())
    elif answer is Whereabouts.NO_TRACE and order.unsure and _was_never_placed(order, now()):
        tell(_undialed(key), now=now())


def _answer(order: Ask, conversation_id: str | None, voice: Agent) -> Ending | Whereabouts:
    if not isinstance(voice, Answering):
        return Whereabouts.UNSAID
    inquiry = Inquiry(
        call_id=order.attempt_id,
        conversation_id=conversation_id,
        organization_id=order.organization_id,
        ordered_at=clock.moment(order.ordered_at),
    )
    try:
        return voice.ask(inquiry)
    except Exception as unknown:  # noqa: BLE001 (whatever it is, the call goes on as it would without the question)
        logger().warning("call not asked after", attemptId=order.attempt_id, reason=str(unknown), exc_info=True)
        return Whereabouts.UNSAID


def _was_never_placed(order: Ask, now: datetime) -> bool:
    return silence.is_untraced(clock.moment(order.ordered_at), settings().agent_timeout_seconds, now)


def _undialed(key: AttemptKey) -> Undialed:
    return Undialed(
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        attempt_id=key.attempt_id,
        reason="the agent did not answer the order, and knows of no such call",
        delay_seconds=UNDIALED_SECONDS,
    )
