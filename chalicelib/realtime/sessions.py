"""Sessions of clients that poll, kept beside the feed they are told: no stream and no index follows their writes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from pynamodb.attributes import TTLAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib import clock
from chalicelib.aws.dynamodb import Busy, Cancelled, Row, Transaction, get, patiently, still, table, update_if
from chalicelib.errors import Conflict
from chalicelib.realtime import store
from chalicelib.realtime.model import Session, Socket
from chalicelib.realtime.store import Opening

PARTITIONS = 16
LONGEST = timedelta(hours=2)
"""After which a session ends, as a connection does."""

POLL = timedelta(seconds=29)
"""The longest a poll's function runs: one that began before is dead."""

RACES = 20


class SessionRow(Row, keeps=Session):
    class Meta:
        table_name = table("feed_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    id = UnicodeAttribute(range_key=True, attr_name="id")
    expires_at = TTLAttribute(attr_name="expiresAt")


class SlotRow(Row):
    """A poll that may be held for long, until a moment."""

    class Meta:
        table_name = table("feed_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId", default="#polls")
    slot = UnicodeAttribute(range_key=True, attr_name="id")
    until = UnicodeAttribute()
    expires_at = TTLAttribute(attr_name="expiresAt")


def add(session: Session) -> None:
    """Remember a session until it has joined, has a WebSocket or ends."""
    began_at = clock.moment(session.began_at)
    patiently(SessionRow.of(session, owner=_owner(session.id), expires_at=began_at + LONGEST).save)


def find(sid: str) -> Session | None:
    """A session by its id."""
    row = get(SessionRow, _owner(sid), sid)
    return row.value(Session) if row else None


def begin_poll(session: Session, turn: str, now: datetime) -> bool:
    """Whether the turn to poll is this one's: there is no other at the moment."""
    stamp = clock.stamp(now)
    free = SessionRow.poll.does_not_exist() | (SessionRow.polled_at < clock.stamp(now - POLL))
    return _update(session, [SessionRow.poll.set(turn), SessionRow.polled_at.set(stamp)], free)


def end_poll(session: Session, turn: str, since: int | None, *, pinged_at: str | None) -> bool:
    """What a poll answers counts as told; False when something came in between: look again."""
    actions: list[Action] = [SessionRow.poll.remove(), SessionRow.outbox.remove()]
    if since is not None:
        actions.append(SessionRow.since.set(since))
    if pinged_at is not None:
        actions.append(SessionRow.pinged_at.set(pinged_at))
    stands = (SessionRow.poll == turn) & _outbox_is(session) & SessionRow.closing.does_not_exist()
    return _update(session, actions, stands)


def say(session: Session, packet: str, *more: Action) -> None:
    """Keep a packet for the next poll. Raises Busy when others keep writing the session."""
    known: Session | None = session
    for _ in range(RACES):
        if known is None:
            return
        if _update(known, [SessionRow.outbox.set([*known.outbox, packet]), *more], _outbox_is(known)):
            return
        known = find(session.id)
    raise Busy


def join(session: Session, organization_id: str, since: int, ends: int | None, answer: str) -> None:
    """A session is told an organization's events from now on; its answer comes before any."""
    more: list[Action] = [SessionRow.joined.set(organization_id), SessionRow.since.set(since)]
    if ends is not None:
        more.append(SessionRow.ends.set(ends))
    say(session, answer, *more)


def hear(session: Session, now: datetime) -> None:
    """A client has answered its ping."""
    _update(session, [SessionRow.heard_at.set(clock.stamp(now))], SessionRow.owner.exists())


def probe(session: Session, now: datetime) -> None:
    """A WebSocket asks to take over: polls are answered at once for a while."""
    _update(session, [SessionRow.probed_at.set(clock.stamp(now))], SessionRow.owner.exists())


def end(session: Session, goodbye: str) -> None:
    """End a session; the poll that is under way, if any, answers with this packet."""
    if not _update(session, [SessionRow.closing.set(goodbye)], SessionRow.poll.exists()):
        remove(session)


def remove(session: Session) -> None:
    """Forget a session."""
    patiently(SessionRow(_owner(session.id), session.id).delete)


def upgrade(session: Session, opening: Opening, socket: Socket | None) -> bool:
    """A session goes on as a socket, or as an opening that may still join; False when it has changed meanwhile."""
    transaction = Transaction()
    joined = still(SessionRow.joined, session.joined) & still(SessionRow.since, session.since)
    transaction.delete(SessionRow(_owner(session.id), session.id), _there() & _outbox_is(session) & joined)
    store.go_on(opening, socket, transaction)
    try:
        transaction.commit()
    except Cancelled:
        return False
    return True


def take_slot(slot: int, now: datetime, seconds: float) -> bool:
    """Whether one of the polls that may be held for long is free for so many seconds."""
    until = now + timedelta(seconds=seconds)
    row = SlotRow(slot=str(slot))
    actions = [SlotRow.until.set(clock.stamp(until)), SlotRow.expires_at.set(until)]
    try:
        update_if(row, actions, SlotRow.until.does_not_exist() | (SlotRow.until < clock.stamp(now)))
    except Conflict:
        return False
    return True


def _owner(sid: str) -> str:
    return f"#session#{zlib.crc32(sid.encode()) % PARTITIONS}"


def _there() -> Condition:
    there: Condition = SessionRow.owner.exists()
    return there


def _outbox_is(session: Session) -> Condition:
    return still(SessionRow.outbox, session.outbox or None)


def _update(session: Session, actions: Sequence[Action], condition: Condition) -> bool:
    try:
        update_if(SessionRow(_owner(session.id), session.id), actions, _there() & condition)
    except Conflict:
        return False
    return True
