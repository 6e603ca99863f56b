"""From the plan to contacts: a chunk and its marker in one transaction, several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import Any

from chalicelib import clock, ids
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import Conflict
from chalicelib.imports import planning, store
from chalicelib.imports.model import Counts, Duplicates, Import
from chalicelib.imports.people import Person, merged
from chalicelib.imports.progress import Progress

WRITERS = 4
"""Transactions under way at a time: 12,000 rows a second at 15 ms each, and more threads only take turns computing."""

WAIT_SECONDS = 0.5
RACES = 8

Now = Callable[[], datetime]
Owners = dict[str, Contact | None]


def write(of: Import, plan: Path, until: datetime, *, now: Now) -> bool:
    """Write the chunks of a plan that are not written yet; whether all are. Raises Over when the import has ended."""
    done = store.done_chunks(of.organization_id, of.import_id)
    total = sum_up(done.values())
    writer, progress = Writer(of, now), Progress(of)
    pending: deque[Future[Counts]] = deque()

    def gather(most: int) -> None:
        nonlocal total
        while len(pending) > most:
            if pending[0].done() or wait([pending[0]], WAIT_SECONDS).done:
                total = total.plus(pending.popleft().result())
            progress.tell(now(), **counted(of, total))

    with ThreadPoolExecutor(WRITERS) as pool:
        for number, chunk in planning.chunks(plan):
            if number in done:
                continue
            if now() >= until:
                return False
            pending.append(pool.submit(writer.write, number, chunk))
            gather(most=2 * WRITERS)
        gather(most=0)
    return True


def counted(of: Import, total: Counts) -> dict[str, int]:
    """What an import's row says of its chunks' counts together."""
    return {
        "processed_rows": of.failed + total.rows,
        "created": total.created,
        "updated": total.updated,
        "skipped": total.skipped,
        "barred": total.barred,
    }


def sum_up(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    total = Counts()
    for each in counts:
        total = total.plus(each)
    return total


class Writer:
    """Writes the chunks of one import.

    Whose a phone is must be read before a known contact can be changed. A list of strangers needs no reading: their
    rows are put on the condition that there are none. So a writer expects strangers for as long as it meets them only.
    """

    def __init__(self, of: Import, now: Now) -> None:
        self._of = of
        self._now = now
        self._strangers = True

    def write(self, number: int, chunk: bytes) -> Counts:
        """Write a chunk of a plan, unless it is written. Raises Conflict when others keep changing its contacts."""
        people = planning.people(chunk)
        try:
            if self._strangers:
                try:
                    return self._write(number, people, {})
                except Conflict:
                    self._strangers = False
            return self._upsert(number, people)
        except store.ChunkDone as done:
            return done.counts

    def _upsert(self, number: int, people: list[Person]) -> Counts:
        for _ in range(RACES):
            owners = contacts.owners(self._of.organization_id, [person.phone for person in people])
            self._strangers = not owners
            try:
                return self._write(number, people, owners)
            except Conflict:
                continue
        raise Conflict

    def _write(self, number: int, people: list[Person], owners: Owners) -> Counts:
        """Write a chunk given whose its phones are; None for one that is barred and nobody's."""
        of, at = self._of, clock.stamp(self._now())
        barred = contacts.barred(of.organization_id, [person.phone for person in people]) | owners.keys()
        strangers = [person for person in people if owners.get(person.phone) is None]
        new = [_contact(of, person, at, barred=person.phone in barred) for person in strangers if person.is_named]
        shut = [person for person in strangers if not person.is_named]
        known = [
            (owner, changes)
            for person in people
            if (owner := owners.get(person.phone)) and (changes := _changes(owner, person, of.duplicates))
        ]
        counts = _counts(of.duplicates, people, created=len(new), updated=len(known), shut=shut)
        fresh = [person.phone for person in shut if person.phone not in barred]
        store.write_chunk(of, number, new, known, fresh, counts, at=at)
        return counts


def _counts(duplicates: Duplicates, people: list[Person], *, created: int, updated: int, shut: list[Person]) -> Counts:
    """Each contact is created by one row; every other row of the chunk repeats a phone, or only bars it."""
    rows, barring = (sum(person.rows for person in some) for some in (people, shut))
    if duplicates is Duplicates.UPDATE:
        updated = rows - created - barring
    return Counts(created, updated, rows - created - updated, barred=len(shut))


def _contact(of: Import, person: Person, at: str, *, barred: bool) -> Contact:
    fields = _fields(person) | ({"status": ContactStatus.DO_NOT_CALL} if barred else {})
    return Contact(
        organization_id=of.organization_id,
        contact_id=ids.new_id(),
        phone=person.phone,
        created_at=at,
        updated_at=at,
        **fields,
    )


def _changes(owner: Contact, person: Person, duplicates: Duplicates) -> dict[str, Any]:
    """What a row changes of a contact. Who must not be called is not, whatever happens to duplicates."""
    if duplicates is Duplicates.SKIP:
        bars = person.fields.get("status") == ContactStatus.DO_NOT_CALL is not owner.status
        return {"status": ContactStatus.DO_NOT_CALL} if bars else {}
    fields = merged({"custom_data": owner.custom_data} if owner.custom_data else {}, _fields(person))
    if owner.status is ContactStatus.DO_NOT_CALL:
        fields.pop("status", None)
    return fields


def _fields(person: Person) -> dict[str, Any]:
    fields = person.fields
    return fields | {"status": ContactStatus(fields["status"])} if "status" in fields else fields
