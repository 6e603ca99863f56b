"""Erasing a person: the contact, and what is left of it in calls, events, answers, imports and files.

The contact is hidden when it is asked for. The job may die anywhere and be done again: what it needs to know is in
the hidden contact's row, which goes last. A call under way, or an import, is waited for; what they leave, and what was
on its way meanwhile, a last look removes.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import s3, sqs
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call, CallState
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from chalicelib.contacts.store import Erasing
from chalicelib.dialing import store as test_calls
from chalicelib.errors import Conflict, NotFound
from chalicelib.idempotency import store as answers
from chalicelib.idempotency.model import Answer
from chalicelib.imports import store as imports
from chalicelib.imports.model import UPLOAD_PATIENCE, Import
from chalicelib.log import logger
from chalicelib.privacy import messages, traces
from chalicelib.privacy.messages import Erase
from chalicelib.privacy.traces import Traces
from chalicelib.realtime import store as feed
from chalicelib.realtime.model import without
from chalicelib.workbooks import reader, writer
from chalicelib.workbooks.reader import Limits

AGAIN_SECONDS = 30
"""How soon is looked again whether a call has ended. Whoever had found a phone's digest absent has by then
written the contact that he wanted to, and met the phone's own row: no request and no chunk of an import takes longer.
"""

IMPORT_SECONDS = 300
"""How soon is looked again whether an import has ended."""

LAST_LOOK_SECONDS = sqs.LONGEST_DELAY_SECONDS
"""By then results that were being written are, and events that were on their way are logged."""

S3_TELLS_WITHIN = timedelta(seconds=5)
"""By how much an object's own time and that in S3's notification may differ."""

REPORT_LIMITS = Limits(seconds=45)
"""Of reading a report: with a slice before it less than the worker's five minutes."""

WRITTEN_ANEW = ("results.xlsx", "begun", "part-")
"""Files of a campaign that are made again when they are asked for, as they begin."""

RACES = 5


def begin(organization_id: str, contact_id: str) -> None:
    """Have a person erased, who is hidden at once. Raises NotFound for whom nothing is known of, SendFailed.

    The job is given first: it hides whom a request that dies in between has not.
    """
    if not contacts.is_kept(organization_id, contact_id) and not _calls(organization_id, contact_id):
        raise NotFound
    messages.work(Erase(organization_id=organization_id, contact_id=contact_id))
    contacts.begin_erasure(organization_id, contact_id)


def _calls(organization_id: str, contact_id: str) -> list[Call]:
    return [call for call in calls.of_contact(contact_id) if call.organization_id == organization_id]


def erase(job: Erase, *, withdraw: Callable[[Call], None], now: Callable[[], datetime], until: datetime) -> None:
    """Remove what can be removed now, and see to the rest later. Doing it again changes nothing more.

    `withdraw` takes a call's contact out of its campaign.
    """
    if not job.again and not job.last:
        contacts.begin_erasure(job.organization_id, job.contact_id)
    known = _calls(job.organization_id, job.contact_id)
    under_way = [call for call in known if not _end(call, withdraw, now())]
    person = contacts.erasing(job.organization_id, job.contact_id)
    if person and not under_way and not job.old and (cursor := _search_reports(job, person, now, until)):
        messages.work(replace(job, searched=cursor))
        return
    waits = AGAIN_SECONDS if under_way else _remove(job, person, known, now()) if person else 0
    if not job.old and (not waits or not job.again):
        feed.retell(job.organization_id, partial(without, contact_id=job.contact_id))
        _remove_results(job.organization_id)
    if waits:
        later = replace(job, again=True, shut=not under_way, searched="", waits=job.waits + 1)
        messages.work(later, delay_seconds=_longer(waits, job.waits))
        return
    contacts.end_erasure(job.organization_id, job.contact_id)
    logger().info("person erased", organizationId=job.organization_id, contactId=job.contact_id)
    if not job.last and not job.old:
        messages.work(replace(job, last=True, searched=""), delay_seconds=LAST_LOOK_SECONDS)


def _longer(seconds: int, waits: int) -> int:
    """Each wait is twice the one before: a message that comes twice is two that go on, and so would each of them be."""
    return min(seconds << min(waits, 10), sqs.LONGEST_DELAY_SECONDS)


def _remove(job: Erase, person: Erasing, known: Iterable[Call], now: datetime) -> int:
    """Remove a person whom nobody calls; in how many seconds to look again, 0 when all is removed."""
    _blank_answer(job.organization_id, person)
    test_calls.forget(job.organization_id, phone=person.contact.phone, contact_id=job.contact_id)
    waits = 0 if _let_go(job, person, known) else AGAIN_SECONDS
    if job.old:
        return waits
    imported = _remove_from_imports(job.organization_id, traces.of(person.contact), now)
    return waits or (0 if imported else IMPORT_SECONDS)


def _end(call: Call, withdraw: Callable[[Call], None], now: datetime) -> bool:
    """Take a call out of its campaign, and what was said out of it; whether that is done. One under way goes on."""
    for _ in range(RACES):
        if call.state is CallState.DONE:
            if call.erased or calls.blank(call, now=now):
                return True
        elif call.leaving:
            return False
        try:
            if call.state is not CallState.DONE:
                withdraw(call)
            call = calls.find(call.campaign_id, call.contact_id)
        except NotFound:
            return True
    raise Conflict


def _let_go(job: Erase, person: Erasing, known: Iterable[Call]) -> bool:
    """Give the phone up, barred by its digest if it was barred; whether that is done."""
    contact = person.contact
    asked = any(attempt.do_not_call for call in known for attempt in call.attempts)
    if contact.status is ContactStatus.DO_NOT_CALL or asked:
        contacts.keep_barred(job.organization_id, contact.phone)
        if not job.shut:
            return False
    contacts.free(job.organization_id, contact.phone)
    return True


def _blank_answer(organization_id: str, person: Erasing) -> None:
    """The answer to the request that made the contact tells nothing of the person; the request is not made again."""
    if person.answer_key:
        body = msgspec.json.encode(person.contact.blanked(organization_id)).decode()
        answers.replace_answer(person.answer_key, Answer(201, body, {"Content-Type": "application/json"}))


def _remove_results(organization_id: str) -> None:
    for key, _ in s3.files(f"reports/{organization_id}/"):
        if key.rpartition("/")[2].startswith(WRITTEN_ANEW):
            s3.delete(key)


def _search_reports(job: Erase, person: Erasing, now: Callable[[], datetime], until: datetime) -> str | None:
    """Remove the reports of rejected rows that may have the person; where to go on when the time is up."""
    about = traces.of(person.contact)
    for key, _ in s3.files(f"reports/{job.organization_id}/"):
        *_, import_id, name = key.split("/")
        if name != "rejected.xlsx" or key <= job.searched:
            continue
        if _is_in(key, about):
            s3.delete(key)
            with contextlib.suppress(Conflict):
                imports.forget_plan(job.organization_id, import_id)
        if now() >= until:
            return key
    return None


def _is_in(report: str, person: Traces) -> bool:
    """Whether a report has a row that may be about the person, or cannot be read; one of several sheets always."""
    with tempfile.TemporaryDirectory(prefix="erasing-") as place:
        path = Path(place) / "report"
        try:
            s3.fetch(report, path)
            rows = enumerate(reader.rows(path, REPORT_LIMITS), 2)
            return any(n > writer.ROWS_PER_SHEET or traces.in_row(person, cells) for n, (_, cells) in rows)
        except reader.Unreadable:
            return True
        except NotFound:
            return False


def _remove_from_imports(organization_id: str, person: Traces, now: datetime) -> bool:
    """Remove the person from what imports that have ended left, reports aside; whether all have."""
    known = list(imports.all_of(organization_id))
    for of in known:
        errors = of.errors if of.under_way else traces.without(person, of.errors)
        if errors != of.errors:
            imports.set_errors(of, errors)
    under_way = {of.import_id for of in known if of.under_way}
    for key, _ in s3.files(f"reports/{organization_id}/"):
        *_, import_id, name = key.split("/")
        if name.startswith("plan-") and import_id not in under_way:
            s3.delete(key)
    return _remove_files(organization_id, known, now) and not under_way


def _remove_files(organization_id: str, known: Sequence[Import], now: datetime) -> bool:
    """Remove the files that have been imported; whether no other is there."""
    waiting = 0
    for folder in (imports.UPLOADS, imports.INBOX):
        for key, stored_at in s3.files(f"{folder}/{organization_id}/"):
            own = [of for of in known if of.key == key]
            if any(of.under_way for of in own) or (folder == imports.INBOX and _is_new(stored_at, own, now)):
                waiting += 1
            else:
                s3.delete(key)
    return not waiting


def _is_new(stored_at: datetime, own: Iterable[Import], now: datetime) -> bool:
    """Whether a file that was dropped into the inbox is yet to be imported: its import is made when S3 tells of it."""
    told = any(clock.moment(of.created_at) > stored_at - S3_TELLS_WITHIN for of in own)
    return not told and now - stored_at < UPLOAD_PATIENCE
