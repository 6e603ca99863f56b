"""Campaigns over HTTP: kept as they were sent, changed while that is allowed, started when their time comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import app
from chalicelib import clock, worker
from chalicelib.aws import sqs
from chalicelib.campaigns import audit
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Audit
from chalicelib.settings import settings
from tests import caches
from tests.service.agents import ScriptedAgent
from tests.service.cloud import Cloud, in_an, sqs_event
from tests.service.feed import impatient
from tests.service.test_nothing_lost import queues_that_refuse

NOWHERE = "0192e4a0-0000-7000-8000-000000000000"
HOURS = {
    "timezone": "Asia/Tashkent",
    "days": ["MON", "FRI"],
    "from": "09:00",
    "to": "20:00",
    "holidays": ["2027-01-01"],
}
WINDOWS = [
    {"days": ["MON", "TUE", "WED", "THU", "FRI"], "from": "09:00", "to": "13:00"},
    {"days": ["MON", "TUE", "WED", "THU", "FRI"], "from": "14:00", "to": "20:00"},
    {"days": ["SAT", "SUN", "HOLIDAY"], "from": "10:00", "to": "18:00"},
]
STATUSES = (
    "PENDING",
    "CALLING",
    "SUCCESS",
    "FAILED",
    "NO_ANSWER",
    "BUSY",
    "PROMISE_TO_PAY",
    "REFUSED",
    "CALLBACK_REQUESTED",
    "SKIPPED",
)


def test_campaign_is_kept_as_the_guide_sends_it(cloud: Cloud) -> None:
    guide = {
        "name": "Monthly Debt Collection Campaign",
        "description": "Calling all debtors with overdue payments",
        "campaignType": "DEBT_COLLECTION",
    }
    reply = cloud.post("/campaigns", guide | {"contactIds": cloud.contacts(2)})
    campaign = reply.body
    assert reply.status == 201
    assert reply.headers["Location"] == f"/auto-calling/campaigns/{campaign['id']}"
    assert campaign == guide | {
        "id": campaign["id"],
        "organizationId": "1",
        "status": "PENDING",
        "statusReason": None,
        "totalContacts": 2,
        "calledContacts": 0,
        "successfulCalls": 0,
        "failedCalls": 0,
        "skippedContacts": 0,
        "inFlightCalls": 0,
        "statusCounts": dict.fromkeys(STATUSES, 0) | {"PENDING": 2},
        "maxConcurrentCalls": 10,
        "retry": {"maxAttempts": 1, "delayMinutes": [60], "on": ["NO_ANSWER", "BUSY"]},
        "callingHours": None,
        "callTimeoutSeconds": 900,
        "agent": {"provider": "simulated"},
        "fallbackAgents": [],
        "scheduledAt": None,
        "startedAt": None,
        "completedAt": None,
        "createdAt": campaign["createdAt"],
        "updatedAt": campaign["updatedAt"],
        "createdBy": "tests",
        "updatedBy": "tests",
    }
    assert cloud.campaign(campaign["id"]) == campaign


AGENT = {
    "provider": "retell",
    "agentId": "agent-1",
    "variables": {"company": "Lender"},
    "callerNumbers": ["+998712000001", "+998712000002"],
    "maxDurationSeconds": 300,
}

FIELDS: dict[str, tuple[list[Any], list[Any]]] = {
    "name": (["x", "x" * 200], ["", "x" * 201, None, 1]),
    "description": (["x" * 2000, None], ["x" * 2001]),
    "campaignType": (
        ["GENERAL", "DEBT_COLLECTION", "SURVEY", "REMINDER", "MARKETING", "CUSTOMER_SERVICE"],
        ["SALES", "general", None],
    ),
    "maxConcurrentCalls": ([1, 500], [0, 501, "10", 1.5, None]),
    "callTimeoutSeconds": ([120, 7200], [119, 7201, None]),
    "retry": (
        [{"maxAttempts": 10, "delayMinutes": [0, 5, 60], "on": ["NO_ANSWER", "BUSY", "FAILED"]}],
        ["often", []],
    ),
    "callingHours": (
        [HOURS, HOURS | {"timezone": "contact", "to": "24:00"}, HOURS | {"fallbackTimezone": "Europe/Moscow"}, None],
        ["always"],
    ),
    "agent": ([{"provider": "http"}, {"provider": "simulated"}, AGENT], ["http"]),
    "fallbackAgents": (
        [[], [{"provider": "retell"}], [AGENT, {"provider": "vapi", "agentId": "a"}]],
        [{"provider": "http"}, [{"provider": "http"}] * 3],
    ),
}
"""What a campaign's fields take, and what they do not."""

INSIDE: list[tuple[str, Any, str]] = [
    ("retry", {"maxAttempts": 0}, "retry.maxAttempts"),
    ("retry", {"maxAttempts": 11}, "retry.maxAttempts"),
    ("retry", {"delayMinutes": []}, "retry.delayMinutes"),
    ("retry", {"delayMinutes": [-1]}, "retry.delayMinutes[0]"),
    ("retry", {"on": ["LOST"]}, "retry.on[0]"),
    ("retry", {"on": ["SUCCESS"]}, "retry"),
    ("retry", {"times": 3}, "retry.times"),
    ("callingHours", HOURS | {"timezone": "Tashkent"}, "callingHours.timezone"),
    ("callingHours", HOURS | {"days": ["MONDAY"]}, "callingHours.days"),
    ("callingHours", HOURS | {"days": []}, "callingHours.days"),
    ("callingHours", HOURS | {"from": "9:0"}, "callingHours.from"),
    ("callingHours", HOURS | {"from": "09:00\n"}, "callingHours.from"),
    ("callingHours", HOURS | {"from": "0٩:00"}, "callingHours.from"),
    ("callingHours", HOURS | {"to": "25:00"}, "callingHours.to"),
    ("callingHours", HOURS | {"to": "24:00\n"}, "callingHours.to"),
    ("callingHours", HOURS | {"to": "09:00"}, "callingHours.to"),
    ("callingHours", HOURS | {"timezone": "localtime"}, "callingHours.timezone"),
    ("callingHours", HOURS | {"fallbackTimezone": "Moscow"}, "callingHours.fallbackTimezone"),
    ("callingHours", HOURS | {"holidays": ["01.01.2027"]}, "callingHours.holidays"),
    ("callingHours", HOURS | {"holidays": ["20270101"]}, "callingHours.holidays"),
    ("callingHours", {"timezone": "UTC", "days": ["MON"], "to": "20:00"}, "callingHours.from"),
    ("callingHours", {"timezone": "UTC", "from": "09:00", "to": "20:00"}, "callingHours.days"),
    ("callingHours", HOURS | {"holidayCountry": "QQ"}, "callingHours.holidayCountry"),
    ("callingHours", HOURS | {"holidayCountry": "uz"}, "callingHours.holidayCountry"),
    ("callingHours", {"timezone": "UTC", "windows": WINDOWS, "days": ["MON"]}, "callingHours.days"),
    ("callingHours", {"timezone": "UTC", "windows": []}, "callingHours.windows"),
    ("callingHours", {"timezone": "UTC", "windows": WINDOWS * 7}, "callingHours.windows"),
    ("callingHours", {"timezone": "UTC", "windows": [WINDOWS[0] | {"to": "25:00"}]}, "callingHours.windows[0].to"),
    ("callingHours", {"timezone": "UTC", "windows": [WINDOWS[0] | {"days": ["DAY"]}]}, "callingHours.windows[0].days"),
    ("agent", {"provider": "nobody"}, "agent.provider"),
    ("agent", {"provider": "http", "url": "https://agent.test"}, "agent.url"),
    ("agent", {"provider": "http", "callerNumbers": []}, "agent.callerNumbers"),
    ("agent", {"provider": "http", "callerNumbers": ["+998 71"]}, "agent.callerNumbers[0]"),
    ("agent", {"provider": "http", "callerNumbers": [""]}, "agent.callerNumbers[0]"),
    ("agent", {"provider": "http", "maxDurationSeconds": 9}, "agent.maxDurationSeconds"),
    ("agent", {"provider": "http", "maxDurationSeconds": 900}, "agent.maxDurationSeconds"),
    ("fallbackAgents", [{"provider": "http"}, {"provider": "nobody"}], "fallbackAgents[1].provider"),
    ("fallbackAgents", [{"provider": "http", "maxDurationSeconds": 900}], "fallbackAgents[0].maxDurationSeconds"),
    ("fallbackAgents", [{"provider": "http", "callerNumbers": ["a b"]}], "fallbackAgents[0].callerNumbers[0]"),
    ("scheduledAt", "tomorrow", "scheduledAt"),
    ("scheduledAt", "2126-11-23T06:15:00", "scheduledAt"),
    ("scheduledAt", "9999-12-31T23:59:59-05:00", "scheduledAt"),
    ("scheduledAt", "2020-11-23T06:15:00Z", "scheduledAt"),
    ("status", "RUNNING", "status"),
    ("totalContacts", 5, "totalContacts"),
]


def test_fields_hold_their_limits_for_new_and_changed_campaigns(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign()['id']}"
    refused = [(field, value, field) for field, (_, bad) in FIELDS.items() for value in bad] + INSIDE
    for field, value, at_fault in refused:
        assert cloud.post("/campaigns", {"name": "January", field: value}).field_at_fault == at_fault, value
        assert cloud.patch(path, {field: value}).field_at_fault == at_fault, value
    for field, (good, _) in FIELDS.items():
        for value in good:
            assert cloud.patch(path, {field: value}).body[field] == value
    assert cloud.post("/campaigns", {}).field_at_fault == "name"
    assert cloud.get("/campaigns").body["meta"]["total"] == 1


def test_contacts_of_a_new_campaign_must_exist(cloud: Cloud) -> None:
    [known] = cloud.contacts(1)
    reply = cloud.post("/campaigns", {"name": "January", "contactIds": [known, NOWHERE, "uuid-1"]})
    assert [error["field"] for error in reply.body["errors"]] == ["contactIds[1]", "contactIds[2]"]
    assert cloud.post("/campaigns", {"name": "January", "contactIds": [known] * 1001}).field_at_fault == "contactIds"
    assert cloud.get("/campaigns").body["data"] == []
    assert cloud.a_campaign([known, known])["totalContacts"] == 1


def test_null_restores_what_a_campaign_has_by_default(cloud: Cloud) -> None:
    fields: dict[str, Any] = {"retry": {"maxAttempts": 3}, "callingHours": HOURS, "description": "x"}
    fields |= {"agent": {"provider": "http"}, "fallbackAgents": [{"provider": "vapi"}]}
    path = f"/campaigns/{cloud.a_campaign(**fields)['id']}"
    changed = cloud.patch(path, dict.fromkeys(fields)).body
    assert changed["retry"] == {"maxAttempts": 1, "delayMinutes": [60], "on": ["NO_ANSWER", "BUSY"]}
    assert (changed["agent"], changed["fallbackAgents"]) == ({"provider": "simulated"}, [])
    assert (changed["callingHours"], changed["description"]) == (None, None)


def test_call_never_takes_longer_than_its_agent_may_talk(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign(fallbackAgents=[AGENT])['id']}"
    assert cloud.patch(path, {"callTimeoutSeconds": 300}).field_at_fault == "fallbackAgents[0].maxDurationSeconds"
    assert cloud.patch(path, {"callTimeoutSeconds": 300, "fallbackAgents": []}).status == 200


def test_deployment_has_calling_hours_for_campaigns_that_say_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = '{"timezone":"Asia/Tashkent","days":["MON"],"from":"09:00","to":"20:00"}'
    monkeypatch.setenv("DEFAULT_CALLING_HOURS", default)
    caches.clear()
    assert cloud.a_campaign()["callingHours"]["timezone"] == "Asia/Tashkent"
    assert cloud.a_campaign(callingHours=None)["callingHours"] is None


def test_running_campaign_changes_only_what_it_may(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_running_campaign(cloud.contacts(2), maxConcurrentCalls=1)}"
    for change in (
        {"name": "February"},
        {"description": None},
        {"maxConcurrentCalls": 2},
        {"retry": {"maxAttempts": 2, "delayMinutes": [1], "on": ["BUSY"]}},
    ):
        assert cloud.patch(path, change).body.items() >= change.items()
    for kept in (
        {"campaignType": "SURVEY"},
        {"callTimeoutSeconds": 300},
        {"agent": {"provider": "http"}},
        {"scheduledAt": clock.stamp(in_an(hours=1))},
    ):
        assert cloud.patch(path, kept).problem == (409, "campaign-running")
    cloud.tick(in_an(minutes=1))
    assert cloud.get(path).body["inFlightCalls"] == 2
    cloud.patch(path, {"callingHours": HOURS | {"days": ["SUN"], "from": "03:00", "to": "03:01"}})
    assert cloud.get(path).body["callingHours"]["days"] == ["SUN"]


def test_start_and_stop_can_be_repeated(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign(cloud.contacts(1))['id']}"
    assert cloud.post(f"{path}/stop").problem == (409, "campaign-not-running")
    first, again = cloud.post(f"{path}/start"), cloud.post(f"{path}/start")
    assert (first.status, first.body["status"]) == (200, "RUNNING")
    assert first.body["startedAt"]
    assert (again.status, again.body) == (200, first.body)
    assert [cloud.post(f"{path}/stop").body["status"] for _ in range(2)] == ["PAUSED", "PAUSED"]
    resumed = cloud.post(f"{path}/start").body
    assert (resumed["status"], resumed["startedAt"]) == ("RUNNING", first.body["startedAt"])
    cloud.settle()
    assert cloud.get(path).body["completedAt"]
    assert cloud.post(f"{path}/stop").problem == (409, "campaign-not-running")


def test_campaign_with_a_call_under_way_cannot_be_deleted(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    orders = cloud.take(settings().dial_queue)
    cloud.post(f"/campaigns/{campaign_id}/stop")
    assert cloud.delete(f"/campaigns/{campaign_id}").problem == (409, "campaign-running")
    ScriptedAgent().dial(orders)
    cloud.pace_all()
    assert cloud.delete(f"/campaigns/{campaign_id}").status == 204


def test_campaign_is_deleted_also_when_no_queue_takes_the_rest(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    path = f"/campaigns/{cloud.a_campaign([contact_id])['id']}"
    with queues_that_refuse("jobs_queue"):
        assert cloud.delete(path).status == 204
    cloud.tick(in_an(minutes=1))
    cloud.settle()
    assert cloud.get(f"/contacts/{contact_id}/calls").body["data"] == []


def test_deleted_campaign_is_hidden_at_once(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    path = f"/campaigns/{cloud.a_campaign([contact_id])['id']}"
    assert cloud.delete(path).status == 204
    assert cloud.get("/campaigns").body["data"] == []
    assert cloud.get("/campaigns?status=PENDING").body["meta"]["total"] == 0
    for gone in (
        cloud.get(path),
        cloud.delete(path),
        cloud.patch(path, {"name": "?"}),
        cloud.post(f"{path}/start"),
        cloud.post(f"{path}/stop"),
        cloud.post(f"{path}/audit"),
        cloud.get(f"{path}/contacts"),
        cloud.post(f"{path}/contacts", {"contactIds": [contact_id]}),
    ):
        assert gone.problem == (404, "not-found")


def test_start_time_is_kept_in_utc(cloud: Cloud) -> None:
    campaign = cloud.a_campaign(scheduledAt="2126-11-23T11:15:00+05:00")
    assert campaign["scheduledAt"] == "2126-11-23T06:15:00.000Z"


@pytest.mark.parametrize("hours", [1, 3])
def test_moved_start_time_is_the_one_that_counts(cloud: Cloud, hours: int) -> None:
    first, moved = in_an(hours=2), in_an(hours=hours)
    campaign_id = cloud.a_campaign(cloud.contacts(1), scheduledAt=clock.stamp(first))["id"]
    cloud.patch(f"/campaigns/{campaign_id}", {"scheduledAt": clock.stamp(moved)})
    cloud.tick(min(first, moved - timedelta(minutes=1)))
    assert cloud.campaign(campaign_id)["status"] == "PENDING"
    cloud.tick(moved + timedelta(seconds=59))
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"
    assert cloud.campaign(campaign_id)["scheduledAt"] is None


def test_start_by_hand_stands_instead_of_the_scheduled_one(cloud: Cloud) -> None:
    at = in_an(minutes=10)
    path = f"/campaigns/{cloud.a_campaign(cloud.contacts(1), scheduledAt=clock.stamp(at))['id']}"
    cloud.post(f"{path}/start")
    cloud.post(f"{path}/stop")
    cloud.tick(at + timedelta(minutes=1))
    assert cloud.get(path).body["status"] == "PAUSED"
    assert cloud.patch(path, {"scheduledAt": clock.stamp(in_an(hours=1))}).field_at_fault == "scheduledAt"


def test_audit_runs_in_the_background(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign(cloud.contacts(2))['id']}/audit"
    assert cloud.get(path).problem == (404, "not-found")
    begun = cloud.post(path)
    assert (begun.status, begun.body["status"], begun.body["consistent"]) == (202, "RUNNING", None)
    assert cloud.get(path).body == begun.body
    cloud.settle()
    report = cloud.get(path).body
    assert report.keys() == {"status", "consistent", "counters", "recounted", "differences", "auditedAt"}
    assert (report["status"], report["consistent"], report["recounted"]["waiting"]) == ("COMPLETED", True, 2)


def test_second_audit_joins_the_first(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(2))["id"]
    path = f"/campaigns/{campaign_id}/audit"
    first, second = cloud.post(path), cloud.post(path)
    assert (second.status, second.body) == (first.status, first.body)
    [job] = cloud.take(settings().jobs_queue)
    worker.handle([job])
    assert cloud.get(path).body["status"] == "COMPLETED"
    assert cloud.post(path).body["status"] == "RUNNING"
    assert len(cloud.take(settings().jobs_queue)) == 1


def test_audit_that_died_is_begun_anew_and_does_not_come_back(cloud: Cloud) -> None:
    campaign = campaigns.find("1", cloud.a_campaign(cloud.contacts(1))["id"])
    path = f"/campaigns/{campaign.campaign_id}/audit"
    cloud.post(path)
    [lost] = cloud.take(settings().jobs_queue)
    audit.begin(campaign, now=in_an(minutes=2))
    [job] = cloud.take(settings().jobs_queue)
    worker.handle([lost])
    assert cloud.get(path).body["status"] == "RUNNING"
    worker.handle([job])
    report = cloud.get(path).body
    assert report["status"] == "COMPLETED"
    worker.handle([job])
    assert cloud.get(path).body["recounted"] == report["recounted"]


def test_audit_of_a_campaign_that_keeps_changing_is_left_for_a_while(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    cloud.post(f"/campaigns/{campaign_id}/audit")
    recount = audit._recount

    def change_meanwhile(of: str) -> dict[str, int]:
        counted = recount(of)
        cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [cloud.a_contact(next(phones))["id"]]})
        return counted

    phones = (f"+9989011{n:05}" for n in range(99))
    [job] = cloud.take(settings().jobs_queue)
    with impatient(), monkeypatch.context() as busy:
        busy.setattr(audit, "_recount", change_meanwhile)
        app.work(sqs_event([job]), None)
    assert cloud.get(f"/campaigns/{campaign_id}/audit").body["status"] == "RUNNING"
    cloud.settle()
    report = cloud.get(f"/campaigns/{campaign_id}/audit").body
    assert (report["status"], report["consistent"]) == ("COMPLETED", True)
    assert report["recounted"]["waiting"] == 1 + audit.TRIES


def test_audit_of_a_campaign_that_is_never_quiet_is_left_in_the_end(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    counts = iter(range(10_000))
    monkeypatch.setattr(audit, "_counters", lambda _: dict.fromkeys(audit.COUNTERS, next(counts)))
    order = Audit(organization_id="1", campaign_id=campaign_id, waits=audit.MOST_WAITS - 1)
    with impatient():
        app.work(sqs_event([sqs.encode(order)]), None)
        [last] = cloud.take(settings().jobs_queue)
        app.work(sqs_event([last]), None)
    assert cloud.take(settings().jobs_queue) == []
