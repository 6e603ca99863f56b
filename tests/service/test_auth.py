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
            assert (reply.body["code"], reply.body["status"]) == ("unauthorized", 401)
            assert reply.body["requestId"]


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


def test_rows_of_another_organization_do_not_exist(cloud: Cloud) -> None:
    contact_id = cloud.a_contact()["id"]
    campaign_id = cloud.a_campaign([contact_id])["id"]
    import_id = cloud.upload(b"phone\n")["id"]
    before = [cloud.get(path).body for path in (f"/contacts/{contact_id}", f"/campaigns/{campaign_id}")]
    own = {"contacts": contact_id, "campaigns": campaign_id, "imports": import_id}
    with_an_id = [(method, path) for method, path in guarded_routes() if "{id}" in path]
    assert with_an_id
    for method, path in with_an_id:
        row = path.replace("{id}", own[path.split("/")[1]]).replace("{contactId}", contact_id)
        body = BODIES.get((method, path), {}) if method in ("POST", "PATCH") else None
        reply = cloud.request(method, row, body, organization="2")
        assert (reply.status, reply.body["code"]) == (404, "not-found"), (method, path, reply.body)
    assert [cloud.get(path).body for path in (f"/contacts/{contact_id}", f"/campaigns/{campaign_id}")] == before


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
