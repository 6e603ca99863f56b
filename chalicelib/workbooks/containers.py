"""What a file is, by what it holds: a workbook of some kind, text, or something that is refused by its name."""

from __future__ import annotations

import re
from enum import Enum, auto
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from chalicelib.workbooks import refusals
from chalicelib.workbooks.refusals import Refused

START = 4096
"""Bytes at a file's beginning that say what it is."""

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""First bytes of .xlsx and .ods, of .xls and of workbooks with a password."""

UNPACKED_LIMIT = 1 << 30
"""Bytes an archive may declare for all its parts together; a million rows have about 400 MB."""

PART_LIMIT = 10_000
"""Parts an archive may have."""

_MARKUP = b"<", b"MIME-VERSION:"
"""First letters of web pages and XML, which some programs call .xls."""

_MARKS = b"\0\xef\xbb\xbf\xff\xfe"
"""Bytes of byte-order marks, and the zeros of UTF-16."""

_SIGNS = [
    (rb"%PDF-", refusals.PDF),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0{4}|RIFF.{4}WEBP|II\*\0|MM\0\*|.{4}ftyp", refusals.PICTURE),
    (rb"\{\\rtf", refusals.DOCUMENT),
    (rb"\x1f\x8b|Rar!|7z\xbc\xaf|PK\x05\x06|BZh|\xfd7zXZ", refusals.ARCHIVE),
    (rb"\x09[\x00\x02\x04\x08][\x04-\x10]\x00", refusals.OLD_EXCEL),
]
"""First bytes of what is no list. Workbooks of Excel 2 to 4, and later ones without their container, begin with a BOF
record ([MS-XLS] §2.4.21): some PHP programs still write them."""

_PARTS = [
    (r"xl/workbook\.bin", refusals.BINARY),
    (r"index/.*\.iwa|index\.zip", refusals.NUMBERS),
    (r"word/document\.xml|ppt/presentation\.xml", refusals.DOCUMENT),
]
"""Parts by which an archive is known that is no workbook we read."""


class Kind(Enum):
    """What a file is."""

    XLSX = auto()
    ODS = auto()
    OLE = auto()
    VCARDS = auto()
    TEXT = auto()


def kind(path: Path) -> Kind:
    """What a file is. Raises Refused for what is no list."""
    with path.open("rb") as file:
        start = file.read(START)
    if not start:
        raise Refused(refusals.EMPTY)
    if start.startswith(ZIP):
        return of_archive(path)
    if start.startswith(OLE):
        return Kind.OLE
    for sign, reason in _SIGNS:
        if re.match(sign, start, re.DOTALL):
            raise Refused(reason)
    text = start.translate(None, _MARKS).lstrip().upper()
    if text.startswith(_MARKUP):
        raise Refused(refusals.WEB_PAGE)
    return Kind.VCARDS if text.startswith(b"BEGIN:VCARD") else Kind.TEXT


def of_archive(source: Any) -> Kind:
    """What an archive is. Raises Refused, also for one that says itself that it is too large.

    What it conceals, the memory limit finds.
    """
    try:
        with ZipFile(source) as archive:
            parts = archive.infolist()
            names = {each.filename.replace("\\", "/").lower() for each in parts}
            manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in archive.namelist() else b""
    except (BadZipFile, OSError, NotImplementedError, EOFError, RuntimeError):
        raise Refused(refusals.DAMAGED) from None
    size = sum(part.file_size for part in parts)
    if size > UNPACKED_LIMIT or len(parts) > PART_LIMIT:
        raise Refused(refusals.too_large(size, len(parts), UNPACKED_LIMIT, PART_LIMIT))
    for pattern, reason in _PARTS:
        if any(re.fullmatch(pattern, name) for name in names):
            raise Refused(reason)
    if b"encryption-data" in manifest:
        raise Refused(refusals.PASSWORD)
    return _of_parts(names)


def _of_parts(names: set[str]) -> Kind:
    if "content.xml" in names:
        return Kind.ODS
    if "[content_types].xml" in names or any(name.endswith("workbook.xml") for name in names):
        return Kind.XLSX
    raise Refused(refusals.ARCHIVE)
