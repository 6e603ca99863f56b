"""The importer: an uploaded workbook becomes contacts.

Deliveries come twice and the process can die anywhere: the import's row, its plan and its chunks' markers say what is
done. First the workbook is read into a plan (`reading`), then the plan is written chunk by chunk (`writing`).
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct

from chalicelib import clock
from chalicelib.aws import s3, sqs
from chalicelib.errors import NotFound
from chalicelib.imports import messages, reading, store, undoing, writing
from chalicelib.imports.messages import ContinueImport, ImportOrder, UndoImport, WatchImport
from chalicelib.imports.model import ABANDONED, Import, ImportStatus, all_rejected, idle, overdue
from chalicelib.log import logger, measure
from chalicelib.workbooks import languages
from chalicelib.workbooks.reader import Unreadable

SLICE = timedelta(minutes=4)

Now = Callable[[], datetime]


class Arrival(Struct, frozen=True):
    """An object that came into the bucket, as S3's notification tells it."""

    key: str
    sequencer: str
    at: datetime


def handle(bodies: Iterable[str], *, now: Now = clock.now) -> None:
    """Handle messages of the imports queue: S3 notifications, and orders about imports that are known."""
    for body in bodies:
        message = msgspec.json.decode(body)
        if "type" in message:
            _follow(msgspec.convert(message, ImportOrder), now)
        for arrival in arrivals(message):
            of = _import(arrival)
            if of is not None:
                run(of, now=now)


def _follow(order: ImportOrder, now: Now) -> None:
    try:
        of = store.find(order.organization_id, order.import_id)
    except NotFound:
        logger().info("the import is gone", importId=order.import_id)
        return
    match order:
        case ContinueImport():
            run(of, now=now)
        case WatchImport():
            watch(of, now=now)
        case UndoImport():
            undoing.undo(of, order, now=now, until=now() + SLICE)


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
    if folder != store.INBOX or not organization_id or not name or name.endswith("/"):
        return None
    import_id = derived_id(arrival)
    new = Import(
        organization_id=organization_id,
        import_id=import_id,
        key=arrival.key,
        file_name=name.rpartition("/")[2],
        created_at=clock.stamp(arrival.at),
    )
    begin(new)
    return store.find(organization_id, import_id)


def begin(new: Import) -> None:
    """Store a new import, one that is there stays as it is, and see to its being watched."""
    messages.go_on(_watch(new), delay_seconds=sqs.LONGEST_DELAY_SECONDS)
    store.add(new)


def derived_id(arrival: Arrival) -> str:
    """A UUIDv7 of an arrival's time, the rest of it a digest: every delivery of one arrival gives the same."""
    digest = int.from_bytes(hashlib.sha256(f"{arrival.key}\n{arrival.sequencer}".encode()).digest()[:10], "big")
    milliseconds = int(arrival.at.timestamp() * 1000) & (1 << 48) - 1
    bits = milliseconds << 80 | 0x7 << 76 | (digest >> 62 & 0xFFF) << 64 | 0b10 << 62 | digest & (1 << 62) - 1
    return str(uuid.UUID(int=bits))


def run(of: Import, *, now: Now) -> None:
    """Import a file from where it stands; in a slice of four minutes, queueing its own continuation."""
    if not of.under_way:
        return
    until = now() + SLICE
    try:
        with tempfile.TemporaryDirectory(prefix="import-") as place:
            _advance(of, Path(place), until, now)
    except (Unreadable, NotFound) as failure:
        _fail(of, str(failure), now)
    except store.Over:
        logger().info("the import has ended, or another goes on with it", importId=of.import_id)


def _advance(of: Import, place: Path, until: datetime, now: Now) -> None:
    if of.plan is None:
        of = reading.read(of, place, now=now)
    elif not (place / "plan").exists():
        s3.fetch(of.plan, place / "plan")
    if reason := all_rejected(of):
        _fail(of, reason, now)
        return
    if not writing.write(of, place / "plan", until, now=now):
        messages.go_on(ContinueImport(organization_id=of.organization_id, import_id=of.import_id))
        return
    _end(of, ImportStatus.COMPLETED, now)


def watch(of: Import, *, now: Now) -> None:
    """See whether an import still comes further: one that nobody works on is gone on with, one that is overdue fails.

    Repeats itself until the import has ended.
    """
    if not of.under_way:
        return
    found = s3.stored(of.key)
    arrived = found.at if found else None
    reason = overdue(of, arrived=arrived, now=now())
    if reason:
        _fail(of, reason, now)
        return
    messages.go_on(_watch(of), delay_seconds=sqs.LONGEST_DELAY_SECONDS)
    if idle(of, arrived=arrived, now=now()) >= ABANDONED:
        messages.go_on(ContinueImport(organization_id=of.organization_id, import_id=of.import_id))


def _watch(of: Import) -> WatchImport:
    return WatchImport(organization_id=of.organization_id, import_id=of.import_id)


def _fail(of: Import, reason: str, now: Now) -> None:
    try:
        _end(of, ImportStatus.FAILED, now, failure_reason=languages.reason(reason, of.language))
    except store.Over:
        return


def _end(of: Import, status: ImportStatus, now: Now, **changes: Any) -> None:
    """End an import with the counts of its markers; its plan goes. Raises Over when it has ended."""
    counts = writing.counted(of, writing.sum_up(store.done_chunks(of.organization_id, of.import_id).values()))
    store.change(of, status=status, finished_at=clock.stamp(now()), **counts, **changes)
    rows = {"ImportRows": counts["processed_rows"], "ImportRowsFailed": of.failed}
    measure("import ended", rows, organizationId=of.organization_id, importId=of.import_id, status=str(status))
    if of.plan:
        s3.delete(of.plan)
