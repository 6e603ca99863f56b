"""What SQS takes: sizes, characters, groups and delays.

Rules: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.simulation.limits import Refused

Entry = dict[str, Any]

ENTRIES = 10
BYTES = 1024 * 1024
"""Of a message, and of a batch together."""

DELAY_SECONDS = 900
UNSENDABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NAME = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")
"""Of a message's group, or of its deduplication."""


def check_batch(entries: list[Entry]) -> None:
    """Raises Refused for a batch of which SQS takes nothing."""
    if not entries:
        raise Refused("AWS.SimpleQueueService.EmptyBatchRequest")
    if len(entries) > ENTRIES:
        raise Refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise Refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
    if sum(map(_bytes, entries)) > BYTES:
        raise Refused("AWS.SimpleQueueService.BatchRequestTooLong")


def fault(queue: str, entry: Entry) -> str | None:
    """The code with which SQS refuses a message that is none for this queue."""
    ordered = queue.endswith(".fifo")
    names = [entry[name] for name in ("MessageGroupId", "MessageDeduplicationId") if name in entry]
    if UNSENDABLE.search(entry["MessageBody"]):
        return "InvalidMessageContents"
    if ordered and len(names) < 2:
        return "MissingParameter"
    delay = entry.get("DelaySeconds", 0)
    sound = 0 < _bytes(entry) <= BYTES and 0 <= delay <= DELAY_SECONDS and not (ordered and delay)
    return None if sound and all(map(NAME.fullmatch, names)) else "InvalidParameterValue"


def _bytes(entry: Entry) -> int:
    return len(entry["MessageBody"].encode())


class Tenants:
    """Whose message a fair queue delivers next.

    A tenant is noisy with more than a tenth of the messages in flight and thirty of its own there or waiting, or with
    more than a tenth of the consumers' time; while others wait, it does too:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
    """

    SHARE, MESSAGES = 0.1, 30

    def __init__(self) -> None:
        self._in_flight: Counter[str | None] = Counter()
        self._seconds: Counter[str | None] = Counter()

    def begin(self, group: str | None) -> None:
        """A consumer has taken a message."""
        self._in_flight[group] += 1

    def end(self, group: str | None, seconds: float) -> None:
        """A consumer is done with a message, or has failed at it."""
        self._in_flight[group] -= 1
        self._seconds[group] += round(seconds)

    def turn(self, waiting: Sequence[str | None]) -> list[int]:
        """The places of those messages that may be next; without a group every message is its own tenant's."""
        backlog = Counter(waiting)
        quiet = [n for n, group in enumerate(waiting) if not self._is_noisy(group, backlog)]
        return quiet or list(range(len(waiting)))

    def _is_noisy(self, group: str | None, backlog: Counter[str | None]) -> bool:
        if group is None:
            return False
        crowd = self._in_flight[group] > self.SHARE * self._in_flight.total()
        many = self._in_flight[group] + backlog[group] >= self.MESSAGES
        return (crowd and many) or self._seconds[group] > self.SHARE * max(self._seconds.total(), 1)
