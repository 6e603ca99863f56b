"""The WebSocket API's routes: a socket opens, says whose it is, may ping, is pinged, and closes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from chalicelib import auth, clock
from chalicelib.errors import Unauthorized
from chalicelib.log import logger
from chalicelib.realtime import messages, plain, poster, socketio, store
from chalicelib.realtime.messages import CatchUp, Refuse
from chalicelib.realtime.model import Format, Socket
from chalicelib.realtime.poster import Gone, Line, Slow
from chalicelib.realtime.socketio import Close, Connect, Disconnect, Malformed, Ping
from chalicelib.realtime.store import Opening

JOIN_SECONDS = 30
"""A Socket.IO connection that has not joined after so long is closed."""

OPEN_SECONDS = 1
"""After which a plain socket is told what it missed: it opens when its `connect` has returned."""

PINGS_AT_ONCE = 32

MOST_CHARACTERS = 32_768
"""Of a client's frame, as API Gateway has it."""

Answer = dict[str, int]


def connect(event: dict[str, Any], *, now: Callable[[], datetime] = clock.now) -> Answer:
    """Let a socket in: a plain one by its `token`, a Socket.IO one for half a minute.

    API Gateway opens the socket after this has returned: the row comes first, so that no event is missed.
    """
    query: dict[str, str] = event.get("queryStringParameters") or {}
    connection_id: str = event["requestContext"]["connectionId"]
    if "EIO" in query:
        return _connect_socketio(connection_id, query, now())
    try:
        organization_id = auth.identify(query.get("token", "")).organization_id
        since = _since(query.get("since"))
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        return {"statusCode": 401}
    except ValueError:
        return {"statusCode": 400}
    if query.get("organizationId", organization_id) != organization_id:
        return {"statusCode": 403}
    socket = Socket(
        organization_id=organization_id,
        connection_id=connection_id,
        connected_at=clock.stamp(now()),
        campaign_id=query.get("campaignId"),
        since=since,
    )
    store.follow(organization_id, now=now())
    store.add(socket)
    if since is not None:
        order = CatchUp(organization_id=organization_id, connection_id=connection_id)
        messages.work(order, delay_seconds=OPEN_SECONDS)
    return {"statusCode": 200}


def _connect_socketio(connection_id: str, query: dict[str, str], now: datetime) -> Answer:
    """Its token comes later, in a packet; a token in the address would stand in logs, and does not count."""
    if query["EIO"] != "4" or query.get("transport", "websocket") != "websocket":
        return {"statusCode": 400}
    messages.work(Refuse(connection_id=connection_id), delay_seconds=JOIN_SECONDS)
    store.add_opening(
        Opening(
            connection_id=connection_id,
            connected_at=clock.stamp(now),
            campaign_id=query.get("campaignId"),
            asked=query.get("organizationId"),
        )
    )
    return {"statusCode": 200}


def _since(given: object) -> int | None:
    """Raises ValueError for what is no number of an event."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | str) or not 0 <= int(given) < 10**15:
        raise ValueError
    return int(given)


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
        elif frame[:1].isdigit():
            _packet(connection_id, frame, line, now)
        else:
            line.post(connection_id, plain.PONG if plain.is_ping(frame) else plain.UNREADABLE)
    except (Gone, Slow):
        return {"statusCode": 410}
    return {"statusCode": 200}


def _packet(connection_id: str, frame: str, line: Line, now: Callable[[], datetime]) -> None:
    try:
        packet = socketio.decode(frame)
    except Malformed:
        packet = Close()
    match packet:
        case Connect():
            _join(connection_id, packet, line, now)
        case Ping():
            line.post(connection_id, socketio.PONG + packet.probe)
        case Disconnect() | Close():
            _end(connection_id, line)


def _end(connection_id: str, line: Line) -> None:
    store.forget_connection(connection_id)
    line.close(connection_id)


def _join(connection_id: str, packet: Connect, line: Line, now: Callable[[], datetime]) -> None:
    """A connection joins the namespace; from then on it is told events, from `auth.since` on if that is given.

    It is set aside at first and told what it missed meanwhile, so that its answer comes before any event; and it counts
    as not joined until it has that answer, so that it is closed, and comes back, when this dies on the way.
    """
    if packet.namespace != socketio.NAMESPACE:
        line.post(connection_id, socketio.refused(packet.namespace, "Invalid namespace"))
        return
    opening = store.opening(connection_id)
    if opening is None:
        return
    try:
        organization_id, since = _admitted(packet.auth, opening)
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        line.post(connection_id, socketio.refused(packet.namespace, str(refusal)))
        return
    feed = store.follow(organization_id, now=now())
    store.add(
        Socket(
            organization_id=organization_id,
            connection_id=connection_id,
            connected_at=opening.connected_at,
            format=Format.SOCKET_IO,
            campaign_id=opening.campaign_id,
            since=feed.seq if since is None else since,
        )
    )
    line.post(connection_id, socketio.connected(connection_id))
    messages.broadcast(CatchUp(organization_id=organization_id, connection_id=connection_id))
    store.forget_opening(connection_id)


def _admitted(given: dict[str, Any], opening: Opening) -> tuple[str, int | None]:
    """The organization a CONNECT is for, and where it wants to go on. Raises Unauthorized."""
    token = given.get("token")
    organization_id = auth.identify(token if isinstance(token, str) else "").organization_id
    if opening.asked is not None and opening.asked != organization_id:
        raise Unauthorized("The token is of another organization.")
    try:
        return organization_id, _since(given.get("since"))
    except ValueError:
        raise Unauthorized("`since` is not the number of an event.") from None


def refuse(connection_id: str, *, line: Line = poster) -> None:
    """Close a connection that has not joined."""
    if store.forget_opening(connection_id):
        line.close(connection_id)


def disconnect(event: dict[str, Any]) -> Answer:
    """Forget a socket."""
    store.forget_connection(event["requestContext"]["connectionId"])
    return {"statusCode": 200}


def ping(*, now: datetime, line: Line = poster) -> None:
    """Ping every Socket.IO client whose turn it is, each every fourth minute: neither it nor API Gateway gives up."""

    def reach(connection_id: str) -> None:
        try:
            line.post(connection_id, socketio.PING)
        except (Gone, Slow):
            logger().info("socket took no ping", connectionId=connection_id)

    due = list(store.due_for_ping(now))
    if due:
        with ThreadPoolExecutor(min(PINGS_AT_ONCE, len(due))) as pool:
            list(pool.map(reach, due))
