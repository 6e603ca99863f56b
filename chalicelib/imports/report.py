"""The report of rejected rows: a workbook of the rows as they were, and why each was rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chalicelib import spreadsheet
from chalicelib.imports import columns, headers
from chalicelib.imports.languages import Language, reason
from chalicelib.imports.reader import Cells
from chalicelib.imports.workbook import Rejected


class Report:
    """A report while rows are rejected. Corrected, it can be uploaded: its `reason` column is no column of a list."""

    def __init__(self, header: Cells, language: Language) -> None:
        self._language = language
        titles = [columns.text(cell) for cell in header]
        fields = headers.fields(titles)
        self._columns = [n for n, field in enumerate(fields) if field != headers.REASON]
        self._header = [titles[n] for n in self._columns]
        self._phones = {n for n in self._columns if fields[n] == "phone"}
        self._book: spreadsheet.Workbook | None = None
        self._sheet: Any = None
        self._rows = 0

    def add(self, rejected: Rejected) -> None:
        if self._rows % spreadsheet.ROWS_PER_SHEET == 0:
            self._book = self._book or spreadsheet.Workbook()
            self._sheet = self._book.sheet(f"Rejected {1 + self._rows // spreadsheet.ROWS_PER_SHEET}", self._titles())
        self._rows += 1
        cells = [self._cell(rejected.cells, n) for n in self._columns]
        self._sheet.append([*cells, reason(rejected.error.message, self._language)])

    def _titles(self) -> list[str]:
        return [*self._header, headers.REASON]

    def _cell(self, cells: Cells, n: int) -> Any:
        if n >= len(cells) or cells[n] == "":
            return None
        if n in self._phones:
            return spreadsheet.text(self._sheet, columns.text(cells[n]))
        return spreadsheet.safe(self._sheet, cells[n])

    def save(self, path: Path) -> bool:
        """Write the report to a file; whether there is anything in it."""
        if self._book is None:
            return False
        self._book.save(path)
        return True
