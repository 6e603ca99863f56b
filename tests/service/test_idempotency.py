"""`Idempotency-Key`: a POST that is sent twice, at once or after a failure is done once and answered alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.aws import dynamodb
from chalicelib.settings import settings
from tests import caches
from tests.service.aws import client
from tests.service.cloud import BASE, Cloud, Reply, token
from tests.service.files import form

KEY = {"Idempotency-Key": "9f3c"}


def campaigns(cloud: Cloud) -> list[str]:
    return [each["id"] for each in cloud.get("/campaigns").body["data"]]


def create(cloud: Cloud, name: str = "January", **options: Any) -> Reply:
    return cloud.post("/campaigns", {"name": name}, **{"headers": KEY, **options})


def same(first: Reply, second: Reply) -> bool:
    """Whether two answers are one."""
    return (first.status, first.body, first.headers.get("Location")) == (
        second.status,
        second.body,
        second.headers.get("Location"),
    )


@contextmanager
def at_call(do: Callable[[str, dict[str, Any]], None]) -> Iterator[None]:
    """Do something before each request to DynamoDB; what it raises is what the request comes to."""
    events = dynamodb.connection().client.meta.events

    def called(model: Any, params: dict[str, Any], **_: Any) -> None:
        do(model.name, params)

    events.register_first("before-call.dynamodb", called, unique_id="at-call")
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb", unique_id="at-call")


@contextmanager
def dying() -> Iterator[None]:
    """A process that dies just before it would write what became of the request."""

    def die(operation: str, params: dict[str, Any]) -> None:
        if operation == "UpdateItem" and settings().idempotency_table.encode() in bytes(params["body"]):
            raise RuntimeError("killed")

    with at_call(die):
        yield


def age(**time: float) -> None:
    """Let the keys be older."""
    for row in kept():
        row["expiresAt"]["N"] = str(int(row["expiresAt"]["N"]) - round(timedelta(**time).total_seconds()))
        if "until" in row:
            row["until"]["S"] = clock.stamp(clock.moment(row["until"]["S"]) - timedelta(**time))
        client("dynamodb").put_item(TableName=settings().idempotency_table, Item=row)


def kept() -> list[dict[str, Any]]:
    """What is remembered."""
    rows: list[dict[str, Any]] = client("dynamodb").execute_statement(
        Statement=f'SELECT * FROM "{settings().idempotency_table}"'
    )["Items"]
    return rows


def test_double_click_makes_one_campaign(cloud: Cloud) -> None:
    body = {"name": "January", "contactIds": cloud.contacts(2)}
    first, second, third = (cloud.post("/campaigns", body, headers=KEY) for _ in range(3))
    assert first.status == 201
    assert first.body["totalContacts"] == 2
    assert first.headers["Location"] == f"{BASE}/campaigns/{first.body['id']}"
    assert same(first, second)
    assert same(first, third)
    assert campaigns(cloud) == [first.body["id"]]


def test_first_answer_is_given_again_however_things_stand_by_now(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    started = cloud.post(f"/campaigns/{campaign_id}/start", headers=KEY)
    assert cloud.post(f"/campaigns/{campaign_id}/stop").body["status"] == "PAUSED"
    assert same(started, cloud.post(f"/campaigns/{campaign_id}/start", headers=KEY))
    assert cloud.campaign(campaign_id)["status"] == "PAUSED"


def test_requests_without_a_key_are_done_as_often_as_they_are_sent(cloud: Cloud) -> None:
    assert create(cloud, headers={}).body["id"] != create(cloud, headers={}).body["id"]


def test_another_key_is_another_request(cloud: Cloud) -> None:
    assert create(cloud).body["id"] != create(cloud, headers={"Idempotency-Key": "other"}).body["id"]
    assert create(cloud, headers={"idempotency-KEY": "9f3c"}).body["id"] in campaigns(cloud)
    assert len(campaigns(cloud)) == 2


def test_another_body_or_path_with_the_same_key_is_refused(cloud: Cloud) -> None:
    ids = [cloud.a_campaign(cloud.contacts(1))["id"], cloud.a_campaign()["id"]]
    assert cloud.post(f"/campaigns/{ids[0]}/start", headers=KEY).status == 200
    for path, body in (
        (f"/campaigns/{ids[1]}/start", None),
        (f"/campaigns/{ids[0]}/stop", None),
        (f"/campaigns/{ids[0]}/start", {}),
        (f"/campaigns/{ids[0]}/start?again=1", None),
        ("/campaigns", {"name": "x"}),
    ):
        refused = cloud.post(path, body, headers=KEY)
        assert refused.problem == (409, "idempotency-conflict"), (path, body)
        assert "Retry-After" not in refused.headers
    assert cloud.campaign(ids[0])["status"] == "RUNNING"
    assert len(campaigns(cloud)) == 2


def test_key_belongs_to_the_person_who_sends_it(cloud: Cloud) -> None:
    first = create(cloud)
    assert create(cloud, organization="2").body["organizationId"] == "2"
    colleague = KEY | {"Authorization": f"Bearer {token('1', sub='colleague')}"}
    assert create(cloud, "February", organization=None, headers=colleague).status == 201
    nobody = KEY | {"Authorization": f"Bearer {token('1', sub=None)}"}
    assert create(cloud, "March", organization=None, headers=nobody).status == 201
    fresh = KEY | {"Authorization": f"Bearer {token('1', iat=1)}"}
    assert same(create(cloud, organization=None, headers=fresh), first)


@pytest.mark.parametrize("key", ["", " ", "\t", "k" * 256])
def test_key_that_is_empty_or_too_long_is_refused(cloud: Cloud, key: str) -> None:
    assert create(cloud, headers={"Idempotency-Key": key}).field_at_fault == "Idempotency-Key"
    assert campaigns(cloud) == []


@pytest.mark.parametrize("key", ["k" * 255, "ключ", '"quoted"', "a,b", "ÿ\x80", "#/?\\"])
def test_any_other_key_is_one(cloud: Cloud, key: str) -> None:
    first, second = (create(cloud, headers={"Idempotency-Key": key}) for _ in range(2))
    assert first.status == 201
    assert same(first, second)


def test_key_matters_to_posts_only(cloud: Cloud) -> None:
    campaign_id = create(cloud).body["id"]
    for name in ("a", "b"):
        assert cloud.patch(f"/campaigns/{campaign_id}", {"name": name}, headers=KEY).body["name"] == name
    assert cloud.get(f"/campaigns/{campaign_id}", headers=KEY).body["name"] == "b"
    assert cloud.delete(f"/campaigns/{campaign_id}", headers=KEY).status == 204


def test_nobody_without_a_token_learns_an_answer(cloud: Cloud) -> None:
    create(cloud)
    assert create(cloud, organization=None).problem == (401, "unauthorized")


def test_webhooks_know_no_keys(cloud: Cloud) -> None:
    for _ in range(2):
        assert cloud.post("/agents/http/webhook", {}, organization=None, headers=KEY).status == 401
    assert kept() == []


def test_refusal_is_not_remembered(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    start = f"/campaigns/{campaign_id}/start"
    assert cloud.post(start, headers=KEY).problem == (409, "campaign-empty")
    cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": cloud.contacts(1)})
    assert cloud.post(start, headers=KEY).body["status"] == "RUNNING"
    assert create(cloud, "", headers={"Idempotency-Key": "form"}).field_at_fault == "name"
    assert create(cloud, "corrected", headers={"Idempotency-Key": "form"}).status == 201


def test_failure_half_way_makes_nothing_twice(cloud: Cloud) -> None:
    """The campaign is stored, its contacts are not; the same request then goes on with the same campaign."""
    body = {"name": "January", "contactIds": cloud.contacts(1)}
    calls = iter(range(100))

    def break_enrolment(operation: str, _: dict[str, Any]) -> None:
        if operation == "TransactWriteItems" and next(calls) == 1:
            raise RuntimeError("broken")

    with at_call(break_enrolment):
        assert cloud.post("/campaigns", body, headers=KEY).problem == (500, "internal")
    [half] = campaigns(cloud)
    assert cloud.campaign(half)["totalContacts"] == 0
    done = cloud.post("/campaigns", body, headers=KEY)
    assert (done.status, done.body["id"], done.body["totalContacts"]) == (201, half, 1)
    assert same(cloud.post("/campaigns", body, headers=KEY), done)
    assert campaigns(cloud) == [half]


def test_failed_request_leaves_its_key_to_another(cloud: Cloud) -> None:
    def break_all(operation: str, _: dict[str, Any]) -> None:
        if operation == "TransactWriteItems":
            raise RuntimeError("broken")

    with at_call(break_all):
        assert create(cloud).status == 500
    february = create(cloud, "February")
    assert (february.status, february.body["name"]) == (201, "February")
    assert create(cloud).problem == (409, "idempotency-conflict")


def test_dead_request_holds_its_key_for_less_than_a_minute_and_makes_nothing_twice(cloud: Cloud) -> None:
    with dying():
        first = create(cloud)
    waits = create(cloud)
    assert waits.problem == (409, "idempotency-conflict")
    assert waits.headers["Retry-After"] == "1"
    assert create(cloud, "February").problem == (409, "idempotency-conflict")
    age(seconds=60)
    again = create(cloud)
    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert same(create(cloud), again)
    assert len(campaigns(cloud)) == 1


def test_contact_that_was_made_before_its_request_died_is_no_stranger(cloud: Cloud) -> None:
    body = {"firstName": "Ali", "phone": "+998901234567"}
    with dying():
        first = cloud.post("/contacts", body, headers=KEY)
    age(seconds=60)
    assert same(cloud.post("/contacts", body, headers=KEY), first)
    assert cloud.post("/contacts", body, headers={"Idempotency-Key": "other"}).problem == (409, "phone-taken")
    assert cloud.get("/contacts").body["meta"]["total"] == 1


def test_redial_whose_request_died_dials_nobody_a_third_time(cloud: Cloud) -> None:
    [busy] = cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_campaign([busy])["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    body = {"callStatus": ["BUSY"]}
    with dying():
        assert cloud.post(f"/campaigns/{campaign_id}/redial", body, headers=KEY).status == 202
    cloud.settle()
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    age(seconds=60)
    assert cloud.post(f"/campaigns/{campaign_id}/redial", body, headers=KEY).status == 202
    cloud.settle()
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert len(cloud.call(campaign_id, busy)["attempts"]) == 2


def test_enrolment_whose_request_died_brings_nobody_back_who_was_withdrawn_since(cloud: Cloud) -> None:
    [stays, leaves] = cloud.contacts(2)
    campaign_id = cloud.a_campaign()["id"]
    path, body = f"/campaigns/{campaign_id}/contacts", {"contactIds": [stays, leaves]}
    with dying():
        assert cloud.post(path, body, headers=KEY).body["added"] == 2
    assert cloud.delete(f"{path}/{leaves}").status == 204
    age(seconds=60)
    assert cloud.post(path, body, headers=KEY).status == 200
    assert [call["contactId"] for call in cloud.get(path).body["data"]] == [stays]


def test_day_old_key_is_a_new_one(cloud: Cloud) -> None:
    first = create(cloud)
    age(hours=23.9)
    assert same(create(cloud), first)
    age(hours=0.2)
    second = create(cloud, "February")
    assert second.status == 201
    assert same(create(cloud, "February"), second)
    assert len(campaigns(cloud)) == 2


@pytest.mark.parametrize("body", [{"name": "January"}, {"name": "February"}])
def test_requests_at_once_make_one_campaign(cloud: Cloud, body: dict[str, Any]) -> None:
    """The second request runs from end to end before each of the first one's calls to DynamoDB in turn."""
    cloud.get("/contacts")
    for place in range(100):
        headers = {"Idempotency-Key": f"at-{place}"}
        inner: list[Reply] = []
        calls = iter(range(1000))

        def meanwhile(
            *_: Any,
            calls: Iterator[int] = calls,
            place: int = place,
            inner: list[Reply] = inner,
            headers: dict[str, str] = headers,
        ) -> None:
            if next(calls) == place:
                inner.append(cloud.post("/campaigns", body, headers=headers))

        before = cloud.get("/campaigns").body["meta"]["total"]
        with at_call(meanwhile):
            outer = create(cloud, headers=headers)
        replies = [outer, *inner]
        assert cloud.get("/campaigns").body["meta"]["total"] == before + 1, place
        done = [reply for reply in replies if reply.status == 201]
        assert all(same(reply, done[0]) for reply in done), place
        assert {reply.problem for reply in replies if reply not in done} <= {(409, "idempotency-conflict")}, place
        if not inner:
            assert place >= 4
            return
    raise AssertionError("the request never came to an end")


def upload(cloud: Cloud, content: bytes, boundary: str) -> Reply:
    body, kind = form(content, "people.csv")
    made_up = kind.partition("boundary=")[2]
    headers = {"Content-Type": kind.replace(made_up, boundary), **KEY}
    return cloud.post("/contacts/upload-excel", body.replace(made_up.encode(), boundary.encode()), headers=headers)


def test_file_sent_twice_is_one_import_whatever_boundary_the_browser_makes_up(cloud: Cloud) -> None:
    people = b"firstName,phone\nAli,901234560\n"
    first, second = upload(cloud, people, "----one"), upload(cloud, people, "----another")
    assert first.status == 202
    assert same(first, second)
    assert upload(cloud, people + b"Vali,901234561\n", "----one").problem == (409, "idempotency-conflict")
    assert cloud.get("/imports").body["meta"]["total"] == 1
    assert len(client("s3").list_objects_v2(Bucket=settings().bucket)["Contents"]) == 1


def test_upload_whose_request_died_is_one_import(cloud: Cloud) -> None:
    people = b"firstName,phone\nAli,901234560\n"
    with dying():
        first = upload(cloud, people, "one")
    cloud.arrive(f"uploads/1/{first.body['id']}")
    age(seconds=60)
    again = upload(cloud, people, "two")
    cloud.arrive(f"uploads/1/{first.body['id']}")
    assert (again.status, again.body["id"]) == (202, first.body["id"])
    import_ = cloud.get(f"/imports/{first.body['id']}").body
    assert (import_["status"], import_["created"]) == ("COMPLETED", 1)
    assert cloud.get("/imports").body["meta"]["total"] == cloud.get("/contacts").body["meta"]["total"] == 1


def test_every_post_is_answered_twice_alike(cloud: Cloud) -> None:
    busy = cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_campaign(busy)["id"]
    path = f"/campaigns/{campaign_id}"
    cloud.post(f"{path}/start")
    cloud.settle()
    requests: list[tuple[str, Any]] = [
        ("/contacts", {"firstName": "Ali", "phone": "+998901234567"}),
        ("/campaigns", {"name": "x", "contactIds": busy}),
        (f"{path}/contacts", {"contactIds": cloud.contacts(3)}),
        (f"{path}/contacts", {"filter": {"status": "ACTIVE"}}),
        (f"{path}/redial", {"callStatus": ["BUSY"]}),
        (f"{path}/audit", None),
        (f"{path}/start", None),
        (f"{path}/stop", None),
        ("/imports", {"fileName": "people.xlsx"}),
    ]
    for n, (path, body) in enumerate(requests):
        first, second = (cloud.post(path, body, headers={"Idempotency-Key": str(n)}) for _ in range(2))
        assert first.status < 300, (path, first)
        assert same(first, second), path


def test_every_post_but_the_public_ones_takes_a_key() -> None:
    posts = {path for path, views in app.app.routes.items() if "POST" in views}
    known = {
        *("/contacts", "/contacts/upload-excel", "/imports", "/campaigns", "/campaigns/{id}/contacts"),
        *("/campaigns/{id}/start", "/campaigns/{id}/stop", "/campaigns/{id}/redial", "/campaigns/{id}/audit"),
        "/agents/{provider}/webhook",
    }
    assert posts >= {BASE + path for path in known}


def test_answer_too_large_to_be_kept_is_made_again(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign()["id"]
    odd = [f"{n:03}" + "ж" * 230 for n in range(1000)]
    body = {"contactIds": [*odd, *cloud.contacts(1)][1:]}
    for _ in range(2):
        sent = msgspec.json.encode(body)
        reply = cloud.post(f"/campaigns/{campaign_id}/contacts", sent, headers=KEY)
        assert reply.status == 200
        assert len(reply.body["notFound"]) == 999
    assert cloud.campaign(campaign_id)["totalContacts"] == 1


def test_answer_is_kept_with_all_its_letters(cloud: Cloud) -> None:
    description = 'Ўзбекча 😀 \u0000 " \\ \ufffe' * 100
    body = {"name": "Я", "description": description}
    first, second = (cloud.post("/campaigns", body, headers=KEY) for _ in range(2))
    assert first.body["description"] == description
    assert same(first, second)


def test_browsers_are_told_what_they_may_read_on_every_answer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://one.test,https://two.test")
    caches.clear()
    for origin in ("https://one.test", "https://two.test"):
        reply = create(cloud, headers={**KEY, "Origin": origin})
        assert reply.headers["Access-Control-Allow-Origin"] == origin
