"""The deployed application in process: moto's AWS, the handlers of `app.py`, and the queues between them."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler

from chalicelib import http
from tests import caches
from tests.service import aws, described
from tests.service.cloud import Cloud
from tests.service.live import Gateway, Live, served
from tests.service.meter import metered
from tests.service.permissions import watched


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """An empty deployment. What its queues hold moves only when a test says so."""
    environ: dict[str, str] = dict(os.environ)
    with mock_aws():
        aws.setup(environ)
        monkeypatch.setattr(DynamoHandler, "call_action", _one_at_a_time(DynamoHandler.call_action))
        monkeypatch.setattr(http, "Request", described.Request)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with metered() as meter, watched(monkeypatch) as watch:
            yield Cloud()
        assert bool(meter.requests["Scan"]) == ("sweeps" in request.keywords), "only sweeps go through whole tables"
        watch.check()


def _one_at_a_time(action: Callable[..., Any]) -> Callable[..., Any]:
    """DynamoDB's transactions are atomic; moto's are not while other threads write."""
    lock = threading.RLock()

    @functools.wraps(action)
    def alone(*given: Any, **options: Any) -> Any:
        with lock:
            return action(*given, **options)

    return alone


@pytest.fixture
def gateway(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The sockets' side of API Gateway, which the deployment reaches over HTTP."""
    gateway = Gateway()
    with served(gateway) as endpoint:
        monkeypatch.setenv("SOCKET_ENDPOINT", endpoint)
        caches.clear()
        yield gateway


@pytest.fixture
def live(cloud: Cloud, gateway: Gateway) -> Live:
    """The deployment with sockets; nobody is connected."""
    return Live(cloud, gateway)
