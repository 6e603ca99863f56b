"""A voice agent of one's own, on the deployed system: orders go out over HTTP, results come back by signed webhook."""

from __future__ import annotations

import time
from typing import Any

from tests.stack.agent import Order, VoiceAgent, report
from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office


def a_running_campaign(office: Office, contacts: int = 1, **fields: Any) -> str:
    """A campaign with the agent `http` that has just been started."""
    people = [office.contact(number)["id"] for number in range(contacts)]
    made = office.campaign(agent={"provider": "http"}, contactIds=people, **fields)
    office.post(f"/campaigns/{made['id']}/start")
    return str(made["id"])


def orders(agent: VoiceAgent, campaign: str, number: int = 1) -> list[Order]:
    """The campaign's orders, once the agent has so many."""
    return eventually(lambda: found if len(found := agent.orders(campaign)) >= number else None, 20)


def webhook_secret(stack: LocalStack) -> str:
    return stack.laptop.secret("webhook")


def test_accepted_call_ends_with_its_webhook(office: Office, stack: LocalStack, agent: VoiceAgent) -> None:
    campaign = a_running_campaign(office, campaignType="SURVEY")
    (order,) = orders(agent, campaign)
    assert order.authorization == f"Bearer {agent.token}"
    assert order.idempotency_key == order.call_id
    assert {"phoneNumber", "firstName", "lastName", "customData", "contactId", "campaignType"} < set(order.body)
    assert order.body["callbackUrl"] == f"{stack.base}/auto-calling/agents/http/webhook"

    told = {"outcome": "Paid", "summary": "He paid.", "duration": 42, "recordingUrl": "https://agent.example/1.mp3"}
    assert report(order, webhook_secret(stack), success=True, **told).status_code == 202
    office.comes_to(campaign, "COMPLETED")

    call = office.get(f"/campaigns/{campaign}/contacts/{order.body['contactId']}")
    assert (call["callStatus"], call["conversationOutcome"], call["callDuration"]) == ("SUCCESS", "Paid", 42)
    assert call["recordingUrl"] == told["recordingUrl"]
    assert report(order, webhook_secret(stack), success=True).status_code == 202


def test_webhook_with_a_wrong_signature_is_refused(office: Office, stack: LocalStack, agent: VoiceAgent) -> None:
    campaign = a_running_campaign(office)
    (order,) = orders(agent, campaign)
    answer = report(order, "a guess", success=True)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert office.get(f"/campaigns/{campaign}")["inFlightCalls"] == 1


def test_webhook_of_an_unknown_call_is_refused(stack: LocalStack) -> None:
    url = f"{stack.base}/auto-calling/agents/http/webhook"
    order = Order({"callId": "01a20895-31cc-75d4-ae54-80a1c92f0eac", "callbackUrl": url}, "", "")
    assert report(order, webhook_secret(stack), success=True).status_code == 404


def test_answer_at_once_is_the_result(office: Office, agent: VoiceAgent) -> None:
    campaign = office.campaign(agent={"provider": "http"}, contactIds=[office.contact(0)["id"]])["id"]
    agent.answers(campaign, 200, {"success": False, "status": "REFUSED", "outcome": "Would not talk"})
    office.post(f"/campaigns/{campaign}/start")
    assert office.comes_to(campaign, "COMPLETED")["statusCounts"]["REFUSED"] == 1


def test_stopped_campaign_calls_nobody_until_it_starts_again(
    office: Office, stack: LocalStack, agent: VoiceAgent
) -> None:
    campaign = a_running_campaign(office, contacts=4, maxConcurrentCalls=2)
    first = orders(agent, campaign, 2)
    assert office.request("DELETE", f"/campaigns/{campaign}").json()["code"] == "campaign-running"
    busy = office.request("DELETE", f"/contacts/{first[0].body['contactId']}")
    assert (busy.status_code, busy.json()["code"]) == (409, "call-under-way")

    assert office.post(f"/campaigns/{campaign}/stop")["status"] == "PAUSED"
    for order in first:
        report(order, webhook_secret(stack), success=True)
    assert office.comes_to(campaign, "PAUSED")["calledContacts"] == 2
    time.sleep(2)
    assert len(agent.orders(campaign)) == 2

    office.post(f"/campaigns/{campaign}/start")
    for order in orders(agent, campaign, 4)[2:]:
        report(order, webhook_secret(stack), success=True)
    assert office.comes_to(campaign, "COMPLETED")["successfulCalls"] == 4


def test_busy_line_is_dialed_again(office: Office, stack: LocalStack, agent: VoiceAgent) -> None:
    campaign = a_running_campaign(office, retry={"maxAttempts": 2, "delayMinutes": [0], "on": ["BUSY"]})
    (first,) = orders(agent, campaign)
    report(first, webhook_secret(stack), status="BUSY")
    second = orders(agent, campaign, 2)[1]
    assert second.call_id != first.call_id
    report(second, webhook_secret(stack), success=True)
    office.comes_to(campaign, "COMPLETED")
    call = office.get(f"/campaigns/{campaign}/contacts/{first.body['contactId']}")
    assert [attempt["callStatus"] for attempt in call["attempts"]] == ["BUSY", "SUCCESS"]


def test_agent_that_refuses_our_credentials_pauses_the_campaign(office: Office, agent: VoiceAgent) -> None:
    campaign = office.campaign(agent={"provider": "http"}, contactIds=[office.contact(0)["id"]])["id"]
    agent.answers(campaign, 401, {})
    office.post(f"/campaigns/{campaign}/start")
    paused = office.comes_to(campaign, "PAUSED")
    assert "credentials" in paused["statusReason"]
    assert paused["statusCounts"]["PENDING"] == 1
