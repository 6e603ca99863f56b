"""Transactions of many new rows.

PynamoDB builds a row attribute by attribute, and botocore visits every attribute of a request again, five times over:
an import spends nine tenths of its time there. Here rows that are put become DynamoDB's JSON at once, by PynamoDB's own
declarations, and a transaction's request is encoded as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.store import Row, Transaction, connection

BODY = "encodedBody"
"""Where a request's context keeps its encoded body between two of botocore's events."""

Field = tuple[str, str, str, Callable[[Any], Any] | None]
"""An attribute's name in Python and in the row, DynamoDB's type, and what turns its value into that, if anything."""


class Bulk(Transaction):
    """A transaction that takes new rows quickly."""

    def put_new(self, kind: type[Row], value: Struct, *, absent: str, tag: object = None, **more: str | None) -> None:
        """Put the row of a value, with further attributes, unless there is one that has the attribute `absent`."""
        given = {name: text for name, text in more.items() if text is not None}
        request = {
            "TableName": kind.Meta.table_name,
            "Item": item(kind, value, given),
            "ConditionExpression": "attribute_not_exists(#absent)",
            "ExpressionAttributeNames": {"#absent": absent},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        self._writes["put_items"].append((tag, request))

    def commit(self) -> None:
        _encode_once()
        super().commit()


def item(kind: type[Row], value: Struct, more: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The row of a value in DynamoDB's JSON; `more` are further attributes that hold text."""
    made: dict[str, dict[str, Any]] = {}
    for name, attribute, type_, serialize in _fields(kind):
        held = more.get(name) if name in more else getattr(value, name, None)
        if held is not None:
            made[attribute] = {type_: serialize(held) if serialize else held}
    return made


@functools.cache
def _fields(kind: type[Row]) -> list[Field]:
    """A row's attributes as it declares them; what PynamoDB would write unchanged needs no serializing."""
    return [
        (
            name,
            each.attr_name,
            each.attr_type,
            None if each.attr_type in ("S", "BOOL") and _is_plain(each) else each.serialize,
        )
        for name, each in kind.get_attributes().items()
    ]


def _is_plain(attribute: Any) -> bool:
    return type(attribute).__name__ in ("UnicodeAttribute", "BooleanAttribute", "Choice")


@functools.cache
def _encode_once() -> None:
    """From now on the process's client sends transactions as they are: they have DynamoDB's own form already."""
    events = connection().client.meta.events
    events.register("provide-client-params.dynamodb.TransactWriteItems", _take_aside)
    events.register("before-call.dynamodb.TransactWriteItems", _put_back)


def _take_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    context[BODY] = msgspec.json.encode(params)
    return {}


def _put_back(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context.pop(BODY)
