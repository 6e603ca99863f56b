"""Our reader against SheetJS, cell by cell: `python -m bench.readers FOLDER [FILE …]`, where npm's `xlsx` is installed.

Every file below a folder is read by both. Of the list that our reader finds, each row is compared with the same row of
SheetJS's sheet, and what differs is printed. `NODE_PATH` says where `xlsx` is. Not part of `make bench`: it needs files
of other people, and there is no goal but to know why each difference is one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalicelib.workbooks import reader
from chalicelib.workbooks.reader import Row, Unreadable

KINDS = {".xlsx", ".xls", ".ods"}
"""Of text SheetJS does not tell encodings and delimiters apart."""

SHOWN = 5
"""Differences of a file that are printed."""

SECONDS = 120

SHEETJS = """
const XLSX = require('xlsx');
const book = XLSX.readFile(process.argv[1], {cellDates: true, raw: true, dense: false});
const cell = (value) => value instanceof Date ? {date: isNaN(value) ? '' : value.toISOString()} : value;
const sheets = book.SheetNames.map((name) => {
  const sheet = book.Sheets[name];
  if (!sheet['!ref']) return [];
  const range = {s: {r: 0, c: 0}, e: XLSX.utils.decode_range(sheet['!ref']).e};
  for (const at of Object.keys(sheet)) if (sheet[at] && sheet[at].t === 'e') sheet[at] = {t: 's', v: ''};
  return XLSX.utils.sheet_to_json(sheet, {header: 1, raw: true, defval: '', blankrows: true, range})
    .map((row) => row.map(cell));
});
process.stdout.write(JSON.stringify(sheets));
"""
"""Prints the cells of every sheet; moments as maps, errors as empty text, like our reader."""


def main(files: list[Path]) -> None:
    """Compare files and print the differences and counts."""
    counted: Counter[str] = Counter()
    for file in files:
        outcome, differences = compared(file)
        counted[outcome] += 1
        if outcome != "equal":
            print(f"{file}: {outcome}")
            for difference in differences[:SHOWN]:
                print(f"  {difference}")
    print(f"{sum(counted.values())} files: {', '.join(f'{number} {name}' for name, number in counted.most_common())}")


def compared(file: Path) -> tuple[str, list[str]]:
    """What became of a file, and what differs."""
    try:
        rows = list(reader.rows(file))
    except Unreadable as refused:
        return f"refused by us ({refused})", []
    sheets = by_sheetjs(file)
    if sheets is None:
        return "unreadable for SheetJS", []
    sheet = next((sheet for sheet in sheets if _has(sheet, rows[0])), None)
    if sheet is None:
        return "another header", [f"ours is {rows[0]}"]
    differences = list(different(rows[1:], sheet))
    return ("different" if differences else "equal"), differences


def by_sheetjs(file: Path) -> list[list[list[Any]]] | None:
    """The cells of each sheet; None for a file that SheetJS cannot read."""
    command = ["node", "-e", SHEETJS, str(file.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    sheets: list[list[list[Any]]] = json.loads(done.stdout)
    return sheets


def _has(sheet: list[list[Any]], header: Row) -> bool:
    """Whether a sheet has a header where we found it; the upper row of two may have filled it."""
    number, cells = header
    theirs = sheet[number - 1] if 0 < number <= len(sheet) else []
    return any(theirs) and all(same(ours, each) for ours, each in zip(cells, theirs, strict=False) if each != "")


def different(rows: list[Row], sheet: list[list[Any]]) -> Iterator[str]:
    """The cells that are not the same; those that are empty or beyond the row are."""
    for number, cells in rows:
        theirs = sheet[number - 1] if number <= len(sheet) else []
        for place in range(max(len(cells), len(theirs))):
            ours, other = (each[place] if place < len(each) else "" for each in (cells, theirs))
            if not same(ours, other):
                yield f"row {number}, column {place + 1}: {ours!r}, SheetJS {other!r}"


def same(ours: Any, theirs: Any) -> bool:
    """Whether two cells say the same: numbers to 15 digits, moments to the second, text without line ends' kinds."""
    if isinstance(theirs, dict):
        return isinstance(ours, str) and theirs["date"][:10] == (ours[:10] if "-" in ours[:10] else theirs["date"][:10])
    if isinstance(ours, float | int) and isinstance(theirs, float | int):
        return f"{ours:.14g}" == f"{theirs:.14g}"
    return _text(ours) == _text("" if theirs is None else theirs)


def _text(cell: Any) -> str:
    return str(cell).replace("\r\n", "\n").replace("\r", "\n").strip()


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:]]
    found = [file for each in given for file in (sorted(each.rglob("*")) if each.is_dir() else [each])]
    main([file for file in found if file.suffix.lower() in KINDS])
