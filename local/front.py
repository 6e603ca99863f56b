"""One origin in front of the local stack: REST, sockets, presigned uploads, the page that shows the API and one that
says what is where.

In the cloud CloudFront does this.
"""

import asyncio
import functools
import html
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    TCPConnector,
    WSMsgType,
    WSServerHandshakeError,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from infra import site

STAGE = "api"
CONNECT_SECONDS = 5
HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
"""Headers that belong to one connection, RFC 9110 §7.6.1."""

HANDSHAKE = HOP_BY_HOP | {"host", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}

PAGE = """<!doctype html>
<meta charset="utf-8"><title>Auto-calling</title>
<style>body{{font:16px/1.5 sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}</style>
<h1>Auto-calling</h1>
<p>{origin} serves:</p>
<ul>
<li>REST at <code>/auto-calling/…</code>, shown at <a href="/docs"><code>/docs</code></a> and described by
<a href="/auto-calling/openapi.json">openapi.json</a></li>
<li>health at <a href="/health"><code>/health</code></a></li>
<li>plain sockets at <code>/ws?token=…</code></li>
<li>Socket.IO at <code>/socket.io/</code>, namespace <code>/auto-calling</code></li>
</ul>
<p><code>make token ORG=1</code> prints a token; <code>make demo</code> plays a complete workflow.</p>
"""


Socket = web.WebSocketResponse | ClientWebSocketResponse


@dataclass(frozen=True)
class Upstream:
    """Where the stack behind the front answers."""

    endpoint: str
    rest_api: str
    websocket_api: str
    buckets: frozenset[str] = frozenset()

    def rest(self, raw_path: str) -> URL:
        return URL(f"{self.endpoint}/restapis/{self.rest_api}/{STAGE}/_user_request_{raw_path}", encoded=True)

    def sockets(self, query: str) -> URL:
        return URL(f"{self.endpoint}/_aws/execute-api/{self.websocket_api}/{STAGE}?{query}", encoded=True)


class Front:
    """Answers 503 until it is told where the stack is. What is `beside` the stack has the path of its name.

    `pages` are files by their paths.
    """

    def __init__(
        self,
        origin: str,
        endpoint: str,
        beside: Mapping[str, web.Application] | None = None,
        pages: Mapping[str, site.File] | None = None,
    ) -> None:
        self.origin = origin
        self.beside = beside or {}
        self.pages = pages or {}
        self.upstream = Upstream(endpoint, "", "")
        self._session: ClientSession | None = None

    def lead_to(self, upstream: Upstream) -> None:
        """Pass requests on from here on."""
        self.upstream = upstream

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application()
        app.cleanup_ctx.append(self._client)
        for path in ("/ws", "/ws/"):
            app.router.add_get(path, self.socket)
        for path in ("/socket.io", "/socket.io/"):
            app.router.add_route("*", path, self.engine)
        for name, other in self.beside.items():
            app.add_subapp(f"/{name}", other)
        for path, file in self.pages.items():
            app.router.add_get(f"/{path}", functools.partial(_file, file))
        app.router.add_get("/", self.page)
        app.router.add_route("*", "/health", self.rest)
        app.router.add_route("*", "/auto-calling{path:(/.*)?}", self.rest)
        app.router.add_route("*", "/{bucket}{key:(/.*)?}", self.storage)
        return app

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE.format(origin=html.escape(self.origin)), content_type="text/html")

    async def rest(self, request: web.Request, path: str | None = None) -> web.StreamResponse:
        if not self.upstream.rest_api:
            return _problem(503, "starting", "The stack is starting; try again in a moment.")
        headers = _without(request.headers, HOP_BY_HOP | {"host"})
        headers["X-Forwarded-Host"] = request.host
        query = request.rel_url.raw_query_string
        raw_path = f"{path}?{query}" if path else request.raw_path
        return await self._pass_on(request, self.upstream.rest(raw_path), headers)

    async def engine(self, request: web.Request) -> web.StreamResponse:
        """Socket.IO: over a WebSocket, or by polling the REST API, which knows the path without its slash."""
        if request.query.get("transport") == "websocket":
            return await self.socket(request)
        return await self.rest(request, "/socket.io")

    async def storage(self, request: web.Request) -> web.StreamResponse:
        """Requests to a bucket, presigned for this origin: the Host header is part of what was signed."""
        known, bucket = self.upstream.buckets, request.match_info["bucket"]
        if bucket.startswith("_") or (known and bucket not in known):  # no bucket begins so, but the emulator's own do
            return _problem(404, "not-found", "There is no such resource.")
        url = URL(f"{self.upstream.endpoint}{request.raw_path}", encoded=True)
        return await self._pass_on(request, url, _without(request.headers, HOP_BY_HOP))

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Join a WebSocket of the client with one of the stack, until either side closes."""
        if not self.upstream.websocket_api:
            return _problem(503, "starting", "The stack is starting; try again in a moment.")
        headers = _without(request.headers, HANDSHAKE)
        url = self.upstream.sockets(request.rel_url.raw_query_string)
        try:
            async with self._upstream().ws_connect(url, headers=headers, max_msg_size=0) as inner:
                outer = web.WebSocketResponse(max_msg_size=0)
                await outer.prepare(request)
                await _join(outer, inner)
                return outer
        except WSServerHandshakeError as refused:
            code = {401: "unauthorized", 403: "forbidden"}.get(refused.status, "bad-gateway")
            return _problem(refused.status, code, "The socket was refused.")
        except (ClientError, OSError):
            return _down()

    async def _pass_on(self, request: web.Request, url: URL, headers: CIMultiDict[str]) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        try:
            async with self._upstream().request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as inner:
                outer = web.StreamResponse(
                    status=inner.status, reason=inner.reason, headers=_without(inner.headers, HOP_BY_HOP)
                )
                await outer.prepare(request)
                async for chunk in inner.content.iter_chunked(1 << 16):
                    await outer.write(chunk)
                await outer.write_eof()
                return outer
        except (ClientError, OSError):
            return _down()

    def _upstream(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("the front is not running")
        return self._session

    async def _client(self, _: web.Application) -> AsyncIterator[None]:
        timeout = ClientTimeout(total=None, connect=CONNECT_SECONDS)
        connector = TCPConnector(limit=0)
        async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            yield


async def _file(file: site.File, _: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": file.content_type, "Content-Security-Policy": site.POLICY}
    return web.FileResponse(file.source, headers=headers | {"X-Content-Type-Options": "nosniff"})


async def _join(outer: web.WebSocketResponse, inner: ClientWebSocketResponse) -> None:
    async def relay(source: Socket, sink: Socket) -> None:
        async for message in source:
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
        await sink.close(code=source.close_code or 1001)

    directions = [asyncio.create_task(relay(outer, inner)), asyncio.create_task(relay(inner, outer))]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


def _without(headers: Mapping[str, str], dropped: set[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _down() -> web.Response:
    return _problem(502, "bad-gateway", "The stack behind this port does not answer.")


def _problem(status: int, code: str, detail: str) -> web.Response:
    body = {
        "type": f"urn:autocall:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": "",
    }
    return web.Response(status=status, text=json.dumps(body), content_type="application/problem+json")
