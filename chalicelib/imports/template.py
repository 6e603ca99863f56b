"""The template: an empty list, ready to be filled in, with examples and notes in the operator's language."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from chalicelib.aws import s3
from chalicelib.workbooks import writer
from chalicelib.workbooks.languages import SHEETS, Language, note

COLUMNS = ("firstName", "lastName", "phone", "dateOfBirth", "customData", "notes")
WIDTHS = (18, 20, 18, 14, 50, 36)
EXAMPLES = (
    (
        "Dilshod",
        "Karimov",
        "+998901234567",
        "1985-03-15",
        '{"totalDebt": 5420500, "contract": "UZ-1042"}',
        "Yangi mijoz",
    ),
    ("Гулнора", "Аҳмедова", "90 123-45-68", "20.05.1990", '{"totalDebt": 3000000}', "Кечқурун қўнғироқ қилинг"),
    ("Анна", "Петрова", "998901234569", "", "", "Говорит по-русски"),
)
PREPARED = 500
"""Rows whose phone cells are text before anything is typed, in programs that ignore a column's format."""

PHONE = COLUMNS.index("phone")


def of(language: Language) -> tuple[str, str]:
    """Keep the template of a language in the bucket; its key, and the name to download it by."""
    name = f"template-{language}.xlsx"
    with tempfile.TemporaryDirectory(prefix="template-") as place:
        write(Path(place) / name, language)
        s3.put(f"reports/templates/{name}", Path(place) / name)
    return f"reports/templates/{name}", f"contacts-{language}.xlsx"


def write(path: Path, language: Language) -> None:
    """Write the template to a file. The examples have a sheet of their own, so that nobody calls them by mistake."""
    book = writer.Workbook()
    contacts, examples = SHEETS[language]
    empty = _sheet(book, contacts, language)
    for _ in range(PREPARED):
        cells: list[Any] = [None] * len(COLUMNS)
        cells[PHONE] = writer.empty_text(empty)
        empty.append(cells)
    filled = _sheet(book, examples, language)
    for example in EXAMPLES:
        filled.append([writer.text(filled, value) for value in example])
    book.save(path)


def _sheet(book: writer.Workbook, name: str, language: Language) -> Any:
    return book.sheet(name, COLUMNS, WIDTHS, notes=[note(each, language) for each in COLUMNS], text_columns={"phone"})
