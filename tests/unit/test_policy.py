"""What becomes of a call: retries, callbacks, leases that run out, late results, redials."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import clock
from chalicelib.calls.model import FAILURES, OUTCOMES, Call, CallState, CallStatus, Result, Retry
from chalicelib.dialing.messages import Ended, Released, Skipped
from chalicelib.dialing.policy import NO_RESULT, after, delay_seconds, expired, next_due, placed_by, replace
from chalicelib.money import Money
from tests.unit.builders import AT, NOW, a_call, a_result, an_attempt, later

NEVER = Retry()
BUSY_LINES = Retry(max_attempts=4, delay_minutes=[5, 30])
NO_ANSWER, SUCCESS, CALLBACK = CallStatus.NO_ANSWER, CallStatus.SUCCESS, CallStatus.CALLBACK_REQUESTED
HERE: dict[str, Any] = {"organization_id": "1", "campaign_id": "campaign", "contact_id": "contact"}


def ended(status: CallStatus = SUCCESS, attempt_id: str = "first", **fields: Any) -> Ended:
    return Ended(**HERE, attempt_id=attempt_id, result=a_result(status, **fields))


def released(**fields: Any) -> Released:
    usual = {"attempt_id": "first", "lease": 1, "state": CallState.CALLING, "reason": "the agent is full"}
    return Released(**{**HERE, **usual, **fields})


def skipped(**fields: Any) -> Skipped:
    return Skipped(**{**HERE, "attempt_id": "first", "lease": 1, "reason": "DO_NOT_CALL", **fields})


def then(call: Call, event: Ended | Released | Skipped, retry: Retry = NEVER, *, now: datetime = NOW) -> Call:
    """The call after an event that changes it."""
    changed = after(call, event, retry, now=now)
    assert changed is not None
    return changed


def dialed(call: Call, attempt_id: str) -> Call:
    """A waiting call under way again."""
    assert call.state is CallState.WAITING
    return replace(call, state=CallState.CALLING, attempt_id=attempt_id, lease=call.lease + 1, due_at=later(hours=1))


def test_result_ends_the_call() -> None:
    call = then(a_call(), ended(outcome="done", summary="They talked.", duration=42, recording_url="https://r.test/1"))
    assert (call.state, call.call_status, call.attempt_id, call.due_at) == (CallState.DONE, SUCCESS, None, None)
    [attempt] = call.attempts
    assert (attempt.attempt_id, attempt.started_at, attempt.ended_at) == ("first", AT, AT)
    assert (attempt.outcome, attempt.summary, attempt.duration) == ("done", "They talked.", 42)


FACTS: dict[str, Any] = {
    "promised_date": "2026-12-01",
    "promised_amount": Money("500000", "UZS"),
    "cost": Money("0.144", "USD"),
}


def test_attempt_keeps_what_was_promised_what_it_cost_and_who_placed_it() -> None:
    call = then(a_call(provider="retell"), ended(CallStatus.PROMISE_TO_PAY, **FACTS))
    [attempt] = call.attempts
    assert {name: getattr(attempt, name) for name in FACTS} == FACTS
    assert (attempt.provider, call.provider) == ("retell", None)


def test_second_report_adds_facts_and_changes_none() -> None:
    call = then(a_call(provider="retell"), ended(CallStatus.PROMISE_TO_PAY, promised_date="2026-11-30"))
    [attempt] = then(call, ended(CallStatus.SUCCESS, **FACTS)).attempts
    assert (attempt.call_status, attempt.promised_date) == (CallStatus.PROMISE_TO_PAY, "2026-11-30")
    assert (attempt.promised_amount, attempt.cost) == (FACTS["promised_amount"], FACTS["cost"])


def test_attempt_that_was_given_up_is_of_its_provider_whatever_comes_later() -> None:
    call = expired(a_call(provider="vapi", due_at=AT), now=NOW)
    assert call
    assert call.attempts[0].provider == "vapi"
    assert then(call, ended(CallStatus.SUCCESS, **FACTS)).attempts[0].provider == "vapi"


def test_what_an_agent_tells_is_cut() -> None:
    [attempt] = then(a_call(), ended(outcome="x" * 5_000, summary="y" * 5_000, recording_url="z" * 5_000)).attempts
    assert [len(text or "") for text in (attempt.outcome, attempt.summary, attempt.recording_url)] == [
        *(1_000, 4_000, 2_000)
    ]


def test_unanswered_call_waits_longer_each_time_and_the_last_delay_repeats() -> None:
    call, delays = a_call(), []
    for attempt_id in ("first", "second", "third", "fourth"):
        call = then(call, ended(NO_ANSWER, attempt_id), BUSY_LINES)
        if call.state is CallState.DONE:
            break
        delays.append(clock.moment(call.due_at or "") - NOW)
        call = dialed(call, {"first": "second", "second": "third"}.get(attempt_id, "fourth"))
    assert delays == [timedelta(minutes=minutes) for minutes in (5, 30, 30)]
    assert (call.call_status, len(call.attempts)) == (NO_ANSWER, 4)


def test_waiting_call_shows_as_pending_and_takes_a_new_attempt() -> None:
    call = then(a_call(), ended(NO_ANSWER), BUSY_LINES)
    assert (call.state, call.call_status, call.attempt_id) == (CallState.WAITING, CallStatus.PENDING, None)


def test_outcome_the_policy_does_not_name_is_final() -> None:
    assert then(a_call(), ended(CallStatus.FAILED), BUSY_LINES).state is CallState.DONE


def test_contact_taken_out_during_the_call_is_not_dialed_again() -> None:
    for event in (ended(NO_ANSWER), ended(CALLBACK, callback_at=later(hours=1))):
        assert then(a_call(leaving=True), event, BUSY_LINES).state is CallState.DONE


def test_callback_is_dialed_at_its_time_once() -> None:
    call = then(a_call(), ended(CALLBACK, callback_at="2026-11-24T10:00:00+05:00"))
    assert (call.state, call.due_at) == (CallState.WAITING, "2026-11-24T05:00:00.000Z")
    again = then(dialed(call, "second"), ended(CALLBACK, "second", callback_at=later(days=2)))
    assert (again.state, again.call_status, len(again.attempts)) == (CallState.DONE, CALLBACK, 2)


def test_callback_costs_no_retry() -> None:
    call = then(a_call(), ended(CALLBACK, callback_at=later(hours=1)), Retry(max_attempts=2))
    call = then(dialed(call, "second"), ended(NO_ANSWER, "second"), Retry(max_attempts=2))
    assert call.state is CallState.WAITING
    assert then(dialed(call, "third"), ended(NO_ANSWER, "third"), Retry(max_attempts=2)).state is CallState.DONE


@pytest.mark.parametrize(
    "callback_at",
    [None, AT, later(minutes=-1), later(days=14, seconds=1), "tomorrow", "", "2026-11-24T10:00:00", "9" * 2_000],
)
def test_callback_without_a_time_within_14_days_is_final(callback_at: str | None) -> None:
    call = then(a_call(), ended(CALLBACK, callback_at=callback_at), BUSY_LINES)
    assert (call.state, call.call_status) == (CallState.DONE, CALLBACK)


def test_queued_call_whose_lease_ran_out_waits_again_at_no_cost() -> None:
    call = expired(a_call(CallState.QUEUED), now=NOW + timedelta(seconds=120))
    assert call is not None
    assert (call.state, call.attempt_id, call.attempts) == (CallState.WAITING, "first", [])


def test_call_without_a_result_has_failed_and_is_not_dialed_again() -> None:
    call = expired(a_call(), now=NOW + timedelta(minutes=15))
    assert call is not None
    assert (call.state, call.call_status) == (CallState.DONE, CallStatus.FAILED)
    assert (call.attempts[0].outcome, call.attempts[0].presumed) == (NO_RESULT, True)


@pytest.mark.parametrize("state", CallState)
def test_lease_that_still_runs_changes_nothing(state: CallState) -> None:
    assert expired(a_call(state), now=NOW - timedelta(seconds=1)) is None


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.DONE])
def test_only_calls_in_flight_have_a_lease(state: CallState) -> None:
    assert expired(a_call(state), now=NOW + timedelta(days=1)) is None


def test_late_result_corrects_a_presumed_end_and_starts_no_retry() -> None:
    presumed = expired(a_call(), now=NOW + timedelta(minutes=15))
    assert presumed is not None
    call = then(presumed, ended(NO_ANSWER, outcome="rang out"), BUSY_LINES)
    assert (call.state, call.call_status, len(call.attempts)) == (CallState.DONE, NO_ANSWER, 1)
    assert (call.attempts[0].outcome, call.attempts[0].presumed) == ("rang out", False)
    assert after(call, ended(SUCCESS), BUSY_LINES, now=NOW) is None


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.QUEUED])
def test_late_result_takes_a_redialed_call_out_of_the_wait(state: CallState) -> None:
    presumed = expired(a_call(), now=NOW + timedelta(minutes=15))
    assert presumed is not None
    call = then(replace(presumed.redialed(now=NOW), state=state), ended(SUCCESS))
    assert (call.state, call.call_status, call.due_at) == (CallState.DONE, SUCCESS, None)


@pytest.mark.parametrize(
    ("asked", "due"),
    [(later(hours=2), later(hours=2)), (later(minutes=1), later(minutes=16)), (AT, None), (later(days=15), None)],
    ids=["later", "meanwhile", "before", "too-late"],
)
def test_callback_told_late_is_made(asked: str, due: str | None) -> None:
    reported = NOW + timedelta(minutes=16)
    presumed = expired(a_call(), now=NOW + timedelta(minutes=15))
    assert presumed is not None
    call = then(presumed, ended(CALLBACK, callback_at=asked), now=reported)
    assert (call.state, call.due_at) == (CallState.WAITING if due else CallState.DONE, due)
    assert (call.attempts[0].call_status, call.attempts[0].callback_at) == (CALLBACK, asked)
    assert after(call, ended(CALLBACK, callback_at=asked), NEVER, now=reported) is None


@pytest.mark.parametrize("redialed", [False, True])
def test_callback_told_late_is_made_once_and_costs_no_retry(*, redialed: bool) -> None:
    presumed = expired(a_call(due_at=AT), now=NOW)
    assert presumed is not None
    call = presumed.redialed(now=NOW) if redialed else presumed
    call = then(call, ended(CALLBACK, callback_at=later(hours=1)))
    call = then(dialed(call, "second"), ended(NO_ANSWER, "second"), Retry(max_attempts=2))
    assert call.state is CallState.WAITING
    last = dialed(call, "third")
    assert then(last, ended(NO_ANSWER, "third"), Retry(max_attempts=2)).state is CallState.DONE
    assert then(last, ended(CALLBACK, "third", callback_at=later(hours=2))).state is CallState.DONE


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.QUEUED])
def test_callback_told_late_holds_back_a_redialed_call(state: CallState) -> None:
    presumed = expired(a_call(due_at=AT), now=NOW)
    assert presumed is not None
    call = then(replace(presumed.redialed(now=NOW), state=state), ended(CALLBACK, callback_at=later(hours=1)))
    assert (call.state, call.attempt_id, call.due_at) == (CallState.WAITING, None, later(hours=1))


@pytest.mark.parametrize(
    "why",
    [
        {"leaving": True},
        {"erased": True},
        {"called_back": True},
        {"attempts": [an_attempt("first", presumed=True), an_attempt("second", NO_ANSWER)]},
    ],
    ids=lambda why: next(iter(why)),
)
def test_callback_told_late_is_not_made_where_none_would_be_made_in_time(why: dict[str, Any]) -> None:
    done = {"attempts": [an_attempt("first", presumed=True)], **why}
    call = then(a_call(CallState.DONE, **done), ended(CALLBACK, callback_at=later(hours=1)))
    assert call.state is CallState.DONE
    assert call.attempts[0].call_status is CALLBACK


def test_callback_is_not_made_for_who_wants_no_calls_any_more() -> None:
    for call in (a_call(), a_call(CallState.DONE, attempts=[an_attempt("first", presumed=True)])):
        told = ended(CALLBACK, callback_at=later(hours=1), do_not_call=True)
        assert then(call, told).state is CallState.DONE


def test_callback_told_after_the_campaigns_end_is_kept_and_not_made() -> None:
    presumed = a_call(CallState.DONE, attempts=[an_attempt("first", presumed=True)])
    call = after(presumed, ended(CALLBACK, callback_at=later(hours=1)), BUSY_LINES, now=NOW, over=True)
    assert call is not None
    assert (call.state, call.call_status, call.attempts[0].callback_at) == (CallState.DONE, CALLBACK, later(hours=1))


def test_callback_whose_moment_a_second_report_brings_is_made() -> None:
    call = then(a_call(), ended(CALLBACK))
    assert call.state is CallState.DONE
    call = then(call, ended(CALLBACK, callback_at=later(hours=1)))
    assert (call.state, call.due_at) == (CallState.WAITING, later(hours=1))
    done = then(a_call(), ended(SUCCESS))
    assert then(done, ended(CALLBACK, callback_at=later(hours=1))).state is CallState.DONE


def test_late_result_does_not_disturb_the_next_attempt() -> None:
    under_way = a_call(CallState.CALLING, attempt_id="second", attempts=[an_attempt("first", presumed=True)])
    call = then(under_way, ended(SUCCESS))
    assert (call.state, call.attempt_id, call.due_at) == (CallState.CALLING, "second", under_way.due_at)
    assert call.attempts[0].call_status is SUCCESS


def test_late_result_of_an_older_attempt_is_kept_in_the_history_only() -> None:
    attempts = [an_attempt("first", presumed=True), an_attempt("second", NO_ANSWER)]
    call = then(a_call(CallState.DONE, attempts=attempts), ended(SUCCESS))
    assert (call.call_status, [each.call_status for each in call.attempts]) == (NO_ANSWER, [SUCCESS, NO_ANSWER])


def test_result_of_an_unknown_attempt_changes_nothing() -> None:
    for state in CallState:
        assert after(a_call(state), ended(SUCCESS, "another"), BUSY_LINES, now=NOW) is None


def test_result_of_a_released_attempt_still_counts() -> None:
    call = then(then(a_call(), released()), ended(SUCCESS))
    assert (call.state, call.call_status) == (CallState.DONE, SUCCESS)


def test_claim_that_may_have_been_written_is_given_back_unless_it_is_another_dialers() -> None:
    unsure = released(state=CallState.QUEUED, claimed_by="me")
    for call in (a_call(claimed_by="me"), a_call(state=CallState.QUEUED)):
        waiting = then(call, unsure)
        assert (waiting.state, waiting.attempt_id, waiting.claimed_by) == (CallState.WAITING, "first", None)
    assert after(a_call(claimed_by="another"), unsure, NEVER, now=NOW) is None
    assert after(a_call(claimed_by="me", lease=2), unsure, NEVER, now=NOW) is None
    assert after(a_call(), released(state=CallState.QUEUED), NEVER, now=NOW) is None


def test_released_call_keeps_its_attempt_and_waits() -> None:
    call = then(a_call(), released(delay_seconds=60, zone="Asia/Tashkent"))
    assert (call.state, call.attempt_id, call.attempts) == (CallState.WAITING, "first", [])
    assert (call.due_at, call.zone) == (later(seconds=60), "Asia/Tashkent")
    assert then(a_call(zone="Asia/Tashkent"), released()).zone == "Asia/Tashkent"


@pytest.mark.parametrize("other", [{"lease": 2}, {"attempt_id": "second"}, {"state": CallState.QUEUED}])
def test_release_of_another_claim_changes_nothing(other: dict[str, Any]) -> None:
    assert after(a_call(), released(**other), NEVER, now=NOW) is None


def test_queued_contact_that_must_not_be_called_is_skipped() -> None:
    call = then(a_call(CallState.QUEUED), skipped())
    assert (call.state, call.call_status, call.skip_reason) == (CallState.DONE, CallStatus.SKIPPED, "DO_NOT_CALL")
    assert (call.attempts, call.due_at, call.attempt_id) == ([], None, None)


@pytest.mark.parametrize("state", [CallState.WAITING, CallState.CALLING, CallState.DONE])
def test_only_queued_calls_are_skipped(state: CallState) -> None:
    assert after(a_call(state), skipped(), NEVER, now=NOW) is None


def test_redialed_call_has_all_its_retries_again() -> None:
    spent = a_call(CallState.DONE, attempts=[an_attempt(str(n), NO_ANSWER) for n in range(4)], called_back=True)
    call = spent.redialed(now=NOW)
    assert (call.state, call.due_at, len(call.attempts)) == (CallState.WAITING, AT, 4)
    under_way = dialed(call, "again")
    assert next_due(a_result(NO_ANSWER), under_way, BUSY_LINES, now=NOW) == NOW + timedelta(minutes=5)
    assert next_due(a_result(CALLBACK, callback_at=later(hours=1)), under_way, NEVER, now=NOW) is not None


def test_redialed_call_forgets_why_it_was_skipped() -> None:
    call = then(a_call(CallState.QUEUED), skipped()).redialed(now=NOW)
    assert (call.skip_reason, call.call_status) == (None, CallStatus.PENDING)


results = st.builds(
    Result,
    call_status=st.sampled_from(OUTCOMES),
    callback_at=st.none() | st.sampled_from([later(hours=1), later(days=13), later(days=20), "soon"]),
)
retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 5),
    delay_minutes=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    on=st.lists(st.sampled_from(FAILURES), unique=True),
)


@given(retry=retries, answers=st.lists(results, min_size=8, max_size=8))
@settings(max_examples=150, deadline=None)
def test_nobody_is_dialed_more_often_than_the_policy_and_one_callback(retry: Retry, answers: list[Result]) -> None:
    call = a_call()
    for n, answer in enumerate(answers):
        call = then(call, Ended(**HERE, attempt_id=call.attempt_id or "", result=answer), retry)
        if call.state is CallState.DONE:
            break
        assert call.due_at is not None
        assert clock.moment(call.due_at) >= NOW
        call = dialed(call, f"attempt {n}")
    assert call.state is CallState.DONE
    callbacks = sum(each.call_status is CALLBACK for each in call.attempts[:-1])
    assert callbacks <= 1
    assert len(call.attempts) <= retry.max_attempts + 1
    assert call.call_status is call.attempts[-1].call_status


events = st.one_of(
    st.builds(ended, st.sampled_from(OUTCOMES), st.sampled_from(["first", "second"])),
    st.builds(released, lease=st.integers(1, 3), state=st.sampled_from([CallState.QUEUED, CallState.CALLING])),
    st.builds(skipped, lease=st.integers(1, 3)),
)


@given(state=st.sampled_from(CallState), told=st.lists(events, max_size=6), retry=retries)
@settings(max_examples=150, deadline=None)
def test_events_that_come_twice_or_out_of_order_leave_a_sound_call(
    state: CallState, told: list[Ended | Released | Skipped], retry: Retry
) -> None:
    call = a_call(state)
    for event in told:
        changed = after(call, event, retry, now=NOW)
        if changed is None:
            continue
        assert after(changed, event, retry, now=NOW) is None, "the same event twice"
        call = changed
        assert (call.state is CallState.DONE) == (call.due_at is None)
        assert (call.state is CallState.DONE) == (call.call_status in (*OUTCOMES, CallStatus.SKIPPED))
        assert len({attempt.attempt_id for attempt in call.attempts}) == len(call.attempts)


def test_only_the_last_attempts_keep_their_summaries() -> None:
    call, often = a_call(CallState.WAITING), Retry(max_attempts=10, on=[CallStatus.BUSY])
    for n in range(9):
        call = then(dialed(call, str(n)), ended(CallStatus.BUSY, str(n), summary=f"try {n}"), often)
    assert [attempt.summary for attempt in call.attempts] == [None] * 4 + [f"try {n}" for n in range(4, 9)]


@pytest.mark.parametrize(
    ("counted", "due", "expected"),
    [(None, later(seconds=500), 0), ("http", later(seconds=500), 380), ("http", later(seconds=110), 0)],
)
def test_order_given_again_keeps_the_moment_its_account_bears_it(counted: str | None, due: str, expected: int) -> None:
    call = a_call(CallState.QUEUED, counted=counted, due_at=due)
    assert delay_seconds(call, 120, NOW) == expected


def test_attempt_is_of_the_agent_that_it_was_claimed_for() -> None:
    call = a_call(agent=1, attempts=[an_attempt("before", provider="vapi"), an_attempt("long ago")])
    providers = ["http", "retell", "vapi"]
    assert [placed_by(call, each, providers) for each in ("first", "before", "long ago")] == [1, 2, 0]
    assert placed_by(call, "first", ["http"]) == 0
    assert placed_by(call, "before", ["http", "retell"]) == 0
