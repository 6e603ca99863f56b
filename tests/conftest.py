"""Every test starts with an environment of its own and with nothing cached by the one before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import caches


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "SIMULATED_CALL_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    caches.clear()
    yield
    caches.clear()
