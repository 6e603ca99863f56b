"""Telling the pacer what became of a call: by its queue, or where no queue takes it through the rows it looks at."""

from __future__ import annotations

from datetime import datetime

from chalicelib.aws import sqs
from chalicelib.aws.dynamodb import Transaction
from chalicelib.calls import store as calls
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import tell_pacer
from chalicelib.dialing.messages import Ended, Heard, Released, Skipped, Undialed
from chalicelib.log import logger


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
