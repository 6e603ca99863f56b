"""The WebSocket API's routes: a socket opens, says whose it is, may ping, is pinged, and closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from chalicelib import auth, clock
from chalicelib.aws.dynamodb import Busy
from chalicelib.errors import Unauthorized, Unavailable
from chalicelib.log import logger
from chalicelib.realtime import admission, messages, plain, poster, recovery, sessions, socketio, store
from chalicelib.realtime.messages import CatchUp, Greet, Refuse
from chalicelib.realtime.model import Session, Socket
from chalicelib.realtime.poster import Gone, Line, NotPosted, Slow
from chalicelib.realtime.socketio import Close, Connect, Disconnect, Malformed, Ping, Pong, Upgrade
from chalicelib.realtime.store import Opening, Reach

JOIN_SECONDS = 30
"""A Socket.IO connection that has not joined after so long is closed."""

OPEN_SECONDS = 1
"""After which a plain socket is told what it missed: it opens when its `connect` has returned."""

GREETINGS = (0, 0, 1, 1, 2, 4)
"""Seconds after which a Socket.IO connection that is not open yet is told again that it is. A trip through the queue is
a pause itself."""

AT_ONCE = 32
"""Sockets that are pinged or closed together."""

DIGITS = tuple("0123456789")

MOST_CHARACTERS = 32_768
"""Of a client's frame, as API Gateway has it."""

Answer = dict[str, int]


def connect(event: dict[str, Any], *, now: Callable[[], datetime] = clock.now) -> Answer:
    """Let a socket in: a plain one by its `token`, a Socket.IO one for half a minute.

    API Gateway opens the socket after this has returned: the row comes first, so that no event is missed.
    """
    query: dict[str, str] = event.get("queryStringParameters") or {}
    connection_id: str = event["requestContext"]["connectionId"]
    try:
        if "EIO" in query:
            return _connect_socketio(connection_id, query, now())
        return _connect_plain(connection_id, query, now())
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        return {"statusCode": 401}
    except ValueError:
        return {"statusCode": 400}
    except (Unavailable, Busy) as why:
        logger().warning("socket put off", reason=str(why))
        return {"statusCode": 503}


def _connect_plain(connection_id: str, query: dict[str, str], now: datetime) -> Answer:
    """Raises ValueError for a parameter that is not of its form."""
    identity = auth.identify(query.get("token", ""))
    if query.get("organizationId", identity.organization_id) != identity.organization_id:
        return {"statusCode": 403}
    socket = Socket(
        organization_id=identity.organization_id,
        connection_id=connection_id,
        connected_at=clock.stamp(now),
        campaign_id=admission.campaign(query),
        since=admission.number(query.get("since")),
        valid_until=admission.valid_until(admission.ends(identity), now),
    )
    store.follow(socket.organization_id, now=now)
    store.add(socket)
    if socket.since is not None:
        order = CatchUp(organization_id=socket.organization_id, connection_id=connection_id)
        messages.work(order, delay_seconds=OPEN_SECONDS)
    return {"statusCode": 200}


def _connect_socketio(connection_id: str, query: dict[str, str], now: datetime) -> Answer:
    """Its token comes later, in a packet; a token in the address would stand in logs, and does not count."""
    if query["EIO"] != "4" or query.get("transport", "websocket") != "websocket":
        return {"statusCode": 400}
    session = sessions.find(query["sid"]) if "sid" in query else None
    if "sid" in query and (session is None or session.closing or session.socket):
        return {"statusCode": 400}
    messages.work(Refuse(connection_id=connection_id), delay_seconds=JOIN_SECONDS)
    opening = Opening(
        connection_id=connection_id,
        connected_at=clock.stamp(now),
        campaign_id=session.campaign_id if session else admission.campaign(query),
        asked=session.asked if session else admission.organization(query),
        format=session.format if session else recovery.format_of(query),
        session=session.id if session else None,
    )
    if session:
        sessions.add_probe(opening)
    else:
        store.add_opening(opening)
    return {"statusCode": 200}


def greet(order: Greet, *, line: Line = poster) -> None:
    """Send the Engine.IO open packet: again in a moment when the socket is not open yet, and not to one that left.

    Nobody waits for it: a flood of connections that are dropped at once holds up no other.
    """
    connection_id = order.connection_id
    if order.tries and store.opening(connection_id) is None:
        return
    try:
        line.post(connection_id, socketio.opened(connection_id))
    except (Gone, Slow):
        if order.tries == len(GREETINGS):
            logger().info("socket did not open in time", connectionId=connection_id)
        elif store.opening(connection_id):
            messages.work(replace(order, tries=order.tries + 1), delay_seconds=GREETINGS[order.tries])


def message(
    event: dict[str, Any],
    *,
    line: Line = poster,
    now: Callable[[], datetime] = clock.now,
) -> Answer:
    """Answer what a client says."""
    connection_id: str = event["requestContext"]["connectionId"]
    frame: str = event.get("body") or ""
    try:
        if len(frame) > MOST_CHARACTERS:
            _end(connection_id, line)
        elif event.get("isBase64Encoded"):
            _misunderstand(connection_id, line)
        elif frame.startswith(DIGITS):
            _packet(connection_id, frame, line, now)
        elif plain.is_ping(frame):
            poster.patiently(line, connection_id, plain.PONG)
        else:
            _misunderstand(connection_id, line)
    except (Gone, Slow):
        return {"statusCode": 410}
    return {"statusCode": 200}


def _packet(connection_id: str, frame: str, line: Line, now: Callable[[], datetime]) -> None:
    try:
        packet = socketio.decode(frame)
    except Malformed:
        _misunderstand(connection_id, line)
        return
    match packet:
        case Connect():
            _join(connection_id, packet, line, now)
        case Upgrade():
            _take_over(connection_id, line, now)
        case Ping():
            poster.patiently(line, connection_id, socketio.PONG + packet.probe)
            if packet.probe == socketio.PROBE:
                _probe(connection_id, now)
        case Pong():
            known = store.find(connection_id)
            if isinstance(known, Socket):
                store.hear(known, now())
        case Disconnect(socketio.NAMESPACE) | Close():
            _end(connection_id, line)


def _misunderstand(connection_id: str, line: Line) -> None:
    """Answer what cannot be read as the protocol has it: a plain socket by an error, a Socket.IO one by closing it."""
    known = store.find(connection_id)
    if isinstance(known, Opening) or (known and known.format.is_socketio):
        _end(connection_id, line)
    else:
        poster.patiently(line, connection_id, plain.UNREADABLE)


def _probe(connection_id: str, now: Callable[[], datetime]) -> None:
    """A client that polls has a WebSocket, and knows it: the poll under way is answered, lest it go on by polling."""
    probe = sessions.probe(connection_id)
    session = sessions.find(probe.session) if probe and probe.session else None
    if session is not None:
        sessions.let_poll_go(session, now())


def _take_over(connection_id: str, line: Line, now: Callable[[], datetime]) -> None:
    """A client that polled goes on over this WebSocket, from the event on that it was told last.

    What waits for it is posted first. It may be done again, and a process that dies on the way leaves a connection that
    is closed: the client comes back.
    """
    probe = sessions.probe(connection_id)
    if probe is None or probe.session is None:
        return
    posted = 0
    for _ in range(sessions.RACES):
        session = sessions.find(probe.session)
        if session is None or session.closing or session.socket not in (None, connection_id):
            break
        if session.socket is None:
            for packet in session.outbox[posted:]:
                poster.patiently(line, connection_id, packet)
            posted = max(posted, len(session.outbox))
            if not sessions.hand_over(session, probe):
                continue
        if session.joined and store.add_new(_socket_of(session, probe, now())):
            messages.broadcast(CatchUp(organization_id=session.joined, connection_id=connection_id))
        return
    _end(connection_id, line)


def _socket_of(session: Session, opening: Opening, now: datetime) -> Socket:
    return Socket(
        organization_id=session.joined or "",
        connection_id=opening.connection_id,
        connected_at=opening.connected_at,
        format=session.format,
        campaign_id=session.campaign_id,
        since=session.since,
        valid_until=admission.valid_until(session.ends, clock.moment(opening.connected_at)),
        heard_at=clock.stamp(now),
    )


def _end(connection_id: str, line: Line) -> None:
    store.forget_connection(connection_id)
    line.close(connection_id)


def _join(connection_id: str, packet: Connect, line: Line, now: Callable[[], datetime]) -> None:
    """A connection joins the namespace; from then on it is told events, from `auth.since` on if that is given.

    It is set aside at first and told what it missed meanwhile, so that its answer comes before any event; and it counts
    as not joined until it has that answer, so that it is closed, and comes back, when this dies on the way.
    """
    if packet.namespace != socketio.NAMESPACE:
        poster.patiently(line, connection_id, socketio.refused(packet.namespace, "Invalid namespace"))
        return
    opening = store.opening(connection_id)
    if opening is None:  # API Gateway tells what a client says in no order
        _take_over(connection_id, line, now)
        opening = store.opening(connection_id)
    if opening is None:
        return
    try:
        admitted = admission.admit(
            packet.auth, asked=opening.asked, campaign_id=opening.campaign_id, speaks=opening.format, now=now()
        )
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        poster.patiently(line, connection_id, socketio.refused(packet.namespace, str(refusal)))
        return
    except (Unavailable, Busy) as why:  # a client that is refused stays away, one that is closed comes back
        logger().warning("socket put off", reason=str(why))
        _end(connection_id, line)
        return
    socket = Socket(
        organization_id=admitted.organization_id,
        connection_id=connection_id,
        connected_at=opening.connected_at,
        format=opening.format,
        campaign_id=opening.campaign_id,
        since=admitted.since,
        valid_until=admission.valid_until(admitted.ends, clock.moment(opening.connected_at)),
        heard_at=clock.stamp(now()),
    )
    if not store.add_new(socket):  # two at once
        return
    poster.patiently(line, connection_id, socketio.connected(connection_id, admitted.recovery_id))
    messages.broadcast(CatchUp(organization_id=socket.organization_id, connection_id=connection_id))
    store.forget_opening(connection_id)


def refuse(connection_id: str, *, line: Line = poster) -> None:
    """Close a connection that has not joined."""
    if store.forget_opening(connection_id) or _is_stray(connection_id):
        line.close(connection_id)


def _is_stray(connection_id: str) -> bool:
    """Whether a WebSocket has not become that of the session it came for."""
    probe = sessions.probe(connection_id)
    if probe is None or probe.session is None:
        return False
    session = sessions.find(probe.session)
    if session is None or session.socket != connection_id:
        return True
    return session.joined is not None and store.socket(session.joined, connection_id) is None


def disconnect(event: dict[str, Any]) -> Answer:
    """Forget a socket; one that cannot be forgotten now is found gone by whoever posts to it or pings it."""
    try:
        store.forget_connection(event["requestContext"]["connectionId"])
    except (Unavailable, Busy) as why:
        logger().warning("socket not forgotten", reason=str(why))
    return {"statusCode": 200}


def ping(*, now: datetime, line: Line = poster) -> None:
    """Ping every Socket.IO client whose turn it is, each every third minute: neither it nor API Gateway gives up.

    A client bears that the clock skips its minute: it gives up after seven without a ping.
    """

    def reach(of: Reach) -> None:
        try:
            poster.patiently(line, of[1], socketio.PING)
        except Gone:
            store.forget(*of)
        except (Slow, NotPosted):
            logger().info("socket took no ping", connectionId=of[1])

    _each(store.due_for_ping(now), reach)


def close_due(*, now: datetime, line: Line = poster) -> None:
    """Close the sockets whose tokens have expired, and those of Socket.IO clients that answer no ping."""

    def close(of: Reach) -> None:
        socket = store.socket(*of)
        if socket is None or socket.closes_at is None or socket.closes_at > clock.stamp(now):
            return
        if poster.closed(line, socket.connection_id):
            store.forget(*of)

    _each(store.due_for_closing(now), close)


def _each(of: Iterable[Reach], do: Callable[[Reach], None]) -> None:
    found = list(of)
    if found:
        with ThreadPoolExecutor(min(AT_ONCE, len(found))) as pool:
            list(pool.map(do, found))
