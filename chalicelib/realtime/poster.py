"""Posting to sockets through API Gateway's management API.

A signed request of our own: boto3 takes 1.6 times the time for a post, and a busy broadcaster does little else.
"""

from __future__ import annotations

import functools
import random
import time
from typing import Any, Protocol
from urllib.parse import quote

from chalicelib.aws import clients
from chalicelib.errors import Failure
from chalicelib.log import logger
from chalicelib.settings import settings

QUICK = clients.PATIENCE["execute-api"].read
"""Seconds that a socket among others may take for a post."""

PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds, with jitter, between the tries of a post that API Gateway throttles."""


class Gone(Failure):
    """There is no such connection: it closed, or has not opened yet."""


class Slow(Failure):
    """The connection takes nothing at the moment."""


class Throttled(Slow):
    """There are too many posts at the moment; not the connection's doing."""


class NotPosted(RuntimeError):
    """API Gateway refused a request; not the connection's doing."""


class Line(Protocol):
    """Ways to a socket: this module, or a test's."""

    def post(self, connection_id: str, text: str, *, seconds: float = QUICK) -> None: ...

    def close(self, connection_id: str) -> None: ...


def patiently(line: Line, connection_id: str, text: str, *, seconds: float = QUICK) -> None:
    """Send a text frame, again while there are too many. Raises as `post`."""
    for pause in PAUSES:
        try:
            line.post(connection_id, text, seconds=seconds)
        except Throttled:
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (jitter)
        else:
            return
    line.post(connection_id, text, seconds=seconds)


def post(connection_id: str, text: str, *, seconds: float = QUICK) -> None:
    """Send a text frame that is taken within so many seconds. Raises Gone, Slow, Throttled, NotPosted."""
    status = _request("POST", connection_id, text.encode(errors="replace"), seconds)
    if status == 413:
        logger().error("event too large for a socket", connectionId=connection_id, characters=len(text))
    else:
        _judge(status)


def close(connection_id: str) -> None:
    """Close a connection; one that is closed stays so."""
    status = _request("DELETE", connection_id, b"", QUICK)
    if status != 410:
        _judge(status)


def closed(line: Line, connection_id: str) -> bool:
    """Close a connection; whether that could be done."""
    try:
        line.close(connection_id)
    except (Slow, NotPosted) as why:
        logger().info("socket not closed", connectionId=connection_id, reason=str(why))
        return False
    return True


def _judge(status: int) -> None:
    if status == 410:
        raise Gone
    if status == 429:
        raise Throttled
    if status >= 500:
        raise Slow
    if status >= 400:
        raise NotPosted(f"API Gateway answered {status}")


def _request(method: str, connection_id: str, body: bytes, seconds: float) -> int:
    """The answer's status; 503 when there was none in time."""
    import urllib3
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(
        method, f"{settings().socket_endpoint}/@connections/{quote(connection_id, safe='')}", data=body
    )
    _signer().add_auth(request)
    try:
        timeout = urllib3.Timeout(connect=clients.PATIENCE["execute-api"].connect, read=seconds)
        headers = dict(request.headers.items())
        answer = _pool().request(method, request.url, body=body, headers=headers, timeout=timeout)
    except urllib3.exceptions.HTTPError as error:
        logger().warning("no answer to a post", connectionId=connection_id, reason=type(error).__name__)
        return 503
    return int(answer.status)


@functools.cache
def _signer() -> Any:
    import boto3
    from botocore.auth import SigV4Auth

    session = boto3.Session()
    return SigV4Auth(session.get_credentials(), "execute-api", session.region_name)


@functools.cache
def _pool() -> Any:
    import urllib3

    return urllib3.PoolManager(maxsize=64, retries=False)
