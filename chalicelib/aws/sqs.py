"""Sending: messages as JSON, as many to a request as SQS takes, again while it refuses. What they mean is known to the
rooms they belong to.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from chalicelib.aws import clients
from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.log import correlated, correlation_id, logger

MessageT = TypeVar("MessageT", bound=Struct)
Entry = dict[str, Any]

BATCH, BATCH_BYTES = 10, 256 * 1024
"""Of one SendMessageBatch. SQS takes 1 MiB since August 2025, other regions' and older queues 256 KiB:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

LONGEST_DELAY_SECONDS = 900
"""Of an SQS message."""

PATIENCE_SECONDS = 3.0
"""How long what SQS refuses is sent again."""

REFUSED_CHARACTERS = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


class Message(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is sent from one function to another, and what it is part of, see `log`."""

    correlation_id: str = msgspec.field(default_factory=correlation_id)


class SendFailed(Unavailable):
    """What was asked for could not be passed on: try again in a moment."""


@functools.cache
def client() -> Any:
    """The process's one SQS client."""
    return clients.client("sqs")


def send(queue: str, messages: Iterable[Struct], *, tenant: str | None, delay_seconds: int = 0) -> None:
    """Send messages, delivered after a delay of at most LONGEST_DELAY_SECONDS, again while SQS refuses them.

    Raises SendFailed when it does not take all within a few seconds; those it took stay sent.

    A queue is fair to its tenants: whoever has many messages in it does not make the others' wait. See
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
    """
    fair = {} if tenant is None else {"MessageGroupId": group_of(tenant)}
    _send(queue, _batches({"MessageBody": encode(each), "DelaySeconds": delay_seconds, **fair} for each in messages))


def group_of(tenant: str) -> str:
    """A tenant's message group; its id may have characters or a length that no group's may."""
    return hashlib.sha256(tenant.encode()).hexdigest()


def send_in_order(queue: str, messages: Iterable[MessageT], *, group: Callable[[MessageT], str]) -> None:
    """Send messages to a FIFO queue, in order per group; the same one may be sent twice. Raises SendFailed as `send`.

    A request has one message of a group: what is refused and sent again is overtaken by none that comes after it.
    """
    entries = (
        {"MessageBody": encode(each), "MessageGroupId": group(each), "MessageDeduplicationId": new_id()}
        for each in messages
    )
    _send(queue, _batches(entries, apart="MessageGroupId"))


def encode(message: Struct) -> str:
    """A message's body, with U+FFFD in place of the characters that SQS refuses."""
    try:
        text = msgspec.json.encode(message).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot say
        text = json.dumps(msgspec.to_builtins(message), ensure_ascii=False)
    return REFUSED_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def decode(body: str, kind: Any) -> Any:
    """A message of its body. Raises msgspec.ValidationError."""
    return msgspec.json.decode(body, type=kind)


def correlating(bodies: Iterable[str]) -> Iterator[str]:
    """Bodies one by one; what is done meanwhile is part of what each one says it is."""
    for body in bodies:
        try:
            part_of = msgspec.json.decode(body, type=Message).correlation_id
        except msgspec.DecodeError:
            part_of = ""
        with correlated(part_of):
            yield body


def parts_of(messages: Iterable[Message]) -> str:
    """What several messages are part of, together."""
    return ",".join(dict.fromkeys(filter(None, (each.correlation_id for each in messages))))


def _batches(entries: Iterable[Entry], *, apart: str | None = None) -> Iterator[list[Entry]]:
    """Entries in order, as many together as a request takes; two that agree in `apart` are not together."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        more = len(entry["MessageBody"].encode())
        met = apart is not None and any(entry[apart] == each[apart] for each in batch)
        if batch and (met or len(batch) == BATCH or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"Id": str(len(batch)), **entry})
        size += more
    if batch:
        yield batch


def _send(queue: str, batches: Iterable[list[Entry]]) -> None:
    """Send batches one after another. A message that is at fault itself keeps no other from being sent."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    faulty = [code for batch in batches for code in _deliver(queue, batch, deadline)]
    if faulty:
        raise _failed(queue, faulty)


def _deliver(queue: str, batch: Sequence[Entry], deadline: float) -> list[str]:
    """Send a batch, again what is refused of it, and return why some are refused for good. Raises SendFailed."""
    faulty: list[str] = []
    pause = 0.05
    while True:
        refusals = {refusal["Id"]: refusal for refusal in _refusals(queue, batch)}
        faulty += [each["Code"] for each in refusals.values() if each.get("SenderFault")]
        batch = [entry for entry in batch if entry["Id"] in refusals and not refusals[entry["Id"]].get("SenderFault")]
        if not batch:
            return faulty
        if time.monotonic() >= deadline:
            raise _failed(queue, [refusals[entry["Id"]]["Code"] for entry in batch])
        time.sleep(random.uniform(0, pause))  # noqa: S311 (jitter)
        pause = min(pause * 2, 0.5)


def _refusals(queue: str, batch: Sequence[Entry]) -> list[dict[str, Any]]:
    """What SQS did not take, as BatchResultErrorEntry has it; all of it when there was no answer."""
    try:
        answer = client().send_message_batch(QueueUrl=queue, Entries=list(batch))
    except clients.REFUSALS as error:
        return [{"Id": entry["Id"], "Code": clients.code(error)} for entry in batch]
    failed: list[dict[str, Any]] = answer.get("Failed", [])
    return failed


def _failed(queue: str, codes: list[str]) -> SendFailed:
    logger().error("messages not sent", queue=queue, codes=codes)
    return SendFailed()
