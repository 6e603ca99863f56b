"""The OpenAPI document. That every answer of every test is as it says, `Cloud.request` sees to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest

import app
from chalicelib import http, ids, openapi
from chalicelib.auth import Identity
from chalicelib.http import BASE, Operation
from tests import npm
from tests.service import described
from tests.service.cloud import Cloud
from tests.service.files import form

DOCUMENT = described.document()


def operations() -> list[dict[str, Any]]:
    return [of for those in DOCUMENT["paths"].values() for of in those.values()]


def test_document_is_served_to_everybody(cloud: Cloud) -> None:
    reply = cloud.get("/openapi.json", organization=None)
    assert reply.status == 200
    assert reply.body == DOCUMENT | {"info": DOCUMENT["info"] | {"version": reply.body["info"]["version"]}}


def test_document_has_every_route_that_is_served() -> None:
    served = {(path, method) for path, methods in app.app.routes.items() for method in methods}
    written = {(path, method.upper()) for path, those in DOCUMENT["paths"].items() for method in those}
    assert served - {each for each in served if each[1] in ("HEAD", "OPTIONS")} == written


def test_operations_have_names_of_their_own() -> None:
    names = [of["operationId"] for of in operations()]
    assert len(set(names)) == len(names)


def test_every_operation_says_what_it_does() -> None:
    assert [of["operationId"] for of in operations() if not of["summary"] or not of["description"]] == []


def test_document_is_one_of_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_document_has_no_fault_that_a_linter_knows(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "redocly.yaml").write_text("extends: [recommended-strict]\nrules: {info-license: off}\n")
    redocly = npm.installed("@redocly/cli", "2.77.0") / "node_modules/.bin/redocly"
    command = [str(redocly), "lint", "openapi.json", "--format=stylish"]
    told = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | told, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_references_lead_somewhere() -> None:
    references = set(openapi.references(DOCUMENT))
    assert references
    for reference in references:
        at: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_patterns_are_those_of_ecmascript() -> None:
    assert r"\\Z" not in json.dumps(DOCUMENT)


def test_what_has_a_token_says_so_and_what_is_open_says_so() -> None:
    assert DOCUMENT["security"] == [{"token": []}]
    assert {of["operationId"] for of in operations() if of.get("security") == []} == {
        "getHealth",
        "getOpenApi",
        "reportCall",
        "reportCallToOrganization",
    }


@pytest.mark.parametrize(("place", "name"), [("headers", "if-match"), ("headers", "x-odd"), ("query", "sort")])
def test_view_that_reads_what_is_not_described_fails(place: str, name: str) -> None:
    [of] = [each for each in http.Routes.operations if each.name == "getContact"]
    request = described.Request(of, Identity("1"), of.path, {}, {}, {}, b"")
    with pytest.raises(AssertionError, match=f"getContact reads the .* {name}, which is not described"):
        getattr(request, place).get(name)


@pytest.mark.parametrize("of", [each for each in http.Routes.operations if each.example], ids=lambda of: of.name)
def test_examples_are_taken(cloud: Cloud, of: Operation) -> None:
    campaign = cloud.a_campaign([cloud.a_contact("+998901234588")["id"]])
    people = {"contacts": cloud.a_contact("+998901234599")["id"], "campaigns": campaign["id"]}
    path = of.path.removeprefix(BASE)
    path = path.replace("{id}", people.get(path.split("/")[1], ids.new_id()))
    reply = cloud.request(of.method, path, of.example)
    assert reply.status in of.answers, reply


def test_form_is_taken_as_it_is_described(cloud: Cloud) -> None:
    described_form = DOCUMENT["paths"][f"{BASE}/contacts/upload-excel"]["post"]["requestBody"]["content"]
    assert described_form.keys() == {"multipart/form-data"}
    body, kind = form(b"firstName,phone\nAli,+998901234567\n", "people.csv", duplicates="skip")
    assert cloud.post("/contacts/upload-excel", body, headers={"Content-Type": kind}).status == 202
