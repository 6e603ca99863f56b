"""Runs tests in forks of one process that has everything imported, with a guard taken out or with none.

A pytest plugin, which goes through the collected tests in its own way.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest
from msgspec import Struct

from tests.mutants.switches import SWITCHED, SWITCHES

PATIENCE_SECONDS = 10
"""Of the processor that a test may take beside ten times what it took without a mutant; one that takes more has noticed
a mutant that comes to no end."""

LONGEST_SECONDS = 600
"""That a test may take though it does nothing."""

MEMORY = 6 << 30
"""Bytes a mutant may take."""


class Ran(Struct):
    """A test, how it failed if it did, which guards it could miss, and the seconds it took of the processor."""

    test: str
    said: str = ""
    missed: set[int] = msgspec.field(default_factory=set)
    seconds: float = 0


class Tries:
    """The collected tests, and a process that is ready to be forked."""

    def __init__(self, work: Callable[[Tries], None]) -> None:
        self.work = work
        self.items: dict[str, pytest.Item] = {}
        self.on_import: frozenset[int] = frozenset()
        """Guards that were decided while modules were imported, once for all."""

        self.reports: list[pytest.TestReport] = []

    def pytest_configure(self) -> None:
        """Property tests try the same examples each time, and learn nothing from mutants."""
        import hypothesis

        calm = hypothesis.settings(
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        )
        hypothesis.settings.register_profile("mutants", calm)
        hypothesis.settings.load_profile("mutants")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise pytest.UsageError(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.reports.append(report)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.on_import = frozenset(SWITCHES.missed | SWITCHES.refusing)
        self._warm_up()
        self.work(self)
        return True

    def _warm_up(self) -> None:
        """Run a test of the deployment and one with sockets, so that all is loaded; forget what guards made of it."""
        with _unheard():
            for fixture in ("cloud", "live"):
                having = (each for each in self.items.values() if fixture in getattr(each, "fixturenames", ()))
                if item := next(having, None):
                    self._run(item)
        gc.unfreeze()
        for each in gc.get_objects():
            if isinstance(each, functools._lru_cache_wrapper) and each.__module__ in SWITCHED:
                each.cache_clear()
        gc.collect()
        gc.freeze()

    def _run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def run(self, tests: Sequence[str], seconds: dict[str, float], out: int | None = None) -> list[Ran]:
        """Run tests one after another in a fork, until one fails, with a guard taken out or with none.

        `seconds` is what each takes of the processor, where that is known.
        """
        told = os.memfd_create("told")
        if not (child := os.fork()):
            try:
                self._play(tests, seconds, out, told)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.lseek(told, 0, os.SEEK_SET)
        with os.fdopen(told, "rb") as lines:
            ran = [msgspec.json.decode(line, type=Ran) for line in lines]
        if status:
            late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF)
            ran.append(Ran(tests[len(ran)], "came to no end" if late else f"its process died: {status}"))
        return ran

    def _play(self, tests: Sequence[str], seconds: dict[str, float], out: int | None, told: int) -> None:
        """The fork: tells how each test ended."""
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        self.reports.clear()
        for test in tests:
            ran, began = Ran(test), time.process_time()
            SWITCHES.begin(out)
            signal.setitimer(signal.ITIMER_PROF, PATIENCE_SECONDS + 10 * seconds.get(test, LONGEST_SECONDS))
            signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
            with _unheard():
                self._run(self.items[test])
            ran.seconds, ran.missed = time.process_time() - began, SWITCHES.missed
            if self.reports:
                ran.said = _last_line(self.reports[0].longreprtext) or "failed"
            os.write(told, msgspec.json.encode(ran) + b"\n")
            if self.reports:
                break
        os._exit(0)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Nothing that is printed meanwhile is seen."""
    nothing = os.open(os.devnull, os.O_RDWR)
    before = [os.dup(each) for each in (1, 2)]
    for each in (1, 2):
        os.dup2(nothing, each)
    try:
        yield
    finally:
        for each, was in zip((1, 2), before, strict=True):
            os.dup2(was, each)
        for each in (nothing, *before):
            os.close(each)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")[:200]
