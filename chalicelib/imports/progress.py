"""How far an import has come, kept in its row at least every two seconds: the row's stream announces it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from chalicelib import clock
from chalicelib.imports import store
from chalicelib.imports.model import Import

SECONDS = 1.5
"""Between two notes, if there is something new; with the longest wait in between it makes two."""


class Progress:
    """Notes of one import, not more often than is useful."""

    def __init__(self, of: Import) -> None:
        self.of = of
        self._noted = time.monotonic()
        self._last: dict[str, Any] = {}

    def tell(self, now: datetime, **counts: Any) -> None:
        """Note counts when it is time and they are new. Raises Over when the import has ended meanwhile."""
        if time.monotonic() - self._noted >= SECONDS and counts != self._last:
            self.note(now, **counts)

    def note(self, now: datetime, **changes: Any) -> Import:
        """Note changes at once. Raises Over."""
        self._noted, self._last = time.monotonic(), changes
        self.of = store.change(self.of, progressed_at=clock.stamp(now), **changes)
        return self.of
