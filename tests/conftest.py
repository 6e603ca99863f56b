"""Every test starts with an environment of its own and with nothing cached by the one before."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

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


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector of garbage need not go through it again and again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Processes share the tests one by one; the first has all of the local stack, which wait more than they compute."""
    from xdist.scheduler import LoadScopeScheduling

    shared = LoadScopeScheduling(config, log)
    shared._split_scope = lambda nodeid: "stack" if nodeid.startswith("tests/stack/") else nodeid
    return shared


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted and measured, which they tell by `record_property`."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    counted = sorted(f"{name}: {value}" for report in reports for name, value in report.user_properties)
    if counted:
        terminalreporter.section("counted and measured")
        terminalreporter.write_line("\n".join(counted))
