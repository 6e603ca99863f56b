"""Agents at vendors: what is ordered of them, what their answers mean, and what their webhooks tell."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from chalicelib import agents
from chalicelib.agents import retell, vapi
from chalicelib.agents.contract import Accepted, Declined, Ending, NotPlaced, OutcomeUnknown, Webhook
from chalicelib.agents.health import Verdict
from chalicelib.calls.model import CallStatus, Result
from chalicelib.errors import InvalidBody, Unauthorized, Unavailable
from chalicelib.money import Money
from tests.simulation.environment import variables
from tests.unit.builders import NOW, an_order
from tests.unit.line import Line, hang_up
from tests.vendors import (
    BROKE,
    CONVERSATION,
    NEVER_ANSWERED,
    SECRET,
    TALKED,
    VENDORS,
    acceptance,
    account,
    never_connected,
    reported,
    signed,
)

CALL = "0193587e-6aaa-7000-8000-000000000001"
ORDER: dict[str, Any] = {"call_id": CALL, "callback_url": "https://api.test/auto-calling/agents/x/webhook"}


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to all vendors, each of which we have an account with."""
    for name, value in {**variables(), "AGENT_ACCOUNTS_PATH": "/agents", "AGENT_TIMEOUT_SECONDS": "0.3"}.items():
        monkeypatch.setenv(name, value)
    opened = Line()
    with mock_aws():
        for provider in VENDORS:
            open_account(provider, account(provider, f"http://{opened.address}"))
        yield opened
    opened.close()


def open_account(provider: str, text: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"/agents/{provider}", Value=text, Type="SecureString", Overwrite=True)


def place(provider: str, **fields: Any) -> Any:
    return agents.agent(provider).place(an_order(**{**ORDER, **fields}))


def sent(line: Line) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The path, headers and body of the one order a vendor got."""
    [order] = line.received
    head, _, body = order.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return first.split()[1], {k.lower(): v for k, _, v in (each.partition(": ") for each in rest)}, json.loads(body)


OURS = {
    "attempt": CALL,
    "firstName": "Ali",
    "lastName": "Valiyev",
    "name": "Ali Valiyev",
    "phone": "+998901234567",
    "notes": "",
    "timezone": "",
    "campaignName": "January",
    "campaignType": "DEBT_COLLECTION",
    "organizationId": "1",
}
VARIABLES = OURS | {"totalDebt": "5000"}


def test_retell_gets_its_order(line: Line) -> None:
    line.answers(201, json.dumps(acceptance("retell")).encode())
    assert place("retell", call_timeout_seconds=600) == Accepted(CONVERSATION)
    path, headers, body = sent(line)
    assert (path, headers["authorization"]) == ("/v2/create-phone-call", "Bearer key-1")
    assert body == {
        "from_number": "+12025550101",
        "to_number": "+998901234567",
        "override_agent_id": "agent-1",
        "metadata": {"attempt": CALL},
        "retell_llm_dynamic_variables": VARIABLES,
        "idempotency_key": CALL,
        "honor_internal_dnc": True,
        "agent_override": {
            "agent": {
                "webhook_url": ORDER["callback_url"],
                "ring_duration_ms": 30_000,
                "max_call_duration_ms": 480_000,
                "enable_dnc_detection": True,
            }
        },
    }


def test_vapi_gets_its_order(line: Line) -> None:
    line.answers(201, json.dumps(acceptance("vapi")).encode())
    assert place("vapi", call_timeout_seconds=120) == Accepted(CONVERSATION, asked_by_it=True)
    path, headers, body = sent(line)
    assert (path, headers["authorization"]) == ("/call", "Bearer key-1")
    assert body == {
        "assistantId": "agent-1",
        "phoneNumberId": "+12025550101",
        "customer": {"number": "+998901234567", "externalId": CALL},
        "assistantOverrides": {
            "variableValues": VARIABLES,
            "maxDurationSeconds": 60,
            "server": {
                "url": ORDER["callback_url"],
                "credentialId": "credential-1",
                "backoffPlan": {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 5},
            },
        },
    }


def test_elevenlabs_gets_its_order(line: Line) -> None:
    line.answers(200, json.dumps(acceptance("elevenlabs")).encode())
    assert place("elevenlabs", agent_id="agent-2") == Accepted(CONVERSATION)
    path, headers, body = sent(line)
    assert (path, headers["xi-api-key"]) == ("/v1/convai/twilio/outbound-call", "key-1")
    assert body == {
        "agent_id": "agent-2",
        "agent_phone_number_id": "+12025550101",
        "to_number": "+998901234567",
        "conversation_initiation_client_data": {"user_id": CALL, "dynamic_variables": VARIABLES},
        "telephony_call_config": {"ringing_timeout_secs": 30},
    }


def test_elevenlabs_is_told_how_long_it_may_talk_where_somebody_says_so(line: Line) -> None:
    line.answers(200, json.dumps(acceptance("elevenlabs")).encode())
    place("elevenlabs", max_duration_seconds=90)
    told = sent(line)[2]["conversation_initiation_client_data"]
    assert told["conversation_config_override"] == {"conversation": {"max_duration_seconds": 90}}


@pytest.mark.parametrize(
    ("provider", "member"),
    [("retell", "from_number"), ("vapi", "phoneNumberId"), ("elevenlabs", "agent_phone_number_id")],
)
def test_vendor_is_told_the_contacts_own_number_of_those_there_are(line: Line, provider: str, member: str) -> None:
    line.answers(201, json.dumps(acceptance(provider)).encode())
    many = {"callerNumbers": ["n-1", "n-2", "n-3"], "callerNumber": None}
    open_account(provider, json.dumps(json.loads(account(provider, f"http://{line.address}")) | many))
    place(provider)
    assert sent(line)[2][member] == an_order().caller(many["callerNumbers"] or [])


def test_vendor_needs_a_number_to_call_from(line: Line) -> None:
    none = json.dumps(json.loads(account("retell", f"http://{line.address}")) | {"callerNumber": None})
    open_account("retell", none)
    with pytest.raises(NotPlaced, match="callerNumbers"):
        place("retell")
    assert not line.received


def test_elevenlabs_calls_over_the_trunk_of_the_account(line: Line) -> None:
    open_account(
        "elevenlabs",
        json.dumps(json.loads(account("elevenlabs", f"http://{line.address}")) | {"telephony": "sip-trunk"}),
    )
    line.answers(200, b'{"success":true,"message":"ok","conversation_id":null,"sip_call_id":"1"}')
    assert place("elevenlabs") == Accepted()
    assert sent(line)[0] == "/v1/convai/sip-trunk/outbound-call"


def test_agent_is_told_what_is_known_of_the_contact(line: Line) -> None:
    line.answers(201, json.dumps(acceptance("retell")).encode())
    place(
        "retell",
        notes="Calls back",
        timezone="Asia/Tashkent",
        custom_data={
            "name": "someone else",
            "Qarz summasi": 12.5,
            "address": {"city": "Samarqand", "house": None},
            "paid": True,
            "system__x": "y",
            "invoices": ["A1", 2, {"no": 3}],
            "company": "",
        },
        variables={"company": "Lender", "address_city": "Buxoro", "firstName": "Vali"},
    )
    assert sent(line)[2]["retell_llm_dynamic_variables"] == OURS | {
        "notes": "Calls back",
        "timezone": "Asia/Tashkent",
        "Qarz_summasi": "12.5",
        "address_city": "Samarqand",
        "address_house": "",
        "paid": "true",
        "system_x": "y",
        "invoices": 'A1, 2, {"no":3}',
        "company": "Lender",
    }


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("status", [400, 404, 422])
def test_vendor_that_refuses_a_call_says_why(line: Line, provider: str, status: int) -> None:
    line.answers(status, b'{"detail":{"status":"x","message":"+998901234567 is no number \\ud83d"}}')
    answer = place(provider)
    assert isinstance(answer, Declined)
    assert answer.words == f"{status}: … is no number \ufffd"
    assert answer.result.outcome == f"the agent refused the call ({answer.words})"


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize(
    ("status", "verdict"), [(401, Verdict.REFUSED), (402, Verdict.REFUSED), (403, Verdict.REFUSED), (429, Verdict.FULL)]
)
def test_vendor_that_refuses_us_began_no_call(line: Line, provider: str, status: int, verdict: Verdict) -> None:
    line.answers(status, b"{}", **{"Retry-After": "90"})
    with pytest.raises(NotPlaced) as refusal:
        place(provider)
    assert (refusal.value.verdict, refusal.value.again_seconds) == (verdict, 90)


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize(
    ("status", "body"),
    [*((status, b"{}") for status in (408, 409, 500, 502, 503, 504)), (200, b"{}"), (201, b"<html>"), (200, b"[]")],
)
def test_any_other_answer_leaves_it_open(line: Line, provider: str, status: int, body: bytes) -> None:
    line.answers(status, body)
    with pytest.raises(OutcomeUnknown):
        place(provider)


@pytest.mark.parametrize("provider", VENDORS)
def test_vendor_that_does_not_answer_leaves_it_open(line: Line, provider: str) -> None:
    line.behave = hang_up
    with pytest.raises(OutcomeUnknown):
        place(provider)


def test_elevenlabs_may_refuse_politely(line: Line) -> None:
    line.answers(200, b'{"success":false,"message":"no such number","conversation_id":null,"callSid":null}')
    answer = place("elevenlabs")
    assert isinstance(answer, Declined)
    assert answer.words == "no such number"


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("text", ["", "{", "{}", '{"apiKey":"","webhookSecret":"s"}', "[]"])
def test_without_a_whole_account_nothing_is_ordered_and_nothing_believed(line: Line, provider: str, text: str) -> None:
    boto3.client("ssm").delete_parameter(Name=f"/agents/{provider}")
    if text:
        open_account(provider, text)
    with pytest.raises(NotPlaced, match=f"/agents/{provider}"):
        place(provider)
    with pytest.raises(Unavailable):
        agents.reporter(provider).verify(signed(provider, b"{}", NOW), b"{}", now=NOW)
    assert line.received == []


@pytest.mark.parametrize("provider", VENDORS)
def test_nothing_is_ordered_of_no_agent(line: Line, provider: str) -> None:
    given = json.loads(account(provider, f"http://{line.address}"))
    open_account(provider, json.dumps({name: value for name, value in given.items() if name != "agentId"}))
    with pytest.raises(NotPlaced, match="agentId"):
        place(provider)


AGES = {"retell": 300, "vapi": 300, "elevenlabs": 2_700}


@pytest.mark.parametrize("provider", VENDORS)
def test_signed_webhook_is_believed_for_a_while(line: Line, provider: str) -> None:
    body = '{"name":"Ўткир"}'.encode()
    headers, reporter = signed(provider, body, NOW), agents.reporter(provider)
    for seconds in (0, -AGES[provider], AGES[provider]):
        reporter.verify(headers, body, now=NOW + timedelta(seconds=seconds))
    for seconds in (-AGES[provider] - 1, AGES[provider] + 1):
        with pytest.raises(Unauthorized):
            reporter.verify(headers, body, now=NOW + timedelta(seconds=seconds))


def test_vapi_may_count_in_milliseconds(line: Line) -> None:
    stamp = f"{int(NOW.timestamp())}123"
    digest = hmac.new(SECRET.encode(), f"{stamp}.{{}}".encode(), "sha256").hexdigest()
    agents.reporter("vapi").verify({"x-signature": digest, "x-timestamp": stamp}, b"{}", now=NOW)


@pytest.mark.parametrize("provider", VENDORS)
def test_any_other_signature_is_refused(line: Line, provider: str) -> None:
    good = signed(provider, b"{}", NOW)
    spoilt = [
        {},
        signed(provider, b"{ }", NOW),
        signed(provider, b"{}", NOW, key="another"),
        {"x-signature-of-nobody": "1"},
    ]
    spoilt += [
        {name: bad(value) for name, value in good.items()} for bad in (str.upper, lambda v: v + "0", lambda v: v[1:])
    ]
    spoilt += [{name: value.replace("1", "١") for name, value in good.items()}]
    for headers in spoilt:
        if headers != good:
            with pytest.raises(Unauthorized):
                agents.reporter(provider).verify(headers, b"{}", now=NOW)


@pytest.mark.parametrize(
    ("provider", "secret", "header", "signature", "body", "at"),
    [
        (
            *("retell", "key_test", "x-retell-signature"),
            "v=1714608475945,d=1938ddff4fef2c9fc21d261f61ece06ea0f9e3a8a505f9ce7e7852fb1de12b9d",
            *(b'{"event":"call_ended","call":{"call_id":"c1"}}', 1_714_608_475),
        ),
        (
            *("elevenlabs", "wsec_test", "elevenlabs-signature"),
            "t=1739537297,v0=81a65aa1e2057ec4cdc236dca583cf6ef5899fbc7acd1fe2c0921f684fa3779c",
            *(b'{"type":"post_call_transcription"}', 1_739_537_297),
        ),
    ],
)
def test_what_the_vendors_libraries_sign_is_believed(
    line: Line, provider: str, secret: str, header: str, signature: str, body: bytes, at: int
) -> None:
    open_account(provider, account(provider, "http://x").replace(SECRET, secret))
    agents.reporter(provider).verify({header: signature}, body, now=NOW.fromtimestamp(at, NOW.tzinfo))


def told(provider: str, message: Any) -> Webhook | None:
    return agents.reporter(provider).read(json.dumps(message).encode())


def ending(provider: str, message: Any) -> Ending:
    webhook = told(provider, message)
    assert webhook is not None
    return webhook.ending


@pytest.mark.parametrize("provider", VENDORS)
def test_report_of_a_conversation(provider: str) -> None:
    message = reported(provider, CALL, reason=TALKED[provider], outcome="promise to pay", callbackAt=None)
    recording = None if provider == "elevenlabs" else "https://vendor.test/1.wav"
    reason = None if provider == "elevenlabs" else TALKED[provider]
    expected = Result(
        call_status=CallStatus.PROMISE_TO_PAY,
        outcome=reason,
        summary="They talked.",
        duration=42,
        recording_url=recording,
    )
    assert told(provider, message) == Webhook(call_id=CALL, conversation_id=CONVERSATION, ending=Ending(expected))


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize(
    ("reasons", "outcome", "success", "status"),
    [
        (TALKED, None, True, "SUCCESS"),
        (TALKED, None, False, "FAILED"),
        (TALKED, "REFUSED", True, "REFUSED"),
        (TALKED, "no idea", True, "SUCCESS"),
        (TALKED, "voicemail", True, "NO_ANSWER"),
        (TALKED, "DO_NOT_CALL", True, "REFUSED"),
        (BROKE, None, True, "FAILED"),
        (BROKE, "SUCCESS", False, "SUCCESS"),
        (BROKE, "no idea", True, "FAILED"),
        (NEVER_ANSWERED, "SUCCESS", True, "NO_ANSWER"),
        (dict.fromkeys(VENDORS, "new-reason"), None, True, "SUCCESS"),
        (dict.fromkeys(VENDORS, "new-reason"), "BUSY", True, "BUSY"),
        (dict.fromkeys(VENDORS, "new-reason"), None, False, "FAILED"),
    ],
)
def test_outcome_beats_the_flag_and_a_failure_but_no_silence(
    provider: str, reasons: dict[str, str], outcome: str | None, success: bool, status: str
) -> None:
    result = ending(
        provider, reported(provider, CALL, reason=reasons[provider], outcome=outcome, success=success)
    ).result
    assert result.call_status == status
    assert result.do_not_call == (outcome == "DO_NOT_CALL")


@pytest.mark.parametrize("provider", VENDORS)
def test_reason_nobody_knows_is_kept_beside_what_was_said(provider: str) -> None:
    message = reported(provider, CALL, reason="brand-new", outcome="Will think about it", success=True)
    assert ending(provider, message).result.outcome == "Will think about it; brand-new"
    assert (
        ending(provider, reported(provider, CALL, reason="brand-new", outcome="SUCCESS")).result.outcome == "brand-new"
    )


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("name", ["callbackAt", "callback_at"])
def test_callback_and_do_not_call_are_read_from_the_analysis(provider: str, name: str) -> None:
    asked: dict[str, Any] = {name: "2026-11-24T18:30:00+05:00", "doNotCall": True}
    message = reported(provider, CALL, reason=TALKED[provider], outcome="CALLBACK_REQUESTED", **asked)
    result = ending(provider, message).result
    assert (result.call_status, result.callback_at) == (CallStatus.CALLBACK_REQUESTED, asked[name])
    assert result.do_not_call


def priced(provider: str, message: dict[str, Any], price: Any) -> dict[str, Any]:
    """A report with a price: 0.144 is 14.4 cents."""
    match provider:
        case "retell":
            message["call"]["call_cost"] = {"combined_cost": price * 100 if isinstance(price, float) else price}
        case "vapi":
            message["message"]["cost"] = price
        case _:
            message["data"]["metadata"] |= {"cost": 60, "cost_fiat": price}
    return message


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("names", [("promisedDate", "promisedAmount"), ("promised_date", "promised_amount")])
def test_promise_and_price_are_read(provider: str, names: tuple[str, str]) -> None:
    promised: dict[str, Any] = dict(zip(names, ("2026-12-01", "500 000 UZS"), strict=True))
    message = reported(provider, CALL, reason=TALKED[provider], outcome="PROMISE_TO_PAY", **promised)
    result = ending(provider, priced(provider, message, 0.144)).result
    assert (result.promised_date, result.promised_amount) == ("2026-12-01", Money("500000", "UZS"))
    assert result.cost == Money("0.144", "USD")


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("price", [None, "much", -1.0, {}, True])
def test_price_that_cannot_be_read_is_none(provider: str, price: Any) -> None:
    message = reported(provider, CALL, reason=TALKED[provider], outcome="SUCCESS")
    result = ending(provider, priced(provider, message, price)).result
    assert (result.call_status, result.cost) == (CallStatus.SUCCESS, None)


RETELL = {
    "BUSY": "dial_busy user_declined",
    "NO_ANSWER": "dial_no_answer voicemail_reached ivr_reached",
    "CALLBACK_REQUESTED": "user_requested_callback",
    "REFUSED": "user_requested_dnc",
    "SUCCESS": "user_hangup agent_hangup inactivity max_duration_reached call_transfer transfer_bridged"
    " transfer_cancelled manual_stopped call_take_over",
    "FAILED": "dial_failed invalid_destination telephony_provider_permission_denied telephony_provider_unavailable"
    " sip_routing_error marked_as_spam network_blocked scam_detected registered_call_timeout error_llm_websocket_open"
    " error_llm_websocket_lost_connection error_llm_websocket_runtime error_llm_websocket_corrupt_payload"
    " error_no_audio_received error_asr error_retell error_unknown error_user_not_joined",
    "full": "concurrency_limit_reached no_concurrency_fallback",
    "refused": "no_valid_payment credit_exhausted budget_reached",
}
"""Retell's reasons, by what becomes of a call that would have succeeded."""


def becomes(provider: str, reason: str) -> str:
    """A status, or the verdict on an agent that dialed nobody, of a call that succeeded but for the reason."""
    end = ending(provider, reported(provider, CALL, reason=reason, success=True, seconds=0))
    return end.never_dialed or end.result.call_status


@pytest.mark.parametrize(("expected", "reasons"), RETELL.items())
def test_every_reason_of_retell_is_known(expected: str, reasons: str) -> None:
    assert {reason: becomes("retell", reason) for reason in reasons.split()} == dict.fromkeys(reasons.split(), expected)


def test_no_reason_of_retell_is_forgotten() -> None:
    assert set(" ".join(RETELL.values()).split()) == set(retell.ENDS)


VAPI = {
    "BUSY": "customer-busy",
    "NO_ANSWER": "customer-did-not-answer voicemail"
    " call.in-progress.error-providerfault-outbound-sip-408-request-timeout"
    " call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable",
    "SUCCESS": "assistant-ended-call assistant-ended-call-after-message-spoken assistant-said-end-call-phrase"
    " assistant-forwarded-call customer-ended-call customer-ended-call-during-transfer exceeded-max-duration"
    " silence-timed-out manually-canceled call.ending.hook-executed-say call.forwarding.operator-busy"
    " call.in-progress.twilio-completed-call call.in-progress.error-transfer-failed vonage-completed"
    " vonage-disconnected call.in-progress.error-warm-transfer-max-duration",
    "FAILED": "assistant-not-found assistant-join-timed-out call-deleted scheduled-call-deleted worker-shutdown"
    " call-start-error-neither-assistant-nor-server-set call.ringing.hook-executed-say call.start.error-get-customer"
    " call.in-progress.error-providerfault-eleven-labs-system-busy-and-requested-upgrade vonage-rejected"
    " call.in-progress.error-providerfault-outbound-sip-403-forbidden pipeline-error-openai-llm-failed"
    " phone-call-provider-closed-websocket twilio-failed-to-connect-call sip-outbound-unallocated-number"
    " customer-did-not-give-microphone-permission",
    "full": "call.start.error-subscription-concurrency-limit-reached call.start.error-vapi-number-outbound-daily-limit",
    "refused": "call.start.error-subscription-frozen call.start.error-subscription-insufficient-credits",
    "away": "call.start.error-vapifault-get-org call.start.error-vapifault-worker-not-available",
}
"""Vapi's reasons, some of each family."""


@pytest.mark.parametrize(("expected", "reasons"), VAPI.items())
def test_reasons_of_vapi_are_known_by_their_family(expected: str, reasons: str) -> None:
    assert {reason: becomes("vapi", reason) for reason in reasons.split()} == dict.fromkeys(reasons.split(), expected)


def test_every_family_of_vapi_has_an_example() -> None:
    examples = " ".join(VAPI.values()).split()
    assert {form for form in vapi.ENDS if not any(fnmatchcase(each, form) for each in examples)} == set()


@pytest.mark.parametrize("reason", ["credit_exhausted", "concurrency_limit_reached"])
def test_call_that_lasted_was_dialed_whatever_the_reason_says(reason: str) -> None:
    end = ending("retell", reported("retell", CALL, reason=reason, success=True, seconds=5))
    assert (end.never_dialed, end.result.call_status) == (None, CallStatus.SUCCESS)


def test_voicemail_that_only_the_analysis_noticed_is_nobody() -> None:
    message = reported("retell", CALL, reason="agent_hangup", outcome="SUCCESS")
    message["call"]["call_analysis"]["in_voicemail"] = True
    assert ending("retell", message).result.call_status is CallStatus.NO_ANSWER
    message = reported("elevenlabs", CALL, reason="answered", outcome="SUCCESS")
    message["data"]["transcript"][0]["tool_calls"] = [{"tool_name": "voicemail_detection"}]
    assert ending("elevenlabs", message).result.call_status is CallStatus.NO_ANSWER


@pytest.mark.parametrize(
    ("event", "status", "read"),
    [
        ("call_started", "ongoing", False),
        ("call_ended", "ended", False),
        ("call_ended", "not_connected", True),
        ("call_ended", "error", True),
        ("transcript_updated", "ongoing", False),
    ],
)
def test_retell_is_heard_when_nothing_more_will_come(event: str, status: str, read: bool) -> None:
    message = reported("retell", CALL, reason="dial_busy")
    message["event"], message["call"]["call_status"] = event, status
    del message["call"]["call_analysis"]
    assert (told("retell", message) is not None) is read


@pytest.mark.parametrize(
    ("reason", "body", "status"),
    [
        ("busy", {}, "BUSY"),
        ("no-answer", {}, "NO_ANSWER"),
        *(("unknown", {"sip_status_code": code}, "BUSY") for code in (486, "600", 603)),
        *(("unknown", {"sip_status_code": code}, "NO_ANSWER") for code in (408, 480, 487)),
        ("unknown", {"sip_status_code": 404}, "FAILED"),
        ("unknown", {"CallStatus": "no-answer"}, "NO_ANSWER"),
        ("unknown", {"CallStatus": "busy"}, "BUSY"),
        ("unknown", {}, "FAILED"),
        ("something-new", {}, "FAILED"),
    ],
)
def test_elevenlabs_tells_why_it_never_connected(reason: str, body: dict[str, Any], status: str) -> None:
    webhook = told("elevenlabs", never_connected(reason, **body))
    assert webhook is not None
    assert (webhook.call_id, webhook.conversation_id) == (None, CONVERSATION)
    assert (webhook.ending.result.call_status, webhook.ending.result.outcome) == (status, reason)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        *(("answered", "SUCCESS"), ("voicemail", "NO_ANSWER"), ("no_answer", "NO_ANSWER"), ("busy", "BUSY")),
        *(("failed", "FAILED"), ("", "SUCCESS")),
    ],
)
def test_every_result_of_elevenlabs_is_known(result: str, status: str) -> None:
    assert becomes("elevenlabs", result) == status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *(("line_busy", "BUSY"), ("call_rejected", "BUSY"), ("no_answer", "NO_ANSWER"), ("llm_error", "FAILED")),
        *(("max_duration_exceeded", "FAILED"), ("entitlement_exceeded", "full"), ("unknown", "FAILED")),
    ],
)
def test_error_of_elevenlabs_explains_a_call_that_failed(error: str, expected: str) -> None:
    message = reported("elevenlabs", CALL, reason="failed", seconds=0)
    message["data"]["error_type"] = error
    end = ending("elevenlabs", message)
    assert (end.never_dialed or end.result.call_status) == expected


def test_conversation_that_elevenlabs_says_failed_has_failed() -> None:
    message = reported("elevenlabs", CALL, reason="answered", success=True)
    message["data"]["status"] = "failed"
    assert ending("elevenlabs", message).result.call_status is CallStatus.FAILED


@pytest.mark.parametrize("message", ["post_call_audio", "answering_machine_detection", None])
def test_what_tells_of_no_end_is_nothing(message: str | None) -> None:
    assert told("elevenlabs", {"type": message, "data": {}}) is None
    assert told("vapi", {"message": {"type": message}}) is None
    assert told("retell", {"event": message}) is None


@pytest.mark.parametrize("provider", VENDORS)
def test_report_that_names_no_call_is_refused(provider: str) -> None:
    with pytest.raises(InvalidBody):
        told(provider, reported(provider, None, reason="x", conversation_id="two words"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def mutated(draw: st.DrawFn, message: Any) -> Any:
    """A message some of whose members, at any depth, are something else."""
    if draw(st.integers(0, 6)) == 0:
        return draw(JSON)
    if isinstance(message, dict):
        return {name: draw(mutated(value)) for name, value in message.items()}
    if isinstance(message, list):
        return [draw(mutated(value)) for value in message]
    return message


@pytest.mark.parametrize("provider", VENDORS)
@given(data=st.data())
def test_no_webhook_breaks_its_reader(provider: str, data: st.DataObject) -> None:
    message = data.draw(mutated(reported(provider, CALL, reason=TALKED[provider], outcome="SUCCESS")))
    with suppress(InvalidBody):
        told(provider, message)
