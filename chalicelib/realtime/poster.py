"""Posting to sockets through API Gateway's management API."""

from __future__ import annotations

import functools
from typing import Any

from chalicelib.errors import Failure
from chalicelib.settings import settings


class Gone(Failure):
    """There is no such connection: it closed, or has not opened yet."""


@functools.cache
def _api() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=settings().socket_endpoint,
        config=Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 5}),
    )


def post(connection_id: str, text: str) -> None:
    """Send a text frame. Raises Gone."""
    try:
        _api().post_to_connection(ConnectionId=connection_id, Data=text.encode())
    except _api().exceptions.GoneException:
        raise Gone from None
