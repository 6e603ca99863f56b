"""One origin: what a client sees at the port of `make run`."""

from __future__ import annotations

import gzip
import json

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.stack.deployed import LocalStack, eventually

ORGANIZATION = "front"


def test_health_needs_no_token(stack: LocalStack) -> None:
    answer = requests.get(f"{stack.base}/health", timeout=10)
    assert answer.json()["status"] == "ok"
    assert answer.json()["version"] != "dev"


def test_first_page_says_what_is_where(stack: LocalStack) -> None:
    answer = requests.get(stack.base, timeout=10)
    assert answer.status_code == 200
    assert "/auto-calling" in answer.text


@pytest.mark.parametrize("path", ["/auto-calling/nothing", "/nothing/at/all"])
def test_missing_route_is_a_problem(stack: LocalStack, path: str) -> None:
    answer = stack.call("GET", path, organization=ORGANIZATION)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["code"] == "not-found"


def test_refusal_of_a_missing_route_can_be_read_by_a_browser(stack: LocalStack) -> None:
    answer = stack.call(
        "GET", "/auto-calling/nothing", organization=ORGANIZATION, headers={"Origin": "http://a.example"}
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/auto-calling/nothing", "/auto-calling/contacts/1/2/3", "/auto-calling/contacts"])
def test_browser_may_ask_for_any_path(stack: LocalStack, path: str) -> None:
    asked = requests.options(f"{stack.base}{path}", headers={"Origin": "http://a.example"}, timeout=30)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]


def test_head_is_answered(stack: LocalStack) -> None:
    answer = requests.head(f"{stack.base}/health", timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")


def test_compressed_body_is_answered(stack: LocalStack) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(b'{"firstName":"Ali"}')
    answer = stack.call("POST", "/auto-calling/contacts", organization=ORGANIZATION, headers=headers, data=body)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_request_arrives_whole(stack: LocalStack) -> None:
    person = {"firstName": "Gulnora", "phone": "+998901112201", "notes": "O'g'li — Ўзбекча"}
    made = stack.call("POST", "/auto-calling/contacts", organization=ORGANIZATION, json=person)
    assert made.status_code == 201, made.text
    found = stack.call(
        "GET", "/auto-calling/contacts", organization=ORGANIZATION, params={"phone": "+998901112201", "limit": 5}
    )
    assert found.json()["data"][0]["notes"] == person["notes"]
    assert stack.call("GET", made.headers["Location"], organization=ORGANIZATION).json() == made.json()
    assert stack.call("DELETE", made.headers["Location"], organization=ORGANIZATION).status_code == 204


def test_browsers_of_other_origins_may_ask(stack: LocalStack) -> None:
    headers = {"Origin": "http://console.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{stack.base}/auto-calling/contacts", headers=headers, timeout=30)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("slash", ["", "/"])
def test_socket_answers(stack: LocalStack, slash: str) -> None:
    with connect(f"{stack.sockets}{slash}?token={stack.token(ORGANIZATION)}") as socket:
        socket.send('{"action":"ping"}')
        assert json.loads(socket.recv(20)) == {"event": "pong"}


def test_closed_socket_is_forgotten(stack: LocalStack) -> None:
    with connect(f"{stack.sockets}?token={stack.token('closing')}"):
        assert stack.rows("ConnectionsTable", organizationId="closing") == 1
    eventually(lambda: not stack.rows("ConnectionsTable", organizationId="closing"), 10)


def test_socket_without_a_good_token_is_refused(stack: LocalStack) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"{stack.sockets}?token=nonsense"):
        pass
    assert refused.value.response.status_code in {401, 403}  # API Gateway says 401, the emulator always 403


def test_what_is_written_is_announced(stack: LocalStack) -> None:
    with connect(f"{stack.sockets}?token={stack.token(ORGANIZATION)}") as socket:
        person = {"firstName": "Jasur", "phone": "+998901112202"}
        stack.call("POST", "/auto-calling/contacts", organization=ORGANIZATION, json=person)
        event = json.loads(socket.recv(60))
    assert event["event"] == "contact-update"
    assert event["data"]["firstName"] == "Jasur"


def test_file_dropped_into_the_inbox_is_imported(stack: LocalStack) -> None:
    bucket = stack.outputs()["BucketName"]
    sheet = b"firstName,phone\nNodira,+998901112203\n"
    stack.client("s3").put_object(Bucket=bucket, Key="inbox/dropped/list.csv", Body=sheet)

    def imported() -> bool:
        found = stack.call("GET", "/auto-calling/contacts", organization="dropped").json()
        return [each["firstName"] for each in found["data"]] == ["Nodira"]

    eventually(imported)


def test_presigned_requests_go_through_the_same_origin(stack: LocalStack) -> None:
    bucket = stack.outputs()["BucketName"]
    functions = stack.client("s3", endpoint=stack.base)  # as the functions see it
    content = b"x" * 6_000_000
    post = functions.generate_presigned_post(bucket, "reports/front/large")
    assert post["url"].startswith(stack.base)
    sent = requests.post(post["url"], data=post["fields"], files={"file": content}, timeout=60)
    assert sent.status_code == 204, sent.text
    get = functions.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "reports/front/large"})
    assert requests.get(get, timeout=60).content == content
    assert requests.get(get.replace("large", "other"), timeout=60).status_code == 403
    assert requests.get(f"{stack.base}/{bucket}/reports/front/large", timeout=60).status_code == 403
