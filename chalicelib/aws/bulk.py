"""Transactions of many new rows.

PynamoDB builds a row attribute by attribute, and botocore visits every attribute of a request again, five times over:
an import spends nine tenths of its time there. Here a row that is put becomes JSON at once, by PynamoDB's own
declarations, and a transaction is sent as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from chalicelib.aws.dynamodb import Row, Transaction, connection, fields_of
from chalicelib.ids import new_id

BODY = "encodedBody"
"""Where a request's context keeps its encoded body between two of botocore's events."""

Slot = tuple[bytes, Callable[[Any], Any] | None]
"""How an attribute's JSON begins, and what turns a value into its own; None where PynamoDB would change nothing."""

_encode = msgspec.json.Encoder().encode


class Bulk(Transaction):
    """A transaction that takes new rows quickly."""

    def put_new(
        self, kind: type[Row], values: Sequence[Struct], *, absent: str, tag: object = None, **more: str
    ) -> None:
        """Put the row of each value, all with the texts `more`, unless there is one with the attribute `absent`."""
        request = {
            "TableName": kind.Meta.table_name,
            "ConditionExpression": "attribute_not_exists(#absent)",
            "ExpressionAttributeNames": {"#absent": absent},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        self._writes["put_items"].extend((tag, request | {"Item": Raw(item)}) for item in items(kind, values, more))

    def commit(self) -> None:
        _encode_once()
        super().commit()


def items(kind: type[Row], values: Sequence[Struct], more: Mapping[str, str]) -> Iterator[bytes]:
    """The row of each value, all of one kind, in DynamoDB's JSON; `more` are further attributes, which hold text."""
    if not values:
        return
    slots = _slots(kind, type(values[0]))
    same = [_begin(kind.get_attributes()[name]) + _encode(text) for name, text in more.items()]
    for value in values:
        own = [
            slot[0] + _encode(slot[1](held) if slot[1] else held)
            for slot, held in zip(slots, astuple(value))  # noqa: B905 (saying so takes a tenth of the time)
            if slot and held is not None
        ]
        yield b"{" + b"},".join(same + own) + b"}}"


@functools.cache
def _slots(kind: type[Row], of: type[Struct]) -> list[Slot | None]:
    """Where each field of a value goes in a row; None for one that the row does not keep."""
    return [_slot(kind.get_attributes().get(name)) for name in fields_of(of)]


def _slot(attribute: Any) -> Slot | None:
    if attribute is None:
        return None
    plain = type(attribute).__name__ in ("UnicodeAttribute", "BooleanAttribute", "Choice")
    return _begin(attribute), None if plain else attribute.serialize


def _begin(attribute: Any) -> bytes:
    """An attribute's JSON up to its value: one brace is left to be closed."""
    return f'"{attribute.attr_name}":{{"{attribute.attr_type}":'.encode()


@functools.cache
def _encode_once() -> None:
    """From now on the process's client sends transactions as they are: they have DynamoDB's own form already.

    What botocore would add to one is added here: the token by which one that is sent again after a time-out is known.
    """
    events = connection().client.meta.events
    events.register("provide-client-params.dynamodb.TransactWriteItems", _take_aside)
    events.register("before-call.dynamodb.TransactWriteItems", _put_back)


def _take_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    context[BODY] = _encode(params | {"ClientRequestToken": new_id()})
    return {}


def _put_back(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context.pop(BODY)
