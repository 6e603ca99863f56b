"""Imports and their chunks' markers.

A chunk of rows is written in one transaction with its marker (which contacts, which counts): a chunk that is done is
never done again, and an import's counts are the sums of its markers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from pynamodb.attributes import UnicodeAttribute

from chalicelib.aws import dynamodb
from chalicelib.aws.bulk import Bulk
from chalicelib.aws.dynamodb import (
    Cancelled,
    Page,
    Paging,
    Row,
    Transaction,
    get,
    page_of,
    still,
    table,
    update_if,
)
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import Conflict, Failure, ImportRunning, NotFound
from chalicelib.imports.model import Counts, Import, ImportStatus, RowError, Undo, Undone
from chalicelib.totals.store import Kind, count

UPLOADS, INBOX = "uploads", "inbox"
"""The folders whose objects are imported: `uploads/{organizationId}/{importId}` and `inbox/{organizationId}/…`."""

MARKERS_PER_PAGE = 25


class ChunkDone(Failure):
    """The chunk was written before; its marker has the counts."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts


class Over(Conflict):
    """The import has ended, or was planned by another."""


class ImportRow(Row, keeps=Import):
    class Meta:
        table_name = table("imports_table")

    owner = UnicodeAttribute(hash_key=True)
    import_id = UnicodeAttribute(range_key=True, attr_name="id")


class Marker(Struct, frozen=True):
    """A chunk that was written: its contacts, those first that it created."""

    chunk: str
    contact_ids: list[str]
    counts: Counts
    undone: Undone | None = None

    @property
    def created(self) -> list[str]:
        return self.contact_ids[: self.counts.created]


class MarkerRow(Row, keeps=Marker):
    class Meta:
        table_name = table("imports_table")

    owner = UnicodeAttribute(hash_key=True)
    chunk = UnicodeAttribute(range_key=True, attr_name="id")


def upload_key(organization_id: str, import_id: str) -> str:
    """Where an import's uploaded file lies."""
    return f"{UPLOADS}/{organization_id}/{import_id}"


def plan_key(of: Import, plan_id: str) -> str:
    """Where a plan of an import is kept."""
    return f"reports/{of.organization_id}/{of.import_id}/plan-{plan_id}"


def add(new: Import) -> None:
    """Store a new import; one that is there stays as it is."""
    transaction = Transaction()
    transaction.put(ImportRow.of(new, owner=new.organization_id), ImportRow.owner.does_not_exist())
    count(transaction, Kind.IMPORTS, new.organization_id, new.import_id, {"all": 1})
    try:
        transaction.commit()
    except Cancelled:
        return


def find(organization_id: str, import_id: str) -> Import:
    """An import. Raises NotFound."""
    row = get(ImportRow, organization_id, import_id)
    if row is None:
        raise NotFound
    return row.value(Import)


def page(organization_id: str, paging: Paging) -> Page:
    """A page of the organization's imports."""
    rows, cursor = page_of(ImportRow, organization_id, ImportRow.import_id, paging)
    return Page([row.value(Import) for row in rows], cursor)


def all_of(organization_id: str) -> Iterator[Import]:
    """The organization's imports, the newest first."""
    for row in ImportRow.query(organization_id, scan_index_forward=False, consistent_read=True):
        yield row.value(Import)


def some_of_all(limit: int, after: dict[str, Any] | None) -> tuple[list[Import], dict[str, Any] | None]:
    """Some of everybody's imports, and where to go on; for sweeps."""
    rows, after = dynamodb.some_of_all(ImportRow, limit, after)
    return [row.value(Import) for row in rows if "#" not in row.owner], after


def forget_plan(organization_id: str, import_id: str) -> None:
    """The report of an import that has ended is gone, and so is its plan. Raises Conflict when there is none such."""
    ended = ImportRow.status.is_in(ImportStatus.COMPLETED, ImportStatus.FAILED)
    update_if(ImportRow(organization_id, import_id), [ImportRow.plan.remove()], ended)


def set_errors(of: Import, errors: list[RowError]) -> None:
    """Put other errors in place of those that an import lists."""
    update_if(ImportRow(of.organization_id, of.import_id), [ImportRow.errors.set(errors)], ImportRow.owner.exists())


def change(old: Import, **changes: Any) -> Import:
    """Set fields of an import that has not ended, with a plan only if it has none. Raises Over."""
    attributes = ImportRow.get_attributes()
    actions = [attributes[name].set(value) for name, value in changes.items()]
    allowed = ImportRow.status.is_in(ImportStatus.PENDING, ImportStatus.RUNNING)
    if "plan" in changes:
        allowed &= ImportRow.plan.does_not_exist()
    try:
        update_if(ImportRow(old.organization_id, old.import_id), actions, allowed)
    except Conflict:
        raise Over from None
    return replace(old, **changes)


def done_chunks(organization_id: str, import_id: str) -> dict[int, Counts]:
    """The chunks that are written, by number, with their counts."""
    markers = MarkerRow.query(
        _chunks_of(organization_id, import_id), consistent_read=True, attributes_to_get=["owner", "id", "counts"]
    )
    return {int(marker.chunk): marker.counts for marker in markers}


def begin_undo(of: Import, undo: Undo) -> Import:
    """Keep that the undoing of an import begins, unless it has come further since; the import as it is then."""
    as_read = still(ImportRow.undo, of.undo)
    try:
        update_if(ImportRow(of.organization_id, of.import_id), [ImportRow.undo.set(undo)], as_read)
    except Conflict:
        return find(of.organization_id, of.import_id)
    return replace(of, undo=undo)


def note_undo(of: Import, undo: Undo) -> None:
    """Keep how far the undoing of an import has come. Raises ImportRunning when the import has not ended."""
    ended = ImportRow.status.is_in(ImportStatus.COMPLETED, ImportStatus.FAILED)
    try:
        update_if(ImportRow(of.organization_id, of.import_id), [ImportRow.undo.set(undo)], ended)
    except Conflict:
        raise ImportRunning from None


def markers(of: Import, *, after: str | None) -> list[Marker]:
    """Some of an import's markers in the order of their chunks."""
    later = MarkerRow.chunk > after if after else None
    rows = MarkerRow.query(
        _chunks_of(of.organization_id, of.import_id), later, limit=MARKERS_PER_PAGE, consistent_read=True
    )
    return [row.value(Marker) for row in rows]


def marker(of: Import, chunk: str) -> Marker:
    """A chunk's marker as it is right now. Raises NotFound."""
    row = get(MarkerRow, _chunks_of(of.organization_id, of.import_id), chunk)
    if row is None:
        raise NotFound
    return row.value(Marker)


def undo_chunk(of: Import, marker: Marker, removed: Sequence[Contact], undone: Undone) -> None:
    """Delete contacts that a chunk created, together with its marker's note of it.

    Raises ChunkDone when the chunk was undone before, Conflict when a contact or phone changed meanwhile.
    """
    transaction = Transaction()
    row = MarkerRow(_chunks_of(of.organization_id, of.import_id), marker.chunk)
    transaction.update(row, [MarkerRow.undone.set(undone)], MarkerRow.undone.does_not_exist(), tag="marker")
    for contact in removed:
        contacts.take_back(transaction, contact, import_id=of.import_id)
    tally: Counter[str] = Counter()
    tally.subtract(contact.status for contact in removed)
    count(transaction, Kind.CONTACTS, of.organization_id, row.owner + row.chunk, tally)
    try:
        transaction.commit()
    except Cancelled as cancelled:
        if "marker" in cancelled.failed:
            raise ChunkDone(marker.counts) from None
        raise


def contacts_of(organization_id: str, import_id: str, *, after: str | None) -> tuple[list[str], str | None]:
    """Some of the contacts an import created or updated, chunk by chunk, and the chunk to go on after."""
    later = MarkerRow.chunk > after if after else None
    markers = list(
        MarkerRow.query(_chunks_of(organization_id, import_id), later, limit=MARKERS_PER_PAGE, consistent_read=True)
    )
    found = [contact_id for marker in markers for contact_id in marker.contact_ids]
    return found, markers[-1].chunk if len(markers) == MARKERS_PER_PAGE else None


def write_chunk(
    of: Import,
    number: int,
    new: Sequence[Contact],
    known: Sequence[tuple[Contact, dict[str, Any]]],
    barred: Sequence[str],
    counts: Counts,
    *,
    at: str,
) -> None:
    """Create contacts, change known ones and bar phones that are nobody's, together with the chunk's marker.

    Raises ChunkDone when the marker is there already, Conflict when a contact or phone changed meanwhile.
    """
    transaction = Bulk()
    written = [contact.contact_id for contact in [*new, *(contact for contact, _ in known)]]
    marker = Marker(f"{number:08}", written, counts)
    owner = _chunks_of(of.organization_id, of.import_id)
    transaction.put_new(MarkerRow, [marker], absent="owner", tag="marker", owner=owner)
    tally: Counter[str] = Counter(contact.status for contact in new)
    fresh = [contact for contact in new if contact.status is not ContactStatus.DO_NOT_CALL]
    contacts.put_all_new(transaction, fresh, organization_id=of.organization_id, import_id=of.import_id)
    for contact in new:
        if contact.status is ContactStatus.DO_NOT_CALL:
            contacts.put_new(transaction, contact, import_id=of.import_id)
    contacts.put_barred(transaction, of.organization_id, barred)
    for contact, changes in known:
        changed = contacts.put_changes(transaction, contact, changes, at=at, import_id=of.import_id)
        tally[contact.status] -= 1
        tally[changed.status] += 1
    count(transaction, Kind.CONTACTS, of.organization_id, owner + marker.chunk, tally)
    try:
        transaction.commit()
    except Cancelled as cancelled:
        if marked := cancelled.failed.get("marker"):
            raise ChunkDone(MarkerRow.from_raw_data(marked).counts) from None
        raise


def _chunks_of(organization_id: str, import_id: str) -> str:
    return f"{organization_id}#{import_id}"


def of_image(image: dict[str, Any]) -> Import:
    """The value of a row in a stream record's image."""
    return ImportRow.from_raw_data(image).value(Import)
