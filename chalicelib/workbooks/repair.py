"""Copies of workbooks that calamine gives up on, with only what a list needs, where it expects it to be.

Every part is read by a parser that knows more encodings and written as UTF-8. Cells keep their values; an error, or a
number that its format makes a moment beyond all calendars, costs no more than itself.
"""

from __future__ import annotations

import io
import math
import posixpath
import re
from collections.abc import Callable
from typing import IO, Any
from xml.etree import ElementTree
from xml.sax import make_parser
from xml.sax.saxutils import XMLFilterBase, XMLGenerator, quoteattr
from xml.sax.xmlreader import AttributesImpl
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

LAST_DAY = 2_958_465
"""9999-12-31 as Excel counts days: no moment is later."""

ODS_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
MANIFEST = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"

_SHEET_PARTS = {"worksheet", "sheetData", "row", "c", "v", "is", "t", "r"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?)?")


def xlsx(source: Any) -> IO[bytes]:
    """A copy of an .xlsx. Raises KeyError and ParseError (SyntaxError) where there is nothing to be copied."""
    copy = io.BytesIO()
    with ZipFile(source) as old, ZipFile(copy, "w", ZIP_DEFLATED, compresslevel=1) as new:
        package = _Package(old)
        sheets = package.sheets()
        parts = [("worksheet", f"worksheets/sheet{n}.xml", part) for n, (*_, part) in enumerate(sheets, 1)]
        parts += [(kind, f"{kind}.xml", part) for kind in ("styles", "sharedStrings") for part in package.parts(kind)]
        strings = _Strings()
        through: dict[str, Callable[[], XMLFilterBase]] = {
            "worksheet": lambda: _Sheet(strings.count),
            "sharedStrings": lambda: strings,
            "styles": XMLFilterBase,
        }
        for kind, place, part in reversed(parts):
            _rewrite(old, part, new, f"xl/{place}", through[kind]())
        new.writestr("_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")]))
        new.writestr("xl/workbook.xml", _workbook(sheets, since_1904=package.since_1904))
        new.writestr("xl/_rels/workbook.xml.rels", _relations([(kind, place) for kind, place, _ in parts]))
    copy.seek(0)
    return copy


def ods(source: Any) -> IO[bytes]:
    """A copy of an .ods."""
    copy = io.BytesIO()
    with ZipFile(source) as old, ZipFile(copy, "w", ZIP_DEFLATED, compresslevel=1) as new:
        new.writestr("mimetype", ODS_TYPE, ZIP_STORED)
        new.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{MANIFEST}"/>')
        _rewrite(old, "content.xml", new, "content.xml", _Content())
    copy.seek(0)
    return copy


def _rewrite(old: ZipFile, part: str, new: ZipFile, place: str, through: XMLFilterBase) -> None:
    with old.open(part) as source, new.open(place, "w", force_zip64=True) as target:
        through.setParent(make_parser())  # noqa: S317 (no external entities; memory and time are limited)
        through.setContentHandler(XMLGenerator(target, "utf-8", short_empty_elements=True))
        through.parse(source)


class _Package:
    """The parts of an .xlsx as its relations name them, in whatever case and folder."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._names = {_plain(name): name for name in archive.namelist()}
        root = self._relations("_rels/.rels", "")
        workbook = next((target for kind, target in root.values() if kind == "officeDocument"), "xl/workbook.xml")
        folder, name = posixpath.split(workbook)
        self._related = self._relations(f"{folder}/_rels/{name}.rels", folder)
        self._workbook = self._xml(workbook)
        about = next(self._workbook.iterfind("{*}workbookPr"), None)
        self.since_1904 = about is not None and about.get("date1904") in {"1", "true", "on"}

    def sheets(self) -> list[tuple[str, str, str]]:
        """Name, state and part of each worksheet that is there; all there are when the workbook names none of them."""
        found = []
        for sheet in self._workbook.iterfind("{*}sheets/{*}sheet"):
            relation = next((value for key, value in sheet.items() if key.endswith("}id")), "")
            _, part = self._related.get(relation, ("", ""))
            found.append((sheet.get("name", ""), sheet.get("state", "visible"), part))
        named = [each for each in found if each[2] in self._names]
        others = [("", "visible", part) for kind, part in self._related.values() if kind == "worksheet"]
        return [(name, state, self._names[part]) for name, state, part in named or others if part in self._names]

    def parts(self, kind: str) -> list[str]:
        """The part of a kind, if it is there."""
        related = [target for each, target in self._related.values() if each == kind]
        likely = [name for name in self._names if name.endswith(f"/{kind.lower()}.xml")]
        return [self._names[name] for name in [*related, *likely] if name in self._names][:1]

    def _relations(self, name: str, folder: str) -> dict[str, tuple[str, str]]:
        """Kind and part of each relation, by its id."""
        if _plain(name) not in self._names:
            return {}
        found = {}
        for each in self._xml(name):
            target = posixpath.normpath(posixpath.join("/" + folder, each.get("Target", "")))
            found[each.get("Id", "")] = (each.get("Type", "").rpartition("/")[2], _plain(target))
        return found

    def _xml(self, name: str) -> ElementTree.Element:
        return ElementTree.fromstring(self._archive.read(self._names[_plain(name)]))  # noqa: S314 (limits, see above)


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _workbook(sheets: list[tuple[str, str, str]], *, since_1904: bool) -> str:
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" state={quoteattr(state)} r:id="r{n}"/>'
        for n, (name, state, _) in enumerate(sheets, 1)
    )
    start = f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><workbookPr date1904="{since_1904:d}"/>'
    return f"{start}<sheets>{listed}</sheets></workbook>"


def _relations(targets: list[tuple[str, str]]) -> str:
    """Relations r1, r2, … to parts of these kinds."""
    listed = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/{kind}" Target="{place}"/>'
        for n, (kind, place) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{listed}</Relationships>'


class _Strings(XMLFilterBase):
    """Shared strings, counted."""

    count = 0

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 (SAX calls it so)
        self.count += name.rpartition(":")[2] == "si"
        super().startElement(name, attrs)


class _Sheet(XMLFilterBase):
    """A worksheet's cells: a cell waits for its value, which decides whether it keeps type and style.

    `strings` is how many shared strings there are.
    """

    def __init__(self, strings: int) -> None:
        super().__init__()
        self._strings = strings

    _skipped = 0
    _cell: tuple[str, dict[str, str]] | None = None
    _value: list[str] | None = None

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 (SAX calls it so)
        local = name.rpartition(":")[2]
        if self._skipped or local not in _SHEET_PARTS:
            self._skipped += 1
        elif local == "c":
            self._cell = name, dict(attrs)
        elif local == "v" and self._cell:
            self._value = []
        else:
            self._begin_cell()
            super().startElement(name, attrs)

    def characters(self, content: str) -> None:
        if self._value is not None:
            self._value.append(content)
        elif not self._skipped:
            super().characters(content)

    def endElement(self, name: str) -> None:  # noqa: N802 (SAX calls it so)
        if self._skipped:
            self._skipped -= 1
        elif self._value is not None:
            value, self._value = "".join(self._value), None
            self._begin_cell(value)
            super().startElement(name, AttributesImpl({}))
            super().characters("" if self._lost(value) else value)
            super().endElement(name)
        else:
            self._begin_cell()
            super().endElement(name)

    def _begin_cell(self, value: str | None = None) -> None:
        if self._cell is None:
            return
        name, attributes = self._cell
        self._cell = None
        self._kind = attributes.get("t", "n")
        lost = value is not None and self._lost(value)
        kept = attributes if value is None else _kept(attributes, "" if lost else value)
        super().startElement(name, AttributesImpl(kept))

    def _lost(self, value: str) -> bool:
        """Whether a cell's value is an error, or a string that is not there."""
        string = int(value) if value.isdecimal() else self._strings
        return self._kind == "e" or (self._kind == "s" and string >= self._strings)


def _kept(attributes: dict[str, str], value: str) -> dict[str, str]:
    """A cell's attributes: what is no number is text, and what is no moment has no style."""
    kind = attributes.get("t", "n")
    if kind not in {"n", "s", "b", "str", "d"} or (kind == "n" and not _is_number(value)) or not value:
        return attributes | {"t": "str"}
    if kind == "n" and not 0 <= float(value) <= LAST_DAY:
        return {name: each for name, each in attributes.items() if name != "s"}
    return attributes


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


_SOUND: dict[str, Callable[[dict[str, str]], bool]] = {
    "time": lambda _: False,
    "date": lambda cell: _DAY.fullmatch(cell.get("office:date-value", "")) is not None,
    **dict.fromkeys(("float", "percentage", "currency"), lambda cell: _is_number(cell.get("office:value", ""))),
}
"""Whether a cell of an .ods has a value of its type; one that has not is text, as it is shown."""


class _Content(XMLFilterBase):
    """A content.xml without blanks between its elements, and with no moments but those of a calendar."""

    _paragraphs = 0

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 (SAX calls it so)
        self._paragraphs += name in {"text:p", "text:h"}
        given = dict(attrs)
        sound = _SOUND.get(given.get("office:value-type", ""))
        if sound and not sound(given):
            given = {name: each for name, each in given.items() if not name.endswith(("value", "value-type"))}
            given["office:value-type"] = "string"
        super().startElement(name, AttributesImpl(given))

    def endElement(self, name: str) -> None:  # noqa: N802 (SAX calls it so)
        super().endElement(name)
        self._paragraphs -= name in {"text:p", "text:h"}

    def characters(self, content: str) -> None:
        if self._paragraphs:
            super().characters(content)
