"""The child process that reads a workbook, and may die of it: `python -m chalicelib.workbooks.child FILE MEMORY`.

It writes frames to its output, four bytes of length (big-endian) and MessagePack: lists of `[row number, cell, …]`, the
header first; or a text, why the file cannot be read, which is the last. Cells are text, numbers and booleans; moments
are ISO 8601 text, empty cells empty text. It exits with 0 after its last frame. Whoever started it must expect it to be
killed by its memory limit, or to need killing for its time.
"""

from __future__ import annotations

import codecs
import csv
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import msgspec

from chalicelib.workbooks import headers

Numbered = tuple[int, list[Any]]

FRAME_ROWS = 500
BLOCK = 1 << 20
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""First bytes of .xlsx and .ods, of .xls."""

MARKUP = b"<", b"MIME-Version:"
"""First bytes of web pages and XML, which some programs call .xls."""

END = "\ufdd0"
"""A line after a text file's last: it is inside the last cell when a quotation mark before it is not closed."""

UNPACKED_LIMIT = 1 << 30
"""Bytes an archive may declare for all its parts together; a million rows have about 400 MB."""

PART_LIMIT = 10_000
"""Parts an archive may have."""

OUT_OF_MEMORY = 137
"""How the child ends when Python, not calamine, comes to the memory limit."""

NO_PHONE = (
    f"No header with a phone column in the first {headers.SEARCHED} rows of any sheet: expected a header such as"
    " phone, Telefon, Tel. raqami, Телефон or Номер телефона."
)
NO_NAME = (
    "The list has a phone column, but no column of names: expected a header such as firstName, Name, Ism, F.I.Sh., Имя"
    " or ФИО."
)


class Refused(Exception):
    """Why the file cannot be read."""


def rows(path: Path) -> Iterator[Numbered]:
    """The header and every row below it that is not empty, with their numbers. Raises Refused."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith((ZIP, OLE)):
        if start.startswith(ZIP):
            _check_archive(path)
        sheets = _sheets(path)
    elif not start:
        raise Refused("The file is empty.")
    else:
        _check_text(start)
        sheets = iter([_text(path, start)])
    why = NO_PHONE
    for sheet in sheets:
        top = list(islice(sheet, headers.SEARCHED))
        place, header = headers.find([cells for _, cells in top]) or (0, [])
        if "first_name" in headers.fields(header):
            yield top[place][0], header
            yield from (row for row in chain(top[place + 1 :], sheet) if row[1].count("") < len(row[1]))
            return
        if header:
            why = NO_NAME
    raise Refused(why)


def _check_archive(path: Path) -> None:
    """Refuse an archive that says itself that it is too large; what it conceals, the memory limit finds."""
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
    except (BadZipFile, OSError, NotImplementedError):
        raise Refused("The file is damaged or was not sent completely.") from None
    size = sum(part.file_size for part in parts)
    if size > UNPACKED_LIMIT or len(parts) > PART_LIMIT:
        raise Refused(
            f"Unpacked, the workbook has {size / 1e6:,.0f} MB in {len(parts):,} parts; at most"
            f" {UNPACKED_LIMIT / 1e6:,.0f} MB in {PART_LIMIT:,} parts are read."
        )


def _check_text(start: bytes) -> None:
    if start.translate(None, b"\0" + codecs.BOM_UTF8 + codecs.BOM_UTF16).lstrip().startswith(MARKUP):
        raise Refused("The file is a web page or XML, not a workbook: open it in Excel and save it as .xlsx.")


def _sheets(path: Path) -> Iterator[Iterator[Numbered]]:
    import python_calamine as calamine

    try:
        book = calamine.load_workbook(str(path))
        for index, about in enumerate(book.sheets_metadata):
            if about.typ is calamine.SheetTypeEnum.WorkSheet and about.visible is calamine.SheetVisibleEnum.Visible:
                rows = _numbered(book.get_sheet_by_index(index))
                yield _without_reasons(rows) if about.name.startswith(f"{headers.REPORT} ") else rows
    except calamine.PasswordError:
        raise Refused("The workbook is protected by a password.") from None
    except calamine.CalamineError as error:
        raise Refused(f"The file cannot be read as a workbook: {error}") from None


def _numbered(sheet: Any) -> Iterator[Numbered]:
    if sheet.start is None:
        return iter(())
    return ((number, row[: headers.LONGEST_ROW]) for number, row in enumerate(sheet.iter_rows(), 1))


def _without_reasons(rows: Iterator[Numbered]) -> Iterator[Numbered]:
    """Our own report's rows, without the column that says why they were rejected."""
    place = None
    for number, cells in rows:
        if place is None and headers.REASON in cells:
            place = len(cells) - 1 - cells[::-1].index(headers.REASON)
        if place is not None:
            del cells[place : place + 1]
        yield number, cells


def _text(path: Path, start: bytes) -> Iterator[Numbered]:
    """A text file's rows, read with the delimiter that gives its header the most fields."""
    encoding = _encoding(path, start)

    def read(delimiter: str) -> Iterator[Numbered]:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            yield from _records(csv.reader(chain(file, [END]), delimiter=delimiter))

    def fields(delimiter: str) -> int:
        top: list[list[Any]] = []
        with suppress(Refused):
            top.extend(cells for _, cells in islice(read(delimiter), headers.SEARCHED))
        found = headers.find(top)
        return headers.known(found[1]) if found else 0

    return read(max(",;\t", key=fields))


def _records(rows: Iterator[list[str]]) -> Iterator[Numbered]:
    """A CSV's rows until its END. Raises Refused for a quotation mark that is not closed: the rest is in its cell."""
    number = 0
    try:
        for number, cells in enumerate(rows, 1):
            if cells == [END]:
                return
            if cells and cells[-1].endswith(END):
                raise Refused(f"Row {number}: a quotation mark is not closed.")
            yield number, cells[: headers.LONGEST_ROW]
    except csv.Error:
        raise Refused(f"Row {number + 1}: a quotation mark is not closed.") from None


def _encoding(path: Path, start: bytes) -> str:
    """UTF-8, UTF-16, or Windows-1251 where more is no UTF-8 than is. Raises Refused for what is no text."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        raise Refused("The file is neither a workbook nor text.")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    letters = bad = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            letters += len(text) - len(text.encode("ascii", "ignore"))
            bad += text.count("\ufffd")
    return "cp1251" if 2 * bad > letters else "utf-8-sig"


def frames(path: Path) -> Iterator[bytes]:
    """What is to be written, frame by frame."""
    try:
        found = rows(path)
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
    for frame in frames(path):
        out.write(frame)
    out.flush()


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), int(sys.argv[2]), sys.stdout.buffer)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
