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

PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds, with jitter, between the tries of a post that API Gateway throttles."""


class Gone(Failure):
    """There is no such connection: it closed, or has not opened yet."""


class Slow(Failure):
    """The connection takes nothing at the moment."""


class NotPosted(RuntimeError):
    """API Gateway refused a request; not the connection's doing."""


class Line(Protocol):
    """Ways to a socket: this module, or a test's."""

    def post(self, connection_id: str, text: str) -> None: ...

    def close(self, connection_id: str) -> None: ...


def post(connection_id: str, text: str) -> None:
    """Send a text frame. Raises Gone, Slow, NotPosted."""
    for pause in (*PAUSES, None):
        status = _request("POST", connection_id, text.encode())
        if status == 413:
            logger().error("event too large for a socket", connectionId=connection_id, characters=len(text))
            return
        if status != 429:
            _judge(status)
            return
        if pause is not None:
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (jitter)
    raise Slow


def close(connection_id: str) -> None:
    """Close a connection; one that is closed stays so."""
    status = _request("DELETE", connection_id, b"")
    if status != 410:
        _judge(status)


def _judge(status: int) -> None:
    if status == 410:
        raise Gone
    if status >= 500:
        raise Slow
    if status >= 400:
        raise NotPosted(f"API Gateway answered {status}")


def _request(method: str, connection_id: str, body: bytes) -> int:
    """The answer's status; 503 when there was none in time."""
    import urllib3
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(
        method, f"{settings().socket_endpoint}/@connections/{quote(connection_id, safe='')}", data=body
    )
    _signer().add_auth(request)
    try:
        answer = _pool().request(method, request.url, body=body, headers=dict(request.headers.items()))
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

    patience = clients.PATIENCE["execute-api"]
    timeout = urllib3.Timeout(connect=patience.connect, read=patience.read)
    return urllib3.PoolManager(maxsize=64, timeout=timeout, retries=False)
