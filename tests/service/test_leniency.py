"""Good requests are taken however they are written; bad ones are told what is wrong, where a browser can read it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import app
from tests import caches
from tests.service.cloud import Cloud, rest_event
from tests.service.files import BOUNDARY

HOURS = {"timezone": "Asia/Tashkent", "days": ["mon", "Fri"], "from": "9:00", "to": "18:00"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_health_can_be_asked_from_a_browser(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    caches.clear()
    answer = app.app(rest_event(method, "/health", None, {"origin": "https://console.test"}), None)
    assert answer["statusCode"] == (204 if method == "OPTIONS" else 200)
    assert answer["headers"]["Access-Control-Allow-Origin"] == "*"
    assert bool(answer["body"]) == (method == "GET")


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("organization", ["1", None])
def test_no_answer_is_kept_or_guessed_at(cloud: Cloud, method: str, organization: str | None) -> None:
    contact_id = cloud.a_contact()["id"]
    headers = cloud.request(method, f"/contacts/{contact_id}", organization=organization).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Strict-Transport-Security"].startswith("max-age=")


def test_head_is_get_without_its_body(cloud: Cloud) -> None:
    contact_id = cloud.a_contact()["id"]
    for path in ("/contacts", f"/contacts/{contact_id}", "/contacts?status=x", "/imports"):
        get, head = (cloud.request(method, path) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (get.status, None)
        assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_ids_may_be_written_in_capitals(cloud: Cloud) -> None:
    contact_id, campaign_id = cloud.a_contact()["id"], cloud.a_campaign()["id"]
    import_id = cloud.upload(b"phone\n")["id"].upper()
    assert cloud.get(f"/contacts/{contact_id.upper()}").body["id"] == contact_id
    added = cloud.post(f"/campaigns/{campaign_id.upper()}/contacts", {"contactIds": [contact_id.upper(), contact_id]})
    assert (added.body["added"], added.body["notFound"]) == (1, [])
    assert cloud.get(f"/campaigns/{campaign_id}/contacts/{contact_id.upper()}").status == 200
    assert cloud.post(f"/campaigns/{campaign_id}/contacts", {"importId": import_id}).status == 202
    assert cloud.a_campaign([contact_id.upper()])["totalContacts"] == 1


def test_hours_are_kept_in_one_form(cloud: Cloud) -> None:
    kept = cloud.a_campaign(callingHours=HOURS)["callingHours"]
    assert (kept["from"], kept["to"], kept["days"]) == ("09:00", "18:00", ["MON", "FRI"])


@pytest.mark.parametrize(("given", "kept"), [("5.0", 5), ("5e0", 5), ("5", 5)])
def test_whole_numbers_may_be_written_with_a_point(cloud: Cloud, given: str, kept: int) -> None:
    body = f'{{"name":"x","maxConcurrentCalls":{given},"retry":{{"maxAttempts":2.0,"delayMinutes":[1.0]}}}}'.encode()
    campaign = cloud.post("/campaigns", body).body
    assert (campaign["maxConcurrentCalls"], campaign["retry"]["delayMinutes"]) == (kept, [1])


@pytest.mark.parametrize("given", ["5.5", "1e300", "1e999", "-1e15"])
def test_other_numbers_are_not_whole(cloud: Cloud, given: str) -> None:
    reply = cloud.post("/campaigns", f'{{"name":"x","maxConcurrentCalls":{given}}}'.encode())
    assert reply.problem == (400, "invalid-body")


def test_changes_may_come_as_a_merge_patch(cloud: Cloud) -> None:
    path = f"/contacts/{cloud.a_contact()['id']}"
    headers = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    assert cloud.patch(path, {"notes": "new"}, headers=headers).body["notes"] == "new"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/contacts?status=", "status"),
        ("/contacts?status=ACTIVE&status=INACTIVE", "status"),
        ("/contacts?limit=5&limit=5", "limit"),
        ("/campaigns?cursor=", "cursor"),
        ("/contacts?phone=", "phone"),
    ],
)
def test_parameter_has_one_value(cloud: Cloud, path: str, field: str) -> None:
    assert cloud.get(path).field_at_fault == field


@pytest.mark.parametrize("given", ["", " ", "tomorrow", "2027-01-01", "9" * 5000])
def test_start_time_that_is_none_is_refused(cloud: Cloud, given: str) -> None:
    assert cloud.post("/campaigns", {"name": "x", "scheduledAt": given}).field_at_fault == "scheduledAt"
    campaign_id = cloud.a_campaign()["id"]
    assert cloud.patch(f"/campaigns/{campaign_id}", {"scheduledAt": given}).field_at_fault == "scheduledAt"


def part(head: str, value: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"


@pytest.mark.parametrize("charset", ["nope", "utf-16", "idna", "base64", "\0"])
def test_form_in_an_encoding_nobody_reads_is_refused(cloud: Cloud, charset: str) -> None:
    file = part('name="file"; filename="a.csv"', b"phone\n")
    odd = part(f'name="duplicates"\r\nContent-Type: text/plain; charset={charset}', b"\xff\xfeskip")
    body = file + odd + f"--{BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert cloud.post("/contacts/upload-excel", body, headers=kind).problem == (400, "invalid-body")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_compressed_body_is_refused_with_what_to_do(cloud: Cloud, encoding: str) -> None:
    reply = cloud.post("/contacts", b"\x1f\x8b", headers={"Content-Encoding": encoding})
    assert reply.problem == (415, "unsupported-media-type")
    plain: dict[str, Any] = {"firstName": "Ali", "phone": "+998901234567"}
    sent = cloud.post("/contacts", json.dumps(plain).encode(), headers={"Content-Encoding": "identity"})
    assert sent.status == 201
