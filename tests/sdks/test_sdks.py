"""The vendors' own libraries judge us: our orders are theirs, and they read and believe what our simulator says."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import agents, clock
from chalicelib.agents import elevenlabs, retell, vapi
from local import environments
from local.agent import Behavior, Simulator, serving
from local.vendors import DIALECTS, Call
from tests.simulation.environment import variables
from tests.unit.builders import an_order
from tests.unit.line import Line
from tests.unit.test_vendors import sent
from tests.vendors import SECRET, VENDORS, acceptance, account

HERE = Path(__file__).parent
CALL = "0193587e-6aaa-7000-8000-000000000001"
WEBHOOK = "https://api.test/auto-calling/agents/x/webhook"


class Judge:
    """The libraries, in a process of their own."""

    def __init__(self, python: Path) -> None:
        self.process = subprocess.Popen(
            [str(python), str(HERE / "judge.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, ask: str, **given: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"ask": ask, **given}) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        assert "error" not in said, said["error"]
        return said["answer"]

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    made = Judge(environments.installed("sdks", HERE / "requirements.txt", "the vendors' libraries", lambda _: None))
    yield made
    made.close()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line that keeps an order, and accounts whose orders go there."""
    for name, value in {**variables(), "AGENT_ACCOUNTS_PATH": "/agents"}.items():
        monkeypatch.setenv(name, value)
    opened = Line()
    with mock_aws():
        yield opened
    opened.close()


def open_account(provider: str, line: Line, **more: str) -> None:
    text = json.dumps(json.loads(account(provider, f"http://{line.address}")) | more)
    boto3.client("ssm").put_parameter(Name=f"/agents/{provider}", Value=text, Type="SecureString")


AUTHORIZATION = {"retell": "authorization", "vapi": "authorization", "elevenlabs": "xi-api-key"}


@pytest.mark.parametrize(
    ("provider", "telephony"),
    [*((each, "twilio") for each in VENDORS), ("elevenlabs", "sip-trunk"), ("elevenlabs", "exotel")],
)
def test_order_is_what_the_library_sends(line: Line, judge: Judge, provider: str, telephony: str) -> None:
    more = {"telephony": telephony} if provider == "elevenlabs" else {}
    open_account(provider, line, **more)
    line.answers(201, json.dumps(acceptance(provider)).encode())
    order = an_order(call_id=CALL, callback_url=WEBHOOK, call_timeout_seconds=600, max_duration_seconds=300)
    agents.agent(provider).place(order)
    path, headers, body = sent(line)
    line.received.clear()

    call = {"attempt": CALL, "phone": order.phone_number, "agent": "agent-1", "caller": "+12025550101"}
    call |= {"webhook": WEBHOOK, "credential": "credential-1", "telephony": telephony}
    told = _variables(provider, body)
    url = f"http://{line.address}"
    judge("order", sdk=provider, url=url, key="key-1", call={**call, "longest": 300, "variables": told})
    their_path, their_headers, their_body = sent(line)
    assert path == their_path
    assert headers[AUTHORIZATION[provider]] == their_headers[AUTHORIZATION[provider]]
    assert body == their_body
    assert told["attempt"] == CALL


def _variables(provider: str, body: dict[str, Any]) -> dict[str, str]:
    """What an order tells of the contact; what that is, other tests say."""
    _, _, told = DIALECTS[provider].ordered(body)
    assert all(isinstance(value, str) for value in told.values())
    return dict(told)


ENDS: dict[str, dict[str, Any] | None] = {
    "under way": None,
    **{
        status: {"status": status} for status in ("SUCCESS", "PROMISE_TO_PAY", "REFUSED", "NO_ANSWER", "BUSY", "FAILED")
    },
    "voicemail": {"status": "NO_ANSWER", "voicemail": True},
    "callback": {"status": "CALLBACK_REQUESTED", "callbackAt": "2026-12-01T10:00:00.000Z", "doNotCall": False},
    "promise": {"status": "PROMISE_TO_PAY", "promisedDate": "2026-12-01", "promisedAmount": "500000 UZS"},
    "unwanted": {"status": "REFUSED", "doNotCall": True, "outcome": "«Никогда»", "summary": "O‘chiring."},
}


@pytest.fixture(params=VENDORS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def order(line: Line, provider: str) -> dict[str, Any]:
    """What our adapter sends."""
    open_account(provider, line)
    line.answers(201, json.dumps(acceptance(provider)).encode())
    agents.agent(provider).place(an_order(call_id=CALL, callback_url=WEBHOOK))
    return sent(line)[2]


@pytest.mark.parametrize("told", ENDS.values(), ids=ENDS)
def test_library_reads_whatever_the_simulator_says(
    judge: Judge, provider: str, order: dict[str, Any], told: dict[str, Any] | None
) -> None:
    call = Call(provider=provider, attempt=CALL, id="conversation-1", order=order, began=1e9, ends=1e9 + 42, told=told)
    dialect = DIALECTS[provider]
    read = [("call", dialect.state(call)[1]), ("calls", dialect.page([call], {}))]
    read.append(("accepted" if provider == "elevenlabs" else "call", dialect.accepted(call)[1]))
    for event in dialect.events(call):
        match event:
            case {"type": "post_call_transcription", "data": data} | {"call": data}:
                read.append(("call", data))
            case {"message": {"type": "end-of-call-report"} as message}:
                read.append(("report", message))
    assert [judge("read", sdk=provider, what=what, body=body) for what, body in read] == [""] * len(read)


def test_library_refuses_what_is_nothing_of_the_kind(judge: Judge, provider: str) -> None:
    """Its models are lenient when they read answers; here they are not."""
    for what in ("call", "calls"):
        assert judge("read", sdk=provider, what=what, body={"id": 5})


BODY = '{"name":"Ўткир"}'


@pytest.mark.parametrize("vendor", ["retell", "elevenlabs"])
def test_library_believes_what_the_simulator_signs(judge: Judge, vendor: str) -> None:
    [signature] = DIALECTS[vendor].signed(BODY.encode(), time.time(), SECRET).values()
    assert judge("verify", sdk=vendor, body=BODY, signature=signature, secret=SECRET)
    assert not judge("verify", sdk=vendor, body=BODY + " ", signature=signature, secret=SECRET)
    assert not judge("verify", sdk=vendor, body=BODY, signature=signature, secret="another")


def test_we_believe_what_the_library_signs(line: Line, judge: Judge) -> None:
    open_account("retell", line)
    headers = {"x-retell-signature": judge("sign", body=BODY, secret=SECRET)}
    agents.reporter("retell").verify(headers, BODY.encode(), now=clock.now())


def test_every_end_that_the_library_declares_is_known(judge: Judge, provider: str) -> None:
    declared = judge("reasons", sdk=provider)
    known: Any = {"retell": retell.ENDS.get, "vapi": vapi.end_of, "elevenlabs": elevenlabs.RESULTS.get}[provider]
    assert len(declared) > 4
    assert [reason for reason in declared if known(reason) is None] == []


def test_library_finds_the_simulators_calls(line: Line, judge: Judge, provider: str) -> None:
    simulator = Simulator("key-1", SECRET)
    simulator.behavior[provider] = Behavior(held=True)
    with serving(simulator) as url:
        text = simulator.account(provider, url)
        boto3.client("ssm").put_parameter(Name=f"/agents/{provider}", Value=text, Type="SecureString")
        placed: list[Any] = [agents.agent(provider).place(an_order(call_id=f"{CALL[:-1]}{n}")) for n in range(2)]
        found = judge(
            "ask", sdk=provider, url=f"{url}/{provider}", key="key-1", call_id=placed[1].conversation_id, attempt=CALL
        )
    assert found == [placed[1].conversation_id] * 2
