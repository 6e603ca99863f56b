"""A place for thousands of small files that come and go: memory, where the machine has such a place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")


@contextmanager
def directory() -> Iterator[Path]:
    """A directory that is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="autocall-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)
