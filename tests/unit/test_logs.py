"""What the functions log: never a phone, a token or a secret, whatever goes wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress

import boto3
import jwt
import pytest
from moto import mock_aws

import app
from chalicelib.agents.contract import NotPlaced
from chalicelib.agents.http import HttpAgent
from chalicelib.aws.ssm import secret
from chalicelib.log import alarm, correlated, logger, measure
from tests import logged as logs
from tests.logged import Logged
from tests.service.cloud import rest_event
from tests.simulation.environment import variables
from tests.simulation.story import Story
from tests.unit.builders import an_order

PHONE = re.compile(r"\+?998[\d ()-]{9,}")
TOKEN = "the agent's token"
KEY = "a secret that signs the tokens of this test"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def logged(environment: pytest.MonkeyPatch) -> Iterator[Logged]:
    """All that is logged, as CloudWatch would get it."""
    with logs.everything() as written:
        yield written


def bearer(key: str = KEY) -> str:
    return jwt.encode({"organizationId": "1", "exp": 2**33}, key, "HS256")


def ask(token: str, body: bytes = b'{"firstName":"Gulnora","phone":"+998901234567"}') -> int:
    """The status of a `POST /contacts`."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    status: int = app.app(rest_event("POST", "/auto-calling/contacts", body, headers), None)["statusCode"]
    return status


def test_lines_are_json_with_what_support_asks_for(logged: Logged) -> None:
    logger().info("call released", attemptId="first", reason="the agent is full")
    line = json.loads(logged.getvalue())
    assert (line["level"], line["message"], line["service"]) == ("INFO", "call released", "autocall")
    assert (line["attemptId"], line["reason"]) == ("first", "the agent is full")


def test_alarm_is_an_error_and_a_metric(logged: Logged) -> None:
    alarm("CounterDifference", campaignId="campaign")
    (line,) = logged.lines
    assert (line["level"], line["campaignId"], line["CounterDifference"]) == ("ERROR", "campaign", 1)


def test_measures_are_metrics_in_all_and_by_what_they_are_about(logged: Logged) -> None:
    measure("agent asked", {"CallsStarted": 1, "AgentLatency": 250}, {"provider": "http"}, attemptId="some")
    (line,) = logged.lines
    (told,) = line["_aws"]["CloudWatchMetrics"]
    assert told == {
        "Namespace": "autocall",
        "Dimensions": [["service"], ["service", "provider"]],
        "Metrics": [{"Name": "CallsStarted", "Unit": "Count"}, {"Name": "AgentLatency", "Unit": "Milliseconds"}],
    }
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    assert [line[name] for name in ("service", "provider", "CallsStarted", "AgentLatency")] == [
        "autocall",
        "http",
        1,
        250,
    ]
    assert (line["message"], line["attemptId"]) == ("agent asked", "some")


def test_what_is_done_is_in_every_line_until_it_is_done(logged: Logged) -> None:
    with correlated("outer"):
        with suppress(ZeroDivisionError), correlated("inner"):
            logger().info("in")
            raise ZeroDivisionError
        logger().info("out")
    logger().info("after")
    assert [line.get("correlationId") for line in logged.lines] == ["inner", "outer", None]


def test_what_nobody_began_is_something_new(logged: Logged) -> None:
    for _ in range(2):
        with correlated(""):
            logger().info("tick")
    first, second = (line["correlationId"] for line in logged.lines)
    assert first != second


def test_phone_in_a_log_would_be_seen(logged: Logged) -> None:
    logger().info("calling", phone="+998 90 123-45-67")
    assert PHONE.findall(logged.getvalue())


def test_calling_campaigns_through_every_fault_logs_no_phone(logged: Logged) -> None:
    Story(3, people=12).tell()
    assert logged.getvalue().count("\n") > 5
    assert PHONE.findall(logged.getvalue()) == []


def test_request_that_breaks_logs_neither_its_token_nor_its_body(
    environment: pytest.MonkeyPatch, logged: Logged
) -> None:
    environment.setenv("JWT_SECRET_PARAMETER", "/jwt-secret")
    with mock_aws():
        for parameter in ("/jwt-secret", variables()["BARRED_PHONES_KEY_PARAMETER"]):
            boto3.client("ssm").put_parameter(Name=parameter, Value=KEY, Type="SecureString")
        assert ask(bearer()) == 500, "there are no tables"
    assert "request failed" in logged.getvalue()
    assert PHONE.findall(logged.getvalue()) == []
    assert "Gulnora" not in logged.getvalue()
    assert bearer() not in logged.getvalue()
    assert KEY not in logged.getvalue()


def test_deployment_without_its_secret_logs_no_token(logged: Logged) -> None:
    with mock_aws():
        assert ask(bearer()) == 503
    assert "the tokens' key cannot be read" in logged.getvalue()
    assert bearer() not in logged.getvalue()


def test_token_that_is_refused_is_not_logged(environment: pytest.MonkeyPatch, logged: Logged) -> None:
    environment.setenv("JWT_SECRET_PARAMETER", "/jwt-secret")
    with mock_aws():
        boto3.client("ssm").put_parameter(Name="/jwt-secret", Value=KEY, Type="SecureString")
        assert ask(bearer("another secret, also of the needed length")) == 401
    assert "eyJ" not in logged.getvalue()


def test_agent_that_cannot_be_reached_costs_no_secret(environment: pytest.MonkeyPatch, logged: Logged) -> None:
    environment.setenv("AGENT_URL", "http://127.0.0.1:9/calls")
    environment.setenv("AGENT_TOKEN_PARAMETER", "/agent-token")
    with mock_aws():
        boto3.client("ssm").put_parameter(Name="/agent-token", Value=TOKEN, Type="SecureString")
        assert secret("/agent-token") == TOKEN
    try:
        HttpAgent().place(an_order())
    except NotPlaced:
        logger().exception("call not placed")
    assert "127.0.0.1" in logged.getvalue()
    assert PHONE.findall(logged.getvalue()) == []
    assert TOKEN not in logged.getvalue()
