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
from itertools import chain, repeat
from typing import Any

import msgspec

from chalicelib import clock, http
from chalicelib.aws.dynamodb import Busy
from chalicelib.errors import Unauthorized, Unavailable
from chalicelib.log import logger
from chalicelib.realtime import admission, broadcaster, recovery, sessions, socketio, store
from chalicelib.realtime.model import Session
from chalicelib.realtime.socketio import Close, Connect, Disconnect, Ignored, Malformed, Packet, Ping, Pong
from chalicelib.settings import settings

JOIN = timedelta(seconds=30)
"""A session that has not joined after so long ends."""

SHORTEST, LONGEST = timedelta(seconds=5), timedelta(seconds=20)
"""How long a poll is held: a session that has joined is as old as its polls are long, up to the longest. API Gateway
waits 29 seconds."""

FREE = timedelta(seconds=1)
"""How long a poll is held at least, for which nothing is written; longer only as many at a time as the deployment
wants."""

UPGRADE = timedelta(seconds=0.3)
"""How long one is held that a WebSocket asks to let go: if it has overtaken the upgrade, that has come by then."""

LOOKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 1.0)
"""Seconds between looks for news: the last one again and again."""

PROBED = timedelta(seconds=10)
"""How long a WebSocket that has asked to take over may take for the upgrade."""

NOTE = timedelta(minutes=1)
"""How often it is written down that a client polls, which is told nothing."""

PING = timedelta(seconds=socketio.PING_SECONDS)
PONG = timedelta(seconds=socketio.PONG_SECONDS)

MOST_PACKETS = 16
"""Of a body that ask for something; a client has few to send."""

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
    origin = headers.get("origin")
    if event["httpMethod"] == "OPTIONS":
        return _answer(204, "", http.preflight_headers(origin, methods="GET,POST,OPTIONS", headers="Content-Type"))
    more = http.PROTECTION | http.cors(origin)
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
    session, ticket = sessions.find(query["sid"]), _ticket(event)
    if session is None or session.socket:
        raise _Refused(SESSION_UNKNOWN)
    if method == "GET":
        return _Poll(session, ticket, now, pause).answer()
    if session.closing:
        raise _Refused(SESSION_UNKNOWN)
    if method == "POST":
        return _push(session, ticket, _body(event), now)
    raise _Refused(BAD_REQUEST)


def _ticket(event: dict[str, Any]) -> str:
    """A name of a request; requests that came later have later ones, in whatever order they are handled."""
    return f"{event['requestContext']['requestTimeEpoch']:015}-{secrets.token_hex(4)}"


def _open(query: dict[str, str], now: datetime) -> str:
    try:
        campaign_id, asked = admission.campaign(query), admission.organization(query)
    except ValueError:
        raise _Refused(BAD_REQUEST) from None
    session = Session(
        id=sessions.new_id(),
        began_at=clock.stamp(now),
        campaign_id=campaign_id,
        asked=asked,
        format=recovery.format_of(query),
    )
    sessions.add(session)
    return socketio.opened(session.id, ["websocket"])


class _Poll:
    """A poll that is under way. Whoever else is told the session's packets and events, nobody is told them twice."""

    def __init__(self, session: Session, ticket: str, now: Now, pause: Callable[[float], None]) -> None:
        self.session = session
        self.ticket = ticket
        self.now = now
        self.pause = pause
        self.began = now()
        self.last = self.began + _patience(session, self.began)
        self.is_held = False
        self.reached = session.since
        """The number of the last event that was looked at; those it does not want are not looked at again."""

    def answer(self) -> str:
        """What there is for the session, as soon as there is something."""
        if has_ended(self.session, self.began) and not self.session.closing:
            sessions.remove(self.session)
            raise _Refused(SESSION_UNKNOWN)
        for pause in chain(LOOKS, repeat(LOOKS[-1])):
            if packets := self._look(self.now()):
                break
            self.pause(pause)
            again = sessions.find(self.session.id)
            if again is None or again.socket:
                raise _Refused(SESSION_UNKNOWN)
            self.session = again
        return socketio.SEPARATOR.join(packets)

    def _look(self, at: datetime) -> list[str]:
        """The answer; nothing if it is not time for one."""
        if self.session.closing or has_ended(self.session, at):
            return [self._goodbye()]
        waits, reached = self._waits(at), self.reached
        if packets := [*self.session.outbox, *self._news()]:
            if self._tell(at):
                return packets
            self.reached = reached
            return []
        if waits:
            return []
        if at - clock.moment(self.session.pinged_at or self.session.began_at) >= PING:
            return [socketio.PING] if self._tell(at, pinged_at=clock.stamp(at)) else []
        polled_until = clock.moment(self.session.polled_until or self.session.began_at)
        if self.reached != self.session.since or at - polled_until >= NOTE:
            self._tell(at)
        return [socketio.NOOP]

    def _waits(self, at: datetime) -> bool:
        """Whether it is held on when there is nothing. Raises _Refused for one beside another, which ends both."""
        probed_at = self.session.probed_at
        if probed_at is not None and at - clock.moment(probed_at) < PROBED:
            return at < self.began + UPGRADE
        if self.is_held or at < self.began + FREE:
            return at < self.last
        other = self.session.poll
        if other is not None and clock.stamp(at) <= (self.session.polled_until or ""):
            first = min(self.ticket, other)
            sessions.end(self.session, socketio.CLOSE, last_poll=first)
            if self.ticket != first:
                raise _Refused(BAD_REQUEST)
            return True
        if not _may_wait(at, (self.last - at).total_seconds()):
            return False
        self.is_held = sessions.hold(self.session, self.ticket, at, self.last)
        return True

    def _news(self) -> list[str]:
        """Packets of the events after those that were looked at."""
        packets: list[str] = []
        if self.session.joined is None or self.session.since is None:
            return packets
        self.reached, size = max(self.reached or 0, self.session.since), 0
        for logged in broadcaster.missed_since(store.feed(self.session.joined), self.reached):
            packet = broadcaster.FRAME[self.session.format](logged) if self.session.wants(logged.told) else ""
            size += len(packet)
            if packets and size > MOST_BYTES:
                break
            self.reached = logged.seq
            packets += [packet] if packet else []
        return packets

    def _tell(self, at: datetime, *, pinged_at: str | None = None) -> bool:
        return sessions.tell(self.session, self.ticket, self.reached, at, pinged_at=pinged_at)

    def _goodbye(self) -> str:
        """The last packet of a session that has ended."""
        if self.session.closing and self.ticket > (self.session.last_poll or ""):
            raise _Refused(SESSION_UNKNOWN)
        sessions.remove(self.session)
        return self.session.closing or socketio.CLOSE


def _patience(session: Session, now: datetime) -> timedelta:
    age = now - clock.moment(session.began_at)
    return SHORTEST if session.joined is None else min(max(age, SHORTEST), LONGEST)


def _may_wait(now: datetime, seconds: float) -> bool:
    """Whether a poll may be held for longer: the fuller the slots, the fewer."""
    return sessions.take_slot(random.randrange(max(settings().held_polls, 1)), now, seconds)  # noqa: S311 (a slot)


def has_ended(session: Session, now: datetime) -> bool:
    """Whether a session is over: its token, its time to join, its two hours, or the patience with its silence."""
    began_at = clock.moment(session.began_at)
    silent = session.pinged_at is not None and (session.heard_at or "") < session.pinged_at
    polled_until = clock.moment(session.polled_until or session.began_at)
    return (
        now - began_at > sessions.LONGEST
        or (session.joined is None and now - began_at > JOIN)
        or (session.ends is not None and now.timestamp() >= session.ends)
        or now - polled_until > PING + PONG
        or (silent and now - clock.moment(session.pinged_at or "") > PONG)
    )


def _body(event: dict[str, Any]) -> str:
    body = event.get("body") or ""
    try:
        return base64.b64decode(body).decode() if event.get("isBase64Encoded") else body
    except UnicodeDecodeError:
        return "b"


def _push(session: Session, ticket: str, body: str, now: Now) -> str:
    """Take what a client says."""
    try:
        if len(body) > socketio.MAX_PAYLOAD:
            raise Malformed
        packets = [socketio.decode(frame) for frame in body.split(socketio.SEPARATOR)]
        if sum(not isinstance(packet, Ignored) for packet in packets) > MOST_PACKETS:
            raise Malformed
    except Malformed:
        sessions.end(session, socketio.CLOSE, last_poll=ticket)
        raise _Refused(BAD_REQUEST) from None
    try:
        for packet in packets:
            _take(session, packet, now)
    except sessions.Full:
        sessions.end(session, socketio.CLOSE)
    return "ok"


def _take(session: Session, packet: Packet, now: Now) -> None:
    match packet:
        case Connect():
            _join(session, packet, now())
        case Ping():
            sessions.say(session, socketio.PONG + packet.probe)
        case Pong():
            sessions.hear(session, now())
        case Disconnect(socketio.NAMESPACE) | Close():
            sessions.end(session, socketio.NOOP)


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
        answer = socketio.connected(sessions.public_name(session.id), admitted.recovery_id)
        sessions.join(session, admitted.organization_id, admitted.since, admitted.ends, answer)
