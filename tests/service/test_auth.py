"""Who gets in: a token that vouches for an organization, and then to that organization's rows only."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import app
from tests.service.cloud import BASE, Cloud, rest_event, token
from tests.service.identity import configure

OPEN = ("/health", f"{BASE}/openapi.json", f"{BASE}/agents/")
"""What needs no token: health, the contract, and the agents' signed webhooks."""

NOWHERE = "0192e4a0-0000-7000-8000-000000000000"

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/campaigns/{id}/contacts"): {"contactIds": [NOWHERE]},
    ("POST", "/campaigns/{id}/redial"): {"callStatus": ["BUSY"]},
    ("POST", "/campaigns/{id}/test-calls"): {"phone": "+998935551122"},
}
"""What routes that want a body are sent; all others take an empty one."""


def guarded_routes() -> list[tuple[str, str]]:
    """Method and path, below the base path, of every REST route behind a token."""
    return [
        (method, path.removeprefix(BASE))
        for path, methods in app.app.routes.items()
        for method in methods
        if method != "OPTIONS" and not path.startswith(OPEN)
    ]


def test_every_route_wants_a_token(cloud: Cloud, subtests: pytest.Subtests) -> None:
    for method, path in guarded_routes():
        with subtests.test(method=method, path=path):
            nowhere = path.replace("{id}", NOWHERE).replace("{contactId}", NOWHERE)
            reply = cloud.request(method, nowhere, organization=None)
            assert reply.status == 401
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert reply.headers["Content-Type"] == "application/problem+json"
            if method != "HEAD":
                assert reply.problem == (401, "unauthorized")


def test_health_needs_no_token(cloud: Cloud) -> None:
    answer = app.app(rest_event("GET", "/health", None, {}), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "ok"


def test_other_schemes_are_refused(cloud: Cloud) -> None:
    for given in (f"Basic {token()}", token(), "Bearer"):
        assert cloud.get("/contacts", organization=None, headers={"Authorization": given}).status == 401


def test_organization_is_compared_as_text(cloud: Cloud) -> None:
    contact = cloud.a_contact(organization=7)
    assert contact["organizationId"] == "7"
    assert cloud.get(f"/contacts/{contact['id']}", organization="7").status == 200


def test_deployment_may_take_tokens_that_never_expire(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, JWT_REQUIRE_EXP="false")
    for exp, status in ((None, 200), (int(time.time()) - 60, 401)):
        bearer = {"Authorization": f"Bearer {token(exp=exp)}"}
        assert cloud.get("/contacts", organization=None, headers=bearer).status == status


OTHERS = ["2", 2, "10", "01", "1.0", "１", "Ⅰ", "%31", "*", "-", "null", "1%23audits", "1..", "x" * 128]
"""Organizations that are not 1, however alike."""

NOBODY = [
    "..",
    ".",
    "../1",
    "1/",
    "/1",
    "1#",
    "#audits",
    "1#audits",
    "#deleted",
    "1\n",
    " 1",
    "1 ",
    "1\0",
    "1\u200b",
    "",
    None,
]
"""What is no organization."""


def test_rows_of_another_organization_do_not_exist(cloud: Cloud, subtests: pytest.Subtests) -> None:
    """Every route there is, with ids of another organization, by every organization that is not that one."""
    contact = cloud.a_contact()
    campaign_id = cloud.a_campaign([contact["id"]])["id"]
    own = {"contacts": contact["id"], "campaigns": campaign_id, "imports": cloud.upload(b"phone\n")["id"]}
    call_id = cloud.post(f"/campaigns/{campaign_id}/test-calls", {"phone": contact["phone"]}).body["callId"]
    theirs = (*own.values(), call_id, contact["phone"])
    shown = [f"/{kind}/{each}" for kind, each in own.items()] + ["/contacts", "/campaigns", "/imports", "/settings"]
    before = [cloud.get(path).body for path in shown]
    for method, path in guarded_routes():
        row = path.replace("{id}", own.get(path.split("/")[1], NOWHERE)).replace("{contactId}", contact["id"])
        row = row.replace("{callId}", call_id)
        body = BODIES.get((method, path), {}) if method in ("POST", "PATCH") else None
        for organization in (*OTHERS, *NOBODY):
            with subtests.test(method=method, path=path, organization=organization):
                bearer = {"Authorization": f"Bearer {token(organization)}"}  # type: ignore[arg-type]
                reply = cloud.request(method, row, body, organization=None, headers=bearer)
                if organization in NOBODY:
                    assert reply.status == 401
                elif "{" in path:
                    assert reply.status == 404
                assert not [each for each in theirs if each in str(reply.body)]
    assert [cloud.get(path).body for path in shown] == before


def test_lists_hold_only_the_organizations_own_rows(cloud: Cloud) -> None:
    contact = cloud.a_contact()
    cloud.a_campaign([contact["id"]])
    cloud.upload(b"phone\n")
    for path in ("/contacts", f"/contacts?phone={contact['phone'].removeprefix('+')}", "/campaigns", "/imports"):
        assert cloud.get(path).body["meta"]["total"] == 1
        assert (cloud.get(path, organization="2").body["data"], cloud.get(path, organization="2").status) == ([], 200)


def test_contacts_of_another_organization_cannot_be_enrolled(cloud: Cloud) -> None:
    theirs = cloud.a_contact(organization="2")["id"]
    reply = cloud.post("/campaigns", {"name": "January", "contactIds": [theirs]})
    assert (reply.status, reply.body["errors"][0]["field"]) == (400, "contactIds[0]")
    campaign_id = cloud.a_campaign()["id"]
    reply = cloud.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": [theirs]})
    assert (reply.body["added"], reply.body["notFound"]) == (0, [theirs])
