"""Are a deployment's settings fit? Asked before anything is started or deployed, where people still look.

What the template says of a parameter (its values, its pattern, its range) is read from the template; what it cannot say
is read by the code that will read it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from infra.package import ROOT

EXAMPLES = {
    "AgentProvider": "http",
    "AgentTimeoutSeconds": "60",
    "AgentUrl": "https://agent.example/call",
    "AlarmEmail": "on-call@example.com",
    "AlarmTopic": "arn:aws:sns:eu-central-1:123456789012:alarms",
    "AllowedCountries": "UZ,KZ",
    "ApiBurstLimit": "1000",
    "ApiRateLimit": "500",
    "CorsOrigins": "https://console.example,https://crm.example",
    "DefaultCallingHours": '{"timezone":"Asia/Tashkent","days":["MON","FRI"],"from":"09:00","to":"20:00"}',
    "DataProtection": "false",
    "DialerMaxConcurrency": "100",
    "FallbackTimezone": "Asia/Tashkent",
    "HeldPolls": "50",
    "JwtAlgorithm": "RS256",
    "JwtJwksUrl": "https://login.example/.well-known/jwks.json",
    "JwtLeewaySeconds": "30",
    "JwtRequireExp": "true",
    "ManageApiGatewayAccount": "false",
    "MonthlyBudget": "500",
    "PhoneRegion": "UZ",
    "PublicUrl": "https://calls.example",
    "RetentionDays": '{"contacts":1095,"calls":365,"imports":30}',
    "SimulatedCallSeconds": "1",
    "SocketBurstLimit": "1000",
    "SocketRateLimit": "500",
    "Tracing": "Active",
    "WebhookBurstLimit": "400",
    "WebhookRateLimit": "200",
}

ORIGIN = re.compile(r"https?://[^/\s@?#]+")
ADDRESS = re.compile(r"https://[^/\s@?#]+(/\S*)?")
LAPTOPS_ADDRESS = re.compile(r"https?://[^/\s@?#]+(/\S*)?")
TOPIC = re.compile(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w-]+(\.fifo)?")


class Unfit(Exception):
    """Settings with which nothing would work; the message has a line for each."""


def variable(parameter: str) -> str:
    """The environment variable of a parameter: AGENT_URL for AgentUrl."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()


def check(given: Mapping[str, str]) -> None:
    """Check the stack's parameters. Raises Unfit naming every one that is not fit, with an example of one that is."""
    whole = {name: str(each.get("Default", "")) for name, each in _declared().items()} | dict(given)
    said = [
        *_by_template(whole),
        *(fault for ask in (_hours, _retention, _places, _agent, _keys, _spend) for fault in ask(whole)),
    ]
    if said:
        raise Unfit("\n".join(["These settings cannot be used:", *(f"  {each}" for each in dict.fromkeys(said))]))


def _declared() -> dict[str, Any]:
    class Loader(yaml.SafeLoader):
        """Reads the intrinsic functions of CloudFormation as nothing."""

    Loader.add_multi_constructor("!", lambda *_: None)
    found: dict[str, Any] = yaml.load((ROOT / "infra" / "resources.yaml").read_text(), Loader)["Parameters"]  # noqa: S506
    return found


def _by_template(given: Mapping[str, str]) -> Iterator[str]:
    for name, each in _declared().items():
        value = given[name]
        if values := each.get("AllowedValues"):
            if value not in values:
                yield _fault(name, value, f"expected one of {', '.join(values)}")
        elif each["Type"] == "Number":
            if not _is_between(value, each.get("MinValue"), each.get("MaxValue")):
                yield _fault(name, value, f"expected a number from {each.get('MinValue')} to {each.get('MaxValue')}")
        elif not re.fullmatch(each.get("AllowedPattern", "(?s:.*)"), value):
            yield _fault(name, value, each.get("ConstraintDescription") or "not of its form")


def _is_between(value: str, least: float | None, most: float | None) -> bool:
    if not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return False
    return (least is None or float(value) >= least) and (most is None or float(value) <= most)


def _hours(given: Mapping[str, str]) -> Iterator[str]:
    from chalicelib.organizations.model import CallingHours, faults

    def unfit(hours: CallingHours) -> str:
        return "; ".join(f"{each.field}: {each}" for each in faults(hours, "defaultCallingHours"))

    yield from _json(given, "DefaultCallingHours", CallingHours, unfit)


def _retention(given: Mapping[str, str]) -> Iterator[str]:
    from chalicelib.organizations.model import Retention

    yield from _json(given, "RetentionDays", Retention, lambda _: "")


def _json(given: Mapping[str, str], name: str, kind: Any, unfit: Callable[[Any], str]) -> Iterator[str]:
    import msgspec

    if not given[name]:
        return
    try:
        said = unfit(msgspec.json.decode(given[name], type=kind))
    except (msgspec.DecodeError, UnicodeError) as why:
        said = str(why)
    if said:
        yield _fault(name, given[name], said)


def _places(given: Mapping[str, str]) -> Iterator[str]:
    from chalicelib.clock import is_timezone
    from chalicelib.organizations.model import is_country

    if not is_country(given["PhoneRegion"]):
        yield _fault("PhoneRegion", given["PhoneRegion"], "there is no such country that has phone numbers")
    for country in filter(None, given["AllowedCountries"].split(",")):
        if not is_country(country):
            yield _fault("AllowedCountries", given["AllowedCountries"], f"there is no country {country} with numbers")
    if not is_timezone(given["FallbackTimezone"]):
        yield _fault("FallbackTimezone", given["FallbackTimezone"], "there is no such time zone")


def _agent(given: Mapping[str, str]) -> Iterator[str]:
    address, is_laptop = given["AgentUrl"], given["Stage"] == "laptop"
    if given["AgentProvider"] == "http" and not address:
        yield f"AGENT_PROVIDER=http needs AGENT_URL, such as {EXAMPLES['AgentUrl']}"
    if address and not (LAPTOPS_ADDRESS if is_laptop else ADDRESS).fullmatch(address):
        yield _fault("AgentUrl", address, "expected an address that begins with https://")
    for name, form in (("PublicUrl", ORIGIN), ("AlarmTopic", TOPIC)):
        if given[name] and not form.fullmatch(given[name]):
            yield _fault(name, given[name], "not of its form")
    origins = given["CorsOrigins"].split(",") if given["CorsOrigins"] else []
    if origins != ["*"] and not all(ORIGIN.fullmatch(each.strip()) for each in origins):
        yield _fault("CorsOrigins", given["CorsOrigins"], "expected origins without a path, or * alone")


def _keys(given: Mapping[str, str]) -> Iterator[str]:
    if given["JwtAlgorithm"] in {"RS256", "ES256"} and not given["JwtJwksUrl"]:
        yield f"JWT_ALGORITHM={given['JwtAlgorithm']} needs JWT_JWKS_URL, such as {EXAMPLES['JwtJwksUrl']}"


def _spend(given: Mapping[str, str]) -> Iterator[str]:
    if given["MonthlyBudget"] != "0" and not given["AlarmEmail"]:
        yield f"MONTHLY_BUDGET={given['MonthlyBudget']} needs ALARM_EMAIL, such as {EXAMPLES['AlarmEmail']}"


def _fault(name: str, value: str, said: str) -> str:
    example = f"; for example {variable(name)}={EXAMPLES[name]}" if name in EXAMPLES else ""
    return f"{variable(name)}={value}: {said}{example}"
