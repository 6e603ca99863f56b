"""The child process that reads a workbook, and may die of it: `python -m chalicelib.workbooks.child FILE MEMORY`.

It writes frames to its output, four bytes of length (big-endian) and MessagePack: lists of `[row number, cell, …]`, the
header first; a map, what the log should say; or a text, why the file cannot be read, which is the last. Cells are text,
numbers and booleans; moments are ISO 8601 text, empty cells empty text. It exits with 0 after its last frame. Whoever
started it must expect it to be killed by its memory limit, or to need killing for its time.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from chalicelib.workbooks import containers, delimited, headers, sheets, vcards
from chalicelib.workbooks.containers import Kind
from chalicelib.workbooks.refusals import NO_NAME, NO_PHONE, Refused
from chalicelib.workbooks.sheets import Say, Sheet

Numbered = tuple[int, list[Any]]

FRAME_ROWS = 500

YEARS_1904 = 1_462
"""Days from 1900 to 1904, as Excel counts them."""

OUT_OF_MEMORY = 137
"""How the child ends when Python, not calamine, comes to the memory limit."""


def rows(path: Path, say: Say) -> Iterator[Numbered]:
    """The header and every row below it that is not empty, with their numbers. Raises Refused."""
    kind = containers.kind(path)
    if kind is Kind.TEXT:
        yield from _list([Sheet("", delimited.rows(path))])
    elif kind is Kind.VCARDS:
        yield from _list([Sheet("", vcards.rows(path))])
    else:
        book = sheets.of(path, kind, say)
        found = _list(book.sheets)
        yield from _counting_from_1904(found) if book.since_1904 else found


def _list(sheets: Iterable[Sheet]) -> Iterator[Numbered]:
    """The header and the rows of the first sheet that has a list: people, or at least phones with their status."""
    why, nameless = NO_PHONE, None
    for sheet in sheets:
        rows = _without_reasons(sheet.rows) if sheet.name.startswith(f"{headers.REPORT} ") else sheet.rows
        top = list(islice(rows, headers.SAMPLED))
        place, header = headers.find([cells for _, cells in top]) or (0, [])
        fields = headers.fields(header)
        below = chain(top[place + 1 :], rows)
        if "first_name" in fields:
            yield from _below(top[place][0], header, below)
            return
        if header:
            why = NO_NAME
        if "status" in fields and not nameless:
            nameless = top[place][0], header, below
    if not nameless:
        raise Refused(why)
    yield from _below(*nameless)


def _below(number: int, header: list[Any], rows: Iterable[Numbered]) -> Iterator[Numbered]:
    """A header and the rows below it that are not empty."""
    yield number, header
    yield from (row for row in rows if row[1].count("") < len(row[1]))


def _without_reasons(rows: Iterator[Numbered]) -> Iterator[Numbered]:
    """Our own report's rows, without the column that says why they were rejected."""
    place = None
    for number, cells in rows:
        if place is None and headers.REASON in cells:
            place = len(cells) - 1 - cells[::-1].index(headers.REASON)
        if place is not None:
            del cells[place : place + 1]
        yield number, cells


def _counting_from_1904(rows: Iterator[Numbered]) -> Iterator[Numbered]:
    """Rows whose dates of birth count days from 1900 also where they are numbers."""
    header = next(rows)
    yield header
    places = [n for n, field in enumerate(headers.fields(header[1])) if field == "date_of_birth"]
    for number, cells in rows:
        for place in places:
            if place < len(cells) and isinstance(cells[place], float):
                cells[place] += YEARS_1904
        yield number, cells


def frames(path: Path, say: Say) -> Iterator[bytes]:
    """What is to be written, frame by frame."""
    try:
        found = rows(path, say)
        while some := [[number, *cells] for number, cells in islice(found, FRAME_ROWS)]:
            yield _frame(some)
    except Refused as refused:
        yield _frame(str(refused))


def _frame(value: Any) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


def write(path: Path, memory: int, out: Any) -> None:
    """Read a file within `memory` bytes of address space (macOS sets none), writing frames to a binary stream."""
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for frame in frames(path, say=lambda reader: out.write(_frame({"reader": reader}))):
        out.write(frame)
    out.flush()


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), int(sys.argv[2]), sys.stdout.buffer)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
