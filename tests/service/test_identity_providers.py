"""The recipes of docs/tokens.md: with their settings tokens are taken as Auth0, Cognito and Keycloak make them."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.service.cloud import Cloud
from tests.service.identity import configure, rsa_key, serving, shown, signed

RECIPES = Path(__file__).parents[2] / "docs" / "tokens.md"
HOUR = 3600


class Played(Struct, frozen=True):
    """A provider: its heading in the recipes, its tokens' claims, which of those names the organization, its keys."""

    heading: str
    organization: str
    claims: dict[str, Any]
    keys: list[dict[str, Any]]


def auth0() -> Played:
    """As in https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles."""
    claim, tenant = "https://autocall.example/organizationId", "https://autocall-demo.eu.auth0.com/"
    claims = {
        claim: "tashkent",
        "iss": tenant,
        "sub": "auth0|507f1f77bcf86cd799439011",
        "aud": ["https://autocall.example", f"{tenant}userinfo"],
        "iat": int(time.time()),
        "exp": int(time.time()) + HOUR,
        "scope": "openid profile email",
        "azp": "my0client0id",
    }
    more: dict[str, Any] = {
        "use": "sig",
        "alg": "RS256",
        "x5t": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg",
        "x5c": ["MIIC+DCC"],
    }
    return Played("Auth0", claim, claims, [shown(rsa_key("provider"), **more), shown(rsa_key("next"), "next", **more)])


def cognito() -> Played:
    """As in https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html."""
    claim, subject = "custom:organizationId", str(uuid.uuid4())
    claims = {
        claim: "7",
        "sub": subject,
        "email_verified": True,
        "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
        "cognito:username": subject,
        "cognito:groups": ["operators"],
        "origin_jti": str(uuid.uuid4()),
        "aud": "4v3hk5s1example0client0id",
        "event_id": str(uuid.uuid4()),
        "token_use": "id",
        "auth_time": int(time.time()),
        "exp": int(time.time()) + HOUR,
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "email": "ali@example.com",
    }
    more = {"use": "sig", "alg": "RS256"}
    return Played(
        "Amazon Cognito", claim, claims, [shown(rsa_key("provider"), **more), shown(rsa_key("next"), "x", **more)]
    )


def keycloak() -> Played:
    """As in https://www.keycloak.org/docs/latest/server_admin/#_oidc_token."""
    claims = {
        "exp": int(time.time()) + HOUR,
        "iat": int(time.time()),
        "auth_time": int(time.time()),
        "jti": f"onrtac:{uuid.uuid4()}",
        "iss": "https://sso.example/realms/calls",
        "aud": ["autocall", "account"],
        "sub": str(uuid.uuid4()),
        "typ": "Bearer",
        "azp": "console",
        "sid": str(uuid.uuid4()),
        "acr": "1",
        "allowed-origins": ["https://console.example"],
        "realm_access": {"roles": ["offline_access", "uma_authorization"]},
        "scope": "openid profile email",
        "organizationId": "samarqand",
        "preferred_username": "ali",
    }
    encrypting = shown(rsa_key("provider"), "2026", use="enc", alg="RSA-OAEP")
    signing = shown(rsa_key("provider"), "2026", use="sig", alg="RS256", x5c=["MIIC+DCC"])
    return Played("Keycloak", "organizationId", claims, [encrypting, signing])


def recipe(heading: str) -> dict[str, str]:
    """The settings of a recipe."""
    [section] = [each for each in RECIPES.read_text().split("\n## ") if each.startswith(heading)]
    return dict(re.findall(r"^(JWT_[A-Z_]+)=(\S+) \\$", section, re.MULTILINE))


@pytest.mark.parametrize("play", [auth0, cognito, keycloak])
def test_recipe_lets_the_providers_users_in_and_nobody_else(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, play: Any
) -> None:
    provider = play()
    settings = recipe(provider.heading)
    assert settings["JWT_JWKS_URL"].startswith(settings["JWT_ISSUER"].rstrip("/"))
    with serving(*provider.keys) as server:
        configure(monkeypatch, **settings | {"JWT_JWKS_URL": server.url})

        def answer(key: str = "provider", **more: Any) -> Any:
            claims = {name: value for name, value in (provider.claims | more).items() if value is not None}
            bearer = signed(rsa_key(key), claims, "RS256", kid="2026")
            headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
            body = {"firstName": "Ali", "phone": "+998901234567"}
            return cloud.post("/contacts", body, organization=None, headers=headers)

        made = answer()
        assert (made.status, made.body["organizationId"]) == (201, provider.claims[provider.organization])
        assert answer("stranger").status == 401
        for refused in (
            {"aud": "another application"},
            {"aud": None},
            {"iss": "https://elsewhere.example/"},
            {"exp": int(time.time()) - 60},
            {provider.organization: None},
        ):
            assert answer(**refused).status == 401, refused
        assert server.asked == 1
