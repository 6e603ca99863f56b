"""Sending: messages as JSON, ten to a request. What they mean is known to the rooms they belong to."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.log import logger

MessageT = TypeVar("MessageT", bound=Struct)

BATCH = 10
"""Messages in one SendMessageBatch, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""

LONGEST_DELAY_SECONDS = 900
"""Of an SQS message."""


class SendFailed(Unavailable):
    """SQS took only some of the messages."""


@functools.cache
def client() -> Any:
    """The process's one SQS client."""
    import boto3

    return boto3.client("sqs")


def send(queue: str, messages: Iterable[Struct], *, tenant: str | None, delay_seconds: int = 0) -> None:
    """Send messages, delivered after a delay of at most LONGEST_DELAY_SECONDS. Raises SendFailed.

    A queue is fair to its tenants: whoever has many messages in it does not make the others' wait. See
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
    """
    fair = {} if tenant is None else {"MessageGroupId": group_of(tenant)}
    _send(queue, [{"MessageBody": encode(each), "DelaySeconds": delay_seconds, **fair} for each in messages])


def group_of(tenant: str) -> str:
    """A tenant's message group; its id may have characters or a length that no group's may."""
    return hashlib.sha256(tenant.encode()).hexdigest()


def send_in_order(queue: str, messages: Iterable[MessageT], *, group: Callable[[MessageT], str]) -> None:
    """Send messages to a FIFO queue, in order per group; the same one may be sent twice. Raises SendFailed."""
    _send(
        queue,
        [
            {"MessageBody": encode(each), "MessageGroupId": group(each), "MessageDeduplicationId": new_id()}
            for each in messages
        ],
    )


def encode(message: Struct) -> str:
    """A message's body."""
    return msgspec.json.encode(message).decode()


def decode(body: str, kind: Any) -> Any:
    """A message of its body. Raises msgspec.ValidationError."""
    return msgspec.json.decode(body, type=kind)


def _send(queue: str, entries: list[dict[str, Any]]) -> None:
    for start in range(0, len(entries), BATCH):
        chunk = [{"Id": str(n), **entry} for n, entry in enumerate(entries[start : start + BATCH])]
        failed = client().send_message_batch(QueueUrl=queue, Entries=chunk).get("Failed", [])
        if failed:
            logger().error("messages not sent", queue=queue, codes=[each["Code"] for each in failed])
            raise SendFailed
