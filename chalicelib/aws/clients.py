"""The process's AWS clients, and how long each waits: a call that gets no answer leaves its function time to say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from chalicelib.errors import Unavailable
from chalicelib.log import logger

REFUSALS = (BotoCoreError, ClientError)
"""What a client raises: it got no answer, or one that says no."""


class Patience(Struct, frozen=True):
    """Seconds a call waits for a connection and for each part of its answer, and how often it is tried."""

    connect: float
    read: float
    tries: int

    @property
    def longest(self) -> float:
        """Seconds until a call gives up; botocore pauses up to 1, 2, 4 … seconds between its tries."""
        return self.tries * (self.connect + self.read) + sum(1 << pause for pause in range(self.tries - 1))


PATIENCE = {
    "dynamodb": Patience(connect=1, read=4, tries=3),
    "sqs": Patience(connect=1, read=3, tries=1),
    "s3": Patience(connect=1, read=8, tries=2),
    "ssm": Patience(connect=1, read=3, tries=3),
    "execute-api": Patience(connect=1, read=1, tries=1),
}
"""By service. Who sends to a queue or posts to a socket tries again by itself (`sqs.send`, `poster.patiently`)."""


def client(service: str, **options: Any) -> Any:
    """A new client of a service, with further options of botocore's Config. Making one takes a tenth of a second."""
    import boto3

    patience = PATIENCE[service]
    config = Config(
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        retries={"total_max_attempts": patience.tries, "mode": "standard"},
        **options,
    )
    return boto3.client(service, config=config)


def raise_unavailable(register: Callable[[str, Callable[..., None]], object]) -> None:
    """Have clients raise Unavailable when no answer came, or one that the service is at fault, after all their tries.

    `register` is that of a client's events, or of the session that makes it.
    """
    register("after-call-error", _unanswered)
    register("after-call", _answered)


def _unanswered(exception: Exception, event_name: str, **_: object) -> None:
    if isinstance(exception, exceptions.ConnectionError | exceptions.HTTPClientError):
        logger().warning("AWS does not answer", call=event_name, reason=code(exception))
        raise Unavailable from exception


def _answered(http_response: Any, parsed: Any, event_name: str, **_: object) -> None:
    if http_response.status_code >= 500:
        logger().warning("AWS failed", call=event_name, reason=parsed.get("Error", {}).get("Code"))
        raise Unavailable


def code(refusal: Exception) -> str:
    """What AWS calls the reason of a refusal; the kind of error when there was no answer."""
    return refusal.response["Error"]["Code"] if isinstance(refusal, ClientError) else type(refusal).__name__
