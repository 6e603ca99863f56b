"""Thousands of requests that nobody sends on purpose, at every route: none breaks it, each refusal says why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import app
from tests.service.cloud import BASE, Cloud, Reply, rest_event, token
from tests.service.files import BOUNDARY

REQUESTS = 3_000
ROUTES = sorted((method, path) for path, methods in app.app.routes.items() for method in methods)
NAMES = [
    *("firstName", "lastName", "phone", "dateOfBirth", "customData", "notes", "timezone", "status", "contactIds"),
    *("name", "description", "campaignType", "maxConcurrentCalls", "retry", "maxAttempts", "delayMinutes", "on"),
    *("callingHours", "days", "from", "to", "windows", "holidays", "holidayCountry", "fallbackTimezone"),
    *("callTimeoutSeconds", "agent", "provider"),
    *("agentId", "variables", "scheduledAt", "importId", "filter", "callStatus", "fileName", "duplicates"),
    *("callingPaused", "defaultCallingHours", "allowedCountries", "retentionDays", "calls", "callId", "success"),
]
"""Fields that some body has."""

WORDS = [
    *("", " ", "\0", "..", "a\nb", "\ud800", "+998901234567", "901234567", "2027-01-01", "2027-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9:00", "24:00", "MON", "Asia/Tashkent", "contact", "UZ"),
    *("ACTIVE", "BUSY", "RUNNING", "http", "simulated", "a.xlsx", "=1+1", "😀" * 50, "x" * 300, "null", "-1", "1e999"),
]
TEXT = st.sampled_from(WORDS) | st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | TEXT, inner, max_size=4),
    max_leaves=8,
)
KINDS = [
    *("application/json", "application/json; charset=nope", "application/merge-patch+json", "text/plain", "", ";"),
    *(f"multipart/form-data; boundary={BOUNDARY}", "multipart/form-data", "multipart/form-data; boundary="),
]
FORM = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n'
    f"Content-Type: text/csv; charset=%s\r\n\r\n%s\r\n--{BOUNDARY}--\r\n"
)
HEADERS = ["idempotency-key", "accept-language", "content-encoding", "origin", "x-autocall-signature", "if-match"]


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6).map(encoded),
    VALUES.map(encoded),
    st.binary(max_size=60),
    st.builds(lambda *parts: (FORM % parts).encode("utf-8", "replace"), *[TEXT] * 4),
    st.sampled_from([b"", b"[" * 20_000, b'{"a":' * 5_000, b"{", b'"\xff"', b"9" * 5_000, b'{"name":"x"}' * 2]),
)


@st.composite
def requests(draw: Any) -> tuple[str, str, str, bytes | None, dict[str, str]]:
    """Method, route, what stands for its parameters and query, body and headers."""
    method, path = draw(st.sampled_from(ROUTES))
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), TEXT, max_size=2))
    headers["content-type"] = draw(st.sampled_from(KINDS))
    query = draw(
        st.lists(st.tuples(st.sampled_from(["page", "limit", "cursor", "status", "phone", "x"]), TEXT), max_size=3)
    )
    body = draw(st.none() | BODIES) if method in ("GET", "HEAD", "DELETE", "OPTIONS") else draw(BODIES)
    return method, path, draw(st.sampled_from(["own", "odd", "nowhere"])), body, headers | {"#query": json.dumps(query)}


def test_no_request_breaks_a_route(cloud: Cloud, record_property: Callable[[str, object], None]) -> None:
    counted: Counter[str] = Counter()
    contact_id = cloud.a_contact()["id"]
    own = {
        "contacts": contact_id,
        "campaigns": cloud.a_campaign([contact_id])["id"],
        "imports": cloud.upload(b"phone\n")["id"],
    }
    bearer = f"Bearer {token('1')}"

    @settings(
        max_examples=REQUESTS, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(requests())
    def ask(asked: tuple[str, str, str, bytes | None, dict[str, str]]) -> None:
        method, path, whose, body, headers = asked
        kind = path.removeprefix(BASE).split("/")[1]
        ids = {"own": (own.get(kind, "http"), contact_id), "odd": ("%00..", "ÿ"), "nowhere": ("0" * 36, "0" * 36)}[
            whose
        ]
        query = json.loads(headers.pop("#query"))
        event = rest_event(method, path, body, {"authorization": bearer, **headers})
        parameters = [each[1:-1] for each in path.split("/") if each.startswith("{")]
        event["resource"], event["pathParameters"] = path, dict(zip(parameters, ids, strict=False)) or None
        event["requestContext"]["resourcePath"] = path
        values: dict[str, list[str]] = {}
        for name, value in query:
            values.setdefault(name, []).append(value)
        event["multiValueQueryStringParameters"] = values or None
        answer = app.app(event, None)
        status, text = answer["statusCode"], answer["body"]
        counted[f"{status // 100}xx"] += 1
        assert status < 500, (asked, text)
        if status >= 400 and method != "HEAD":
            assert Reply(status, answer["headers"], json.loads(text)).problem[0] == status

    ask()
    record_property("fuzz", f"{counted.total()} requests at {len(ROUTES)} routes, {dict(sorted(counted.items()))}")
    assert counted.total() >= REQUESTS
