"""Test calls: one phone rung with the campaign's agent, outside of whatever the campaign counts and tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.agents.contract import Accepted, Declined, NotPlaced, OutcomeUnknown
from chalicelib.calls.model import CallStatus, Result
from chalicelib.contacts import store as contacts
from chalicelib.dialing.model import AN_HOUR
from chalicelib.money import Money
from tests.service.agents import Answer, ScriptedAgent
from tests.service.calling import accepted_call, orders, webhook
from tests.service.cloud import Cloud, Reply, in_an, token
from tests.service.test_vendors import Vendor, dial, vendor
from tests.vendors import SECRET, VENDORS, never_connected, signed

__all__ = ["vendor"]

PHONE = "+998935551122"
CLOSED = {"timezone": "Asia/Tashkent", "days": ["MON"], "from": "09:00", "to": "09:01", "holidays": []}
PROMISE = Result(
    call_status=CallStatus.PROMISE_TO_PAY,
    outcome="pays",
    summary="said so",
    duration=42,
    promised_date="2026-12-01",
    promised_amount=Money("5", "UZS"),
    cost=Money("0.1", "USD"),
    do_not_call=True,
)


def a_test_call(cloud: Cloud, campaign_id: str, **more: Any) -> str:
    """The path of a test call that was asked for."""
    reply = cloud.post(f"/campaigns/{campaign_id}/test-calls", {"phone": PHONE, **more})
    assert reply.status == 202, reply
    path = f"/campaigns/{campaign_id}/test-calls/{reply.body['callId']}"
    assert reply.headers["Location"] == f"/auto-calling{path}"
    return path


def ring(cloud: Cloud, *answers: Answer, **more: Any) -> ScriptedAgent:
    """What the dialer does with the orders that there are."""
    agent = ScriptedAgent(*answers, **more)
    agent.dial(orders(cloud))
    return agent


def shown(cloud: Cloud, path: str, *names: str) -> Any:
    body = cloud.get(path).body
    return tuple(body[name] for name in names or ("callStatus", "outcome"))


def test_phone_is_rung_at_once_and_changes_nothing_of_the_campaign(cloud: Cloud) -> None:
    contact = cloud.a_contact(PHONE)
    campaign = cloud.a_campaign([contact["id"]], callingHours=CLOSED, agent={"provider": "http", "agentId": "a"})
    path = a_test_call(cloud, campaign["id"])
    assert shown(cloud, path) == ("PENDING", None)
    agent = ring(cloud, PROMISE)
    [order] = agent.orders
    assert (order.phone_number, order.agent_id, order.call_id) == (PHONE, "a", path.rpartition("/")[2])
    found = cloud.get(path).body
    assert (found["callStatus"], found["outcome"], found["summary"], found["duration"]) == (
        *("PROMISE_TO_PAY", "pays", "said so", 42),
    )
    assert (found["promisedDate"], found["promisedAmount"]) == ("2026-12-01", {"amount": "5", "currency": "UZS"})
    assert (found["phone"], found["provider"], found["cost"]["amount"]) == (PHONE, "http", "0.1")
    assert found["requestedAt"] <= found["startedAt"] <= found["endedAt"]
    cloud.settle()
    assert cloud.campaign(campaign["id"]) == campaign
    assert cloud.get(f"/contacts/{contact['id']}").body == contact
    assert cloud.call(campaign["id"], contact["id"])["attempts"] == []


def test_contact_that_is_named_is_who_the_agent_talks_to(cloud: Cloud) -> None:
    contact = cloud.a_contact("+998901112200", customData={"debt": 5})
    campaign_id = cloud.a_campaign()["id"]
    a_test_call(cloud, campaign_id, contactId=contact["id"].upper())
    a_test_call(cloud, campaign_id)
    known, unknown = sorted(ring(cloud).orders, key=lambda order: not order.first_name)
    assert (known.first_name, known.custom_data, known.phone_number) == ("Ali", {"debt": 5}, PHONE)
    assert (known.contact_id, unknown.contact_id) == (contact["id"], "test-call")
    assert (unknown.first_name, unknown.custom_data, unknown.phone_number) == ("", {}, PHONE)


def test_result_may_come_by_webhook_once(cloud: Cloud) -> None:
    path = a_test_call(cloud, cloud.a_campaign(agent={"provider": "http"})["id"])
    [order] = ring(cloud, Accepted()).orders
    assert shown(cloud, path) == ("CALLING", None)
    for words in ("first", "second"):
        body = {"callId": order.call_id, "status": "REFUSED", "outcome": words, "doNotCall": True}
        assert webhook(cloud, json.dumps(body).encode()).status == 202
    cloud.pace_all()
    assert shown(cloud, path, "callStatus", "outcome", "doNotCall") == ("REFUSED", "first", True)


@pytest.mark.parametrize("provider", VENDORS)
def test_vendor_rings_and_what_it_told_early_is_heard(cloud: Cloud, vendor: Vendor, provider: str) -> None:
    vendor.provider = provider
    path = a_test_call(cloud, cloud.a_campaign(agent={"provider": provider})["id"])
    if provider == "elevenlabs":
        tell(cloud, never_connected("busy", "conversation-1"))
    dial(cloud)
    assert vendor.attempt == path.rpartition("/")[2]
    assert shown(cloud, path, "callStatus", "provider") == (
        "BUSY" if provider == "elevenlabs" else "CALLING",
        provider,
    )


def tell(cloud: Cloud, message: dict[str, Any]) -> None:
    body = json.dumps(message).encode()
    headers = signed("elevenlabs", body, clock.now(), key=SECRET)
    assert cloud.post("/agents/elevenlabs/webhook", body, organization=None, headers=headers).status == 200


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [
        (NotPlaced("the agent cannot be reached"), "FAILED", "the agent cannot be reached"),
        (Declined(Result(call_status=CallStatus.FAILED, outcome="no such number"), ""), "FAILED", "no such number"),
        (OutcomeUnknown("no answer"), "CALLING", None),
        (ValueError(), "CALLING", None),
    ],
)
def test_what_the_agent_does_not_do_is_told(cloud: Cloud, answer: Answer, status: str, outcome: str | None) -> None:
    path = a_test_call(cloud, cloud.a_campaign()["id"])
    ring(cloud, answer)
    assert shown(cloud, path) == (status, outcome)


def test_call_that_nobody_reports_has_failed_after_its_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_test_call(cloud, cloud.a_campaign(callTimeoutSeconds=120)["id"])
    ring(cloud, Accepted())
    late = in_an(seconds=200)
    monkeypatch.setattr(clock, "now", lambda: late)
    assert shown(cloud, path) == ("FAILED", "no result from the agent")


def bar(cloud: Cloud) -> None:
    cloud.a_contact(PHONE, status="DO_NOT_CALL")


def bar_an_erased_person(_: Cloud) -> None:
    contacts.keep_barred("1", PHONE)


def pause(cloud: Cloud) -> None:
    assert cloud.patch("/settings", {"callingPaused": True}).status == 200


def go_elsewhere(cloud: Cloud) -> None:
    assert cloud.patch("/settings", {"allowedCountries": ["KZ"]}).status == 200


def talk(cloud: Cloud) -> None:
    cloud.a_running_campaign([cloud.a_contact(PHONE)["id"]])
    ScriptedAgent(Accepted()).dial(orders(cloud))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (bar, "DO_NOT_CALL"),
        (bar_an_erased_person, "DO_NOT_CALL"),
        (pause, "paused"),
        (go_elsewhere, "only numbers of KZ"),
        (talk, "in a call"),
    ],
)
def test_phone_that_must_not_be_called_is_not_rung(cloud: Cloud, before: Callable[[Cloud], None], said: str) -> None:
    before(cloud)
    path = a_test_call(cloud, cloud.a_campaign()["id"])
    assert ring(cloud).orders == []
    status, outcome = shown(cloud, path)
    assert (status, said in outcome) == ("SKIPPED", True), outcome


def delete_the_campaign(cloud: Cloud) -> None:
    [campaign] = cloud.get("/campaigns").body["data"]
    assert cloud.delete(f"/campaigns/{campaign['id']}").status == 204


@pytest.mark.parametrize("meanwhile", [bar, pause, go_elsewhere])
def test_phone_that_must_not_be_called_any_more_is_not_rung(cloud: Cloud, meanwhile: Callable[[Cloud], None]) -> None:
    path = a_test_call(cloud, cloud.a_campaign()["id"])
    meanwhile(cloud)
    assert ring(cloud).orders == []
    assert shown(cloud, path, "callStatus") == ("SKIPPED",)


def test_campaign_that_is_gone_rings_nobody(cloud: Cloud) -> None:
    a_test_call(cloud, cloud.a_campaign()["id"])
    delete_the_campaign(cloud)
    assert ring(cloud).orders == []


def test_order_that_comes_again_rings_once(cloud: Cloud) -> None:
    path = a_test_call(cloud, cloud.a_campaign()["id"])
    bodies = orders(cloud)
    agent = ScriptedAgent(Accepted())
    agent.dial(bodies * 2)
    agent.dial(bodies)
    assert len(agent.orders) == 1
    assert shown(cloud, path, "callStatus") == ("CALLING",)
    delete_the_campaign(cloud)
    agent.dial(bodies)
    assert shown(cloud, path, "callStatus") == ("CALLING",)


def test_request_that_comes_again_is_one_test_call(cloud: Cloud) -> None:
    path = f"/campaigns/{cloud.a_campaign()['id']}/test-calls"
    replies = [cloud.post(path, {"phone": PHONE}, headers={"Idempotency-Key": "k"}) for _ in range(AN_HOUR + 1)]
    assert {reply.body["callId"] for reply in replies} == {replies[0].body["callId"]}
    assert len(ring(cloud).orders) == 1


def test_person_makes_so_many_test_calls_an_hour(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    at = clock.now().replace(minute=20, second=0)
    monkeypatch.setattr(clock, "now", lambda: at)
    path = f"/campaigns/{cloud.a_campaign()['id']}/test-calls"

    def ask(subject: str = "one") -> Reply:
        bearer = {"Authorization": f"Bearer {token(sub=subject)}"}
        return cloud.post(path, {"phone": PHONE}, organization=None, headers=bearer)

    assert {ask().status for _ in range(AN_HOUR)} == {202}
    refused = ask()
    assert refused.problem == (429, "throttled")
    assert refused.headers["Retry-After"] == "2400"
    assert ask("another").status == 202
    assert len(orders(cloud)) == AN_HOUR + 1
    at += timedelta(hours=1)
    assert ask().status == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "phone"),
        ({"phone": "123"}, "phone"),
        ({"phone": PHONE, "contactId": "x"}, "contactId"),
        ({"phone": PHONE, "contactId": "0192e4a0-0000-7000-8000-000000000000"}, "contactId"),
        ({"phone": PHONE, "name": "x"}, "name"),
    ],
)
def test_request_that_makes_no_sense_is_refused(cloud: Cloud, body: dict[str, Any], field: str) -> None:
    assert cloud.post(f"/campaigns/{cloud.a_campaign()['id']}/test-calls", body).field_at_fault == field
    assert orders(cloud) == []


def test_test_call_is_of_its_campaign_and_kept_for_a_day(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_test_call(cloud, cloud.a_campaign()["id"])
    other = cloud.a_campaign()["id"]
    assert cloud.get(f"/campaigns/{other}/test-calls/{path.rpartition('/')[2]}").status == 404
    tomorrow = in_an(hours=25)
    bearer = {"Authorization": f"Bearer {token(exp=int(tomorrow.timestamp()) + 60)}"}
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    assert cloud.get(path, organization=None, headers=bearer).status == 404


def test_attempt_of_a_campaigns_call_is_no_test_call(cloud: Cloud) -> None:
    campaign_id, _, call_id = accepted_call(cloud)
    assert cloud.get(f"/campaigns/{campaign_id}/test-calls/{call_id}").status == 404
