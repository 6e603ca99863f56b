"""AWS clients: each waits as long as is written down, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.aws import dynamodb, s3, sqs, ssm
from chalicelib.aws.clients import PATIENCE, Patience

CLIENTS: dict[str, Callable[[], Any]] = {
    "dynamodb": lambda: dynamodb.connection().client,
    "sqs": sqs.client,
    "s3": s3._s3,
    "ssm": lambda: ssm.provider().client,
}


@pytest.mark.parametrize("service", CLIENTS)
def test_client_waits_as_long_as_is_written_down(service: str) -> None:
    config: Any = CLIENTS[service]().meta.config
    waits = Patience(config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"])
    assert waits == PATIENCE[service]
    assert config.retries["mode"] == "standard"


def test_longest_wait_is_every_try_and_the_pauses_between_them() -> None:
    assert Patience(connect=1, read=4, tries=3).longest == 5 + 1 + 5 + 2 + 5
    assert Patience(connect=1, read=3, tries=1).longest == 4
