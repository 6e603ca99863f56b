"""Telling the pacer what became of a call: by its queue, or where no queue takes it through the rows it looks at."""

from __future__ import annotations

from datetime import datetime

from chalicelib import clock
from chalicelib.agents.contract import Ending
from chalicelib.agents.health import Said, Verdict
from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import Transaction
from chalicelib.calls import store as calls
from chalicelib.calls.model import Result
from chalicelib.calls.store import AttemptKey
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import tell_pacer
from chalicelib.dialing import store
from chalicelib.dialing.messages import Ended, Heard, Released, Skipped, Undialed
from chalicelib.dialing.model import NOBODY
from chalicelib.log import logger

UNDIALED_SECONDS = 60
"""When a call is tried again that the agent had accepted and did not dial."""


def tell(event: Ended | Released | Undialed | Skipped | Heard, *, now: datetime) -> None:
    """Tell the pacer of an attempt. Raises SendFailed when neither a queue nor the rows took it, why ever."""
    try:
        tell_pacer([event])
    except sqs.SendFailed as failure:
        logger().warning("news kept in a row", attemptId=event.attempt_id)
        transaction = Transaction()
        news_id = calls.keep_news(transaction, sqs.encode(event), now=now)
        campaigns.keep_news(transaction, event.organization_id, event.campaign_id, news_id, at=now)
        try:
            transaction.commit()
        except Exception as error:
            raise failure from error


def hear(key: AttemptKey, ending: Ending, *, now: datetime) -> None:
    """Pass on what an agent told of an attempt: to the pacer, or to who looks at a test call."""
    if key.contact_id == NOBODY:
        store.end(key.organization_id, key.attempt_id, ending.result, now=now)
    else:
        tell(told(key, ending, now=now), now=now)


def told(key: AttemptKey, ending: Ending, *, now: datetime) -> Ended | Undialed:
    """The news of what the agent told of an attempt."""
    verdict, words = ending.never_dialed, ending.result.outcome or ""
    if verdict is None:
        return ended(key, ending.result, now=now)
    return Undialed(
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        attempt_id=key.attempt_id,
        reason=f"the agent dialed nobody ({words})",
        said=said_now(verdict, now, words),
        delay_seconds=UNDIALED_SECONDS,
    )


def said_now(verdict: Verdict, now: datetime, words: str = "", *, again_seconds: int = 0) -> Said:
    """What an agent has just shown, and after how many seconds it wants to be asked again, if it says so."""
    again = clock.stamp(clock.later(again_seconds, than=now)) if again_seconds else None
    return Said(verdict, words, clock.stamp(now), again)


def heard(key: AttemptKey, said: Said, answer: str | None = None) -> Heard:
    """The news of what an agent does."""
    return Heard(
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        attempt_id=key.attempt_id,
        said=said,
        answer=answer,
    )


def ended(key: AttemptKey, result: Result, said: Said | None = None, *, now: datetime, waited: bool = False) -> Ended:
    """The news that an attempt ended; without anything else said, that the agent reports results."""
    return Ended(
        organization_id=key.organization_id,
        campaign_id=key.campaign_id,
        contact_id=key.contact_id,
        attempt_id=key.attempt_id,
        result=result,
        said=said or said_now(Verdict.ENDED, now),
        waited=waited,
    )
