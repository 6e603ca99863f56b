"""What the streams tell, what goes through the live queue, and sockets as a test wants them."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from chalicelib import clock, worker
from chalicelib.aws import sqs
from chalicelib.realtime import broadcaster, publisher, sockets
from chalicelib.realtime.poster import Gone, Slow
from chalicelib.settings import settings
from tests.service.cloud import Cloud, sqs_event, token

LATE = int(time.time()) + 100 * 3600
"""When tokens expire that outlast what tests do to the clock."""


class Wire:
    """The management API: what was posted to each connection, and which of them misbehave."""

    def __init__(self) -> None:
        self.posted: dict[str, list[str]] = defaultdict(list)
        self.closed: list[str] = []
        self.gone: dict[str, int] = {}
        """Connection → how many posts answer 410 before it opens."""

        self.slow: set[str] = set()
        self.stuck: set[str] = set()
        """Connections that cannot be closed."""

    def post(self, connection_id: str, text: str, *, seconds: float = 1) -> None:
        if connection_id in self.closed:
            raise Gone
        if self.gone.get(connection_id, 0):
            self.gone[connection_id] -= 1
            raise Gone
        if connection_id in self.slow:
            raise Slow
        self.posted[connection_id].append(text)

    def close(self, connection_id: str) -> None:
        if connection_id in self.stuck:
            raise Slow
        self.closed.append(connection_id)

    def events(self, connection_id: str) -> list[dict[str, Any]]:
        """What a plain connection was told."""
        return [json.loads(frame) for frame in self.posted[connection_id]]

    def numbers(self, connection_id: str) -> list[int]:
        return [event["seq"] for event in self.events(connection_id)]


class Live:
    """The functions between the tables' streams and the sockets."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.wire = Wire()
        self.now = clock.now

    def open(self, connection_id: str, organization: str = "1", *, status: int = 200, **query: str) -> None:
        """A plain socket connects."""
        event = socket_event(connection_id, query={"token": token(organization, exp=LATE), **query})
        assert sockets.connect(event, now=self.now)["statusCode"] == status

    def say(self, connection_id: str, frame: str) -> None:
        """A client says something."""
        event = socket_event(connection_id, body=frame)
        assert sockets.message(event, line=self.wire, now=self.now)["statusCode"] == 200

    def changed(self, *records: dict[str, Any]) -> None:
        """A stream's batch reaches the publisher."""
        publisher.handle(records, line=self.wire, now=self.now)

    def work(self) -> list[str]:
        """The jobs that lie in the queue reach the worker; what they were."""
        bodies = self.cloud.take(settings().jobs_queue, 1_000)
        worker.handle(bodies, line=self.wire, now=self.now)
        return bodies

    def deliver(self, bodies: list[str] | None = None) -> list[str]:
        """The live queue's messages reach the broadcaster, ten at a time; what they were."""
        bodies = self.cloud.take(settings().live_events_queue, 1_000) if bodies is None else bodies
        for start in range(0, len(bodies), 10):
            batch = sqs_event(bodies[start : start + 10])["Records"]
            assert broadcaster.handle(batch, line=self.wire, now=self.now) == []
        return bodies

    def tell(self, *phones: str, organization: str = "1") -> None:
        """So many contacts are made, and announced."""
        self.changed(*(contact_record(phone, organization=organization, at=self.now()) for phone in phones))
        self.deliver()


@contextmanager
def impatient() -> Iterator[None]:
    """Delayed messages come at once."""

    def hasten(params: dict[str, Any], **_: Any) -> None:
        for entry in params["Entries"]:
            entry.pop("DelaySeconds", None)

    events = sqs.client().meta.events
    events.register("provide-client-params.sqs.SendMessageBatch", hasten, unique_id="impatient")
    try:
        yield
    finally:
        events.unregister("provide-client-params.sqs.SendMessageBatch", unique_id="impatient")


def socket_event(connection_id: str, *, query: dict[str, str] | None = None, body: str | None = None) -> dict[str, Any]:
    """An event of API Gateway's WebSocket API.

    Shape: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
    """
    return {
        "requestContext": {"connectionId": connection_id, "routeKey": "$default", "stage": "api", "requestId": "r"},
        "queryStringParameters": query,
        "body": body,
        "isBase64Encoded": False,
    }


def contact_record(phone: str, *, organization: str = "1", at: datetime | None = None) -> dict[str, Any]:
    """The stream record of a new contact."""
    stamp = clock.stamp(at or clock.now())
    image = {
        "organizationId": organization,
        "contactId": str(uuid.uuid4()),
        "firstName": "Ali",
        "lastName": "",
        "phone": phone,
        "status": "ACTIVE",
        "statusKey": f"{organization}#ACTIVE",
        "isCalled": False,
        "createdAt": stamp,
        "updatedAt": stamp,
    }
    return record("contacts_table", image, at=at)


def record(
    setting: str, new: dict[str, Any], old: dict[str, Any] | None = None, *, at: datetime | None = None
) -> dict[str, Any]:
    """A record of a table's stream."""
    table = getattr(settings(), setting)
    serialize = TypeSerializer().serialize
    images = {"NewImage": new} | ({"OldImage": old} if old else {})
    return {
        "eventID": uuid.uuid4().hex,
        "eventName": "MODIFY" if old else "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": f"arn:aws:dynamodb:eu-central-1:123456789012:table/{table}/stream/2026-11-23T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": (at or clock.now()).timestamp(),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: {key: serialize(value) for key, value in image.items()} for name, image in images.items()},
        },
    }
