"""Failover: which of a campaign's agents are given its next calls while some are out, and how they come back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from chalicelib.agents import failover, health
from chalicelib.agents.health import WELL, Health, Said, Verdict
from tests.unit.builders import NOW, a_campaign

CAP = 10
KNOWN = replace(WELL, waits=False)
PROVIDERS = ["retell", "vapi", "http"]


def after(*verdicts: Verdict, of: Health = KNOWN, now: datetime = NOW, words: str = "503") -> Health:
    return health.after(of, [Said(each, words) for each in verdicts], cap=CAP, in_flight=CAP, now=now)


def minutes(number: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=number)


AWAY = after(*[Verdict.AWAY] * 20)
"""Out from two minutes after NOW on."""

DENIED = after(Verdict.REFUSED, words="401")
SPENT = after(*[Verdict.DECLINED] * 20, words="400")
FULL = after(Verdict.FULL, words="429")
LONG_AWAY = after(Verdict.AWAY, of=AWAY, now=minutes(20))


def shares(*healths: Health, in_flight: int = 0, at: float = 3) -> list[int]:
    return failover.shares(healths, cap=CAP, in_flight=in_flight, now=minutes(at))


def test_first_is_given_all_calls_while_it_is_well() -> None:
    assert shares(KNOWN, KNOWN) == [0] * CAP
    assert shares(KNOWN, KNOWN, in_flight=CAP - 2) == [0, 0]
    assert shares(AWAY, KNOWN, at=1) == [0] * CAP  # failing, but not for long


@pytest.mark.parametrize("out", [AWAY, DENIED])
def test_next_takes_over_and_the_first_is_probed_once_a_minute(out: Health) -> None:
    assert shares(out, KNOWN) == [0] + [1] * (CAP - 1)
    probed = health.probed(out, 1, minutes(3))
    assert shares(probed, KNOWN) == [1] * CAP
    assert shares(probed, KNOWN, at=4) == [0] + [1] * (CAP - 1)
    assert failover.next_try([probed, health.probed(AWAY, 1, minutes(3))], minutes(3)) == minutes(4)


def test_probe_takes_one_of_the_slots() -> None:
    assert shares(AWAY, KNOWN, in_flight=CAP - 1) == [0]
    assert shares(AWAY, KNOWN, in_flight=CAP) == []
    assert shares(AWAY, AWAY, KNOWN, in_flight=CAP - 1) == [0]


def test_first_takes_its_calls_back_as_soon_as_it_takes_one() -> None:
    assert shares(after(Verdict.TAKEN, of=AWAY), KNOWN) == [0] * CAP
    assert shares(after(Verdict.ENDED, of=DENIED), KNOWN) == [0] * CAP


def test_agent_that_spends_attempts_is_left_alone() -> None:
    assert shares(SPENT, KNOWN) == [1] * CAP
    assert shares(SPENT, AWAY) == [1]
    assert shares(SPENT, AWAY, KNOWN) == [1] + [2] * (CAP - 1)


def test_full_agent_is_not_out() -> None:
    assert shares(FULL, KNOWN) == [0] * (CAP // 2)


def test_agents_behind_the_one_in_use_are_not_probed() -> None:
    assert shares(KNOWN, AWAY) == [0] * CAP
    assert failover.next_try([KNOWN, health.probed(AWAY, 1, minutes(3))], minutes(3)) == minutes(3)


def test_while_all_are_out_all_are_probed() -> None:
    assert shares(AWAY, AWAY) == [0, 1]
    assert failover.active([AWAY, DENIED], minutes(3)) is None
    assert failover.unavailable([AWAY, DENIED], 0, minutes(3))
    assert not failover.unavailable([AWAY, KNOWN], 0, minutes(3))


@pytest.mark.parametrize("fallback", [KNOWN, AWAY, FULL])
def test_campaign_goes_on_while_one_may_take_calls(fallback: Health) -> None:
    assert failover.pause_reason(PROVIDERS, [DENIED, fallback], minutes(20)) is None


def test_campaign_pauses_when_all_are_out_for_good_and_says_why_of_each() -> None:
    alone = failover.pause_reason(["retell"], [DENIED], minutes(20))
    assert alone == health.REFUSED
    reason = failover.pause_reason(PROVIDERS, [DENIED, LONG_AWAY, SPENT], minutes(20)) or ""
    assert reason.startswith(f"retell: {health.REFUSED} vapi: ")
    assert "http: The agent has refused the last calls (400)" in reason


def test_a_person_is_told_who_stands_in_for_whom() -> None:
    said = failover.trouble(PROVIDERS, [DENIED, SPENT, KNOWN], 0, minutes(3))
    assert said == "http places the calls as long as others take none: retell (401), vapi (400)."
    assert failover.trouble(PROVIDERS, [KNOWN, KNOWN], 0, minutes(3)) is None
    assert failover.trouble(PROVIDERS, [AWAY, AWAY], 0, minutes(3)) == health.trouble(AWAY, 0)
    assert failover.trouble(PROVIDERS, [DENIED, after(Verdict.AWAY)], 0, minutes(3)) == health.trouble(
        after(Verdict.AWAY), 0
    )


def test_agents_of_whom_nothing_is_known_are_taken_to_be_well() -> None:
    campaign = a_campaign(health=DENIED)
    assert campaign.healths == [DENIED]
    both = replace(campaign, fallback_agents=[campaign.agent])
    assert both.healths == [DENIED, WELL]
    assert replace(both, fallback_healths=[AWAY, AWAY]).healths == [DENIED, AWAY]


@pytest.mark.parametrize("verdict", Verdict)
def test_call_that_probed_an_agent_that_is_out_is_anothers_at_once(verdict: Verdict) -> None:
    assert failover.is_anothers(2, AWAY, verdict, minutes(3))
    assert not failover.is_anothers(1, AWAY, verdict, minutes(3))
    assert failover.is_anothers(2, WELL, verdict, minutes(3)) == (verdict is Verdict.REFUSED)
