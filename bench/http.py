"""Requests in process, from the Lambda event to the answer, beside FastAPI + Mangum doing the same."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench import wire
from tests.service.aws import JWT_SECRET
from tests.service.cloud import rest_event, token
from tests.simulation.environment import variables

GOAL = 0.5
"""Of the peer's time, at most."""

LIMIT = 20
CONTACTS = 20_000
ROUNDS, REQUESTS = 15, 40
"""The best of so many rounds of so many requests; rounds of both alternate."""

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def main() -> bool:
    """Print both times of each request; whether the goal is met by all."""
    with both() as (app, theirs):
        return _compare(app, theirs)


@contextmanager
def both() -> Iterator[tuple[Handler, Handler]]:
    """The project and its peer, over AWS as it is here."""
    os.environ.update({**variables(), "JWT_SECRET_PARAMETER": "/bench/jwt-secret"})
    with wire.answered(aws()):
        from app import app
        from bench import peer

        yield app, peer.handler


def check() -> None:
    """Raises RuntimeError unless both answer the requests that are measured alike."""
    with both() as (app, theirs):
        for name, event in requests().items():
            same(name, app(event, None), theirs(event, None))


def _compare(app: Handler, theirs: Handler) -> bool:
    print(f"http: milliseconds of processor a request takes in process, the best of {ROUNDS} rounds of {REQUESTS}")
    met = True
    for name, event in requests().items():
        same(name, app(event, None), theirs(event, None))
        mine, peers = (1000 * seconds for seconds in fastest(event, app, theirs))
        print(f"  {name:27} {mine:.2f}, FastAPI + Mangum {peers:.2f}; ratio {mine / peers:.2f} (goal ≤ {GOAL})")
        met = met and mine <= GOAL * peers
    return met


def requests() -> dict[str, dict[str, Any]]:
    """The requests that are measured."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {token()}", "host": "api.test"}
    body = {
        "firstName": "Gulnora",
        "lastName": "Karimova",
        "phone": "+998 90 123-45-67",
        "dateOfBirth": "1985-03-15",
        "customData": {"totalDebt": 5420.5, "branch": "Chilonzor", "paid": False},
        "notes": "Prefers mornings",
    }
    path = "/auto-calling/contacts"
    return {
        f"GET contacts, a page of {LIMIT}": rest_event("GET", f"{path}?limit={LIMIT}", None, headers),
        "POST contacts": rest_event("POST", path, json.dumps(body).encode(), headers),
    }


def fastest(event: dict[str, Any], *handlers: Handler) -> list[float]:
    """Processor seconds a request takes each handler at its best."""
    best = [float("inf")] * len(handlers)
    for _ in range(ROUNDS):
        for n, handler in enumerate(handlers):
            began = time.process_time()
            for _ in range(REQUESTS):
                handler(event, None)
            best[n] = min(best[n], (time.process_time() - began) / REQUESTS)
    return best


def same(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raises RuntimeError unless both answered the same, apart from what is fresh or each one's own."""
    if ours["statusCode"] != theirs["statusCode"] or _lasting(ours) != _lasting(theirs):
        raise RuntimeError(f"{name}: {ours} is not {theirs}")


def _lasting(answer: dict[str, Any]) -> Any:
    body = json.loads(answer["body"])
    fresh = {"id", "createdAt", "updatedAt"}
    if "meta" not in body:
        return {field: value for field, value in body.items() if field not in fresh}
    return body["data"], {field: value for field, value in body["meta"].items() if field != "nextCursor"}


def aws() -> wire.Answer:
    """A deployment with an organization of 20,000 contacts. Its answers are written once: they cost nobody time."""
    secret = _json({"Parameter": {"Name": "jwt", "Value": JWT_SECRET, "Type": "SecureString"}})
    contacts = _found([_contact(n) for n in range(LIMIT + 1)])
    tables = os.environ["PHONE_NUMBERS_TABLE"], os.environ["SETTINGS_TABLE"]
    no_rows = _json({"Responses": {name: [] for name in tables}, "UnprocessedKeys": {}})
    shards = _found([_shard(n) for n in range(16)])

    def answer(operation: str, request: bytes) -> bytes:
        match operation:
            case "GetParameter":
                return secret
            case "BatchGetItem":
                return no_rows
            case "PutItem" | "TransactWriteItems":
                return b"{}"
            case "Query":
                return shards if os.environ["COUNTERS_TABLE"].encode() in request else contacts
        raise NotImplementedError(operation)

    return answer


def _found(items: list[dict[str, Any]]) -> bytes:
    return _json({"Items": items, "Count": len(items), "ScannedCount": len(items)})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _shard(n: int) -> dict[str, Any]:
    return {
        "organizationId": {"S": "1"},
        "shard": {"N": str(n)},
        "contacts_active": {"N": str(CONTACTS // 16)},
        "campaigns_completed": {"N": "3"},
    }


def _contact(n: int) -> dict[str, Any]:
    strings = {
        "organizationId": "1",
        "contactId": f"01934d8c-7b5a-7c3d-8e4f-{n:012x}",
        "statusKey": "1#ACTIVE",
        "firstName": "Gulnora",
        "lastName": "Karimova",
        "phone": f"+99890{1000000 + n}",
        "dateOfBirth": "1985-03-15",
        "customData": '{"totalDebt":5420.5,"branch":"Chilonzor","paid":false}',
        "notes": "Prefers mornings",
        "status": "ACTIVE",
        "lastConversationOutcome": "Promised to pay",
        "lastCalledAt": "2026-11-23T06:15:00.000Z",
        "createdAt": "2026-11-20T06:15:00.000Z",
        "updatedAt": "2026-11-23T06:15:00.000Z",
    }
    return {name: {"S": text} for name, text in strings.items()} | {"isCalled": {"BOOL": True}}
