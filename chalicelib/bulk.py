"""Transactions of many new rows.

PynamoDB builds a row attribute by attribute, and botocore visits every attribute of a request again, five times over:
an import spends nine tenths of its time there. Here rows that are put become DynamoDB's JSON at once, by PynamoDB's own
declarations, and a transaction's request is encoded as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.store import Row, Transaction, connection, fields_of

BODY = "encodedBody"
"""Where a request's context keeps its encoded body between two of botocore's events."""

Field = tuple[str, str, str, Callable[[Any], Any] | None]
"""A field's name, the attribute it is kept in, DynamoDB's type, and what turns its value into that, if anything."""


class Bulk(Transaction):
    """A transaction that takes new rows quickly."""

    def put_new(self, kind: type[Row], value: Struct, *, absent: str, tag: object = None, **more: str | None) -> None:
        """Put the row of a value, with further attributes, unless there is one that has the attribute `absent`."""
        request = _request(kind, absent) | {"Item": item(kind, value, more)}
        self._writes["put_items"].append((tag, request))

    def commit(self) -> None:
        _encode_once()
        super().commit()


def item(kind: type[Row], value: Struct, more: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """The row of a value in DynamoDB's JSON; `more` are further attributes that hold text."""
    made: dict[str, dict[str, Any]] = {}
    for name, attribute, type_, serialize in _fields(kind, type(value)):
        held = getattr(value, name)
        if held is not None:
            made[attribute] = {type_: serialize(held) if serialize else held}
    for name, text in more.items():
        if text is not None:
            made[kind.get_attributes()[name].attr_name] = {"S": text}
    return made


@functools.cache
def _fields(kind: type[Row], of: type[Struct]) -> list[Field]:
    """The fields of a value that a row keeps; what PynamoDB would write unchanged needs no serializing."""
    return [
        (name, each.attr_name, each.attr_type, None if _is_plain(each) else each.serialize)
        for name, each in kind.get_attributes().items()
        if name in fields_of(of)
    ]


def _request(kind: type[Row], absent: str) -> dict[str, Any]:
    return {
        "TableName": kind.Meta.table_name,
        "ConditionExpression": "attribute_not_exists(#absent)",
        "ExpressionAttributeNames": {"#absent": absent},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


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
