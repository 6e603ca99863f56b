"""Retention: what is kept of people for longer than was set is removed by a sweep a day, table by table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import s3
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call, CallState
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.imports import store as imports
from chalicelib.imports.model import Import
from chalicelib.organizations import store as organizations
from chalicelib.privacy import messages
from chalicelib.privacy.messages import Erase, Kind, Sweep

HOUR = 21
"""Of the day in UTC when a sweep begins: night between Moscow and Tashkent."""

PAGE = 200

FILES_EXPIRE_DAYS = 90
"""After which the bucket has let go of all files, and the feed of all events."""

Days = Callable[[str], int | None]
"""How many days an organization keeps something."""


def begin_if_due(*, now: datetime) -> None:
    """Begin the day's sweeps in their minute; a clock that skips it costs a day."""
    if (now.hour, now.minute) == (HOUR, 0):
        for kind in SWEEPERS:
            messages.work(Sweep(kind=kind))


def sweep(job: Sweep, *, now: Callable[[], datetime], until: datetime, page: int = PAGE) -> None:
    """Remove what is too old in a slice of a table, and queue the rest. Nothing is read where everything is kept."""
    retentions = organizations.retentions()
    if not retentions.end(job.kind):
        return
    some, remove = SWEEPERS[job.kind]
    after = job.after
    while True:
        found, after = some(page, after)
        for each in found:
            remove(each, lambda organization_id: retentions.days(organization_id, job.kind), now())
        if after is None:
            return
        if now() >= until:
            messages.work(replace(job, after=after))
            return


def is_over(since: str, days: int | None, now: datetime) -> bool:
    """Whether something of a moment has been kept for so many days."""
    return days is not None and since < clock.stamp(now - timedelta(days=days))


def _blank_call(call: Call, days: Days, now: datetime) -> None:
    ended = call.state is CallState.DONE and not call.erased
    if ended and is_over(call.ended_at, days(call.organization_id), now):
        calls.blank(call, now=now)


def _erase_contact(contact: Contact, days: Days, now: datetime) -> None:
    """A contact that nobody called or changed for so long is erased, unless a call to it waits; so is one of whom that
    was begun and not ended.
    """
    organization_id, _, erasing = contact.organization_id.partition("#")
    kept = days(organization_id)
    if not erasing:
        known = max(contact.updated_at, contact.last_called_at or "")
        if not is_over(known, kept, now) or _waits(contact):
            return
        contacts.begin_erasure(organization_id, contact.contact_id)
    old = not erasing and kept is not None and kept >= FILES_EXPIRE_DAYS
    messages.work(Erase(organization_id=organization_id, contact_id=contact.contact_id, old=old))


def _waits(contact: Contact) -> bool:
    return any(call.state is not CallState.DONE for call in calls.of_contact(contact.contact_id))


def _strip_import(of: Import, days: Days, now: datetime) -> None:
    """An import keeps its counts; its file, its report and what was wrong in its rows go."""
    if of.under_way or not (of.plan or of.errors):
        return
    if is_over(of.finished_at or of.created_at, days(of.organization_id), now):
        for key in filter(None, (of.key, of.report_key, of.plan)):
            s3.delete(key)
        imports.set_errors(of, [])
        imports.forget_plan(of.organization_id, of.import_id)


SWEEPERS: Mapping[Kind, tuple[Callable[..., tuple[list[Any], Any]], Callable[..., None]]] = {
    "contacts": (contacts.some_of_all, _erase_contact),
    "calls": (calls.some_of_all, _blank_call),
    "imports": (imports.some_of_all, _strip_import),
}
"""Kind of data → how to go through all of it, and what removes one that is too old."""
