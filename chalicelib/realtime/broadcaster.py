"""The broadcaster: one organization's events, one batch at a time, get their numbers and go to its sockets.

A socket that takes nothing at the moment delays nobody: it is set aside and told later what it missed; one that takes
each post slowly is told beside the mailbox. Sockets that are too many for what happens are told the gist of it in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

import msgspec
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.log import correlated, logger, measure
from chalicelib.realtime import messages, plain, poster, rate, socketio, store
from chalicelib.realtime.messages import CatchUp, Live, Replay, SumUp, Tell, TellLast
from chalicelib.realtime.model import Feed, Format, Logged, Plan, Socket, Told
from chalicelib.realtime.poster import Gone, Line, Slow

FRAME = {
    Format.PLAIN: plain.event,
    Format.SOCKET_IO: socketio.event,
    Format.SOCKET_IO_RECOVERING: socketio.event_with_offset,
}
YOUNG = timedelta(seconds=30)
"""A connection younger than this may not be open yet: it is never forgotten for a 410."""

POSTS_AT_ONCE = 32
SLICE_POSTS = 300
"""After which it is looked whether there is time for more."""

TURN = timedelta(seconds=2)
"""How long one batch is told in full, if none of it grows too old meanwhile. Of what remains the gist is told, lest
what follows be late."""

PARTS_AT_ONCE = 5
"""Parts of the log told to a socket that catches up, before others have their turn."""

OVERDUE = timedelta(minutes=1)
"""After which a socket that was set aside should have been told what it missed."""

REPLAY_SECONDS, REPLAY_EVENTS = 8.0, 6
"""How long a slow socket may take for a post, and how many it is told before others have their turn: less than
OVERDUE all together."""

SLOW_SECONDS = 5
"""After which a slow socket is told what has happened meanwhile."""

MOST_TRIES = 6
WAIT_SECONDS = 1
MOST_WAITS = 30
"""How often what comes last waits for what comes before; that is lost then, or was too much to be told one by one."""

SUM_UP_SECONDS = 1

STALE = timedelta(minutes=10)
"""Events that happened longer ago are told as `resync`: a failing message holds up the others for five at most."""


def handle(
    records: Iterable[dict[str, Any]], *, line: Line = poster, now: Callable[[], datetime] = clock.now
) -> list[str]:
    """Handle a batch of SQS records. Returns the ids of those to be delivered again: an organization fails as one."""
    mailboxes: dict[str, list[tuple[str, Live]]] = defaultdict(list)
    failed: list[str] = []
    for record in records:
        try:
            message = sqs.decode(record["body"], Live)
        except msgspec.DecodeError:
            logger().exception("not a live event", messageId=record["messageId"])
            failed.append(record["messageId"])
        else:
            mailboxes[message.organization_id].append((record["messageId"], message))
    for organization_id, mail in mailboxes.items():
        try:
            with correlated(sqs.parts_of(message for _, message in mail)):
                serve(organization_id, [message for _, message in mail], line, now)
        except Exception:  # noqa: BLE001 (it must not hold up other organizations)
            logger().exception("events not told", organizationId=organization_id)
            failed.extend(message_id for message_id, _ in mail)
    return failed


def serve(organization_id: str, messages: Sequence[Live], line: Line, now: Callable[[], datetime]) -> None:
    """Do what an organization's messages ask for, in order but for what is told last; it may be done again.

    Doing it again tells the same events by the same numbers, or that there were some, when they happened long ago.
    """
    at = now()
    if late := [each for message in messages if _is_late(message, at) for each in message.events]:
        leave_out(organization_id, late, at)
    told: list[Tell | TellLast] = []
    in_time = [message for message in messages if not _is_late(message, at)]
    for message in sorted(in_time, key=lambda each: isinstance(each, TellLast)):
        if isinstance(message, Tell):
            told.append(message)
            continue
        if told:
            tell(organization_id, told, line, now)
            told = []
        if isinstance(message, TellLast):
            tell_last(message, line, now)
        elif isinstance(message, CatchUp):
            catch_up(organization_id, message.connection_id, line, now)
        else:
            sum_up(organization_id, line, now)
    if told:
        tell(organization_id, told, line, now)


def _is_late(message: Live, now: datetime) -> TypeGuard[Tell | TellLast]:
    """Whether a message's events happened so long ago that sockets may have been told what came after them."""
    return isinstance(message, Tell | TellLast) and message.at != "" and now - clock.moment(message.at) > STALE


def leave_out(organization_id: str, late: Sequence[Told], now: datetime) -> None:
    """Hold `resync` in place of events that happened long ago: a redriven `calling` would be ended by nothing."""
    feed = store.feed(organization_id)
    plan = rate.too_late(feed, late, now)
    _order_sum_up(feed, plan)
    store.log(feed, plan, now=now)


def _order_sum_up(feed: Feed, plan: Plan) -> None:
    """Have what is held told in a second, unless that is ordered."""
    if plan.held_at != feed.held_at and plan.held:
        messages.work(SumUp(organization_id=feed.organization_id), delay_seconds=SUM_UP_SECONDS)


def tell(organization_id: str, orders: Sequence[Tell | TellLast], line: Line, now: Callable[[], datetime]) -> None:
    """Tell events to the organization's sockets, or hold them for a second when they are too many or too old."""
    feed, sockets = store.feed(organization_id), store.of_organization(organization_id)
    told = [each for order in orders for each in order.events]
    since = min((clock.moment(order.at) for order in orders if order.at), default=None)
    plan = rate.plan(feed, told, len(sockets), now(), since=since)
    _order_sum_up(feed, plan)
    logged = store.log(feed, plan, now=now())
    _broadcast(sockets, logged, line, now, end=since and since + rate.BEHIND)
    if logged and sockets and since:
        lag = max(round((now() - since).total_seconds() * 1000), 0)
        attempts = [each.told.correlation_id for each in logged if each.told.correlation_id]
        measure("events told", {"ResultToBrowserLag": lag}, organizationId=organization_id, attemptIds=attempts)
    for socket in sockets:
        if socket.since is not None and _is_overdue(socket, now()):
            messages.broadcast(CatchUp(organization_id=organization_id, connection_id=socket.connection_id))
            store.hold(socket, socket.since, tries=socket.tries, now=now())


def tell_last(order: TellLast, line: Line, now: Callable[[], datetime]) -> None:
    """Tell what comes after other events, which other streams bring, as soon as those have been told."""
    if order.tries >= MOST_WAITS or store.are_logged(order.organization_id, order.after):
        tell(order.organization_id, [order], line, now)
    else:
        messages.work(replace(order, tries=order.tries + 1), delay_seconds=WAIT_SECONDS)


def sum_up(organization_id: str, line: Line, now: Callable[[], datetime]) -> None:
    """Tell what was held in place of events that were too many, and only then let go of it."""
    feed = store.feed(organization_id)
    if not feed.held:
        return
    logged = store.log(feed, Plan(feed.held, feed.held, feed.held_at, feed.allowance), now=now())
    _broadcast(store.of_organization(organization_id), logged, line, now)
    store.let_go(feed)


def catch_up(organization_id: str, connection_id: str, line: Line, now: Callable[[], datetime]) -> None:
    """Tell a socket what it missed, in slices, until it stands where the others do."""
    socket = store.socket(organization_id, connection_id)
    if socket is None or socket.since is None or not socket.is_admitted(now()):
        return
    feed = store.feed(organization_id)
    missed = missed_since(feed, socket.since)
    if not _post_all(socket, missed, line, now):
        return
    reached = missed[-1].seq if missed else feed.seq
    if reached >= feed.seq:
        store.release(socket)
        return
    store.hold(socket, reached, tries=0, now=now())
    messages.broadcast(CatchUp(organization_id=organization_id, connection_id=connection_id))


def replay(order: Replay, *, line: Line = poster, now: Callable[[], datetime] = clock.now) -> None:
    """Tell a slow socket what it missed, in slices, outside the mailbox; it is let back in when it is quick again."""
    socket = store.socket(order.organization_id, order.connection_id)
    if socket is None or socket.since is None or not socket.is_admitted(now()):
        return
    feed = store.feed(order.organization_id)
    missed = missed_since(feed, socket.since)[:REPLAY_EVENTS]
    began = now()
    if not _post_all(socket, missed, line, now, seconds=REPLAY_SECONDS):
        return
    slow = (now() - began).total_seconds() > poster.QUICK * len(missed) if missed else socket.tries > 0
    reached = missed[-1].seq if missed else socket.since
    store.hold(socket, reached, tries=int(slow), now=now())
    if not slow and reached >= feed.seq:
        messages.broadcast(CatchUp(organization_id=order.organization_id, connection_id=order.connection_id))
    else:
        messages.work(order, delay_seconds=SLOW_SECONDS if reached >= feed.seq else 0)


def missed_since(feed: Feed, since: int) -> list[Logged]:
    """Events after a number; `resync` with the present number when the log does not reach back to it."""
    if since == feed.seq:
        return []
    missed = store.logged_after(feed, since, parts=PARTS_AT_ONCE)
    if missed and missed[-1].seq == since + len(missed):
        return missed
    return [Logged(feed.seq, Told(record="resync", name="resync", data=msgspec.Raw(b"{}")))]


def _broadcast(
    sockets: Sequence[Socket],
    logged: Sequence[Logged],
    line: Line,
    now: Callable[[], datetime],
    *,
    end: datetime | None = None,
) -> None:
    """In order on each socket, many sockets at once; in full as long as there is time, and then the gist."""
    live = [socket for socket in sockets if socket.since is None and socket.is_admitted(now())]
    if not live or not logged:
        return
    end, together = min(now() + TURN, end or datetime.max.replace(tzinfo=UTC)), max(SLICE_POSTS // len(live), 1)
    with ThreadPoolExecutor(min(POSTS_AT_ONCE, len(live))) as pool:
        while logged and live:
            part, logged = (logged[:together], logged[together:]) if now() < end else (rate.gist(logged), [])
            frames = {format_: [(each, FRAME[format_](each)) for each in part] for format_ in Format}
            took = pool.map(lambda socket, of=frames: _post_frames(socket, of[socket.format], line, now), live)
            live = [socket for socket, is_told in zip(live, list(took), strict=True) if is_told]


def _post_all(
    socket: Socket,
    logged: Sequence[Logged],
    line: Line,
    now: Callable[[], datetime],
    *,
    seconds: float = poster.QUICK,
) -> bool:
    return _post_frames(socket, [(each, FRAME[socket.format](each)) for each in logged], line, now, seconds)


def _post_frames(
    socket: Socket,
    frames: Sequence[tuple[Logged, str]],
    line: Line,
    now: Callable[[], datetime],
    seconds: float = poster.QUICK,
) -> bool:
    """Post what a socket wants of the frames; whether it took them. One that does not is set aside or forgotten."""
    whose = {"organization_id": socket.organization_id, "connection_id": socket.connection_id}
    for logged, frame in frames:
        if logged.told.name != "resync" and not socket.wants(logged.told):
            continue
        try:
            poster.patiently(line, socket.connection_id, frame, seconds=seconds)
        except Gone:
            if now() - clock.moment(socket.connected_at) > YOUNG:
                store.forget(**whose)
            else:
                _set_aside(socket, logged.seq - 1, CatchUp(**whose), line, now())
            return False
        except Slow:
            _set_aside(socket, logged.seq - 1, Replay(**whose), line, now())
            return False
    return True


def _is_overdue(socket: Socket, now: datetime) -> bool:
    """Whether nobody seems to tell a socket what it missed: the order was lost."""
    return now - clock.moment(socket.aside_at or socket.connected_at) > OVERDUE


def _set_aside(socket: Socket, since: int, order: CatchUp | Replay, line: Line, now: datetime) -> None:
    """Try a socket again in a while, and in the end no more. The message goes first, so that none waits for nothing."""
    if socket.tries >= MOST_TRIES:
        logger().info("socket takes nothing", connectionId=socket.connection_id)
        if poster.closed(line, socket.connection_id):
            store.forget(socket.organization_id, socket.connection_id)
            return
    messages.work(order, delay_seconds=1 << min(socket.tries, 4))
    since = since if socket.since is None else max(since, socket.since)
    store.hold(socket, since, tries=socket.tries + 1, now=now)
