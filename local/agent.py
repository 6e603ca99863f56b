"""A voice agent that calls nobody, at an address of its own: the provider `http` and, below it, the vendors' APIs.

What `make run` calls. The phone's last digit decides how a conversation ends, as with the provider `simulated`; what
goes wrong on the way is ordered by a request, one for each provider:

    PUT  /control/<provider>     a `Behavior`, from now on; members that are absent are as at the beginning
    GET  /control                all of them
    GET  /calls?organizationId=  the calls that were taken, oldest first; also by provider
    POST /calls/<attempt>/end    a report as of `http`: so the call ends; what our webhook answers comes back

Providers are at /http, /retell, /vapi and /elevenlabs. Every request carries the key: where the provider wants it, and
as a bearer token for these. Calls are kept in a file, so that those under way go on when all of this starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from msgspec import Struct

from chalicelib.agents import simulated
from local.vendors import DIALECTS, Call, Dialect, Http, Json, account

TRIES = 10
"""How often a webhook is sent that is not taken."""

LONGEST_PAUSE_SECONDS = 30.0
WEBHOOK_SECONDS = 30.0
PROMISED_DAYS = 3
"""When somebody who promises to pay says that he will."""

KEPT = 10_000
"""Calls that are over and still known after a restart."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, provider TEXT, id TEXT, attempt TEXT, organization TEXT, reported INTEGER, call TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS by_id ON calls (provider, id);
CREATE INDEX IF NOT EXISTS by_attempt ON calls (attempt);
CREATE INDEX IF NOT EXISTS by_reported ON calls (reported);
"""

FORGET = f"DELETE FROM calls WHERE reported AND number <= (SELECT MAX(number) - {KEPT} FROM calls)"  # noqa: S608 (a number of ours)


class Behavior(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a provider treats the orders to come. Shares are from 0 to 1, and 1 is all of them."""

    seconds: tuple[float, float] = (1.0, 1.0)
    """How long conversations last, from and to."""

    held: bool = False
    """Conversations last until a request ends them."""

    refused: dict[int, float] = {}
    """HTTP statuses with the share of orders that is answered so and begins no call: `{"503": 1}` is an outage."""

    retry_after: int = 1
    """The `Retry-After` of such answers, in seconds; 0 is none."""

    lines: int | None = None
    """Calls at a time; an order beyond is answered 429."""

    unanswered: float = 0.0
    """Share of orders that begin a call and whose connection ends without an answer."""

    waits: bool = False
    """`http` only: the answer is the result."""

    voicemail: float = 0.0
    """Share of the phones nobody answers where a machine does."""

    early: float = 0.0
    """Share of calls that are over and reported before the order is answered."""

    lost: float = 0.0
    """Share of calls whose webhooks never come."""

    doubled: float = 0.0
    """Share of calls whose webhooks come twice."""


class Simulator:
    """The providers, with what they are told to do and the calls they took.

    `key` is that of all accounts and `secret` signs all webhooks; `webhooks` is where providers send results whose
    orders do not say it.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        seconds: float = 1.0,
        webhooks: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> None:
        self.key = key
        self.secret = secret
        self.usual = Behavior(seconds=(seconds, seconds))
        self.behavior = dict.fromkeys(DIALECTS, self.usual)
        self._webhooks = webhooks or {}
        self._file = file
        self._tasks: set[asyncio.Task[None]] = set()

    def account(self, provider: str, url: str) -> str:
        """The account's SSM parameter of a provider that is served below an address."""
        return account(provider, f"{url}/{provider}", self.key, self.secret)

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.cleanup_ctx.append(self._open)
        app.router.add_get("/control", self._behaviors)
        app.router.add_put("/control/{provider}", self._behave)
        app.router.add_get("/calls", self._list)
        app.router.add_post("/calls/{attempt}/end", self._end_now)
        for provider, dialect in DIALECTS.items():
            line = Line(self, provider, dialect)
            app.router.add_post(f"/{provider}{dialect.place}", line.order)
            app.router.add_get(f"/{provider}{dialect.one}", line.state)
            if dialect.many:
                method, path = dialect.many
                app.router.add_route(method, f"/{provider}{path}", line.query)
        return app

    async def _open(self, _: web.Application) -> AsyncIterator[None]:
        """Go on with the calls under way, until the application ends."""
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        timeout = ClientTimeout(total=WEBHOOK_SECONDS)
        with contextlib.closing(sqlite3.connect(self._file or ":memory:", isolation_level=None)) as self._rows:
            self._rows.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {SCHEMA}")
            async with ClientSession(timeout=timeout) as self._session:
                self._rows.execute(FORGET)
                for call in self.calls(reported=False):
                    self.talk(call)
                yield
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def calls(self, **wanted: str | bool | None) -> list[Call]:
        """The calls with such columns, oldest first; None is any value."""
        asked = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(["1", *(f"{name} = :{name}" for name in asked)])
        found = self._rows.execute(f"SELECT call FROM calls WHERE {where} ORDER BY number", asked)  # noqa: S608 (names of ours)
        return [msgspec.json.decode(text, type=Call) for (text,) in found]

    def keep(self, call: Call, organization: str) -> None:
        """Take a call."""
        self._rows.execute(
            "INSERT INTO calls (provider, id, attempt, organization, reported, call) VALUES (?, ?, ?, ?, 0, ?)",
            (call.provider, call.id, call.attempt, organization, msgspec.json.encode(call).decode()),
        )

    def talk(self, call: Call) -> None:
        """Let a call run its course."""
        task = asyncio.create_task(self._talk(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, call: Call) -> None:
        if not call.told:
            if call.held:
                return
            if msgspec.structs.replace(call, told=self._conversation(call)).connected:
                for event in DIALECTS[call.provider].events(call):
                    await self._send(call, event, tries=1)
            await asyncio.sleep(call.ends - time.time())
        if self.calls(provider=call.provider, id=call.id, reported=False):
            await self.end(call)

    async def end(self, call: Call, told: Json | None = None, *, tries: int = TRIES) -> list[int]:
        """End a call, by its phone's last digit unless told how, and report it; the statuses of the answers."""
        call = self.ended(call, told)
        events = DIALECTS[call.provider].events(call)
        answers = [await self._send(call, event, tries=tries) for _ in range(call.webhooks) for event in events]
        self._rows.execute("UPDATE calls SET reported = 1 WHERE provider = ? AND id = ?", (call.provider, call.id))
        return answers

    def ended(self, call: Call, told: Json | None = None) -> Call:
        """A call that has ended, by its phone's last digit unless told how."""
        told = told or call.told or self._conversation(call)
        status = told.get("status") or ("SUCCESS" if told.get("success") else "FAILED")
        call = msgspec.structs.replace(call, told={**told, "status": status}, ends=min(call.ends, time.time()))
        text = msgspec.json.encode(call).decode()
        self._rows.execute("UPDATE calls SET call = ? WHERE provider = ? AND id = ?", (text, call.provider, call.id))
        return call

    def _conversation(self, call: Call) -> Json:
        _, phone, person = DIALECTS[call.provider].ordered(call.order)
        result = simulated.conversation(phone, str(person.get("firstName", "")), call.ends - call.began)
        is_voicemail = result.call_status == "NO_ANSWER" and call.meets_machine
        return {
            "status": result.call_status,
            "outcome": result.outcome,
            "summary": result.summary,
            "duration": result.duration,
            **(_promise() if result.call_status == "PROMISE_TO_PAY" else {}),
            **({"voicemail": True} if is_voicemail else {}),
        }

    async def _send(self, call: Call, event: Json, *, tries: int) -> int:
        """Send a webhook until it is taken or refused; the status of the last answer, 0 where there was none."""
        dialect, status = DIALECTS[call.provider], 0
        url = dialect.webhook(call.order) or self._webhooks.get(call.provider, "")
        body = json.dumps(event).encode()
        for number in range(tries):
            headers = {"Content-Type": "application/json", **dialect.signed(body, time.time(), self.secret)}
            with contextlib.suppress(ClientError, OSError, asyncio.TimeoutError):
                async with self._session.post(url, data=body, headers=headers) as answer:
                    status = answer.status
                    if status < 500 and status not in (408, 429):
                        return status
            if number + 1 < tries:
                await asyncio.sleep(min(2.0**number, LONGEST_PAUSE_SECONDS))
        return status

    async def _behaviors(self, request: web.Request) -> web.Response:
        self._check(request)
        return _json(200, self.behavior)

    async def _behave(self, request: web.Request) -> web.Response:
        self._check(request)
        provider = request.match_info["provider"]
        if provider not in DIALECTS:
            raise web.HTTPNotFound(text=f"one of {', '.join(DIALECTS)}")
        usual = msgspec.to_builtins(self.usual)
        try:
            given = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
            self.behavior[provider] = msgspec.convert(usual | given, Behavior, strict=False)
        except msgspec.DecodeError as why:
            raise web.HTTPBadRequest(text=str(why)) from None
        return _json(200, self.behavior[provider])

    async def _list(self, request: web.Request) -> web.Response:
        self._check(request)
        wanted = {"organization": request.query.get("organizationId"), "provider": request.query.get("provider")}
        return _json(200, self.calls(**wanted))

    async def _end_now(self, request: web.Request) -> web.Response:
        self._check(request)
        found = self.calls(attempt=request.match_info["attempt"])
        if not found:
            raise web.HTTPNotFound(text="there is no such call")
        return _json(200, {"answers": await self.end(found[-1], await request.json(), tries=1)})

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            raise web.HTTPUnauthorized(text="the key is missing or wrong")


class Line:
    """One provider's API."""

    def __init__(self, simulator: Simulator, provider: str, dialect: Dialect) -> None:
        self.simulator = simulator
        self.provider = provider
        self.dialect = dialect

    async def order(self, request: web.Request) -> web.StreamResponse:
        """Take an order, or not, as the provider is to behave."""
        self._check(request)
        order = await request.json()
        try:
            attempt, _, person = self.dialect.ordered(order)
        except (KeyError, TypeError) as missing:
            return _json(400, {"message": f"{missing} is missing"})
        known = self.simulator.calls(provider=self.provider, attempt=attempt)
        if known and self.dialect.repeats:
            return _json(*self.dialect.accepted(known[0]))
        behavior = self.simulator.behavior[self.provider]
        if refused := self._refusal(behavior, attempt):
            headers = {"Retry-After": str(behavior.retry_after)} if behavior.retry_after else None
            return _json(refused, {"message": "simulated"}, headers)
        call = self._begin(order, attempt, behavior)
        self.simulator.keep(call, str(person.get("organizationId", "")))
        return await self._answer(request, call, behavior)

    async def _answer(self, request: web.Request, call: Call, behavior: Behavior) -> web.StreamResponse:
        if behavior.waits and isinstance(self.dialect, Http):
            await asyncio.sleep(call.ends - call.began)
            await self.simulator.end(call)
            return _json(200, self.dialect.report(self.simulator.ended(call)))
        if chance(call.attempt, "early", behavior.early):
            await self.simulator.end(call)
        else:
            self.simulator.talk(call)
        if chance(call.attempt, "unanswered", behavior.unanswered) and request.transport:
            request.transport.abort()
        return _json(*self.dialect.accepted(call))

    def _refusal(self, behavior: Behavior, attempt: str) -> int | None:
        if behavior.lines is not None and len(self._under_way()) >= behavior.lines:
            return 429
        drawn = drawn_for(attempt, "refused").random()
        for status, share in behavior.refused.items():
            drawn -= share
            if drawn < 0:
                return status
        return None

    def _under_way(self) -> list[Call]:
        return [call for call in self.simulator.calls(provider=self.provider, reported=False) if not call.told]

    def _begin(self, order: Json, attempt: str, behavior: Behavior) -> Call:
        now = time.time()
        seconds = drawn_for(attempt, "seconds").uniform(*behavior.seconds)
        lost = chance(attempt, "lost", behavior.lost) or (behavior.waits and isinstance(self.dialect, Http))
        return Call(
            provider=self.provider,
            attempt=attempt,
            id=attempt if isinstance(self.dialect, Http) else str(uuid.uuid4()),
            order=order,
            began=now,
            ends=now + seconds,
            held=behavior.held,
            meets_machine=chance(attempt, "voicemail", behavior.voicemail),
            webhooks=0 if lost else 2 if chance(attempt, "doubled", behavior.doubled) else 1,
        )

    async def state(self, request: web.Request) -> web.Response:
        """A call as it is now."""
        self._check(request)
        found = self.simulator.calls(provider=self.provider, id=request.match_info["id"])
        return _json(*self.dialect.state(found[0])) if found else _json(404, {"message": "there is no such call"})

    async def query(self, request: web.Request) -> web.Response:
        """An attempt's calls."""
        self._check(request)
        body = await request.json() if request.can_read_body else {}
        attempt = self.dialect.attempt(request.query, body)
        found = self.simulator.calls(provider=self.provider, attempt=attempt)
        return _json(200, self.dialect.page(found[::-1], request.query))

    def _check(self, request: web.Request) -> None:
        if not self.dialect.is_authorized(request.headers, self.simulator.key):
            raise web.HTTPUnauthorized(text="the key is missing or wrong")


def _promise() -> Json:
    day = datetime.now(UTC).date() + timedelta(days=PROMISED_DAYS)
    return {"promisedDate": day.isoformat(), "promisedAmount": "500000 UZS"}


def chance(attempt: str, what: str, share: float) -> bool:
    """Whether something befalls a call: of the same attempt it is the same each time."""
    return drawn_for(attempt, what).random() < share


def drawn_for(attempt: str, what: str) -> random.Random:
    """What is drawn for an attempt, the same each time."""
    return random.Random(f"{attempt} {what}")  # noqa: S311 (a die, and no key)


def _json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json", headers=headers
    )


@contextlib.contextmanager
def serving(simulator: Simulator, port: int = 0) -> Iterator[str]:
    """Serve at an address of this machine's, in a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(simulator.app(), access_log=None, shutdown_timeout=1)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(start(), loop).result()}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
