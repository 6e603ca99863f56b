"""The simulation's environment: its tables' and queues' names, and no AWS."""

from __future__ import annotations

import pytest

from tests.simulation.dynamodb import DynamoDB


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = {
        "CAMPAIGN_EVENTS_QUEUE": "https://sqs.test/campaign-events.fifo",
        "DIAL_QUEUE": "https://sqs.test/dial-queue",
        "JOBS_QUEUE": "https://sqs.test/jobs",
        "IMPORTS_QUEUE": "https://sqs.test/imports",
    }
    other = {"BUCKET": "bucket", "SOCKET_ENDPOINT": "https://sockets.test/api", "POWERTOOLS_LOG_LEVEL": "CRITICAL"}
    for name, value in {**DynamoDB().names(), **queues, **other}.items():
        monkeypatch.setenv(name, value)
