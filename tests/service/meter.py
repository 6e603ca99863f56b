"""What a deployment asks of AWS, counted where botocore sends it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from botocore.handlers import BUILTIN_HANDLERS

from tests.simulation.dynamodb import DynamoDB, Refused

T = TypeVar("T")

WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


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
        self.read += sum(map(len, answer.get("Responses", {}).values())) if operation == "BatchGetItem" else 0


_running: list[Meter] = []
_bills: list[Bill] = []


@contextmanager
def _among(told: list[T], new: T) -> Iterator[T]:
    """Inside the block one more is told."""
    told.append(new)
    try:
        yield new
    finally:
        told.remove(new)


def metered() -> AbstractContextManager[Meter]:
    """Counts what is asked of AWS inside the block."""
    return _among(_running, Meter())


class Bill:
    """Write units as DynamoDB bills them: by size, twice in a transaction, indexes included, refused ones too.

    They are those of a second DynamoDB, in memory, which does every write that the first is asked for.
    """

    def __init__(self) -> None:
        self.database = DynamoDB()
        self.refused = 0

    @property
    def units(self) -> int:
        """Write units until now."""
        return self.refused + sum(n for (*_, kind), n in self.database.units.items() if kind == "write")

    def asked(self, operation: str, request: dict[str, Any]) -> None:
        """Do a write. One that is refused is billed by the row as it stands, which is small here."""
        try:
            self.database(operation, request)
        except Refused:
            self.refused += 2 * len(request["TransactItems"]) if "TransactItems" in request else 1


def billed() -> AbstractContextManager[Bill]:
    """Bills what is written inside the block; to be begun before anything else is written."""
    return _among(_bills, Bill())


def _asked(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.asked(model.name, params)


def _sent(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.sent(model.name, params["body"])


def _written(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    for bill in _bills if model.name in WRITES else ():
        bill.asked(model.name, json.loads(params["body"]))


def _answered(*, parsed: dict[str, Any], model: Any, **_: Any) -> None:
    for meter in _running:
        meter.answered(model.name, parsed)


HANDLERS: list[Any] = [
    ("before-parameter-build", _asked),
    ("before-call", _sent),
    ("before-call", _written),
    ("after-call", _answered),
]
BUILTIN_HANDLERS += HANDLERS
"""Every client has these from its making on; this module is imported before the first is made."""
