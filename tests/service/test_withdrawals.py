"""Whoever was taken out of a campaign stays out, whatever comes late or twice; a result stays what it was."""

from __future__ import annotations

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import Accepted, CallOrder, NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import enrolment
from chalicelib.campaigns.messages import Enrol, Redial
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, before_the_next, orders, presumed_call, report
from tests.service.cloud import Cloud, in_an, sqs_event

BUSY_LINES = {"maxAttempts": 2, "delayMinutes": [1], "on": ["BUSY"]}


def redialed(cloud: Cloud, campaign_id: str, *statuses: str) -> int:
    """How many calls wait again."""
    number: int = cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": statuses}).body["requeued"]
    return number


def test_contact_withdrawn_while_the_agent_is_asked_is_not_dialed_when_it_was_full(cloud: Cloud) -> None:
    contact_id, _ = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([contact_id], maxConcurrentCalls=1)

    def withdraw(_: CallOrder) -> None:
        assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204

    agent = ScriptedAgent(NotPlaced("full", Verdict.FULL), before=withdraw)
    agent.dial(orders(cloud))
    cloud.pace_all()
    cloud.tick(in_an(hours=20))
    assert orders(cloud) == []
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("SKIPPED", "taken out of the campaign")
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_withdrawn_contact_is_not_redialed(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    report(cloud, call_id, status="BUSY")
    assert redialed(cloud, campaign_id, "BUSY") == 0
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "BUSY"


def test_contact_withdrawn_after_its_call_keeps_the_result_and_is_not_redialed(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(2, last_digit=7)
    campaign_id = cloud.a_running_campaign(contact_ids)
    cloud.settle()
    for _ in range(2):
        assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}").status == 204
    campaign = cloud.campaign(campaign_id)
    assert (campaign["totalContacts"], campaign["statusCounts"]["BUSY"]) == (2, 2)
    assert redialed(cloud, campaign_id, "BUSY") == 1
    assert cloud.call(campaign_id, contact_ids[0])["callStatus"] == "BUSY"


def test_contact_withdrawn_between_two_attempts_keeps_the_first_ones_result(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_running_campaign(contact_ids, retry=BUSY_LINES)
    cloud.settle()
    assert cloud.call(campaign_id, contact_ids[0])["callStatus"] == "PENDING"
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}").status == 204
    cloud.pace_all()
    cloud.tick(in_an(minutes=5))
    assert orders(cloud) == []
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["calledContacts"], campaign["failedCalls"]) == ("COMPLETED", 1, 1)


def test_contact_nobody_called_is_gone(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([contact_id])["id"]
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    assert cloud.get(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 404
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 404
    assert cloud.campaign(campaign_id)["totalContacts"] == 0


def test_enrolment_delivered_again_brings_nobody_back_who_was_withdrawn_since(cloud: Cloud) -> None:
    contact_id, other = cloud.contacts(2)
    campaign_id = cloud.a_campaign([other])["id"]
    order = Enrol(organization_id="1", campaign_id=campaign_id, contact_ids=[contact_id], at=clock.stamp(clock.now()))
    job = sqs.encode(order)
    app.work(sqs_event([job]), None)
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PENDING"
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    for again in (job, sqs.encode(msgspec.structs.replace(order, at=""))):
        app.work(sqs_event([again]), None)
        assert cloud.get(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 404
    assert cloud.campaign(campaign_id)["totalContacts"] == 1


def test_who_was_withdrawn_while_being_added_is_neither_added_nor_in_the_campaign(cloud: Cloud) -> None:
    contact_id, other = cloud.contacts(2)
    campaign_id = cloud.a_campaign([contact_id, other])["id"]
    asked = clock.now()
    enrolment.withdraw("1", campaign_id, contact_id, now=asked)
    done = enrolment.enrol("1", campaign_id, [contact_id, other], at=clock.stamp(asked), now=asked)
    assert (done.added, done.already_in_campaign, done.not_found, done.total_contacts) == (0, 1, [], 1)


@pytest.mark.parametrize("called", [False, True])
def test_contact_enrolled_anew_on_purpose_is_called(cloud: Cloud, called: bool) -> None:
    contact_ids = cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_campaign(contact_ids)["id"]
    if called:
        cloud.post(f"/campaigns/{campaign_id}/start")
        cloud.settle()
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_ids[0]}").status == 204
    added = cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": contact_ids}).body
    assert (added["added"], added["alreadyInCampaign"], added["totalContacts"]) == (1, 0, 1)
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert len(cloud.call(campaign_id, contact_ids[0])["attempts"]) == 1 + called
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_contact_withdrawn_and_enrolled_during_its_call_is_as_before(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, retry=BUSY_LINES)
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    added = cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [contact_id]}).body
    assert (added["added"], added["alreadyInCampaign"]) == (0, 1)
    report(cloud, call_id, status="BUSY")
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PENDING"


def test_contact_withdrawn_while_its_result_is_booked_is_not_dialed_again(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, retry=BUSY_LINES)
    with before_the_next("TransactWriteItems", lambda: withdraw_now(cloud, campaign_id, contact_id)):
        report(cloud, call_id, status="BUSY")
    cloud.tick(in_an(minutes=5))
    assert orders(cloud) == []
    assert cloud.campaign(campaign_id)["statusCounts"]["BUSY"] == 1


def withdraw_now(cloud: Cloud, campaign_id: str, contact_id: str) -> None:
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204


def test_redial_leaves_a_call_alone_whose_result_came_late(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    job = Redial(
        organization_id="1",
        campaign_id=campaign_id,
        statuses=[CallStatus.FAILED],
        before=clock.stamp(in_an(seconds=2_000)),
    )
    late = {"status": "PROMISE_TO_PAY", "outcome": "pays"}
    with before_the_next("TransactWriteItems", lambda: report(cloud, call_id, **late)):
        app.work(sqs_event([sqs.encode(job)]), None)
    call, campaign = cloud.call(campaign_id, contact_id), cloud.campaign(campaign_id)
    assert (call["callStatus"], len(call["attempts"])) == ("PROMISE_TO_PAY", 1)
    assert {status: n for status, n in campaign["statusCounts"].items() if n} == {"PROMISE_TO_PAY": 1}


def test_withdrawal_while_a_late_result_is_booked_miscounts_nothing(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = presumed_call(cloud)
    late = {"status": "PROMISE_TO_PAY", "outcome": "pays"}
    with before_the_next("TransactWriteItems", lambda: report(cloud, call_id, **late)):
        assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    campaign = cloud.campaign(campaign_id)
    assert {status: n for status, n in campaign["statusCounts"].items() if n} == {"PROMISE_TO_PAY": 1}
    assert redialed(cloud, campaign_id, "PROMISE_TO_PAY") == 0


def test_redial_redriven_later_takes_nobody_it_took_before(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_running_campaign(contact_ids)
    cloud.settle()
    before = clock.stamp(clock.now())
    job = sqs.encode(Redial(organization_id="1", campaign_id=campaign_id, statuses=[CallStatus.BUSY], before=before))
    app.work(sqs_event([job]), None)
    cloud.patch(f"/contacts/{contact_ids[0]}", {"status": "INACTIVE"})
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    cloud.patch(f"/contacts/{contact_ids[0]}", {"status": "ACTIVE"})
    app.work(sqs_event([job]), None)
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert redialed(cloud, campaign_id, "BUSY") == 1


def test_redial_says_how_many_wait_again(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(3, last_digit=7) + cloud.contacts(2, last_digit=6)
    campaign_id = cloud.a_running_campaign(contact_ids)
    cloud.settle()
    assert redialed(cloud, campaign_id, "BUSY", "NO_ANSWER", "BUSY") == 5
    assert redialed(cloud, campaign_id, "BUSY", "NO_ANSWER") == 0
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusCounts"]["PENDING"]) == ("PAUSED", 5)


def test_dnc_contact_that_was_called_before_counts_as_called(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    retry = {"maxAttempts": 2, "delayMinutes": [1], "on": ["NO_ANSWER"]}
    campaign_id = cloud.a_running_campaign([contact_id], retry=retry)
    agent = ScriptedAgent(Result(call_status=CallStatus.NO_ANSWER, outcome="rang out"), Accepted())
    agent.dial(orders(cloud))
    cloud.pace_all()
    cloud.patch(f"/contacts/{contact_id}", {"status": "INACTIVE"})
    cloud.tick(in_an(minutes=2))
    agent.dial(orders(cloud))
    cloud.pace_all()
    campaign, call = cloud.campaign(campaign_id), cloud.call(campaign_id, contact_id)
    assert (campaign["calledContacts"], campaign["skippedContacts"], len(agent.orders)) == (1, 0, 1)
    assert (call["callStatus"], call["conversationOutcome"]) == ("NO_ANSWER", "rang out")
