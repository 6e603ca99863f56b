"""Connections: which sockets an organization has open; and the feed: its events, numbered and kept for a day.

An event takes its number in one transaction with the feed's count, the part of the log it stands in, and a marker of
the change it comes from: the same change told again finds its marker and keeps its number.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib import clock
from chalicelib.aws.dynamodb import (
    Busy,
    Cancelled,
    Json,
    Row,
    Transaction,
    batch,
    delete_if,
    get,
    index,
    patiently,
    put_if,
    table,
    update_if,
)
from chalicelib.errors import Conflict
from chalicelib.realtime.model import Feed, Format, Logged, Plan, Socket, Told

LONGEST_CONNECTION = timedelta(hours=2, minutes=15)
"""API Gateway ends a connection after two hours; a row that outlives its connection by more is swept by its TTL."""

OPENING = "#opening#"
"""In place of an organization's id, with a number: connections that have not said whose they are. No organization's id
has a #."""

OPENINGS = 16
"""Partitions of those: a flood of them meets no limit of one."""

PHASES = 3
"""Minutes between two pings of one connection; see `due_for_ping`."""

KEPT = timedelta(hours=25)
"""How long the log reaches back at least."""

FOLLOW_EVERY = timedelta(minutes=10)
"""How often it is written down at most that an organization opens sockets."""

FOLLOWED = LONGEST_CONNECTION + FOLLOW_EVERY + timedelta(hours=24)
"""An organization that opened no socket for so long had none for a day: nothing is logged for it."""

HEAR_EVERY = timedelta(minutes=5)
"""How often it is written down at most that a client answers its pings."""

PART_EVENTS, PART_BYTES = 90, 250_000
"""Of one part of the log: its markers fit into a transaction, and it into an item."""

RACES = 20


class ConnectionRow(Row, keeps=Socket):
    class Meta:
        table_name = table("connections_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    connection_id = UnicodeAttribute(range_key=True, attr_name="connectionId")
    expires_at = TTLAttribute(attr_name="expiresAt")
    phase = UnicodeAttribute(null=True, attr_name="pingPhase")
    asked = UnicodeAttribute(null=True)
    session = UnicodeAttribute(null=True)
    closes_at = UnicodeAttribute(null=True, attr_name="closesAt")
    closes_in = UnicodeAttribute(null=True, attr_name="closesIn")
    """The hour of `closes_at`."""

    connection_index = index("connection", "connectionId")
    ping_index = index("ping", "pingPhase", "connectionId")
    closing_index = index("closing", "closesIn", "closesAt")


class FeedRow(Row, keeps=Feed):
    class Meta:
        table_name = table("feed_table")

    organization_id = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    id = UnicodeAttribute(range_key=True, default="feed")


class PartRow(Row):
    """A part of the log; its id is its last event's number."""

    class Meta:
        table_name = table("feed_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    last = UnicodeAttribute(range_key=True, attr_name="id")
    events = Json(list[Logged])
    expires_at = TTLAttribute(attr_name="expiresAt")


class MarkerRow(Row):
    """The number of the event that a change was told as."""

    class Meta:
        table_name = table("feed_table")

    owner = UnicodeAttribute(hash_key=True, attr_name="organizationId")
    record = UnicodeAttribute(range_key=True, attr_name="id")
    seq = NumberAttribute()
    expires_at = TTLAttribute(attr_name="expiresAt")


class Opening(Struct, frozen=True, kw_only=True):
    """A connection that has not joined yet, and the organization and campaign its address asked for."""

    connection_id: str
    connected_at: str
    campaign_id: str | None = None
    asked: str | None = None
    format: Format = Format.SOCKET_IO
    session: str | None = None
    """The session of a client that polls, which this connection takes over: it needs no open packet."""


def add(socket: Socket) -> None:
    """Remember a socket."""
    patiently(_row(socket).save)


def add_new(socket: Socket) -> bool:
    """Remember a socket once; whether it was not known."""
    try:
        put_if(_row(socket), ConnectionRow.connection_id.does_not_exist())
    except Conflict:
        return False
    return True


def add_opening(opening: Opening) -> None:
    """Remember a connection until it has joined."""
    patiently(_opening_row(opening).save)


def put_opening(opening: Opening, transaction: Transaction) -> None:
    """As `add_opening`, together with a transaction's other writes."""
    transaction.put(_opening_row(opening))


def _opening_row(opening: Opening) -> ConnectionRow:
    at = clock.moment(opening.connected_at)
    return ConnectionRow.of(opening, organization_id=_nobody(opening.connection_id), expires_at=at + LONGEST_CONNECTION)


def opening(connection_id: str) -> Opening | None:
    """A connection that has not joined yet."""
    row = get(ConnectionRow, _nobody(connection_id), connection_id)
    return row.value(Opening) if row else None


def forget_opening(connection_id: str) -> bool:
    """Forget that a connection has not joined yet; whether it had not."""
    row = ConnectionRow(_nobody(connection_id), connection_id)
    try:
        delete_if(row, ConnectionRow.connection_id.exists())
    except Conflict:
        return False
    return True


def _nobody(connection_id: str) -> str:
    return f"{OPENING}{zlib.crc32(connection_id.encode()) % OPENINGS}"


def of_organization(organization_id: str) -> list[Socket]:
    """An organization's sockets, those that just opened included."""
    return [row.value(Socket) for row in ConnectionRow.query(organization_id, consistent_read=True)]


def socket(organization_id: str, connection_id: str) -> Socket | None:
    """One socket of an organization."""
    row = get(ConnectionRow, organization_id, connection_id)
    return row.value(Socket) if row else None


def hold(of: Socket, since: int, *, tries: int, now: datetime) -> None:
    """Tell a socket no live events until it was told what comes after `since`."""
    aside_at = ConnectionRow.aside_at.set(clock.stamp(now))
    _update(of, [ConnectionRow.since.set(since), ConnectionRow.tries.set(tries), aside_at])


def release(of: Socket) -> None:
    """Tell a socket live events from here on."""
    _update(of, [ConnectionRow.since.remove(), ConnectionRow.tries.remove(), ConnectionRow.aside_at.remove()])


def forget(organization_id: str, connection_id: str) -> None:
    """Forget a socket that is gone."""
    patiently(ConnectionRow(organization_id, connection_id).delete)


def forget_connection(connection_id: str) -> None:
    """Forget a socket by its connection alone. One that just began may not be in the index yet, and is opening then."""
    found = list(ConnectionRow.query(connection_id, index_name="connection"))
    for row in found or [ConnectionRow(_nobody(connection_id), connection_id)]:
        patiently(row.delete)


def find(connection_id: str) -> Socket | Opening | None:
    """A socket, or one that is opening, by its connection alone."""
    for row in ConnectionRow.query(connection_id, index_name="connection"):
        if not row.organization_id.startswith(OPENING):
            return socket(row.organization_id, connection_id)
    return opening(connection_id)


def hear(of: Socket, now: datetime) -> None:
    """Write down now and then that a Socket.IO client is there."""
    if of.heard_at is None or now - clock.moment(of.heard_at) < HEAR_EVERY:
        return
    row = _row(replace(of, heard_at=clock.stamp(now)))
    changes = [ConnectionRow.heard_at.set(row.heard_at), ConnectionRow.closes_at.set(row.closes_at)]
    _update(of, [*changes, ConnectionRow.closes_in.set(row.closes_in)])


Reach = tuple[str, str]
"""A connection as an index has it, which may lag: its organization's id, and its own."""


def due_for_ping(now: datetime) -> Iterator[Reach]:
    """The Socket.IO connections whose turn it is in this minute: every one's comes every third."""
    for row in ConnectionRow.query(_phase(now), index_name="ping"):
        yield row.organization_id, row.connection_id


def due_for_closing(now: datetime) -> Iterator[Reach]:
    """The connections whose time has come during this hour and the last."""
    for hour in (now, now - timedelta(hours=1)):
        due = ConnectionRow.closes_at <= clock.stamp(now)
        for row in ConnectionRow.query(_hour(clock.stamp(hour)), due, index_name="closing"):
            yield row.organization_id, row.connection_id


def opening_of_image(image: dict[str, object]) -> str | None:
    """The connection of a stream record's image, if it has not joined yet and waits for its open packet."""
    row = ConnectionRow.from_raw_data(image)
    return row.connection_id if row.organization_id.startswith(OPENING) and not row.session else None


def _row(socket: Socket) -> ConnectionRow:
    at = clock.moment(socket.connected_at)
    phase = _phase(at) if socket.format.is_socketio else None
    closes = socket.closes_at
    more = {"closes_at": closes, "closes_in": closes and _hour(closes)}
    return ConnectionRow.of(socket, expires_at=at + LONGEST_CONNECTION, phase=phase, **more)


def _hour(stamp: str) -> str:
    return stamp[: len("2026-11-23T06")]


def _phase(at: datetime) -> str:
    return str(int(at.timestamp()) // 60 % PHASES)


def _update(of: Socket, actions: Sequence[Action]) -> None:
    row = ConnectionRow(of.organization_id, of.connection_id)
    try:
        update_if(row, actions, ConnectionRow.connection_id.exists())
    except Conflict:
        return


def feed(organization_id: str) -> Feed:
    """Where an organization's events stand."""
    row = get(FeedRow, organization_id, "feed")
    return row.value(Feed) if row else Feed(organization_id=organization_id)


def follow(organization_id: str, *, now: datetime) -> Feed:
    """Somebody listens to the organization from now on: its events are logged. Returns where they stand.

    When nobody did for a day a number is left out, so that whoever comes back learns that something was missed. Raises
    Busy when others keep writing the feed.
    """
    row, followed_at = FeedRow(organization_id, "feed"), FeedRow.followed_at.set(clock.stamp(now))
    for _ in range(RACES):
        known = feed(organization_id)
        if known.followed_at is not None and now - clock.moment(known.followed_at) < FOLLOW_EVERY:
            return known
        if known.followed_at is None or is_followed(known, now):
            patiently(lambda: row.update(actions=[followed_at]))
            return known
        try:
            left_out = [FeedRow.seq.set(known.seq + 1), FeedRow.left_out.set(known.seq + 1)]
            update_if(row, [followed_at, *left_out], FeedRow.followed_at == known.followed_at)
        except Conflict:
            continue
        known.seq = known.left_out = known.seq + 1
        return known
    raise Busy


def is_followed(feed: Feed, now: datetime) -> bool:
    """Whether anybody can have listened during the last day."""
    return feed.followed_at is not None and now - clock.moment(feed.followed_at) < FOLLOWED


def log(feed: Feed, plan: Plan, *, now: datetime) -> list[Logged]:
    """Number the events a plan tells and keep them, and what it holds; those logged before keep their numbers.

    Returns them in order. Raises Busy when others keep writing the feed.
    """
    waiting = list({each.record: each for each in plan.tell}.values())
    logged: list[Logged] = []
    changes: list[Action] = [
        FeedRow.allowance.set(plan.allowance),
        FeedRow.allowance_at.set(clock.stamp(now)),
        FeedRow.held.set(list(plan.held)),
        FeedRow.held_at.set(plan.held_at) if plan.held_at else FeedRow.held_at.remove(),
    ]
    if not waiting:
        patiently(lambda: FeedRow(feed.organization_id, "feed").update(actions=changes))
    races = RACES
    while waiting:
        part = _part(waiting, feed.seq)
        try:
            _write_part(feed, part, changes, now)
        except Cancelled as cancelled:
            numbers = {tag: image for tag, image in cancelled.failed.items() if tag != "feed"}
            known = {each.record: each for each in waiting if each.record in numbers}
            logged += [Logged(_seq(numbers[record]), each) for record, each in known.items()]
            waiting = [each for each in waiting if each.record not in known]
            races -= 1
            if races == 0:
                raise Busy from None
            if "feed" in cancelled.failed:
                feed = _reread(feed)
        else:
            logged += part
            waiting = waiting[len(part) :]
            feed.seq += len(part)
    return sorted(logged, key=lambda each: each.seq)


def are_logged(organization_id: str, records: Iterable[str]) -> bool:
    """Whether events have their numbers, by their records."""
    wanted = [(_records_of(organization_id), record) for record in records]
    return len(batch(MarkerRow, wanted)) == len(wanted)


def _records_of(organization_id: str) -> str:
    return f"{organization_id}#records"


def let_go(feed: Feed) -> None:
    """What was held has been told."""
    row = FeedRow(feed.organization_id, "feed")
    patiently(lambda: row.update(actions=[FeedRow.held.remove(), FeedRow.held_at.remove()]))


def _part(told: Sequence[Told], seq: int) -> list[Logged]:
    part: list[Logged] = []
    size = 0
    for n, each in enumerate(told[:PART_EVENTS], seq + 1):
        size += len(each.data) + len(each.record) + 200
        if part and size > PART_BYTES:
            break
        part.append(Logged(n, each))
    return part


def _write_part(feed: Feed, part: Sequence[Logged], changes: Sequence[Action], now: datetime) -> None:
    transaction = Transaction()
    stands = FeedRow.seq == feed.seq if feed.seq else FeedRow.seq.does_not_exist()
    transaction.update(
        FeedRow(feed.organization_id, "feed"), [*changes, FeedRow.seq.set(part[-1].seq)], stands, tag="feed"
    )
    transaction.put(PartRow(_log_of(feed), _place(part[-1].seq), events=list(part), expires_at=now + KEPT))
    for each in part:
        marker = MarkerRow(_records_of(feed.organization_id), each.told.record, seq=each.seq, expires_at=now + KEPT)
        transaction.put(marker, MarkerRow.record.does_not_exist(), tag=each.told.record)
    transaction.commit()


def _reread(known: Feed) -> Feed:
    return feed(known.organization_id)


def _seq(marker: dict[str, Any]) -> int:
    return int(MarkerRow.from_raw_data(marker).seq)


def logged_after(feed: Feed, seq: int, *, parts: int) -> list[Logged]:
    """Events after a number, of at most so many parts of the log; the first may be a later one than was asked for."""
    rows = PartRow.query(_log_of(feed), PartRow.last > _place(seq), consistent_read=True, limit=parts)
    return [each for row in rows for each in row.events if each.seq > seq]


def retell(organization_id: str, change: Callable[[Told], Told]) -> None:
    """Change what an organization's log says, event by event; their numbers stay."""
    for row in PartRow.query(f"{organization_id}#log", consistent_read=True):
        events = [Logged(each.seq, change(each.told)) for each in row.events]
        if any(new.told is not old.told for new, old in zip(events, row.events, strict=True)):
            with contextlib.suppress(Conflict):
                update_if(PartRow(row.owner, row.last), [PartRow.events.set(events)], PartRow.owner.exists())


def is_kept(feed: Feed, since: int) -> bool:
    """Whether the log has every event after a number."""
    if since >= feed.seq or (feed.left_out is not None and since < feed.left_out):
        return since == feed.seq
    found = logged_after(feed, since, parts=1)
    return bool(found) and found[0].seq == since + 1


def _log_of(feed: Feed) -> str:
    return f"{feed.organization_id}#log"


def _place(seq: int) -> str:
    return f"{seq:016}"
