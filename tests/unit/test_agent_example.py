"""The agent that the README begins with answers orders as the provider `http` has them, and signs what it reports."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import agents, clock
from chalicelib.agents.contract import Accepted, Agent, NotPlaced, Reporter
from chalicelib.calls.model import Result
from chalicelib.errors import Unauthorized
from chalicelib.settings import settings
from infra.package import ROOT
from tests.simulation.environment import variables
from tests.unit.builders import an_order

TOKEN, SECRET = "the agent's token", "the webhook's secret"
EXAMPLE = ROOT / "examples" / "agent.py"


@contextmanager
def running(*mode: str) -> Iterator[str]:
    """The example's address."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as probe:
        port = str(probe.server_port)
    environment = {**os.environ, "AGENT_TOKEN": TOKEN, "WEBHOOK_SECRET": SECRET, "AGENT_PORT": port}
    command = [sys.executable, str(EXAMPLE), *mode]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        try:
            yield said.split()[-1]
        finally:
            process.kill()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A deployment with the secrets that `make secrets` prints."""
    names = {"AGENT_TOKEN_PARAMETER": "/token", "WEBHOOK_SECRET_PARAMETER": "/secret"}
    for name, value in {**variables(), **names}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        for name, value in (("/token", TOKEN), ("/secret", SECRET)):
            boto3.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString")
        yield monkeypatch


def placed(ours: pytest.MonkeyPatch, address: str, **order: Any) -> Any:
    """What the provider `http` makes of the example's answer to an order."""
    ours.setenv("AGENT_URL", address)
    settings.cache_clear()
    agent: Agent = agents.agent("http")
    return agent.place(an_order(**order))


def test_example_is_short() -> None:
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(code) <= 45


def test_example_answers_at_once(ours: pytest.MonkeyPatch) -> None:
    with running() as address:
        result = placed(ours, address, first_name="Malika")
    assert isinstance(result, Result)
    assert (result.call_status, result.outcome, result.duration) == ("SUCCESS", "Malika will pay on Friday", 42)


def test_example_answers_later_by_a_signed_webhook(ours: pytest.MonkeyPatch) -> None:
    heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard.put((headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Webhook) as server, running("later") as address:
        threading.Thread(target=server.handle_request, daemon=True).start()
        callback_url = f"http://127.0.0.1:{server.server_port}/webhook"
        assert isinstance(placed(ours, address, call_id="attempt-1", callback_url=callback_url), Accepted)
        headers, body = heard.get(timeout=30)
    reporter: Reporter = agents.reporter("http")
    reporter.verify(headers, body, now=clock.now())
    with pytest.raises(Unauthorized):
        reporter.verify(headers, body + b" ", now=clock.now())
    webhook = reporter.read(body)
    assert webhook is not None
    assert (webhook.call_id, webhook.ending.result.call_status) == ("attempt-1", "SUCCESS")


def test_example_refuses_whoever_has_not_its_token(ours: pytest.MonkeyPatch) -> None:
    boto3.client("ssm").put_parameter(Name="/token", Value="another", Type="SecureString", Overwrite=True)
    with running() as address, pytest.raises(NotPlaced, match="401"):
        placed(ours, address)
