"""Pauses that take no time: whoever sleeps finds it later and has not waited."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Pauses:
    """How long was slept, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@contextmanager
def skipped() -> Iterator[Pauses]:
    """Lets time pass at once wherever somebody sleeps inside the block."""
    pauses, began = Pauses(), time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", pauses.sleep)
        patch.setattr(time, "monotonic", lambda: began + pauses.seconds)
        yield pauses
