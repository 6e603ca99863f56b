"""Browsers of other origins: those the deployment names may call, and no others."""

from __future__ import annotations

import pytest

import app
from tests import caches
from tests.service.cloud import Cloud, Reply

CONSOLE = "https://console.test"


def asked_from(cloud: Cloud, origin: str, method: str = "GET", *, organization: str | None = "1") -> Reply:
    """The answer to a browser's request from a page of an origin."""
    return cloud.request(method, "/contacts", organization=organization, headers={"Origin": origin})


def allow(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", origins)
    caches.clear()


def test_named_origins_may_call_and_read_even_refusals(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, f"https://other.test, {CONSOLE}")
    for reply in (asked_from(cloud, CONSOLE), asked_from(cloud, CONSOLE, organization=None)):
        assert reply.headers["Access-Control-Allow-Origin"] == CONSOLE
        assert reply.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in asked_from(cloud, "https://evil.test").headers


def test_browser_asks_first_without_a_token(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, "*")
    reply = asked_from(cloud, CONSOLE, "OPTIONS", organization=None)
    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(reply.headers["Access-Control-Allow-Methods"].split(","))
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"].split(",")


@pytest.mark.parametrize("path", ["/nothing", "/contacts/1/2/3/4", "/campaigns/{id}/nothing", "/contacts/"])
def test_browser_may_ask_for_what_is_not_there_and_see_that_it_is_not(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    allow(monkeypatch, CONSOLE)
    asked = cloud.request("OPTIONS", path, organization=None, headers={"Origin": CONSOLE})
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, CONSOLE)
    for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT"):
        with pytest.raises(LookupError):
            cloud.request(method, "/nothing")


@pytest.mark.parametrize("query", [{"EIO": "4", "transport": "polling"}, {"EIO": "3"}])
def test_pages_of_named_origins_may_poll(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]) -> None:
    allow(monkeypatch, CONSOLE)
    for method in ("GET", "OPTIONS"):
        event = {"httpMethod": method, "queryStringParameters": query, "requestContext": {}}
        event["headers"] = {"Origin": CONSOLE}
        assert app.poll(event, None)["headers"]["Access-Control-Allow-Origin"] == CONSOLE
        event["headers"] = {"origin": "https://evil.test"}
        assert "Access-Control-Allow-Origin" not in app.poll(event, None)["headers"]


def test_no_other_origin_may_call_unless_one_is_named(cloud: Cloud) -> None:
    for method in ("GET", "OPTIONS"):
        assert "Access-Control-Allow-Origin" not in asked_from(cloud, CONSOLE, method).headers
