"""How much an organization's sockets are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.realtime import rate
from chalicelib.realtime.model import Feed, Logged, Told

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BURST = rate.POSTS_PER_SECOND * rate.BURST_SECONDS


def told(name: str, number: int = 0, **data: Any) -> Told:
    return Told(record=f"{name}:{number}", name=name, data=msgspec.Raw(msgspec.json.encode(data)))


def feed(allowance: float = BURST, **fields: Any) -> Feed:
    return Feed(organization_id="1", allowance=allowance, allowance_at=clock.stamp(NOW), **fields)


def test_quiet_organization_may_tell_a_burst() -> None:
    events = [told("campaign-update", n) for n in range(BURST // 10)]
    plan = rate.plan(Feed(organization_id="1"), events, 10, NOW)
    assert (list(plan.tell), list(plan.held), plan.allowance) == (events, [], 0)


def test_allowance_comes_back_with_time_up_to_the_burst() -> None:
    one = [told("contact-update")]
    assert rate.plan(feed(0), one, 1, NOW + timedelta(seconds=1)).allowance == rate.POSTS_PER_SECOND - rate.LEAST_COST
    assert rate.plan(feed(0), one, 1, NOW + timedelta(hours=1)).allowance == BURST - rate.LEAST_COST


def test_each_socket_costs() -> None:
    assert rate.plan(feed(), [told("contact-update")], 500, NOW).allowance == BURST - 500


def test_too_many_are_held_as_progress_and_resync() -> None:
    events = [
        told("campaign-update", 1),
        told("campaign-progress", 1, campaignId="c", waiting=2),
        told("campaign-progress", 2, campaignId="c", waiting=1),
        told("import-progress", 1, id="i"),
        told("campaign-complete", 1, campaignId="d"),
    ]
    plan = rate.plan(feed(0), events, 1, NOW)
    assert [each.name for each in plan.tell] == ["campaign-complete"]
    assert [each.record for each in plan.held[:2]] == ["campaign-progress:2", "import-progress:1"]
    assert [each.name for each in plan.held] == ["campaign-progress", "import-progress", "resync"]


def test_what_happened_too_long_ago_is_too_much() -> None:
    events = [told("campaign-update", 1), told("campaign-complete", 1, campaignId="d")]
    in_time = rate.plan(feed(), events, 1, NOW, since=NOW - rate.BEHIND)
    assert (in_time.tell, in_time.held) == (events, [])
    late = rate.plan(feed(), events, 1, NOW, since=NOW - rate.BEHIND - timedelta(milliseconds=1))
    assert [each.name for each in late.tell] == ["campaign-complete"]
    assert [each.name for each in late.held] == ["resync"]


def test_gist_is_what_lasts_and_the_last_progress_in_order_and_resync() -> None:
    events = [
        told("campaign-progress", 1, campaignId="c"),
        told("campaign-complete", 1, campaignId="d"),
        told("campaign-update", 1),
        told("campaign-progress", 2, campaignId="c"),
        told("contact-update", 1),
    ]
    gist = rate.gist([Logged(n, each) for n, each in enumerate(events, 7)])
    told_of = [(each.seq, each.told.name) for each in gist]
    assert told_of == [(8, "campaign-complete"), (10, "campaign-progress"), (11, "resync")]


def test_what_is_held_is_summed_up_with_what_follows() -> None:
    first = rate.plan(feed(0), [told("campaign-progress", 1, campaignId="c")], 1, NOW)
    second = rate.plan(
        feed(0, held=list(first.held)), [told("campaign-progress", 2, campaignId="c"), told("contact-update")], 1, NOW
    )
    assert [each.record for each in second.held] == ["campaign-progress:2", first.held[-1].record]


def test_held_progress_is_dropped_when_newer_is_told() -> None:
    held = list(rate.plan(feed(0), [told("campaign-progress", 1, campaignId="c")], 1, NOW).held)
    plan = rate.plan(feed(held=held), [told("campaign-progress", 2, campaignId="c")], 1, NOW)
    assert [each.record for each in plan.tell] == ["campaign-progress:2"]
    assert [each.name for each in plan.held] == ["resync"]


def test_what_is_held_is_ordered_to_be_told_once_and_again_when_that_is_overdue() -> None:
    events = [told("campaign-progress", 1, campaignId="c")]
    first = rate.plan(feed(0), events, 1, NOW)
    assert first.held_at == clock.stamp(NOW)
    again = rate.plan(feed(0, held=list(first.held), held_at=first.held_at), events, 1, NOW + timedelta(milliseconds=1))
    assert again.held_at == first.held_at
    late = NOW + rate.PATIENCE
    spent = Feed(organization_id="1", allowance_at=clock.stamp(late), held=list(first.held), held_at=first.held_at)
    assert rate.plan(spent, events, 1, late).held_at == clock.stamp(late)
    assert rate.plan(feed(), events, 1, NOW).held_at is None
