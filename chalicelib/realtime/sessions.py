"""Sessions of clients that poll, kept beside the feed they are told: no stream and no index follows their writes."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from pynamodb.attributes import TTLAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib import clock
from chalicelib.aws.dynamodb import Busy, Cancelled, Row, Transaction, get, patiently, still, table, update_if
from chalicelib.errors import Conflict, Failure
from chalicelib.realtime import store
from chalicelib.realtime.model import Session
from chalicelib.realtime.store import Opening

PARTITIONS = 16
LONGEST = timedelta(hours=2)
"""After which a session ends, as a connection does."""

RACES = 20

MOST_WAITING = 16_384
"""Characters of packets that wait for a poll: a write costs by the row's size."""

SID = re.compile(r"[A-Za-z0-9_-]{20}")
"""A session's id: whoever has it is its client."""

ANY = "~"
"""Later than any poll's ticket."""


class Full(Failure):
    """The client takes too little of what waits for it."""


class BesideFeed(Row):
    """What all rows here share. No organization's id has a #."""

    class Meta:
        table_name = table("feed_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    id = UnicodeAttribute(range_key=True, attr_name="id")
    expires_at = TTLAttribute(attr_name="expiresAt")


class SessionRow(BesideFeed, keeps=Session):
    """It stays when its client has gone on over a WebSocket, until its two hours are over."""


class ProbeRow(BesideFeed, keeps=Opening):
    """A WebSocket that may take over a session; its id is the connection's."""


class SlotRow(BesideFeed):
    """A poll that may be held for long, until a moment."""

    until = UnicodeAttribute()


def add(session: Session) -> None:
    """Remember a session."""
    expires_at = clock.moment(session.began_at) + LONGEST
    patiently(SessionRow.of(session, owner=_owner("session", session.id), expires_at=expires_at).save)


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(15)


def public_name(sid: str) -> str:
    """What a session is called where others may see it: programs show their Socket.IO id, which is not a secret."""
    return hashlib.sha256(sid.encode()).hexdigest()[:20]


def find(sid: str) -> Session | None:
    """A session by its id, as it is right now; None also for what is no session's id."""
    if SID.fullmatch(sid) is None:
        return None
    row = get(SessionRow, _owner("session", sid), sid)
    return row.value(Session) if row else None


def hold(session: Session, ticket: str, now: datetime, until: datetime) -> bool:
    """Whether a poll may be held until a moment: there is no other at that time."""
    actions = [SessionRow.poll.set(ticket), SessionRow.polled_until.set(clock.stamp(until))]
    return _update(session, actions, _is_free(ticket, now))


def tell(session: Session, ticket: str, since: int | None, now: datetime, *, pinged_at: str | None = None) -> bool:
    """What a poll answers counts as told, up to an event's number; False when something came in between: look again."""
    actions: list[Action] = [
        SessionRow.poll.remove(),
        SessionRow.outbox.remove(),
        SessionRow.polled_until.set(clock.stamp(now)),
    ]
    if since is not None:
        actions.append(SessionRow.since.set(since))
    if pinged_at is not None:
        actions.append(SessionRow.pinged_at.set(pinged_at))
    return _update(session, actions, _is_free(ticket, now) & _stands(session))


def say(session: Session, packet: str) -> None:
    """Keep a packet for the next poll. Raises Full, and Busy when others keep writing the session."""
    _say(session, packet)


def join(session: Session, organization_id: str, since: int, ends: int | None, answer: str) -> None:
    """A session is told an organization's events from now on, once; its answer comes before any.

    Raises as `say`.
    """
    actions: list[Action] = [SessionRow.joined.set(organization_id), SessionRow.since.set(since)]
    if ends is not None:
        actions.append(SessionRow.ends.set(ends))
    _say(session, answer, actions)


def _say(session: Session, packet: str, joining: Sequence[Action] = ()) -> None:
    known: Session | None = session
    for _ in range(RACES):
        if known is None or known.closing or known.socket or (joining and known.joined):
            return
        outbox = [*known.outbox, packet]
        if sum(map(len, outbox)) > MOST_WAITING:
            raise Full
        stands = _outbox_is(known) & still(SessionRow.joined, known.joined)
        if _update(known, [SessionRow.outbox.set(outbox), *joining], stands):
            return
        known = find(session.id)
    raise Busy


def hear(session: Session, now: datetime) -> None:
    """A client has answered its ping."""
    _update(session, [SessionRow.heard_at.set(clock.stamp(now))])


def end(session: Session, goodbye: str, *, last_poll: str = ANY) -> None:
    """End a session; one poll, under way or coming, is answered with this packet unless it came later than another."""
    _update(session, [SessionRow.closing.set(goodbye), SessionRow.last_poll.set(last_poll)])


def remove(session: Session) -> None:
    """Forget a session."""
    patiently(SessionRow(_owner("session", session.id), session.id).delete)


def add_probe(opening: Opening) -> None:
    """Remember a WebSocket that may take over the session it names."""
    expires_at = clock.moment(opening.connected_at) + store.LONGEST_CONNECTION
    row = ProbeRow.of(
        opening, owner=_owner("probe", opening.connection_id), id=opening.connection_id, expires_at=expires_at
    )
    patiently(row.save)


def probe(connection_id: str) -> Opening | None:
    """The WebSocket with this id, if it may take over a session or has done so."""
    row = get(ProbeRow, _owner("probe", connection_id), connection_id)
    return row.value(Opening) if row else None


def let_poll_go(session: Session, now: datetime) -> None:
    """A WebSocket asks to take over: the poll under way is answered, and those that come for a while."""
    _update(session, [SessionRow.probed_at.set(clock.stamp(now)), SessionRow.poll.remove()])


def hand_over(session: Session, opening: Opening) -> bool:
    """A session goes on over a WebSocket from where it stands; False when it has changed meanwhile.

    It is told nothing any more. One that has not joined becomes an opening; one that has is no socket yet.
    """
    actions = [SessionRow.socket.set(opening.connection_id)]
    if session.joined:
        return _update(session, actions, _stands(session))
    transaction = Transaction()
    transaction.update(_row(session), actions, _is_open() & _stands(session))
    store.put_opening(opening, transaction)
    try:
        transaction.commit()
    except Cancelled:
        return False
    return True


def take_slot(slot: int, now: datetime, seconds: float) -> bool:
    """Whether one of the polls that may be held for long is free for so many seconds."""
    until = now + timedelta(seconds=seconds)
    actions = [SlotRow.until.set(clock.stamp(until)), SlotRow.expires_at.set(until)]
    try:
        update_if(
            SlotRow("#polls", str(slot)), actions, still(SlotRow.until, None) | (SlotRow.until < clock.stamp(now))
        )
    except Conflict:
        return False
    return True


def _owner(kind: str, id_: str) -> str:
    return f"#{kind}#{zlib.crc32(id_.encode()) % PARTITIONS}"


def _row(session: Session) -> SessionRow:
    return SessionRow(_owner("session", session.id), session.id)


def _is_open() -> Condition:
    is_open: Condition = SessionRow.owner.exists() & still(SessionRow.closing, None) & still(SessionRow.socket, None)
    return is_open


def _is_free(ticket: str, now: datetime) -> Condition:
    """That no other poll is held."""
    is_over = SessionRow.polled_until < clock.stamp(now)
    is_free: Condition = still(SessionRow.poll, None) | still(SessionRow.poll, ticket) | is_over
    return is_free


def _stands(session: Session) -> Condition:
    """That what a session is to be told is as it was read."""
    joined, since = still(SessionRow.joined, session.joined), still(SessionRow.since, session.since)
    stands: Condition = _outbox_is(session) & joined & since
    return stands


def _outbox_is(session: Session) -> Condition:
    return still(SessionRow.outbox, session.outbox or None)


def _update(session: Session, actions: Sequence[Action], condition: Condition | None = None) -> bool:
    """Change a session that has not ended, under a condition; whether that could be done."""
    open_ = _is_open()
    try:
        update_if(_row(session), actions, open_ & condition if condition is not None else open_)
    except Conflict:
        return False
    return True
