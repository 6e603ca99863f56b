"""Who did what: kept before it is done, of every change, with nothing of a contact."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from chalicelib import http, ids
from chalicelib.activity import store
from chalicelib.activity.model import Action
from chalicelib.settings import settings
from tests.service.aws import client
from tests.service.calling import before_the_next
from tests.service.cloud import Cloud, token

PERSON = {"firstName": "Alisher", "lastName": "Karimov", "phone": "+998901234567", "notes": "owes"}


def activity(cloud: Cloud, query: str = "", organization: str = "1") -> list[dict[str, Any]]:
    """What an organization's activity shows, newest first."""
    reply = cloud.get(f"/activity{query}", organization=organization)
    assert reply.status == 200, reply
    data: list[dict[str, Any]] = reply.body["data"]
    return data


def actions(cloud: Cloud, query: str = "") -> list[str]:
    return [each["action"] for each in activity(cloud, query)]


def rows() -> list[dict[str, Any]]:
    """What the table holds of an organization."""
    key = {"KeyConditionExpression": "organizationId = :id", "ExpressionAttributeValues": {":id": {"S": "1"}}}
    found: list[dict[str, Any]] = client("dynamodb").query(TableName=settings().activity_table, **key)["Items"]
    return found


def test_every_change_is_kept() -> None:
    unkept = {of.name for of in http.Routes.operations if of.does is None}
    changing = {of.name for of in http.Routes.operations if of.method != "GET"}
    assert unkept & changing == {"reportCall", "reportCallToOrganization"}
    assert {of.name for of in http.Routes.operations if of.does} - changing == {"getResults"}


def test_activity_says_who_did_what_to_which_contact(cloud: Cloud) -> None:
    contact = cloud.post("/contacts", PERSON).body
    path = f"/contacts/{contact['id'].upper()}"
    changed = cloud.patch(path, {"notes": "paid", "status": "INACTIVE"})
    cloud.delete(f"{path}?erase=true")
    erased, revised, created = activity(cloud)
    assert revised == {
        "id": revised["id"],
        "at": revised["at"],
        "actor": "tests",
        "action": "contact.changed",
        "contactId": contact["id"],
        "campaignId": None,
        "importId": None,
        "operation": "changeContact",
        "fields": ["notes", "status"],
        "requestId": revised["requestId"],
    }
    assert revised["at"] <= changed.body["updatedAt"]
    assert (erased["action"], created["action"]) == ("contact.erased", "contact.created")
    assert erased["contactId"] == created["contactId"] == contact["id"]
    assert created["fields"] == ["firstName", "lastName", "notes", "phone"]
    another = cloud.a_contact()["id"]
    cloud.delete(f"/contacts/{another}")
    assert activity(cloud)[0] | {"action": "contact.deleted", "contactId": another} == activity(cloud)[0]


def test_activity_says_who_did_what_to_which_campaign(cloud: Cloud) -> None:
    person = cloud.a_contact()["id"]
    campaign = cloud.post("/campaigns", {"name": "January", "contactIds": [person]}).body
    path = f"/campaigns/{campaign['id']}"
    for method, below, body in (
        ("PATCH", "", {"maxConcurrentCalls": 3}),
        ("POST", "/start", None),
        ("POST", "/stop", None),
        ("POST", "/contacts", {"contactIds": [person]}),
        ("POST", f"/contacts/{person}/cancel", None),
        ("DELETE", f"/contacts/{person}", None),
        ("POST", "/redial", {"callStatus": ["BUSY"]}),
        ("POST", "/audit", None),
        ("DELETE", "", None),
    ):
        assert cloud.request(method, path + below, body).status < 300
    shown = activity(cloud)[::-1]
    assert [each["action"].partition(".")[2] for each in shown[1:]] == [
        *("created", "changed", "started", "stopped", "contacts-added", "call-cancelled", "contact-removed"),
        *("redialed", "audited", "deleted"),
    ]
    assert {each["campaignId"] for each in shown[1:]} == {campaign["id"]}
    assert [each["contactId"] for each in shown[5:8]] == [None, person, person]


def test_campaign_shows_who_made_it_and_who_touched_it_last(cloud: Cloud) -> None:
    campaign = cloud.a_campaign([cloud.a_contact()["id"]])
    assert (campaign["createdBy"], campaign["updatedBy"]) == ("tests", "tests")
    path = f"/campaigns/{campaign['id']}"
    for sub, method, below, body in (
        ("ali", "PATCH", "", {"name": "February"}),
        ("vali", "POST", "/start", None),
        (None, "POST", "/stop", None),
        ("guli", "POST", "/start", None),
    ):
        by = {"Authorization": f"Bearer {token(sub=sub)}"}
        shown = cloud.request(method, path + below, body, organization=None, headers=by).body
        assert (shown["createdBy"], shown["updatedBy"]) == ("tests", sub)
    cloud.settle()
    assert cloud.campaign(campaign["id"])["updatedBy"] == "guli"


def test_settings_imports_and_exports_are_kept(cloud: Cloud) -> None:
    cloud.patch("/settings", {"callingPaused": True})
    cloud.patch("/settings", {"callingPaused": False, "timezone": "Asia/Almaty"})
    cloud.patch("/settings", {"timezone": None})
    cloud.patch("/settings/agents/http", {"token": "secret"})
    import_id = cloud.upload(b"firstName,phone\nAli,901234567\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    cloud.delete(f"/imports/{import_id}")
    undone, uploaded, agent, *changes = activity(cloud)
    assert [(each["action"], each["importId"]) for each in (undone, uploaded)] == [
        ("import.undone", import_id),
        ("import.created", import_id),
    ]
    assert (agent["action"], agent["operation"], agent["fields"]) == (
        "settings.agent-changed",
        "changeHttpAgent",
        ["token"],
    )
    assert [(each["action"], each["fields"]) for each in changes] == [
        ("settings.changed", ["timezone"]),
        ("settings.calling-resumed", ["callingPaused", "timezone"]),
        ("settings.calling-paused", ["callingPaused"]),
    ]


def test_export_is_kept_when_there_is_one(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign([cloud.a_contact()["id"]])["id"]
    assert cloud.get(f"/campaigns/{campaign_id}/results").status == 202
    assert actions(cloud, "?action=campaign.exported") == []
    cloud.settle()
    assert cloud.get(f"/campaigns/{campaign_id}/results").status == 200
    [exported] = activity(cloud, "?action=campaign.exported")
    assert exported["campaignId"] == campaign_id


def test_nothing_of_a_contact_is_kept(cloud: Cloud) -> None:
    contact = cloud.post("/contacts", PERSON | {"customData": {"Karimov": "+998901234567"}}).body
    cloud.post("/contacts", {"Karimov": "+998901234567"})
    cloud.patch(f"/contacts/{contact['id']}", {"+998901234567": "Karimov", "notes": "Alisher"})
    cloud.patch("/contacts/+998901234567", {"notes": "Alisher"})
    cloud.get("/contacts?phone=901234567")
    kept = json.dumps(rows())
    assert "contact.created" in kept
    assert [word for word in ("Alisher", "Karimov", "901234567", "owes") if word in kept] == []


def test_what_was_refused_was_not_done(cloud: Cloud) -> None:
    person = cloud.post("/contacts", PERSON).body["id"]
    campaign_id = cloud.a_campaign()["id"]
    before = actions(cloud)
    for status, method, path, body in (
        (400, "POST", "/contacts", {"firstName": "Ali"}),
        (409, "POST", "/contacts", PERSON),
        (404, "PATCH", f"/contacts/{ids.new_id()}", {"notes": "x"}),
        (404, "DELETE", "/contacts/nobody", None),
        (400, "DELETE", f"/contacts/{person}?erase=perhaps", None),
        (409, "POST", f"/campaigns/{campaign_id}/start", None),
        (409, "POST", f"/campaigns/{campaign_id}/stop", None),
        (400, "PATCH", "/settings", {"callingPaused": "yes"}),
        (415, "POST", "/contacts/upload-excel", {"file": "x"}),
    ):
        assert cloud.request(method, path, body).status == status
    assert actions(cloud) == before


def dies() -> None:
    raise RuntimeError("the process dies")


def test_what_nobody_knows_the_end_of_is_kept(cloud: Cloud) -> None:
    with before_the_next("TransactWriteItems", dies):
        assert cloud.post("/contacts", PERSON).status == 500
    assert actions(cloud) == ["contact.created"]


def test_what_cannot_be_kept_is_not_done(cloud: Cloud) -> None:
    with before_the_next("PutItem", dies):
        assert cloud.post("/contacts", PERSON).status == 500
    assert cloud.get("/contacts").body["data"] == []
    assert actions(cloud) == []


def test_request_that_is_sent_twice_is_kept_once(cloud: Cloud) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = (cloud.post("/contacts", PERSON, headers=key) for _ in range(2))
    assert first.body == again.body
    [kept] = activity(cloud)
    assert kept["contactId"] == first.body["id"]


def test_list_is_narrowed_to_somebody_and_to_a_kind(cloud: Cloud) -> None:
    by_ali = {"Authorization": f"Bearer {token(sub='ali')}"}
    for n in range(3):
        cloud.a_contact(f"+99890123456{n}")
        cloud.post("/campaigns", {"name": "January"}, organization=None, headers=by_ali)
    assert actions(cloud, "?actor=ali") == ["campaign.created"] * 3
    assert actions(cloud, "?actor=tests") == ["contact.created"] * 3
    assert actions(cloud, "?actor=ali&action=contact.created") == []
    assert {each["actor"] for each in activity(cloud, "?action=campaign.created")} == {"ali"}
    assert activity(cloud, organization="2") == []
    for query in ("?action=contact.eaten", "?page=1", "?who=ali", "?cursor=x", f"?cursor={ids.new_id()}.0"):
        assert cloud.get(f"/activity{query}").problem == (400, "invalid-parameter")


def test_pages_go_on_by_their_cursor(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOOKED_AT", 3)
    cloud.a_campaign()
    for n in range(5):
        cloud.a_contact(f"+99890123456{n}")
    expected = {"": 6, "&action=contact.created": 5, "&action=campaign.created": 1, "&actor=nobody": 0}
    for query, count in expected.items():
        seen, cursor = [], ""
        while cursor is not None:
            reply = cloud.get(f"/activity?limit=2{query}" + (f"&cursor={cursor}" if cursor else "")).body
            assert reply["meta"].keys() == {"limit", "nextCursor"}
            assert len(reply["data"]) <= 2
            seen += [each["id"] for each in reply["data"]]
            cursor = reply["meta"]["nextCursor"]
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == count


def test_activity_goes_after_a_year(cloud: Cloud) -> None:
    cloud.a_contact()
    [row] = rows()
    days = (int(row["expiresAt"]["N"]) - time.time()) / 86_400
    assert 365 < days < 367


def test_actions_are_those_that_something_does() -> None:
    declared = {of.does for of in http.Routes.operations if isinstance(of.does, Action)}
    told = {Action.CONTACT_DELETED, Action.CONTACT_ERASED, Action.SETTINGS_CHANGED}
    assert declared | told | {Action.CALLING_PAUSED, Action.CALLING_RESUMED} == set(Action)
