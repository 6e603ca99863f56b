"""The report of rejected rows: a workbook of the rows as they were, and why each was rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chalicelib.imports.people import Rejected
from chalicelib.workbooks import columns, headers, writer
from chalicelib.workbooks.languages import Language, reason
from chalicelib.workbooks.reader import Cells


class Report:
    """A report while rows are rejected. Corrected, it can be uploaded: what its `reason` column says is then ignored.

    Cells beyond the list's header come after that column, and are beyond the header again when it is gone.
    """

    def __init__(self, header: Cells, language: Language) -> None:
        self.language = language
        self._header = [columns.text(cell) for cell in header]
        self._phones = {n for n, field in enumerate(headers.fields(self._header)) if field == "phone"}
        self._book: writer.Workbook | None = None
        self._sheet: Any = None
        self._rows = 0

    def add(self, rejected: Rejected) -> None:
        if self._rows % writer.ROWS_PER_SHEET == 0:
            self._book = self._book or writer.Workbook()
            name = f"{headers.REPORT} {1 + self._rows // writer.ROWS_PER_SHEET}"
            self._sheet = self._book.sheet(name, [*self._header, headers.REASON])
        self._rows += 1
        width = len(self._header)
        cells = [self._cell(n, cell) for n, cell in enumerate(rejected.cells)]
        cells += [None] * (width - len(cells))
        why = writer.safe(self._sheet, reason(rejected.error.message, self.language))
        self._sheet.append([*cells[:width], why, *cells[width:]])

    def _cell(self, n: int, cell: Any) -> Any:
        if cell == "":
            return None
        if n in self._phones:
            return writer.text(self._sheet, columns.text(cell))
        return writer.safe(self._sheet, cell)

    def save(self, path: Path) -> bool:
        """Write the report to a file; whether there is anything in it."""
        if self._book is None:
            return False
        self._book.save(path)
        return True
