"""The plan of an import: whom its rows are about, one person per phone, in chunks that never change.

Which rows are the last of their phone is known only when all are read, and a reader of a million rows must not keep
them in memory: persons go to a file as they are read, memory keeps where each phone's lies. The finished plan is kept
in the bucket, so that an import that goes on later, on another machine or by newer code, goes on with the same chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec.structs import replace

from chalicelib import records
from chalicelib.contacts.model import ContactStatus
from chalicelib.imports.model import Duplicates
from chalicelib.imports.people import Person, merged

CHUNK = 48
"""Persons in one transaction: two writes each, the marker and the organization's totals make 98."""

_encode = msgspec.json.Encoder().encode
_decode_person = msgspec.json.Decoder(Person).decode
_decode_chunk = msgspec.json.Decoder(list[Person]).decode


class Draft:
    """A plan while rows come in."""

    def __init__(self, file: IO[bytes], duplicates: Duplicates) -> None:
        self._file = file
        self._at = self._end = 0
        self._places: dict[int, int] = {}
        self._duplicates = duplicates

    def add(self, person: Person) -> None:
        """Take a row: the first of its phone, or one that adds to it (or, with `skip`, only counts)."""
        digits = int(person.phone[1:])
        place = self._places.get(digits)
        if place is not None:
            person = again(_decode_person(self._record(place)), person, self._duplicates)
        self._places[digits] = self._append(person)

    def finish(self, path: Path) -> None:
        """Write the plan: chunks in the order in which their phones came first."""
        with path.open("wb") as plan:
            for chunk in self._chunks():
                plan.write(records.sized(chunk))

    def _chunks(self) -> Iterator[bytes]:
        places = list(self._places.values())
        for start in range(0, len(places), CHUNK):
            yield b"[" + b",".join(map(self._record, places[start : start + CHUNK])) + b"]"

    def _append(self, person: Person) -> int:
        place = self._end
        self._go_to(place)
        self._at = self._end = place + self._file.write(records.sized(_encode(person)))
        return place

    def _record(self, place: int) -> bytes:
        self._go_to(place)
        record = records.next_of(self._file)
        assert record is not None  # noqa: S101 (we wrote it)
        self._at = place + records.SIZE + len(record)
        return record

    def _go_to(self, place: int) -> None:
        if self._at != place:
            self._file.seek(place)


def again(first: Person, later: Person, duplicates: Duplicates) -> Person:
    """A person of whom another row came; who must not be called by either is not."""
    skips = duplicates is Duplicates.SKIP and (first.is_named or not later.is_named)
    fields = first.fields if skips else merged(first.fields, later.fields)
    if ContactStatus.DO_NOT_CALL in (first.fields.get("status"), later.fields.get("status")):
        fields = fields | {"status": ContactStatus.DO_NOT_CALL}
    kept = first if skips else later
    return replace(kept, fields=fields, rows=first.rows + later.rows)


def chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """A plan's chunks with their numbers, each to be opened with `people`."""
    return enumerate(records.of(path))


def people(chunk: bytes) -> list[Person]:
    """The persons of a chunk."""
    return _decode_chunk(chunk)
