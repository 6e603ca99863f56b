"""When a campaign looks around again, and why a contact still waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.agents.health import Health
from chalicelib.calls.model import ANY_ZONE, CallState, WhyNotCalled
from chalicelib.campaigns import schedule, waiting
from chalicelib.campaigns.model import CampaignStatus
from chalicelib.campaigns.schedule import FILLING, LAG, LONGEST_SLEEP, NEVER_OPEN, next_wake
from chalicelib.organizations.model import OrganizationSettings
from tests.unit.builders import AT, NOW, a_call, a_campaign, later, some_hours

RUNNING, PAUSED, PENDING, COMPLETED = (
    *(CampaignStatus.RUNNING, CampaignStatus.PAUSED),
    *(CampaignStatus.PENDING, CampaignStatus.COMPLETED),
)


def in_minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def wake(
    status: CampaignStatus, *, lease: float | None = None, due: float | None = None, **counters: object
) -> str | None:
    """The next wake of a campaign whose next lease ends and whose next call is due so many minutes from now."""
    return next_wake(
        a_campaign(status, **counters),
        next_lease=None if lease is None else in_minutes(lease),
        next_due=None if due is None else in_minutes(due),
        now=NOW,
    )


def minute(number: float) -> str:
    return clock.minute(in_minutes(number))


def test_lease_that_runs_out_wakes_a_campaign_whatever_its_status() -> None:
    for status in (RUNNING, PAUSED):
        assert wake(status, in_flight=1, lease=7) == minute(7)


def test_retry_wakes_a_running_campaign_at_its_time() -> None:
    assert wake(RUNNING, waiting=3, due=5) == minute(5)
    assert wake(RUNNING, waiting=3, in_flight=1, due=5, lease=9) == minute(5)


def test_full_campaign_waits_for_its_leases_only() -> None:
    assert wake(RUNNING, waiting=3, in_flight=2, max_concurrent_calls=2, due=2, lease=9) == minute(9)


def test_index_that_shows_nothing_is_asked_again_in_a_minute() -> None:
    assert wake(RUNNING, waiting=3) == minute(1)
    assert wake(RUNNING, in_flight=1) == minute(1)
    assert wake(RUNNING) == minute(1)


def test_nothing_is_left_to_sleep_longer_than_a_quarter_of_an_hour() -> None:
    assert wake(RUNNING, waiting=3, due=600) == minute(15)


def test_paused_campaign_wakes_when_the_order_it_waits_for_is_given_up() -> None:
    orders = {"a": later(minutes=3), "b": later(minutes=7), "gone": later(minutes=-1)}
    assert wake(PAUSED, orders=orders) == minute(7)
    assert wake(PAUSED, orders={"gone": later(minutes=-1)}) is None
    assert wake(PAUSED, orders=orders, waiting=1) is None
    assert wake(COMPLETED, orders=orders) is None


def test_campaign_that_only_waits_for_contacts_says_so() -> None:
    orders = {"a": later(minutes=3), "gone": later(minutes=-1)}
    for status in (RUNNING, PAUSED):
        assert schedule.filling(a_campaign(status, orders=orders), NOW) == FILLING
    for changed in ({"orders": {"gone": AT}}, {"waiting": 1}, {"in_flight": 1}, {"status": PENDING}):
        assert schedule.filling(a_campaign(**{"orders": orders, **changed}), NOW) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [PAUSED, COMPLETED, CampaignStatus.FAILED])
def test_campaign_that_does_not_run_and_has_no_call_under_way_sleeps(status: CampaignStatus) -> None:
    assert wake(status, waiting=3, due=1) is None


def test_pending_campaign_wakes_when_it_is_scheduled() -> None:
    assert wake(PENDING, scheduled_at=later(hours=30)) == minute(30 * 60)
    assert wake(PENDING) is None


minutes = st.none() | st.floats(-60, 600)


@given(minutes, minutes, st.integers(0, 30), st.integers(0, 12), st.sampled_from([RUNNING, PAUSED]))
@settings(max_examples=150, deadline=None)
def test_campaign_with_work_wakes_within_a_quarter_of_an_hour(
    lease: float | None, due: float | None, waits: int, in_flight: int, status: CampaignStatus
) -> None:
    found = wake(status, lease=lease, due=due, waiting=waits, in_flight=in_flight)
    if in_flight or status is RUNNING:
        assert found is not None
        assert clock.minute(NOW + LAG) <= found <= clock.minute(NOW + LONGEST_SLEEP)


def why(
    call_due: float = -1, *, paused: bool = False, busy: bool = False, **fields: object
) -> tuple[WhyNotCalled, str | None]:
    """Why a call that is due so many minutes from now waits, and until when."""
    campaign = a_campaign(**{"status": RUNNING, **fields})  # type: ignore[arg-type]
    call = a_call(CallState.WAITING, due_at=later(minutes=call_due))
    return waiting.why(campaign, OrganizationSettings(calling_paused=paused), call, ANY_ZONE, busy=busy, now=NOW)


def test_campaign_that_does_not_run_keeps_its_contacts_waiting() -> None:
    assert why(status=PAUSED) == (WhyNotCalled.CAMPAIGN_NOT_RUNNING, None)
    assert why(status=PENDING, scheduled_at=later(hours=2)) == (WhyNotCalled.CAMPAIGN_NOT_RUNNING, later(hours=2))


def test_pause_of_all_calling_keeps_those_waiting_whose_campaign_runs() -> None:
    assert why(paused=True) == (WhyNotCalled.CALLING_PAUSED, None)
    assert why(30, paused=True, calling_hours=some_hours(from_="22:00", to="23:00")) == (
        WhyNotCalled.CALLING_PAUSED,
        None,
    )
    assert why(paused=True, status=PAUSED) == (WhyNotCalled.CAMPAIGN_NOT_RUNNING, None)


def test_retry_waits_for_its_time() -> None:
    assert why(30) == (WhyNotCalled.WAITING_FOR_RETRY, later(minutes=30))


def test_call_waits_for_the_hours_to_open() -> None:
    evening = some_hours(from_="18:00", to="20:00")
    assert why(calling_hours=evening) == (WhyNotCalled.OUTSIDE_CALLING_HOURS, "2026-11-23T13:00:00.000Z")


def test_retry_that_falls_outside_the_hours_waits_for_both() -> None:
    morning = some_hours(from_="09:00", to="12:00")
    assert why(60, calling_hours=morning) == (WhyNotCalled.OUTSIDE_CALLING_HOURS, "2026-11-24T04:00:00.000Z")


def test_hours_that_never_open_promise_nothing() -> None:
    never = [(NOW.date() + timedelta(days=n)).isoformat() for n in range(-2, 420)]
    assert why(calling_hours=some_hours(holidays=never)) == (WhyNotCalled.NEVER_OPEN, None)


NEVER = some_hours(holidays=[(NOW.date() + timedelta(days=n)).isoformat() for n in range(20)])


def never_open(**fields: Any) -> str | None:
    """What a running campaign says of its hours."""
    campaign = a_campaign(**{"status": RUNNING, "calling_hours": NEVER, "waiting": 1, **fields})
    return schedule.never_open(campaign, "UTC", NOW)


def test_running_campaign_whose_hours_never_open_says_so() -> None:
    opens = some_hours(holidays=NEVER.holidays[:10])
    assert never_open() == NEVER_OPEN
    for changed in ({"calling_hours": opens}, {"calling_hours": None}, {"waiting": 0}, {"status": PAUSED}):
        assert never_open(**changed) is None


def test_campaign_in_the_contacts_own_hours_looks_at_each_zone() -> None:
    hours = replace(NEVER, timezone="contact")
    assert never_open(calling_hours=hours, zones={"Europe/Berlin", "fallback"}) == NEVER_OPEN
    assert never_open(calling_hours=hours, zones=set()) is None


def test_agent_that_is_away_keeps_everybody_waiting() -> None:
    out = Health(failures=20, failing_since=later(minutes=-5), probed_at=later(seconds=-20))
    assert why(health=out) == (WhyNotCalled.AGENT_UNAVAILABLE, later(seconds=40))


def test_call_whose_phone_is_in_another_call_waits_for_its_end() -> None:
    assert why(busy=True) == (WhyNotCalled.PHONE_IN_ANOTHER_CALL, None)
    out = Health(failures=20, failing_since=later(minutes=-5), probed_at=later(seconds=-20))
    assert why(busy=True, health=out) == (WhyNotCalled.PHONE_IN_ANOTHER_CALL, None)
    assert why(30, busy=True) == (WhyNotCalled.WAITING_FOR_RETRY, later(minutes=30))
    assert why(busy=True, status=PAUSED) == (WhyNotCalled.CAMPAIGN_NOT_RUNNING, None)


def test_call_that_is_due_waits_for_a_slot() -> None:
    assert why() == (WhyNotCalled.WAITING_FOR_SLOT, AT)
