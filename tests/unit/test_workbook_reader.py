"""The reader that can die: hostile and broken files end with a reason, within memory and time."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from chalicelib.imports.model import RowError
from chalicelib.imports.people import Rejected
from chalicelib.imports.report import Report
from chalicelib.workbooks import containers, reader, refusals
from chalicelib.workbooks.languages import Language
from chalicelib.workbooks.reader import Limits, Unreadable
from tests.service.files import workbook

SHEET = "xl/worksheets/sheet1.xml"
MB = 1 << 20


def a_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def with_parts(parts: dict[str, bytes | int]) -> bytes:
    """A good workbook with parts replaced; a number stands for so many megabytes of the letter x in a shared string."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(("Ali", "", "+998901234567")))) as good,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as bad,
    ):
        for name in good.namelist():
            if name not in parts:
                bad.writestr(name, good.read(name))
        for name, content in parts.items():
            with bad.open(name, "w", force_zip64=True) as part:
                if isinstance(content, bytes):
                    part.write(content)
                else:
                    part.write(b'<?xml version="1.0"?><sst><si><t>')
                    for _ in range(content):
                        part.write(b"x" * MB)
                    part.write(b"</t></si></sst>")
    return written.getvalue()


def sheet_xml(rows: bytes) -> bytes:
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return b'<?xml version="1.0"?><worksheet xmlns="' + main + b'"><sheetData>' + rows + b"</sheetData></worksheet>"


def cell(where: str, text: str) -> bytes:
    return f'<c r="{where}" t="inlineStr"><is><t>{text}</t></is></c>'.encode()


HEADER = b'<row r="1">' + cell("A1", "phone") + cell("B1", "name") + b"</row>"


def why(path: Path, limits: Limits | None = None) -> str:
    """The reason for which a file is not read."""
    with pytest.raises(Unreadable) as refused:
        list(reader.rows(path, limits or Limits()))
    return str(refused.value)


def test_cell_in_the_far_corner(tmp_path: Path) -> None:
    corner = sheet_xml(HEADER + b'<row r="1048576">' + cell("XFD1048576", "x") + b"</row>")
    assert "far from the list" in why(a_file(tmp_path, with_parts({SHEET: corner})))


def test_archive_that_says_it_is_too_large(tmp_path: Path) -> None:
    content = with_parts({"xl/sharedStrings.xml": 1100})
    assert len(content) < 3 * MB
    began = time.monotonic()
    assert "at most" in why(a_file(tmp_path, content))
    assert time.monotonic() - began < 5


def test_archive_that_conceals_its_size(tmp_path: Path) -> None:
    content = bytearray(with_parts({"xl/sharedStrings.xml": 700}))
    real = (700 * MB + len('<?xml version="1.0"?><sst><si><t></t></si></sst>')).to_bytes(4, "little")
    assert content.count(real) >= 1
    lying = bytes(content.replace(real, (1000).to_bytes(4, "little")))
    assert why(a_file(tmp_path, lying), Limits(memory=256 * MB))


def test_string_that_takes_all_memory(tmp_path: Path) -> None:
    content = with_parts({"xl/sharedStrings.xml": 700})
    assert "more than 256 MB" in why(a_file(tmp_path, content), Limits(memory=256 * MB))


def test_million_empty_rows_are_no_rows(tmp_path: Path) -> None:
    rows = b"".join(b'<row r="%d"><c r="A%d" s="1"/></row>' % (n, n) for n in range(2, 1_000_001))
    content = with_parts(
        {SHEET: sheet_xml(HEADER + rows + b'<row r="1000001">' + cell("A1000001", "901234567") + b"</row>")}
    )
    assert list(reader.rows(a_file(tmp_path, content))) == [(1, ["phone", "name"]), (1_000_001, ["901234567", ""])]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive(tmp_path: Path, part: float) -> None:
    content = workbook(*[("Ali", "", f"+99890{n:07}") for n in range(500)])
    assert why(a_file(tmp_path, content[: int(len(content) * part)])) == (
        "The file is damaged or was not sent completely."
    )


@pytest.mark.parametrize(
    "start", [containers.OLE, containers.ZIP, b"", b"\x09\x08"], ids=["xls", "zip", "noise", "old xls"]
)
def test_garbage(tmp_path: Path, start: bytes) -> None:
    assert why(a_file(tmp_path, start + os.urandom(20_000)))


def test_truncated_xls(tmp_path: Path) -> None:
    whole = (Path(__file__).parents[1] / "data" / "workbooks" / "libreoffice-latin.xls").read_bytes()
    assert why(a_file(tmp_path, whole[:3000]))


def test_file_that_takes_too_long(tmp_path: Path) -> None:
    content = workbook(*[("Ali", "", f"+99890{n:07}") for n in range(20_000)])
    assert "could not be read in 0 seconds" in why(a_file(tmp_path, content), Limits(seconds=0.01))


def test_reader_that_is_left_midway_is_gone(tmp_path: Path) -> None:
    content = workbook(*[("Ali", "", f"+99890{n:07}") for n in range(20_000)])
    rows = reader.rows(a_file(tmp_path, content))
    next(rows)
    rows.close()


def test_list_without_a_phone_column(tmp_path: Path) -> None:
    assert why(a_file(tmp_path, b"name;city\nAli;Buxoro\n")) == refusals.NO_PHONE
    assert why(a_file(tmp_path, workbook(("Ali", "", "1"), header=("a", "b", "c")))) == refusals.NO_PHONE


@pytest.mark.parametrize("content", [b"phone;city\n901234567;Buxoro\n", b"phone\n901234567\n"])
def test_list_without_a_column_of_names_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    assert why(a_file(tmp_path, content)) == refusals.NO_NAME


@pytest.mark.parametrize(
    "content",
    [
        "<html><table><tr><td>Ism</td><td>Telefon</td></tr></table></html>",
        "\ufeff\r\n <table><tr><td>Ism</td></tr></table>",
        '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>',
        "MIME-Version: 1.0\nContent-Type: multipart/related",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_web_page_or_xml_called_a_workbook(tmp_path: Path, content: str, encoding: str) -> None:
    assert "a web page or XML" in why(a_file(tmp_path, content.encode(encoding)))


@pytest.mark.parametrize("rows", [1, 100_000])
@pytest.mark.parametrize("above", [1, 100])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_quotation_mark_that_is_not_closed(tmp_path: Path, delimiter: str, above: int, rows: int) -> None:
    good, bad = delimiter.join(["Ali", "901234567"]), delimiter.join(['"ООО Ромашка', "901234567"])
    text = "\n".join([delimiter.join(["Ism", "Telefon"]), *[good] * above, bad, *[good] * rows])
    assert why(a_file(tmp_path, text.encode())) == f"Row {above + 2}: a quotation mark is not closed."


def test_quotation_marks_inside_a_cell_are_kept(tmp_path: Path) -> None:
    text = 'Ism;Telefon;Izoh\nООО "Ромашка;901234567;5" quvur\n"OOO ""Lola""";901234568;"\n"\n'
    assert list(reader.rows(a_file(tmp_path, text.encode())))[1:] == [
        (2, ['ООО "Ромашка', "901234567", '5" quvur']),
        (3, ['OOO "Lola"', "901234568", "\n"]),
    ]


def test_empty_file(tmp_path: Path) -> None:
    assert why(a_file(tmp_path, b"")) == "The file is empty."


def test_header_below_the_twentieth_row_is_not_looked_for(tmp_path: Path) -> None:
    above: list[tuple[str, ...]] = [("",)] * 19
    found = reader.rows(a_file(tmp_path, workbook(*above[1:], ("name", "phone"), header=("List",))))
    assert next(found) == (20, ["name", "phone"])
    assert why(a_file(tmp_path, workbook(*above, ("name", "phone"), header=("List",)))) == refusals.NO_PHONE


def test_first_sheet_with_a_header_is_the_list(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Report of November", "Phone:"])  # type: ignore[union-attr]
    people = book.create_sheet("People")
    people.append(["name", "phone"])
    people.append(["Ali", "901234567"])
    book.save(tmp_path / "file")
    assert list(reader.rows(tmp_path / "file")) == [(1, ["name", "phone"]), (2, ["Ali", "901234567"])]


def test_hidden_sheet_is_not_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for sheet, name in ((book.active, "Old"), (book.create_sheet(), "Very old"), (book.create_sheet(), "New")):
        sheet.append(["name", "phone"])  # type: ignore[union-attr]
        sheet.append([name, "901234567"])  # type: ignore[union-attr]
    book.worksheets[0].sheet_state, book.worksheets[1].sheet_state = "hidden", "veryHidden"
    book.active = 2
    book.save(tmp_path / "file")
    assert list(reader.rows(tmp_path / "file"))[1:] == [(2, ["New", "901234567"])]


def test_reasons_of_a_report_are_no_column_of_the_list(tmp_path: Path) -> None:
    header, cells = ["Ism", "Telefon", "reason"], ["Ali", "12", "moved", 931234567]
    report = Report(header, Language.EN)
    report.add(Rejected(RowError(2, "phone", "12", "required"), cells))
    report.save(tmp_path / "report.xlsx")
    written = list(openpyxl.load_workbook(tmp_path / "report.xlsx").active.values)  # type: ignore[union-attr]
    assert written == [("Ism", "Telefon", "reason", "reason", None), ("Ali", "12", "moved", "required", 931234567)]
    assert list(reader.rows(tmp_path / "report.xlsx")) == [(1, [*header, ""]), (2, cells)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = (("Имя", "Телефон", "Заметки"), ("Анна", "901234567", f'"первая{delimiter}\r\nвторая"'))
    text = "".join(delimiter.join(row) + "\r\n" for row in rows)
    found = list(reader.rows(a_file(tmp_path, text.encode(encoding))))
    assert found == [(1, ["Имя", "Телефон", "Заметки"]), (2, ["Анна", "901234567", f"первая{delimiter}\r\nвторая"])]


@pytest.mark.parametrize(
    "text", ["Телефон, моб.;ФИО;Долг\n901234567;Анна;5,5\n", "Phone, mobile;Name;Debt, sum\n901234567;Анна;5,5\n"]
)
def test_delimiter_of_a_csv_is_the_one_with_the_most_fields(tmp_path: Path, text: str) -> None:
    assert list(reader.rows(a_file(tmp_path, text.encode())))[1] == (2, ["901234567", "Анна", "5,5"])


def test_letterhead_and_a_header_in_two_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in (
        ("Телефон:", "+998712000000"),
        (),
        ("№", "Ф.И.О.", "Контакты", None, "Долг"),
        (None, None, "Телефон", "Адрес"),
        (1, "Анна", "901234567", "Бухара", 5),
    ):
        sheet.append(row)
    for merged in ("A3:A4", "B3:B4", "C3:D3", "E3:E4"):
        sheet.merge_cells(merged)
    book.save(tmp_path / "file")
    header = ["№", "Ф.И.О.", "Телефон", "Адрес", "Долг"]
    assert list(reader.rows(tmp_path / "file")) == [(4, header), (5, [1.0, "Анна", "901234567", "Бухара", 5.0])]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("ФИО;Телефон\nАнна;901234567\n".encode() + b"\xa0\n", "Анна"),
        ("Телефон;ФИО\n901234567;Анна".encode()[:-1], "Анн\ufffd"),
        ("ФИО;Телефон\nПётр;901234567\n".encode("cp1251"), "Пётр"),
        ("Name;Phone\nПЁТР;901234567\n".encode("cp1251"), "ПЁТР"),
        (b"Name;Phone\nAli\xa0V;901234567\n", "Ali\xa0V"),
    ],
    ids=["a bad byte", "cut inside a letter", "Windows-1251", "two letters that look like UTF-8", "one byte"],
)
def test_broken_utf_8_is_no_other_encoding(tmp_path: Path, content: bytes, name: str) -> None:
    assert name in list(reader.rows(a_file(tmp_path, content)))[1][1]


def book_of(**sheets: Sequence[tuple[str, ...]]) -> bytes:
    """An .xlsx of several sheets, by their names."""
    book = openpyxl.Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_sheet_with_names_comes_before_one_of_phones_with_their_status(tmp_path: Path) -> None:
    calls = [("phone", "status"), ("901234567", "DO_NOT_CALL")]
    people = [("name", "phone"), ("Ali", "901234567")]
    for rows, content in (
        (people, book_of(Calls=calls, People=people)),
        (calls, book_of(Empty=[], Calls=calls, Notes=[("x",)])),
    ):
        assert [tuple(cells) for _, cells in reader.rows(a_file(tmp_path, content))] == rows
