"""The environment: complete and of its form, or a loud complaint that names what is not."""

from __future__ import annotations

import pytest

from chalicelib.settings import MissingSetting, Settings, settings
from tests.simulation.environment import variables


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A complete environment."""
    for field in Settings.__struct_fields__:
        monkeypatch.delenv(field.upper(), raising=False)
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_come_from_variables_of_the_same_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONTACTS_TABLE", "contacts-of-this-stage")
    environment.setenv("AGENT_TIMEOUT_SECONDS", "12.5")
    environment.setenv("JWT_REQUIRE_EXP", "false")
    assert settings().contacts_table == "contacts-of-this-stage"
    assert settings().agent_timeout_seconds == 12.5
    assert settings().jwt_require_exp is False


def test_what_is_not_given_has_a_sound_default(environment: pytest.MonkeyPatch) -> None:
    assert (settings().jwt_algorithm, settings().jwt_require_exp) == ("HS256", True)
    assert (settings().agent_provider, settings().default_phone_region) == ("simulated", "UZ")
    assert settings().cors_origins == ""


def test_no_secret_has_a_default(environment: pytest.MonkeyPatch) -> None:
    given = settings()
    secrets = [name for name in Settings.__struct_fields__ if "secret" in name or "token" in name]
    assert {getattr(given, name) for name in secrets if not name.endswith("_path")} == {""}


def test_every_missing_variable_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BUCKET")
    environment.setenv("DIAL_QUEUE", "")
    with pytest.raises(MissingSetting, match="set DIAL_QUEUE, BUCKET"):
        settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("AGENT_TIMEOUT_SECONDS", value) for value in ("a minute", "0", "-1", "841", "nan", "inf")),
        *(("SIMULATED_CALL_SECONDS", value) for value in ("1s", "-1", "841", "nan")),
        ("JWT_REQUIRE_EXP", "perhaps"),
        *(("RETENTION_DAYS", value) for value in ("365", '{"calls":0}', '{"calls":"1"}', '{"feeds":1}', '{"calls":1')),
        *(("ALLOWED_COUNTRIES", value) for value in ("uz", "UZ, KZ", "UZ,", "UZB")),
        *(("JWT_LEEWAY_SECONDS", value) for value in ("-1", "301", "soon")),
        *(("JWT_ALGORITHM", value) for value in ("none", "HS512", "rs256")),
    ],
)
def test_malformed_variable_is_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(MissingSetting, match=name.lower()):
        settings()


def test_keys_are_read_over_tls_or_from_this_machine(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JWT_ALGORITHM", "RS256")
    with pytest.raises(MissingSetting, match="JWT_ALGORITHM=RS256 needs JWT_JWKS_URL, such as https://"):
        settings()
    for refused in (
        *("http://login.example/jwks", "http://localhost.login.example/", "http://localhost:8080@login.example/"),
        *("http://127.0.0.10/", "ftp://login.example/", "login.example", "https://", "https://me@login.example/"),
    ):
        environment.setenv("JWT_JWKS_URL", refused)
        with pytest.raises(MissingSetting, match="JWT_JWKS_URL must begin with https://"):
            settings()
    for taken in ("https://login.example/jwks", "http://localhost:8080/jwks", "http://127.0.0.1/", "http://[::1]:80/"):
        environment.setenv("JWT_JWKS_URL", taken)
        assert settings().jwt_jwks_url == taken
        settings.cache_clear()


def test_environment_is_read_once(environment: pytest.MonkeyPatch) -> None:
    before = settings()
    environment.setenv("BUCKET", "another")
    assert settings() is before
