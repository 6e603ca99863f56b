"""What browsers see: streams read as Lambda reads them, API Gateway's sockets, and the frames that reach each."""

from __future__ import annotations

import functools
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import boto3

import app
from chalicelib.realtime import sockets
from chalicelib.settings import settings
from tests.service.aws import client, resources
from tests.service.cloud import Cloud, sqs_event, token

Frame = dict[str, Any]


class Gateway:
    """API Gateway's management API: it keeps what was posted to whom, and refuses whom it is told to."""

    def __init__(self) -> None:
        self.posted: dict[str, list[str]] = defaultdict(list)
        self.closed: list[str] = []
        self.refuses: dict[str, int] = {}
        self.holds: dict[str, threading.Event] = {}
        """Connection → what its posts wait for."""

    def take(self, connection_id: str) -> list[str]:
        """What was posted to a connection since the last look."""
        return self.posted.pop(connection_id, [])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, gateway: Gateway, *given: Any) -> None:
        self.gateway = gateway
        super().__init__(*given)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        connection_id = unquote(self.path.rpartition("/@connections/")[2])
        if held := self.gateway.holds.get(connection_id):
            held.wait(60)
        status = self.gateway.refuses.get(connection_id, 200)
        if status == 200:
            self.gateway.posted[connection_id].append(body)
        self._answer(status)

    def do_DELETE(self) -> None:
        self.gateway.closed.append(unquote(self.path.rpartition("/@connections/")[2]))
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(gateway: Gateway) -> Iterator[str]:
    """The endpoint of a gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, gateway)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


class Live:
    """A deployment whose changes are announced."""

    def __init__(self, cloud: Cloud, gateway: Gateway) -> None:
        self.cloud = cloud
        self.gateway = gateway
        self._streams = {table: (place, 0) for table, place in _streams()}

    def open(
        self, connection_id: str, organization: str | int = "1", *, at: datetime | None = None, **query: str
    ) -> int:
        """Open a socket with an organization's token; the status API Gateway is told."""
        event = connect_event(connection_id, {"token": token(organization), **query})
        answer: dict[str, int] = sockets.connect(event, now=lambda: at) if at else app.connect(event, None)
        return answer["statusCode"]

    def say(self, connection_id: str, text: str) -> int:
        """Send a frame as a client does."""
        answer: dict[str, int] = app.receive(socket_event("MESSAGE", connection_id, text), None)
        return answer["statusCode"]

    def changes(self) -> list[list[Frame]]:
        """The batches of stream records that the publisher has not seen, as its triggers filter them."""
        return [batch for table in self._streams if (batch := self._read(table))]

    def settle(self) -> None:
        """Announce every change there is."""
        while batches := self.changes():
            for batch in batches:
                assert app.publish({"Records": batch}, None) is None
            self.broadcast()

    def broadcast(self) -> None:
        """Tell the sockets what lies in the queue of live events."""
        while messages := self.cloud.take(settings().live_events_queue):
            assert app.broadcast(sqs_event(messages), None) == {"batchItemFailures": []}

    def heard(self, connection_id: str) -> list[Frame]:
        """The frames a plain socket got since the last look."""
        return [json.loads(frame) for frame in self.gateway.take(connection_id)]

    def _read(self, table: str) -> list[Frame]:
        """A stream's records since the last look; an iterator of the mock does not outlive a cancelled transaction."""
        place, seen = self._streams[table]
        iterator = _reader().get_shard_iterator(**place)["ShardIterator"]
        records = _reader().get_records(ShardIterator=iterator)["Records"]
        self._streams[table] = place, len(records)
        told = [_as_lambda_sees(record, table) for record in records[seen:]]
        return [record for record in told if any(_matches(pattern, record) for pattern in _triggers()[table])]


@functools.cache
def _reader() -> Any:
    """A client of the streams, at the one of their addresses that the mock serves."""
    region = client("dynamodb").meta.region_name
    return boto3.client("dynamodbstreams", endpoint_url=f"https://streams.dynamodb.{region}.amazonaws.com")


def _streams() -> Iterator[tuple[str, dict[str, str]]]:
    """Turn the streams on; each table of the template, and where its stream begins."""
    for table in _triggers():
        specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        told = client("dynamodb").update_table(TableName=f"test-{table}", StreamSpecification=specification)
        arn = told["TableDescription"]["LatestStreamArn"]
        shard = _reader().describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        yield table, {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}


@functools.cache
def _triggers() -> dict[str, list[Any]]:
    """The publisher's triggers in the template: table → patterns of what it wants to see."""
    return {
        event["Properties"]["Stream"].removesuffix(".StreamArn"): [
            json.loads(each["Pattern"]) for each in event["Properties"]["FilterCriteria"]["Filters"]
        ]
        for event in resources()["Publisher"]["Properties"]["Events"].values()
    }


def _matches(pattern: Any, value: Any) -> bool:
    """Whether a value matches an event pattern.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    """
    if isinstance(pattern, dict):
        return all(_matches(each, (value or {}).get(name)) for name, each in pattern.items())
    return any((value is not None) == each["exists"] if isinstance(each, dict) else value == each for each in pattern)


def _as_lambda_sees(record: dict[str, Any], table: str) -> Frame:
    change = record["dynamodb"]
    return {
        **record,
        "eventVersion": "1.1",
        "awsRegion": "eu-central-1",
        "dynamodb": change | {"ApproximateCreationDateTime": change["ApproximateCreationDateTime"].timestamp()},
        "eventSourceARN": f"arn:aws:dynamodb:eu-central-1:123456789012:table/test-{table}/stream/2026-11-23T06:15",
    }


def of(name: str, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The data of the frames of one event."""
    return [frame["data"] for frame in frames if frame["event"] == name]


def connect_event(connection_id: str, query: dict[str, str] | None) -> dict[str, Any]:
    """What a socket's opening is to `$connect`; without a query there is no such member."""
    event = socket_event("CONNECT", connection_id)
    event |= {"headers": {"Host": "sockets.test", "Sec-WebSocket-Version": "13"}}
    if query:
        many = {name: [value] for name, value in query.items()}
        event |= {"queryStringParameters": query, "multiValueQueryStringParameters": many}
    return event


def socket_event(kind: str, connection_id: str, body: str | None = None) -> dict[str, Any]:
    """An event of API Gateway's WebSocket API.

    Shape: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
    """
    routes = {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}
    context = {
        "routeKey": routes[kind],
        "eventType": kind,
        "extendedRequestId": "Uv0d6FfrliAFqtA=",
        "requestTime": "23/Nov/2026:06:15:00 +0000",
        "messageDirection": "IN",
        "stage": "api",
        "connectedAt": 1795414500000,
        "requestTimeEpoch": 1795414500123,
        "identity": {"sourceIp": "203.0.113.7"},
        "requestId": "Uv0d6FfrliAFqtA=",
        "domainName": "abcdef.execute-api.eu-central-1.amazonaws.com",
        "connectionId": connection_id,
        "apiId": "abcdef",
    }
    if kind == "DISCONNECT":
        context |= {"disconnectStatusCode": 1001, "disconnectReason": "Going away"}
    event: dict[str, Any] = {"requestContext": context, "isBase64Encoded": False}
    return event if body is None else event | {"body": body}
