"""One local stack for the whole session, the voice agent it calls, and an organization for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import scratch
from tests.stack.agent import VoiceAgent
from tests.stack.deployed import LocalStack
from tests.stack.office import Office


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """The one local stack of the session. Tests keep apart by using organizations of their own."""
    with scratch.directory() as home:
        running = LocalStack(home, SIMULATED_CALL_SECONDS="0")
        running.start()
        yield running
        running.stop()


@pytest.fixture
def agent(stack: LocalStack) -> VoiceAgent:
    """The simulated voice agent that the stack calls."""
    return VoiceAgent(stack)


@pytest.fixture
def office(stack: LocalStack, request: pytest.FixtureRequest) -> Office:
    """An organization that only this test knows."""
    return Office(stack, request.node.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the functions logged is judged when everything else has run."""
    items.sort(key=lambda item: item.path.name == "test_logs.py")
