"""Workbooks that one reader gives up on: an odd cell or part costs no more than itself; what is no list is named."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import olefile
import openpyxl
import pytest
from msoffcrypto.format.ooxml import OOXMLFile

from chalicelib.workbooks import child, reader, refusals
from chalicelib.workbooks.reader import Unreadable
from tests.service.files import workbook

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
Parts = Mapping[str, str | None]
"""Parts of an archive by name; None for one that is missing."""

STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="[h]:mm"/></numFmts>'
    '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>'
)
LIST = [[1, ["Ism", "Telefon", "Izoh"]], [2, ["Ali", "+998901234567", "x"]], [3, ["Vali", "+998931234567", ""]]]


def text(place: str, value: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def sheet(odd: str = "", *, last: str = text("C2", "x"), after: str = "") -> str:
    """A list of two, with an odd cell in its last row and something below its rows."""
    rows = [
        text("A1", "Ism") + text("B1", "Telefon") + text("C1", "Izoh"),
        text("A2", "Ali") + text("B2", "+998901234567") + last,
        text("A3", "Vali") + text("B3", "+998931234567") + odd,
    ]
    data = "".join(f'<row r="{n}">{row}</row>' for n, row in enumerate(rows, 1))
    return f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData>{after}</worksheet>'


def relations(*targets: tuple[str, str]) -> str:
    listed = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{listed}</Relationships>'


def book(sheets: str = '<sheet name="S" sheetId="1" r:id="r1"/>', about: str = "") -> str:
    return f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}">{about}<sheets>{sheets}</sheets></workbook>'


def an_xlsx(place: Path, parts: Parts, encoding: str = "utf-8") -> Path:
    """A workbook of these parts, those left out as they should be."""
    usual: Parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": book(),
        "xl/_rels/workbook.xml.rels": relations(("worksheet", "worksheets/sheet1.xml"), ("styles", "styles.xml")),
        "xl/worksheets/sheet1.xml": sheet(),
        "xl/styles.xml": STYLES,
    }
    with zipfile.ZipFile(place / "file", "w") as archive:
        for name, part in {**usual, **parts}.items():
            if part is not None:
                archive.writestr(name, f'<?xml version="1.0" encoding="{encoding}"?>{part}'.encode(encoding))
    return place / "file"


def rows(path: Path) -> list[list[Any]]:
    return [[number, cells] for number, cells in reader.rows(path)]


def why(path: Path) -> str:
    with pytest.raises(Unreadable) as refused:
        rows(path)
    return str(refused.value)


@pytest.mark.parametrize(
    "odd",
    [
        '<c r="C3" t="e"><v>#SPILL!</v></c>',
        '<c r="C3" t="e"><v>#NEXT!</v></c>',
        '<c r="C3" t="s"><v>99</v></c>',
        '<c r="C3" s="1"><f>1/0</f></c>',
    ],
)
def test_odd_cell_is_empty(tmp_path: Path, odd: str) -> None:
    assert rows(an_xlsx(tmp_path, {"xl/worksheets/sheet1.xml": sheet(odd)})) == LIST


@pytest.mark.parametrize("number", ["2147483647000", "1e300"])
def test_number_that_is_in_no_calendar_is_a_number_and_the_dates_beside_it_are_dates(
    tmp_path: Path, number: str
) -> None:
    content = sheet(f'<c r="C3" s="2"><v>{number}</v></c>', last='<c r="C2" s="1"><v>31121</v></c>')
    _, (_, (*_, day)), (_, (*_, odd)) = rows(an_xlsx(tmp_path, {"xl/worksheets/sheet1.xml": content}))
    assert (day, odd) == ("1985-03-15", float(number))


@pytest.mark.parametrize(
    "parts",
    [
        {"xl/worksheets/sheet1.xml": sheet(after='<mergeCells><mergeCell ref="A:B"/></mergeCells>')},
        {"xl/workbook.xml": book('<sheet name="E" sheetId="2" r:id=""/><sheet name="S" sheetId="1" r:id="r1"/>')},
        {"xl/workbook.xml": book('<sheet name="S" sheetId="1" r:id=""/>')},
        {"xl/workbook.xml": book('<sheet name="E" sheetId="2" r:id="r9"/><sheet name="S" sheetId="1" r:id="r1"/>')},
        {"xl/_rels/workbook.xml.rels": relations(("worksheet", "../xl/worksheets/sheet1.xml"))},
        {"_rels/.rels": None},
    ],
)
def test_odd_part_costs_nothing(tmp_path: Path, parts: Parts) -> None:
    assert rows(an_xlsx(tmp_path, parts)) == LIST


def test_parts_in_utf_16(tmp_path: Path) -> None:
    assert rows(an_xlsx(tmp_path, {}, "utf-16")) == LIST


def test_shared_strings_elsewhere(tmp_path: Path) -> None:
    strings = "".join(f"<si><t>{each}</t></si>" for each in ("Ism", "Telefon", "Ali", "901234567"))
    cells = ["".join(f'<c t="s"><v>{n}</v></c>' for n in pair) for pair in ((0, 1), (2, 3))]
    parts = {
        "xl/_rels/workbook.xml.rels": relations(("worksheet", "worksheets/sheet1.xml"), ("sharedStrings", "/s/ss.xml")),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>'
        + "".join(f"<row>{row}</row>" for row in cells)
        + "</sheetData></worksheet>",
        "s/ss.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
    }
    assert rows(an_xlsx(tmp_path, parts)) == [[1, ["Ism", "Telefon"]], [2, ["Ali", "901234567"]]]


def test_numbers_of_a_1904_workbook_count_from_1904(tmp_path: Path) -> None:
    content = sheet('<c r="C3"><v>29659</v></c>').replace("Izoh", "Tug'ilgan sana")
    parts = {"xl/workbook.xml": book(about='<workbookPr date1904="1"/>'), "xl/worksheets/sheet1.xml": content}
    assert rows(an_xlsx(tmp_path, parts))[2][1][2] == 31121


def test_columns_are_called_as_the_sheet_calls_them(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    made.active["C2"], made.active["D2"] = "Ism", "Telefon"  # type: ignore[index]
    made.active["C3"], made.active["D3"], made.active["E3"] = "Ali", "901234567", "x"  # type: ignore[index]
    made.save(tmp_path / "file")
    assert rows(tmp_path / "file") == [[2, ["", "", "Ism", "Telefon", ""]], [3, ["", "", "Ali", "901234567", "x"]]]


OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"


def an_ods(place: Path, between: str = "", odd: str = "", mimetype: bool = True, encoding: str = "utf-8") -> Path:
    cells = [["Ism", "Telefon"], ["Ali", "+998901234567"]]
    lines = [
        between.join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row
        )
        for row in cells
    ]
    table = between.join(
        f"<table:table-row>{between}{line}{between}</table:table-row>" for line in (lines[0], lines[1] + odd)
    )
    spaces = " ".join(f'xmlns:{each}="{OFFICE}{each}:1.0"' for each in ("office", "table", "text"))
    content = (
        f'<?xml version="1.0" encoding="{encoding}"?><office:document-content {spaces}><office:body>'
        f'<office:spreadsheet><table:table table:name="S">{between}{table}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    with zipfile.ZipFile(place / "file", "w") as archive:
        if mimetype:
            archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content.encode(encoding))
    return place / "file"


@pytest.mark.parametrize(
    "made",
    [
        {"between": "\n  "},
        {"mimetype": False},
        {"encoding": "utf-16"},
        {"odd": '<table:table-cell office:value-type="float" office:value="x"><text:p/></table:table-cell>'},
    ],
)
def test_odd_ods(tmp_path: Path, made: dict[str, Any]) -> None:
    header, (_, cells) = rows(an_ods(tmp_path, **made))
    assert (header[1][:2], cells[:2]) == (["Ism", "Telefon"], ["Ali", "+998901234567"])


@pytest.mark.parametrize(("password", "opens"), [("VelvetSweatshop", True), ("secret", False)])
def test_only_excels_own_password_is_known(tmp_path: Path, password: str, opens: bool) -> None:
    with (tmp_path / "file").open("wb") as file:
        plain = workbook(*[(f"Ali {n}", "", f"+99890{n:07}") for n in range(500)])
        OOXMLFile(io.BytesIO(plain)).encrypt(password, file)
    if opens:
        assert len(rows(tmp_path / "file")) == 501
    else:
        assert why(tmp_path / "file") == refusals.PASSWORD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7\n", refusals.PDF),
        (b"\x89PNG\r\n\x1a\n", refusals.PICTURE),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", refusals.PICTURE),
        (b"\0\0\0\x18ftypheic", refusals.PICTURE),
        (b"{\\rtf1\\ansi", refusals.DOCUMENT),
        (b"\x1f\x8b\x08\0", refusals.ARCHIVE),
        (b"\x09\x00\x04\x00\x02\x00\x10\x00", refusals.OLD_EXCEL),
        (b"\x09\x08\x08\x00\x00\x05\x05\x00", refusals.OLD_EXCEL),
        (b"\x09\x08\x10\x00\x00\x06\x05\x00", refusals.OLD_EXCEL),
        ({"Index/Document.iwa": ""}, refusals.NUMBERS),
        ({"[Content_Types].xml": "", "xl/workbook.bin": ""}, refusals.BINARY),
        ({"[Content_Types].xml": "", "word/document.xml": ""}, refusals.DOCUMENT),
        ({"list.xlsx": ""}, refusals.ARCHIVE),
        ({"content.xml": "", "META-INF/manifest.xml": "<manifest:encryption-data/>"}, refusals.PASSWORD),
    ],
)
def test_what_is_no_list_is_named(tmp_path: Path, content: bytes | dict[str, str], reason: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "file").write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / "file", "w") as archive:
            for name, part in content.items():
                archive.writestr(name, part)
    assert why(tmp_path / "file") == reason


CORPUS = Path(__file__).parents[1] / "data" / "workbooks"


def test_text_of_an_xls_is_utf_16_whatever_code_page_it_names(tmp_path: Path) -> None:
    content = bytearray((CORPUS / "xlwt-russian.xls").read_bytes())
    place = content.index(b"\x42\x00\x02\x00\xb0\x04")
    content[place + 4 : place + 6] = (1252).to_bytes(2, "little")
    (tmp_path / "file").write_bytes(content)
    assert olefile.isOleFile(bytes(content))
    assert rows(tmp_path / "file")[0][1][2] == "Имя"


def test_child_says_that_another_reader_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    assert list(child.rows(an_xlsx(tmp_path, {"_rels/.rels": None}), said.append))
    assert said == ["a repaired copy"]
