"""What is remembered of a request with an Idempotency-Key, and what that means when the key comes again. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.errors import IdempotencyConflict, RequestUnderWay

REMEMBERED = timedelta(hours=24)

LONGEST_REQUEST = timedelta(seconds=40)
"""A request that has not ended by then has died: the API's function runs for 29 seconds at most."""


class Asked(Struct, frozen=True):
    """A request with a key: digests of whose key it is, and of what is asked."""

    key: str
    content: str


class Answer(Struct, frozen=True):
    """An HTTP answer that is given again."""

    status: int
    body: str
    headers: dict[str, str]


class Hold(Struct, frozen=True, kw_only=True):
    """A key and the request that has it: under way until `until`, unless it failed (None) or has its answer.

    `new_id` is the id of what the request makes and `began_at` when it was first made: a request that is made again
    because it failed or died half-way finds what it has made already. `turn` counts the holds of a key.
    """

    key: str
    content: str
    new_id: str
    began_at: str
    until: str | None = None
    turn: int = 1
    answer: Answer | None = None
    expires_at: datetime


def asked(owner: tuple[str | None, ...], key: str, target: object, body: bytes, content_type: str) -> Asked:
    """A request of an owner, a key of theirs, what it is addressed to, and its body.

    A form's boundary is left out: browsers make up another each time they send it.
    """
    if boundary := re.search(r'boundary="?([^";,\s]+)', content_type):
        body = body.replace(b"--" + boundary[1].encode(), b"--")
    content = hashlib.sha256(repr(target).encode() + b"\n" + body)
    return Asked(hashlib.sha256(repr((owner, key)).encode()).hexdigest(), content.hexdigest())


def hold(asked: Asked, known: Hold | None, *, now: datetime, new_id: str) -> Hold:
    """The hold a request takes of its key, or the known one with the answer to give again.

    Raises IdempotencyConflict, RequestUnderWay.
    """
    turn = known.turn + 1 if known else 1
    fresh = Hold(
        key=asked.key,
        content=asked.content,
        new_id=new_id,
        began_at=clock.stamp(now),
        until=clock.stamp(now + LONGEST_REQUEST),
        turn=turn,
        expires_at=now + REMEMBERED,
    )
    if known is None or known.expires_at <= now:
        return fresh
    same = known.content == asked.content
    under_way = known.until is not None and now < clock.moment(known.until)
    if known.answer or under_way:
        if not same:
            raise IdempotencyConflict
        if known.answer:
            return known
        raise RequestUnderWay
    return replace(fresh, new_id=known.new_id, began_at=known.began_at) if same else fresh
