"""Calls and attempts. A call's row is swapped as a whole, under the condition that nobody changed it meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from pynamodb.attributes import TTLAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition

from chalicelib import clock
from chalicelib.aws import dynamodb
from chalicelib.aws.dynamodb import Cancelled, Paging, Row, Transaction, batch, get, index, listed, still, table
from chalicelib.calls.model import Call, CallState, CallStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact, ContactStatus
from chalicelib.errors import Conflict, Failure, NotFound
from chalicelib.ids import new_id

ATTEMPT_TTL = timedelta(days=90)

EARLY_TTL = timedelta(days=1)
"""How long a report waits for its attempt to be known: seconds, unless it is of a call that is not ours."""


class AlreadyClaimed(Conflict):
    """Another delivery of the message was first, or the claim is over."""


class PhoneChanged(Conflict):
    """The phone is no longer the contact's."""


class NotCallable(Failure):
    """The contact must not be called."""


class PhoneBusy(Conflict):
    """Another attempt is on the phone."""


class AttemptKey(Struct, frozen=True):
    """Whose attempt it is."""

    organization_id: str
    campaign_id: str
    contact_id: str
    attempt_id: str


class CallRow(Row, keeps=Call):
    class Meta:
        table_name = table("calls_table")

    campaign_id = UnicodeAttribute(hash_key=True, attr_name="campaignId")
    contact_id = UnicodeAttribute(range_key=True, attr_name="contactId")
    status_key = UnicodeAttribute(attr_name="statusKey")
    work_key = UnicodeAttribute(null=True, attr_name="workKey")
    work_index = index("work", "workKey", "dueAt", include=["attemptId", "lease"])
    status_index = index("status", "statusKey", "contactId")
    contact_index = index("contact", "contactId", "campaignId")


class WithdrawalRow(Row):
    """That a contact was taken out of a campaign, remembered longer than any message about it lives."""

    class Meta:
        table_name = table("attempts_table")

    about = UnicodeAttribute(hash_key=True, attr_name="attemptId")
    at = UnicodeAttribute()
    expires_at = TTLAttribute(attr_name="expiresAt")


class AttemptRow(Row, keeps=AttemptKey):
    class Meta:
        table_name = table("attempts_table")

    attempt_id = UnicodeAttribute(hash_key=True, attr_name="attemptId")
    conversation = UnicodeAttribute(null=True)
    """The provider's own id of the call."""
    expires_at = TTLAttribute(attr_name="expiresAt")


class NewsRow(Row):
    """What is to be told of an attempt and no queue took. Earlier versions kept it in the attempt's own row."""

    class Meta:
        table_name = table("attempts_table")

    news_id = UnicodeAttribute(hash_key=True, attr_name="attemptId")
    news = UnicodeAttribute(null=True)
    expires_at = TTLAttribute(attr_name="expiresAt")


class ConversationRow(Row):
    """A provider's own id of a call: which attempt it is, or what was told of it before anybody knew."""

    class Meta:
        table_name = table("attempts_table")

    conversation = UnicodeAttribute(hash_key=True, attr_name="attemptId")
    of_attempt = UnicodeAttribute(null=True, attr_name="ofAttempt")
    early = UnicodeAttribute(null=True)
    expires_at = TTLAttribute(attr_name="expiresAt")


class Candidate(Struct, frozen=True):
    """A call that an index says is waiting. Only the claim's own condition knows whether it still is."""

    contact_id: str
    due_at: str
    lease: int
    attempt_id: str | None = None


def row_of(call: Call) -> CallRow:
    """The row of a call, with its index keys."""
    row = CallRow.of(call, status_key=f"{call.campaign_id}#{call.call_status}", work_key=_work_key(call))
    for name in ("heard", "called_back", "spent", "leaving", "erased", "unsure", "agent"):
        setattr(row, name, getattr(row, name) or None)
    return row


def _work_key(call: Call) -> str | None:
    if call.state is CallState.DONE:
        return None
    if call.state is CallState.WAITING:
        return _waiting_key(call.campaign_id, call.zone)
    return _in_flight_key(call.campaign_id)


def _waiting_key(campaign_id: str, zone: str) -> str:
    return f"{campaign_id}#waiting#{zone}"


def _in_flight_key(campaign_id: str) -> str:
    return f"{campaign_id}#in_flight"


def _unchanged(call: Call) -> Condition:
    return still(CallRow.version, call.version)


def find(campaign_id: str, contact_id: str) -> Call:
    """A call as it is right now. Raises NotFound."""
    row = get(CallRow, campaign_id, contact_id)
    if row is None:
        raise NotFound
    return row.value(Call)


def key(campaign_id: str, contact_id: str) -> tuple[type[Row], str, str]:
    """Where a call is, for those who read it together with something else."""
    return CallRow, campaign_id, contact_id


def find_many(campaign_id: str, contact_ids: Iterable[str]) -> dict[str, Call]:
    """Those of a campaign's calls that exist, as they are right now, by contact."""
    rows = batch(CallRow, [(campaign_id, contact_id) for contact_id in contact_ids])
    return {row.contact_id: row.value(Call) for row in rows}


def page(campaign_id: str, status: CallStatus | None, paging: Paging) -> tuple[list[Call], str | None]:
    """A page of a campaign's calls, newest contact first, and the next cursor."""
    where = (campaign_id, None) if status is None else (f"{campaign_id}#{status}", "status")
    rows, cursor = listed(CallRow, where[0], CallRow.contact_id, paging, index=where[1])
    return [row.value(Call) for row in rows], cursor


def page_of_contact(contact_id: str, paging: Paging) -> tuple[list[Call], str | None]:
    """A page of a contact's calls, newest campaign first, and the next cursor."""
    rows, cursor = listed(CallRow, contact_id, CallRow.campaign_id, paging, index="contact")
    return [row.value(Call) for row in rows], cursor


def of_contact(contact_id: str) -> list[Call]:
    """A contact's calls as they are right now; those of the last moments may be missing."""
    keys = [(row.campaign_id, row.contact_id) for row in CallRow.query(contact_id, index_name="contact")]
    return [row.value(Call) for row in batch(CallRow, keys)]


def some_of_all(limit: int, after: dict[str, Any] | None) -> tuple[list[Call], dict[str, Any] | None]:
    """Some of everybody's calls, and where to go on; for sweeps."""
    rows, after = dynamodb.some_of_all(CallRow, limit, after)
    return [row.value(Call) for row in rows], after


def blank(call: Call, *, now: datetime) -> bool:
    """Remove what was said in a call that has ended, and whom it was to; whether it still is as it was read."""
    transaction = Transaction()
    swap(transaction, call, call.blanked(now=now))
    try:
        transaction.commit()
    except Cancelled:
        return False
    return True


def count_of_contact(contact_id: str) -> int:
    """In how many campaigns a contact is."""
    return CallRow.count(contact_id, index_name="contact")


def enrol(transaction: Transaction, call: Call) -> None:
    """Add a new call to a transaction; its tag is the contact's id."""
    transaction.put(row_of(call), CallRow.campaign_id.does_not_exist(), tag=call.contact_id)


def swap(transaction: Transaction, old: Call, new: Call) -> None:
    """Replace a call, if it still is `old`; and take the attempt off the phone when the call is no longer CALLING.

    One that was cancelled may ring all the same, until its lease would have ended.
    """
    transaction.put(row_of(replace(new, version=old.version + 1)), _unchanged(old), tag=old.contact_id)
    if old.state is CallState.CALLING and new.state is not CallState.CALLING and old.phone and old.attempt_id:
        contacts.vacate(
            transaction,
            old.organization_id,
            old.phone,
            old.attempt_id,
            ringing_until=old.rings_until(new),
            tag=old.contact_id,
        )


def claim_for_dialing(
    transaction: Transaction,
    campaign_id: str,
    candidate: Candidate,
    attempt_id: str,
    lease_until: datetime,
    *,
    agent: int,
    counted: str | None,
    now: datetime,
) -> None:
    """WAITING → QUEUED for one of the campaign's agents, if the call still waits as the candidate says."""
    waits = (CallRow.state == CallState.WAITING) & (CallRow.lease == candidate.lease)
    waits &= still(CallRow.attempt_id, candidate.attempt_id)
    transaction.update(
        CallRow(campaign_id, candidate.contact_id),
        [
            CallRow.state.set(CallState.QUEUED),
            CallRow.work_key.set(_in_flight_key(campaign_id)),
            CallRow.due_at.set(clock.stamp(lease_until)),
            CallRow.attempt_id.set(attempt_id),
            CallRow.lease.set(candidate.lease + 1),
            CallRow.agent.set(agent) if agent else CallRow.agent.remove(),
            CallRow.counted.set(counted) if counted else CallRow.counted.remove(),
            CallRow.version.add(1),
            CallRow.release_reason.remove(),
            CallRow.updated_at.set(clock.stamp(now)),
        ],
        waits,
        tag=candidate.contact_id,
    )


def waiting(campaign_id: str, zone: str, limit: int) -> list[Candidate]:
    """Calls that wait in a zone, in the order they are due."""
    return _work(_waiting_key(campaign_id, zone), None, limit)


def waiting_anywhere(campaign_id: str, limit: int) -> dict[str, list[Candidate]]:
    """Calls that wait, by zone: one query for all of them, where asking zone by zone would take many."""
    found, _ = page(campaign_id, CallStatus.PENDING, Paging(limit))
    by_zone: dict[str, list[Candidate]] = {}
    for call in found:
        if call.state is CallState.WAITING and call.due_at is not None:
            candidate = Candidate(call.contact_id, call.due_at, call.lease, call.attempt_id)
            by_zone.setdefault(call.zone, []).append(candidate)
    return by_zone


def in_flight(campaign_id: str, limit: int, *, overdue: datetime | None = None) -> list[Candidate]:
    """Calls in flight in the order their leases run out; those whose lease ran out by a moment, or all."""
    by = None if overdue is None else CallRow.due_at <= clock.stamp(overdue)
    return _work(_in_flight_key(campaign_id), by, limit)


def _work(key: str, by: Condition | None, limit: int) -> list[Candidate]:
    rows = CallRow.query(key, by, index_name="work", limit=limit)
    return [row.value(Candidate) for row in rows]


def claim(
    attempt: AttemptKey,
    lease: int,
    contact: Contact,
    lease_until: datetime,
    *,
    provider: str,
    dialer: str,
    look_at: datetime,
    now: datetime,
) -> None:
    """QUEUED → CALLING by a provider and a dialer, and the attempt goes onto the phone: the last gate before the agent.

    `look_at` is when the agent is asked after the call, at the latest the end of its lease.

    Raises AlreadyClaimed, PhoneChanged, NotCallable with the reason, or PhoneBusy.
    """
    transaction = Transaction()
    transaction.update(
        CallRow(attempt.campaign_id, attempt.contact_id),
        [
            CallRow.state.set(CallState.CALLING),
            CallRow.call_status.set(CallStatus.CALLING),
            CallRow.status_key.set(f"{attempt.campaign_id}#{CallStatus.CALLING}"),
            CallRow.due_at.set(clock.stamp(look_at)),
            *([CallRow.awaited_until.set(clock.stamp(lease_until))] if look_at < lease_until else []),
            CallRow.phone.set(contact.phone),
            CallRow.started_at.set(clock.stamp(now)),
            CallRow.provider.set(provider),
            CallRow.claimed_by.set(dialer),
            CallRow.version.add(1),
            CallRow.updated_at.set(clock.stamp(now)),
        ],
        (CallRow.state == CallState.QUEUED) & (CallRow.attempt_id == attempt.attempt_id) & (CallRow.lease == lease),
        tag="call",
    )
    contacts.occupy(transaction, contact, attempt.attempt_id, now=now, tag="phone")
    try:
        transaction.commit()
    except Cancelled as cancelled:
        if "call" in cancelled.failed:
            raise AlreadyClaimed from None
        raise _closed(contact, cancelled) from None


def _closed(contact: Contact, cancelled: Cancelled) -> Exception:
    gate = contacts.gate_in(cancelled, "phone")
    if gate is None or gate.contact_id != contact.contact_id:
        return PhoneChanged()
    if gate.status is not ContactStatus.ACTIVE:
        return NotCallable(f"contact is {gate.status}")
    return PhoneBusy()


def remember(attempt: AttemptKey, *, now: datetime) -> None:
    """Keep an attempt for 90 days, so that whoever reports its result finds the call."""
    AttemptRow(attempt.attempt_id).update(
        actions=[
            AttemptRow.organization_id.set(attempt.organization_id),
            AttemptRow.campaign_id.set(attempt.campaign_id),
            AttemptRow.contact_id.set(attempt.contact_id),
            AttemptRow.expires_at.set(now + ATTEMPT_TTL),
        ]
    )


def attempt(attempt_id: str) -> AttemptKey:
    """The attempt of an id. Raises NotFound."""
    row = get(AttemptRow, attempt_id)
    if row is None:
        raise NotFound
    return row.value(AttemptKey)


def keep_conversation(attempt_id: str, conversation_id: str) -> None:
    """Keep under which id the provider of an attempt knows it, to ask after it."""
    AttemptRow(attempt_id).update(actions=[AttemptRow.conversation.set(conversation_id)])


def conversation(attempt_id: str) -> str | None:
    """The provider's own id of an attempt, if it is kept with it."""
    row = get(AttemptRow, attempt_id)
    known: str | None = row.conversation if row else None
    return known


def link(line: str, conversation_id: str, attempt_id: str, *, now: datetime) -> str | None:
    """Keep under which id a provider knows an attempt; what it told of it before, if it did.

    Either this or `keep_early` comes second, and sees what the other has written.
    """
    row = ConversationRow(f"{line}#{conversation_id}")
    row.update([ConversationRow.of_attempt.set(attempt_id), ConversationRow.expires_at.set(now + ATTEMPT_TTL)])
    early: str | None = row.early
    return early


def keep_early(line: str, conversation_id: str, told: str, *, now: datetime) -> str | None:
    """Keep what a provider tells of a call that it knows by its own id; the attempt, if that is known already."""
    row = ConversationRow(f"{line}#{conversation_id}")
    expiry = ConversationRow.expires_at
    row.update([ConversationRow.early.set(told), expiry.set(expiry | (now + EARLY_TTL))])
    attempt_id: str | None = row.of_attempt
    return attempt_id


def forget_early(line: str, conversation_id: str) -> None:
    """Forget what a provider told of a call, once it has been passed on."""
    ConversationRow(f"{line}#{conversation_id}").update([ConversationRow.early.remove()])


def keep_news(transaction: Transaction, news: str, *, now: datetime) -> str:
    """Add to a transaction that a row keeps what is to be told of an attempt; the id of that piece of news."""
    news_id = new_id()
    transaction.put(NewsRow(news_id, news=news, expires_at=now + ATTEMPT_TTL))
    return news_id


def forget_news(news_ids: Iterable[str]) -> None:
    """Forget what was kept to be told, once it has been booked."""
    for news_id in news_ids:
        NewsRow(news_id).delete()


def news_of(news_ids: Iterable[str]) -> list[str]:
    """What is kept to be told, in the order in which it came."""
    rows = sorted(batch(NewsRow, news_ids), key=lambda row: row.news_id)
    return [row.news for row in rows if row.news]


def take_out(transaction: Transaction, call: Call) -> None:
    """Delete a call that still is as it was read."""
    transaction.delete(CallRow(call.campaign_id, call.contact_id), _unchanged(call), tag=call.contact_id)


def note_withdrawal(transaction: Transaction, campaign_id: str, contact_id: str, *, now: datetime) -> None:
    """Remember that a contact is taken out of a campaign: an earlier order to enrol it does not bring it back."""
    about = _withdrawal(campaign_id, contact_id)
    transaction.put(WithdrawalRow(about, at=clock.stamp(now), expires_at=now + ATTEMPT_TTL))


def withdrawals(campaign_id: str, contact_ids: Iterable[str]) -> dict[str, str]:
    """When those of the contacts that were taken out of a campaign were, by contact."""
    contacts_of = {_withdrawal(campaign_id, contact_id): contact_id for contact_id in contact_ids}
    return {contacts_of[row.about]: row.at for row in batch(WithdrawalRow, contacts_of)}


def _withdrawal(campaign_id: str, contact_id: str) -> str:
    return f"withdrawn#{campaign_id}#{contact_id}"


def some(campaign_id: str, limit: int, *, after: str | None) -> list[Call]:
    """Calls of a campaign in the order of their contacts, as they are right now."""
    later = CallRow.contact_id > after if after else None
    return [row.value(Call) for row in CallRow.query(campaign_id, later, limit=limit, consistent_read=True)]


def remove_some(campaign_id: str, limit: int) -> int:
    """Delete up to `limit` calls of a campaign; how many there were."""
    rows = list(CallRow.query(campaign_id, limit=limit, consistent_read=True))
    with CallRow.batch_write() as writer:
        for row in rows:
            writer.delete(row)
    return len(rows)


def of_image(image: dict[str, Any]) -> Call:
    """The value of a row in a stream record's image."""
    return CallRow.from_raw_data(image).value(Call)
