"""`make token` prints what the stack takes that was started with the same settings."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from local.laptop import Laptop
from local.token import token


def test_token_has_the_claims_that_the_settings_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Laptop(1, 2, tmp_path)
    plain = jwt.decode(token(at, "7"), at.secret("jwt"), ["HS256"])
    assert plain.keys() == {"organizationId", "role", "sub", "exp"}
    assert plain["role"] == "manager"
    for name, value in {
        "AUDIENCE": "calls, console",
        "ISSUER": "https://a.example",
        "ORGANIZATION_CLAIM": "org",
    }.items():
        monkeypatch.setenv(f"JWT_{name}", value)
    claims = jwt.decode(token(at, "7"), at.secret("jwt"), ["HS256"], audience="calls", issuer="https://a.example")
    assert claims["org"] == "7"
