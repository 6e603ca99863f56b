"""A request in process: `GET` and `POST /contacts` here against FastAPI + Mangum doing the same, DynamoDB stubbed.

Both get the same event of API Gateway, check the same token, validate the same body, and send DynamoDB the same
requests; botocore hands each over before it would be sent.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from bench import peer
from tests.service import aws
from tests.service.cloud import rest_event, token

ROUNDS, CALLS = 15, 40
GOAL = 0.5
PAGE = 20
BODY = {
    "firstName": "John",
    "lastName": "Doe",
    "phone": "+998901234567",
    "dateOfBirth": "1990-01-15",
    "customData": {"totalDebt": 5000, "remainingDebt": 3000, "lastPaymentAmount": 2000},
    "notes": "Cooperative customer",
}
Handler = Callable[[dict[str, Any]], dict[str, Any]]


def canned(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
    """DynamoDB's answer to any request of the two."""
    answer: dict[str, Any] = {}
    if model.name == "Query":
        counters = "Counters" in json.loads(params["body"])["TableName"]
        counter = {"ACTIVE": {"N": "1000"}, "organizationId": {"S": "1"}, "shard": {"N": "0"}}
        items = [counter] if counters else [peer.stored(n) for n in range(PAGE)]
        answer = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    return SimpleNamespace(status_code=200), answer | {"ResponseMetadata": {}}


def ours() -> Handler:
    """The project's own application."""
    import app
    from chalicelib import store

    store.connection().client.meta.events.register("before-call", canned, unique_id="bench")
    return lambda event: app.app(event, None)


def events() -> dict[str, dict[str, Any]]:
    """The requests, as API Gateway passes them on."""
    headers = {
        "authorization": f"Bearer {token('1')}",
        "content-type": "application/json",
        "host": "api.example",
        "user-agent": "bench",
    }
    return {
        "GET": rest_event("GET", f"/auto-calling/contacts?limit={PAGE}", None, headers),
        "POST": rest_event("POST", "/auto-calling/contacts", json.dumps(BODY).encode(), headers),
    }


def milliseconds(handler: Handler, event: dict[str, Any]) -> float:
    """Processor time of one request, the mean of CALLS."""
    began = time.process_time()
    for _ in range(CALLS):
        handler(event)
    return (time.process_time() - began) / CALLS * 1000


def main() -> bool:
    """Print both; whether ours takes at most half the time."""
    from moto import mock_aws

    with mock_aws():
        environ = dict(os.environ) | {"AWS_DEFAULT_REGION": "eu-central-1", "POWERTOOLS_LOG_LEVEL": "CRITICAL"}
        environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        os.environ.update(environ)
        aws.setup(os.environ)
        return _compare()


def _compare() -> bool:
    handlers: dict[str, Handler] = {"ours": ours(), "FastAPI": peer.handler(aws.JWT_SECRET, canned)}
    good = True
    print("a request in process, milliseconds of processor time")
    for method, event in events().items():
        for name, handler in handlers.items():
            answer = handler(event)
            body = json.loads(answer["body"])
            if answer["statusCode"] not in (200, 201) or len(body.get("data", [0] * PAGE)) != PAGE:
                raise RuntimeError(f"{name} answered {answer}")
        rounds = [[milliseconds(handler, event) for handler in handlers.values()] for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(each) for each in zip(*rounds, strict=True))
        ratio = mine / theirs
        print(f"  {method:4} /contacts: {mine:.2f}, FastAPI + Mangum {theirs:.2f}; ratio {ratio:.2f} (goal ≤ {GOAL})")
        good = good and ratio <= GOAL
    return good
