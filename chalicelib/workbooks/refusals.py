"""Why a file cannot be read, in English; `languages` has the other two. Light: the child process imports it."""

from __future__ import annotations

from chalicelib.workbooks.headers import SEARCHED


class Refused(Exception):
    """Why the file cannot be read."""


EMPTY = "The file is empty."
DAMAGED = "The file is damaged or was not sent completely."
PASSWORD = "The workbook is protected by a password."  # noqa: S105 (a sentence)
NEITHER = "The file is neither a workbook nor text."
WEB_PAGE = "The file is a web page or XML, not a workbook: open it in Excel and save it as .xlsx."
OLD_EXCEL = "The file is in an old Excel format: open it in Excel or LibreOffice and save it as .xlsx."
BINARY = "The file is a binary workbook (.xlsb): open it in Excel and save it as .xlsx."
NUMBERS = "The file was written by Apple Numbers: export it there as Excel (.xlsx)."
PDF = "The file is a PDF: ask for the list as a workbook (.xlsx) or as .csv."
PICTURE = "The file is a picture: ask for the list as a workbook (.xlsx) or as .csv."
DOCUMENT = "The file is a document or a presentation: copy the list into Excel and save it as .xlsx."
ARCHIVE = "The file is an archive: unpack it and send the workbook in it."
ENCODING = "It is not clear which encoding the file's letters are in: save it as .xlsx or as CSV UTF-8."
DELIMITERS = "Columns of a text file are separated by a comma, semicolon, tab or |."
NO_PHONE = (
    f"No header with a phone column in the first {SEARCHED} rows of any sheet: expected a header such as"
    f" phone, Telefon, Tel. raqami, Телефон or Номер телефона. {DELIMITERS}"
)
NO_NAME = (
    "The list has a phone column, but no column of names: expected a header such as firstName, Name, Ism, F.I.Sh., Имя"
    f" or ФИО. {DELIMITERS}"
)
GAVE_UP = "The file is damaged: its reader gave up. Open it in Excel or LibreOffice and save it as .xlsx."


def unclosed(row: int) -> str:
    return f"Row {row}: a quotation mark is not closed."


def too_large(size: int, parts: int, most: int, most_parts: int) -> str:
    """Of an archive that has so many bytes unpacked."""
    return (
        f"Unpacked, the workbook has {size / 1e6:,.0f} MB in {parts:,} parts; at most {most / 1e6:,.0f} MB in"
        f" {most_parts:,} parts are read."
    )


def too_slow(seconds: float) -> str:
    return f"The workbook could not be read in {seconds:.0f} seconds. Split it into smaller ones."


def too_much(megabytes: int) -> str:
    return (
        f"The workbook takes more than {megabytes} MB to read. Delete the empty rows and columns far from the list, or"
        " split it into smaller ones."
    )
