"""News that comes late, again or at a bad moment is booked for what it is about, and for nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import Accepted, CallOrder
from chalicelib.aws import dynamodb, sqs
from chalicelib.campaigns import control
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Enrol
from chalicelib.dialing import dialer, pacer
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, before_the_next, orders, report, webhook
from tests.service.cloud import Cloud, in_an, sqs_event
from tests.service.test_nothing_lost import queues_that_refuse

PAYS = {"status": "PROMISE_TO_PAY", "outcome": "pays on Friday", "summary": "said so"}
HTTP = {"provider": "http"}


def body(call_id: str, **members: Any) -> bytes:
    return msgspec.json.encode({"callId": call_id, **members})


def test_kept_result_is_not_overwritten_by_what_the_dialer_says_later(cloud: Cloud) -> None:
    """The webhook comes before the agent's 202 is told; SQS is away for both."""
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)

    def report_at_once(order: CallOrder) -> None:
        assert webhook(cloud, body(order.call_id, **PAYS)).status == 202

    agent = ScriptedAgent(Accepted(), before=report_at_once)
    with queues_that_refuse("campaign_events_queue"):
        agent.dial(orders(cloud))
    cloud.tick(clock.now())
    cloud.tick(in_an(minutes=2))
    cloud.tick(in_an(minutes=20))
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("PROMISE_TO_PAY", "pays on Friday")


def test_second_kept_report_does_not_replace_the_first(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cloud.pace_all()
    with queues_that_refuse("campaign_events_queue"):
        assert webhook(cloud, body(call_id, **PAYS)).status == 202
        assert webhook(cloud, body(call_id, success=True, recordingUrl="https://r.test/1")).status == 202
    cloud.tick(clock.now())
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationSummary"]) == ("PROMISE_TO_PAY", "said so")


def test_news_kept_while_the_pacer_books_older_news_of_the_same_attempt(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    agent = ScriptedAgent(Accepted())
    with queues_that_refuse("campaign_events_queue"):
        agent.dial(orders(cloud))

    def report_meanwhile() -> None:
        with queues_that_refuse("campaign_events_queue"):
            assert webhook(cloud, body(agent.orders[0].call_id, **PAYS)).status == 202

    with before_the_next("TransactWriteItems", report_meanwhile):
        cloud.tick(clock.now())
    for minutes in (1, 2, 5, 20):
        cloud.tick(in_an(minutes=minutes))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PROMISE_TO_PAY"


def test_news_kept_just_before_the_campaign_completes_is_booked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first, second], agent=HTTP)
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    cloud.pace_all()
    ids = {order.contact_id: order.call_id for order in agent.orders}
    cloud.post(f"/campaigns/{campaign_id}/contacts/{first}/cancel")
    cloud.pace_all()
    assert cloud.call(campaign_id, first)["callStatus"] == "FAILED"
    original = campaigns.complete

    def complete(*given: Any, **options: Any) -> bool:
        with queues_that_refuse("campaign_events_queue"):
            assert webhook(cloud, body(ids[first], **PAYS)).status == 202
        return original(*given, **options)

    monkeypatch.setattr(campaigns, "complete", complete)
    report(cloud, ids[second], status="BUSY")
    monkeypatch.setattr(campaigns, "complete", original)
    for hours in (0, 1, 24, 24 * 13):
        cloud.tick(in_an(hours=hours))
    assert cloud.call(campaign_id, first)["callStatus"] == "PROMISE_TO_PAY"


def test_cancel_that_comes_late_or_again_leaves_the_next_attempt_alone(cloud: Cloud) -> None:
    retry = {"maxAttempts": 3, "delayMinutes": [1], "on": ["BUSY"]}
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP, retry=retry)
    cloud.pace_all()
    assert cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel").status == 202
    [cancel] = cloud.take(settings().campaign_events_queue)  # it fails, and lies among the dead letters
    report(cloud, call_id, status="BUSY")
    cloud.tick(in_an(minutes=2))
    ScriptedAgent(Accepted()).dial(orders(cloud))
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    cloud.pace(cancel)  # redriven
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"


def test_silence_of_calls_from_before_a_restart_does_not_pause_again(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(60)
    campaign_id = cloud.a_running_campaign(contact_ids, agent=HTTP, maxConcurrentCalls=45)
    agent = ScriptedAgent(Accepted())
    placed = orders(cloud)
    agent.dial(placed[:20])
    later = placed[20:]
    cloud.pace_all()
    # twenty run out, the campaign pauses; others were placed a little later and are still under way
    placed_later = in_an(minutes=5)
    dialer.handle(later, agent=lambda *_: agent, now=lambda: placed_later)
    cloud.pace_all()
    cloud.tick(in_an(minutes=14))
    cloud.tick(in_an(minutes=16))
    campaign = cloud.campaign(campaign_id)
    assert campaign["status"] == "PAUSED"
    assert "no results" in campaign["statusReason"]
    # the operator mends PUBLIC_URL and starts again; the calls of before run out one after another
    control.start("1", campaign_id, now=in_an(minutes=17))
    cloud.take(settings().campaign_events_queue)
    cloud.tick(in_an(minutes=19))
    cloud.tick(in_an(minutes=22))
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusReason"]) == ("RUNNING", None)


def test_order_to_enrol_of_an_earlier_version_still_enrols_who_was_never_withdrawn(cloud: Cloud) -> None:
    first, other = cloud.contacts(2)
    campaign_id = cloud.a_campaign([first])["id"]
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{first}").status == 204
    old = sqs.encode(Enrol(organization_id="1", campaign_id=campaign_id, contact_ids=[other]))  # has no `at`
    app.work(sqs_event([old]), None)
    assert cloud.get(f"/campaigns/{campaign_id}/contacts/{other}").status == 200


@pytest.mark.parametrize("queued", [False, True])
def test_late_promise_keeps_a_redialed_person_from_being_dialed(cloud: Cloud, queued: bool) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cloud.pace_all()
    cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel")
    cloud.pace_all()
    cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["FAILED"]})
    if queued:
        cloud.post(f"/campaigns/{campaign_id}/start")
        cloud.pace_all()
    report(cloud, call_id, **PAYS)
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    assert agent.orders == []


def test_report_that_neither_queue_nor_rows_take_is_asked_for_again(cloud: Cloud) -> None:
    _, _, call_id = accepted_call(cloud, agent=HTTP)

    def broken(**_: Any) -> Any:
        return SimpleNamespace(status_code=400), {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    events = dynamodb.connection().client.meta.events
    events.register("before-call.dynamodb.TransactWriteItems", broken, unique_id="broken")
    try:
        with queues_that_refuse("campaign_events_queue"):
            refused = webhook(cloud, body(call_id, **PAYS))
    finally:
        events.unregister("before-call.dynamodb.TransactWriteItems", unique_id="broken")
    assert refused.problem == (503, "unavailable")


CALLS_BACK = {"status": "CALLBACK_REQUESTED", "outcome": "this evening"}


def test_callback_told_late_is_made_while_the_campaign_goes_on(cloud: Cloud) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first, second], agent=HTTP)
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    call_ids = {order.contact_id: order.call_id for order in agent.orders}
    cloud.pace_all()
    cloud.post(f"/campaigns/{campaign_id}/contacts/{first}/cancel")
    cloud.pace_all()
    evening = clock.stamp(in_an(hours=3))
    for _ in range(2):
        report(cloud, call_ids[first], **CALLS_BACK, callbackAt=evening)
    call = cloud.call(campaign_id, first)
    assert (call["callStatus"], call["nextAttemptAt"]) == ("PENDING", evening)
    assert [(each["callStatus"], each["callbackAt"]) for each in call["attempts"]] == [("CALLBACK_REQUESTED", evening)]
    counts = cloud.campaign(campaign_id)["statusCounts"]
    assert (counts["PENDING"], counts["CALLING"], counts["FAILED"], counts["CALLBACK_REQUESTED"]) == (1, 1, 0, 0)
    report(cloud, call_ids[second], success=True)
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    assert orders(cloud) == []
    cloud.tick(in_an(hours=3, minutes=1))
    ScriptedAgent().dial(orders(cloud))
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["successfulCalls"]) == ("COMPLETED", 2)


def test_callback_told_after_the_campaigns_end_is_shown_and_can_be_redialed(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel")
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    evening = clock.stamp(in_an(hours=3))
    report(cloud, call_id, **CALLS_BACK, callbackAt=evening)
    call, campaign = cloud.call(campaign_id, contact_id), cloud.campaign(campaign_id)
    assert (call["callStatus"], call["attempts"][0]["callbackAt"]) == ("CALLBACK_REQUESTED", evening)
    assert (campaign["status"], campaign["statusReason"]) == ("COMPLETED", pacer.CALLBACK_TOLD_LATE)
    redialed = cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["CALLBACK_REQUESTED"]})
    assert redialed.body["requeued"] == 1
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusReason"]) == ("PAUSED", None)


def test_callback_told_late_of_whoever_was_taken_out_is_not_made(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel")
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    cloud.pace_all()
    report(cloud, call_id, **CALLS_BACK, callbackAt=clock.stamp(in_an(hours=3)))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLBACK_REQUESTED"
    assert cloud.campaign(campaign_id)["statusCounts"]["PENDING"] == 0
