"""What is changed by PATCH: what GET shows can be sent back, and a JSON Merge Patch reaches into nested objects."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns.settings import CampaignChange
from chalicelib.contacts.model import ContactChange
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders
from tests.service.cloud import Cloud, in_an

MERGE = {"Content-Type": "application/merge-patch+json"}
HOURS = {"timezone": "Asia/Tashkent", "days": ["MON"], "from": "09:00", "to": "18:00", "holidays": ["2027-01-01"]}
FULL: dict[str, Any] = {
    "customData": {"totalDebt": 5000, "rate": 5.0, "tags": ["a", None]},
    "dateOfBirth": "1990-01-15",
    "notes": "Cooperative",
    "timezone": "Asia/Tashkent",
}
READ_ONLY = {
    "organizationId": "2",
    "id": "0192e4a0-0000-7000-8000-000000000000",
    "isCalled": True,
    "lastCalledAt": "2026-11-23T06:15:00.000Z",
    "createdAt": None,
    "updatedAt": "2026-11-23T06:15:00.000Z",
    "status": "COMPLETED",
    "statusReason": "because",
    "totalContacts": True,
    "calledContacts": 5,
    "successfulCalls": -1,
    "failedCalls": "0",
    "skippedContacts": None,
    "inFlightCalls": 7,
    "statusCounts": {"PENDING": 1},
    "startedAt": "now",
    "completedAt": False,
}
"""Other values than those shown of what only the server writes."""


def without_time(shown: dict[str, Any]) -> dict[str, Any]:
    return shown | {"updatedAt": None}


def campaigns(cloud: Cloud) -> dict[str, str]:
    """Paths of campaigns in each of their states, in which almost everything is set."""
    people = cloud.contacts(4)
    own: dict[str, Any] = {"callingHours": HOURS, "description": "All debtors", "retry": {"maxAttempts": 3}}
    pending = cloud.a_campaign(people[:2], **own, scheduledAt=clock.stamp(in_an(hours=1)))["id"]
    running = cloud.a_running_campaign(people[:2], callingHours=None)
    paused = cloud.a_running_campaign(people[2:3], callingHours=None)
    ScriptedAgent(Result(call_status=CallStatus.SUCCESS)).dial(orders(cloud)[:1])
    cloud.post(f"/campaigns/{paused}/stop")
    done = cloud.a_running_campaign(people[3:], callingHours=None)
    cloud.settle()
    states = {"PENDING": pending, "PAUSED": paused, "COMPLETED": done, "RUNNING": running}
    return {state: f"/campaigns/{each}" for state, each in states.items()}


def test_contact_can_be_sent_back_as_it_is_shown(cloud: Cloud) -> None:
    shown = cloud.a_contact(**FULL)
    reply = cloud.patch(f"/contacts/{shown['id']}", shown)
    assert (reply.status, without_time(reply.body)) == (200, without_time(shown))
    changed = cloud.patch(f"/contacts/{shown['id']}", reply.body | {"notes": "new", "customData": {}}).body
    assert without_time(changed) == without_time(shown | {"notes": "new", "customData": {}})


def test_contact_whose_country_is_not_called_any_more_can_be_sent_back(cloud: Cloud) -> None:
    shown = cloud.a_contact("+77011234567")
    cloud.patch("/settings", {"allowedCountries": ["UZ"]})
    assert cloud.patch(f"/contacts/{shown['id']}", shown | {"notes": "new"}).body["notes"] == "new"


def test_campaign_can_be_sent_back_as_it_is_shown_in_every_state(cloud: Cloud) -> None:
    for state, path in campaigns(cloud).items():
        for headers in ({}, MERGE):
            shown = cloud.get(path).body
            reply = cloud.patch(path, shown | {"name": "Renamed"}, headers=headers)
            assert reply.status == 200, (state, reply)
            assert without_time(reply.body) == without_time(shown | {"name": "Renamed"})


def test_start_time_that_has_passed_meanwhile_is_no_change(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign(cloud.contacts(1), scheduledAt=clock.stamp(in_an(seconds=30)))['id']}"
    cloud.tick(clock.now() + timedelta(minutes=2))
    shown = cloud.get(path).body
    assert shown["status"] == "RUNNING"
    assert cloud.patch(path, shown | {"description": "on time"}).status == 200


def test_settings_can_be_sent_back_as_they_are_shown(cloud: Cloud) -> None:
    cloud.patch("/settings", {"defaultCallingHours": HOURS, "retentionDays": {"calls": 3}, "allowedCountries": ["UZ"]})
    shown = cloud.get("/settings").body
    for headers in ({}, MERGE):
        assert cloud.patch("/settings", shown, headers=headers).body == shown


@pytest.mark.parametrize("field", READ_ONLY)
@pytest.mark.parametrize("headers", [{}, MERGE], ids=["json", "merge-patch"])
def test_what_only_the_server_writes_is_refused_when_changed(cloud: Cloud, field: str, headers: dict[str, str]) -> None:
    contact, campaign = cloud.a_contact(), cloud.a_campaign()
    for kind, shown, change in (("contacts", contact, ContactChange), ("campaigns", campaign, CampaignChange)):
        if field in shown and field not in change.__struct_encode_fields__:
            path = f"/{kind}/{shown['id']}"
            reply = cloud.patch(path, shown | {field: READ_ONLY[field], "description": "new"}, headers=headers)
            assert reply.field_at_fault == field
            assert cloud.get(path).body == shown


def test_all_that_was_changed_and_must_not_be_is_named(cloud: Cloud) -> None:
    shown = cloud.a_contact()
    reply = cloud.patch(f"/contacts/{shown['id']}", shown | {"id": "x", "createdAt": "y"})
    assert [error["field"] for error in reply.body["errors"]] == ["id", "createdAt"]


def test_what_nothing_shows_is_unknown(cloud: Cloud) -> None:
    shown = cloud.a_contact()
    reply = cloud.patch(f"/contacts/{shown['id']}", shown | {"age": 40})
    assert (reply.field_at_fault, reply.body["errors"][0]["message"]) == ("age", "unknown field")


def test_body_of_another_moment_is_refused(cloud: Cloud) -> None:
    shown = cloud.a_campaign(cloud.contacts(1))
    path = f"/campaigns/{shown['id']}"
    cloud.post(f"{path}/start")
    reply = cloud.patch(path, shown | {"name": "Renamed"})
    assert reply.problem == (400, "invalid-body")
    assert {"status", "startedAt"} <= {error["field"] for error in reply.body["errors"]}
    assert cloud.get(path).body["name"] == shown["name"]


def test_custom_data_is_replaced_by_json_and_merged_by_a_merge_patch(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact(customData={'debt': {'total': 5, 'left': 3}, 'city': 'Buxoro'})['id']}"
    merge = {"debt": {"left": None, "paid": 2}, "city": None, "tags": [None]}
    assert cloud.patch(path, {"customData": merge}, headers=MERGE).body["customData"] == {
        "debt": {"total": 5, "paid": 2},
        "tags": [None],
    }
    assert cloud.patch(path, {"customData": {"debt": {"left": None}}}).body["customData"] == {"debt": {"left": None}}
    assert cloud.patch(path, {"customData": None}, headers=MERGE).body["customData"] is None
    assert cloud.patch(path, {"customData": {"a": {"b": None}}}, headers=MERGE).body["customData"] == {"a": {}}


def test_merge_patch_reaches_into_a_campaigns_settings(cloud: Cloud) -> None:
    campaign = cloud.a_campaign(callingHours=HOURS, agent={"provider": "simulated", "variables": {"a": "1", "b": "2"}})
    path = f"/campaigns/{campaign['id']}"
    merge = {
        "callingHours": {"to": "20:00", "holidays": None},
        "agent": {"variables": {"a": None}},
        "retry": {"maxAttempts": 4},
    }
    changed = cloud.patch(path, merge, headers=MERGE).body
    assert changed["callingHours"] == HOURS | {"to": "20:00", "holidays": []}
    assert changed["agent"] == {"provider": "simulated", "variables": {"b": "2"}}
    assert changed["retry"] == campaign["retry"] | {"maxAttempts": 4}
    assert cloud.patch(path, {"callingHours": {"days": None}}, headers=MERGE).field_at_fault == "callingHours.days"
    window = {"days": ["HOLIDAY"], "from": "10:00", "to": "12:00"}
    windows = {"days": None, "from": None, "to": None, "holidays": None, "windows": [window], "holidayCountry": "UZ"}
    changed = cloud.patch(path, {"callingHours": windows}, headers=MERGE).body["callingHours"]
    assert changed == {
        "timezone": "Asia/Tashkent",
        "windows": [window],
        "holidays": [],
        "holidayCountry": "UZ",
    }
    assert cloud.patch(path, {"callingHours": changed, "name": "Holidays"}).body["callingHours"] == changed
    assert cloud.patch(path, {"callingHours": None}, headers=MERGE).body["callingHours"] is None
    assert cloud.patch(path, {"callingHours": {"to": "21:00"}}, headers=MERGE).problem == (400, "invalid-body")


def test_merge_patch_reaches_into_an_organizations_settings(cloud: Cloud) -> None:
    cloud.patch("/settings", {"defaultCallingHours": HOURS, "retentionDays": {"calls": 3, "imports": 5}})
    merge = {"defaultCallingHours": {"from": "8:00"}, "retentionDays": {"calls": None, "contacts": 9}}
    changed = cloud.patch("/settings", merge, headers=MERGE).body
    assert changed["defaultCallingHours"]["from"] == "08:00"
    assert changed["defaultCallingHours"]["days"] == ["MON"]
    assert changed["retentionDays"] == {"contacts": 9, "calls": None, "imports": 5}


def test_merged_custom_data_has_the_same_limit(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact(customData={'a': 'x' * 9_000})['id']}"
    assert cloud.patch(path, {"customData": {"b": "x" * 9_000}}, headers=MERGE).field_at_fault == "customData"
    assert cloud.patch(path, b'{"customData":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, headers=MERGE).status == 400
    assert cloud.patch(path, b'{"customData":' + b'{"a":' * 800 + b"1" + b"}" * 801, headers=MERGE).status == 400
