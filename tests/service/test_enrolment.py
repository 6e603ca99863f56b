"""Contacts become calls of a campaign: by list, by import, by filter; and what a call shows while it waits."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

import app
from chalicelib import clock, worker
from chalicelib.agents.contract import Accepted
from chalicelib.aws.sqs import BATCH_BYTES
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import enrolment, messages, routes
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Enrol
from chalicelib.campaigns.schedule import FILLING
from chalicelib.errors import NotFound
from chalicelib.ids import new_id
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, before_the_next, orders, report
from tests.service.cloud import Cloud, in_an, sqs_event
from tests.service.test_nothing_lost import queues_that_refuse
from tests.service.test_workbooks import ticking

NOWHERE = "0192e4a0-0000-7000-8000-000000000000"


def enrol(cloud: Cloud, campaign_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """What adding contacts at once comes to."""
    reply = cloud.post(f"/campaigns/{campaign_id}/contacts", body)
    assert reply.status == 200, reply
    done: dict[str, Any] = reply.body
    return done


def enrol_later(cloud: Cloud, campaign_id: str, body: dict[str, Any]) -> list[str]:
    """The jobs that add contacts in the background; they lie in no queue any more."""
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", body).status == 202
    assert cloud.campaign(campaign_id)["totalContacts"] == 0
    return cloud.take(settings().jobs_queue)


def do_twice(jobs: list[str]) -> None:
    """Deliver every job to the worker twice, as SQS may."""
    for job in [*jobs, *jobs]:
        app.work(sqs_event([job]), None)


def test_enrolment_tells_who_was_added_and_who_was_not(cloud: Cloud) -> None:
    ids = cloud.contacts(3)
    campaign_id = cloud.a_campaign(ids[:1])["id"]
    wanted = {"contactIds": [*ids, ids[1], NOWHERE, "uuid-1"]}
    assert enrol(cloud, campaign_id, wanted) == {
        "added": 2,
        "alreadyInCampaign": 1,
        "notFound": [NOWHERE, "uuid-1"],
        "totalContacts": 3,
    }
    assert enrol(cloud, campaign_id, wanted)["added"] == 0
    assert enrol(cloud, campaign_id, {"contactIds": []})["totalContacts"] == 3
    assert cloud.get(f"/campaigns/{campaign_id}/contacts").body["meta"]["total"] == 3


def test_more_than_a_thousand_contacts_are_enrolled_in_the_background(cloud: Cloud) -> None:
    ids = cloud.contacts(3)
    campaign_id = cloud.a_campaign()["id"]
    nobody = [f"0192e4a0-0000-7000-8000-{n:012x}" for n in range(998)]
    [job] = enrol_later(cloud, campaign_id, {"contactIds": [*ids[:2], *nobody, *ids[2:]]})
    do_twice([job])
    assert cloud.campaign(campaign_id)["totalContacts"] == 3
    [job] = enrol_later(cloud, cloud.a_campaign()["id"], {"contactIds": [new_id() for _ in range(10_000)]})
    assert len(job) <= BATCH_BYTES
    too_many = cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [NOWHERE] * 10_001})
    assert too_many.field_at_fault == "contactIds"


def test_contacts_of_an_import_are_enrolled(cloud: Cloud) -> None:
    cloud.a_contact("+998901234560")
    known = cloud.a_contact("+998901234561")
    csv = "firstName,phone\nAli,+998901234561\nVali,+998901234562\nNobody,12\n"
    import_id = cloud.upload(csv.encode())["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    campaign_id = cloud.a_campaign()["id"]
    do_twice(enrol_later(cloud, campaign_id, {"importId": import_id}))
    listed = cloud.get(f"/campaigns/{campaign_id}/contacts").body["data"]
    assert {call["contact"]["phone"] for call in listed} == {"+998901234561", "+998901234562"}
    assert known["id"] in {call["contactId"] for call in listed}
    for odd in (NOWHERE, "uuid-1"):
        assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"importId": odd}).problem == (404, "not-found")


def test_enrolment_waits_for_its_import(cloud: Cloud) -> None:
    import_id = cloud.upload(b"firstName,phone\nAli,+998901234561\n")["id"]
    campaign_id = cloud.a_campaign()["id"]
    [job] = enrol_later(cloud, campaign_id, {"importId": import_id})
    app.work(sqs_event([job]), None)
    assert cloud.take(settings().jobs_queue) == []
    cloud.arrive(f"uploads/1/{import_id}")
    time.sleep(enrolment.FIRST_WAIT_SECONDS + 0.1)
    do_twice(cloud.take(settings().jobs_queue))
    assert cloud.campaign(campaign_id)["totalContacts"] == 1


def ask(cloud: Cloud, campaign_id: str, body: dict[str, Any]) -> list[str]:
    """The jobs that an enrolment in the background gives."""
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", body).status == 202
    return cloud.take(settings().jobs_queue)


ACTIVE = {"filter": {"status": "ACTIVE"}}


def test_second_request_for_the_same_joins_the_first(cloud: Cloud) -> None:
    import_id = cloud.upload(b"firstName,phone\nAli,+998901234561\n")["id"]
    listed = {"contactIds": [new_id() for _ in range(1_001)]}
    for body in (ACTIVE, {"importId": import_id}, listed):
        campaign_id = cloud.a_campaign()["id"]
        assert [len(ask(cloud, campaign_id, body)) for _ in range(2)] == [1, 0], body
        assert len(ask(cloud, campaign_id, {"filter": {"status": "INACTIVE"}})) == 1


def test_request_that_means_somebody_else_is_one_of_its_own(cloud: Cloud) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_campaign([first, second])["id"]
    [job] = ask(cloud, campaign_id, ACTIVE)
    cloud.delete(f"/campaigns/{campaign_id}/contacts/{first}")
    [again] = ask(cloud, campaign_id, ACTIVE)
    do_twice([job])
    assert cloud.campaign(campaign_id)["totalContacts"] == 1
    do_twice([again])
    assert cloud.campaign(campaign_id)["totalContacts"] == 2


def test_one_enrolment_of_a_campaign_is_followed_at_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "SLICE", 2)
    monkeypatch.setattr(enrolment, "FIRST_WAIT_SECONDS", 0)
    ids = cloud.contacts(5)
    cloud.patch(f"/contacts/{ids[0]}", {"status": "INACTIVE"})
    campaign_id = cloud.a_campaign()["id"]
    worker.handle(ask(cloud, campaign_id, ACTIVE), now=ticking(seconds=300))
    [rest] = cloud.take(settings().jobs_queue)
    [other] = ask(cloud, campaign_id, {"filter": {"status": "INACTIVE"}})
    do_twice([other])
    waiting = cloud.take(settings().jobs_queue)
    assert (cloud.campaign(campaign_id)["totalContacts"], set(waiting)) == (2, {other})
    assert ask(cloud, campaign_id, {"filter": {"status": "INACTIVE"}}) == []
    do_twice([rest])
    assert cloud.campaign(campaign_id)["totalContacts"] == 4
    do_twice([other])
    assert cloud.campaign(campaign_id)["totalContacts"] == 5


def test_request_finds_who_came_after_the_worker_had_begun_an_equal_one(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "SLICE", 1)
    cloud.contacts(2)
    campaign_id = cloud.a_campaign()["id"]
    worker.handle(ask(cloud, campaign_id, ACTIVE), now=ticking(seconds=300))
    rest = cloud.take(settings().jobs_queue)
    cloud.a_contact("+998901112233")
    [again] = ask(cloud, campaign_id, ACTIVE)
    do_twice([*rest, again])
    assert cloud.campaign(campaign_id)["totalContacts"] == 3


def test_request_for_a_list_that_the_worker_is_at_is_one_with_it(cloud: Cloud) -> None:
    ids = cloud.contacts(3)
    campaign_id = cloud.a_campaign()["id"]
    listed = {"contactIds": [*ids, *(new_id() for _ in range(1_000))]}
    worker.handle(ask(cloud, campaign_id, listed), now=ticking(seconds=300))
    rest = cloud.take(settings().jobs_queue)
    assert ask(cloud, campaign_id, listed) == []
    do_twice(rest)
    assert len(ask(cloud, campaign_id, listed)) == 1


def test_order_that_is_lost_is_given_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign_id = cloud.a_campaign()["id"]

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as death:
        death.setattr(messages, "work", die)
        assert cloud.post(f"/campaigns/{campaign_id}/contacts", ACTIVE).status == 500
    assert [len(ask(cloud, campaign_id, ACTIVE)) for _ in range(2)] == [1, 0]
    [(asks, until)] = campaigns.find("1", campaign_id).asked.items()
    order = Enrol(organization_id="1", campaign_id=campaign_id, status="ACTIVE", asks=asks)
    enrolment.begin(order, now=clock.moment(until) - timedelta(seconds=1))
    assert cloud.take(settings().jobs_queue) == []
    enrolment.begin(order, now=clock.moment(until) + timedelta(seconds=1))
    assert len(cloud.take(settings().jobs_queue)) == 1


def test_order_whose_worker_died_holds_no_other_up_for_ever(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "SLICE", 1)
    cloud.contacts(2)
    campaign_id = cloud.a_campaign()["id"]
    worker.handle(ask(cloud, campaign_id, ACTIVE), now=ticking(seconds=300))
    cloud.take(settings().jobs_queue)
    [again] = ask(cloud, campaign_id, ACTIVE)
    worker.handle([again], now=lambda: in_an(minutes=46))
    assert cloud.campaign(campaign_id)["totalContacts"] == 2


def test_enrolment_of_an_import_ends_with_its_campaign(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "FIRST_WAIT_SECONDS", 0)
    import_id = cloud.upload(b"firstName,phone\nAli,+998901234561\n")["id"]
    campaign_id = cloud.a_campaign()["id"]
    jobs = enrol_later(cloud, campaign_id, {"importId": import_id})
    cloud.delete(f"/campaigns/{campaign_id}")
    do_twice(jobs)
    assert not any('"enrol"' in job for job in cloud.take(settings().jobs_queue))


def test_contacts_of_a_status_are_enrolled(cloud: Cloud) -> None:
    ids = cloud.contacts(3)
    cloud.patch(f"/contacts/{ids[1]}", {"status": "INACTIVE"})
    campaign_id = cloud.a_campaign()["id"]
    do_twice(enrol_later(cloud, campaign_id, {"filter": {"status": "ACTIVE"}}))
    listed = cloud.get(f"/campaigns/{campaign_id}/contacts").body["data"]
    assert [call["contactId"] for call in listed] == [ids[2], ids[0]]


def test_campaign_that_would_be_at_its_end_waits_for_an_enrolment_and_says_so(cloud: Cloud) -> None:
    first, second = cloud.contacts(2)
    cloud.patch(f"/contacts/{second}", {"status": "INACTIVE"})
    campaign_id = cloud.a_running_campaign([first])
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "INACTIVE"}}).status == 202
    cloud.patch(f"/contacts/{second}", {"status": "ACTIVE"})
    jobs = cloud.take(settings().jobs_queue)
    cloud.settle()
    assert standing(cloud, campaign_id) == ("RUNNING", FILLING)
    do_twice(jobs)
    cloud.settle()
    assert standing(cloud, campaign_id) == ("COMPLETED", None)


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED"])
def test_enrolment_that_no_queue_takes_keeps_no_campaign_open(cloud: Cloud, status: str) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    with queues_that_refuse("jobs_queue"):
        assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 503
    ScriptedAgent().dial(orders(cloud))
    if status == "PAUSED":
        cloud.post(f"/campaigns/{campaign_id}/stop")
    cloud.pace_all()
    assert standing(cloud, campaign_id) == ("COMPLETED", None)


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED"])
def test_campaign_whose_order_was_lost_says_what_it_waits_for_and_ends(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as death:
        death.setattr(messages, "work", die)
        assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 500
    ScriptedAgent().dial(orders(cloud))
    if status == "PAUSED":
        cloud.post(f"/campaigns/{campaign_id}/stop")
    cloud.pace_all()
    assert standing(cloud, campaign_id) == (status, FILLING)
    for minutes in range(5, 60, 5):
        cloud.tick(in_an(minutes=minutes))
    assert standing(cloud, campaign_id) == ("COMPLETED", None)


def test_order_that_begins_just_before_the_end_keeps_the_campaign_open(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first])
    ScriptedAgent().dial(orders(cloud))
    complete = campaigns.complete

    def begin_before(*given: Any, **options: Any) -> bool:
        monkeypatch.setattr(campaigns, "complete", complete)
        assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"filter": {"status": "ACTIVE"}}).status == 202
        return complete(*given, **options)

    monkeypatch.setattr(campaigns, "complete", begin_before)
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    cloud.settle()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert cloud.call(campaign_id, second)["callStatus"] == "SUCCESS"


def test_orders_that_begin_at_once_are_all_kept(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    order = Enrol(organization_id="1", campaign_id=campaign_id, status="ACTIVE")
    first, second = (replace(order, order_id=order_id) for order_id in ("first", "second"))
    with before_the_next("UpdateItem", lambda: enrolment.begin(second, now=clock.now())):
        enrolment.begin(first, now=clock.now())
    assert campaigns.find("1", campaign_id).orders.keys() == {"first", "second"}


def test_order_for_a_campaign_that_is_deleted_meanwhile_leaves_no_row(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    order = Enrol(organization_id="1", campaign_id=campaign_id, status="ACTIVE")
    with before_the_next("UpdateItem", lambda: cloud.delete(f"/campaigns/{campaign_id}")), pytest.raises(NotFound):
        enrolment.begin(order, now=clock.now())
    assert cloud.get(f"/campaigns/{campaign_id}").status == 404


def test_lost_order_does_not_live_by_the_progress_of_another(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    order = Enrol(organization_id="1", campaign_id=campaign_id, status="ACTIVE")
    lost, alive = (replace(order, order_id=order_id) for order_id in ("lost", "alive"))
    enrolment.begin(lost, now=clock.now())
    enrolment.begin(alive, now=in_an(minutes=30))
    assert campaigns.find("1", campaign_id).orders.keys() == {"lost", "alive"}
    enrolment.begin(alive, now=in_an(minutes=41))
    assert campaigns.find("1", campaign_id).orders.keys() == {"alive"}


def test_enrolment_of_an_import_that_is_gone_keeps_no_campaign_open(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    enrolment.begin(Enrol(organization_id="1", campaign_id=campaign_id, import_id=NOWHERE), now=clock.now())
    assert campaigns.find("1", campaign_id).orders
    do_twice(cloud.take(settings().jobs_queue))
    assert not campaigns.find("1", campaign_id).orders


def standing(cloud: Cloud, campaign_id: str) -> tuple[str, str | None]:
    """A campaign's status and the reason of it."""
    campaign = cloud.campaign(campaign_id)
    return campaign["status"], campaign["statusReason"]


def test_enrolment_names_exactly_one_source(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign()['id']}/contacts"
    for body, field in (
        ({}, "contactIds"),
        ({"contactIds": [], "importId": NOWHERE}, "contactIds"),
        ({"contactIds": "uuid-1"}, "contactIds"),
        ({"filter": {"status": "CALLED"}}, "filter.status"),
        ({"filter": {"phone": "901234567"}}, "filter.phone"),
        ({"contacts": []}, "contacts"),
    ):
        assert cloud.post(path, body).field_at_fault == field, body


def test_contact_added_to_a_running_campaign_is_called(cloud: Cloud) -> None:
    ids = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign(ids[:1])
    enrol(cloud, campaign_id, {"contactIds": ids[1:]})
    cloud.settle()
    assert cloud.campaign(campaign_id)["successfulCalls"] == 2


def test_contact_added_to_a_running_campaign_is_called_even_when_its_message_is_lost(cloud: Cloud) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first], maxConcurrentCalls=2)
    cloud.take(settings().dial_queue)
    enrol(cloud, campaign_id, {"contactIds": [second]})
    cloud.take(settings().campaign_events_queue)
    cloud.tick(in_an(minutes=1))
    assert [json.loads(order)["contactId"] for order in cloud.take(settings().dial_queue)] == [second]


def test_enrolment_after_the_campaign_was_deleted_does_nothing(cloud: Cloud) -> None:
    ids = cloud.contacts(1)
    campaign_id = cloud.a_campaign()["id"]
    jobs = enrol_later(cloud, campaign_id, {"filter": {"status": "ACTIVE"}})
    cloud.delete(f"/campaigns/{campaign_id}")
    do_twice(jobs)
    assert cloud.get(f"/contacts/{ids[0]}/calls").body["data"] == []


def test_call_shows_whom_it_is_to_and_why_it_waits(cloud: Cloud) -> None:
    people = [cloud.a_contact(f"+99890123456{n}", lastName="Karimov") for n in range(2)]
    first, second = (person["id"] for person in people)
    campaign_id = cloud.a_campaign([first, second], maxConcurrentCalls=1)["id"]
    call = cloud.call(campaign_id, first)
    assert call == {
        "campaignId": campaign_id,
        "contactId": first,
        "callStatus": "PENDING",
        "conversationOutcome": None,
        "conversationSummary": None,
        "callDuration": None,
        "recordingUrl": None,
        "attempts": [],
        "nextAttemptAt": None,
        "calledAt": None,
        "contact": {"id": first, "firstName": "Ali", "lastName": "Karimov", "phone": "+998901234560"},
        "whyNotCalled": "campaign-not-running",
    }
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    waiting = [call for each in (first, second) if (call := cloud.call(campaign_id, each))["callStatus"] == "PENDING"]
    assert [call.get("whyNotCalled") for call in waiting if "whyNotCalled" in call] == ["waiting-for-slot"]
    cloud.settle()
    called = cloud.call(campaign_id, first)
    assert "whyNotCalled" not in called
    [attempt] = called["attempts"]
    assert attempt.keys() == {
        "attemptId", "startedAt", "endedAt", "callStatus", "outcome", "summary", "duration", "recordingUrl",
        "promisedDate", "promisedAmount", "cost", "provider",
    }  # fmt: skip
    assert (attempt["provider"], attempt["cost"]) == ("simulated", None)
    assert called["callStatus"] == attempt["callStatus"] == "SUCCESS"
    assert called["conversationSummary"] == attempt["summary"]
    assert called["calledAt"] == attempt["endedAt"]


def test_contact_outside_the_campaign_has_no_call(cloud: Cloud) -> None:
    ids = cloud.contacts(2)
    path = f"/campaigns/{cloud.a_campaign(ids[:1])['id']}/contacts"
    for reply in (cloud.get(f"{path}/{ids[1]}"), cloud.delete(f"{path}/{ids[1]}"), cloud.get(f"{path}/uuid-1")):
        assert reply.problem == (404, "not-found")
    assert cloud.delete(f"{path}/{ids[0]}").status == 204
    assert cloud.delete(f"{path}/{ids[0]}").problem == (404, "not-found")


def test_deleted_contact_stays_in_the_list_by_its_id(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([contact_id])["id"]
    cloud.delete(f"/contacts/{contact_id}")
    call = cloud.call(campaign_id, contact_id)
    assert call["contact"] == {"id": contact_id, "firstName": None, "lastName": None, "phone": None}


def test_redial_of_a_running_campaign_is_called_at_once(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(2))
    agent = ScriptedAgent(Result(call_status=CallStatus.BUSY), Accepted())
    agent.dial(cloud.take(settings().dial_queue))
    cloud.pace_all()
    reply = cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["BUSY", "NO_ANSWER", "BUSY"]})
    assert (reply.status, reply.body) == (202, {"requeued": 1})
    cloud.settle()
    first, second = (cloud.call(campaign_id, order.contact_id) for order in agent.orders)
    assert [attempt["callStatus"] for attempt in first["attempts"]] == ["BUSY", "SUCCESS"]
    assert (second["callStatus"], second["attempts"]) == ("CALLING", [])
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"


def test_redial_in_the_background_comes_before_the_end(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "AT_ONCE", 2)
    campaign_id = cloud.a_running_campaign(cloud.contacts(3, last_digit=7), maxConcurrentCalls=1)
    for _ in range(2):
        app.dial(sqs_event(orders(cloud)), None)
        cloud.pace_all()
    assert cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["BUSY"]}).body == {"requeued": 2}
    jobs = cloud.take(settings().jobs_queue)
    app.dial(sqs_event(orders(cloud)), None)
    cloud.pace_all()
    assert standing(cloud, campaign_id) == ("RUNNING", FILLING)
    do_twice(jobs)
    cloud.settle()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusReason"], campaign["failedCalls"]) == ("COMPLETED", None, 3)
    calls = cloud.get(f"/campaigns/{campaign_id}/contacts").body["data"]
    assert sorted(len(call["attempts"]) for call in calls) == [1, 2, 2]


def test_contacts_added_to_a_stopped_campaign_are_not_said_to_be_missing(cloud: Cloud) -> None:
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first])
    enrolment.begin(Enrol(organization_id="1", campaign_id=campaign_id, contact_ids=[]), now=clock.now())
    ScriptedAgent().dial(orders(cloud))
    cloud.post(f"/campaigns/{campaign_id}/stop")
    cloud.pace_all()
    assert standing(cloud, campaign_id) == ("PAUSED", FILLING)
    enrol(cloud, campaign_id, {"contactIds": [second]})
    assert standing(cloud, campaign_id) == ("PAUSED", None)


def test_redial_takes_only_statuses_a_call_ends_with(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign(cloud.contacts(1))['id']}/redial"
    for body, field in (
        ({}, "callStatus"),
        ({"callStatus": []}, "callStatus"),
        ({"callStatus": ["PENDING"]}, "callStatus[0]"),
        ({"callStatus": ["CALLING"]}, "callStatus[0]"),
    ):
        assert cloud.post(path, body).field_at_fault == field, body
    assert cloud.post(path, {"callStatus": ["BUSY"]}).body == {"requeued": 0}


def test_call_whose_phone_is_in_another_campaigns_call_says_so(cloud: Cloud) -> None:
    other_id, contact_id, call_id = accepted_call(cloud)
    campaign_id = cloud.a_running_campaign([cloud.a_contact("+998901112233")["id"]], maxConcurrentCalls=1)
    cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [contact_id]})
    cloud.pace_all()
    call = cloud.call(campaign_id, contact_id)
    assert (call["whyNotCalled"], call["nextAttemptAt"]) == ("phone-in-another-call", None)
    assert call["otherCampaignId"] == other_id
    report(cloud, call_id, success=True)
    call = cloud.call(campaign_id, contact_id)
    assert (call["whyNotCalled"], "otherCampaignId" in call) == ("waiting-for-slot", False)


def test_call_that_was_not_dialed_because_its_phone_was_in_another_call_says_when_it_will_be(cloud: Cloud) -> None:
    other_id, contact_id, call_id = accepted_call(cloud)
    campaign_id = cloud.a_running_campaign([contact_id])
    cloud.settle()
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["whyNotCalled"]) == ("PENDING", "phone-in-another-call")
    assert (call["nextAttemptAt"] > clock.stamp(clock.now()), call["otherCampaignId"]) == (True, other_id)
    report(cloud, call_id, success=True)
    assert "otherCampaignId" not in cloud.call(campaign_id, contact_id)
