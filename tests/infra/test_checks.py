"""Settings of a deployment: what cannot work is refused, by name, with an example that can."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from infra import checks, deploy
from infra.package import ROOT

GIVEN = {"Stage": "prod"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DefaultCallingHours", value) for value in ("9-20", "{}", '{"timezone":"Asia/Tashkent"}', "[]")),
        ("DefaultCallingHours", '{"timezone":"Asia/Nowhere","days":["MON"],"from":"09:00","to":"20:00"}'),
        ("DefaultCallingHours", '{"timezone":"Asia/Tashkent","days":["MON"],"from":"9:0","to":"20:00"}'),
        *(
            ("AgentUrl", value)
            for value in ("notaurl", "http://agent.example", "https://", "https://me@agent.example/")
        ),
        *(("AgentProvider", value) for value in ("htttp", "")),
        *(("JwtAlgorithm", value) for value in ("HS512", "none")),
        *(("JwtJwksUrl", value) for value in ("http://login.example/jwks", "login.example")),
        ("JwtLeewaySeconds", "301"),
        ("JwtRequireExp", "yes"),
        *(("PhoneRegion", value) for value in ("XX", "uz", "998")),
        *(("AllowedCountries", value) for value in ("XX", "UZ,XX", "uz")),
        *(("AgentTimeoutSeconds", value) for value in ("0", "841", "soon", "1e2", "nan")),
        ("DialerMaxConcurrency", "1"),
        ("FallbackTimezone", "Asia/Nowhere"),
        *(("RetentionDays", value) for value in ("30", '{"people":1}')),
        *(("PublicUrl", value) for value in ("calls.example", "https://calls.example/path")),
        ("AlarmTopic", "alarms"),
        ("AlarmEmail", "on-call"),
        ("Tracing", "true"),
        *(("CorsOrigins", value) for value in ("console.example", "*,https://console.example", "https://a.example/")),
    ],
)
def test_setting_that_cannot_work_is_named_with_an_example(name: str, value: str) -> None:
    with pytest.raises(checks.Unfit) as unfit:
        checks.check(GIVEN | {name: value})
    for line in str(unfit.value).splitlines()[1:]:
        assert line.startswith(f"  {checks.variable(name)}={value}: ")
        assert line.endswith(f"; for example {checks.variable(name)}={checks.EXAMPLES[name]}")


def test_examples_can_work() -> None:
    checks.check(GIVEN | checks.EXAMPLES)
    assert set(checks.EXAMPLES) <= set(deploy.FROM_ENVIRONMENT)


def test_operators_can_set_whatever_the_template_takes() -> None:
    ours = {"Stage", "Version", "SocketEndpoint", "AgentsMayBePrivate"}
    assert set(deploy.FROM_ENVIRONMENT) == set(checks._declared()) - ours
    documented = (ROOT / "README.md").read_text()
    assert not [name for name in map(checks.variable, deploy.FROM_ENVIRONMENT) if f"`{name}`" not in documented]


def test_defaults_can_work() -> None:
    checks.check(GIVEN)


def test_what_a_setting_needs_is_named() -> None:
    with pytest.raises(checks.Unfit, match="AGENT_PROVIDER=http needs AGENT_URL, such as https://"):
        checks.check(GIVEN | {"AgentProvider": "http"})
    with pytest.raises(checks.Unfit, match="MONTHLY_BUDGET=5 needs ALARM_EMAIL, such as on-call@"):
        checks.check(GIVEN | {"MonthlyBudget": "5"})
    with pytest.raises(checks.Unfit, match="JWT_ALGORITHM=RS256 needs JWT_JWKS_URL, such as https://"):
        checks.check(GIVEN | {"JwtAlgorithm": "RS256"})


def test_only_a_laptop_talks_to_an_agent_in_the_clear() -> None:
    checks.check({"Stage": "laptop", "AgentUrl": "http://127.0.0.1:9000/call"})


def test_deploying_refuses_before_it_reaches_aws() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = bare | {"AWS_REGION": "eu-central-1", "DEFAULT_CALLING_HOURS": "9-20", "PHONE_REGION": "XX"}
    command = [sys.executable, "-m", "infra.deploy", "dev"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    named = {line.split("=")[0].strip() for line in done.stderr.splitlines()[1:]}
    assert named == {"PHONE_REGION", "DEFAULT_CALLING_HOURS"}
