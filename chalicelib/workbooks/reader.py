"""A workbook's rows, read by a child process: a crafted sheet makes any reader allocate without end or abort."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from chalicelib.errors import Failure
from chalicelib.log import logger
from chalicelib.workbooks import refusals

Cells = list[Any]
Row = tuple[int, Cells]
"""A row's number on the sheet, and its cells: text, numbers, booleans; an empty cell is empty text."""

ROOT = Path(__file__).parents[2]
CHILD = "chalicelib.workbooks.child"
KILLED = -9
OUT_OF_MEMORY = {-6, KILLED, 137}
"""How a process ends at its memory limit: abort (Rust), kill (the system), or as the child says it."""


class Unreadable(Failure):
    """The file cannot be read as a workbook."""


class Limits(Struct, frozen=True):
    """What reading a file may take: bytes of address space, and seconds, those of whoever takes the rows included."""

    memory: int = 1 << 30
    seconds: float = 180


def rows(path: Path, limits: Limits = Limits()) -> Generator[Row, None, None]:  # noqa: B008 (frozen)
    """The header of a workbook's list and every row below it that is not empty. Raises Unreadable, also midway."""
    with subprocess.Popen(  # noqa: S603 (our own module)
        [sys.executable, "-P", "-S", "-m", CHILD, str(path), str(limits.memory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), "LC_ALL": "C.UTF-8"},
    ) as child:
        until = time.monotonic() + limits.seconds
        timer = threading.Timer(limits.seconds, child.kill)
        timer.start()
        try:
            assert child.stdout is not None  # noqa: S101 (a pipe was asked for)
            yield from _decoded(child.stdout)
            ended = child.wait()
        finally:
            timer.cancel()
            child.kill()
    if ended:
        raise Unreadable(_why(ended, limits, late=ended == KILLED and time.monotonic() >= until))


def _decoded(stream: IO[bytes]) -> Iterator[Row]:
    decoder = msgspec.msgpack.Decoder(list[list[Any]] | dict[str, str] | str)
    while len(size := stream.read(4)) == 4:
        body = stream.read(int.from_bytes(size, "big"))
        if len(body) < int.from_bytes(size, "big"):
            return
        frame = decoder.decode(body)
        if isinstance(frame, str):
            raise Unreadable(frame)
        if isinstance(frame, dict):
            logger().warning("calamine gave up on a workbook, another reader goes on", **frame)
            continue
        for number, *cells in frame:
            yield number, cells


def _why(ended: int, limits: Limits, *, late: bool) -> str:
    logger().warning("a workbook's reader died", exitCode=ended, late=late)
    if late:
        return refusals.too_slow(limits.seconds)
    return refusals.too_much(limits.memory >> 20) if ended in OUT_OF_MEMORY else refusals.GAVE_UP
