"""Calls in the store: which are found to be worked on, and what is kept beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from chalicelib import clock
from chalicelib.agents.contract import OutcomeUnknown
from chalicelib.aws import dynamodb, sqs
from chalicelib.aws.dynamodb import Transaction
from chalicelib.calls import store
from chalicelib.calls.model import CallState
from chalicelib.dialing.messages import Dial
from chalicelib.dialing.silence import SLACK_SECONDS
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders
from tests.service.cloud import Cloud


def test_calls_that_wait_are_found_and_queued_ones_are_not(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(3), agent={"provider": "http"}, maxConcurrentCalls=1)
    [body] = orders(cloud)
    [waiting] = store.waiting_anywhere(campaign_id, 10).values()
    assert len(waiting) == 2
    assert sqs.decode(body, Dial).contact_id not in {each.contact_id for each in waiting}


def test_calls_in_flight_are_found_when_their_leases_have_run_out(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent={"provider": "http"})
    until = clock.moment(store.find(campaign_id, contact_id).due_at or "")
    assert store.in_flight(campaign_id, 10, overdue=until - timedelta(seconds=1)) == []
    [overdue] = store.in_flight(campaign_id, 10, overdue=until)
    assert store.in_flight(campaign_id, 10) == [overdue]
    assert overdue.contact_id == contact_id


def test_attempt_beside_news_has_none_to_tell(cloud: Cloud) -> None:
    store.remember(store.AttemptKey("1", "campaign", "contact", "attempt"), now=clock.now())
    transaction = Transaction()
    news_id = store.keep_news(transaction, "news", now=clock.now())
    transaction.commit()
    assert store.news_of(["attempt", news_id]) == ["news"]


def test_lease_outlasts_an_agent_that_waits_for_the_result(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent={"provider": "http"}, callTimeoutSeconds=900)
    agent = ScriptedAgent(OutcomeUnknown("no answer"))
    agent.waits_seconds = 5_000  # type: ignore[assignment]
    at = clock.now()
    agent.dial(orders(cloud), now=lambda: at)
    call = store.find(campaign_id, contact_id)
    assert call.state is CallState.CALLING
    assert call.awaited_until == clock.stamp(at + timedelta(seconds=5_000 + SLACK_SECONDS))


@contextmanager
def looked_up() -> Iterator[list[dict[str, Any]]]:
    """The Query requests inside the block."""
    requests: list[dict[str, Any]] = []
    events = dynamodb.connection().client.meta.events

    def asked(params: dict[str, Any], **_: Any) -> None:
        requests.append(json.loads(params["body"]))

    events.register("before-call.dynamodb.Query", asked, unique_id="looked up")
    try:
        yield requests
    finally:
        events.unregister("before-call.dynamodb.Query", unique_id="looked up")


def test_going_through_all_calls_misses_none_that_was_just_written(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(2))["id"]
    with looked_up() as requests:
        first, second = store.some(campaign_id, 10, after=None)
        assert store.some(campaign_id, 10, after=first.contact_id) == [second]
        assert store.remove_some(campaign_id, 1) == store.remove_some(campaign_id, 10) == 1
        assert store.remove_some(campaign_id, 10) == 0
    assert {each["TableName"] for each in requests} == {settings().calls_table}
    assert all(each.get("ConsistentRead") for each in requests)
