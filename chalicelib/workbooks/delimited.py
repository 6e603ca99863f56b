"""Text files: rows of cells with something between them, read in the way that makes people of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.workbooks import encodings, headers, refusals
from chalicelib.workbooks.refusals import Refused

Numbered = tuple[int, list[Any]]

DELIMITERS = ",;\t|"

SAMPLE = 1 << 18
"""Bytes at a file's beginning by which ways of reading are compared."""

LONGEST_CELL = 1 << 24
"""Characters of a cell, beyond which a quotation mark is taken for one that is not closed."""

END = "\ufdd0"
"""A line after a text file's last: it is inside the last cell when a quotation mark before it is not closed."""

END_OF_FILE = "\x1a"
"""What old programs write behind a text's end (Ctrl-Z)."""

_SEPARATOR = re.compile(r'\ufeff?"?sep=(.)"?[\r\n]*', re.IGNORECASE)
"""The first line by which Excel is told the delimiter; to Excel it is no row."""


class Way(NamedTuple):
    """How a text is read: what stands between cells, and whether each row as a whole is in quotation marks."""

    delimiter: str
    wrapped: bool = False


def rows(path: Path) -> Iterator[Numbered]:
    """A text file's rows with their numbers. Raises Refused."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    encoding = encodings.of(path, start)
    text = start.decode(encoding, "replace")
    told = _SEPARATOR.match(text)
    ways = [Way(told[1])] if told else [Way(each, wrapped) for wrapped in (False, True) for each in DELIMITERS]
    best = max(ways, key=lambda way: _score(text, way)) if len(ways) > 1 else ways[0]
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        yield from _read(islice(file, 1 if told else 0, None), best)


def _score(text: str, way: Way) -> headers.Score:
    """How well a way of reading makes a list of a text's beginning."""
    sample: list[list[Any]] = []
    with suppress(Refused):
        lines = io.StringIO(text, newline="")
        sample.extend(cells for _, cells in islice(_read(lines, way, complete=False), headers.SAMPLED))
    return headers.score(sample)


def _read(lines: Iterable[str], way: Way, *, complete: bool = True) -> Iterator[Numbered]:
    """Rows until the END. Raises Refused for a quotation mark that is not closed: the rest is in its cell."""
    number = 0
    lines = chain((line.rstrip(END_OF_FILE) for line in lines), [END] if complete else [])
    found = csv.reader(lines, delimiter=way.delimiter)
    try:
        for number, cells in enumerate(found, 1):
            if cells == [END]:
                return
            if cells and cells[-1].endswith(END):
                raise Refused(refusals.unclosed(number))
            whole = way.wrapped and cells and not any(cells[1:])
            row = next(csv.reader(cells[:1], delimiter=way.delimiter), []) if whole else cells
            yield number, row[: headers.LONGEST_ROW]
    except csv.Error:
        raise Refused(refusals.unclosed(number + 1)) from None
