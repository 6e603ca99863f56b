"""Contacts who ask never to be called again: from the agent's report on nobody dials them, in no campaign."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.calls.model import CallStatus, Result
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, orders, presumed_call, report
from tests.service.cloud import Cloud, in_an

REFUSED = {"maxAttempts": 3, "delayMinutes": [0], "on": ["REFUSED", "NO_ANSWER"]}


def status_of(cloud: Cloud, contact_id: str) -> str:
    status: str = cloud.get(f"/contacts/{contact_id}").body["status"]
    return status


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"success": False, "doNotCall": True}, "FAILED"),
        ({"success": True, "doNotCall": "true"}, "SUCCESS"),
        ({"doNotCall": True}, "REFUSED"),
        ({"status": "DO_NOT_CALL"}, "REFUSED"),
        (
            {"status": "CALLBACK_REQUESTED", "doNotCall": True, "callbackAt": "2026-11-23T06:15:00Z"},
            "CALLBACK_REQUESTED",
        ),
    ],
)
def test_contact_that_asks_for_it_is_barred_and_not_redialed(
    cloud: Cloud, members: dict[str, Any], status: str
) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, retry=REFUSED)
    report(cloud, call_id, **members)
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["nextAttemptAt"], status_of(cloud, contact_id)) == (status, None, "DO_NOT_CALL")
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert cloud.get("/contacts?status=DO_NOT_CALL").body["meta"]["total"] == 1


@pytest.mark.parametrize("members", [{"doNotCall": False}, {"doNotCall": "perhaps"}, {"doNotCall": None}])
def test_contact_that_does_not_ask_stays_callable(cloud: Cloud, members: dict[str, Any]) -> None:
    _, contact_id, call_id = accepted_call(cloud)
    report(cloud, call_id, success=True, **members)
    assert status_of(cloud, contact_id) == "ACTIVE"


def test_agent_that_answers_at_once_can_say_it_too(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    cloud.a_running_campaign([contact_id])
    ScriptedAgent(Result(call_status=CallStatus.REFUSED, do_not_call=True)).dial(orders(cloud))
    cloud.pace_all()
    assert status_of(cloud, contact_id) == "DO_NOT_CALL"


def test_another_campaign_skips_whoever_asked(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    other = cloud.a_running_campaign([contact_id])
    report(cloud, call_id, doNotCall=True)
    cloud.settle()
    assert cloud.call(other, contact_id)["conversationOutcome"] == "contact is DO_NOT_CALL"
    assert cloud.campaign(campaign_id)["statusCounts"]["REFUSED"] == 1


def test_late_report_bars_as_well(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    report(cloud, call_id, doNotCall=True)
    assert (cloud.call(campaign_id, contact_id)["callStatus"], status_of(cloud, contact_id)) == (
        "REFUSED",
        "DO_NOT_CALL",
    )


def test_second_report_may_add_it_and_a_waiting_retry_is_not_dialed(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, retry=REFUSED | {"delayMinutes": [5]})
    report(cloud, call_id, status="NO_ANSWER")
    report(cloud, call_id, status="NO_ANSWER", doNotCall=True)
    assert status_of(cloud, contact_id) == "DO_NOT_CALL"
    cloud.tick(in_an(minutes=6))
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert (agent.orders, cloud.call(campaign_id, contact_id)["callStatus"]) == ([], "NO_ANSWER")


def test_report_that_comes_again_does_not_undo_what_a_person_decided_since(cloud: Cloud) -> None:
    _, contact_id, call_id = accepted_call(cloud)
    report(cloud, call_id, doNotCall=True)
    cloud.patch(f"/contacts/{contact_id}", {"status": "ACTIVE"})
    report(cloud, call_id, doNotCall=True)
    report(cloud, call_id, doNotCall=True, recordingUrl="https://agent.test/1.wav")
    assert status_of(cloud, contact_id) == "ACTIVE"


def test_late_report_bars_as_well_when_the_campaign_is_gone(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    assert cloud.delete(f"/campaigns/{campaign_id}").status == 204
    report(cloud, call_id, success=True)
    assert status_of(cloud, contact_id) == "ACTIVE"
    report(cloud, call_id, doNotCall=True)
    assert status_of(cloud, contact_id) == "DO_NOT_CALL"
    cloud.settle()
    cloud.patch(f"/contacts/{contact_id}", {"status": "ACTIVE"})
    report(cloud, call_id, doNotCall=True)
    assert status_of(cloud, contact_id) == "DO_NOT_CALL"


def test_late_report_of_an_attempt_that_no_call_knows_any_more_bars_as_well(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    row = calls.row_of(replace(calls.find(campaign_id, contact_id), attempts=[]))
    row.save()
    report(cloud, call_id, doNotCall=True)
    assert (cloud.call(campaign_id, contact_id)["attempts"], status_of(cloud, contact_id)) == ([], "DO_NOT_CALL")


def test_contact_that_is_gone_bars_nothing(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    assert cloud.delete(f"/contacts/{contact_id}").status == 204
    report(cloud, call_id, doNotCall=True)
    assert cloud.campaign(campaign_id)["statusCounts"]["REFUSED"] == 1


def test_news_of_an_earlier_version_asks_nothing(cloud: Cloud) -> None:
    assert sqs.decode('{"callStatus":"BUSY"}', Result) == Result(call_status=CallStatus.BUSY)
