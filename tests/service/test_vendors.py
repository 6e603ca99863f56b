"""Campaigns with agents at vendors: from the order over the webhook to what is booked."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import app
from chalicelib import clock
from chalicelib.settings import settings
from local.vendors import DIALECTS
from tests import caches
from tests.service.aws import client
from tests.service.cloud import Cloud, Reply, in_an, sqs_event
from tests.vendors import NEVER_ANSWERED, TALKED, VENDORS, acceptance, account, never_connected, reported, signed

RETRY = {"maxAttempts": 3, "delayMinutes": [5], "on": ["NO_ANSWER", "REFUSED"]}


class Vendor:
    """A vendor on this machine: accepts every order, under a conversation's id of its own each."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, dict[str, Any]]] = []
        self.provider = ""
        vendor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                vendor.orders.append((self.path, body))
                answer = json.dumps(acceptance(vendor.provider, vendor.conversation)).encode()
                self.send_response(202 if vendor.provider == "http" else 201)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def conversation(self) -> str:
        """Its id of the last call."""
        return f"conversation-{len(self.orders)}"

    @property
    def attempt(self) -> str:
        """Our id of the last call, where each vendor is to give it back."""
        body = self.orders[-1][1]
        return DIALECTS[self.provider].ordered(body)[0]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def vendor(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    made = Vendor()
    for provider in VENDORS:
        text = account(provider, f"http://127.0.0.1:{made.server.server_port}")
        client("ssm").put_parameter(Name=f"/agents/{provider}", Value=text, Type="SecureString")
    monkeypatch.setenv("AGENT_ACCOUNTS_PATH", "/agents")
    monkeypatch.setenv("AGENT_URL", f"http://127.0.0.1:{made.server.server_port}/call")
    monkeypatch.setenv("PUBLIC_URL", "https://api.test")
    caches.clear()
    yield made
    made.close()


def dialed(cloud: Cloud, vendor: Vendor, provider: str, **fields: Any) -> tuple[str, str]:
    """A call under way with a vendor: campaign and contact."""
    vendor.provider = provider
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent={"provider": provider}, **fields)
    dial(cloud)
    return campaign_id, contact_id


def dial(cloud: Cloud) -> None:
    for order in cloud.take(settings().dial_queue, 100):
        app.dial(sqs_event([order]), None)


def tell(cloud: Cloud, provider: str, message: Any) -> Reply:
    """A vendor's signed webhook, and what it leads to."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    path, headers = f"/agents/{provider}/webhook", signed(provider, body, clock.now())
    reply = cloud.post(path, body, organization=None, headers=headers)
    cloud.pace_all()
    return reply


ACCEPTED = {"http": 202, "retell": 202, "vapi": 202, "elevenlabs": 200}


@pytest.mark.parametrize("provider", VENDORS)
def test_campaign_from_the_order_to_its_end(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    assert (
        f"https://api.test/auto-calling/agents/{provider}/webhook" in json.dumps(vendor.orders)
        or provider == "elevenlabs"
    )
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    report = reported(provider, vendor.attempt, reason=TALKED[provider], outcome="PROMISE_TO_PAY")
    assert tell(cloud, provider, report).status == ACCEPTED[provider]
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationSummary"], call["callDuration"]) == (
        "PROMISE_TO_PAY",
        "They talked.",
        42,
    )
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert tell(cloud, provider, report).status == ACCEPTED[provider]
    assert cloud.campaign(campaign_id)["successfulCalls"] == 1


@pytest.mark.parametrize("provider", VENDORS)
def test_voicemail_and_silence_are_dialed_again_as_another_attempt(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider, retry=RETRY)
    first = vendor.attempt
    tell(cloud, provider, reported(provider, first, reason=NEVER_ANSWERED[provider]))
    cloud.tick(in_an(minutes=6))
    dial(cloud)
    assert first != vendor.attempt
    tell(cloud, provider, reported(provider, vendor.attempt, reason=TALKED[provider], success=True))
    call = cloud.call(campaign_id, contact_id)
    assert [attempt["callStatus"] for attempt in call["attempts"]] == ["NO_ANSWER", "SUCCESS"]


@pytest.mark.parametrize("provider", VENDORS)
def test_whoever_asks_never_to_be_called_is_barred(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider, retry=RETRY)
    tell(cloud, provider, reported(provider, vendor.attempt, reason=TALKED[provider], outcome="DO_NOT_CALL"))
    assert cloud.get(f"/contacts/{contact_id}").body["status"] == "DO_NOT_CALL"
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["nextAttemptAt"]) == ("REFUSED", None)


@pytest.mark.parametrize("provider", VENDORS)
def test_callback_is_dialed_when_the_contact_asked_for(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    at = clock.stamp(in_an(hours=3))
    asked = reported(provider, vendor.attempt, reason=TALKED[provider], outcome="callback requested", callback_at=at)
    tell(cloud, provider, asked)
    assert cloud.call(campaign_id, contact_id)["nextAttemptAt"] == at


@pytest.mark.parametrize("provider", VENDORS)
def test_webhook_that_does_not_name_the_attempt_is_known_by_the_conversation(
    cloud: Cloud, vendor: Vendor, provider: str
) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    message = reported(
        provider, None, reason=TALKED[provider], success=True, conversation_id=f"conversation-{len(vendor.orders)}"
    )
    tell(cloud, provider, message)
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"


def test_call_that_never_connected_is_booked_by_its_conversation(cloud: Cloud, vendor: Vendor) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, "elevenlabs")
    assert tell(cloud, "elevenlabs", never_connected("busy", vendor.conversation)).status == 200
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("BUSY", "busy")


def test_failure_that_overtakes_the_answer_is_kept_until_the_attempt_is_known(cloud: Cloud, vendor: Vendor) -> None:
    assert tell(cloud, "elevenlabs", never_connected("no-answer", "conversation-1")).status == 200
    campaign_id, contact_id = dialed(cloud, vendor, "elevenlabs")
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "NO_ANSWER"
    assert tell(cloud, "elevenlabs", never_connected("no-answer", "conversation-1")).status == 200
    assert cloud.campaign(campaign_id)["statusCounts"]["NO_ANSWER"] == 1


def test_call_that_retell_takes_and_does_not_dial_costs_no_attempt(cloud: Cloud, vendor: Vendor) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, "retell")
    first = vendor.attempt
    full = reported("retell", first, reason="concurrency_limit_reached", seconds=0)
    tell(cloud, "retell", full)
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["attempts"]) == ("PENDING", [])
    cloud.tick(in_an(minutes=2))
    dial(cloud)
    assert vendor.attempt != first
    tell(cloud, "retell", full)
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    tell(cloud, "retell", reported("retell", vendor.attempt, reason="agent_hangup", success=True))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"


def test_account_without_money_pauses_the_campaign_at_no_cost(cloud: Cloud, vendor: Vendor) -> None:
    campaign_id, _ = dialed(cloud, vendor, "vapi")
    reason = "call.start.error-subscription-insufficient-credits"
    tell(cloud, "vapi", reported("vapi", vendor.attempt, reason=reason, seconds=0))
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["failedCalls"], campaign["statusCounts"]["PENDING"]) == ("PAUSED", 0, 1)
    assert "payment" in campaign["statusReason"]
    assert reason in campaign["statusReason"]


def test_withdrawn_contact_whose_call_was_not_dialed_is_not_called(cloud: Cloud, vendor: Vendor) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, "retell")
    assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}").status == 204
    tell(cloud, "retell", reported("retell", vendor.attempt, reason="no_concurrency_fallback", seconds=0))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SKIPPED"


@pytest.mark.parametrize("provider", VENDORS)
def test_unsigned_webhook_changes_nothing(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    campaign_id, contact_id = dialed(cloud, vendor, provider)
    body = json.dumps(reported(provider, vendor.attempt, reason=TALKED[provider], success=True)).encode()
    path = f"/agents/{provider}/webhook"
    for headers in ({}, signed(provider, body, clock.now(), key="another"), signed(provider, body, in_an(hours=-1))):
        assert cloud.post(path, body, organization=None, headers=headers).problem == (401, "unauthorized")
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"


UNKNOWN = "0193587e-6aaa-7000-8000-000000000001"


@pytest.mark.parametrize("message", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_signed_webhook_that_cannot_be_read_is_answered_as_the_vendor_needs(
    cloud: Cloud, vendor: Vendor, message: bytes
) -> None:
    assert {provider: tell(cloud, provider, message).status for provider in VENDORS} == {
        **dict.fromkeys(VENDORS, 400),
        "elevenlabs": 200,
    }


def test_report_of_an_unknown_call_is_answered_as_the_vendor_needs(cloud: Cloud, vendor: Vendor) -> None:
    messages = {each: reported(each, UNKNOWN, reason=TALKED[each]) for each in VENDORS}
    answers = {each: tell(cloud, each, message).status for each, message in messages.items()}
    assert answers == {"retell": 404, "vapi": 404, "elevenlabs": 200}


@pytest.mark.parametrize(
    "message", [{"type": "post_call_audio"}, {"event": "call_started"}, {"message": {"type": "hang"}}, {}]
)
def test_event_that_tells_of_no_end_is_taken(cloud: Cloud, vendor: Vendor, message: dict[str, Any]) -> None:
    assert {provider: tell(cloud, provider, message).status for provider in VENDORS} == {
        provider: ACCEPTED[provider] for provider in VENDORS
    }


@pytest.mark.parametrize("provider", ["simulated", "nobody", "__init__", "contract"])
def test_provider_that_sends_no_webhooks_has_no_address_for_them(cloud: Cloud, provider: str) -> None:
    assert cloud.post(f"/agents/{provider}/webhook", b"{}", organization=None).problem == (404, "not-found")


def test_webhook_of_a_vendor_without_an_account_is_to_come_again(cloud: Cloud) -> None:
    assert tell(cloud, "retell", {}).problem == (503, "unavailable")


def test_campaign_of_a_vendor_without_an_account_says_what_is_missing(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1), agent={"provider": "vapi"})
    dial(cloud)
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["statusCounts"]["PENDING"], campaign["status"]) == (1, "RUNNING")
    assert "/vapi" in campaign["statusReason"]


def test_campaign_names_its_agent_and_what_that_is_told(cloud: Cloud, vendor: Vendor) -> None:
    vendor.provider = "retell"
    contact_id = cloud.a_contact(notes="Prefers mornings", timezone="Asia/Tashkent", customData={"debt": 5})["id"]
    agent = {"provider": "retell", "agentId": "agent-7", "variables": {"company": "Lender", "debt": "none"}}
    campaign_id = cloud.a_running_campaign([contact_id], agent=agent)
    dial(cloud)
    assert cloud.campaign(campaign_id)["agent"] == agent
    [(_, order)] = vendor.orders
    assert order["override_agent_id"] == "agent-7"
    told = order["retell_llm_dynamic_variables"]
    expected = {
        *{("notes", "Prefers mornings"), ("timezone", "Asia/Tashkent"), ("debt", "5"), ("company", "Lender")},
        *{("campaignName", "January"), ("campaignType", "GENERAL"), ("organizationId", "1"), ("firstName", "Ali")},
    }
    assert expected <= set(told.items())


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"agentId": ""}, "agent.agentId"),
        ({"agentId": "two words"}, "agent.agentId"),
        ({"agentId": "x" * 201}, "agent.agentId"),
        ({"variables": {"two words": "x"}}, "agent.variables"),
        ({"variables": {"name": 5}}, "agent.variables"),
        ({"variables": {"name": "x" * 1_001}}, "agent.variables"),
        ({"variables": {f"n{n}": "" for n in range(51)}}, "agent.variables"),
        ({"url": "https://agent.test"}, "agent.url"),
    ],
)
def test_agent_of_a_campaign_is_checked(cloud: Cloud, more: dict[str, Any], field: str) -> None:
    reply = cloud.post("/campaigns", {"name": "January", "agent": {"provider": "retell", **more}})
    assert reply.field_at_fault.startswith(field)
    assert "another value" not in reply.body["errors"][0]["message"]
