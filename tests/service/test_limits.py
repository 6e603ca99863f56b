"""What an account bears holds for all campaigns of an organization together, and costs nothing where nothing is set."""

from __future__ import annotations

from typing import Any

import pytest

import app
from chalicelib import clock
from chalicelib.agents import store as accounts
from chalicelib.agents.contract import NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.agents.limits import Share, Usage
from chalicelib.aws.dynamodb import Cancelled, Transaction
from chalicelib.calls.model import CallStatus, Result
from chalicelib.dialing import pacer
from chalicelib.errors import Conflict
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders, pace_at
from tests.service.cloud import Cloud, in_an, sqs_event
from tests.service.meter import metered

DONE = Result(call_status=CallStatus.SUCCESS, outcome="done")
AGENT: dict[str, Any] = {"agent": {"provider": "http"}}


def limit(cloud: Cloud, **members: Any) -> None:
    assert cloud.patch("/settings/agents/http", members).status == 200


def usage() -> Usage:
    return accounts.usages("1", ["http"])["http"]


def two_campaigns(cloud: Cloud, people: int, **fields: Any) -> tuple[str, str]:
    """Campaigns of as many people each; the first looks first."""
    ids = cloud.contacts(2 * people)
    first, second = ids[:people], ids[people:]
    return cloud.a_running_campaign(first, **AGENT, **fields), cloud.a_running_campaign(second, **AGENT, **fields)


def in_flight(cloud: Cloud, *campaign_ids: str) -> list[int]:
    return [cloud.campaign(each)["inFlightCalls"] for each in campaign_ids]


def test_campaigns_share_an_account_and_none_waits_for_anothers_end(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=3)
    first, second = two_campaigns(cloud, 5)
    assert in_flight(cloud, first, second) == [3, 0]
    agent = ScriptedAgent(DONE)
    agent.dial(orders(cloud)[:1])
    cloud.pace_all()
    assert in_flight(cloud, first, second) == [2, 1]
    while bodies := orders(cloud):
        agent.dial(bodies[:1])
        cloud.pace_all()
        assert sum(in_flight(cloud, first, second)) <= 3
        cloud.tick(in_an(minutes=2))
    assert len(agent.orders) < 10  # one of several orders was carried out each time, the others were lost


def test_calls_are_counted_exactly_and_audited(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=4)
    first, second = two_campaigns(cloud, 3)
    assert usage().campaigns[first].in_flight == 3
    assert usage().campaigns[second].in_flight == 1
    queued = cloud.get(f"/campaigns/{first}/contacts").body["data"][0]["contactId"]
    assert cloud.delete(f"/campaigns/{first}/contacts/{queued}").status == 204
    assert usage().campaigns[first].in_flight == 2
    cloud.pace_all()
    assert usage().campaigns[second].in_flight == 2
    cloud.post(f"/campaigns/{second}/audit")
    cloud.settle()
    report = cloud.get(f"/campaigns/{second}/audit").body
    assert (report["consistent"], report["differences"]) == (True, {})


def test_call_of_an_erased_person_counts_no_more(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=4)
    [contact_id, _] = people = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign(people, **AGENT)
    orders(cloud)
    assert cloud.delete(f"/contacts/{contact_id}?erase=true").status == 204
    app.work(sqs_event(cloud.take(settings().jobs_queue)), None)
    assert usage().campaigns[campaign_id].in_flight == in_flight(cloud, campaign_id)[0] == 1


def test_audit_finds_a_call_that_an_account_counts_wrongly(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=4)
    campaign_id = cloud.a_running_campaign(cloud.contacts(2), **AGENT)
    accounts.change("1", "http", usage(), Usage(campaigns={campaign_id: Share(3)}))
    cloud.post(f"/campaigns/{campaign_id}/audit")
    for body in cloud.take(settings().jobs_queue):
        app.work(sqs_event([body]), None)
    report = cloud.get(f"/campaigns/{campaign_id}/audit").body
    assert (report["consistent"], report["differences"]) == (False, {"in_account_http": 1})
    assert report["recounted"]["in_account_http"] == 2


def test_calls_a_second_become_delays_and_two_minutes_are_planned(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(cloud, callsPerSecond=0.1)
    sent: list[tuple[int, int]] = []

    def noted(organization_id: str, orders: Any, *, delay_seconds: int = 0) -> None:
        sent.append((delay_seconds, len(list(orders))))

    monkeypatch.setattr(pacer, "dial", noted)
    people = cloud.contacts(20)
    campaign_id = cloud.a_running_campaign(people, maxConcurrentCalls=20, **AGENT)
    assert [each for each in sent if each[1]] == [(10 * n, 1) for n in range(13)]
    assert in_flight(cloud, campaign_id) == [13]
    sent.clear()
    cloud.tick(in_an(seconds=60))
    assert sum(number for _, number in sent) == 6
    assert min(delay for delay, number in sent if number) > 60


def test_provider_that_says_when_to_come_again_slows_its_account(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=10)
    first, second = two_campaigns(cloud, 2, maxConcurrentCalls=1)
    one, *_ = orders(cloud)
    ScriptedAgent(NotPlaced("429", Verdict.FULL, again_seconds=100)).dial([one])
    cloud.pace_all()
    reason = [cloud.campaign(each)["statusReason"] for each in (first, second)]
    assert sum("wants no calls before" in (each or "") for each in reason) == 1
    assert (usage().next_call_at or "") > clock.stamp(in_an(seconds=90))
    cloud.tick(in_an(seconds=70))
    assert orders(cloud) == []
    cloud.tick(in_an(seconds=180))
    assert len(orders(cloud)) == 1


def test_retry_after_slows_the_campaign_where_no_limit_is_set(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(3), maxConcurrentCalls=1, **AGENT)
    ScriptedAgent(NotPlaced("429", Verdict.FULL, again_seconds=100)).dial(orders(cloud))
    cloud.pace_all()
    assert orders(cloud) == []
    assert "wants no calls before" in cloud.campaign(campaign_id)["statusReason"]
    pace_at(cloud, in_an(seconds=1))
    cloud.tick(in_an(seconds=180))
    assert len(orders(cloud)) == 1


def test_limit_that_is_taken_away_lets_counted_calls_end(cloud: Cloud) -> None:
    limit(cloud, maxConcurrentCalls=2)
    campaign_id = cloud.a_running_campaign(cloud.contacts(4), **AGENT)
    limit(cloud, maxConcurrentCalls=None)
    ScriptedAgent(DONE).dial(orders(cloud))
    cloud.pace_all()
    assert usage() == Usage(version=usage().version)
    assert in_flight(cloud, campaign_id) == [2]


def test_account_costs_one_row_and_nothing_where_no_limit_is_set(cloud: Cloud) -> None:
    costs: list[tuple[float, float]] = []
    for n, most in enumerate((50, None)):
        limit(cloud, maxConcurrentCalls=50)
        cloud.a_running_campaign([cloud.a_contact(f"+9989012{n:05}")["id"]], **AGENT)
        limit(cloud, maxConcurrentCalls=most)
        campaign_id = cloud.a_campaign([cloud.a_contact(f"+9989011{n:05}")["id"]], **AGENT)["id"]
        cloud.post(f"/campaigns/{campaign_id}/start")
        with metered() as meter:
            cloud.pace(*cloud.take(settings().campaign_events_queue))
        assert in_flight(cloud, campaign_id) == [1]
        costs.append((meter.read, meter.written))
    (read, written), without = costs
    assert (read - without[0], written - without[1]) == (1, 1)


def test_account_that_moved_on_is_not_written_over(cloud: Cloud) -> None:
    cloud.get("/contacts")
    accounts.change("1", "http", Usage(), Usage(campaigns={"a": Share(1)}))
    with pytest.raises(Conflict):
        accounts.change("1", "http", Usage(), Usage())
    transaction = Transaction()
    accounts.move(transaction, "1", "http", Usage(version=7), Usage())
    with pytest.raises(Cancelled):
        transaction.commit()
    assert usage().campaigns == {"a": Share(1)}
