"""An account's limits: how many calls each campaign is given of it, when, and whose turn is next."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from chalicelib.agents import limits
from chalicelib.agents.limits import Limits, Share, Usage
from chalicelib.organizations.model import AgentSettings
from tests.unit.builders import NOW, later

FIVE = Limits(max_concurrent_calls=5)
EACH_SECOND = Limits(calls_per_second=1)


def used(**campaigns: Share | int) -> Usage:
    """What campaigns make of an account: how many calls, or a share."""
    shares = {name: share if isinstance(share, Share) else Share(share) for name, share in campaigns.items()}
    return Usage(campaigns=shares)


def ahead(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Limits()),
        ({"agentId": "a", "maxConcurrentCalls": 5}, FIVE),
        ({"callsPerSecond": 1, "maxDurationSeconds": 60}, EACH_SECOND),
    ],
)
def test_limits_are_those_that_an_organization_has_set(values: dict[str, object], expected: Limits) -> None:
    assert limits.of(AgentSettings(values)) == expected
    assert expected.are_set == (values != {})


def test_calls_of_all_campaigns_count() -> None:
    assert limits.room(used(a=2, b=1), FIVE, NOW) == 2
    assert limits.room(used(a=7), FIVE, NOW) == 0
    assert limits.granted(used(a=2, b=1), FIVE, "a", 10, NOW) == 2
    assert limits.granted(used(a=2, b=1), FIVE, "a", 1, NOW) == 1
    assert limits.granted(used(a=200), Limits(), "a", 10, NOW) == 10


def test_calls_are_given_their_moments() -> None:
    assert limits.delays(Usage(), EACH_SECOND, 3, NOW) == [0, 1, 2]
    assert limits.delays(Usage(), Limits(calls_per_second=2), 5, NOW) == [0, 1, 1, 2, 2]
    assert limits.delays(Usage(), Limits(calls_per_second=0.5), 3, NOW) == [0, 2, 4]
    assert limits.delays(Usage(next_call_at=later(seconds=7)), EACH_SECOND, 2, NOW) == [7, 8]
    assert limits.delays(Usage(next_call_at=later(seconds=7)), FIVE, 2, NOW) == [0, 0]


def test_moments_go_on_where_the_last_ended_and_no_further_than_two_minutes() -> None:
    assert limits.room(Usage(), EACH_SECOND, NOW) == 121
    full = limits.taken(Usage(), EACH_SECOND, "a", 121, wants_more=True, now=NOW)
    assert full.next_call_at == later(seconds=121)
    assert limits.room(full, EACH_SECOND, NOW) == 0
    assert limits.room(full, EACH_SECOND, ahead(60)) == 60


def test_provider_that_wants_no_calls_for_a_while_is_given_none() -> None:
    slowed = limits.slowed(used(a=1), ahead(30))
    assert limits.room(slowed, FIVE, NOW) == 0
    assert limits.room(slowed, FIVE, ahead(30)) == 4
    assert limits.delays(slowed, EACH_SECOND, 1, NOW) == [30]
    assert limits.slowed(slowed, ahead(10)) == slowed


def test_turn_is_whose_calls_are_fewest_and_then_who_has_waited_longest() -> None:
    waits = used(a=3, b=Share(0, later(seconds=-10)))
    assert limits.granted(waits, FIVE, "a", 5, NOW) == 0
    assert limits.granted(waits, FIVE, "b", 5, NOW) == 2
    one = Limits(max_concurrent_calls=1)
    both = used(b=Share(0, later(seconds=-10)), c=Share(0, later(seconds=-20)))
    assert [limits.granted(both, one, each, 1, NOW) for each in "abc"] == [0, 0, 1]
    assert limits.wanting(both, "a", NOW) == ["c", "b"]


def test_campaign_that_has_not_asked_for_long_waits_for_nothing() -> None:
    old = used(a=3, b=Share(0, later(minutes=-3)))
    assert limits.granted(old, FIVE, "a", 5, NOW) == 2
    assert limits.tidied(old, NOW) == used(a=3)
    fresh = used(a=3, b=Share(0, later(minutes=-2)))
    assert limits.tidied(fresh, NOW) is fresh


def test_who_asks_again_keeps_its_place_and_is_written_seldom() -> None:
    asked = limits.taken(Usage(), FIVE, "a", 0, wants_more=True, now=NOW)
    assert asked == used(a=Share(0, later()))
    assert limits.taken(asked, FIVE, "a", 0, wants_more=True, now=ahead(100)) == asked
    assert limits.taken(asked, FIVE, "a", 0, wants_more=True, now=ahead(120)) == used(a=Share(0, later(seconds=120)))
    assert limits.taken(asked, FIVE, "a", 2, wants_more=True, now=ahead(9)) == used(a=Share(2, later(seconds=9)))
    assert limits.taken(asked, FIVE, "a", 0, wants_more=False, now=ahead(9)) == Usage()


def test_what_leaves_is_forgotten_when_nothing_is_left() -> None:
    assert limits.left(used(a=2, b=1), "a") == used(a=1, b=1)
    assert limits.left(used(a=2, b=1), "a", 2) == used(b=1)
    assert limits.under_way({"http": used(a=2), "vapi": used(b=1)}, "a") == {"http": 2}


@checked(max_examples=200, deadline=None)
@given(
    most=st.integers(1, 20),
    wants=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1),
    steps=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
)
def test_limit_holds_and_whoever_wants_is_served(most: int, wants: dict[str, int], steps: list[str]) -> None:
    """Campaigns look in any order, calls never end: the limit holds, and when all have looked often enough it is used
    up as far as there are calls for it.
    """
    bound, usage, now = Limits(max_concurrent_calls=most), Usage(), NOW
    left = Counter(wants)
    for n, each in enumerate([*steps, *sorted(wants) * 60]):
        now = NOW + timedelta(milliseconds=n)
        if not left[each]:
            continue
        number = limits.granted(usage, bound, each, left[each], now)
        left[each] -= number
        usage = limits.taken(usage, bound, each, number, wants_more=left[each] > 0, now=now)
        assert usage.in_flight <= most
    assert usage.in_flight == min(most, sum(wants.values()))
