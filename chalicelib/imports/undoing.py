"""Undoing an import: the contacts that only it wrote and that nobody has called go, chunk by chunk, as they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.contacts import store as contacts
from chalicelib.contacts.store import Written
from chalicelib.errors import Conflict, ImportRunning
from chalicelib.imports import messages, store
from chalicelib.imports.messages import UndoImport
from chalicelib.imports.model import Import, ImportStatus, Undo, Undone
from chalicelib.imports.store import Marker
from chalicelib.imports.writing import RACES, WRITERS

CALLED, CHANGED = "called", "changed"

PATIENCE = timedelta(minutes=40)
"""Without progress for so long an undoing has died: its next try is at most 15 minutes away, and 5 are made."""


def begin(of: Import, *, now: datetime) -> Import:
    """Have an import undone, unless that is done or goes on; the import as it stands. Raises ImportRunning, SendFailed.

    It is noted after it was ordered: what no queue took is shown by nobody as going on.
    """
    if of.under_way:
        raise ImportRunning
    if of.undo and (of.undo.status is ImportStatus.COMPLETED or of.undo.at > clock.stamp(now - PATIENCE)):
        return of
    messages.go_on(UndoImport(organization_id=of.organization_id, import_id=of.import_id))
    return store.begin_undo(of, Undo(ImportStatus.RUNNING, at=clock.stamp(now)))


def undo(of: Import, order: UndoImport, *, now: Callable[[], datetime], until: datetime) -> None:
    """Undo an import from a chunk on, and queue the rest when the time is up. Doing it again changes nothing more."""
    done = order.undone
    with ThreadPoolExecutor(WRITERS) as pool:
        while found := store.markers(of, after=order.cursor):
            for undone in pool.map(partial(_undo_chunk, of), found):
                done = done.plus(undone)
            order = replace(order, cursor=found[-1].chunk, undone=done)
            store.note_undo(of, Undo(ImportStatus.RUNNING, done, at=clock.stamp(now())))
            if now() >= until:
                messages.go_on(order)
                return
    store.note_undo(of, Undo(ImportStatus.COMPLETED, done, at=clock.stamp(now())))


def _undo_chunk(of: Import, marker: Marker) -> Undone:
    for _ in range(RACES):
        if marker.undone:
            return marker.undone
        found = contacts.written_by(of.organization_id, marker.created, import_id=of.import_id)
        removed = [each.contact for each in found if not _why_it_stays(each)]
        reasons = Counter(map(_why_it_stays, found))
        undone = Undone(len(removed), reasons[CALLED], reasons[CHANGED])
        try:
            store.undo_chunk(of, marker, removed, undone)
        except (store.ChunkDone, Conflict):
            marker = store.marker(of, marker.chunk)
        else:
            return undone
    raise Conflict


def _why_it_stays(written: Written) -> str | None:
    """Why a contact stays, None when it does not. Whatever writes a contact takes the import's name off its row."""
    if written.contact.is_called or written.in_call:
        return CALLED
    return None if written.last else CHANGED
