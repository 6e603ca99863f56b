"""What a deployment asks of AWS, counted where botocore sends it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS


class Meter:
    """Requests by operation, and rows that DynamoDB read and wrote for them."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.read = 0
        self.written = 0

    def asked(self, operation: str, parameters: dict[str, Any]) -> None:
        self.requests[operation] += 1
        self.written += operation in ("PutItem", "UpdateItem", "DeleteItem")
        self.written += sum(map(len, parameters["RequestItems"].values())) if operation == "BatchWriteItem" else 0

    def sent(self, operation: str, body: bytes) -> None:
        """Transactions are counted as they go out: the product may hand them over beside botocore's parameters."""
        self.written += len(json.loads(body)["TransactItems"]) if operation == "TransactWriteItems" else 0

    def answered(self, operation: str, answer: dict[str, Any]) -> None:
        self.read += operation == "GetItem"
        self.read += answer.get("ScannedCount", 0)
        self.read += sum(map(len, answer["Responses"].values())) if operation == "BatchGetItem" else 0


_running: list[Meter] = []


@contextmanager
def metered() -> Iterator[Meter]:
    """Counts what is asked of AWS inside the block."""
    meter = Meter()
    _running.append(meter)
    try:
        yield meter
    finally:
        _running.remove(meter)


def _asked(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.asked(model.name, params)


def _sent(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.sent(model.name, params["body"])


def _answered(*, parsed: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.answered(model.name, parsed)


HANDLERS: list[Any] = [("before-parameter-build", _asked), ("before-call", _sent), ("after-call", _answered)]
BUILTIN_HANDLERS += HANDLERS
"""Every client has these from its making on; this module is imported before the first is made."""
