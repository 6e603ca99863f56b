"""Address books: a file of vCards (2.1, 3.0, RFC 6350) as a list, one row per card, with headers that lists have."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.workbooks import encodings

Numbered = tuple[int, list[Any]]

START = 4096

_NAME, _GIVEN, _FAMILY, _BORN, _NOTES = "Full name", "First name", "Last name", "Birthday", "Notes"
_OTHERS = {"ORG": "Organization", "TITLE": "Job title", "EMAIL": "E-mail", "ADR": "Address"}
_COLUMNS = (_NAME, _GIVEN, _FAMILY, _BORN, _NOTES, *_OTHERS.values())
"""The columns before those of the phones."""

_LINE = re.compile(
    r"(?:[\w-]+\.)?(?P<name>[\w-]+)(?P<parameters>(?:;[^:;\"]*(?:\"[^\"]*\"[^:;\"]*)*)*):(?P<value>.*)", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)")
_MOBILE, _NO_PHONE = re.compile("CELL|IPHONE|MOBILE"), re.compile("FAX|PAGER")
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T.*)?")


class Line(NamedTuple):
    """A content line: its name and parameters in capitals, its value as it stands."""

    name: str
    parameters: str
    value: str


def rows(path: Path) -> Iterator[Numbered]:
    """A header, and the cards by their places in the file. Phones come mobile ones first. Raises Refused."""
    with path.open("rb") as file:
        encoding = encodings.of(path, file.read(START))
    phones = max((len(_phones(card)) for card in _cards(path, encoding)), default=0)
    yield 0, [*_COLUMNS, *(f"Phone {n}" for n in range(1, max(phones, 1) + 1))]
    for number, card in enumerate(_cards(path, encoding), 1):
        yield number, _row(card)


def _cards(path: Path, encoding: str) -> Iterator[list[Line]]:
    """The cards of a file, without those that vCard 2.1 has inside others (an agent's)."""
    card: list[Line] = []
    inside = 0
    with path.open(encoding=encoding, errors="replace") as file:
        for text in _unfolded(file):
            found = _LINE.fullmatch(text)
            if not found:
                continue
            line = Line(found["name"].upper(), found["parameters"].upper(), found["value"])
            if line.name == "BEGIN" and card and card[-1].name == "AGENT":
                inside += 1
            elif line.name == "END" and inside:
                inside -= 1
            elif line.name in {"BEGIN", "END"}:
                if card:
                    yield card
                card = []
            elif not inside:
                card.append(line)
    if card:
        yield card


def _unfolded(lines: Iterable[str]) -> Iterator[str]:
    """Lines without the breaks that only keep them short: a blank after one, `=` before one in quoted-printable."""
    whole = ""
    for line in lines:
        text = line.rstrip("\r\n")
        if text[:1] in {" ", "\t"}:
            whole += text[1:]
        elif whole.endswith("=") and "QUOTED-PRINTABLE" in whole.upper():
            whole = whole[:-1] + text
        else:
            if whole:
                yield whole
            whole = text
    if whole:
        yield whole


def _row(card: list[Line]) -> list[Any]:
    cells = dict.fromkeys(_COLUMNS, "")
    for line in card:
        if line.name == "FN":
            cells[_NAME] = cells[_NAME] or _text(line)
        elif line.name == "N":
            cells[_FAMILY], cells[_GIVEN] = (*_parts(line), "", "")[:2]
        elif line.name == "BDAY":
            cells[_BORN] = _day(line)
        elif line.name == "NOTE":
            cells[_NOTES] = _text(line)
        elif line.name in _OTHERS:
            title = _OTHERS[line.name]
            cells[title] = cells[title] or ", ".join(filter(None, _parts(line)))
    return [*cells.values(), *_phones(card)]


def _phones(card: list[Line]) -> list[str]:
    """A card's phones: mobile ones first, then as they come; RFC 6350 writes them as addresses (`tel:+998…`)."""
    lines = [line for line in card if line.name == "TEL" and not _NO_PHONE.search(line.parameters)]
    lines.sort(key=lambda line: not _MOBILE.search(line.parameters))
    found = (_text(line).removeprefix("tel:").partition(";ext=")[0].strip() for line in lines)
    return list(dict.fromkeys(filter(None, found)))


def _text(line: Line) -> str:
    return _plain(_decoded(line)).strip()


def _parts(line: Line) -> list[str]:
    """The parts of a value with several, split where `;` is not escaped."""
    return [_plain(part).strip() for part in re.split(r"(?<!\\);", _decoded(line))]


def _decoded(line: Line) -> str:
    if "QUOTED-PRINTABLE" not in line.parameters:
        return line.value
    charset = re.search(r'CHARSET="?([\w-]+)', line.parameters)
    try:
        return quopri.decodestring(line.value.encode()).decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        return line.value


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _day(line: Line) -> str:
    """A birthday as a list has it; nothing for one without its year (iPhones write 1604 then)."""
    found = _DAY.fullmatch(line.value.strip())
    return "-".join(found.groups()) if found and found[1] != "1604" else ""
