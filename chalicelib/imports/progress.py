"""How far an import has come, kept in its row at least every two seconds: the row's stream announces it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.imports import store
from chalicelib.imports.model import Import, ImportStatus

SECONDS = 1.5
"""Between two notes, if there is something new; with the longest wait in between it makes two."""


class Progress:
    """Notes of one import. Doing something again after a crash is no progress until it comes further than before."""

    def __init__(self, of: Import) -> None:
        self.of = of
        self._noted = time.monotonic()

    def tell(self, now: datetime, **changes: Any) -> None:
        """Note changes if it is time. Raises Over when the import has ended meanwhile."""
        if time.monotonic() - self._noted >= SECONDS:
            self.note(now, **changes)

    def note(self, now: datetime, **changes: Any) -> Import:
        """Note changes if they bring the import further. Raises Over."""
        if _stage(replace(self.of, **changes)) > _stage(self.of):
            self.of = store.change(self.of, progressed_at=clock.stamp(now), **changes)
            self._noted = time.monotonic()
        return self.of


def _stage(of: Import) -> tuple[bool, bool, int, int]:
    """How far an import has come."""
    return of.status is ImportStatus.RUNNING, of.plan is not None, of.processed_rows, of.total_rows
