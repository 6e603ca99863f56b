"""Requests that carry an Idempotency-Key: made once, answered as often as they are sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib import ids
from chalicelib.idempotency import model, store
from chalicelib.idempotency.model import Answer, Asked, Hold


def once(asked: Asked, do: Callable[[Hold], Answer], *, now: Callable[[], datetime]) -> tuple[Answer, bool]:
    """The answer of `do`, or the one it gave when the same was asked with this key before; and whether it is that one.

    Raises what `do` raises, and the key is free; IdempotencyConflict when something else was asked with it;
    RequestUnderWay while `do` runs elsewhere.
    """
    known = store.find(asked.key)
    hold = model.hold(asked, known, now=now(), new_id=ids.new_id())
    if hold.answer:
        return hold.answer, True
    store.take(hold, known)
    answer = None
    try:
        answer = do(hold)
        return answer, False
    finally:
        store.let_go(hold, answer)
