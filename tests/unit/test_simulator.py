"""The simulated voice agent: our own adapters order its calls, believe its webhooks and read them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto import mock_aws
from msgspec import structs

from chalicelib import agents, clock
from chalicelib.agents.contract import (
    Accepted,
    Answering,
    Ending,
    Inquiry,
    NotPlaced,
    OutcomeUnknown,
    Webhook,
    Whereabouts,
)
from chalicelib.agents.health import Verdict
from chalicelib.calls.model import Result
from chalicelib.money import Money
from local.agent import Simulator, serving
from tests.simulation.environment import variables
from tests.unit.builders import an_order

KEY, SECRET = "the-key", "the-secret"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
PROVIDERS = ("http", "retell", "vapi", "elevenlabs")
BY_LAST_DIGIT = dict(
    enumerate(
        ["SUCCESS"] * 4 + ["PROMISE_TO_PAY", "REFUSED", "NO_ANSWER", "BUSY", "CALLBACK_REQUESTED", "FAILED"],
    )
)


class Ear:
    """Hears webhooks, and answers them with the given statuses, then with 202."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers: list[int] = []
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                ear.heard.put((headers, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(ear.answers.pop(0) if ear.answers else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Laptop:
    """A simulator with an ear for its webhooks, and our adapters with accounts there."""

    def __init__(self, url: str, ear: Ear) -> None:
        self.url = url
        self.ear = ear

    def place(self, provider: str, digit: int = 0, **fields: Any) -> Any:
        fields = {"call_id": f"attempt-{provider}-{digit}", "callback_url": self.ear.url} | fields
        return agents.agent(provider).place(an_order(phone_number=f"+99890123456{digit}", **fields))

    def behave(self, provider: str, **behavior: Any) -> requests.Response:
        return requests.put(f"{self.url}/control/{provider}", json=behavior, headers=AUTHORIZED, timeout=10)

    def calls(self, provider: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/calls?provider={provider}", headers=AUTHORIZED, timeout=10)
        found: list[dict[str, Any]] = answer.json()
        return found

    def told(self, provider: str) -> Webhook:
        """The next webhook that tells of an end, if it is signed."""
        while True:
            headers, body = self.ear.heard.get(timeout=30)
            agents.reporter(provider).verify(headers, body, now=clock.now())
            if webhook := agents.reporter(provider).read(body):
                return webhook


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch, ear: Ear) -> Iterator[Laptop]:
    simulator = Simulator(KEY, SECRET, seconds=0, webhooks={"elevenlabs": ear.url})
    with mock_aws(), serving(simulator) as url:
        for name, value in {
            **variables(),
            "AGENT_ACCOUNTS_PATH": "/agents",
            "AGENT_URL": f"{url}/http/calls",
            "AGENT_TOKEN_PARAMETER": "/token",
            "WEBHOOK_SECRET_PARAMETER": "/secret",
        }.items():
            monkeypatch.setenv(name, value)
        kept = {"/token": KEY, "/secret": SECRET}
        kept |= {f"/agents/{each}": simulator.account(each, url) for each in PROVIDERS[1:]}
        for name, value in kept.items():
            boto3.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
        yield Laptop(url, ear)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_last_digit_decides_how_a_conversation_ends(laptop: Laptop, provider: str) -> None:
    statuses = {}
    for digit in BY_LAST_DIGIT:
        answer = laptop.place(provider, digit)
        assert isinstance(answer, Accepted)
        webhook = laptop.told(provider)
        assert (webhook.call_id or f"attempt-{provider}-{digit}") == f"attempt-{provider}-{digit}"
        assert webhook.conversation_id == answer.conversation_id
        statuses[digit] = webhook.ending.result.call_status
    assert statuses == BY_LAST_DIGIT


@pytest.mark.parametrize("provider", PROVIDERS)
def test_conversation_is_told_with_what_was_said(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, held=True)
    laptop.place(provider)
    report = {"status": "CALLBACK_REQUESTED", "outcome": "Busy now", "summary": "Call later.", "duration": 42}
    report |= {"callbackAt": "2026-12-01T10:00:00.000Z", "doNotCall": True}
    report |= {"promisedDate": "2026-12-02", "promisedAmount": "500 000 UZS"}
    end = f"{laptop.url}/calls/attempt-{provider}-0/end"
    assert requests.post(end, json=report, headers=AUTHORIZED, timeout=10).json()["answers"][-1] == 202
    result = laptop.told(provider).ending.result
    assert (result.call_status, result.summary, result.duration) == ("CALLBACK_REQUESTED", "Call later.", 42)
    assert (result.callback_at, result.do_not_call) == ("2026-12-01T10:00:00.000Z", True)
    assert (result.promised_date, result.promised_amount) == ("2026-12-02", Money("500000", "UZS"))
    assert result.cost is not None
    assert (float(result.cost.amount), result.cost.currency) == (0.084, "USD")


@pytest.mark.parametrize("provider", PROVIDERS[1:])
def test_machine_answers_where_nobody_does(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, voicemail=1)
    laptop.place(provider, 6)
    result = laptop.told(provider).ending.result
    assert result.call_status == "NO_ANSWER"
    assert "voicemail" in str(result.outcome)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_orders_are_refused_as_ordered(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, refused={"429": 1}, retryAfter=7)
    with pytest.raises(NotPlaced) as refusal:
        laptop.place(provider)
    assert (refusal.value.verdict, refusal.value.again_seconds) == (Verdict.FULL, 7)
    laptop.behave(provider, refused={"503": 1})
    with pytest.raises(OutcomeUnknown):
        laptop.place(provider)
    assert laptop.calls(provider) == []
    laptop.behave(provider)
    assert isinstance(laptop.place(provider), Accepted)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_more_calls_than_lines(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, lines=2, held=True)
    for digit in (0, 1):
        laptop.place(provider, digit)
    with pytest.raises(NotPlaced, match="429"):
        laptop.place(provider, 2)
    end = f"{laptop.url}/calls/attempt-{provider}-0/end"
    requests.post(end, json={"success": True}, headers=AUTHORIZED, timeout=10)
    laptop.place(provider, 2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answer_may_be_lost_of_a_call_that_goes_on(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, unanswered=1)
    with pytest.raises(OutcomeUnknown):
        laptop.place(provider)
    assert laptop.told(provider).ending.result.call_status == "SUCCESS"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_webhooks_come_twice_when_ordered(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, doubled=1)
    laptop.place(provider)
    assert laptop.told(provider) == laptop.told(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_webhook_overtakes_the_answer_when_ordered(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, early=1, seconds=[3600, 3600])
    laptop.place(provider, 7)
    assert laptop.ear.heard.qsize() > 0
    assert laptop.told(provider).ending.result.call_status == "BUSY"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_webhook_that_is_not_taken_comes_again(laptop: Laptop, provider: str) -> None:
    laptop.ear.answers = [503]
    laptop.place(provider, 6)
    assert laptop.told(provider) == laptop.told(provider)


def test_http_answers_with_the_result_when_ordered(laptop: Laptop) -> None:
    laptop.behave("http", waits=True)
    answer = laptop.place("http", 4)
    assert isinstance(answer, Result)
    assert (answer.call_status, answer.outcome) == ("PROMISE_TO_PAY", "Promised to pay")


@pytest.mark.parametrize("provider", ["http", "retell"])
def test_order_that_comes_again_is_the_same_call(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, held=True)
    assert laptop.place(provider) == laptop.place(provider)
    assert len(laptop.calls(provider)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nobody_orders_without_the_key(laptop: Laptop, provider: str) -> None:
    name = "/token" if provider == "http" else f"/agents/{provider}"
    value = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    boto3.client("ssm").put_parameter(Name=name, Value=value.replace(KEY, "x"), Type="SecureString", Overwrite=True)
    with pytest.raises(NotPlaced, match="401"):
        laptop.place(provider)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/control"), ("PUT", "/control/http"), ("GET", "/calls"), ("POST", "/calls/1/end")]
)
def test_nobody_orders_behavior_without_the_key(laptop: Laptop, method: str, path: str) -> None:
    assert requests.request(method, laptop.url + path, json={}, timeout=10).status_code == 401


def test_behavior_that_is_none_is_refused_and_named(laptop: Laptop) -> None:
    assert "slow" in laptop.behave("http", slow=1).text
    assert laptop.behave("http", lost="often").status_code == 400
    assert laptop.behave("nobody").status_code == 404


ONE = {
    "http": "/http/calls/{id}",
    "retell": "/retell/v2/get-call/{id}",
    "vapi": "/vapi/call/{id}",
    "elevenlabs": "/elevenlabs/v1/convai/conversations/{id}",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lost_webhook_can_be_asked_for(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, lost=1)
    headers = {**AUTHORIZED, "xi-api-key": KEY}
    answer = laptop.place(provider)
    url = laptop.url + ONE[provider].format(id=answer.conversation_id or "attempt-http-0")
    until = time.monotonic() + 30
    while "Conversation completed" not in (text := requests.get(url, headers=headers, timeout=10).text):
        assert time.monotonic() < until, text
    assert requests.get(url + "0", headers=headers, timeout=10).status_code == 404


@pytest.mark.parametrize("provider", PROVIDERS)
def test_adapter_asks_after_a_call_by_its_id_and_by_the_attempt(laptop: Laptop, provider: str) -> None:
    laptop.behave(provider, held=True, lost=1)
    accepted = laptop.place(provider)
    answering = agents.agent(provider)
    assert isinstance(answering, Answering)
    known = Inquiry(call_id=f"attempt-{provider}-0", organization_id="1", ordered_at=clock.now())
    by_id = structs.replace(known, conversation_id=accepted.conversation_id)
    assert [answering.ask(each) for each in (known, by_id)] == [Whereabouts.UNDER_WAY] * 2
    nobody = answering.ask(structs.replace(known, call_id="another"))
    assert nobody is (Whereabouts.UNSAID if provider == "http" else Whereabouts.NO_TRACE)
    report = {"status": "PROMISE_TO_PAY", "summary": "Pays on Friday.", "duration": 42}
    requests.post(f"{laptop.url}/calls/attempt-{provider}-0/end", json=report, headers=AUTHORIZED, timeout=10)
    for each in (known, by_id):
        ending = answering.ask(each)
        assert isinstance(ending, Ending)
        result = ending.result
        assert (result.call_status, result.summary, result.duration) == ("PROMISE_TO_PAY", "Pays on Friday.", 42)


def test_calls_of_an_attempt_can_be_asked_for(laptop: Laptop) -> None:
    ids = {}
    for provider in PROVIDERS[1:]:
        for digit in (0, 1):
            ids[provider, digit] = laptop.place(provider, digit).conversation_id
    headers = {**AUTHORIZED, "xi-api-key": KEY}
    wanted = [{"type": "string", "op": "eq", "key": "attempt", "value": "attempt-retell-1"}]
    body = {"filter_criteria": {"metadata": wanted}}
    found = requests.post(f"{laptop.url}/retell/v3/list-calls", json=body, headers=headers, timeout=10).json()
    assert [each["call_id"] for each in found["items"]] == [ids["retell", 1]]
    url = f"{laptop.url}/elevenlabs/v1/convai/conversations?user_id=attempt-elevenlabs-1"
    found = requests.get(url, headers=headers, timeout=10).json()
    assert [each["conversation_id"] for each in found["conversations"]] == [ids["elevenlabs", 1]]
    found = requests.get(f"{laptop.url}/vapi/call", headers=headers, timeout=10).json()
    assert {each["customer"]["externalId"]: each["id"] for each in found} == {
        f"attempt-vapi-{digit}": ids["vapi", digit] for digit in (0, 1)
    }


def test_call_that_was_not_reported_is_reported_after_a_restart(tmp_path: Path, ear: Ear) -> None:
    file = tmp_path / "state" / "calls.sqlite"
    order = {"callId": "attempt-1", "phoneNumber": "+998901234567", "callbackUrl": ear.url, "organizationId": "7"}
    ear.answers = [503] * 100
    with serving(Simulator(KEY, SECRET, seconds=0, file=file)) as url:
        assert requests.post(f"{url}/http/calls", json=order, headers=AUTHORIZED, timeout=10).status_code == 202
        ear.heard.get(timeout=30)
    ear.heard, ear.answers = queue.Queue(), []
    with serving(Simulator(KEY, SECRET, file=file)) as url:
        _, body = ear.heard.get(timeout=30)
        [call] = requests.get(f"{url}/calls?organizationId=7", headers=AUTHORIZED, timeout=10).json()
    assert b'"callId": "attempt-1", "status": "BUSY"' in body
    assert call["told"]["status"] == "BUSY"


def test_calls_at_vapi_can_be_asked_for_by_number_and_moment(laptop: Laptop) -> None:
    ids = [laptop.place("vapi", digit).conversation_id for digit in (0, 1)]
    first, second = (each["began"] for each in laptop.calls("vapi"))
    between = clock.stamp(datetime.fromtimestamp((first + second) / 2, UTC))

    def found(**query: str) -> list[str]:
        answer = requests.get(f"{laptop.url}/vapi/call", params=query, headers=AUTHORIZED, timeout=10)
        return [each["id"] for each in answer.json()]

    assert found() == found(phoneNumberId="+12025550101") == found(createdAtGe="2026-01-01T00:00:00Z") == ids[::-1]
    assert found(phoneNumberId="another") == found(createdAtLe="2026-01-01T00:00:00Z") == []
    assert (found(limit="1"), found(createdAtLe=between), found(createdAtGe=between)) == ([ids[1]], [ids[0]], [ids[1]])
