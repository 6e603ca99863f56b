"""Who changes what somebody else has changed meanwhile is told so, and nothing of either is lost."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import http
from chalicelib.calls.model import CallStatus, Result
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.cloud import Cloud

MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(params=["contacts", "campaigns"])
def path(cloud: Cloud, request: pytest.FixtureRequest) -> str:
    """Where a thing is that has an ETag."""
    made = cloud.a_contact() if request.param == "contacts" else cloud.a_campaign()
    return f"/{request.param}/{made['id']}"


def named(path: str) -> str:
    """A member that anybody may change."""
    return "notes" if path.startswith("/contacts") else "description"


def etag(cloud: Cloud, path: str) -> str:
    return cloud.get(path).headers["ETag"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/contacts", {"firstName": "Ali", "phone": "901234567", "customData": {"a": 1.0, "b": {"z": "ж", "y": []}}}),
        ("/campaigns", {"name": "January", "agent": {"provider": "http", "variables": {"b": "1", "a": "2"}}}),
    ],
)
def test_tag_is_the_same_wherever_a_thing_is_shown(cloud: Cloud, path: str, body: dict[str, Any]) -> None:
    made = cloud.post(path, body)
    path = f"{path}/{made.body['id']}"
    assert cloud.get(path).headers["ETag"] == made.headers["ETag"]
    assert cloud.patch(path, {}).headers["ETag"] == made.headers["ETag"]
    assert cloud.patch(path, cloud.get(path).body).headers["ETag"] == made.headers["ETag"]


def test_tag_is_another_when_people_have_changed_something(cloud: Cloud, path: str) -> None:
    first = etag(cloud, path)
    changed = cloud.patch(path, {named(path): "new"}).headers["ETag"]
    assert first != changed == etag(cloud, path)
    assert cloud.patch(path, {named(path): None}).headers["ETag"] == first


def test_tag_does_not_change_with_what_only_the_server_writes(cloud: Cloud) -> None:
    person = cloud.a_contact()["id"]
    path = f"/campaigns/{cloud.a_campaign([person], callingHours=None)['id']}"
    first = etag(cloud, path)
    assert cloud.post(f"{path}/start").headers["ETag"] == first
    cloud.settle()
    shown = cloud.get(path)
    assert (shown.body["status"], shown.headers["ETag"]) == ("COMPLETED", first)


@pytest.mark.parametrize("written", ["{}", "W/{}", '"other", {}', "*"])
def test_change_with_the_tag_that_it_has_is_made(cloud: Cloud, path: str, written: str) -> None:
    headers = {"If-Match": written.format(etag(cloud, path))}
    assert cloud.patch(path, {named(path): "new"}, headers=headers).body[named(path)] == "new"


@pytest.mark.parametrize("written", ['"other"', "other", ""])
def test_change_with_another_tag_is_refused(cloud: Cloud, path: str, written: str) -> None:
    shown = cloud.get(path)
    reply = cloud.patch(path, {named(path): "new"}, headers={"If-Match": written})
    assert reply.problem == (412, "precondition-failed")
    assert cloud.get(path) == shown


def test_second_of_two_who_saw_the_same_is_refused(cloud: Cloud, path: str) -> None:
    seen = {"If-Match": etag(cloud, path)}
    assert cloud.patch(path, {named(path): "first"}, headers=seen).status == 200
    assert cloud.patch(path, {named(path): "second"}, headers=seen).problem == (412, "precondition-failed")
    assert cloud.get(path).body[named(path)] == "first"


def meanwhile(cloud: Cloud, path: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else changes a thing once, after the next request has looked at it and before it writes."""
    looks = http.Request.expects

    def interrupted(request: http.Request, *shown: Any) -> None:
        looks(request, *shown)
        monkeypatch.setattr(http.Request, "expects", looks)
        assert cloud.patch(path, body, headers=MERGE).status == 200

    monkeypatch.setattr(http.Request, "expects", interrupted)


def test_change_between_look_and_write_is_not_lost(cloud: Cloud, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"If-Match": etag(cloud, path)}
    meanwhile(cloud, path, {named(path): "other"}, monkeypatch)
    assert cloud.patch(path, {named(path): "mine"}, headers=seen).problem == (412, "precondition-failed")
    assert cloud.get(path).body[named(path)] == "other"


def test_of_two_merges_at_once_none_is_lost(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/contacts/{cloud.a_contact(customData={'debt': 1})['id']}"
    meanwhile(cloud, path, {"customData": {"city": "Buxoro"}}, monkeypatch)
    cloud.patch(path, {"customData": {"debt": 2}}, headers=MERGE)
    assert cloud.get(path).body["customData"] == {"debt": 2, "city": "Buxoro"}


def test_outcome_of_a_call_is_a_change_of_its_contact(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact()['id']}"
    seen = {"If-Match": etag(cloud, path)}
    cloud.a_running_campaign([path.rpartition("/")[2]], callingHours=None)
    ScriptedAgent(Result(call_status=CallStatus.SUCCESS, outcome="Will pay")).dial(cloud.take(settings().dial_queue))
    cloud.settle()
    assert cloud.patch(path, {"lastConversationOutcome": "Paid"}, headers=seen).problem[0] == 412
    assert cloud.get(path).body["lastConversationOutcome"] == "Will pay"


def test_contact_of_a_workbook_is_changed_under_its_tag(cloud: Cloud) -> None:
    import_ = cloud.upload(b"firstName,phone,debt\nAli,+998901234567,5\n")
    cloud.arrive(f"uploads/1/{import_['id']}")
    [contact] = cloud.get("/contacts").body["data"]
    path = f"/contacts/{contact['id']}"
    assert cloud.patch(path, {"notes": "new"}, headers={"If-Match": etag(cloud, path)}).status == 200


def test_answer_that_was_given_before_says_so(cloud: Cloud) -> None:
    body, key = {"firstName": "Ali", "phone": "+998901234567"}, {"Idempotency-Key": "k"}
    first, again = (cloud.post("/contacts", body, headers=key) for _ in range(2))
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers == first.headers | {"Idempotent-Replayed": "true"}
    assert again.body == first.body
