"""A call's life through the real pacer and dialer: claimed, dialed once, booked once; whatever comes twice or late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import control
from chalicelib.campaigns.messages import Redial, Wake
from chalicelib.dialing import policy
from chalicelib.dialing.messages import Dial, Ended
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.calling import accepted_call, orders, webhook
from tests.service.cloud import Cloud, in_an, schedule_event, sqs_event


def test_campaign_runs_to_its_end_with_exact_counters(cloud: Cloud) -> None:
    ids = [cloud.a_contact(f"+99890123456{digit}")["id"] for digit in range(10)]
    campaign = cloud.a_campaign(ids, maxConcurrentCalls=3)
    cloud.post(f"/campaigns/{campaign['id']}/start")
    cloud.settle()
    ended = cloud.campaign(campaign["id"])
    assert ended["status"] == "COMPLETED"
    assert (ended["totalContacts"], ended["calledContacts"], ended["inFlightCalls"]) == (10, 10, 0)
    assert (ended["successfulCalls"], ended["failedCalls"]) == (6, 4)
    assert ended["statusCounts"] == {
        "PENDING": 0, "CALLING": 0, "SUCCESS": 4, "FAILED": 1, "NO_ANSWER": 1, "BUSY": 1, "PROMISE_TO_PAY": 1,
        "REFUSED": 1, "CALLBACK_REQUESTED": 1, "SKIPPED": 0,
    }  # fmt: skip
    contact = cloud.get(f"/contacts/{ids[7]}").body
    assert contact["isCalled"]
    assert contact["lastConversationOutcome"] == "Busy"
    assert contact["lastCalledAt"]


def test_no_more_calls_are_queued_than_slots(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(8), maxConcurrentCalls=3)
    assert len(orders(cloud)) == 3
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 3


def test_a_hundred_slots_are_filled_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIALER_MAX_CONCURRENCY", "200")
    settings.cache_clear()
    cloud.a_running_campaign(cloud.contacts(130), maxConcurrentCalls=120, agent={"provider": "http"})
    assert len(orders(cloud)) == 120


def test_dial_message_delivered_twice_dials_once(cloud: Cloud) -> None:
    cloud.a_running_campaign(cloud.contacts(1))
    [order] = orders(cloud)
    agent = ScriptedAgent()
    agent.dial([order])
    agent.dial([order])
    assert len(agent.orders) == 1


def test_result_delivered_twice_counts_once(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(2), maxConcurrentCalls=1)
    ScriptedAgent().dial(orders(cloud))
    [result] = cloud.take(settings().campaign_events_queue)
    cloud.pace(result, result)
    cloud.pace(result)
    campaign = cloud.campaign(campaign_id)
    assert (campaign["successfulCalls"], campaign["inFlightCalls"], campaign["totalContacts"]) == (1, 1, 2)


def test_agent_gets_the_guides_fields(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = cloud.a_contact(lastName="Valiyev", customData={"totalDebt": 5000})
    campaign_id = cloud.a_running_campaign([contact["id"]], campaignType="DEBT_COLLECTION")
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    [order] = agent.orders
    assert (order.phone_number, order.first_name, order.last_name) == ("+998901234567", "Ali", "Valiyev")
    assert order.custom_data == {"totalDebt": 5000}
    assert (order.campaign_id, order.campaign_type) == (campaign_id, "DEBT_COLLECTION")
    assert order.callback_url.endswith("/auto-calling/agents/simulated/webhook")


def test_webhook_brings_the_result_of_an_accepted_call(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    body = msgspec.json.encode(
        {
            "callId": call_id,
            "success": True,
            "status": "PROMISE_TO_PAY",
            "outcome": "pays",
            "summary": "s",
            "duration": 61.4,
        }
    )
    assert webhook(cloud, body).status == 202
    assert webhook(cloud, body).status == 202
    cloud.pace_all()
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"], call["callDuration"]) == ("PROMISE_TO_PAY", "pays", 61)
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_webhook_is_refused_without_a_good_signature(cloud: Cloud) -> None:
    campaign_id, _, call_id = accepted_call(cloud)
    body = msgspec.json.encode({"callId": call_id, "success": True})
    assert webhook(cloud, body, key="another secret").status == 401
    assert webhook(cloud, body, at=in_an(minutes=-6)).status == 401
    assert cloud.post("/agents/http/webhook", body, organization=None).status == 401
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 1


def test_webhook_of_an_unknown_call_is_not_found(cloud: Cloud) -> None:
    accepted_call(cloud)
    unknown = msgspec.json.encode({"callId": "0192e4a0-0000-7000-8000-000000000000", "success": True})
    assert webhook(cloud, unknown).status == 404


def test_one_campaigns_trouble_does_not_hold_up_another(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(2)
    good, bad = cloud.a_running_campaign(contact_ids[:1]), cloud.a_running_campaign(contact_ids[1:])
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    results = cloud.take(settings().campaign_events_queue)
    break_campaign(bad)
    again = cloud.pace(*results)
    assert len(again) == 1
    assert cloud.campaign(good)["status"] == "COMPLETED"


def break_campaign(campaign_id: str) -> None:
    """Make a campaign's row unreadable."""
    client("dynamodb").update_item(
        TableName=settings().campaigns_table,
        Key={"organizationId": {"S": "1"}, "campaignId": {"S": campaign_id}},
        UpdateExpression="SET retry = :broken",
        ExpressionAttributeValues={":broken": {"S": "no JSON"}},
    )


def test_start_whose_message_was_lost_is_found_by_the_clock(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.take(settings().campaign_events_queue)
    app.tick(schedule_event(), None)
    cloud.pace_all()
    assert len(orders(cloud)) == 1


def test_claim_leaves_out_candidates_the_index_shows_wrongly(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(3)
    campaign_id = cloud.a_campaign(contact_ids, maxConcurrentCalls=2)["id"]
    show_as_waiting_though_done(campaign_id, contact_ids[0])
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    claimed = {sqs.decode(order, Dial).contact_id for order in orders(cloud)}
    assert claimed == set(contact_ids[1:])


def show_as_waiting_though_done(campaign_id: str, contact_id: str) -> None:
    """What an index that lags shows: the row has moved on, its index entry has not."""
    client("dynamodb").update_item(
        TableName=settings().calls_table,
        Key={"campaignId": {"S": campaign_id}, "contactId": {"S": contact_id}},
        UpdateExpression="SET #s = :done",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":done": {"S": "DONE"}},
    )


def test_contact_whose_call_is_under_way_elsewhere_cannot_be_deleted(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    other = cloud.a_campaign([contact_id])["id"]
    reply = cloud.delete(f"/contacts/{contact_id}")
    assert (reply.status, reply.body["code"]) == (409, "call-under-way")
    webhook(cloud, msgspec.json.encode({"callId": call_id, "success": True}))
    cloud.pace_all()
    assert cloud.delete(f"/contacts/{contact_id}").status == 204
    assert cloud.campaign(campaign_id)["successfulCalls"] == 1
    cloud.post(f"/campaigns/{other}/start")
    cloud.settle()
    assert cloud.campaign(other)["skippedContacts"] == 1


def test_deleted_contact_is_skipped_with_the_reason(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    cloud.delete(f"/contacts/{contact_id}")
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    call = cloud.call(campaign_id, contact_id)
    assert agent.orders == []
    assert (call["callStatus"], call["conversationOutcome"]) == ("SKIPPED", "contact was deleted")
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


@pytest.mark.parametrize("status", ["DO_NOT_CALL", "INACTIVE", "COMPLETED"])
def test_contact_who_must_not_be_called_is_skipped(cloud: Cloud, status: str) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    cloud.patch(f"/contacts/{contact_id}", {"status": status})
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert agent.orders == []
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == f"contact is {status}"
    assert cloud.campaign(campaign_id)["skippedContacts"] == 1


def test_changed_phone_is_the_one_that_is_dialed(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    cloud.a_running_campaign([contact_id])
    cloud.patch(f"/contacts/{contact_id}", {"phone": "+998935550000"})
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    assert [order.phone_number for order in agent.orders] == ["+998935550000"]


def test_start_of_an_empty_campaign_is_refused(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    reply = cloud.post(f"/campaigns/{campaign_id}/start")
    assert (reply.status, reply.body["code"]) == (409, "campaign-empty")


def test_running_campaign_cannot_be_deleted(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    reply = cloud.delete(f"/campaigns/{campaign_id}")
    assert (reply.status, reply.body["code"]) == (409, "campaign-running")


def test_finished_campaign_cannot_be_started_until_it_has_new_contacts(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    cloud.settle()
    reply = cloud.post(f"/campaigns/{campaign_id}/start")
    assert (reply.status, reply.body["code"]) == (409, "campaign-finished")
    cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [cloud.a_contact("+998935550001")["id"]]})
    assert cloud.campaign(campaign_id)["status"] == "PAUSED"
    assert cloud.post(f"/campaigns/{campaign_id}/start").status == 200
    cloud.settle()
    assert cloud.campaign(campaign_id)["calledContacts"] == 2


def test_stop_reaches_calls_that_are_queued(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(3), maxConcurrentCalls=2)
    assert cloud.post(f"/campaigns/{campaign_id}/stop").body["status"] == "PAUSED"
    assert cloud.post(f"/campaigns/{campaign_id}/stop").body["status"] == "PAUSED"
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert agent.orders == []
    assert (campaign["inFlightCalls"], campaign["statusCounts"]["PENDING"]) == (0, 3)
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert cloud.campaign(campaign_id)["successfulCalls"] == 3


def test_paused_campaign_completes_with_its_last_call(cloud: Cloud) -> None:
    campaign_id, _, call_id = accepted_call(cloud)
    cloud.post(f"/campaigns/{campaign_id}/stop")
    webhook(cloud, msgspec.json.encode({"callId": call_id, "success": False}))
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_lost_dial_message_costs_the_longest_wait_of_its_queue_and_no_attempt(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    [lost] = orders(cloud)
    lease = policy.queue_lease(settings().agent_timeout_seconds)
    cloud.tick(in_an(seconds=lease - 30))
    assert orders(cloud) == []
    cloud.tick(in_an(seconds=lease + 60))
    [again] = orders(cloud)
    agent = ScriptedAgent()
    agent.dial([lost])
    agent.dial([again])
    cloud.pace_all()
    assert len(agent.orders) == 1
    assert cloud.campaign(campaign_id)["successfulCalls"] == 1


def test_agent_that_never_reports_fails_the_call_when_its_lease_ends(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    cloud.tick(in_an(seconds=300))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    cloud.tick(in_an(seconds=1000))
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("FAILED", "no result from the agent")
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    webhook(cloud, msgspec.json.encode({"callId": call_id, "success": True, "outcome": "late"}))
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["successfulCalls"], campaign["failedCalls"]) == (1, 0)
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == "late"


def test_busy_line_is_dialed_again_after_the_delay(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    retry = {"maxAttempts": 2, "delayMinutes": [30], "on": ["BUSY"]}
    campaign_id = cloud.a_running_campaign([contact_id], retry=retry)
    agent = ScriptedAgent(Result(call_status=CallStatus.BUSY), Result(call_status=CallStatus.SUCCESS))
    agent.dial(orders(cloud))
    cloud.pace_all()
    waiting = cloud.call(campaign_id, contact_id)
    assert (waiting["callStatus"], waiting["whyNotCalled"]) == ("PENDING", "waiting-for-retry")
    assert len(waiting["attempts"]) == 1
    assert waiting["nextAttemptAt"] > clock.stamp(in_an(minutes=29))
    cloud.tick(in_an(minutes=29))
    assert orders(cloud) == []
    cloud.tick(in_an(minutes=31))
    agent.dial(orders(cloud))
    cloud.pace_all()
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], [each["callStatus"] for each in call["attempts"]]) == ("SUCCESS", ["BUSY", "SUCCESS"])
    assert agent.orders[0].call_id != agent.orders[1].call_id


def test_callback_is_dialed_once_at_its_time(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    wanted = clock.stamp(in_an(hours=2))
    asked = Result(call_status=CallStatus.CALLBACK_REQUESTED, callback_at=wanted)
    agent = ScriptedAgent(asked)
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["nextAttemptAt"] == wanted
    cloud.tick(in_an(minutes=121))
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["statusCounts"]["CALLBACK_REQUESTED"] == 1
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert len(agent.orders) == 2


def test_phone_in_another_call_of_the_organization_waits_its_turn(cloud: Cloud) -> None:
    _, contact_id, call_id = accepted_call(cloud)
    second = cloud.a_running_campaign([contact_id])
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert agent.orders == []
    assert cloud.call(second, contact_id)["callStatus"] == "PENDING"
    webhook(cloud, msgspec.json.encode({"callId": call_id, "success": True}))
    cloud.pace_all()
    cloud.tick(in_an(seconds=130))
    agent.dial(orders(cloud))
    assert len(agent.orders) == 1


def test_scheduled_campaign_starts_at_its_time(cloud: Cloud) -> None:
    at = in_an(minutes=10)
    campaign_id = cloud.a_campaign(cloud.contacts(1), scheduledAt=clock.stamp(at))["id"]
    cloud.tick(at - timedelta(minutes=2))
    assert cloud.campaign(campaign_id)["status"] == "PENDING"
    cloud.tick(at + timedelta(seconds=59))
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    assert len(orders(cloud)) == 1


def test_start_time_that_comes_without_contacts_says_so(cloud: Cloud) -> None:
    at = in_an(minutes=10)
    campaign_id = cloud.a_campaign(scheduledAt=clock.stamp(at))["id"]
    cloud.tick(at + timedelta(seconds=59))
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["scheduledAt"]) == ("PENDING", None)
    assert "no contacts" in campaign["statusReason"]


def test_cleared_and_deleted_schedules_start_nothing(cloud: Cloud) -> None:
    contact_ids, at = cloud.contacts(1), in_an(minutes=10)
    cleared = cloud.a_campaign(contact_ids, scheduledAt=clock.stamp(at))["id"]
    deleted = cloud.a_campaign(contact_ids, scheduledAt=clock.stamp(at))["id"]
    cloud.patch(f"/campaigns/{cleared}", {"scheduledAt": None})
    cloud.delete(f"/campaigns/{deleted}")
    cloud.tick(at + timedelta(minutes=2))
    assert cloud.campaign(cleared)["status"] == "PENDING"
    assert orders(cloud) == []


def test_manual_start_clears_the_schedule(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1), scheduledAt=clock.stamp(in_an(minutes=10)))["id"]
    assert cloud.post(f"/campaigns/{campaign_id}/start").body["scheduledAt"] is None


def test_nothing_is_dialed_outside_the_hours(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([contact_id], callingHours=hours_around(in_an(hours=5)))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    assert orders(cloud) == []
    call = cloud.call(campaign_id, contact_id)
    assert call["whyNotCalled"] == "outside-calling-hours"
    assert call["nextAttemptAt"] > clock.stamp(in_an(hours=3))
    cloud.tick(in_an(hours=5))
    assert len(orders(cloud)) == 1


def test_message_that_waited_while_the_hours_closed_is_not_dialed(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1), callingHours=hours_around(clock.now()))
    agent = ScriptedAgent()
    agent.dial(orders(cloud), now=lambda: in_an(hours=3))
    cloud.tick(in_an(hours=3))
    assert agent.orders == []
    assert cloud.campaign(campaign_id)["statusCounts"]["PENDING"] == 1


def hours_around(moment: datetime) -> dict[str, object]:
    """A daily window of two hours around a moment."""
    from_, to = moment - timedelta(hours=1), moment + timedelta(hours=1)
    return {
        "timezone": "UTC",
        "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
        "from": from_.strftime("%H:%M"),
        "to": to.strftime("%H:%M"),
    }


def test_hours_in_the_contacts_own_zone_open_zone_by_zone(cloud: Cloud) -> None:
    tashkent = cloud.a_contact("+998901234567")["id"]
    london = cloud.a_contact("+447400123456")["id"]
    noon_in_tashkent = datetime.now(UTC).replace(hour=7, minute=0) + timedelta(days=1)
    window = hours_around(noon_in_tashkent.replace(hour=12)) | {"timezone": "contact"}
    campaign_id = cloud.a_campaign([tashkent, london], callingHours=window)["id"]
    control.start("1", campaign_id, now=noon_in_tashkent)
    cloud.tick(noon_in_tashkent)
    assert [sqs.decode(order, Dial).contact_id for order in orders(cloud)] == [tashkent]


def test_full_agent_is_asked_less_and_no_attempt_is_spent(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(8), maxConcurrentCalls=4)
    agent = ScriptedAgent(NotPlaced("full", Verdict.FULL))
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert len(orders(cloud)) <= 2
    campaign = cloud.campaign(campaign_id)
    assert (campaign["calledContacts"], campaign["status"]) == (0, "RUNNING")


def test_released_call_keeps_its_identity(cloud: Cloud) -> None:
    cloud.a_running_campaign(cloud.contacts(1))
    agent = ScriptedAgent(NotPlaced("away"), Result(call_status=CallStatus.SUCCESS))
    agent.dial(orders(cloud))
    cloud.pace_all()
    cloud.tick(in_an(seconds=130))
    agent.dial(orders(cloud))
    assert agent.orders[0].call_id == agent.orders[1].call_id


def test_refused_credentials_pause_the_campaign_with_a_reason(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(3), maxConcurrentCalls=1)
    ScriptedAgent(NotPlaced("401", Verdict.REFUSED)).dial(orders(cloud))
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert campaign["status"] == "PAUSED"
    assert "credentials" in campaign["statusReason"]
    assert campaign["statusCounts"]["PENDING"] == 3
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert cloud.campaign(campaign_id)["successfulCalls"] == 3


def test_withdrawn_contact_is_not_called_and_not_counted(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign(contact_ids, maxConcurrentCalls=1)
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[1]}").status == 204
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}").status == 204
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert agent.orders == []
    assert cloud.campaign(campaign_id)["totalContacts"] == 0
    assert cloud.get(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}").status == 404


def test_withdrawn_contacts_call_under_way_ends_normally(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    webhook(cloud, msgspec.json.encode({"callId": call_id, "success": True, "status": "BUSY"}))
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["statusCounts"]["BUSY"] == 1


def test_redial_calls_those_who_did_not_answer_once_more(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(2) + cloud.contacts(3, last_digit=6)
    campaign_id = cloud.a_running_campaign(contact_ids)
    cloud.settle()
    reply = cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["NO_ANSWER", "BUSY"]})
    assert (reply.status, reply.body) == (202, {"requeued": 3})
    statuses, now = [CallStatus.NO_ANSWER, CallStatus.BUSY], clock.stamp(clock.now())
    job = sqs.encode(Redial(organization_id="1", campaign_id=campaign_id, statuses=statuses, before=now))
    app.work(sqs_event([job]), None)
    assert cloud.campaign(campaign_id)["status"] == "PAUSED"
    assert cloud.campaign(campaign_id)["statusCounts"]["PENDING"] == 3
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    app.work(sqs_event([job]), None)
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusCounts"]["NO_ANSWER"]) == ("COMPLETED", 3)
    assert len(cloud.call(campaign_id, contact_ids[2])["attempts"]) == 2


def test_campaign_that_ends_is_audited(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(3))
    cloud.settle()
    report = cloud.get(f"/campaigns/{campaign_id}/audit").body
    assert (report["status"], report["consistent"], report["differences"]) == ("COMPLETED", True, {})
    assert report["recounted"]["success"] == 3


def test_audit_tells_a_difference(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(2))
    cloud.settle()
    miscount(campaign_id)
    assert cloud.post(f"/campaigns/{campaign_id}/audit").status == 202
    cloud.settle()
    report = cloud.get(f"/campaigns/{campaign_id}/audit").body
    assert (report["consistent"], report["differences"]) == (False, {"success": 5})


def miscount(campaign_id: str) -> None:
    client("dynamodb").update_item(
        TableName=settings().campaigns_table,
        Key={"organizationId": {"S": "1"}, "campaignId": {"S": campaign_id}},
        UpdateExpression="ADD success :five",
        ExpressionAttributeValues={":five": {"N": "5"}},
    )


def test_deleted_campaign_leaves_no_rows(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(3)
    campaign_id = cloud.a_campaign(contact_ids)["id"]
    assert cloud.delete(f"/campaigns/{campaign_id}").status == 204
    assert cloud.get(f"/campaigns/{campaign_id}").status == 404
    cloud.take(settings().jobs_queue)
    cloud.tick(in_an(minutes=1))
    cloud.settle()
    assert calls.some(campaign_id, 10, after=None) == []
    assert cloud.get(f"/contacts/{contact_ids[0]}/calls").body["meta"]["total"] == 0


def test_event_of_a_deleted_campaign_is_dropped(cloud: Cloud) -> None:
    contact_id = cloud.a_contact()["id"]
    result = Ended(
        organization_id="1",
        campaign_id="0192e4a0-0000-7000-8000-000000000000",
        contact_id=contact_id,
        attempt_id="0192e4a0-0000-7000-8000-000000000001",
        result=Result(call_status=CallStatus.SUCCESS),
    )
    assert cloud.pace(sqs.encode(result)) == []
    assert cloud.pace(sqs.encode(Wake(organization_id="1", campaign_id=result.campaign_id))) == []
