"""The environment of a deployment, read once into one frozen value.

Names of tables, queues and secrets come from the packaged template; nothing in the code knows them.
"""

import functools
import os
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class MissingSetting(RuntimeError):
    """An environment variable the deployment must set is absent or not of its form."""


LONGEST_WAIT = 840
"""Seconds the dialer may wait for an agent's answer: it has 15 minutes, and needs some for what comes after."""


KEYS_ADDRESS = re.compile(r"https://[^/\s@]+(/|$)|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)")
"""Where keys are read from: nobody on the way may put his own in their place. A laptop talks to itself as it likes."""


RETENTION = r'^(\{("(contacts|calls|imports)":[1-9][0-9]{0,4}(,|(?=\})))*\})?\Z'
"""JSON without spaces such as `{"contacts":1095,"calls":365,"imports":30}`."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field per environment variable of the same name in capitals; a field without default is required."""

    contacts_table: str
    phone_numbers_table: str
    counters_table: str
    campaigns_table: str
    calls_table: str
    attempts_table: str
    imports_table: str
    connections_table: str
    feed_table: str
    idempotency_table: str
    settings_table: str
    activity_table: str
    campaign_events_queue: str
    dial_queue: str
    jobs_queue: str
    imports_queue: str
    live_events_queue: str
    bucket: str
    socket_endpoint: str
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    jwt_secret_parameter: str = ""
    jwt_jwks_url: str = ""
    jwt_require_exp: bool = True
    jwt_audience: str = ""
    jwt_issuer: str = ""
    jwt_leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 30
    jwt_organization_claim: str = "organizationId"
    jwt_role_claim: str = ""
    agent_provider: str = "simulated"
    agent_url: str = ""
    agent_token_parameter: str = ""
    agent_accounts_path: str = ""
    organization_accounts_path: str = ""
    agents_may_be_private: bool = False
    agent_timeout_seconds: Annotated[float, Meta(gt=0, le=LONGEST_WAIT)] = 60
    webhook_secret_parameter: str = ""
    barred_phones_key_parameter: str = ""
    simulated_call_seconds: Annotated[float, Meta(ge=0, le=LONGEST_WAIT)] = 1
    public_url: str = ""
    default_phone_region: str = "UZ"
    default_calling_hours: str = ""
    fallback_timezone: str = "Asia/Tashkent"
    allowed_countries: Annotated[str, Meta(pattern=r"^([A-Z]{2}(,[A-Z]{2})*)?\Z")] = ""
    retention_days: Annotated[str, Meta(pattern=RETENTION)] = ""
    dialer_max_concurrency: int = 100
    held_polls: int = 50
    cors_origins: str = ""
    metrics_namespace: str = "autocall"
    version: str = "dev"

    def __post_init__(self) -> None:
        if self.jwt_jwks_url and not KEYS_ADDRESS.match(self.jwt_jwks_url):
            raise ValueError(f"JWT_JWKS_URL must begin with https://, not {self.jwt_jwks_url}")
        if self.jwt_algorithm != "HS256" and not self.jwt_jwks_url:
            example = "https://login.example/.well-known/jwks.json"
            raise ValueError(f"JWT_ALGORITHM={self.jwt_algorithm} needs JWT_JWKS_URL, such as {example}")


@functools.cache
def settings() -> Settings:
    """The settings of this process. Raises MissingSetting naming every variable that is absent or malformed."""
    return _read(dict(os.environ))


def _read(environ: dict[str, str]) -> Settings:
    given: dict[str, Any] = {f: environ[f.upper()] for f in Settings.__struct_fields__ if environ.get(f.upper())}
    required = Settings.__struct_fields__[: -len(Settings.__struct_defaults__)]
    absent = [name.upper() for name in required if name not in given]
    if absent:
        raise MissingSetting(f"set {', '.join(absent)}")
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise MissingSetting(str(error)) from None
