"""When an agent is asked after a call: after the longest it may take, every five minutes, and before its lease ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.agents.health import Said, Verdict
from chalicelib.calls.model import Call, CallState, CallStatus
from chalicelib.dialing.messages import Heard
from chalicelib.dialing.policy import NO_RESULT, after, expired, is_asked_after
from chalicelib.dialing.silence import first_look, is_untraced, next_look
from tests.unit.builders import AT, NOW, a_call, later
from tests.unit.test_policy import HERE, NEVER, ended, released, then


def looks(call_timeout_seconds: int, max_duration_seconds: int | None = None) -> list[float]:
    """Seconds after its claim when a silent call is looked at, the end of its lease last."""
    until = NOW + timedelta(seconds=call_timeout_seconds)
    at = NOW + timedelta(seconds=first_look(call_timeout_seconds, max_duration_seconds, call_timeout_seconds))
    found = [at]
    while at < until:
        at = next_look(until, at)
        found.append(at)
    return [(each - NOW).total_seconds() for each in found]


@pytest.mark.parametrize(
    ("timeout", "longest", "expected"),
    [
        (900, None, [810, 900]),
        (900, 300, [510, 780, 900]),
        (3600, 60, [270, 570, 870, 1170, 1470, 1770, 2070, 2370, 2670, 2970, 3270, 3480, 3600]),
        (120, None, [90, 120]),
        (7200, None, [7110, 7200]),
    ],
)
def test_silent_call_is_looked_at(timeout: int, longest: int | None, expected: list[float]) -> None:
    assert looks(timeout, longest) == expected


@pytest.mark.parametrize("timeout", range(120, 7_201, 60))
@pytest.mark.parametrize("longest", [None, 10, 600])
def test_agent_is_asked_at_least_once_and_never_while_a_call_may_last(timeout: int, longest: int | None) -> None:
    *asked, end = looks(timeout, longest)
    assert end == timeout
    assert len(asked) >= 1
    assert asked[0] >= min(longest or timeout, max(timeout - 120, timeout // 2))
    assert all(later - earlier >= 60 for earlier, later in pairwise(asked))


def a_silent_call(**fields: Any) -> Call:
    return a_call(**{"due_at": AT, "awaited_until": later(minutes=10), "provider": "http", **fields})


def test_silent_call_is_asked_after_and_looked_at_again() -> None:
    call = a_silent_call()
    asked = expired(call, now=NOW)
    assert asked is not None
    assert (asked.state, asked.attempts, asked.due_at) == (CallState.CALLING, [], later(minutes=5))
    assert is_asked_after(call, asked)
    assert not asked.is_told(call)
    assert expired(asked, now=NOW) is None


def test_silent_call_has_failed_when_its_lease_ends() -> None:
    end = NOW + timedelta(minutes=10)
    call = expired(a_silent_call(due_at=clock.stamp(end)), now=end)
    assert call is not None
    assert (call.state, call.attempts[-1].outcome, call.attempts[-1].provider) == (CallState.DONE, NO_RESULT, "http")
    assert not is_asked_after(a_silent_call(), call)


def test_look_that_comes_after_the_lease_is_made_up_for_once() -> None:
    call, end = a_silent_call(due_at=later(minutes=9)), NOW + timedelta(minutes=11)
    asked = expired(call, now=end)
    assert asked is not None
    assert (asked.state, asked.due_at) == (CallState.CALLING, later(minutes=13))
    assert is_asked_after(call, asked)
    failed = expired(asked, now=NOW + timedelta(minutes=13))
    assert failed is not None
    assert (failed.state, failed.attempts[-1].outcome) == (CallState.DONE, NO_RESULT)


def test_another_call_to_the_contact_is_not_asked_after() -> None:
    assert not is_asked_after(a_silent_call(), a_call(attempt_id="second", due_at=later(hours=1)))


@pytest.mark.parametrize("fields", [{"leaving": True}, {}])
def test_call_that_ends_keeps_nothing_of_being_under_way(fields: dict[str, bool]) -> None:
    for event in (ended(), released(), ended(CallStatus.NO_ANSWER)):
        call = then(a_silent_call(unsure=True, answer="hm", **fields), event)
        assert (call.awaited_until, call.unsure, call.provider, call.answer, call.started_at) == (
            *(None, False, None, None, None),
        )


def heard(verdict: Verdict, at: datetime = NOW) -> Heard:
    return Heard(**HERE, attempt_id="first", said=Said(verdict, "503", clock.stamp(at)))


def test_call_that_may_not_have_begun_is_asked_after_soon_and_once() -> None:
    call = a_silent_call(due_at=later(minutes=8))
    unsure = after(call, heard(Verdict.UNKNOWN), NEVER, now=NOW)
    assert unsure is not None
    assert (unsure.unsure, unsure.due_at) == (True, later(minutes=1))
    assert after(unsure, heard(Verdict.UNKNOWN), NEVER, now=NOW) is None
    taken = after(call, heard(Verdict.TAKEN), NEVER, now=NOW)
    assert taken is not None
    assert (taken.unsure, taken.due_at) == (False, call.due_at)
    assert after(a_silent_call(attempt_id="second"), heard(Verdict.UNKNOWN), NEVER, now=NOW) is None


def test_agent_that_cannot_be_asked_is_not_asked() -> None:
    call = after(a_call(), heard(Verdict.UNKNOWN), NEVER, now=NOW)
    assert call is not None
    assert (call.unsure, call.due_at) == (False, a_call().due_at)


def test_call_of_which_nothing_is_known_may_still_turn_up_for_a_while() -> None:
    assert not is_untraced(NOW, 60, NOW + timedelta(seconds=60 + 60 + 299))
    assert is_untraced(NOW, 60, NOW + timedelta(seconds=60 + 60 + 300))
