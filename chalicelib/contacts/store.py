"""Contacts and the phones they own: two tables that change together.

The `phone_numbers` row is the gate of every call: it says whose phone it is, whether it may be called, which attempt
is on it right now, and until when it may ring for one that was cancelled. Whatever changes a contact's phone or status
writes it in the same transaction.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib import clock
from chalicelib.aws import dynamodb, ssm
from chalicelib.aws.bulk import Bulk
from chalicelib.aws.dynamodb import (
    Cancelled,
    Choice,
    Page,
    Paging,
    Row,
    Transaction,
    batch,
    get,
    get_together,
    index,
    listed,
    page_of,
    patiently,
    still,
    table,
    update_if,
)
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.contacts.phone import digest
from chalicelib.errors import CallUnderWay, Conflict, NotFound, PhoneTaken
from chalicelib.organizations import store as organizations
from chalicelib.organizations.model import OrganizationSettings
from chalicelib.settings import settings
from chalicelib.totals.store import Kind, count

ERASING = "#erasing"
"""Beside an organization's contacts: those who are being erased."""

DIGEST = "#"
"""What the key of a phone that is remembered by its digest begins with, in place of a plus."""

RACES = 5
"""How often a change is read and tried anew when others changed the same contact in between."""


BARRED = f"the phone is {ContactStatus.DO_NOT_CALL}"
"""Why nobody is called at a phone."""


class ContactRow(Row, keeps=Contact):
    class Meta:
        table_name = table("contacts_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    contact_id = UnicodeAttribute(range_key=True, attr_name="contactId")
    status_key = UnicodeAttribute(attr_name="statusKey")
    last_attempt_id = UnicodeAttribute(null=True, attr_name="lastAttemptId")
    import_id = UnicodeAttribute(null=True, attr_name="importId")
    """Present while the last writer was an import: those announce no `contact-update` per row."""
    revision = NumberAttribute(null=True)
    """How often it was changed."""

    answer_key = UnicodeAttribute(null=True, attr_name="answerKey")
    """Where the answer to the request that made it is kept for a day."""
    status_index = index("status", "statusKey", "contactId")


class PhoneRow(Row):
    class Meta:
        table_name = table("phone_numbers_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    phone = UnicodeAttribute(range_key=True)
    contact_id = UnicodeAttribute(null=True, attr_name="contactId")
    status = Choice(ContactStatus)
    attempt_id = UnicodeAttribute(null=True, attr_name="attemptId")
    ringing = UnicodeAttribute(null=True)
    """The attempt that was cancelled and may ring all the same, which keeps nobody from changing or deleting."""
    ringing_until = UnicodeAttribute(null=True, attr_name="ringingUntil")


_NO_RINGING = (PhoneRow.ringing.remove(), PhoneRow.ringing_until.remove())


def find(organization_id: str, contact_id: str) -> Contact:
    """A contact. Raises NotFound."""
    row = get(ContactRow, organization_id, contact_id)
    if row is None:
        raise NotFound
    return row.value(Contact)


def find_many(organization_id: str, contact_ids: Iterable[str]) -> dict[str, Contact]:
    """Those of the contacts that exist, by id."""
    rows = batch(ContactRow, [(organization_id, contact_id) for contact_id in contact_ids])
    return {row.contact_id: row.value(Contact) for row in rows}


def by_phone(organization_id: str, phone: str) -> Contact | None:
    """The contact a phone (E.164) belongs to."""
    owner = get(PhoneRow, organization_id, phone)
    if owner is None or owner.contact_id is None:
        return None
    row = get(ContactRow, organization_id, owner.contact_id)
    return row.value(Contact) if row else None


def page(organization_id: str, status: ContactStatus | None, paging: Paging) -> Page:
    """A page of the organization's contacts."""
    where = (organization_id, None) if status is None else (_status_key(organization_id, status), "status")
    rows, cursor = listed(ContactRow, where[0], ContactRow.contact_id, paging, index=where[1])
    return Page([row.value(Contact) for row in rows], cursor)


def ids(organization_id: str, status: ContactStatus, paging: Paging) -> tuple[list[str], str | None]:
    """The ids on a page of the contacts of a status, and the next cursor."""
    rows, cursor = page_of(
        ContactRow, _status_key(organization_id, status), ContactRow.contact_id, paging, index="status"
    )
    return [row.contact_id for row in rows], cursor


def add(contact: Contact, *, answer_key: str | None = None) -> Contact:
    """Store a new contact, unless it is there. A deleted one may have left its phone barred: it starts DO_NOT_CALL.

    Raises PhoneTaken with the `contactId` that has the phone.
    """
    for _ in range(RACES):
        transaction = Transaction()
        put_new(transaction, contact, answer_key=answer_key)
        count(transaction, Kind.CONTACTS, contact.organization_id, contact.contact_id, {contact.status: 1})
        try:
            transaction.commit()
        except Cancelled as cancelled:
            if image := cancelled.failed.get("contact"):
                return of_image(image)
            contact.status = _status_on(cancelled)
        else:
            return contact
    raise Conflict


def _status_on(cancelled: Cancelled) -> ContactStatus:
    """The status a contact must start with, given the row its phone already has."""
    image = cancelled.failed.get("phone")
    if not image:
        raise cancelled
    owner = PhoneRow.from_raw_data(image)
    if owner.contact_id is not None:
        raise PhoneTaken(contactId=owner.contact_id)
    return ContactStatus.DO_NOT_CALL


def put_new(
    transaction: Transaction, contact: Contact, *, import_id: str | None = None, answer_key: str | None = None
) -> None:
    """Add a new contact and its phone to a transaction; counting it is the caller's.

    A DO_NOT_CALL contact may take a phone that a deleted one left barred. The writes are tagged `contact` and `phone`.
    """
    key = _status_key(contact.organization_id, contact.status)
    row = ContactRow.of(contact, status_key=key, import_id=import_id, answer_key=answer_key)
    transaction.put(row, ContactRow.contact_id.does_not_exist(), tag="contact")
    _own(transaction, contact)


def put_all_new(transaction: Bulk, new: Sequence[Contact], *, organization_id: str, import_id: str) -> None:
    """Add many new contacts and their phones, which nobody may have or have had, to a transaction; uncounted."""
    for status in dict.fromkeys(contact.status for contact in new):
        alike = [contact for contact in new if contact.status is status]
        key = _status_key(organization_id, status)
        transaction.put_new(ContactRow, alike, absent="contactId", status_key=key, import_id=import_id)
    transaction.put_new(PhoneRow, new, absent="phone", tag="phone")


class Barred(Struct, frozen=True):
    """A phone that nobody has and nobody may call."""

    organization_id: str
    phone: str
    status: ContactStatus = ContactStatus.DO_NOT_CALL


def put_barred(transaction: Bulk, organization_id: str, phones: Iterable[str]) -> None:
    """Add to a transaction that phones, which nobody may have or have had, are barred, as a contact leaves one."""
    rows = [Barred(organization_id, phone) for phone in phones]
    transaction.put_new(PhoneRow, rows, absent="phone", tag="phone")


def _own(transaction: Transaction, contact: Contact) -> None:
    """Give a contact its phone; a call that is on it, of somebody who is being erased, stays there."""
    owned = [PhoneRow.contact_id.set(contact.contact_id), PhoneRow.status.set(contact.status)]
    transaction.update(PhoneRow(contact.organization_id, contact.phone), owned, _unowned(contact), tag="phone")


def _unowned(contact: Contact) -> Condition:
    if contact.status is ContactStatus.DO_NOT_CALL:
        return PhoneRow.contact_id.does_not_exist()
    return PhoneRow.phone.does_not_exist()


def put_changes(
    transaction: Transaction,
    old: Contact,
    changes: dict[str, Any],
    stands: Condition | None = None,
    *,
    at: str,
    import_id: str | None = None,
) -> Contact:
    """Add changes of a contact that keeps its phone to a transaction, if it `stands`; counting them is the caller's.

    Those of an import build on what was read of the contact: nobody may have changed it since.
    """
    changes = changes | {"updated_at": at, "import_id": import_id}
    new = _changed(old, changes)
    actions = _assignments(changes)
    if new.status is not old.status:
        actions.append(ContactRow.status_key.set(_status_key(new.organization_id, new.status)))
        gate = PhoneRow(old.organization_id, old.phone)
        transaction.update(gate, [PhoneRow.status.set(new.status)], PhoneRow.contact_id == old.contact_id, tag="gate")
    stands = _as_read(old) if stands is None else stands
    if import_id is not None:
        stands &= ContactRow.updated_at == old.updated_at
    transaction.update(ContactRow(old.organization_id, old.contact_id), actions, stands, tag="contact")
    return new


def _as_read(contact: Contact) -> Condition:
    same: Condition = (ContactRow.phone == contact.phone) & (ContactRow.status == contact.status)
    return same


def _changed(old: Contact, changes: dict[str, Any]) -> Contact:
    values = {name: changes.get(name, getattr(old, name)) for name in Contact.__struct_fields__}
    return Contact(**values)


def owners(organization_id: str, phones: Iterable[str]) -> dict[str, Contact | None]:
    """The known ones of the phones, each with its contact; None for one that is barred and nobody's."""
    gates = batch(PhoneRow, [(organization_id, phone) for phone in phones])
    keys = [(organization_id, gate.contact_id) for gate in gates if gate.contact_id]
    people = {row.contact_id: row.value(Contact) for row in batch(ContactRow, keys)}
    return {gate.phone: people.get(gate.contact_id) if gate.contact_id else None for gate in gates}


def change(organization_id: str, contact_id: str, changes: dict[str, Any], *, at: str) -> Contact:
    """Set fields of a contact by name; None clears one. Raises as `revise` does."""
    return revise(organization_id, contact_id, lambda _: changes, at=at)


def revise(organization_id: str, contact_id: str, decide: Callable[[Contact], dict[str, Any]], *, at: str) -> Contact:
    """Set those fields of a contact that are decided on when it is seen, if nobody has changed it since.

    Raises what `decide` does, NotFound, PhoneTaken, and CallUnderWay when the phone would change during a call.
    """
    shut: dict[str, Any] = {}
    for _ in range(RACES):
        row = get(ContactRow, organization_id, contact_id)
        if row is None:
            raise NotFound
        contact = row.value(Contact)
        changes = decide(contact)
        try:
            return _change(contact, changes | shut, _as_read(contact) & still(ContactRow.revision, row.revision), at)
        except Cancelled as cancelled:
            if "barred" in cancelled.failed:
                shut = {"status": ContactStatus.DO_NOT_CALL}
    raise Conflict


def _change(old: Contact, changes: dict[str, Any], stands: Condition, at: str) -> Contact:
    transaction = Transaction()
    if changes.get("phone", old.phone) == old.phone:
        new = put_changes(transaction, old, changes, stands, at=at)
    else:
        new = _put_moved(transaction, old, changes, stands, at)
    tally: Counter[str] = Counter({new.status: 1})
    tally.subtract({old.status: 1})
    count(transaction, Kind.CONTACTS, new.organization_id, new.contact_id, tally)
    try:
        transaction.commit()
    except Cancelled as cancelled:
        raise _refusal(cancelled) from None
    return new


def _put_moved(transaction: Transaction, old: Contact, changes: dict[str, Any], stands: Condition, at: str) -> Contact:
    """Add changes of a contact that moves to another phone to a transaction."""
    changes = changes | {"updated_at": at, "import_id": None}
    new = _changed(old, changes)
    actions = [*_assignments(changes), ContactRow.status_key.set(_status_key(new.organization_id, new.status))]
    transaction.update(ContactRow(old.organization_id, old.contact_id), actions, stands, tag="contact")
    _let_go(transaction, old)
    _own(transaction, new)
    return new


def _assignments(changes: dict[str, Any]) -> list[Action]:
    by_name = ContactRow.get_attributes()
    written = [by_name[name].remove() if value is None else by_name[name].set(value) for name, value in changes.items()]
    return [*written, ContactRow.revision.add(1)]


def _let_go(transaction: Transaction, contact: Contact) -> None:
    """Give up a contact's phone, unless an attempt is on it; a DO_NOT_CALL contact leaves it barred."""
    gate = PhoneRow(contact.organization_id, contact.phone)
    idle = (PhoneRow.contact_id == contact.contact_id) & PhoneRow.attempt_id.does_not_exist()
    if contact.status is ContactStatus.DO_NOT_CALL:
        transaction.update(gate, [PhoneRow.contact_id.remove()], idle, tag="gate")
    else:
        transaction.delete(gate, idle, tag="gate")


def _refusal(cancelled: Cancelled) -> Exception:
    """Why a change of phone or status was cancelled: for good, or only by a race (then the cancellation itself)."""
    if image := cancelled.failed.get("phone"):
        owner = PhoneRow.from_raw_data(image)
        if owner.contact_id is not None:
            return PhoneTaken(contactId=owner.contact_id)
        return Cancelled({"barred": image})
    image = cancelled.failed.get("gate")
    if image and PhoneRow.from_raw_data(image).attempt_id is not None:
        return CallUnderWay()
    return cancelled


def remove(organization_id: str, contact_id: str) -> None:
    """Delete a contact. Raises NotFound, and CallUnderWay while an attempt is on its phone."""
    for _ in range(RACES):
        row = get(ContactRow, organization_id, contact_id)
        if row is None:
            raise NotFound
        contact = row.value(Contact)
        transaction = Transaction()
        transaction.delete(row, ContactRow.status == contact.status, tag="contact")
        _let_go(transaction, contact)
        count(transaction, Kind.CONTACTS, organization_id, contact_id, {contact.status: -1})
        try:
            return transaction.commit()
        except Cancelled as cancelled:
            refusal = _refusal(cancelled)
            if not isinstance(refusal, Cancelled):
                raise refusal from None
    raise Conflict


def is_kept(organization_id: str, contact_id: str) -> bool:
    """Whether there is a contact, or one whose erasure has begun and not ended."""
    keys = [(organization_id, contact_id), (organization_id + ERASING, contact_id)]
    return bool(batch(ContactRow, keys))


def begin_erasure(organization_id: str, contact_id: str) -> None:
    """Hide a contact at once, with what is needed to find the person's traces; nobody calls it any more.

    One that is gone or hidden stays so. Unlike `remove` it waits for no call: a phone in one is barred until `free` is
    told that it has ended.
    """
    for _ in range(RACES):
        row = get(ContactRow, organization_id, contact_id)
        if row is None:
            return None
        contact = row.value(Contact)
        transaction = Transaction()
        transaction.delete(row, _as_read(contact), tag="contact")
        owner = organization_id + ERASING
        hidden = ContactRow.of(_changed(contact, {"organization_id": owner}), answer_key=row.answer_key)
        hidden.status_key = _status_key(owner, contact.status)
        transaction.put(hidden)
        gate = PhoneRow(organization_id, contact.phone)
        shut = [PhoneRow.contact_id.remove(), PhoneRow.status.set(ContactStatus.DO_NOT_CALL)]
        transaction.update(gate, shut, PhoneRow.contact_id == contact_id, tag="gate")
        count(transaction, Kind.CONTACTS, organization_id, contact_id, {contact.status: -1})
        try:
            return transaction.commit()
        except Cancelled:
            continue
    raise Conflict


def some_of_all(limit: int, after: dict[str, Any] | None) -> tuple[list[Contact], dict[str, Any] | None]:
    """Some of everybody's contacts, those being erased included, and where to go on; for sweeps."""
    rows, after = dynamodb.some_of_all(ContactRow, limit, after)
    return [row.value(Contact) for row in rows], after


class Erasing(Struct, frozen=True):
    """A person whose traces are being removed."""

    contact: Contact
    answer_key: str | None = None


def erasing(organization_id: str, contact_id: str) -> Erasing | None:
    """A contact whose erasure has begun and not ended."""
    row = get(ContactRow, organization_id + ERASING, contact_id)
    return Erasing(row.value(Contact), row.answer_key) if row else None


def end_erasure(organization_id: str, contact_id: str) -> None:
    """Forget the person."""
    patiently(ContactRow(organization_id + ERASING, contact_id).delete)


def keep_barred(organization_id: str, phone: str) -> None:
    """Remember a barred phone by its digest."""
    [known] = _digests(organization_id, [phone])
    patiently(PhoneRow(organization_id, known, status=ContactStatus.DO_NOT_CALL).save)


def free(organization_id: str, phone: str) -> None:
    """Forget a phone that is nobody's, unless an attempt is on it."""
    idle = PhoneRow.contact_id.does_not_exist() & PhoneRow.attempt_id.does_not_exist()
    transaction = Transaction()
    transaction.delete(PhoneRow(organization_id, phone), idle)
    try:
        transaction.commit()
    except Cancelled:
        return


def barred(organization_id: str, phones: Iterable[str]) -> set[str]:
    """Those of the phones that are remembered as barred by their digests alone."""
    if not settings().barred_phones_key_parameter:
        return set()
    wanted = list(phones)
    if len(wanted) > 1 and not _has_digests(organization_id):
        return set()
    by_digest = _digests(organization_id, wanted)
    return {by_digest[row.phone] for row in batch(PhoneRow, [(organization_id, each) for each in by_digest])}


def barred_with_settings(organization_id: str, phone: str) -> tuple[bool, OrganizationSettings]:
    """Whether a phone is among `barred`, and what its organization has set, in one request."""
    own = organizations.key(organization_id)
    if not settings().barred_phones_key_parameter:
        return False, organizations.find(organization_id)
    [known] = _digests(organization_id, [phone])
    row, gate = get_together(own, (PhoneRow, organization_id, known))
    return gate is not None, organizations.of_row(row)


def _has_digests(organization_id: str) -> bool:
    """Whether there are any: an import that asks so reads one row for a chunk, and not one for each phone."""
    found = PhoneRow.query(organization_id, PhoneRow.phone.startswith(DIGEST), limit=1, consistent_read=True)
    return any(True for _ in found)


def _digests(organization_id: str, phones: Iterable[str]) -> dict[str, str]:
    """Phones by the keys that they are remembered under when they are barred and nobody's."""
    key = ssm.secret(settings().barred_phones_key_parameter)
    return {DIGEST + digest(phone, organization_id, key): phone for phone in phones}


class Written(Struct, frozen=True):
    """A contact, whether an import was the last that wrote it, and whether a call is under way on its phone."""

    contact: Contact
    last: bool
    in_call: bool


def written_by(organization_id: str, contact_ids: Iterable[str], *, import_id: str) -> list[Written]:
    """Those of the contacts that exist, as they are right now, with what an import still has to do with them."""
    rows = batch(ContactRow, [(organization_id, contact_id) for contact_id in contact_ids])
    gates = batch(PhoneRow, [(organization_id, row.phone) for row in rows])
    busy = {gate.phone for gate in gates if gate.attempt_id}
    return [Written(row.value(Contact), row.import_id == import_id, row.phone in busy) for row in rows]


def take_back(transaction: Transaction, contact: Contact, *, import_id: str) -> None:
    """Add to a transaction the deletion of a contact that nobody is calling and that the import was the last to write.

    Counting it is the caller's.
    """
    row = ContactRow(contact.organization_id, contact.contact_id)
    unchanged = (ContactRow.import_id == import_id) & (ContactRow.status == contact.status)
    transaction.delete(row, unchanged, tag=contact.contact_id)
    _let_go(transaction, contact)


def note_call(organization_id: str, contact_id: str, attempt_id: str, *, outcome: str | None, at: str) -> None:
    """Record that an attempt ended `at`, unless the contact is gone or shows one that ended later."""
    later = ContactRow.last_called_at.does_not_exist() | (ContactRow.last_called_at < at)
    latest = later | (ContactRow.last_attempt_id == attempt_id)
    changes = {
        "is_called": True,
        "last_called_at": at,
        "last_conversation_outcome": outcome,
        "last_attempt_id": attempt_id,
        "import_id": None,
        "updated_at": at,
    }
    try:
        update_if(
            ContactRow(organization_id, contact_id), _assignments(changes), ContactRow.contact_id.exists() & latest
        )
    except Conflict:
        return


def bar(organization_id: str, contact_id: str, *, at: str) -> None:
    """Make a contact DO_NOT_CALL, as it asked to be; one that is already, or is gone, stays as it is."""
    try:
        if find(organization_id, contact_id).status is not ContactStatus.DO_NOT_CALL:
            change(organization_id, contact_id, {"status": ContactStatus.DO_NOT_CALL}, at=at)
    except NotFound:
        return


def occupy(transaction: Transaction, contact: Contact, attempt_id: str, *, now: datetime, tag: object) -> None:
    """Put an attempt on the contact's phone, if that is its own, may be called, and is free or this attempt's."""
    quiet = PhoneRow.ringing_until.does_not_exist() | (PhoneRow.ringing_until <= clock.stamp(now))
    free = (PhoneRow.attempt_id.does_not_exist() & quiet) | (PhoneRow.attempt_id == attempt_id)
    callable_ = (PhoneRow.contact_id == contact.contact_id) & (PhoneRow.status == ContactStatus.ACTIVE)
    transaction.update(
        PhoneRow(contact.organization_id, contact.phone),
        [PhoneRow.attempt_id.set(attempt_id), *_NO_RINGING],
        callable_ & free,
        tag=tag,
    )


def shut(organization_id: str, phone: str, *, now: datetime) -> str | None:
    """Why a phone is not rung right now, whosever it is: it is barred, or in a call; None where it may be."""
    gate = get(PhoneRow, organization_id, phone)
    if gate is None:
        return None
    return BARRED if gate.status is ContactStatus.DO_NOT_CALL else "the phone is in a call" if _on(gate, now) else None


def attempt_on(organization_id: str, phone: str, *, now: datetime) -> str | None:
    """The attempt that is on a phone right now, or was cancelled and may ring."""
    gate = get(PhoneRow, organization_id, phone)
    return _on(gate, now) if gate else None


def _on(gate: PhoneRow, now: datetime) -> str | None:
    rings = (gate.ringing_until or "") > clock.stamp(now)
    on_it: str | None = gate.attempt_id or (gate.ringing if rings else None)
    return on_it


def vacate(
    transaction: Transaction,
    organization_id: str,
    phone: str,
    attempt_id: str,
    *,
    ringing_until: str | None = None,
    tag: object,
) -> None:
    """Take an attempt off a phone; nobody else is put on it as long as it may ring all the same."""
    actions: list[Action] = [PhoneRow.attempt_id.remove()]
    if ringing_until is not None:
        actions += [PhoneRow.ringing.set(attempt_id), PhoneRow.ringing_until.set(ringing_until)]
    transaction.update(PhoneRow(organization_id, phone), actions, PhoneRow.attempt_id == attempt_id, tag=tag)


def silence(organization_id: str, phone: str, attempt_id: str) -> None:
    """A phone does not ring any more for an attempt that was cancelled, if it was thought to."""
    with contextlib.suppress(Conflict):
        update_if(PhoneRow(organization_id, phone), _NO_RINGING, PhoneRow.ringing == attempt_id)


def _status_key(organization_id: str, status: ContactStatus) -> str:
    return f"{organization_id}#{status}"


def gate_in(cancelled: Cancelled, tag: object) -> PhoneRow | None:
    """The phone's row that cancelled a transaction; None when there is none."""
    image = cancelled.failed.get(tag)
    return PhoneRow.from_raw_data(image) if image else None


def is_live(image: dict[str, Any]) -> bool:
    """Whether a row in a stream record's image is a contact an organization sees."""
    return "#" not in image["organizationId"]["S"]


def of_image(image: dict[str, Any]) -> Contact:
    """The value of a row in a stream record's image."""
    return ContactRow.from_raw_data(image).value(Contact)
