"""Voice agents on the deployed system: orders go out over HTTP, results come back by signed webhook."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.laptop import ROOT
from local.vendors import DIALECTS
from tests.stack.agent import VoiceAgent
from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office
from tests.stack.test_workflow import BY_LAST_DIGIT

WEBHOOK = "/auto-calling/agents/http/webhook"


@pytest.fixture
def held(agent: VoiceAgent) -> Iterator[VoiceAgent]:
    """The agent, whose conversations last until the test ends them."""
    with agent.behaving(held=True):
        yield agent


def a_running_campaign(office: Office, contacts: int = 1, provider: str = "http", **fields: Any) -> str:
    """A campaign that has just been started."""
    people = [office.contact(number)["id"] for number in range(contacts)]
    made = office.campaign(agent={"provider": provider}, contactIds=people, **fields)
    office.post(f"/campaigns/{made['id']}/start")
    return str(made["id"])


def report(stack: LocalStack, secret: str, **told: Any) -> requests.Response:
    """A webhook of our own, signed with `secret`."""
    body = json.dumps(told).encode()
    headers = {"Content-Type": "application/json", **DIALECTS["http"].signed(body, time.time(), secret)}
    return requests.post(stack.base + WEBHOOK, data=body, headers=headers, timeout=60)


def test_accepted_call_ends_with_its_webhook(office: Office, stack: LocalStack, held: VoiceAgent) -> None:
    campaign = a_running_campaign(office, campaignType="SURVEY")
    [call] = held.calls(office.organization, 1)
    order = call["order"]
    assert {"phoneNumber", "firstName", "lastName", "customData", "contactId", "campaignType"} < set(order)
    assert order["callbackUrl"] == stack.base + WEBHOOK

    told = {"outcome": "Paid", "summary": "He paid.", "duration": 42, "recordingUrl": "https://agent.example/1.mp3"}
    assert held.end(call, success=True, **told) == [202]
    office.comes_to(campaign, "COMPLETED")

    found = office.get(f"/campaigns/{campaign}/contacts/{order['contactId']}")
    assert (found["callStatus"], found["conversationOutcome"], found["callDuration"]) == ("SUCCESS", "Paid", 42)
    assert found["recordingUrl"] == told["recordingUrl"]
    assert held.end(call, success=True) == [202]


def test_webhook_with_a_wrong_signature_is_refused(office: Office, stack: LocalStack, held: VoiceAgent) -> None:
    campaign = a_running_campaign(office)
    [call] = held.calls(office.organization, 1)
    answer = report(stack, "a guess", callId=call["attempt"], success=True)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert office.get(f"/campaigns/{campaign}")["inFlightCalls"] == 1


def test_webhook_of_an_unknown_call_is_refused(stack: LocalStack) -> None:
    secret = stack.laptop.secrets()["WEBHOOK_SECRET"]
    assert report(stack, secret, callId="01a20895-31cc-75d4-ae54-80a1c92f0eac", success=True).status_code == 404


def test_webhook_of_four_megabytes_reaches_us_whatever_is_in_it(stack: LocalStack) -> None:
    secret = stack.laptop.secrets()["WEBHOOK_SECRET"]
    told = {"callId": "01a20895-31cc-75d4-ae54-80a1c92f0eac", "success": True}
    assert report(stack, secret, **told, summary='"' * 2_000_000).status_code == 404


def test_webhook_that_cannot_be_read_is_kept_for_inspection(stack: LocalStack) -> None:
    secret = stack.laptop.secrets()["WEBHOOK_SECRET"]
    assert report(stack, secret, success=True, unheard_of=stack.base).status_code == 400
    s3 = stack.client("s3")
    bucket = stack.outputs()["BucketName"]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="unread/http/")["Contents"]]
    kept = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["built"] for key in keys]
    assert {"success": "truth", "unheard_of": "text"} in kept


def test_test_call_rings_one_phone_and_goes_with_its_person(office: Office, held: VoiceAgent) -> None:
    contact = office.contact(1)
    path = f"/campaigns/{office.campaign(agent={'provider': 'http'})['id']}/test-calls"
    made = office.post(path, {"phone": "+998901234567", "contactId": contact["id"]}, status=202)
    [call] = held.calls(office.organization, 1)
    assert call["attempt"] == made["callId"]
    assert held.end(call, status="PROMISE_TO_PAY", promisedDate="2026-12-01") == [202]
    ended = office.get(f"{path}/{made['callId']}")
    assert (ended["callStatus"], ended["promisedDate"]) == ("PROMISE_TO_PAY", "2026-12-01")
    assert office.request("DELETE", f"/contacts/{contact['id']}?erase=true").status_code == 204
    eventually(lambda: office.request("GET", f"{path}/{made['callId']}").status_code == 404)


def test_answer_at_once_is_the_result(office: Office, agent: VoiceAgent) -> None:
    with agent.behaving(waits=True):
        campaign = a_running_campaign(office, contacts=6)
        statuses = office.comes_to(campaign, "COMPLETED")["statusCounts"]
    assert (statuses["SUCCESS"], statuses["PROMISE_TO_PAY"], statuses["REFUSED"]) == (4, 1, 1)


def test_stopped_campaign_calls_nobody_until_it_starts_again(office: Office, held: VoiceAgent) -> None:
    campaign = a_running_campaign(office, contacts=4, maxConcurrentCalls=2)
    first = held.calls(office.organization, 2)
    assert office.request("DELETE", f"/campaigns/{campaign}").json()["code"] == "campaign-running"
    busy = office.request("DELETE", f"/contacts/{first[0]['order']['contactId']}")
    assert (busy.status_code, busy.json()["code"]) == (409, "call-under-way")

    assert office.post(f"/campaigns/{campaign}/stop")["status"] == "PAUSED"
    for call in first:
        held.end(call, success=True)
    assert office.comes_to(campaign, "PAUSED")["calledContacts"] == 2
    time.sleep(2)
    assert len(held.calls(office.organization)) == 2

    office.post(f"/campaigns/{campaign}/start")
    for call in held.calls(office.organization, 4)[2:]:
        held.end(call, success=True)
    assert office.comes_to(campaign, "COMPLETED")["successfulCalls"] == 4


def test_busy_line_is_dialed_again(office: Office, held: VoiceAgent) -> None:
    campaign = a_running_campaign(office, retry={"maxAttempts": 2, "delayMinutes": [0], "on": ["BUSY"]})
    [first] = held.calls(office.organization, 1)
    held.end(first, status="BUSY")
    second = held.calls(office.organization, 2)[1]
    assert second["attempt"] != first["attempt"]
    held.end(second, success=True)
    office.comes_to(campaign, "COMPLETED")
    call = office.get(f"/campaigns/{campaign}/contacts/{first['order']['contactId']}")
    assert [attempt["callStatus"] for attempt in call["attempts"]] == ["BUSY", "SUCCESS"]


def test_agent_that_refuses_our_credentials_pauses_the_campaign(office: Office, agent: VoiceAgent) -> None:
    with agent.behaving(refused={"401": 1}):
        campaign = a_running_campaign(office)
        paused = office.comes_to(campaign, "PAUSED")
    assert "credentials" in paused["statusReason"]
    assert paused["statusCounts"]["PENDING"] == 1


CONTACTS = 20


def test_next_agent_takes_over_in_the_middle_of_a_campaign(office: Office, agent: VoiceAgent) -> None:
    fallback = {"fallbackAgents": [{"provider": "vapi"}]}
    assert office.request("PATCH", "/settings/agents/vapi", json={"maxConcurrentCalls": 2}).status_code == 200
    with agent.behaving("retell", held=True):
        campaign = a_running_campaign(office, 10, "retell", maxConcurrentCalls=4, **fallback)
        first = agent.calls(office.organization, 4)
        with agent.behaving("retell", refused={"401": 1}):
            for call in first:
                agent.end(call, status="SUCCESS")
            office.comes_to(campaign, "COMPLETED", 60)
    made = {call["attempt"]: call["provider"] for call in agent.calls(office.organization)}
    found = office.get(f"/campaigns/{campaign}/contacts")["data"]
    booked = [(attempt["attemptId"], attempt["provider"]) for call in found for attempt in call["attempts"]]
    assert len(booked) == 10
    assert dict(booked) == made
    assert Counter(made.values()) == {"retell": 4, "vapi": 6}


@pytest.mark.parametrize("provider", DIALECTS)
@pytest.mark.parametrize("behavior", [{}, {"doubled": 1, "voicemail": 0.5, "early": 0.5}], ids=["plain", "rough"])
def test_campaign_comes_to_its_end_with_every_provider(
    office: Office, agent: VoiceAgent, provider: str, behavior: dict[str, Any]
) -> None:
    with agent.behaving(provider, **behavior):
        campaign = a_running_campaign(office, CONTACTS, provider, maxConcurrentCalls=10)
        ended = office.comes_to(campaign, "COMPLETED", 120)
    expected = Counter(BY_LAST_DIGIT[n % 10] for n in range(CONTACTS))
    assert {status: number for status, number in ended["statusCounts"].items() if number} == expected
    calls = agent.calls(office.organization)
    assert {call["provider"] for call in calls} == {provider}
    assert len(calls) == len({call["attempt"] for call in calls}) == CONTACTS


def first_call() -> str:
    """The commands of the guide by which people call themselves."""
    page = (ROOT / "docs" / "agents.md").read_text()
    return page.partition("### Call yourself")[2].partition("```bash\n")[2].partition("```")[0]


def test_guides_first_call_is_made(stack: LocalStack, agent: VoiceAgent) -> None:
    commands = first_call().replace("http://localhost:3000", stack.base)
    assert stack.base in commands
    with agent.behaving("retell", held=True):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=ROOT,
            env=stack.environment(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout.splitlines()[-1])
        call = agent.calls("1", 1)[-1]
        assert call["provider"] == "retell"
        agent.end(call, status="PROMISE_TO_PAY")
    office = Office(stack, "1")
    office.comes_to(shown["campaignId"], "COMPLETED")
    path = f"/campaigns/{shown['campaignId']}/contacts/{shown['contactId']}"
    assert office.get(path)["callStatus"] == "PROMISE_TO_PAY"
