"""Who gets in: a token that vouches for an organization, and then to that organization's rows only."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

import app
from tests import caches
from tests.service.aws import JWT_SECRET
from tests.service.cloud import BASE, Cloud, rest_event, token

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


def status_with(cloud: Cloud, bearer: str) -> int:
    """How a request with a token is answered."""
    return cloud.get("/contacts", organization=None, headers={"Authorization": f"Bearer {bearer}"}).status


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


def refused_tokens() -> list[tuple[str, str, str]]:
    """What is wrong with a token, the token, and the reason that is given."""
    not_valid = "The token is not valid."
    no_organization = "The token has no organizationId claim."
    return [
        ("expired", token(exp=int(time.time()) - 1), "The token has expired."),
        ("without exp", token(exp=None), "The token has no exp claim."),
        ("without organization", jwt.encode({"exp": int(time.time()) + 600}, JWT_SECRET, "HS256"), no_organization),
        ("blank organization", token(" "), no_organization),
        ("organization is a flag", token(True), no_organization),
        ("reserved sign", token("1#deleted"), "The token's organizationId is not of its form"),
        ("alg none", token(key="", algorithm="none"), not_valid),
        ("wrong secret", token(key="x" * 64), not_valid),
        ("another algorithm", token(key=JWT_SECRET * 2, algorithm="HS512"), not_valid),
        ("not yet valid", token(nbf=int(time.time()) + 600), not_valid),
        ("cut", token()[:-4], not_valid),
        ("no token at all", "nonsense", not_valid),
        ("empty", "", "A bearer token is required."),
    ]


def test_token_that_vouches_for_nobody_is_refused(cloud: Cloud, subtests: pytest.Subtests) -> None:
    for fault, bearer, reason in refused_tokens():
        with subtests.test(fault):
            reply = cloud.get("/contacts", organization=None, headers={"Authorization": f"Bearer {bearer}"})
            assert reply.status == 401
            assert reply.body["detail"].startswith(reason)
            assert JWT_SECRET not in json.dumps(reply.body)


def test_other_schemes_are_refused(cloud: Cloud) -> None:
    for given in (f"Basic {token()}", token(), "Bearer"):
        assert cloud.get("/contacts", organization=None, headers={"Authorization": given}).status == 401


def test_organization_is_compared_as_text(cloud: Cloud) -> None:
    contact = cloud.a_contact(organization=7)
    assert contact["organizationId"] == "7"
    assert cloud.get(f"/contacts/{contact['id']}", organization="7").status == 200


def test_deployment_may_take_tokens_that_never_expire(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, JWT_REQUIRE_EXP="false")
    assert status_with(cloud, token(exp=None)) == 200
    assert status_with(cloud, token(exp=int(time.time()) - 1)) == 401


def configure(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Change the deployment's environment as a new version of its functions would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    caches.clear()


@contextmanager
def key_server(*keys: dict[str, Any]) -> Iterator[str]:
    """The URL of an identity provider's JWKS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"keys": keys}).encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        finally:
            server.shutdown()
            thread.join()


def public(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    """A key as a JWKS shows it."""
    shown: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return shown | {"kid": kid, "use": "sig", "alg": "RS256"}


def test_identity_provider_signs_with_keys_of_its_own(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
    with key_server(public(ours, "2026")) as url:
        configure(monkeypatch, JWT_ALGORITHM="RS256", JWT_JWKS_URL=url)
        assert status_with(cloud, signed(ours, "2026")) == 200
        assert status_with(cloud, signed(theirs, "2026")) == 401
        assert status_with(cloud, signed(ours, "2025")) == 401
        assert status_with(cloud, signed(ours, "2026", exp=int(time.time()) - 1)) == 401
        assert status_with(cloud, token()) == 401
        assert status_with(cloud, "nonsense") == 401
        assert status_with(cloud, jwt.encode(claims(), "x" * 64, "HS256", {"kid": "2026"})) == 401


def claims(**more: Any) -> dict[str, Any]:
    return {"organizationId": "1", "exp": int(time.time()) + 600} | more


def signed(key: RSAPrivateKey, kid: str, **more: Any) -> str:
    return jwt.encode(claims(**more), key, "RS256", {"kid": kid})


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
