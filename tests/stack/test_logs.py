"""What the functions logged while everything else here ran: this comes last."""

from __future__ import annotations

import json

import pytest

from local import logs
from tests.stack.deployed import LocalStack

FUNCTIONS = {
    *("APIHandler", "Broadcaster", "Clock", "Dialer", "Importer", "Pacer", "Poller", "Publisher", "Worker"),
    *("WebsocketConnect", "WebsocketDisconnect", "WebsocketMessage"),
}


@pytest.fixture
def lines(stack: LocalStack) -> list[logs.Line]:
    """Everything that was logged, if every test ran that makes the functions work."""
    found = logs.lines(stack.laptop)
    silent = FUNCTIONS - {line.function for line in found}
    if silent:
        pytest.skip(f"nothing was asked of {', '.join(sorted(silent))}")
    return found


def test_refusal_is_found_by_its_request_id(stack: LocalStack) -> None:
    refused = stack.call("GET", "/auto-calling/contacts/none").json()
    (line,) = logs.about(logs.lines(stack.laptop), refused["requestId"])
    assert line.function == "APIHandler"
    assert json.loads(line.text)["status"] == refused["status"]


def test_no_function_was_denied_anything(lines: list[logs.Line]) -> None:
    assert not [line for line in lines if "AccessDenied" in line.text or "not authorized" in line.text]


def test_no_function_failed(lines: list[logs.Line]) -> None:
    signs = ("Traceback", '"level":"ERROR"', "[ERROR]", "Task timed out")
    assert not [line for line in lines if any(sign in line.text for sign in signs)]
