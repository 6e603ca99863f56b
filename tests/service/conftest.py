"""The deployed application in process: moto's AWS, the handlers of `app.py`, and the queues between them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.service import aws
from tests.service.cloud import Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty deployment. What its queues hold moves only when a test says so."""
    environ: dict[str, str] = dict(os.environ)
    with mock_aws():
        aws.setup(environ)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield Cloud()
