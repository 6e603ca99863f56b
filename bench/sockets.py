"""Do live updates keep up? The broadcaster against posting one after the other, API Gateway stubbed with 5 ms each."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct

from bench.cost import DOLLARS
from chalicelib import clock, ids
from chalicelib.aws import dynamodb, sqs
from chalicelib.realtime import broadcaster, poster
from chalicelib.realtime import store as sockets
from chalicelib.realtime.messages import Tell
from chalicelib.realtime.model import Socket, Told
from chalicelib.settings import settings
from tests.simulation.dynamodb import DynamoDB, Refused
from tests.simulation.environment import variables

LATENCY = 0.005
LOADS = ((100, 10), (2, 500))
"""Events a second, sockets."""

SECONDS = 5
GOAL = 1 / 5
POST_DOLLARS = 1.00
"""A million messages to one socket, https://aws.amazon.com/api-gateway/pricing/ (us-east-1)"""


class Measured(Struct):
    """One load: how long the events of each second took, and what it took to post them one by one."""

    lags: list[float]
    cpu: float
    one_by_one: float
    posts: int
    writes: float
    bytes: float


@contextmanager
def management_api() -> Iterator[str]:
    """An endpoint that answers every post after 5 ms, in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/api"
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(LATENCY)
        return web.Response()

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def database() -> Iterator[DynamoDB]:
    """The stores' DynamoDB, in memory."""
    kept = DynamoDB()

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        try:
            found = kept(model.name, json.loads(params["body"]))
        except Refused as refused:
            return SimpleNamespace(status_code=400), refused.answer | {"ResponseMetadata": {}}
        return SimpleNamespace(status_code=200), found | {"ResponseMetadata": {}}

    events = dynamodb.connection().client.meta.events
    events.register("before-call", answer, unique_id="bench")
    try:
        yield kept
    finally:
        events.unregister("before-call", unique_id="bench")


def measure(rate: int, audience: int) -> Measured:
    """Tell the events of some seconds, a second's worth at a time."""
    with database() as kept:
        for n in range(audience):
            at = clock.stamp(clock.now())
            sockets.add(Socket(organization_id="1", connection_id=f"socket-{n}=", connected_at=at))
        cpu, before = time.process_time(), _writes(kept)
        lags = [_timed(lambda: _tell(rate)) for _ in range(SECONDS)]
        cpu = time.process_time() - cpu
        writes = (_writes(kept) - before) / (SECONDS * rate)
    frame = json.dumps(_event())
    posts = rate * audience
    one_by_one = _timed(lambda: _post_one_by_one(posts // 5, frame)) * 5
    return Measured(lags, cpu, one_by_one, posts, writes, len(frame))


def _tell(rate: int) -> None:
    told = [
        Told(record=ids.new_id(), name="campaign-update", data=msgspec.Raw(msgspec.json.encode(_event())))
        for _ in range(rate)
    ]
    body = sqs.encode(Tell(organization_id="1", events=told))
    if broadcaster.handle([{"messageId": "1", "body": body}]):
        raise RuntimeError("the broadcaster failed")


def _post_one_by_one(posts: int, frame: str) -> None:
    for n in range(posts):
        poster.post(f"socket-{n}=", frame)


def _event() -> dict[str, Any]:
    contact: dict[str, Any] = {
        "id": ids.new_id(),
        "firstName": "Gulnora",
        "lastName": "Karimova",
        "phone": "+998901234567",
    }
    contact |= {
        "customData": {"totalDebt": 5420.5, "remainingDebt": 5170.5},
        "notes": "Cooperative",
        "status": "ACTIVE",
    }
    return {
        "campaignId": ids.new_id(),
        "contactId": contact["id"],
        "status": "SUCCESS",
        "contact": contact,
        "outcome": "Promised to pay on Friday",
        "summary": "They talked about the debt. " * 8,
    }


def _writes(kept: DynamoDB) -> int:
    return sum(units for (*_, kind), units in kept.units.items() if kind == "write")


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def main() -> bool:
    """Print how the broadcaster does; whether it keeps up and is as much faster as it should be."""
    os.environ.update(variables())
    good = True
    with management_api() as endpoint:
        os.environ["SOCKET_ENDPOINT"] = endpoint
        settings.cache_clear()
        print(f"live updates: API Gateway answers after {LATENCY * 1000:.0f} ms, {SECONDS} s of events")
        for rate, audience in LOADS:
            each = measure(rate, audience)
            busy = sum(each.lags) / SECONDS
            ratio = busy / each.one_by_one
            print(
                f"  {rate} events/s to {audience} sockets: {busy:.2f} s a second (longest {max(each.lags):.2f}), "
                f"{ratio:.2f} of posting one by one (goal ≤ {GOAL:.2f}), "
                f"{SECONDS * each.posts / each.cpu:.0f} posts per second and core"
            )
            dollars = 1e6 * (each.writes * DOLLARS["DynamoDB writes"] + 0.3 * DOLLARS["SQS requests"])
            print(
                f"    {each.bytes:.0f} bytes and {each.writes:.2f} write units an event; a million events: "
                f"${dollars:.2f} for log and queue, and ${audience * POST_DOLLARS:.0f} for API Gateway's messages"
            )
            good = good and busy < 1 and ratio <= GOAL
    settings.cache_clear()
    return good
