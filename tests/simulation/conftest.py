"""The simulation's environment."""

from __future__ import annotations

import pytest

from tests.simulation.environment import variables


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
