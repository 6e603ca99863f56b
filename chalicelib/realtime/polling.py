"""Engine.IO's long polling: a client opens, joins and is told events by HTTP until it has a WebSocket, or for good.

Protocol: https://socket.io/docs/v4/engine-io-protocol/
"""

from __future__ import annotations

import base64
import random
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from chalicelib import clock, http
from chalicelib.aws.dynamodb import Busy
from chalicelib.errors import Unauthorized, Unavailable
from chalicelib.log import logger
from chalicelib.realtime import admission, broadcaster, recovery, sessions, socketio, store
from chalicelib.realtime.model import Session
from chalicelib.realtime.socketio import Close, Connect, Disconnect, Malformed, Ping, Pong
from chalicelib.settings import settings

JOIN = timedelta(seconds=30)
"""A session that has not joined after so long ends."""

STRANGER_SECONDS, LONGEST_SECONDS = 5.0, 20.0
"""How long a poll is held: a session that has joined is as old as its polls are long, up to the longest. API Gateway
waits 29 seconds."""

FREE_SECONDS = 1.0
"""How long a poll is held at least; longer only as many at a time as the deployment wants."""

LOOKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 1.0)
"""Seconds between looks for news: the last one again and again."""

PROBED = timedelta(seconds=10)
"""How long polls are answered at once after a WebSocket has asked to take over."""

PING = timedelta(seconds=socketio.PING_SECONDS)
PONG = timedelta(seconds=socketio.PONG_SECONDS)

MOST_BYTES = 100_000
"""Of events in an answer; the first is told whatever its size."""

TRANSPORT_UNKNOWN = {"code": 0, "message": "Transport unknown"}
SESSION_UNKNOWN = {"code": 1, "message": "Session ID unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
BAD_VERSION = {"code": 5, "message": "Unsupported protocol version"}

Answer = dict[str, Any]
Now = Callable[[], datetime]


class _Refused(Exception):
    """A request that is answered with one of the protocol's errors."""

    def __init__(self, error: dict[str, object]) -> None:
        super().__init__(error["message"])
        self.error = error


def handle(event: dict[str, Any], *, now: Now = clock.now, pause: Callable[[float], None] = time.sleep) -> Answer:
    """Answer a request of API Gateway's REST API to the path of Socket.IO."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    more = http.PROTECTION | http.cors(headers.get("origin"))
    if event["httpMethod"] == "OPTIONS":
        allowed = {"Access-Control-Allow-Methods": "GET,POST,OPTIONS", "Access-Control-Allow-Headers": "Content-Type"}
        return _answer(204, "", more | allowed | {"Access-Control-Max-Age": "600"})
    text = {"Content-Type": "text/plain; charset=UTF-8"}
    try:
        return _answer(200, _asked(event, now, pause), text | more)
    except _Refused as refused:
        return _answer(400, msgspec.json.encode(refused.error).decode(), {"Content-Type": "application/json"} | more)
    except (Busy, Unavailable) as why:
        logger().warning("poll put off", reason=str(why))
        return _answer(503, "", text | more)


def _answer(status: int, body: str, headers: dict[str, str]) -> Answer:
    return {"statusCode": status, "headers": headers, "body": body}


def _asked(event: dict[str, Any], now: Now, pause: Callable[[float], None]) -> str:
    query: dict[str, str] = event.get("queryStringParameters") or {}
    method: str = event["httpMethod"]
    if query.get("EIO") != "4":
        raise _Refused(BAD_VERSION)
    if query.get("transport") != "polling":
        raise _Refused(TRANSPORT_UNKNOWN)
    if "sid" not in query:
        if method != "GET":
            raise _Refused(BAD_METHOD)
        return _open(query, now())
    session = sessions.find(query["sid"])
    if session is None or session.closing:
        raise _Refused(SESSION_UNKNOWN)
    if method == "GET":
        return _poll(session, now, pause)
    if method == "POST":
        return _push(session, _body(event), now)
    raise _Refused(BAD_REQUEST)


def _open(query: dict[str, str], now: datetime) -> str:
    try:
        campaign_id = admission.campaign(query)
    except ValueError:
        raise _Refused(BAD_REQUEST) from None
    session = Session(
        id=secrets.token_urlsafe(15),
        began_at=clock.stamp(now),
        campaign_id=campaign_id,
        asked=query.get("organizationId"),
        format=recovery.format_of(query),
    )
    sessions.add(session)
    return socketio.opened(session.id, ["websocket"])


def _poll(session: Session, now: Now, pause: Callable[[float], None]) -> str:
    """What there is for a session, as soon as there is something."""
    if has_ended(session, now()):
        sessions.remove(session)
        raise _Refused(SESSION_UNKNOWN)
    turn, began = secrets.token_hex(8), now()
    if not sessions.begin_poll(session, turn, began):
        sessions.end(session, socketio.CLOSE)
        raise _Refused(BAD_REQUEST)
    looks, until = 0, began + timedelta(seconds=FREE_SECONDS)
    last = began + timedelta(seconds=_patience(session, began))
    while True:
        if session.closing or has_ended(session, now()):
            sessions.remove(session)
            return session.closing or socketio.CLOSE
        if now() >= until and until < last and _may_wait(now(), (last - now()).total_seconds()):
            until = last
        packets, since, pinged_at = _waiting(session, now(), is_over=now() >= until)
        if packets and sessions.end_poll(session, turn, since, pinged_at=pinged_at):
            return socketio.SEPARATOR.join(packets)
        pause(LOOKS[min(looks, len(LOOKS) - 1)])
        looks += 1
        again = sessions.find(session.id)
        if again is None or (again.poll != turn and not again.closing):  # it has a WebSocket
            raise _Refused(SESSION_UNKNOWN)
        session = again


def _waiting(session: Session, now: datetime, *, is_over: bool) -> tuple[list[str], int | None, str | None]:
    """The packets a poll is answered with, if any, the number of the last event among them, and when it pings."""
    told, since = _news(session)
    packets = [*session.outbox, *told]
    is_probed = session.probed_at is not None and now - clock.moment(session.probed_at) < PROBED
    if packets or not (is_over or is_probed):
        return packets, since, None
    if now - clock.moment(session.pinged_at or session.began_at) < PING:
        return [socketio.NOOP], since, None
    return [socketio.PING], since, clock.stamp(now)


def _news(session: Session) -> tuple[list[str], int | None]:
    """Packets of the events after the session's place, and its new place."""
    if session.joined is None or session.since is None:
        return [], session.since
    packets: list[str] = []
    since, size = session.since, 0
    for logged in broadcaster.missed_since(store.feed(session.joined), session.since):
        packet = broadcaster.FRAME[session.format](logged) if session.wants(logged.told) else ""
        size += len(packet)
        if packets and size > MOST_BYTES:
            break
        since = logged.seq
        packets += [packet] if packet else []
    return packets, since


def _patience(session: Session, now: datetime) -> float:
    if session.joined is None:
        return STRANGER_SECONDS
    age = (now - clock.moment(session.began_at)).total_seconds()
    return min(max(age, STRANGER_SECONDS), LONGEST_SECONDS)


def _may_wait(now: datetime, seconds: float) -> bool:
    """Whether a poll may be held for longer: the fuller the slots, the fewer."""
    return sessions.take_slot(random.randrange(max(settings().held_polls, 1)), now, seconds)  # noqa: S311 (a slot)


def has_ended(session: Session, now: datetime) -> bool:
    """Whether a session is over: its token, its time to join, its two hours, or the patience with its silence."""
    began_at = clock.moment(session.began_at)
    silent = session.pinged_at is not None and (session.heard_at or "") < session.pinged_at
    polled_at = clock.moment(session.polled_at or session.began_at)
    return (
        now - began_at > sessions.LONGEST
        or (session.joined is None and now - began_at > JOIN)
        or (session.ends is not None and now.timestamp() >= session.ends)
        or now - polled_at > PING + PONG
        or (silent and now - clock.moment(session.pinged_at or "") > PONG)
    )


def _body(event: dict[str, Any]) -> str:
    body = event.get("body") or ""
    try:
        return base64.b64decode(body).decode() if event.get("isBase64Encoded") else body
    except UnicodeDecodeError:
        return "b"


def _push(session: Session, body: str, now: Now) -> str:
    """Take what a client says."""
    try:
        if len(body) > socketio.MAX_PAYLOAD:
            raise Malformed
        packets = [socketio.decode(frame) for frame in body.split(socketio.SEPARATOR)]
    except Malformed:
        sessions.end(session, socketio.CLOSE)
        raise _Refused(BAD_REQUEST) from None
    for packet in packets:
        match packet:
            case Connect():
                _join(session, packet, now())
            case Ping():
                sessions.say(session, socketio.PONG + packet.probe)
            case Pong():
                sessions.hear(session, now())
            case Disconnect() | Close():
                sessions.end(session, socketio.NOOP)
    return "ok"


def _join(session: Session, packet: Connect, now: datetime) -> None:
    if packet.namespace != socketio.NAMESPACE:
        sessions.say(session, socketio.refused(packet.namespace, "Invalid namespace"))
        return
    if session.joined is not None:
        return
    try:
        admitted = admission.admit(
            packet.auth, asked=session.asked, campaign_id=session.campaign_id, speaks=session.format, now=now
        )
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        sessions.say(session, socketio.refused(packet.namespace, str(refusal)))
    except (Unavailable, Busy) as why:  # a client that is refused stays away, one that is closed comes back
        logger().warning("socket put off", reason=str(why))
        sessions.end(session, socketio.CLOSE)
    else:
        answer = socketio.connected(session.id, admitted.recovery_id)
        sessions.join(session, admitted.organization_id, admitted.since, admitted.ends, answer)
