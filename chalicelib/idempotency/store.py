"""The keys: who holds one, and the answer that was given."""

from __future__ import annotations

import msgspec
from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from chalicelib.aws.dynamodb import Row, get, put_if, table, update_if
from chalicelib.errors import Conflict, RequestUnderWay
from chalicelib.idempotency.model import Answer, Hold
from chalicelib.log import logger

LARGEST_ANSWER = 300_000
"""Bytes of an answer that is kept; a row may have 400 KB. Only an enrolment that echoes long texts as unknown ids has
more, and enrolling again adds nobody twice."""


class HoldRow(Row, keeps=Hold):
    class Meta:
        table_name = table("idempotency_table")

    key = UnicodeAttribute(hash_key=True)
    expires_at = TTLAttribute(attr_name="expiresAt")


def find(key: str) -> Hold | None:
    """Who holds a key, as it is right now."""
    row = get(HoldRow, key)
    return row.value(Hold) if row else None


def take(hold: Hold, known: Hold | None) -> None:
    """Keep a hold of a key that is still as it is known. Raises RequestUnderWay when another was first."""
    as_known = HoldRow.turn == known.turn if known else HoldRow.key.does_not_exist()
    try:
        put_if(HoldRow.of(hold), as_known)
    except Conflict:
        raise RequestUnderWay from None


def replace_answer(key: str, answer: Answer) -> None:
    """Give another answer from now on, if there is one that is given."""
    try:
        update_if(HoldRow(key), [HoldRow.answer.set(answer)], HoldRow.answer.exists())
    except Conflict:
        return


def let_go(hold: Hold, answer: Answer | None) -> None:
    """Keep the answer of a held key, or free it when there is none. Whatever fails here, the request itself is done."""
    keep = answer is not None and len(msgspec.json.encode(answer)) <= LARGEST_ANSWER
    action = HoldRow.answer.set(answer) if keep else HoldRow.until.remove()
    try:
        update_if(HoldRow(hold.key), [action], HoldRow.turn == hold.turn)
    except Exception:  # noqa: BLE001 (nobody is told that what was done was not: the key is free by itself in 40 s)
        logger().exception("answer not kept")
