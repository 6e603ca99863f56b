"""Writing workbooks: row by row into a file, with constant memory, and never a cell that a program would run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

ROWS_PER_SHEET = 1_000_000
"""Rows below the header; Excel's sheets end at 1,048,576."""

LONGEST_CELL = 32_767
"""Characters Excel takes in a cell."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold."""

_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "#")
"""How text begins that a program may take for a formula, or for an error such as #REF!."""


class Workbook:
    """A workbook that is written from top to bottom."""

    def __init__(self) -> None:
        import openpyxl

        self.book = openpyxl.Workbook(write_only=True)

    def sheet(
        self,
        name: str,
        header: Sequence[str],
        widths: Iterable[float] = (),
        notes: Iterable[str] = (),
        text_columns: Collection[str] = (),
    ) -> Any:
        """A new sheet with a bold header that stays in view, notes to its titles, and columns of text."""
        from openpyxl.comments import Comment
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter

        sheet: Any = self.book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for number, width in enumerate(widths, 1):
            sheet.column_dimensions[get_column_letter(number)].width = width
        for number, title in enumerate(header, 1):
            if title in text_columns:
                sheet.column_dimensions[get_column_letter(number)].number_format = "@"
        cells = [text(sheet, title) for title in header]
        for cell in cells:
            cell.font = Font(bold=True)
        for cell, note in zip(cells, notes, strict=False):
            cell.comment = Comment(note, "", height=90, width=260)
        sheet.append(cells)
        return sheet

    def save(self, path: Path) -> None:
        self.book.save(path)


def row(sheet: Any, values: Iterable[Any]) -> list[Any]:
    """Values as cells of a row; what begins like a formula is text."""
    return [safe(sheet, value) for value in values]


def safe(sheet: Any, value: Any) -> Any:
    """A value as a cell that nothing executes, in Excel and wherever it is copied to."""
    if not isinstance(value, str):
        return value
    written = _CONTROL.sub("", value)[:LONGEST_CELL]
    return text(sheet, written) if written.startswith(_ACTIVE) else written


def text(sheet: Any, value: str) -> Any:
    """A cell that stays text, also when it is edited: no number, no formula."""
    from openpyxl.cell import WriteOnlyCell

    cell: Any = WriteOnlyCell(sheet, value=None)
    cell._value, cell.data_type = _CONTROL.sub("", value)[:LONGEST_CELL], "s"
    cell.number_format = "@"
    cell.quotePrefix = True
    return cell


def empty_text(sheet: Any) -> Any:
    """An empty cell that what is typed into it stays text."""
    from openpyxl.cell import WriteOnlyCell

    cell: Any = WriteOnlyCell(sheet)
    cell.number_format = "@"
    return cell
