"""What an organization sets of voice agents: its own accounts, whose secrets nobody sees, and who uses them."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib import clock
from chalicelib.aws import ssm
from chalicelib.organizations import store
from chalicelib.settings import settings
from tests import caches
from tests.service.aws import client
from tests.service.calling import before_the_next
from tests.service.cloud import Cloud, Reply
from tests.service.meter import metered
from tests.service.test_vendors import Vendor, dial, vendor
from tests.unit.line import Line
from tests.vendors import SECRET, TALKED, VENDORS, never_connected, reported, signed

__all__ = ["vendor"]

OWN = "a-secret-of-our-own"
UNSET = {
    "agentId": None,
    "callerNumbers": None,
    "maxDurationSeconds": None,
    "maxConcurrentCalls": None,
    "callsPerSecond": None,
}
ACCOUNT = UNSET | {"apiKey": {"set": False}, "webhookSecret": {"set": False}}
SHOWN: dict[str, dict[str, Any]] = {
    "simulated": UNSET,
    "http": UNSET | {"url": None, "token": {"set": False}, "webhookSecret": {"set": False}},
    "retell": ACCOUNT | {"apiUrl": "https://api.retellai.com"},
    "vapi": ACCOUNT | {"apiUrl": "https://api.vapi.ai", "credentialId": None},
    "elevenlabs": ACCOUNT | {"apiUrl": "https://api.elevenlabs.io", "telephony": "twilio"},
}


def parameters() -> dict[str, Any]:
    """The organizations' secrets in SSM, by name."""
    found = client("ssm").describe_parameters()["Parameters"]
    names = [each["Name"] for each in found if each["Name"].startswith("/autocall/organizations/")]
    return {name: client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"] for name in names}


def tell(cloud: Cloud, provider: str, message: Any, *, organization: str = "", key: str = OWN) -> Reply:
    """The answer to a signed webhook."""
    body = json.dumps(message).encode()
    path = f"/agents/{provider}/webhook" + (f"/{organization}" if organization else "")
    reply = cloud.post(path, body, organization=None, headers=signed(provider, body, clock.now(), key=key))
    cloud.pace_all()
    return reply


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents may be on this machine, as on a laptop."""
    monkeypatch.setenv("AGENTS_MAY_BE_PRIVATE", "true")
    caches.clear()


def open_account(cloud: Cloud, vendor: Vendor, provider: str = "retell", organization: str = "1", **more: Any) -> None:
    """Give an organization an account of its own with a vendor."""
    own = {"apiKey": "own-key", "webhookSecret": OWN, "agentId": "own-agent", "callerNumbers": ["own-number"]}
    own |= {"apiUrl": f"http://127.0.0.1:{vendor.server.server_port}"}
    own |= {"credentialId": "own-credential"} if provider == "vapi" else {}
    reply = cloud.patch(f"/settings/agents/{provider}", own | more, organization=organization)
    assert reply.status == 200, reply


def call(cloud: Cloud, vendor: Vendor, provider: str = "retell", organization: str = "1") -> tuple[str, str]:
    """A call under way: campaign and contact."""
    vendor.provider = provider
    [contact_id] = cloud.contacts(1, organization=organization)
    campaign = cloud.a_campaign([contact_id], organization=organization, agent={"provider": provider})
    cloud.post(f"/campaigns/{campaign['id']}/start", organization=organization)
    cloud.pace_all()
    dial(cloud)
    return campaign["id"], contact_id


@pytest.mark.parametrize("provider", SHOWN)
def test_organization_that_set_nothing_uses_the_deployments_account(cloud: Cloud, provider: str) -> None:
    assert cloud.get(f"/settings/agents/{provider}").body == SHOWN[provider]


@pytest.mark.parametrize("provider", SHOWN)
def test_what_was_set_is_shown_and_can_be_sent_back(cloud: Cloud, provider: str) -> None:
    path = f"/settings/agents/{provider}"
    given = {"agentId": "a", "callerNumbers": ["+998712000001"], "maxDurationSeconds": 60}
    given |= {"maxConcurrentCalls": 20, "callsPerSecond": 0.5}
    hidden = [name for name, value in SHOWN[provider].items() if isinstance(value, dict)]
    shown = SHOWN[provider] | given | {name: {"set": True} for name in hidden}
    assert cloud.patch(path, given | dict.fromkeys(hidden, OWN)).body == shown
    assert cloud.get(path).body == shown
    before = parameters()
    assert cloud.patch(path, shown).body == shown
    assert parameters() == before
    assert cloud.get(path, organization="2").body == SHOWN[provider]
    assert cloud.patch(path, dict.fromkeys([*given, *hidden])).body == SHOWN[provider]
    assert parameters() == {}
    assert cloud.get("/settings").body.keys() == {*SETTINGS}


SETTINGS = ("timezone", "callingPaused", "defaultCallingHours", "allowedCountries", "retentionDays")


def test_secrets_are_in_one_encrypted_parameter_and_nowhere_else(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    organization = "Lender & Söhne, 1"
    said = [
        cloud.patch("/settings/agents/retell", {"apiKey": OWN}, organization=organization),
        cloud.patch("/settings/agents/retell", {"webhookSecret": f"{OWN}-2"}, organization=organization),
        cloud.get("/settings/agents/retell", organization=organization),
        cloud.patch("/settings/agents/retell", {"apiKey": f"{OWN} "}, organization=organization),
    ]
    assert [each.status for each in said] == [200, 200, 200, 400]
    [(name, kept)] = parameters().items()
    assert kept["Type"] == "SecureString"
    assert json.loads(kept["Value"]) == {"apiKey": OWN, "webhookSecret": f"{OWN}-2"}
    assert organization not in name
    key = {"organizationId": {"S": organization}, "name": {"S": store.CALLING}}
    row = client("dynamodb").get_item(TableName=settings().settings_table, Key=key)["Item"]
    assert "agents" in row
    assert OWN not in json.dumps([[each.body for each in said], row])
    assert OWN not in caplog.text


@pytest.mark.parametrize(
    ("provider", "given", "field"),
    [
        ("retell", {"url": "https://agent.example"}, "url"),
        ("retell", {"callerNumber": "+998712000001"}, "callerNumber"),
        ("retell", {"callerNumbers": []}, "callerNumbers"),
        ("retell", {"callerNumbers": ["a b"]}, "callerNumbers[0]"),
        ("retell", {"maxDurationSeconds": 5}, "maxDurationSeconds"),
        ("retell", {"maxConcurrentCalls": 0}, "maxConcurrentCalls"),
        ("retell", {"callsPerSecond": 0}, "callsPerSecond"),
        ("retell", {"callsPerSecond": "fast"}, "callsPerSecond"),
        ("retell", {"apiKey": ""}, "apiKey"),
        ("retell", {"apiKey": {"set": True}}, "apiKey"),
        ("retell", {"apiUrl": "https://retellai.com.example"}, "apiUrl"),
        ("retell", {"apiUrl": "https://notretellai.com"}, "apiUrl"),
        ("retell", {"apiUrl": "http://api.retellai.com"}, "apiUrl"),
        ("retell", {"apiUrl": "https://api.retellai.com@169.254.169.254"}, "apiUrl"),
        ("elevenlabs", {"telephony": "tin cans"}, "telephony"),
        ("http", {"apiKey": "x"}, "apiKey"),
        ("http", {"url": "http://agent.example/calls"}, "url"),
        ("http", {"url": "https://localhost/calls"}, "url"),
        ("http", {"url": "https://127.0.0.1/calls"}, "url"),
        ("http", {"url": "https://2130706433/calls"}, "url"),
        ("http", {"url": "https://10.1.2.3/calls"}, "url"),
        ("http", {"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ("http", {"url": "https://[::1]/calls"}, "url"),
        ("http", {"url": "https://[::ffff:10.0.0.1]/calls"}, "url"),
        ("http", {"url": "https://[64:ff9b::a00:1]/calls"}, "url"),
        ("http", {"url": "https://user:password@agent.example"}, "url"),
        ("http", {"url": "https://agent.example/a b"}, "url"),
        ("http", {"url": "ftp://agent.example"}, "url"),
        ("http", {"url": "https://"}, "url"),
        ("http", {"url": ""}, "url"),
    ],
)
def test_what_makes_no_sense_is_refused(cloud: Cloud, provider: str, given: dict[str, Any], field: str) -> None:
    assert cloud.patch(f"/settings/agents/{provider}", given).field_at_fault == field
    assert cloud.get(f"/settings/agents/{provider}").body == SHOWN[provider]


def test_vendors_other_regions_and_addresses_nobody_knows_yet_are_taken(cloud: Cloud) -> None:
    elsewhere = "https://api.eu.residency.elevenlabs.io"
    assert cloud.patch("/settings/agents/elevenlabs", {"apiUrl": elsewhere}).body["apiUrl"] == elsewhere
    assert cloud.patch("/settings/agents/http", {"url": "https://agent.invalid/calls?a=b"}).status == 200


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("provider", VENDORS)
def test_organizations_own_account_places_its_calls_and_reports_them(
    cloud: Cloud, vendor: Vendor, provider: str
) -> None:
    open_account(cloud, vendor, provider)
    campaign_id, contact_id = call(cloud, vendor, provider)
    order = json.dumps(vendor.orders[-1][1])
    assert all(own in order for own in ("own-agent", "own-number"))
    assert "+12025550101" not in order
    assert "/webhook/1" in order or provider == "elevenlabs"
    report = reported(provider, vendor.attempt, reason=TALKED[provider], outcome="PROMISE_TO_PAY")
    for organization, key in (("", OWN), ("1", SECRET), ("2", OWN), ("2", SECRET)):
        assert tell(cloud, provider, report, organization=organization, key=key).problem == (401, "unauthorized")
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    assert tell(cloud, provider, report, organization="1").status < 300
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PROMISE_TO_PAY"


def test_organization_may_use_the_deployments_account_with_an_agent_of_its_own(cloud: Cloud, vendor: Vendor) -> None:
    given = {"agentId": "own-agent", "callerNumbers": ["+998712000001"], "maxDurationSeconds": 60}
    cloud.patch("/settings/agents/retell", given | {"apiUrl": "https://eu.retellai.com"})
    call(cloud, vendor)
    [(_, order)] = vendor.orders
    assert (order["override_agent_id"], order["from_number"]) == ("own-agent", "+998712000001")
    assert order["agent_override"]["agent"]["max_call_duration_ms"] == 60_000
    assert order["agent_override"]["agent"]["webhook_url"].endswith("/agents/retell/webhook")


@pytest.mark.usefixtures("anywhere")
def test_account_that_lacks_something_places_no_call_with_the_deployments(cloud: Cloud, vendor: Vendor) -> None:
    open_account(cloud, vendor, webhookSecret=None)
    campaign_id, _ = call(cloud, vendor)
    cloud.pace_all()
    assert vendor.orders == []
    assert "webhookSecret" in cloud.campaign(campaign_id)["statusReason"]


@pytest.mark.usefixtures("anywhere")
def test_organization_tells_nothing_of_anothers_calls(cloud: Cloud, vendor: Vendor) -> None:
    open_account(cloud, vendor, organization="2")
    campaign_id, contact_id = call(cloud, vendor)
    report = reported("retell", vendor.attempt, reason=TALKED["retell"], outcome="DO_NOT_CALL")
    assert tell(cloud, "retell", report, organization="2").problem == (404, "not-found")
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    assert cloud.get(f"/contacts/{contact_id}").body["status"] == "ACTIVE"


@pytest.mark.usefixtures("anywhere")
def test_conversations_of_one_account_are_not_those_of_another(cloud: Cloud, vendor: Vendor) -> None:
    open_account(cloud, vendor, "elevenlabs", organization="2")
    early = never_connected("busy", "conversation-1")
    assert tell(cloud, "elevenlabs", early, organization="2").status == 200
    campaign_id, contact_id = call(cloud, vendor, "elevenlabs")
    cloud.pace_all()
    assert vendor.conversation == "conversation-1"
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    assert tell(cloud, "elevenlabs", early, key=SECRET).status == 200
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "BUSY"


@pytest.mark.usefixtures("anywhere")
def test_secret_that_was_written_anew_holds_at_once(cloud: Cloud, vendor: Vendor) -> None:
    open_account(cloud, vendor)
    call(cloud, vendor)
    report = reported("retell", vendor.attempt, reason=TALKED["retell"], success=True)
    cloud.patch("/settings/agents/retell", {"webhookSecret": "another"})
    assert tell(cloud, "retell", report, organization="1", key=OWN).status == 401
    assert tell(cloud, "retell", report, organization="1", key="another").status == 202


@pytest.mark.parametrize("headers", [{}, {"X-Retell-Signature": "v=1,d=0"}])
def test_webhook_that_carries_no_signature_reads_nothing(cloud: Cloud, headers: dict[str, str]) -> None:
    with metered() as meter:
        reply = cloud.post("/agents/retell/webhook/nobody", b"{}", organization=None, headers=headers)
    assert reply.problem == (401, "unauthorized")
    assert not meter.requests


def test_webhook_for_a_made_up_organization_reads_no_secret(cloud: Cloud) -> None:
    with metered() as meter:
        assert tell(cloud, "retell", {}, organization="nobody").problem == (401, "unauthorized")
    assert (meter.requests["GetParameter"], meter.requests["GetItem"]) == (0, 1)


@pytest.mark.usefixtures("anywhere")
def test_own_account_costs_a_call_one_secret_in_five_minutes(cloud: Cloud, vendor: Vendor) -> None:
    open_account(cloud, vendor)
    first, second = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign([first, second], agent={"provider": "retell"}, maxConcurrentCalls=1)
    vendor.provider = "retell"
    looks = {"GetItem": 1, "BatchGetItem": 2}
    with metered() as meter:
        dial(cloud)
    assert meter.requests.items() >= {**looks, "GetParameter": 1}.items()
    tell(cloud, "retell", reported("retell", vendor.attempt, reason=TALKED["retell"], success=True), organization="1")
    with metered() as meter:
        dial(cloud)
    assert meter.requests.items() >= looks.items()
    assert not meter.requests["GetParameter"]
    assert (len(vendor.orders), cloud.campaign(campaign_id)["inFlightCalls"]) == (2, 1)


@pytest.mark.usefixtures("anywhere")
def test_last_secret_is_used_while_none_can_be_read(
    cloud: Cloud, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_account(cloud, vendor)
    call(cloud, vendor)
    report = reported("retell", vendor.attempt, reason=TALKED["retell"], success=True)
    assert tell(cloud, "retell", report, organization="1").status == 202
    ssm.provider().clear_cache()
    asked = []

    def throttled(**_: Any) -> None:
        asked.append(1)
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter")

    monkeypatch.setattr(ssm.provider().client, "get_parameter", throttled)
    assert tell(cloud, "retell", report, organization="1").status == 202
    assert tell(cloud, "retell", report, organization="1").status == 202
    assert asked == [1]


def test_secrets_written_at_the_same_time_are_all_kept(cloud: Cloud) -> None:
    path, others = "/settings/agents/retell", []

    def another() -> None:
        others.append(cloud.patch(path, {"webhookSecret": "two"}))

    with before_the_next("UpdateItem", another):
        assert cloud.patch(path, {"apiKey": "one"}).status == 200
    assert [each.status for each in others] == [200]
    [kept] = parameters().values()
    assert json.loads(kept["Value"]) == {"apiKey": "one", "webhookSecret": "two"}


def test_secrets_are_written_by_one_at_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    path, others, put = "/settings/agents/retell", [], ssm.put

    def meanwhile(parameter: str, value: str) -> None:
        others.append(cloud.patch(path, {"webhookSecret": "two"}))
        put(parameter, value)

    monkeypatch.setattr(ssm, "put", meanwhile)
    assert cloud.patch(path, {"apiKey": "one"}).status == 200
    assert [each.problem for each in others] == [(429, "throttled")]
    monkeypatch.undo()
    assert cloud.patch(path, {"webhookSecret": "two"}).status == 200
    [kept] = parameters().values()
    assert json.loads(kept["Value"]) == {"apiKey": "one", "webhookSecret": "two"}
    assert store.find("1").secrets_until is None


def test_change_of_one_provider_waits_for_no_other(cloud: Cloud) -> None:
    def another() -> None:
        assert cloud.patch("/settings/agents/vapi", {"agentId": "b"}).status == 200

    with before_the_next("UpdateItem", another):
        assert cloud.patch("/settings/agents/retell", {"agentId": "a"}).status == 200
    shown = [cloud.get(f"/settings/agents/{provider}").body["agentId"] for provider in ("retell", "vapi")]
    assert shown == ["a", "b"]


def own_agent(cloud: Cloud, url: str, **more: Any) -> None:
    assert cloud.patch("/settings/agents/http", {"url": url, "token": OWN, **more}).status == 200


def call_by_http(cloud: Cloud, phone: str = "+998901234567") -> dict[str, Any]:
    """A campaign with a call by an agent of somebody's own, as it is then."""
    campaign_id = cloud.a_running_campaign([cloud.a_contact(phone)["id"]], agent={"provider": "http"})
    dial(cloud)
    cloud.pace_all()
    return cloud.campaign(campaign_id)


@pytest.mark.usefixtures("anywhere")
def test_own_agent_gets_its_own_token_and_its_own_address_for_reports(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("ssm").put_parameter(Name="/agent-token", Value="the deployment's", Type="SecureString")
    monkeypatch.setenv("AGENT_TOKEN_PARAMETER", "/agent-token")
    monkeypatch.setenv("AGENT_URL", "https://agent.invalid")
    caches.clear()
    with closing(Line()) as line:
        line.reports(success=True)
        own_agent(cloud, f"http://{line.address}/calls")
        assert call_by_http(cloud)["status"] == "COMPLETED"
        cloud.patch("/settings/agents/http", {"token": None})
        line.reports(success=True)
        assert call_by_http(cloud, "+998901234568")["status"] == "COMPLETED"
    first, second = line.received
    assert f"Authorization: Bearer {OWN}".encode() in first
    assert b'/agents/http/webhook/1"' in first
    assert b"authorization" not in second.lower()
    assert b"the deployment's" not in first + second


def test_own_agent_is_not_connected_to_where_its_name_leads_by_the_time_of_the_call(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    with closing(Line()) as line:
        host, port = line.address.split(":")
        leads_to = [("93.184.215.14", 443)]

        def rebound(name: Any, *given: Any, **more: Any) -> Any:
            if name != "agent.invalid":
                return resolve(name, *given, **more)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in leads_to]

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        line.reports(success=True)
        own_agent(cloud, f"https://agent.invalid:{port}/calls")
        leads_to.append((host, int(port)))
        campaign = call_by_http(cloud)
    assert line.received == []
    assert campaign["statusCounts"]["PENDING"] == 1
    assert "private network" in campaign["statusReason"]
