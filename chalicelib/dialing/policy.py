"""What becomes of a call: pure decisions.

Each takes a call and something that happened, and returns the call as it is then, or None when nothing changes (a
message that came twice, late or out of order).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chalicelib import clock
from chalicelib.agents.health import Said, Verdict
from chalicelib.calls.model import OUTCOME_LIMIT, Attempt, Call, CallState, CallStatus, Result, Retry
from chalicelib.campaigns.messages import GivenUp
from chalicelib.dialing import silence
from chalicelib.dialing.messages import CallEvent, Ended, Heard, Released, Skipped, Undialed

SUMMARIES_KEPT = 5
"""Of a call's attempts, the last; a summary can be 4,000 characters."""

HISTORY_BYTES = 100_000
"""Of a call's attempts as JSON: its row has 400 KB at most. Redials add attempts without end, so the oldest go."""

QUEUE_LEASE_SECONDS = 120
"""How long a claimed call may wait for its dialer before it is claimed anew, while no agent holds dialers."""

CALLS_BEFORE = 12
"""Calls, each holding its dialer, which a claimed one may have to wait for as well: of so many campaigns."""

LONGEST_QUEUE_LEASE_SECONDS = 3_600

CALLBACK_HORIZON = timedelta(days=14)
NO_RESULT = "no result from the agent"
GIVEN_UP = "given up by an operator"
WITHDRAWN = "taken out of the campaign"

replace = msgspec.structs.replace


def queue_lease(held_seconds: float) -> float:
    """Seconds a claimed call may wait for its dialer: longer than any wait in the queue, so that none is ordered twice.

    `held_seconds` is how long an agent may hold a dialer: any campaign's agent, as all campaigns share the dialers.
    """
    return min(QUEUE_LEASE_SECONDS + CALLS_BEFORE * held_seconds, LONGEST_QUEUE_LEASE_SECONDS)


def delay_seconds(call: Call, lease_seconds: float, now: datetime) -> int:
    """After how long a queued call is to be placed that its agent's account bears later, by when its lease ends."""
    if call.counted is None or call.due_at is None:
        return 0
    late = (clock.moment(call.due_at) - now).total_seconds() - lease_seconds
    return max(math.ceil(late), 0)


def after(call: Call, event: CallEvent, retry: Retry, *, now: datetime, over: bool = False) -> Call | None:
    """The call after an event of it; `over` when its campaign has come to its end, after which nobody is dialed."""
    match event:
        case Ended():
            result = event.result.wordless() if call.erased else event.result.cut()
            return _ended(call, event.attempt_id, result, retry, now=now, over=over)
        case Released():
            return _released(call, event, now)
        case Undialed():
            return _undialed(call, event, now)
        case Skipped():
            return _skipped(call, event, now)
        case Heard():
            return _answered(call, event, now)
        case GivenUp():
            meant = event.attempt_id in (call.attempt_id, None) and call.state is CallState.CALLING
            return _presumed(call, GIVEN_UP, now) if meant else None


def said(call: Call, event: CallEvent) -> Said | None:
    """What an event that changes the call says of the agent, unless that was said before.

    A result that comes again with a recording tells of the call, and not of the agent any more. A full agent was so
    when the call was placed.
    """
    if isinstance(event, Skipped | GivenUp):
        return None
    if isinstance(event, Released) and event.said and event.said.verdict is Verdict.FULL:
        return replace(event.said, at=call.started_at or event.said.at)
    booked = {attempt.attempt_id for attempt in call.attempts if not attempt.presumed}
    return None if isinstance(event, Ended) and event.attempt_id in booked else event.said


def placed_by(call: Call, attempt_id: str | None, providers: Sequence[str]) -> int:
    """Which of its campaign's agents an attempt of a call is, or was, claimed for, by its place among them."""
    if call.attempt_id == attempt_id:
        return call.agent if call.agent < len(providers) else 0
    known = next((each.provider for each in call.attempts if each.attempt_id == attempt_id), None)
    return providers.index(known) if known in providers else 0


def expired(call: Call, *, now: datetime) -> Call | None:
    """The call after it was to be looked at: a queued one waits again; one under way is asked after, or has FAILED and
    is not dialed again.
    """
    if call.due_at is None or call.due_at > clock.stamp(now):
        return None
    if call.state is CallState.QUEUED:
        return call.waiting(now, now=now)
    if call.state is CallState.CALLING:
        return _silent(call, now)
    return None


def is_asked_after(old: Call, new: Call) -> bool:
    """Whether a call's agent is to be asked after it, if its look at `due_at` led from the one to the other."""
    goes_on = old.state is CallState.CALLING and new.state is CallState.CALLING and old.attempt_id == new.attempt_id
    return goes_on and (new.due_at or "") > (old.due_at or "")


def _silent(call: Call, now: datetime) -> Call:
    """A call under way whose agent should have told of it: it is asked, until the lease ends.

    A look that came so late that the lease is over is made up for before anything is presumed.
    """
    until = clock.moment(call.awaited_until) if call.awaited_until else now
    if until > now:
        return replace(call, due_at=clock.stamp(silence.next_look(until, now)))
    if call.awaited_until is None or call.due_at == call.awaited_until:
        return _presumed(call, NO_RESULT, now)
    late = clock.stamp(now + silence.LAST)
    return replace(call, due_at=late, awaited_until=late)


def next_due(result: Result, call: Call, retry: Retry, *, now: datetime) -> datetime | None:
    """When a call that ended with `result` is dialed again; None when it is final.

    A callback the contact asked for, at most 14 days ahead, is dialed once; other outcomes as often and as
    late as the retry policy says. Together never more than its attempts and one callback.
    """
    if result.call_status is CallStatus.CALLBACK_REQUESTED:
        return _callback(call, result, call.started_at, now)
    if call.leaving or result.do_not_call:
        return None
    made = len(call.attempts) + 1 - call.spent - call.called_back
    if result.call_status not in retry.on or made >= retry.max_attempts:
        return None
    delay = retry.delay_minutes[min(made, len(retry.delay_minutes)) - 1]
    return now + timedelta(minutes=delay)


def _callback(call: Call, said: Result | Attempt, started_at: str | None, now: datetime) -> datetime | None:
    """When a contact wants to be called back: now, if the moment passed between the conversation and its booking."""
    if call.called_back or call.leaving or call.erased or said.do_not_call or said.callback_at is None:
        return None
    try:
        at = clock.moment(said.callback_at)
    except ValueError:
        return None
    if at.tzinfo is None or at > now + CALLBACK_HORIZON:
        return None
    began = clock.moment(started_at) if started_at else now
    return max(at, now) if at > began else None


def _ended(
    call: Call, attempt_id: str, result: Result, retry: Retry, *, now: datetime, over: bool = False
) -> Call | None:
    if call.attempt_id == attempt_id and call.state is not CallState.DONE:
        due = next_due(result, call, retry, now=now)
        if due is None:
            return _final(call, result, now)
        callback = result.call_status is CallStatus.CALLBACK_REQUESTED
        call = _with(call, _attempt(call, result, now))
        call = replace(call, attempt_id=None, called_back=call.called_back or callback)
        return call.waiting(due, now=now)
    return _corrected(call, attempt_id, result, now, over=over)


def _corrected(call: Call, attempt_id: str, result: Result, now: datetime, *, over: bool) -> Call | None:
    """A result of an attempt that has ended: the truth where its end was only presumed, else what was missing.

    It starts no retry; but a callback that the contact asked for is made, unless the campaign is over.
    """
    known = next((attempt for attempt in call.attempts if attempt.attempt_id == attempt_id), None)
    if known is None:
        return None
    better = _reported(known, result) if known.presumed else _completed(known, result)
    if better == known:
        return None
    attempts = [better if attempt is known else attempt for attempt in call.attempts]
    call = replace(call, attempts=attempts, updated_at=clock.stamp(now))
    if attempts[-1] is not better or call.state is CallState.CALLING:
        return call
    asks = better.call_status is CallStatus.CALLBACK_REQUESTED and (known.presumed or known.callback_at is None)
    if asks and not over and (due := _callback(call, better, better.started_at, now)):
        again = replace(call, attempt_id=None, called_back=True, spent=min(call.spent, len(attempts) - 1))
        return again.waiting(due, now=now)
    return call.finished(now=now, never_dialed="") if known.presumed else call


def _reported(presumed: Attempt, result: Result) -> Attempt:
    """An attempt with what became of it after all; when it ended is kept, as nobody tells."""
    return _attempt_of(
        presumed.attempt_id, presumed.started_at, presumed.provider, result, clock.moment(presumed.ended_at)
    )


def _completed(known: Attempt, result: Result) -> Attempt:
    """An attempt with what a second report adds: a recording, a promise, a fuller summary, "never again"; no status."""
    fuller = len(result.summary or "") > len(known.summary or "")
    return replace(
        known,
        outcome=known.outcome or result.outcome,
        summary=result.summary if fuller else known.summary,
        duration=result.duration if known.duration is None else known.duration,
        recording_url=known.recording_url or result.recording_url,
        callback_at=known.callback_at or result.callback_at,
        promised_date=known.promised_date or result.promised_date,
        promised_amount=known.promised_amount or result.promised_amount,
        cost=known.cost or result.cost,
        do_not_call=known.do_not_call or result.do_not_call,
    )


def _released(call: Call, event: Released, now: datetime) -> Call | None:
    passed = event.claimed_by is not None and call.claimed_by == event.claimed_by
    if not _holds(call, event, CallState.CALLING if passed else event.state):
        return None
    if call.leaving:
        return call.finished(now=now, never_dialed=WITHDRAWN)
    elsewhere = replace(call, zone=event.zone or call.zone)
    return elsewhere.waiting(now + timedelta(seconds=event.delay_seconds), now=now, because=event.reason)


def _undialed(call: Call, event: Undialed, now: datetime) -> Call | None:
    if call.state is not CallState.CALLING or call.attempt_id != event.attempt_id:
        return None
    if call.leaving:
        return call.finished(now=now, never_dialed=WITHDRAWN)
    again = replace(call, attempt_id=None)
    return again.waiting(now + timedelta(seconds=event.delay_seconds), now=now, because=event.reason)


def _skipped(call: Call, event: Skipped, now: datetime) -> Call | None:
    if not _holds(call, event, CallState.QUEUED):
        return None
    return call.finished(now=now, never_dialed=event.reason)


def _holds(call: Call, event: Released | Skipped, state: CallState) -> bool:
    """Whether the event is of the call's present claim, and the call is where the dialer found it.

    A dial message can come twice: one dialer may be turned away at the gate just before the other passes it.
    """
    return (call.state, call.attempt_id, call.lease) == (state, event.attempt_id, event.lease)


def _answered(call: Call, event: Heard, now: datetime) -> Call | None:
    """A call under way keeps what its agent answered without saying how it ended: a person can read it.

    One that may not have begun is asked after soon.
    """
    under_way = call.state is CallState.CALLING and call.attempt_id == event.attempt_id
    if not under_way or call.heard:
        return None
    call = replace(call, heard=True, answer=event.answer and event.answer[:OUTCOME_LIMIT])
    if event.said.verdict is not Verdict.UNKNOWN or not call.awaited_until or not call.due_at:
        return call
    soon = silence.unsure_look(clock.moment(call.due_at), now)
    return replace(call, unsure=True, due_at=clock.stamp(soon))


def _presumed(call: Call, outcome: str, now: datetime) -> Call:
    """A call under way of which nobody will tell any more, as it seems."""
    outcome = f"{outcome}; its answer: {call.answer}" if call.answer else outcome
    return _final(call, Result(call_status=CallStatus.FAILED, outcome=outcome).cut(), now, presumed=True)


def _final(call: Call, result: Result, now: datetime, *, presumed: bool = False) -> Call:
    return _with(call, _attempt(call, result, now, presumed=presumed)).finished(now=now, never_dialed="")


def _with(call: Call, last: Attempt) -> Call:
    """A call with one more attempt, within what a row holds: the earlier ones lose their summaries, the oldest go."""
    whole = max(len(call.attempts) + 1 - SUMMARIES_KEPT, 0)
    kept = [*(replace(attempt, summary=None) for attempt in call.attempts[:whole]), *call.attempts[whole:], last]
    gone = 0
    while len(msgspec.json.encode(kept[gone:])) > HISTORY_BYTES:
        gone += 1
    return replace(call, attempts=kept[gone:], spent=call.spent - gone)


def _attempt(call: Call, result: Result, now: datetime, *, presumed: bool = False) -> Attempt:
    return _attempt_of(call.attempt_id or "", call.started_at, call.provider, result, now, presumed=presumed)


def _attempt_of(
    attempt_id: str,
    started_at: str | None,
    provider: str | None,
    result: Result,
    now: datetime,
    *,
    presumed: bool = False,
) -> Attempt:
    return Attempt(
        attempt_id=attempt_id,
        started_at=started_at,
        provider=provider,
        ended_at=clock.stamp(now),
        call_status=result.call_status,
        outcome=result.outcome,
        summary=result.summary,
        duration=result.duration,
        recording_url=result.recording_url,
        callback_at=result.callback_at,
        promised_date=result.promised_date,
        promised_amount=result.promised_amount,
        cost=result.cost,
        do_not_call=result.do_not_call,
        presumed=presumed,
    )
