"""The rows of a workbook's sheets: read by calamine, and by others where it gives up."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from chalicelib.workbooks import containers, headers, refusals, repair
from chalicelib.workbooks.containers import Kind
from chalicelib.workbooks.refusals import Refused

Numbered = tuple[int, list[Any]]
Say = Callable[[str], None]
"""Takes what the log should say."""

EXCELS_PASSWORD = "VelvetSweatshop"  # noqa: S105 (public: [MS-OFFCRYPTO] §2.1)
"""What Excel protects a workbook with that is only locked against changes; it opens it without asking."""

BIFF8, UNICODE = 0x600, 1200
"""Version and CODEPAGE of an .xls as Excel has written them since 1997. Text of older versions is in any code page, and
with a wrong CODEPAGE calamine takes UTF-16 for bytes: xlrd reads both."""

_BOF, _FILEPASS, _CODEPAGE, _DATEMODE, _BOUNDSHEET = 0x809, 0x2F, 0x42, 0x22, 0x85
_SINCE_1904 = re.compile(rb"""date1904\s*=\s*["'](?:1|true|on)["']|:null-date[^>]{0,100}["']1904-01-01""")
_SEARCHED = 1 << 20


class Sheet(NamedTuple):
    """A visible sheet. `rows` may raise whatever its reader does."""

    name: str
    rows: Iterator[Numbered]


class Book(NamedTuple):
    """A workbook's visible sheets; whether its days count from 1904, as old Macs' do."""

    sheets: Iterator[Sheet]
    since_1904: bool


def of(path: Path, kind: Kind, say: Say) -> Book:
    """A workbook. Raises Refused, and while it is read also what nobody expects: the file is damaged then."""
    if kind is Kind.OLE:
        return _of_ole(path, say)
    return _of_archive(path, kind, say)


def _of_archive(source: Any, kind: Kind, say: Say) -> Book:
    copy = repair.xlsx if kind is Kind.XLSX else repair.ods

    def repaired() -> Iterator[Sheet]:
        say("a repaired copy")
        return _calamine(copy(source))

    def by_calamine() -> Iterator[Sheet]:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        return _calamine(source)

    part = "xl/workbook.xml" if kind is Kind.XLSX else "content.xml"
    with ZipFile(source) as archive:
        found = archive.open(part).read(_SEARCHED) if part in archive.namelist() else b""
    return Book(_either(by_calamine, repaired), _SINCE_1904.search(found) is not None)


def _of_ole(path: Path, say: Say) -> Book:
    """An .xls, or an .xlsx inside its encryption."""
    import olefile

    try:
        with olefile.OleFileIO(str(path)) as container:
            if container.exists("EncryptedPackage"):
                return _decrypted(path, say)
            stream = next((name for name in ("Workbook", "Book") if container.exists(name)), None)
            start = container.openstream(stream).read(_SEARCHED) if stream else None
    except (OSError, ValueError, IndexError, TypeError):
        raise Refused(refusals.DAMAGED) from None
    if start is None:
        raise Refused(refusals.DOCUMENT)
    about = dict(_globals(start))
    if _FILEPASS in about:
        return _decrypted(path, say)
    return _of_xls(path.read_bytes(), start, say)


def _of_xls(content: bytes, start: bytes, say: Say) -> Book:
    about = dict(_globals(start))

    def by_xlrd() -> Iterator[Sheet]:
        say("xlrd")
        return _xlrd(content)

    version, codepage = (int.from_bytes(about.get(record, b"")[:2], "little") for record in (_BOF, _CODEPAGE))
    odd = version != BIFF8 or codepage not in {0, UNICODE}
    since_1904 = about.get(_DATEMODE, b"")[:1] == b"\x01"
    return Book(by_xlrd() if odd else _either(lambda: _calamine(io.BytesIO(content)), by_xlrd), since_1904)


def _globals(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The records at the beginning of an .xls, until its first sheet: type, content ([MS-XLS] §2.1.4)."""
    place = 0
    while place + 4 <= len(stream):
        kind, size = (int.from_bytes(stream[at : at + 2], "little") for at in (place, place + 2))
        if kind == _BOUNDSHEET:
            return
        yield kind, stream[place + 4 : place + 4 + size]
        place += 4 + size


def _decrypted(path: Path, say: Say) -> Book:
    """A workbook that Excel opens without asking for its password. Raises Refused."""
    import msoffcrypto
    import olefile

    plain = io.BytesIO()
    try:
        with path.open("rb") as file:
            encrypted = msoffcrypto.OfficeFile(file)
            encrypted.load_key(password=EXCELS_PASSWORD)
            encrypted.decrypt(plain)
    except Exception:  # noqa: BLE001 (whatever it is, the password is not this one)
        raise Refused(refusals.PASSWORD) from None
    plain.seek(0)
    content = plain.getvalue()
    if content.startswith(containers.ZIP):
        return _of_archive(plain, containers.of_archive(plain), say)
    with olefile.OleFileIO(plain) as container:
        return _of_xls(content, container.openstream("Workbook").read(_SEARCHED), say)


def _either(first: Callable[[], Iterator[Sheet]], other: Callable[[], Iterator[Sheet]]) -> Iterator[Sheet]:
    """Sheets as one reader finds them; from where it gives up on, or if it finds none, as another one does."""
    done = 0
    try:
        for place, sheet in enumerate(first()):
            yield Sheet(sheet.name, _either_rows(sheet.rows, other, place))
            done = place + 1
    except Exception as error:  # noqa: BLE001 (any reader may give up in any way)
        _check_gave_up(error)
    else:
        if done:
            return
    yield from islice(other(), done, None)


def _either_rows(rows: Iterator[Numbered], other: Callable[[], Iterator[Sheet]], place: int) -> Iterator[Numbered]:
    done = 0
    try:
        for done, row in rows:
            yield done, row
    except Exception as error:  # noqa: BLE001 (see above)
        _check_gave_up(error)
        sheet = next(islice(other(), place, None))
        yield from (row for row in sheet.rows if row[0] > done)


def _check_gave_up(error: Exception) -> None:
    """Raise what says more than that a reader gave up."""
    import python_calamine as calamine

    if isinstance(error, calamine.PasswordError):
        raise Refused(refusals.PASSWORD) from None
    if isinstance(error, Refused | MemoryError):
        raise error


def _calamine(source: Any) -> Iterator[Sheet]:
    import python_calamine as calamine

    book = calamine.load_workbook(str(source) if isinstance(source, Path) else source)
    for index, about in enumerate(book.sheets_metadata):
        if about.typ is calamine.SheetTypeEnum.WorkSheet and about.visible is calamine.SheetVisibleEnum.Visible:
            yield Sheet(about.name, _numbered(book.get_sheet_by_index(index)))


def _numbered(sheet: Any) -> Iterator[Numbered]:
    if sheet.start is None:
        return iter(())
    left = [""] * sheet.start[1]
    rows = ((number, row[: headers.LONGEST_ROW]) for number, row in enumerate(sheet.iter_rows(), 1))
    return ((number, left + row) for number, row in rows) if left else rows


def _xlrd(content: bytes) -> Iterator[Sheet]:
    import xlrd

    book = xlrd.open_workbook(file_contents=content, logfile=io.StringIO(), on_demand=True)
    for sheet in book.sheets():
        if sheet.visibility == 0:
            yield Sheet(sheet.name, _cells(sheet, book.datemode))


def _cells(sheet: Any, datemode: int) -> Iterator[Numbered]:
    import xlrd

    def value(cell: Any) -> Any:
        if cell.ctype == xlrd.XL_CELL_DATE:
            return _moment(cell.value, datemode)
        if cell.ctype == xlrd.XL_CELL_BOOLEAN:
            return bool(cell.value)
        return "" if cell.ctype == xlrd.XL_CELL_ERROR else cell.value

    for number in range(sheet.nrows):
        yield number + 1, [value(cell) for cell in sheet.row(number)[: headers.LONGEST_ROW]]


def _moment(days: float, datemode: int) -> datetime | float:
    """A date cell of an .xls; the number itself where it is in no calendar."""
    import xlrd

    try:
        moment: datetime = xlrd.xldate.xldate_as_datetime(days, datemode)
    except (OverflowError, ValueError):
        return days
    return moment
