"""What becomes of a call: pure decisions.

Each takes a call and something that happened, and returns the call as it is then, or None when nothing changes (a
message that came twice, late or out of order).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chalicelib import clock
from chalicelib.calls.model import Attempt, Call, CallState, CallStatus, Result, Retry
from chalicelib.dialing.messages import Ended, Released, Skipped

SUMMARIES_KEPT = 5
"""Of a call's attempts, the last; a summary can be 4,000 characters, a row 400 KB."""

QUEUE_LEASE_SECONDS = 120
"""How long a claimed call may wait for its dialer before it is claimed anew."""

CALLBACK_HORIZON = timedelta(days=14)
NO_RESULT = "no result from the agent"

replace = msgspec.structs.replace


def after(call: Call, event: Ended | Released | Skipped, retry: Retry, *, now: datetime) -> Call | None:
    """The call after an event of it."""
    match event:
        case Ended():
            return _ended(call, event.attempt_id, event.result.cut(), retry, now=now)
        case Released():
            return _released(call, event, now)
        case Skipped():
            return _skipped(call, event, now)


def expired(call: Call, *, now: datetime) -> Call | None:
    """The call after its lease ran out: a queued one waits again; one under way has FAILED and is not dialed again."""
    if call.due_at is None or call.due_at > clock.stamp(now):
        return None
    if call.state is CallState.QUEUED:
        return call.waiting(now, now=now)
    if call.state is CallState.CALLING:
        return _final(call, Result(call_status=CallStatus.FAILED, outcome=NO_RESULT), now, presumed=True)
    return None


def next_due(result: Result, call: Call, retry: Retry, *, now: datetime) -> datetime | None:
    """When a call that ended with `result` is dialed again; None when it is final.

    A callback the contact asked for, between now and 14 days ahead, is dialed once; other outcomes as often and as
    late as the retry policy says. Together never more than its attempts and one callback.
    """
    if call.leaving:
        return None
    if result.call_status is CallStatus.CALLBACK_REQUESTED:
        return _callback(result, call, now)
    made = len(call.attempts) + 1 - call.spent - call.called_back
    if result.call_status not in retry.on or made >= retry.max_attempts:
        return None
    delay = retry.delay_minutes[min(made, len(retry.delay_minutes)) - 1]
    return now + timedelta(minutes=delay)


def _callback(result: Result, call: Call, now: datetime) -> datetime | None:
    if call.called_back or result.callback_at is None:
        return None
    try:
        at = clock.moment(result.callback_at)
    except ValueError:
        return None
    if at.tzinfo is None or not now < at <= now + CALLBACK_HORIZON:
        return None
    return at


def _ended(call: Call, attempt_id: str, result: Result, retry: Retry, *, now: datetime) -> Call | None:
    if call.attempt_id == attempt_id and call.state is not CallState.DONE:
        due = next_due(result, call, retry, now=now)
        if due is None:
            return _final(call, result, now)
        callback = result.call_status is CallStatus.CALLBACK_REQUESTED
        attempts = _history(call.attempts, _attempt(call, result, now))
        call = replace(call, attempts=attempts, attempt_id=None, called_back=call.called_back or callback)
        return call.waiting(due, now=now)
    return _corrected(call, attempt_id, result, now)


def _corrected(call: Call, attempt_id: str, result: Result, now: datetime) -> Call | None:
    """A late result of an attempt whose end was only presumed."""
    known = [attempt.attempt_id for attempt in call.attempts if attempt.presumed]
    if attempt_id not in known:
        return None
    attempts = [
        _attempt_of(attempt.attempt_id, attempt.started_at, result, now)
        if attempt.attempt_id == attempt_id
        else attempt
        for attempt in call.attempts
    ]
    call = replace(call, attempts=attempts, updated_at=clock.stamp(now))
    if attempts[-1].attempt_id != attempt_id or call.state in (CallState.QUEUED, CallState.CALLING):
        return call
    return replace(
        call, state=CallState.DONE, call_status=result.call_status, due_at=None, attempt_id=None, skip_reason=None
    )


def _released(call: Call, event: Released, now: datetime) -> Call | None:
    if not _holds(call, event, event.state):
        return None
    elsewhere = replace(call, zone=event.zone or call.zone)
    return elsewhere.waiting(now + timedelta(seconds=event.delay_seconds), now=now)


def _skipped(call: Call, event: Skipped, now: datetime) -> Call | None:
    if not _holds(call, event, CallState.QUEUED):
        return None
    return replace(
        call,
        state=CallState.DONE,
        call_status=CallStatus.SKIPPED,
        skip_reason=event.reason,
        attempt_id=None,
        due_at=None,
        updated_at=clock.stamp(now),
    )


def _holds(call: Call, event: Released | Skipped, state: CallState) -> bool:
    """Whether the event is of the call's present claim, and the call is where the dialer found it.

    A dial message can come twice: one dialer may be turned away at the gate just before the other passes it.
    """
    return (call.state, call.attempt_id, call.lease) == (state, event.attempt_id, event.lease)


def _final(call: Call, result: Result, now: datetime, *, presumed: bool = False) -> Call:
    return replace(
        call,
        state=CallState.DONE,
        call_status=result.call_status,
        attempts=_history(call.attempts, _attempt(call, result, now, presumed=presumed)),
        attempt_id=None,
        due_at=None,
        started_at=None,
        updated_at=clock.stamp(now),
    )


def _history(earlier: list[Attempt], last: Attempt) -> list[Attempt]:
    """Attempts with one more. Redials add to them without end, a row has one: only the last keep their summaries."""
    whole = max(len(earlier) + 1 - SUMMARIES_KEPT, 0)
    return [*(replace(attempt, summary=None) for attempt in earlier[:whole]), *earlier[whole:], last]


def _attempt(call: Call, result: Result, now: datetime, *, presumed: bool = False) -> Attempt:
    return _attempt_of(call.attempt_id or "", call.started_at, result, now, presumed=presumed)


def _attempt_of(
    attempt_id: str, started_at: str | None, result: Result, now: datetime, *, presumed: bool = False
) -> Attempt:
    return Attempt(
        attempt_id=attempt_id,
        started_at=started_at,
        ended_at=clock.stamp(now),
        call_status=result.call_status,
        outcome=result.outcome,
        summary=result.summary,
        duration=result.duration,
        recording_url=result.recording_url,
        presumed=presumed,
    )
