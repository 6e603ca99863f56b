"""Records in a file, one after another, each with its size before it; large ones compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SIZE = 4
"""Bytes of the size, big-endian."""


def sized(record: bytes) -> bytes:
    """A record as it is written."""
    return len(record).to_bytes(SIZE, "big") + record


def next_of(file: IO[bytes]) -> bytes | None:
    """The record a file stands at; None at its end."""
    size = file.read(SIZE)
    return file.read(int.from_bytes(size, "big")) if size else None


def packed(record: bytes) -> bytes:
    """A record as it is written, compressed."""
    return sized(zlib.compress(record, 1))


def opened(record: bytes) -> bytes:
    """What was compressed."""
    return zlib.decompress(record)


def of(path: Path) -> Iterator[bytes]:
    """The records of a file, as they lie there."""
    with path.open("rb") as file:
        while (record := next_of(file)) is not None:
            yield record
