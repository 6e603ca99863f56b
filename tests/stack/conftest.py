"""One local stack for the whole session, the voice agent it calls, and an organization for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import scratch
from tests.stack.agent import VoiceAgent
from tests.stack.deployed import LocalStack
from tests.stack.office import Office


@pytest.fixture(scope="session")
def agent() -> Iterator[VoiceAgent]:
    """The voice agent that the stack's provider `http` calls."""
    with VoiceAgent() as agent:
        yield agent


@pytest.fixture(scope="session")
def stack(agent: VoiceAgent) -> Iterator[LocalStack]:
    """The one local stack of the session. Tests keep apart by using organizations of their own."""
    with scratch.directory() as home:
        running = LocalStack(home, SIMULATED_CALL_SECONDS="0", AGENT_URL=agent.url, AGENT_TOKEN=agent.token)
        running.start()
        yield running
        running.stop()


@pytest.fixture
def office(stack: LocalStack, request: pytest.FixtureRequest) -> Office:
    """An organization that only this test knows."""
    return Office(stack, request.node.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the functions logged is judged when everything else has run."""
    items.sort(key=lambda item: item.path.name == "test_logs.py")
