"""Contacts over HTTP: kept as they were sent, found again, refused with the field that is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chalicelib.agents.contract import Accepted
from chalicelib.ids import is_id
from chalicelib.settings import settings
from tests import caches
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.cloud import Cloud

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
GUIDE = {
    "firstName": "John",
    "lastName": "Doe",
    "phone": "+998901234567",
    "dateOfBirth": "1990-01-15",
    "customData": {"totalDebt": 5000, "remainingDebt": 3000, "lastPaymentAmount": 2000},
    "notes": "Cooperative customer",
}
"""The guide's contact."""


def test_contact_is_kept_as_the_guide_sends_it(cloud: Cloud) -> None:
    reply = cloud.post("/contacts", GUIDE)
    contact = reply.body
    assert reply.status == 201
    assert reply.headers["Location"] == f"/auto-calling/contacts/{contact['id']}"
    assert is_id(contact["id"])
    assert re.fullmatch(STAMP, contact["createdAt"])
    assert contact == GUIDE | {
        "id": contact["id"],
        "organizationId": "1",
        "timezone": None,
        "status": "ACTIVE",
        "isCalled": False,
        "lastConversationOutcome": None,
        "lastCalledAt": None,
        "createdAt": contact["createdAt"],
        "updatedAt": contact["createdAt"],
    }
    assert cloud.get(f"/contacts/{contact['id']}").body == contact


def test_absent_values_are_null_and_the_last_name_is_empty(cloud: Cloud) -> None:
    contact = cloud.a_contact()
    assert (contact["lastName"], contact["dateOfBirth"], contact["customData"], contact["notes"]) == (
        "",
        None,
        None,
        None,
    )


def test_phones_are_taken_as_people_write_them(cloud: Cloud) -> None:
    for written, kept in {
        "+998 90 123-45-60": "+998901234560",
        "901234561": "+998901234561",
        "(90) 123 45 62": "+998901234562",
        "998901234563": "+998901234563",
        "00998901234564": "+998901234564",
        "+7 (912) 345-67-89": "+79123456789",
    }.items():
        assert cloud.a_contact(written)["phone"] == kept


def test_impossible_phones_are_refused(cloud: Cloud) -> None:
    for phone in ("", "nobody", "+998", "+998 12", "+998901234567890", "+99990123456"):
        assert cloud.post("/contacts", GUIDE | {"phone": phone}).field_at_fault == "phone", phone


def test_phone_belongs_to_one_contact_of_an_organization(cloud: Cloud) -> None:
    owner, other = cloud.a_contact("901234567"), cloud.a_contact("901234568")
    for reply in (
        cloud.post("/contacts", GUIDE),
        cloud.patch(f"/contacts/{other['id']}", {"phone": "+998 90 1234567"}),
    ):
        assert reply.problem == (409, "phone-taken")
        assert reply.body["contactId"] == owner["id"]
    assert cloud.get("/contacts").body["meta"]["total"] == 2
    assert cloud.post("/contacts", GUIDE, organization="2").status == 201


CHANGES: dict[str, Any] = {
    "firstName": "Jane",
    "lastName": "Karimova",
    "phone": "+998935550000",
    "dateOfBirth": "1991-02-28",
    "customData": {"totalDebt": 0},
    "notes": "Customer paid in full",
    "timezone": "Asia/Samarkand",
    "status": "COMPLETED",
    "lastConversationOutcome": "Payment received",
}


def test_every_writable_field_can_be_changed_alone(cloud: Cloud) -> None:
    contact = cloud.post("/contacts", GUIDE).body
    for field, value in CHANGES.items():
        reply = cloud.patch(f"/contacts/{contact['id']}", {field: value})
        assert reply.status == 200
        contact = contact | {field: value, "updatedAt": reply.body["updatedAt"]}
        assert reply.body == contact
    assert cloud.get(f"/contacts/{contact['id']}").body == contact


def test_null_clears_what_is_optional_and_nothing_else(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.post('/contacts', GUIDE | {'lastConversationOutcome': 'Promised'}).body['id']}"
    cleared = dict.fromkeys(("dateOfBirth", "customData", "notes", "lastConversationOutcome"))
    changed = cloud.patch(path, cleared | {"lastName": None}).body
    assert changed.items() >= (cleared | {"lastName": ""}).items()
    for field in ("firstName", "phone", "status"):
        assert cloud.patch(path, {field: None}).field_at_fault == field
    assert cloud.patch(path, {}).status == 200


def test_changed_phone_leaves_the_old_one_free(cloud: Cloud) -> None:
    contact = cloud.a_contact("901234567")
    cloud.patch(f"/contacts/{contact['id']}", {"phone": "901234568"})
    assert cloud.get("/contacts?phone=901234567").body["data"] == []
    assert [each["id"] for each in cloud.get("/contacts?phone=901234568").body["data"]] == [contact["id"]]
    assert cloud.post("/contacts", GUIDE).status == 201


def test_deleted_contact_is_gone_and_its_phone_free(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact()['id']}"
    reply = cloud.delete(path)
    assert (reply.status, reply.body) == (204, None)
    for gone in (cloud.get(path), cloud.delete(path), cloud.patch(path, {"notes": "?"}), cloud.get(f"{path}/calls")):
        assert gone.problem == (404, "not-found")
    assert cloud.get("/contacts").body["meta"]["total"] == 0
    assert cloud.a_contact()["status"] == "ACTIVE"


def test_phone_of_a_deleted_do_not_call_contact_stays_barred(cloud: Cloud) -> None:
    cloud.delete(f"/contacts/{cloud.a_contact(status='DO_NOT_CALL')['id']}")
    assert cloud.a_contact(status="ACTIVE")["status"] == "DO_NOT_CALL"
    cloud.delete(f"/contacts/{cloud.get('/contacts').body['data'][0]['id']}")
    mover = cloud.a_contact("901234568")
    assert cloud.patch(f"/contacts/{mover['id']}", {"phone": "901234567"}).body["status"] == "DO_NOT_CALL"
    assert cloud.get("/contacts?status=DO_NOT_CALL").body["meta"]["total"] == 1


def nested(levels: int) -> dict[str, Any]:
    """An object with lists inside each other, so many levels in all."""
    inside: list[Any] = []
    for _ in range(levels - 2):
        inside = [inside]
    return {"x": inside}


LIMITS = [
    ("firstName", "x" * 100, "x" * 101),
    ("firstName", "x", ""),
    ("firstName", "x", " \u00a0"),
    ("lastName", "x" * 100, "x" * 101),
    ("notes", "x" * 10_000, "x" * 10_001),
    ("lastConversationOutcome", "x" * 1_000, "x" * 1_001),
    ("customData", {"x": "x" * (16 * 1024 - 8)}, {"x": "x" * (16 * 1024 - 7)}),
    ("customData", {}, []),
    ("customData", nested(32), nested(33)),
    ("customData", nested(2), nested(500)),
    ("customData", {"Қарз": [1, None, {"a": 0.5}]}, "{}"),
    ("dateOfBirth", "2000-02-29", "1999-02-29"),
    ("dateOfBirth", "1985-03-15", "15.03.1985"),
    ("status", "INACTIVE", "CALLING"),
    ("phone", "+998901234567", 998901234567),
    ("firstName", "Ali", 1),
]


def test_limits_of_fields_hold_for_new_and_changed_contacts(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact('901234560')['id']}"
    for field, good, bad in LIMITS:
        assert cloud.post("/contacts", GUIDE | {field: bad}).field_at_fault == field, (field, bad)
        assert cloud.patch(path, {field: bad}).field_at_fault == field, (field, bad)
        assert cloud.patch(path, {field: good}).body[field] == good


def test_body_is_refused_with_what_is_wrong_in_it(cloud: Cloud) -> None:
    deep = b'{"customData":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    for body, field in {
        b'{"phone":"901234567"}': "firstName",
        b'{"firstName":"Ali"}': "phone",
        b'{"firstName":"Ali","phone":"901234567","age":40}': "age",
        b'{"firstName":"Ali","phone":"901234567","isCalled":true}': "isCalled",
        b'{"firstName":"Ali","phone":': "",
        b"[]": "",
        b"null": "",
        b"\xff\xfe": "",
        b'{"firstName":"\\ud800","phone":"901234567"}': "",
        deep: "",
        b"": "firstName",
    }.items():
        assert cloud.post("/contacts", body).field_at_fault == field, body[:60]
    assert cloud.get("/contacts").body["meta"]["total"] == 0


def test_other_content_types_and_huge_bodies_are_refused(cloud: Cloud) -> None:
    form = cloud.post("/contacts", b"firstName=Ali", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert form.problem == (415, "unsupported-media-type")
    assert cloud.post("/contacts", b" " * (256 * 1024 + 1)).problem == (413, "too-large")
    charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert cloud.post("/contacts", json.dumps(GUIDE).encode(), headers=charset).status == 201


@pytest.mark.parametrize("odd", ["1", "0192E4A0-0000-7000-8000-000000000000", "0192e4a0-0000-7000-8000-000000000000"])
def test_id_of_nobody_is_not_found(cloud: Cloud, odd: str) -> None:
    assert cloud.get(f"/contacts/{odd}").problem == (404, "not-found")


def test_what_goes_wrong_inside_gives_nothing_away(cloud: Cloud) -> None:
    contact_id = cloud.a_contact()["id"]
    client("dynamodb").update_item(
        TableName=settings().contacts_table,
        Key={"organizationId": {"S": "1"}, "contactId": {"S": contact_id}},
        UpdateExpression="SET customData = :broken",
        ExpressionAttributeValues={":broken": {"S": "no JSON"}},
    )
    unreadable = cloud.get(f"/contacts/{contact_id}")
    client("ssm").delete_parameter(Name=settings().jwt_secret_parameter)
    caches.clear()
    without_secret = cloud.get("/contacts")
    assert unreadable.problem == (500, "internal")
    assert unreadable.body["detail"] == "Something went wrong on our side."
    assert without_secret.problem == (503, "unavailable")
    assert settings().jwt_secret_parameter not in str(without_secret.body)


def test_contact_that_is_never_as_it_was_read_is_to_be_tried_again(cloud: Cloud) -> None:
    contact = cloud.a_contact()
    client("dynamodb").delete_item(
        TableName=settings().phone_numbers_table,
        Key={"organizationId": {"S": "1"}, "phone": {"S": contact["phone"]}},
    )
    reply = cloud.patch(f"/contacts/{contact['id']}", {"status": "INACTIVE"})
    assert reply.problem == (429, "throttled")
    assert reply.headers["Retry-After"] == "1"


def test_phone_stays_while_its_call_is_under_way(cloud: Cloud) -> None:
    contact = cloud.a_contact()
    path = f"/contacts/{contact['id']}"
    cloud.a_running_campaign([contact["id"]])
    ScriptedAgent(Accepted()).dial(cloud.take(settings().dial_queue))
    assert cloud.patch(path, {"phone": "901234568"}).problem == (409, "call-under-way")
    assert cloud.patch(path, {"status": "DO_NOT_CALL", "notes": "Asked not to be called"}).status == 200
    assert cloud.get("/contacts?phone=901234567").body["data"][0]["status"] == "DO_NOT_CALL"


def test_calls_of_a_contact_are_listed_for_all_campaigns(cloud: Cloud) -> None:
    contact = cloud.a_contact()
    campaigns = [cloud.a_campaign([contact["id"]])["id"] for _ in range(3)]
    path = f"/contacts/{contact['id']}/calls"
    listed = cloud.get(f"{path}?limit=2").body
    assert [call["campaignId"] for call in listed["data"]] == campaigns[:0:-1]
    assert listed["data"][0]["contact"] == {each: contact[each] for each in ("id", "firstName", "lastName", "phone")}
    assert (listed["meta"]["total"], listed["meta"]["totalPages"]) == (3, 2)
    rest = cloud.get(f"{path}?limit=2&cursor={listed['meta']['nextCursor']}").body
    assert [call["campaignId"] for call in rest["data"]] == campaigns[:1]
