"""The front when the stack behind it is not there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from infra import site
from local.front import Front, Upstream


def ask(front: Front, path: str) -> tuple[int, str, str]:
    """Status, content type and body of a GET."""

    async def once() -> tuple[int, str, str]:
        async with TestClient(TestServer(front.app())) as client:
            answer: ClientResponse = await client.get(path)
            return answer.status, answer.content_type, await answer.text()

    return asyncio.run(once())


def nobody_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_starting_stack_is_a_503() -> None:
    for path in ("/health", "/auto-calling/contacts", "/ws"):
        status, kind, _ = ask(Front("http://localhost:3000", nobody_listens()), path)
        assert (status, kind) == (503, "application/problem+json")


def test_stack_that_is_down_is_a_502() -> None:
    front = Front("http://localhost:3000", nobody_listens())
    front.lead_to(Upstream(nobody_listens(), "rest", "sockets", frozenset({"bucket"})))
    for path in ("/health", "/auto-calling/contacts", "/ws", "/socket.io/?EIO=4", "/bucket/key"):
        status, kind, body = ask(front, path)
        assert (status, kind) == (502, "application/problem+json")
        assert '"code": "bad-gateway"' in body


def test_page_of_the_api_may_load_its_own_files_only(tmp_path: Path) -> None:
    file = tmp_path / "docs.html"
    file.write_text("<!doctype html>")
    front = Front("http://localhost:3000", nobody_listens(), pages={"docs": site.File(file, "text/html")})

    async def once() -> tuple[int, str, str]:
        async with TestClient(TestServer(front.app())) as client:
            answer: ClientResponse = await client.get("/docs")
            return answer.status, answer.headers["Content-Type"], answer.headers["Content-Security-Policy"]

    assert asyncio.run(once()) == (200, "text/html", site.POLICY)


def test_page_names_its_origin() -> None:
    status, kind, body = ask(Front("http://localhost:3456", nobody_listens()), "/")
    assert (status, kind) == (200, "text/html")
    assert "http://localhost:3456" in body
