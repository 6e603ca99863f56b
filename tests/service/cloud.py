"""A deployment as tests see it: HTTP requests in, messages moved by hand, the events AWS would send."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec

import app
from chalicelib import clock
from chalicelib.campaigns import control
from chalicelib.dialing import pacer
from chalicelib.settings import settings
from tests.service import described
from tests.service.aws import JWT_SECRET, client
from tests.service.files import form, notification

BASE = "/auto-calling"
GREEDY = "/{proxy+}"
"""API Gateway's name for whatever no other route takes."""


class Reply(msgspec.Struct):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def problem(self) -> tuple[int, str]:
        """Status and code of a refusal, which must be a problem as RFC 9457 has it."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.body["status"] == self.status
        assert self.body["type"] == f"urn:autocall:{self.body['code']}"
        assert all(self.body[each] for each in ("title", "detail", "requestId"))
        assert ("errors" in self.body) == self.body["code"].startswith("invalid-")
        return self.status, self.body["code"]

    @property
    def field_at_fault(self) -> str:
        """The one field a refused body or parameter is wrong in."""
        assert self.problem in ((400, "invalid-body"), (400, "invalid-parameter")), self
        [error] = self.body["errors"]
        assert error.keys() == {"field", "message"}
        assert error["message"]
        field: str = error["field"]
        return field


def token(organization_id: str | int = "1", *, key: str = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A JWT of an organization, valid for an hour unless claims say otherwise; a claim of None is left out."""
    given = {"organizationId": organization_id, "exp": int(time.time()) + 3600, "sub": "tests", **claims}
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm)


class Cloud:
    """Drives the handlers of `app.py` with the event shapes AWS sends."""

    def __init__(self) -> None:
        self.sqs = client("sqs")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        organization: str | int | None = "1",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request below the base path; dictionaries as JSON, bytes as they are."""
        sent = {"content-type": "application/json"} if body is not None else {}
        if organization is not None:
            sent["authorization"] = f"Bearer {token(organization)}"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        answer = app.app(rest_event(method, BASE + path, raw, sent), None)
        text = answer["body"]
        told = answer["headers"] | {k: v[-1] for k, v in answer.get("multiValueHeaders", {}).items()}
        reply = Reply(answer["statusCode"], told, json.loads(text) if text else None)
        described.check(method, BASE + path, reply.status, reply.headers, reply.body)
        return reply

    def get(self, path: str, **options: Any) -> Reply:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return self.request("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> Reply:
        return self.request("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        return self.request("DELETE", path, **options)

    # what a user has

    def a_contact(
        self, phone: str = "+998901234567", *, organization: str | int = "1", **fields: Any
    ) -> dict[str, Any]:
        reply = self.post("/contacts", {"firstName": "Ali", "phone": phone, **fields}, organization=organization)
        assert reply.status == 201, reply
        contact: dict[str, Any] = reply.body
        return contact

    def contacts(self, number: int, *, last_digit: int = 0, organization: str | int = "1") -> list[str]:
        """Ids of new contacts whose phones end with a digit."""
        return [
            self.a_contact(f"+99890{n:06}{last_digit}", organization=organization)["id"]
            for n in range(100_000, 100_000 + number)
        ]

    def a_campaign(
        self, contact_ids: list[str] | None = None, *, organization: str | int = "1", **fields: Any
    ) -> dict[str, Any]:
        body = {"name": "January", "contactIds": contact_ids or [], **fields}
        reply = self.post("/campaigns", body, organization=organization)
        assert reply.status == 201, reply
        campaign: dict[str, Any] = reply.body
        return campaign

    def a_running_campaign(self, contact_ids: list[str], **fields: Any) -> str:
        """The id of a running campaign whose first calls are claimed."""
        campaign_id: str = self.a_campaign(contact_ids, **fields)["id"]
        assert self.post(f"/campaigns/{campaign_id}/start").status == 200
        self.pace_all()
        return campaign_id

    def campaign(self, campaign_id: str, *, organization: str | int = "1") -> dict[str, Any]:
        body: dict[str, Any] = self.get(f"/campaigns/{campaign_id}", organization=organization).body
        return body

    def call(self, campaign_id: str, contact_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.get(f"/campaigns/{campaign_id}/contacts/{contact_id}").body
        return body

    def upload(
        self, content: bytes, file_name: str = "contacts.csv", *, organization: str | int = "1", **fields: str
    ) -> dict[str, Any]:
        """An import of a file sent as the guide sends it; nothing of it is read yet."""
        reply = self.send_file(content, file_name, organization=organization, **fields)
        assert reply.status == 202, reply
        import_: dict[str, Any] = reply.body
        return import_

    def send_file(self, content: bytes, file_name: str, *, organization: str | int = "1", **fields: str) -> Reply:
        """The answer to a file sent in a form."""
        body, kind = form(content, file_name, **fields)
        return self.post("/contacts/upload-excel", body, organization=organization, headers={"Content-Type": kind})

    def arrive(self, key: str, **told: Any) -> None:
        """Tell the importer of an object in the bucket, and let it go on until it is done."""
        app.import_file(sqs_event([json.dumps(notification(key, **told))]), None)
        while orders := self.take(settings().imports_queue):
            app.import_file(sqs_event(orders[:1]), None)

    # what the queues hold

    def take(self, queue: str, most: int = 10) -> list[str]:
        """Bodies of messages that lie in a queue; they are gone from it."""
        bodies: list[str] = []
        while len(bodies) < most:
            got = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=min(10, most - len(bodies)))
            if not got.get("Messages"):
                break
            for message in got["Messages"]:
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies

    def pace(self, *bodies: str) -> list[str]:
        """Deliver campaign events to the pacer; the ids it wants again."""
        answer = app.pace(sqs_event(bodies), None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def pace_all(self) -> None:
        """Deliver every campaign event there is."""
        while bodies := self.take(settings().campaign_events_queue):
            assert self.pace(*bodies) == []

    def tick(self, at: datetime) -> None:
        """The clock's tick at a moment, and what it wakes, at that moment."""
        control.wake_due(now=at)
        bodies = self.take(settings().campaign_events_queue)
        assert pacer.handle(sqs_event(bodies)["Records"], now=lambda: at) == []

    def settle(self, rounds: int = 200) -> None:
        """Move messages between queues and functions until nothing moves."""
        handlers: list[tuple[str, Callable[[Any, Any], Any], int]] = [
            (settings().campaign_events_queue, app.pace, 10),
            (settings().dial_queue, app.dial, 1),
            (settings().jobs_queue, app.work, 1),
            (settings().imports_queue, app.import_file, 1),
        ]
        for _ in range(rounds):
            moved = False
            for queue, handler, batch in handlers:
                bodies = self.take(queue, batch)
                if bodies:
                    moved = True
                    handler(sqs_event(bodies), None)
            if not moved:
                return
        raise AssertionError("messages keep moving")


def in_an(**time: float) -> datetime:
    """The moment that much from now."""
    return clock.now() + timedelta(**time)


def rest_event(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
    """An event of API Gateway's REST API, as Lambda proxy integrations get it."""
    path, _, query = path.partition("?")
    resource, parameters = _route(method, path)
    asked = parse_qs(query, keep_blank_values=True)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in asked.items()} or None,
        "multiValueQueryStringParameters": asked or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"/api{path}",
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": "203.0.113.7"},
        },
        "body": None if body is None else base64.b64encode(body).decode(),
        "isBase64Encoded": body is not None,
    }


def _route(method: str, path: str) -> tuple[str, dict[str, str]]:
    """The route API Gateway would match, literal segments before parameters before the greedy one."""
    segments = path.strip("/").split("/")
    for route in sorted(app.app.routes.keys() - {GREEDY}, key=lambda each: each.count("{")):
        parts = route.strip("/").split("/")
        if len(parts) == len(segments) and all(
            part.startswith("{") or part == segment for part, segment in zip(parts, segments, strict=True)
        ):
            return route, {p[1:-1]: s for p, s in zip(parts, segments, strict=True) if p.startswith("{")}
    if method in app.app.routes[GREEDY]:
        return GREEDY, {"proxy": path.strip("/")}
    raise LookupError(f"API Gateway has no route for {path}")


def sqs_event(bodies: Any) -> dict[str, Any]:
    """An SQS batch."""
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": "receipt",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:queue",
                "awsRegion": "eu-central-1",
            }
            for body in bodies
        ]
    }


def schedule_event() -> dict[str, Any]:
    """An EventBridge rule's tick."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-23T06:15:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/clock"],
        "detail": {},
    }
