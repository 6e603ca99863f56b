"""The WebSocket API's three routes: a socket opens with a token, may ping, and closes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chalicelib import auth, clock
from chalicelib.errors import Unauthorized
from chalicelib.log import logger
from chalicelib.realtime import poster, store, wire
from chalicelib.realtime.poster import Gone

Answer = dict[str, int]


def connect(event: dict[str, Any], *, now: Callable[[], datetime] = clock.now) -> Answer:
    """Let a socket in whose `token` vouches for an organization; an `organizationId` that differs is refused.

    API Gateway opens the socket after this has returned: the row comes first, so that no event is missed.
    """
    query = event.get("queryStringParameters") or {}
    try:
        identity = auth.identify(query.get("token", ""))
    except Unauthorized as refusal:
        logger().info("socket refused", reason=str(refusal))
        return {"statusCode": 401}
    if query.get("organizationId", identity.organization_id) != identity.organization_id:
        return {"statusCode": 403}
    store.add(identity.organization_id, event["requestContext"]["connectionId"], now=now())
    return {"statusCode": 200}


def message(event: dict[str, Any], *, post: Callable[[str, str], None] = poster.post) -> Answer:
    """Answer a ping; anything else a client says is ignored."""
    if wire.is_ping(event.get("body") or ""):
        try:
            post(event["requestContext"]["connectionId"], wire.PONG)
        except Gone:
            return {"statusCode": 410}
    return {"statusCode": 200}


def disconnect(event: dict[str, Any]) -> Answer:
    """Forget a socket."""
    store.forget_connection(event["requestContext"]["connectionId"])
    return {"statusCode": 200}
