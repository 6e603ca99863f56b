"""The provider that `docs/agents.md` shows is whole: it orders calls and hears of them."""

from __future__ import annotations

import hmac
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import boto3
import pytest
from moto import mock_aws

from chalicelib import agents
from chalicelib.agents.contract import Accepted, Declined
from chalicelib.calls.model import CallStatus
from chalicelib.errors import Unauthorized
from tests.simulation.environment import variables
from tests.unit.builders import NOW, an_order
from tests.unit.line import Line
from tests.vendors import SECRET, account

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
ADDRESS = "https://api.acme.example"


def example() -> str:
    """The one program on the page."""
    [program] = [block.partition("```")[0] for block in PAGE.read_text().split("```python\n")[1:]]
    return program


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to the provider, which is put where the page says."""
    for name, value in {**variables(), "AGENT_ACCOUNTS_PATH": "/agents"}.items():
        monkeypatch.setenv(name, value)
    opened = Line()
    module = ModuleType("chalicelib.agents.acme")
    exec(example().replace(ADDRESS, f"http://{opened.address}"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(agents.PROVIDERS, "acme", "AcmeAgent")
    with mock_aws():
        boto3.client("ssm").put_parameter(
            Name="/agents/acme", Value=account("acme", "http://unused"), Type="SecureString"
        )
        yield opened
    opened.close()


def test_example_is_short() -> None:
    assert ADDRESS in example()
    assert len(example().splitlines()) <= 40


def test_example_orders_a_call(line: Line) -> None:
    line.answers(201, b'{"id":"call-1"}')
    assert agents.agent("acme").place(an_order(call_id="attempt-1")) == Accepted("call-1")
    body = json.loads(line.received[0].partition(b"\r\n\r\n")[2])
    assert (body["agent"], body["to"], body["reference"]) == ("agent-1", "+998901234567", "attempt-1")
    line.answers(400, b'{"message":"no such agent"}')
    assert isinstance(agents.agent("acme").place(an_order()), Declined)


def test_example_hears_how_it_ended(line: Line) -> None:
    reporter = agents.reporter("acme")
    told = {"id": "call-1", "reference": "attempt-1", "reason": "completed", "duration": 61, "summary": "They talked."}
    body = json.dumps(told | {"analysis": {"outcome": "PROMISE_TO_PAY"}}).encode()
    seconds = str(int(NOW.timestamp()))
    digest = hmac.new(SECRET.encode(), seconds.encode() + body, "sha256").hexdigest()
    reporter.verify({"x-acme-time": seconds, "x-acme-signature": digest}, body, now=NOW)
    with pytest.raises(Unauthorized):
        reporter.verify({"x-acme-time": seconds, "x-acme-signature": "0"}, body, now=NOW)
    webhook = reporter.read(body)
    assert webhook is not None
    result = webhook.ending.result
    assert (webhook.call_id, result.call_status, result.duration) == ("attempt-1", CallStatus.PROMISE_TO_PAY, 61)
