"""What the functions logged while everything else here ran: this comes last."""

from __future__ import annotations

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


def test_no_function_was_denied_anything(lines: list[logs.Line]) -> None:
    assert not [line for line in lines if "AccessDenied" in line.text or "not authorized" in line.text]


def test_no_function_failed(lines: list[logs.Line]) -> None:
    signs = ("Traceback", '"level":"ERROR"', "[ERROR]", "Task timed out")
    assert not [line for line in lines if any(sign in line.text for sign in signs)]
