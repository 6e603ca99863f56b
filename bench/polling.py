"""What an hour of one Socket.IO client costs: one that polls for good, and one that has a WebSocket.

The real handlers run in virtual time over an in-memory DynamoDB that counts units from item sizes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from bench.cost import DOLLARS, HANDLER_SECONDS
from bench.sockets import POST_DOLLARS, database
from chalicelib import clock, ids
from chalicelib.realtime import polling, sessions, socketio, sockets, store
from chalicelib.realtime.model import Format, Plan, Session, Socket, Told
from chalicelib.settings import settings
from tests.simulation.dynamodb import DynamoDB
from tests.simulation.environment import variables

HOUR = timedelta(hours=1)
BUSY = timedelta(seconds=10)
"""Between two events of an organization that calls."""

PRICES = {
    **DOLLARS,
    "REST requests": 3.50e-6,
    "WebSocket messages": POST_DOLLARS * 1e-6,
    "connection minutes": 0.25e-6,
}
"""API Gateway: https://aws.amazon.com/api-gateway/pricing/ (us-east-1, read in November 2026)"""

POLLER_GB, SOCKET_GB = 0.25, 0.5
DOLLARS_GOAL = 0.05


class Client(Struct):
    """A client in virtual time, and what it has used."""

    database: DynamoDB
    at: Any
    events_every: timedelta | None
    used: dict[str, float]
    next_event: Any = None

    def pause(self, seconds: float) -> None:
        """Time goes by, and something happens now and then. What that costs is not the client's."""
        self.at += timedelta(seconds=seconds)
        if self.events_every and self.at >= (self.next_event or self.at):
            self.next_event = self.at + self.events_every
            before = _units(self.database)
            told = Told(record=ids.new_id(), name="contact-update", data=msgspec.Raw(b'{"id":"%s"}' % (b"x" * 500)))
            store.log(store.feed("1"), Plan([told], [], None, 0), now=self.at)
            for name, units in _units(self.database).items():
                self.used[name] -= units - before[name]

    def do(self, handler: Callable[[], object], memory: float) -> None:
        """A function runs; it costs its time, at least as long as handlers take, and what it asks of the database."""
        before, began = _units(self.database), self.at
        handler()
        for name, units in _units(self.database).items():
            self.used[name] += units - before[name]
        seconds = (self.at - began).total_seconds() + HANDLER_SECONDS
        self.used["Lambda requests"] += 1
        self.used["Lambda GB seconds"] += seconds * memory

    @property
    def dollars(self) -> float:
        """What all of it costs."""
        return sum(PRICES[name] * amount for name, amount in self.used.items())


def _units(database: DynamoDB) -> dict[str, float]:
    sums = {"DynamoDB writes": 0.0, "DynamoDB reads": 0.0}
    for (*_, kind), units in database.units.items():
        sums[f"DynamoDB {kind}s"] += units / 2 if kind == "read" else units
    return sums


def _client(kept: DynamoDB, events_every: timedelta | None) -> Client:
    return Client(kept, clock.now(), events_every, dict.fromkeys(PRICES, 0.0))


def polled(events_every: timedelta | None = None, *, held_polls: int = 50) -> Client:
    """A client that polls for an hour; without slots none of its polls is held for longer than at least."""
    with database() as kept:
        client = _client(kept, events_every)
        store.follow("1", now=client.at)
        began_at = clock.stamp(client.at)
        sessions.add(Session(id="sid", began_at=began_at, joined="1", since=0))
        if not held_polls:
            sessions.take_slot(0, client.at, HOUR.total_seconds())
        os.environ["HELD_POLLS"] = str(held_polls)
        settings.cache_clear()
        end = client.at + HOUR
        while client.at < end:
            packets = _ask(client, "GET")
            if socketio.PING in packets:
                _ask(client, "POST", socketio.PONG)
            client.pause(0.1)
    return client


def _ask(client: Client, method: str, body: str = "") -> list[str]:
    answers: list[dict[str, Any]] = []
    event = {
        "httpMethod": method,
        "queryStringParameters": {"EIO": "4", "transport": "polling", "sid": "sid"},
        "body": body,
        "requestContext": {"requestTimeEpoch": int(client.at.timestamp() * 1000)},
    }
    client.used["REST requests"] += 1
    client.do(
        lambda: answers.append(polling.handle(event, now=lambda: client.at, pause=client.pause)), memory=POLLER_GB
    )
    [answer] = answers
    if answer["statusCode"] != 200:
        raise RuntimeError(f"a poll was refused: {answer}")
    packets: list[str] = answer["body"].split(socketio.SEPARATOR)
    return packets


def connected(events_every: timedelta | None = None) -> Client:
    """A client with a WebSocket for an hour: it answers a ping every third minute, and takes each event."""
    with database() as kept:
        client = _client(kept, None)
        at = clock.stamp(client.at)
        row = Socket(
            organization_id="1", connection_id="ws=", connected_at=at, format=Format.SOCKET_IO_RECOVERING, heard_at=at
        )
        store.add(row)
        pong = {"requestContext": {"connectionId": "ws="}, "body": socketio.PONG}
        for _ in range(60 // store.PHASES):
            client.pause(60 * store.PHASES)
            client.do(lambda: sockets.message(pong, now=lambda: client.at), SOCKET_GB)
            client.used["WebSocket messages"] += 2
        client.used["connection minutes"] += 60
        client.used["WebSocket messages"] += HOUR / events_every if events_every else 0
    return client


def main() -> bool:
    """Print what an hour costs; whether polling for an hour stays within its bound."""
    os.environ.update(variables())
    settings.cache_clear()
    hours = {
        "polls, nothing happens": polled(),
        f"polls, an event every {BUSY.seconds} s": polled(BUSY),
        "polls, no slot is free": polled(held_polls=0),
        "has a WebSocket, nothing happens": connected(),
        f"has a WebSocket, an event every {BUSY.seconds} s": connected(BUSY),
    }
    settings.cache_clear()
    print("an hour of a Socket.IO client: US cents, and what for")
    for name, each in hours.items():
        parts = ", ".join(f"{amount:.0f} {part}" for part, amount in each.used.items() if amount >= 0.5)
        print(f"  {name}: {100 * each.dollars:.3f} ({parts})")
    return max(each.dollars for each in hours.values()) < DOLLARS_GOAL
