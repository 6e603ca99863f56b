"""Agents that refuse everybody, never report, are full, away or unreadable: no list is burned, and a person is told."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.agents.contract import Accepted, Declined, NotPlaced, OutcomeUnknown
from chalicelib.agents.health import Verdict
from chalicelib.agents.http import HttpAgent
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import store as campaigns
from chalicelib.dialing import dialer
from chalicelib.settings import settings
from tests.service.agents import Answer, ScriptedAgent
from tests.service.calling import accepted_call, orders, pace_at, report, webhook
from tests.service.cloud import Cloud, in_an

SUCCESS = Result(call_status=CallStatus.SUCCESS, outcome="done")


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes = b"") -> Iterator[list[str]]:
    """An HTTP agent that answers every request alike; what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["callId"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AGENT_URL", f"http://127.0.0.1:{server.server_port}/call")
        settings.cache_clear()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
            settings.cache_clear()


def dial_over_http(cloud: Cloud) -> None:
    dialer.handle(orders(cloud), agent=lambda *_: HttpAgent())
    cloud.pace_all()


@pytest.mark.parametrize("status", [400, 422])
def test_agent_that_refuses_everybody_pauses_the_campaign(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(60), agent={"provider": "http"})
    with answering(monkeypatch, status, b'{"error":"assistantId is required"}'):
        for _ in range(12):
            dial_over_http(cloud)
    campaign = cloud.campaign(campaign_id)
    assert campaign["status"] == "PAUSED"
    assert campaign["failedCalls"] <= 30
    assert str(status) in campaign["statusReason"]
    assert "PUBLIC_URL" not in campaign["statusReason"]


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (NotPlaced("nobody there"), {"failures": 2}),
        (OutcomeUnknown("it broke"), {"failures": 2, "unsure": 2}),
        (OutcomeUnknown("it broke", said="hello"), {"failures": 2, "unsure": 2}),
        (NotPlaced("full", Verdict.FULL), {"window": 1, "fulls": 0}),
        (Declined(Result(call_status=CallStatus.FAILED), "400"), {"ends": "dd"}),
    ],
    ids=["away", "unknown", "unreadable", "full", "declined"],
)
def test_what_an_agent_did_counts_once_however_often_it_is_told(
    cloud: Cloud, answer: Answer, counted: dict[str, Any]
) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(2), retry={"maxAttempts": 1})
    ScriptedAgent(answer).dial(orders(cloud))
    told = cloud.take(settings().campaign_events_queue)
    for _ in range(3):
        cloud.pace(*told, *told)
        health = campaigns.find("1", campaign_id).health
        assert {name: getattr(health, name) for name in counted} == counted


def test_calls_that_an_agent_takes_count_once_however_often_it_is_told(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(4), maxConcurrentCalls=4)
    first, *others = orders(cloud)
    ScriptedAgent(NotPlaced("full", Verdict.FULL)).dial([first])
    cloud.pace_all()
    ScriptedAgent(Accepted()).dial(others)
    told = cloud.take(settings().campaign_events_queue)
    cloud.pace(*told, *told)
    assert campaigns.find("1", campaign_id).health.taken == len(others)


def test_report_that_comes_again_with_more_is_no_further_end(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(2))
    agent = ScriptedAgent(Declined(Result(call_status=CallStatus.FAILED), "400"), Accepted())
    agent.dial(orders(cloud))
    cloud.pace_all()
    for recording in ("", "https://example.com/1.mp3"):
        report(cloud, agent.orders[1].call_id, success=True, recordingUrl=recording)
    assert campaigns.find("1", campaign_id).health.ends == "d."


def test_agent_that_wants_payment_pauses_the_campaign_at_no_cost(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(12), agent={"provider": "http"})
    with answering(monkeypatch, 402):
        dial_over_http(cloud)
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["failedCalls"], campaign["statusCounts"]["PENDING"]) == ("PAUSED", 0, 12)
    assert "payment" in campaign["statusReason"]


def test_agent_that_never_reports_pauses_the_campaign(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(50), maxConcurrentCalls=10, agent={"provider": "http"})
    agent = ScriptedAgent(Accepted())
    for n in range(1, 7):
        agent.dial(orders(cloud))
        cloud.pace_all()
        cloud.tick(in_an(seconds=1_000 * n))
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], len(agent.orders)) == ("PAUSED", 20)
    assert "PUBLIC_URL" in campaign["statusReason"]
    assert orders(cloud) == []
    report(cloud, agent.orders[0].call_id, success=True)
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    assert len(orders(cloud)) == 10


def test_a_few_refusals_among_conversations_pause_nothing(cloud: Cloud) -> None:
    refused = Declined(Result(call_status=CallStatus.FAILED, outcome="the agent refused the call (400)"), "400")
    campaign_id = cloud.a_running_campaign(cloud.contacts(60), maxConcurrentCalls=2)
    answers: list[Answer] = [refused, SUCCESS]
    agent = ScriptedAgent(*answers * 30)
    for _ in range(40):
        agent.dial(orders(cloud))
        cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["failedCalls"], campaign["successfulCalls"]) == ("COMPLETED", 30, 30)


def test_agent_that_is_down_is_told_at_once_and_forgotten_when_it_works(cloud: Cloud) -> None:
    contact_ids = cloud.contacts(2)
    campaign_id = cloud.a_running_campaign(contact_ids, maxConcurrentCalls=1)
    agent = ScriptedAgent(NotPlaced("the agent cannot be reached", Verdict.AWAY), SUCCESS)
    agent.dial(orders(cloud))
    cloud.pace_all()
    campaign = cloud.campaign(campaign_id)
    assert campaign["status"] == "RUNNING"
    assert "cannot be reached" in campaign["statusReason"]
    shown = [cloud.call(campaign_id, contact_id).get("whyNotCalled") for contact_id in contact_ids]
    assert [why for why in shown if why] == ["agent-unavailable"]
    agent.dial(orders(cloud))
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["statusReason"] is None


def test_agent_that_is_not_configured_is_named(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1), agent={"provider": "http"})
    dial_over_http(cloud)
    assert "AGENT_URL" in cloud.campaign(campaign_id)["statusReason"]


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (201, b"{}"), (500, b"")])
def test_answers_that_cannot_be_read_are_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(1), agent={"provider": "http"})
    with answering(monkeypatch, status, body):
        dial_over_http(cloud)
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["inFlightCalls"]) == ("RUNNING", 1)
    assert campaign["statusReason"]


def test_agent_that_stays_full_is_asked_once_a_minute(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(30))
    agent = ScriptedAgent(NotPlaced("the agent answered 429", Verdict.FULL))
    for minute in range(20):
        for _ in range(5):
            agent.dial(orders(cloud), now=lambda: in_an(minutes=minute))  # noqa: B023
            pace_at(cloud, in_an(minutes=minute))
        cloud.tick(in_an(minutes=minute + 1))
    assert len(agent.orders) <= 50
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["failedCalls"]) == ("RUNNING", 0)
    assert "429" in campaign["statusReason"]


def test_refusal_from_before_a_restart_does_not_pause_again(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(4), maxConcurrentCalls=2)
    ScriptedAgent(NotPlaced("the agent answered 401", Verdict.REFUSED)).dial(orders(cloud))
    first, second = cloud.take(settings().campaign_events_queue)
    cloud.pace(first)
    assert cloud.campaign(campaign_id)["status"] == "PAUSED"
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace(second)
    assert cloud.campaign(campaign_id)["status"] == "RUNNING"


def test_stuck_call_is_given_up_and_corrected_by_its_late_result(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    path = f"/campaigns/{campaign_id}/contacts/{contact_id}"
    assert cloud.post(f"{path}/cancel").status == 202
    cloud.pace_all()
    assert (cloud.call(campaign_id, contact_id)["callStatus"]) == "FAILED"
    assert cloud.delete(f"/contacts/{contact_id}").status == 204
    report(cloud, call_id, success=True, outcome="paid")
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"], len(call["attempts"])) == ("SUCCESS", "paid", 1)
    assert cloud.post(f"{path}/cancel").status == 202
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"
    assert cloud.post(f"/campaigns/{campaign_id}/contacts/{campaign_id}/cancel").status == 404


def test_lowered_cap_holds_for_calls_that_are_queued(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(20), maxConcurrentCalls=20, agent={"provider": "http"})
    queued = orders(cloud)
    assert len(queued) == 20
    assert cloud.patch(f"/campaigns/{campaign_id}", {"maxConcurrentCalls": 1}).status == 200
    agent = ScriptedAgent(Accepted())
    agent.dial(queued)
    cloud.pace_all()
    agent.dial(orders(cloud))
    assert len(agent.orders) == 1
    report(cloud, agent.orders[0].call_id, success=True)
    assert len(orders(cloud)) == 1


@pytest.mark.parametrize(("answer", "then"), [(SUCCESS, 3), (Accepted(), 7)])
def test_agent_that_holds_its_dialers_is_given_no_more_calls_than_there_are(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, answer: Answer, then: int
) -> None:
    monkeypatch.setenv("DIALER_MAX_CONCURRENCY", "3")
    settings.cache_clear()
    cloud.a_running_campaign(cloud.contacts(20), maxConcurrentCalls=10, agent={"provider": "http"})
    agent, queued = ScriptedAgent(answer), orders(cloud)
    assert len(queued) == 3
    agent.dial(queued)
    cloud.pace_all()
    assert len(orders(cloud)) == then
    settings.cache_clear()


def test_lease_outlasts_the_wait_for_an_answer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TIMEOUT_SECONDS", "840")
    settings.cache_clear()
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], callTimeoutSeconds=120, agent={"provider": "http"})
    ScriptedAgent(Accepted()).dial(orders(cloud))
    cloud.tick(in_an(seconds=841))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    cloud.tick(in_an(seconds=960))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "FAILED"
    settings.cache_clear()


ODD_ANSWERS: list[tuple[str, str, dict[str, Any]]] = [
    ('{"status":"PROMISE_TO_PAY","success":true,"duration":"45"}', "PROMISE_TO_PAY", {"callDuration": 45}),
    ('{"success":true,"duration":-1}', "SUCCESS", {"callDuration": None}),
    ('{"success":true,"duration":95000000}', "SUCCESS", {"callDuration": None}),
    ('{"success":true,"duration":true}', "SUCCESS", {"callDuration": None}),
    ('{"success":true,"duration":1e400}', "SUCCESS", {"callDuration": None}),
    ('{"success":true,"recordingUrl":false}', "SUCCESS", {"recordingUrl": None}),
    ('{"success":true,"recordingUrl":"javascript:alert(1)"}', "SUCCESS", {"recordingUrl": None}),
    ('{"success":"true"}', "SUCCESS", {}),
    ('{"success":1}', "SUCCESS", {}),
    ('{"success":0}', "FAILED", {}),
    ('{"success":true,"summary":{"text":"x"}}', "SUCCESS", {"conversationSummary": '{"text": "x"}'}),
    ('{"success":true,"outcome":7}', "SUCCESS", {"conversationOutcome": "7"}),
    ('{"success":true,"status":"success"}', "SUCCESS", {}),
    ('{"success":false,"status":"no-answer"}', "NO_ANSWER", {}),
    ('{"status":"Promise to pay"}', "PROMISE_TO_PAY", {}),
    ('{"success":false,"status":"voicemail"}', "NO_ANSWER", {"conversationOutcome": "voicemail"}),
    ('{"success":false,"status":"VOICEMAIL","outcome":"beep"}', "NO_ANSWER", {"conversationOutcome": "beep"}),
    ('{"success":true,"status":"completed"}', "SUCCESS", {}),
    ('{"success":true,"summary":"thanks \\ud83d"}', "SUCCESS", {"conversationSummary": "thanks \ufffd"}),
    ('\ufeff{"success":true}', "SUCCESS", {}),
    ('{"success":true,"metrics":{"score":NaN}}', "SUCCESS", {}),
    ('{"success":true,"callbackAt":[]}', "SUCCESS", {}),
]


@pytest.mark.parametrize(("answer", "status", "shown"), ODD_ANSWERS, ids=[answer for answer, *_ in ODD_ANSWERS])
def test_whatever_an_agent_answers_of_a_conversation_is_kept(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, answer: str, status: str, shown: dict[str, Any]
) -> None:
    by_answer, by_webhook = cloud.contacts(2)
    first = cloud.a_running_campaign([by_answer], agent={"provider": "http"})
    with answering(monkeypatch, 200, answer.encode()):
        dial_over_http(cloud)
    second = cloud.a_running_campaign([by_webhook])
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    start = answer.index("{") + 1
    body = f'{answer[:start]}"callId":"{agent.orders[0].call_id}",{answer[start:]}'
    assert webhook(cloud, body.encode()).status == 202
    cloud.pace_all()
    for call in (cloud.call(first, by_answer), cloud.call(second, by_webhook)):
        assert [each["callStatus"] for each in call["attempts"]] == [status]
        assert call.items() >= shown.items()


def test_bytes_that_are_no_utf8_are_replaced(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent={"provider": "http"})
    with answering(monkeypatch, 200, b'{"success":true,"outcome":"\xcf\xf0"}'):
        dial_over_http(cloud)
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == "\ufffd\ufffd"


def test_callback_in_unix_seconds_is_a_callback(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    at = in_an(hours=2).replace(microsecond=0)
    report(cloud, call_id, status="CALLBACK_REQUESTED", callbackAt=int(at.timestamp()))
    assert cloud.call(campaign_id, contact_id)["nextAttemptAt"] == clock.stamp(at)


def test_answer_that_says_no_result_is_shown_when_the_call_ends(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent={"provider": "http"})
    with answering(monkeypatch, 200, b'{"outcome":"hello"}'):
        dial_over_http(cloud)
    cloud.tick(in_an(seconds=850))
    cloud.tick(in_an(seconds=1_000))
    call = cloud.call(campaign_id, contact_id)
    assert call["callStatus"] == "FAILED"
    assert "hello" in call["conversationOutcome"]


def test_second_report_adds_what_was_missing_and_changes_no_status(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    report(cloud, call_id, status="PROMISE_TO_PAY", outcome="pays", summary="short")
    report(cloud, call_id, success=False, recordingUrl="https://r.test/1", summary="a fuller summary", duration=30)
    report(cloud, call_id, success=False, recordingUrl="https://r.test/2", summary="x", duration=99)
    call = cloud.call(campaign_id, contact_id)
    assert (call["callStatus"], call["conversationOutcome"]) == ("PROMISE_TO_PAY", "pays")
    assert (call["recordingUrl"], call["conversationSummary"], call["callDuration"]) == (
        "https://r.test/1",
        "a fuller summary",
        30,
    )
    assert cloud.campaign(campaign_id)["statusCounts"]["PROMISE_TO_PAY"] == 1


def test_webhook_may_carry_a_transcript(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    report(cloud, call_id, success=True, transcript=["Assalomu alaykum"] * 200_000)
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"


def test_agent_that_breaks_off_leaves_its_call_open(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    ScriptedAgent(OutcomeUnknown("the agent did not answer")).dial(orders(cloud))
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    assert "did not answer" in cloud.campaign(campaign_id)["statusReason"]


def test_callback_whose_moment_has_passed_meanwhile_is_dialed_now(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    soon = clock.stamp(in_an(seconds=1))
    body = json.dumps({"callId": call_id, "status": "CALLBACK_REQUESTED", "callbackAt": soon}).encode()
    assert webhook(cloud, body).status == 202
    pace_at(cloud, in_an(seconds=60))
    assert len(orders(cloud)) == 1
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PENDING"
