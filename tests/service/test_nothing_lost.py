"""What queues refuse, reads that fail, deliveries that come days later: nothing is lost, and nothing doubled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import Accepted, NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.aws import dynamodb, sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import store as campaigns
from chalicelib.dialing import dialer, pacer
from chalicelib.realtime import rate, sockets
from chalicelib.settings import settings
from tests import pauses
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.calling import accepted_call, orders, report, webhook
from tests.service.cloud import Cloud, in_an, schedule_event, sqs_event
from tests.service.feed import impatient
from tests.service.live import Live, of

PAYS = Result(call_status=CallStatus.PROMISE_TO_PAY, outcome="pays on Friday")


@contextmanager
def queues_that_refuse(*names: str) -> Iterator[None]:
    """SQS takes nothing for some queues."""
    refused = {getattr(settings(), name) for name in names}

    def refuse(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
        request = json.loads(params["body"])
        if request["QueueUrl"] not in refused:
            return None
        failed = [{"Id": each["Id"], "Code": "InternalError", "SenderFault": False} for each in request["Entries"]]
        return SimpleNamespace(status_code=200), {"Failed": failed}

    events = sqs.client().meta.events
    events.register("before-call.sqs.SendMessageBatch", refuse, unique_id="refuse")
    try:
        with pauses.skipped():
            yield
    finally:
        events.unregister("before-call.sqs.SendMessageBatch", unique_id="refuse")


def test_result_no_queue_takes_is_kept_and_booked_at_the_next_wake(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    [order] = orders(cloud)
    agent = ScriptedAgent(PAYS)
    with queues_that_refuse("campaign_events_queue"):
        agent.dial([order])
    agent.dial([order])
    cloud.tick(clock.now())
    call, campaign = cloud.call(campaign_id, contact_id), cloud.campaign(campaign_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("PROMISE_TO_PAY", "pays on Friday")
    assert (campaign["status"], len(agent.orders)) == ("COMPLETED", 1)


def test_webhook_no_queue_takes_is_kept_and_counts_once(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    body = msgspec.json.encode({"callId": call_id, "status": "BUSY"})
    with queues_that_refuse("campaign_events_queue"):
        assert webhook(cloud, body).status == 202
    assert webhook(cloud, body).status == 202
    cloud.pace_all()
    cloud.tick(clock.now())
    assert cloud.campaign(campaign_id)["statusCounts"]["BUSY"] == 1
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "BUSY"


def test_webhook_that_can_be_kept_nowhere_is_refused_so_that_it_comes_again(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel")
    cloud.pace_all()
    assert cloud.delete(f"/campaigns/{campaign_id}").status == 204
    with queues_that_refuse("campaign_events_queue"):
        reply = webhook(cloud, msgspec.json.encode({"callId": call_id, "success": True}))
    assert reply.problem == (503, "unavailable")


def test_news_of_many_calls_is_booked_in_several_steps(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(50), maxConcurrentCalls=50, agent={"provider": "http"})
    with queues_that_refuse("campaign_events_queue"):
        ScriptedAgent(PAYS).dial(orders(cloud))
    cloud.tick(clock.now())
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["successfulCalls"]) == ("COMPLETED", 50)


def test_release_no_queue_takes_gives_the_slot_back(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    with queues_that_refuse("campaign_events_queue"):
        ScriptedAgent(NotPlaced("the agent answered 429", Verdict.FULL)).dial(orders(cloud))
    cloud.tick(clock.now())
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PENDING"
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 0


def test_dial_orders_no_queue_takes_are_ordered_anew_within_a_minute(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(3))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    bodies = cloud.take(settings().campaign_events_queue)
    with queues_that_refuse("dial_queue"):
        assert cloud.pace(*bodies) == []
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 0
    cloud.tick(in_an(seconds=61))
    assert len(orders(cloud)) == 3


def test_dial_orders_no_queue_takes_are_given_back_although_somebody_stops(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(2))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")

    def stop(*_: Any, **__: Any) -> None:
        cloud.post(f"/campaigns/{campaign_id}/stop")
        raise sqs.SendFailed

    monkeypatch.setattr(pacer, "dial", stop)
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["inFlightCalls"]) == ("PAUSED", 0)


def test_what_was_heard_counts_once_and_is_booked_while_no_orders_are_taken(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(6), agent={"provider": "http"}, maxConcurrentCalls=5)
    ScriptedAgent(NotPlaced("away", Verdict.AWAY)).dial(orders(cloud))
    bodies = cloud.take(settings().campaign_events_queue)
    with queues_that_refuse("dial_queue"):
        assert cloud.pace(*bodies) == []
    assert campaigns.find("1", campaign_id).health.failures == 5


def test_claims_whose_orders_died_with_the_pacer_are_ordered_when_its_messages_come_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(2))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    event = sqs_event(cloud.take(settings().campaign_events_queue))

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(pacer, "dial", die)
        app.pace(event, None)
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 2
    for record in event["Records"]:
        record["attributes"]["ApproximateReceiveCount"] = "2"
    app.pace(event, None)
    assert len(orders(cloud)) == 2


def test_sockets_are_pinged_although_no_queue_takes_what_the_clock_wakes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings = []
    monkeypatch.setattr(sockets, "ping", lambda *, now: pings.append(now))
    campaign = campaigns.find("1", cloud.a_running_campaign(cloud.contacts(1)))
    campaigns.change(campaign, {"wake_at": clock.minute(clock.now())}, at=clock.now())
    with queues_that_refuse("campaign_events_queue"), pytest.raises(sqs.SendFailed):
        app.tick(schedule_event(), None)
    assert len(pings) == 1


def test_read_that_fails_after_the_claim_gives_the_call_back(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    agent = ScriptedAgent(PAYS)
    with campaign_unreadable_after_the_claim():
        agent.dial(orders(cloud))
    cloud.pace_all()
    assert (agent.orders, cloud.call(campaign_id, contact_id)["callStatus"]) == ([], "PENDING")
    cloud.tick(in_an(seconds=60))
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PROMISE_TO_PAY"


@contextmanager
def campaign_unreadable_after_the_claim() -> Iterator[None]:
    events = dynamodb.connection().client.meta.events
    claimed: list[bool] = []

    def note(**_: Any) -> None:
        claimed.append(True)

    def fail(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
        asked = json.loads(params["body"])
        tables = asked.get("RequestItems") or [asked["TableName"]]
        if not claimed or settings().campaigns_table not in tables:
            return None
        return SimpleNamespace(status_code=500), {"Error": {"Code": "InternalServerError", "Message": "no"}}

    events.register("before-call.dynamodb.TransactWriteItems", note, unique_id="note")
    for read in ("GetItem", "BatchGetItem"):
        events.register(f"before-call.dynamodb.{read}", fail, unique_id=f"fail {read}")
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb.TransactWriteItems", unique_id="note")
        for read in ("GetItem", "BatchGetItem"):
            events.unregister(f"before-call.dynamodb.{read}", unique_id=f"fail {read}")


def test_campaign_does_not_end_before_an_enrolment_that_waits_for_its_import(cloud: Cloud) -> None:
    [first] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([first])["id"]
    import_id = cloud.upload(b"firstName,phone\nA,+998935550001\nB,+998935550002\nC,+998935550003\n")["id"]
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"importId": import_id}).status == 202
    assert cloud.post(f"/campaigns/{campaign_id}/start").body["status"] == "RUNNING"
    cloud.pace_all()
    [job] = cloud.take(settings().jobs_queue)
    with impatient():
        app.work(sqs_event([job]), None)
    [waiting] = cloud.take(settings().jobs_queue)
    app.dial(sqs_event(orders(cloud)), None)
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    cloud.arrive(f"uploads/1/{import_id}")
    app.work(sqs_event([waiting]), None)
    cloud.settle()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["calledContacts"]) == ("COMPLETED", 4)


def test_campaign_may_be_started_while_its_contacts_are_being_added(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    cloud.contacts(2)
    assert cloud.post(f"/campaigns/{campaign_id}/start").problem == (409, "campaign-empty")
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 202
    assert cloud.post(f"/campaigns/{campaign_id}/start").status == 200
    cloud.settle()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["calledContacts"]) == ("COMPLETED", 2)


def test_enrolment_that_was_lost_holds_a_campaign_for_a_while_only(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 202
    cloud.take(settings().jobs_queue)
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    cloud.tick(in_an(minutes=45))
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_contact_shows_the_conversation_that_ended_last(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    first = cloud.a_running_campaign([contact_id])
    waiting = orders(cloud)
    cloud.a_running_campaign([contact_id])
    other = ScriptedAgent(Accepted())
    other.dial(orders(cloud))
    agent = ScriptedAgent(PAYS)
    agent.dial(waiting)
    cloud.pace_all()
    report(cloud, other.orders[0].call_id, status="NO_ANSWER", outcome="nobody answered")
    assert cloud.get(f"/contacts/{contact_id}").body["lastConversationOutcome"] == "nobody answered"
    cloud.tick(in_an(hours=2))
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert cloud.call(first, contact_id)["callStatus"] == "PROMISE_TO_PAY"
    assert cloud.get(f"/contacts/{contact_id}").body["lastConversationOutcome"] == "pays on Friday"


def test_contact_shows_a_late_result_in_place_of_what_was_presumed(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    cloud.tick(in_an(seconds=1_000))
    assert "no result" in cloud.get(f"/contacts/{contact_id}").body["lastConversationOutcome"]
    report(cloud, call_id, success=True, outcome="paid")
    assert cloud.get(f"/contacts/{contact_id}").body["lastConversationOutcome"] == "paid"
    assert cloud.campaign(campaign_id)["successfulCalls"] == 1


def test_call_of_a_phone_that_belongs_to_nobody_is_tried_seldom(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    phone = cloud.get(f"/contacts/{contact_id}").body["phone"]
    campaign_id = cloud.a_running_campaign([contact_id])
    key = {"organizationId": {"S": "1"}, "phone": {"S": phone}}
    client("dynamodb").delete_item(TableName=settings().phone_numbers_table, Key=key)
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert (agent.orders, orders(cloud)) == ([], [])
    assert cloud.call(campaign_id, contact_id)["nextAttemptAt"] > clock.stamp(in_an(minutes=10))


def test_campaign_stopped_at_once_tells_of_nobody_as_being_called(cloud: Cloud, live: Live) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(9))["id"]
    assert live.open("page") == 200
    live.settle()
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    cloud.post(f"/campaigns/{campaign_id}/stop")
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    live.settle()
    told = of("campaign-update", live.heard("page"))
    assert (agent.orders, [each["status"] for each in told]) == ([], [])


def test_call_that_does_not_come_about_is_told_as_pending_with_the_reason(cloud: Cloud, live: Live) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    assert live.open("page") == 200
    live.settle()
    live.heard("page")
    ScriptedAgent(NotPlaced("the agent answered 429", Verdict.FULL)).dial(orders(cloud))
    live.settle()
    cloud.pace_all()
    live.settle()
    told = [(each["status"], each["outcome"]) for each in of("campaign-update", live.heard("page"))]
    assert told == [("calling", None), ("PENDING", "the agent answered 429")]
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"


def test_end_of_a_campaign_is_told_after_the_last_calls_update(
    cloud: Cloud, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "BEHIND", timedelta(hours=1))  # a slow machine tells each event, too
    campaign_id = cloud.a_campaign(cloud.contacts(3))["id"]
    assert live.open("page") == 200
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    live.settle()
    frames = [each for each in live.heard("page") if each["event"] in ("campaign-update", "campaign-complete")]
    assert [each["event"] for each in frames].index("campaign-complete") == len(frames) - 1 == 6


@pytest.mark.parametrize("queue", ["campaign_events_queue", "dial_queue", "jobs_queue"])
def test_queue_can_be_redriven_days_later_without_a_second_call(cloud: Cloud, queue: str) -> None:
    contact_ids = cloud.contacts(3, last_digit=7)
    campaign_id = cloud.a_campaign()["id"]
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 202
    seen: list[str] = []
    handlers = {"campaign_events_queue": app.pace, "dial_queue": app.dial, "jobs_queue": app.work}

    def move() -> bool:
        moved = False
        for name, handler in handlers.items():
            for body in cloud.take(getattr(settings(), name)):
                seen.extend([body] if name == queue else [])
                handler(sqs_event([body]), None)
                moved = True
        return moved

    while move():
        pass
    cloud.post(f"/campaigns/{campaign_id}/start")
    while move():
        pass
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}")
    before = cloud.campaign(campaign_id)
    assert seen
    for body in seen:
        handlers[queue](sqs_event([body]), None)
    while move():
        pass
    after = cloud.campaign(campaign_id)
    assert [len(cloud.call(campaign_id, each)["attempts"]) for each in contact_ids] == [1, 1, 1]
    assert (after["status"], after["statusCounts"]) == (before["status"], before["statusCounts"])


def test_history_of_a_call_stays_within_a_row(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    retry = {"maxAttempts": 10, "delayMinutes": [0], "on": ["REFUSED"]}
    campaign_id = cloud.a_running_campaign([contact_id], retry=retry)
    told = Result(
        call_status=CallStatus.REFUSED,
        outcome="ж" * 1_000,
        summary="ж" * 4_000,
        recording_url="https://r.test/" + "ж" * 1_900,
    )
    agent = ScriptedAgent(told)
    for cycle in range(1, 4):
        for _ in range(12):
            dialer.handle(orders(cloud), agent=lambda *_: agent)
            cloud.pace_all()
        assert len(agent.orders) == 10 * cycle
        assert cloud.call(campaign_id, contact_id)["callStatus"] == "REFUSED"
        cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["REFUSED"]})
        cloud.post(f"/campaigns/{campaign_id}/start")
        cloud.pace_all()
    attempts = cloud.call(campaign_id, contact_id)["attempts"]
    assert 5 < len(attempts) < 30
    assert attempts[-1]["summary"] == "ж" * 4_000


def test_start_that_no_queue_takes_is_left_to_the_clock(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(2))["id"]
    with queues_that_refuse("campaign_events_queue"):
        assert cloud.post(f"/campaigns/{campaign_id}/start").status == 200
    cloud.tick(clock.now())
    assert len(orders(cloud)) == 2
