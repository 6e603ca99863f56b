"""Schemathesis against the deployment: what the document allows is taken, what it forbids is refused.

https://schemathesis.readthedocs.io
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import phonenumbers
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder
from werkzeug.test import EnvironBuilder

import app
from chalicelib import clock
from chalicelib.http import BASE, MERGE_PATCH
from tests.service.cloud import Cloud, rest_event, token

REQUESTS = 2_000

FORMATS = {
    "phone": st.integers(0, 9_999_999).map(lambda number: f"+99890{number:07}"),
    "timezone": st.sampled_from(sorted(clock.timezones().values())),
    "country": st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)),
}
"""What the document's own names of formats stand for."""

BEYOND_SCHEMAS = {
    "cursor": "one that this list has given",
    "page": "not beyond page × limit",
    "timezone": "a time zone there is",
    "fallbackTimezone": "a time zone there is",
    "allowedCountries": "countries that have phone numbers",
    "phone": "a number that its country has",
    "days": "not only days that are holidays",
    "from": "none beside windows",
    "to": "another time than from, and none beside windows",
    "windows": "not beside days, from and to",
    "holidayCountry": "a country whose holidays are known",
    "scheduledAt": "a time to come",
    "provider": "one there is",
    "maxDurationSeconds": "less than the campaign's callTimeoutSeconds",
    "url": "an address of the public internet",
    "apiUrl": "an address of the vendor's",
    "contactId": "a contact that there is",
    "contactIds": "contacts that there are, and of the three ways to name contacts one",
}
"""What no schema says of members and parameters; the descriptions do."""

FILES = ("uploadContacts", "createImport")
"""They refuse a file by its name, and a form whose part lacks even an empty body, as Werkzeug writes it."""

OF_NETWORKS = ("max_redirects", "verify", "cert", "proxies")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def gateway(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    """API Gateway before the deployment, as WSGI."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
    try:
        event = rest_event(environ["REQUEST_METHOD"], path + query, body or None, headers)
    except LookupError:
        start("404 Not Found", [("Content-Type", "application/problem+json")])
        return [b"{}"]
    answer = app.app(event, None)
    several = {name: values[-1] for name, values in answer.get("multiValueHeaders", {}).items()}
    start(f"{answer['statusCode']} Answered", [*(answer["headers"] | several).items()])
    return [answer["body"].encode()]


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemathesis tries what it has asked without a token as if over a network, with what WSGI has no word for."""
    made = EnvironBuilder.__init__

    def init(builder: EnvironBuilder, *given: Any, **more: Any) -> None:
        made(builder, *given, **{name: each for name, each in more.items() if name not in OF_NETWORKS})

    monkeypatch.setattr(EnvironBuilder, "__init__", init)


@pytest.mark.usefixtures("probes")
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_whatever_is_sent_is_answered_as_described(
    cloud: Cloud, record_property: Callable[[str, object], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "autocall")
    for name, strategy in FORMATS.items():
        schemathesis.openapi.format(name, strategy)
    config = SchemathesisConfig.from_dict(
        {
            "headers": {"Authorization": f"Bearer {token('1')}"},
            "generation": {"max-examples": 5, "deterministic": True, "database": "none"},
            "output": {"sanitization": {"enabled": False}},
        }
    )
    schema = schemathesis.openapi.from_wsgi(f"{BASE}/openapi.json", gateway, config=config)
    requests, faults = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                requests += 1
                faults += [each for check in checks if (each := fault(event.recorder, case_id, check))]
        elif isinstance(event, events.NonFatalError):
            faults.append(event.info.format())
        elif isinstance(event, events.FatalError):
            raise event.exception
    record_property("requests of schemathesis", requests)
    assert faults == []
    assert requests >= REQUESTS


def fault(recorder: ScenarioRecorder, case_id: str, check: CheckNode) -> str | None:
    """What a check has against an answer."""
    case, response = recorder.cases[case_id].value, recorder.interactions[case_id].response
    if check.failure_info is None or response is None:
        return None
    if response.status_code == 412 and check.name in ("positive_data_acceptance", "negative_data_rejection"):
        return None  # of If-Match, whatever else is sent
    if check.name == "positive_data_acceptance" and is_beyond_schemas(response, case.operation.definition.raw):
        return None
    if check.name == "negative_data_rejection" and _merges_nothing(case):
        return None  # which changes nothing of an object, such as what is shown of a secret
    return f"{check.failure_info.failure} {check.failure_info.code_sample} {response.status_code} {response.text}"


def is_beyond_schemas(response: Response, operation: dict[str, Any]) -> bool:
    """Whether what the document allows was refused for what it says in words only."""
    if response.status_code == 415:
        return operation["operationId"] in FILES
    if "the form cannot be read" in response.text:
        return operation["operationId"] in FILES
    faults = [re.sub(r"\[\d+\]", "", each["field"]) for each in response.json().get("errors", ())]
    return bool(faults) and {each.rpartition(".")[2] for each in faults} <= BEYOND_SCHEMAS.keys()


def _merges_nothing(case: Case[Any]) -> bool:
    return case.media_type == MERGE_PATCH and isinstance(case.body, dict) and {} in case.body.values()
