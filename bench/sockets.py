"""Do live updates keep up? The broadcaster against posting one after the other, API Gateway stubbed with 5 ms each.

And where they cannot: 300 sockets follow 100 calls through a gateway that takes 300 posts a second, as a laptop's does.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct

from bench.cost import DOLLARS
from chalicelib import clock, ids
from chalicelib.aws import dynamodb, sqs
from chalicelib.realtime import broadcaster, messages, poster
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
AUDIENCE, CALLS, CALLS_A_SECOND = 300, 100, 5
LATE = 12.0
"""Seconds after which at the latest everybody knows."""

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


class Lag(Struct):
    """How late sockets learned of what happened: of each event, or by a `resync` after it. Seconds."""

    first_half: float
    second_half: float
    last: float
    resyncs: int
    events: int


@contextmanager
def management_api(*, at_once: int = 1000) -> Iterator[str]:
    """An endpoint that answers every post after 5 ms, so many at once, in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(there, at_once), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/api"
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection, at_once: int) -> None:
    from aiohttp import web

    turns = asyncio.Semaphore(at_once)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        async with turns:
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


class _Watched:
    """The poster, with a watch on what some sockets learn and when."""

    def __init__(self, watched: Sequence[str]) -> None:
        self.waiting: dict[str, dict[int, float]] = {connection_id: {} for connection_id in watched}
        self.lags: list[tuple[float, float]] = []
        self.resyncs = 0

    def happened(self, number: int, at: float) -> None:
        for waiting in self.waiting.values():
            waiting[number] = at

    def post(self, connection_id: str, text: str, *, seconds: float = poster.QUICK) -> None:
        poster.post(connection_id, text, seconds=seconds)
        if (waiting := self.waiting.get(connection_id)) is None:
            return
        frame, now = json.loads(text), time.time()
        if frame["event"] == "resync":
            self.resyncs += 1
            learned = list(waiting)
        else:
            learned = [number for number in (frame["data"]["number"],) if number in waiting]
        self.lags += [(at := waiting.pop(number), now - at) for number in learned]

    def close(self, connection_id: str) -> None:
        poster.close(connection_id)


def lagging() -> Lag:
    """Tell 300 sockets of 100 calls, five of which begin and end each second, while the gateway takes far less."""
    names = [f"socket-{n}=" for n in range(AUDIENCE)]
    line, delayed = _Watched(names[:: AUDIENCE // 3]), list[tuple[float, Any]]()
    with database(), _orders_into(delayed):
        at = clock.stamp(clock.now())
        for name in names:
            sockets.add(Socket(organization_id="1", connection_id=name, connected_at=at))
        begin, told = time.time(), 0
        while told < 2 * CALLS or any(line.waiting.values()):
            now = time.time()
            due = [order for when, order in delayed if when <= now]
            delayed[:] = [each for each in delayed if each[0] > now]
            batch = [sqs.encode(order) for order in due]
            while told < min(2 * CALLS, int((now - begin) * 2 * CALLS_A_SECOND)) and len(batch) < 10:
                happened = begin + told / (2 * CALLS_A_SECOND)
                line.happened(told, happened)
                batch.append(_told_at(told, happened))
                told += 1
            if batch:
                broadcaster.handle([{"messageId": "1", "body": body} for body in batch], line=line)
            else:
                time.sleep(0.01)
    half = begin + CALLS / CALLS_A_SECOND / 2
    return Lag(
        max(lag for at, lag in line.lags if at < half),
        max(lag for at, lag in line.lags if at >= half),
        max(line.lags)[1],
        line.resyncs // len(line.waiting),
        told,
    )


def _told_at(number: int, at: float) -> str:
    data = msgspec.Raw(msgspec.json.encode(_event() | {"number": number}))
    event = Told(record=ids.new_id(), name="campaign-update", data=data)
    return sqs.encode(Tell(organization_id="1", events=[event], at=clock.stamp(datetime.fromtimestamp(at, UTC))))


@contextmanager
def _orders_into(delayed: list[tuple[float, Any]]) -> Iterator[None]:
    """Orders that the broadcaster gives wait here for their time, and not in a queue."""
    work, broadcast = messages.work, messages.broadcast
    messages.work = lambda job, *, delay_seconds: delayed.append((time.time() + delay_seconds, job))
    messages.broadcast = lambda message: delayed.append((time.time(), message))
    try:
        yield
    finally:
        messages.work, messages.broadcast = work, broadcast


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
    with management_api(at_once=2) as endpoint:
        os.environ["SOCKET_ENDPOINT"] = endpoint
        settings.cache_clear()
        lag = lagging()
        print(
            f"  {CALLS} calls, {2 * CALLS_A_SECOND} events/s to {AUDIENCE} sockets through a slow gateway: "
            f"known after at most {lag.first_half:.1f} s in the first half, {lag.second_half:.1f} s in the second, "
            f"{lag.last:.1f} s at the end (goal < {LATE:.0f}), {lag.resyncs} times resync"
        )
        good = good and max(lag.first_half, lag.second_half) < LATE
    settings.cache_clear()
    return good
