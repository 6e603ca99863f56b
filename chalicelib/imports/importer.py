"""The importer: an uploaded workbook becomes contacts, a chunk of rows and its marker in one transaction.

Deliveries come twice and the process can die anywhere: the import's row and its chunks' markers say what is done.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock, ids, queues
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.contacts.phone import normalize
from chalicelib.errors import Conflict, NotFound
from chalicelib.imports import store, workbook
from chalicelib.imports.model import ERRORS_KEPT, Counts, Duplicates, Import, ImportStatus, RowError
from chalicelib.imports.workbook import Person, Unreadable
from chalicelib.log import logger
from chalicelib.queues import ContinueImport
from chalicelib.settings import settings

CHUNK = 48
"""Rows in one transaction: two writes each, the marker and the organization's totals make 98."""

SLICE = timedelta(minutes=4)
PROGRESS_SECONDS = 2.0
RACES = 8

Now = Callable[[], datetime]


class Arrival(Struct, frozen=True):
    """An object that came into the bucket, as S3's notification tells it."""

    key: str
    sequencer: str
    at: datetime


def handle(bodies: Iterable[str], *, now: Now = clock.now) -> None:
    """Handle messages of the imports queue: S3 notifications, and imports to be gone on with."""
    for body in bodies:
        message = msgspec.json.decode(body)
        if "importId" in message:
            order = msgspec.convert(message, ContinueImport)
            run(store.find(order.organization_id, order.import_id), now=now)
        for arrival in arrivals(message):
            of = _import(arrival)
            if of is not None:
                run(of, now=now)


def arrivals(notification: dict[str, Any]) -> Iterator[Arrival]:
    """The objects an S3 notification names; a test event names none.

    Shape: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    for record in notification.get("Records", []):
        thing = record["s3"]["object"]
        sequencer = thing.get("sequencer") or thing.get("eTag", "")
        yield Arrival(unquote_plus(thing["key"]), sequencer, clock.moment(record["eventTime"]))


def _import(arrival: Arrival) -> Import | None:
    """The import an object belongs to; a file dropped into the inbox makes one, the same for every delivery."""
    folder, _, rest = arrival.key.partition("/")
    organization_id, _, name = rest.partition("/")
    if folder == store.UPLOADS:
        try:
            return store.find(organization_id, name)
        except NotFound:
            logger().warning("an upload without its import", key=arrival.key)
            return None
    if folder != store.INBOX or not organization_id or not name:
        return None
    import_id = derived_id(arrival)
    new = Import(
        organization_id=organization_id,
        import_id=import_id,
        key=arrival.key,
        file_name=name.rpartition("/")[2],
        created_at=clock.stamp(arrival.at),
    )
    store.add(new)
    return store.find(organization_id, import_id)


def derived_id(arrival: Arrival) -> str:
    """A UUIDv7 of an arrival's time, the rest of it a digest: every delivery of one arrival gives the same."""
    digest = int.from_bytes(hashlib.sha256(f"{arrival.key}\n{arrival.sequencer}".encode()).digest()[:10], "big")
    milliseconds = int(arrival.at.timestamp() * 1000) & (1 << 48) - 1
    bits = milliseconds << 80 | 0x7 << 76 | (digest >> 62 & 0xFFF) << 64 | 0b10 << 62 | digest & (1 << 62) - 1
    return str(uuid.UUID(int=bits))


def run(of: Import, *, now: Now) -> None:
    """Import a file from where it stands; in a slice of four minutes, queueing its own continuation."""
    if of.status not in (ImportStatus.PENDING, ImportStatus.RUNNING):
        return
    until = now() + SLICE
    try:
        rows = list(_rows(of))
    except (Unreadable, NotFound) as failure:
        _end(of, ImportStatus.FAILED, now, failure_reason=str(failure))
        return
    errors = [row for row in rows if isinstance(row, RowError)]
    persons, repeated = unique([row for row in rows if isinstance(row, Person)], of.duplicates)
    of = _note(of, status=ImportStatus.RUNNING, total_rows=len(rows), failed=len(errors), errors=errors[:ERRORS_KEPT])
    if not _write_chunks(of, persons, until, now):
        queues.go_on(ContinueImport(organization_id=of.organization_id, import_id=of.import_id))
        return
    counts = _sum(store.done_chunks(of.organization_id, of.import_id).values())
    again = Counts(updated=repeated) if of.duplicates is Duplicates.UPDATE else Counts(skipped=repeated)
    counts = counts.plus(again)
    _end(
        of,
        ImportStatus.COMPLETED,
        now,
        processed_rows=len(rows),
        created=counts.created,
        updated=counts.updated,
        skipped=counts.skipped,
    )


def _rows(of: Import) -> Iterator[Person | RowError]:
    region = settings().default_phone_region
    content = store.file(of.key)
    return workbook.people(workbook.read(content, of.file_name), lambda text: normalize(text, region))


def unique(persons: Sequence[Person], duplicates: Duplicates) -> tuple[list[Person], int]:
    """One person per phone, and how many rows repeated one: later rows add to the first, or are skipped."""
    by_phone: dict[str, Person] = {}
    for person in persons:
        first = by_phone.get(person.phone)
        if first is None:
            by_phone[person.phone] = person
        elif duplicates is Duplicates.UPDATE:
            by_phone[person.phone] = replace(first, fields=merged(first.fields, person.fields))
    return list(by_phone.values()), len(persons) - len(by_phone)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Fields of a row over older ones; `customData` key by key."""
    custom = (old.get("custom_data") or {}) | (new.get("custom_data") or {})
    return old | new | ({"custom_data": custom} if custom else {})


def _write_chunks(of: Import, persons: Sequence[Person], until: datetime, now: Now) -> bool:
    """Write the chunks that are not written yet. Returns whether all are."""
    done = store.done_chunks(of.organization_id, of.import_id)
    noted = time.monotonic()
    for number, start in enumerate(range(0, len(persons), CHUNK)):
        if number in done:
            continue
        if now() >= until:
            return False
        done[number] = _write_chunk(of, number, persons[start : start + CHUNK], now)
        if time.monotonic() - noted > PROGRESS_SECONDS:
            noted = time.monotonic()
            counts = _sum(done.values())
            _note(
                of,
                processed_rows=of.failed + counts.created + counts.updated + counts.skipped,
                created=counts.created,
                updated=counts.updated,
                skipped=counts.skipped,
            )
    return True


def _write_chunk(of: Import, number: int, persons: Sequence[Person], now: Now) -> Counts:
    for _ in range(RACES):
        at = clock.stamp(now())
        owners = contacts.owners(of.organization_id, [person.phone for person in persons])
        new = [
            _contact(of, person, at, barred=person.phone in owners)
            for person in persons
            if not owners.get(person.phone)
        ]
        known = [(owner, _changes(owner, person)) for person in persons if (owner := owners.get(person.phone))]
        if of.duplicates is Duplicates.SKIP:
            counts, known = Counts(created=len(new), skipped=len(known)), []
        else:
            counts = Counts(created=len(new), updated=len(known))
        try:
            store.write_chunk(of, number, new, known, counts, at=at)
        except store.ChunkDone:
            return counts
        except Conflict:
            continue
        return counts
    raise Conflict


def _contact(of: Import, person: Person, at: str, *, barred: bool) -> Contact:
    fields = person.fields | ({"status": ContactStatus.DO_NOT_CALL} if barred else {})
    return Contact(
        organization_id=of.organization_id,
        contact_id=ids.new_id(),
        phone=person.phone,
        created_at=at,
        updated_at=at,
        **fields,
    )


def _changes(owner: Contact, person: Person) -> dict[str, Any]:
    """What a row changes of a contact; an import never takes DO_NOT_CALL away."""
    fields = merged({"custom_data": owner.custom_data} if owner.custom_data else {}, person.fields)
    if owner.status is ContactStatus.DO_NOT_CALL:
        fields.pop("status", None)
    return fields


def _note(of: Import, **changes: Any) -> Import:
    try:
        return store.change(of, **changes)
    except Conflict:
        return of


def _end(of: Import, status: ImportStatus, now: Now, **changes: Any) -> None:
    _note(of, status=status, finished_at=clock.stamp(now()), **changes)


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total = total.plus(each)
    return total
