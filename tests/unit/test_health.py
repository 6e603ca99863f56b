"""The breaker: a full agent, one that is away, one that refuses us; and how it comes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.agents import health
from chalicelib.agents.health import AWAY, REFUSED, WELL, Health, Said, Verdict, away, pause_reason, probed, slots
from tests.unit.builders import AT, NOW

TAKEN, FULL, GONE, UNKNOWN, DENIED = Verdict.TAKEN, Verdict.FULL, Verdict.AWAY, Verdict.UNKNOWN, Verdict.REFUSED
CAP = 40


KNOWN = replace(WELL, waits=False)
"""An agent that is well and has answered before."""


def heard(*verdicts: Verdict, of: Health = KNOWN, cap: int = CAP, in_flight: int = CAP, now: datetime = NOW) -> Health:
    return health.after(of, map(Said, verdicts), cap=cap, in_flight=in_flight, now=now)


def free(of: Health, *, in_flight: int = 0, now: datetime = NOW) -> int:
    return slots(of, cap=CAP, in_flight=in_flight, now=now)


def minutes(number: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=number)


OUT = heard(*[GONE] * 20)
"""An agent that began to fail at NOW."""


def test_agent_that_is_well_may_take_all_slots() -> None:
    assert free(WELL) == CAP
    assert free(WELL, in_flight=CAP - 3) == 3
    assert not KNOWN.troubled
    assert heard(*[TAKEN] * 50) == KNOWN


def test_full_agent_gets_half_of_what_it_had() -> None:
    assert heard(FULL).window == 20
    assert heard(FULL, in_flight=10).window == 5
    assert free(heard(FULL), in_flight=15) == 5


def test_burst_of_refusals_halves_once() -> None:
    assert heard(*[FULL] * 30) == heard(FULL)


def test_window_never_falls_below_one() -> None:
    narrow = WELL
    for _ in range(20):
        narrow = heard(FULL, of=narrow, in_flight=0)
    assert narrow.window == 1
    assert (free(narrow), free(narrow, now=minutes(1))) == (0, 1)


def test_full_is_no_failure() -> None:
    assert not away(heard(*[FULL] * 100), minutes(60))
    assert pause_reason(heard(*[FULL] * 100), minutes(60)) is None


def test_ten_calls_taken_widen_the_window_by_one_until_it_is_gone() -> None:
    wider = heard(*[TAKEN] * 10, of=heard(FULL))
    assert wider.window == 21
    assert heard(*[TAKEN] * 9, of=wider).window == 21
    assert heard(*[TAKEN] * 200, of=wider) == KNOWN


def test_burst_that_is_heard_of_bit_by_bit_halves_once() -> None:
    narrow = health.after(heard(FULL), [Said(FULL, at=AT)] * 9, cap=CAP, in_flight=20, now=minutes(1))
    assert narrow == heard(FULL)
    placed_since = [Said(FULL, at=clock.stamp(minutes(0.5)))] * 3
    assert health.after(narrow, placed_since, cap=CAP, in_flight=20, now=minutes(1)).window == 10


def test_few_refusals_among_many_calls_taken_neither_narrow_further_nor_keep_the_window_from_widening() -> None:
    now_and_then = heard(FULL)
    for _ in range(3):
        now_and_then = heard(FULL, of=heard(*[TAKEN] * 3, of=now_and_then))
    assert now_and_then.window == 20
    assert heard(TAKEN, of=now_and_then).window == 21


def test_narrowed_window_is_halved_again_when_refusals_outnumber_the_calls_taken() -> None:
    nearly = heard(FULL, FULL, of=heard(*[TAKEN] * 5, of=heard(FULL)))
    nearly = heard(*[FULL] * 5, of=nearly, in_flight=20)
    assert nearly.window == 20
    narrower = heard(FULL, of=nearly, in_flight=20)
    assert (narrower.window, narrower.turned_away) == (10, 0)


def test_widened_window_is_watched_anew() -> None:
    wider = heard(*[TAKEN] * 10, of=heard(FULL, FULL, of=heard(FULL)))
    assert wider.window == 21
    assert heard(FULL, FULL, of=wider, in_flight=20).window == 21
    assert heard(FULL, FULL, FULL, of=wider, in_flight=20).window == 10


@pytest.mark.parametrize("verdict", [GONE, UNKNOWN])
def test_twenty_failures_that_went_on_for_two_minutes_leave_probes(verdict: Verdict) -> None:
    out = heard(*[verdict] * 20)
    assert not away(heard(*[verdict] * 19), minutes(60))
    assert not away(out, minutes(1.9))
    assert away(out, minutes(2))
    assert free(out, now=minutes(2)) == 1


def test_agent_that_says_when_to_come_again_is_given_nothing_before() -> None:
    until = minutes(5)
    busy = health.after(KNOWN, [Said(FULL, "429", AT, clock.stamp(until))], cap=CAP, in_flight=CAP, now=NOW)
    assert (free(busy, now=minutes(4.9)), free(busy, now=until)) == (0, 20)
    assert health.next_try(busy, NOW) == until
    assert health.trouble(busy, 0) == health.HOLDS.format(until=clock.stamp(until), said="429")
    assert heard(of=busy, now=until).again_at is None
    assert heard(TAKEN, of=busy, now=minutes(1)).again_at == busy.again_at


def test_probe_goes_out_once_a_minute() -> None:
    after_probe = probed(OUT, 1, minutes(2))
    assert free(after_probe, now=minutes(2.5)) == 0
    assert free(after_probe, now=minutes(3)) == 1
    assert health.next_try(after_probe, minutes(2.5)) == minutes(3)


def test_probe_waits_while_all_slots_are_taken() -> None:
    assert free(OUT, in_flight=CAP, now=minutes(2)) == 0


def test_only_claims_of_an_agent_that_is_away_are_probes() -> None:
    assert probed(WELL, 5, NOW) == WELL
    assert probed(OUT, 0, minutes(2)) == OUT


def test_one_success_ends_the_outage() -> None:
    assert heard(TAKEN, of=probed(OUT, 1, minutes(2))) == KNOWN


def test_failure_after_fifteen_minutes_without_a_success_pauses_the_campaign() -> None:
    nearly = heard(GONE, of=OUT, now=minutes(14.9))
    assert pause_reason(nearly, minutes(14.9)) is None
    assert pause_reason(heard(GONE, of=nearly, now=minutes(15)), minutes(15)) == AWAY.format(since=AT)


def test_time_alone_pauses_nothing() -> None:
    assert pause_reason(OUT, minutes(600)) is None


def test_few_failures_never_pause_however_long_ago() -> None:
    assert pause_reason(heard(*[GONE] * 19), minutes(600)) is None


@pytest.mark.parametrize(
    "ends", [[Verdict.DECLINED, Verdict.SILENT] * 10, [Verdict.ENDED, Verdict.DECLINED, Verdict.SILENT] * 13]
)
def test_refusals_and_silence_count_together(ends: list[Verdict]) -> None:
    broken, before = heard(*ends), heard(*ends[:-2])
    assert pause_reason(before, NOW) is None
    assert (pause_reason(broken, NOW) or "").startswith("The agent refused some of the last calls")


def test_unanswered_call_beside_others_that_go_on_is_no_outage() -> None:
    unsure, gone = heard(UNKNOWN), heard(GONE)
    assert (health.trouble(unsure, 3), health.unavailable(unsure, 3)) == (None, False)
    for failing, in_flight in ((unsure, 1), (gone, 3)):
        assert health.trouble(failing, in_flight) is not None
        assert health.unavailable(failing, in_flight)


def test_refused_credentials_pause_at_once() -> None:
    assert pause_reason(heard(DENIED), NOW) == REFUSED


verdicts = st.lists(st.lists(st.sampled_from(Verdict), max_size=25), max_size=12)


@given(told=verdicts, cap=st.integers(1, 50), in_flight=st.integers(0, 60), gap=st.integers(0, 300))
@settings(max_examples=150, deadline=None)
def test_slots_never_exceed_the_cap_and_one_is_left_to_an_agent_that_only_is_full(
    told: list[list[Verdict]], cap: int, in_flight: int, gap: int
) -> None:
    one, now = WELL, NOW
    for batch in told:
        one = heard(*batch, of=one, cap=cap, in_flight=in_flight, now=now)
        now += timedelta(seconds=gap)
        assert 0 <= slots(one, cap=cap, in_flight=in_flight, now=now) <= max(cap - in_flight, 0)
        assert one.window is None or 1 <= one.window <= max(cap - 1, 1)
        if not away(one, now):
            again = health.next_try(one, now)
            assert slots(one, cap=cap, in_flight=0, now=again) >= 1
