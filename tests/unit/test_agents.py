"""Agents over a real line: which failures prove that no call began, and which leave it open."""

from __future__ import annotations

import functools
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from moto import mock_aws

from chalicelib import agents
from chalicelib.agents import http, reports, wire
from chalicelib.agents.contract import Accepted, CallOrder, Declined, NotPlaced, OutcomeUnknown
from chalicelib.agents.health import Verdict
from chalicelib.agents.http import HttpAgent, sign, verify
from chalicelib.agents.simulated import SimulatedAgent
from chalicelib.calls.model import OUTCOMES, CallStatus, Result
from chalicelib.errors import InvalidBody, Unauthorized
from chalicelib.money import Money
from tests.simulation.environment import variables
from tests.unit.builders import NOW, an_order
from tests.unit.line import Behave, Line, hang_up, request_on


def reset(connection: socket.socket) -> None:
    """End a connection with a reset, at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_before_reading(connection: socket.socket) -> None:
    connection.recv(1, socket.MSG_PEEK)
    reset(connection)


def reset_after_reading(connection: socket.socket) -> None:
    request_on(connection)
    reset(connection)


def say_nothing(connection: socket.socket) -> None:
    request_on(connection)
    connection.recv(1)


def drip(head: bytes, drop: bytes) -> Behave:
    """Answer without an end, so often that no single read waits for long."""

    def behave(connection: socket.socket) -> None:
        request_on(connection)
        _drip(connection, head, drop)

    return behave


def drip_a_handshake(connection: socket.socket) -> None:
    """Answer a ClientHello by a record of TLS that takes minutes to come."""
    connection.recv(64 * 1024)
    _drip(connection, b"\x16\x03\x03\x40\x00", b"\x02")


def _drip(connection: socket.socket, head: bytes, drop: bytes) -> None:
    connection.settimeout(0.02)
    with suppress(OSError):
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return


def stop_midway(connection: socket.socket) -> None:
    request_on(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"success": tr')


def stall_midway(connection: socket.socket) -> None:
    stop_midway(connection)
    connection.recv(1)


@functools.cache
def certificate() -> bytes:
    """A certificate that this machine gives itself, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return signed.public_bytes(Encoding.PEM) + private


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def line(environment: pytest.MonkeyPatch) -> Iterator[Line]:
    opened = Line()
    environment.setenv("AGENT_URL", f"http://{opened.address}/calls")
    environment.setenv("AGENT_TIMEOUT_SECONDS", "2")
    yield opened
    opened.close()


def place() -> Result | Accepted | Declined:
    return HttpAgent().place(an_order())


def refusal() -> Verdict:
    """What a call that was surely not placed says of the agent."""
    with pytest.raises(NotPlaced) as refused:
        place()
    return refused.value.verdict


def test_agent_gets_the_order(line: Line) -> None:
    line.reports(success=True)
    place()
    head, _, body = line.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /calls HTTP/1.1\r\n")
    assert b"idempotency-key: attempt" in head.lower()
    assert b"authorization" not in head.lower()
    assert json.loads(body) == {
        "phoneNumber": "+998901234567",
        "firstName": "Ali",
        "lastName": "Valiyev",
        "notes": None,
        "timezone": None,
        "customData": {"totalDebt": 5000},
        "callId": "attempt",
        "organizationId": "1",
        "campaignId": "campaign",
        "campaignName": "January",
        "campaignType": "DEBT_COLLECTION",
        "contactId": "contact",
        "agentId": None,
        "variables": {},
        "callerNumber": None,
        "maxDurationSeconds": None,
        "callTimeoutSeconds": 900,
        "callbackUrl": "https://api.test/auto-calling/agents/http/webhook",
    }


def test_token_goes_along_without_the_line_break_an_editor_left(line: Line, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_TOKEN_PARAMETER", "/agent-token")
    line.reports(success=True)
    with mock_aws():
        boto3.client("ssm").put_parameter(Name="/agent-token", Value="a token\n", Type="SecureString")
        place()
    assert b"authorization: bearer a token\r\n" in line.received[0].lower()


def test_token_that_cannot_be_read_began_no_call(line: Line, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_TOKEN_PARAMETER", "/missing")
    with mock_aws():
        assert refusal() is Verdict.AWAY
    assert line.received == []


def test_result_at_once(line: Line) -> None:
    line.reports(success=True, outcome="Paid", summary="They talked.", duration=41.6, recordingUrl="https://r.test/1")
    assert place() == Result(
        call_status=CallStatus.SUCCESS,
        outcome="Paid",
        summary="They talked.",
        duration=42,
        recording_url="https://r.test/1",
    )


@pytest.mark.parametrize("digits", [309, 4_300, 5_000])
def test_number_too_long_for_anybody_loses_only_its_member(line: Line, digits: int) -> None:
    line.answers(200, b'{"status":"PROMISE_TO_PAY","outcome":"Friday","duration":%s}' % (b"9" * digits))
    assert place() == Result(call_status=CallStatus.PROMISE_TO_PAY, outcome="Friday")


@pytest.mark.parametrize("status", OUTCOMES)
def test_status_wins_over_success(line: Line, status: CallStatus) -> None:
    line.reports(success=status is CallStatus.FAILED, status=status, somethingNew={"a": 1})
    assert place() == Result(call_status=status)


def test_accepted_call_reports_later(line: Line) -> None:
    line.answers(202, b"on its way")
    assert place() == Accepted()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((401, Verdict.REFUSED), (402, Verdict.REFUSED), (403, Verdict.REFUSED), (429, Verdict.FULL)),
        *((404, Verdict.AWAY), (405, Verdict.AWAY), (410, Verdict.AWAY)),
    ],
)
def test_agent_that_refuses_us_began_no_call(line: Line, status: int, verdict: Verdict) -> None:
    line.answers(status)
    assert refusal() is verdict


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(line: Line, status: int) -> None:
    line.answers(status, Location=f"http://{line.address}/elsewhere")
    assert refusal() is Verdict.AWAY
    assert len(line.received) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_contact_the_agent_cannot_call_has_failed(line: Line, status: int) -> None:
    line.answers(status, b'{"error":"bad number"}')
    answer = place()
    assert isinstance(answer, Declined)
    assert answer.result.call_status is CallStatus.FAILED
    assert str(status) in str(answer.result.outcome)


@pytest.mark.parametrize("status", [201, 204, 304, 408, 409, 418, 500, 502, 503, 504])
def test_other_answers_leave_it_open(line: Line, status: int) -> None:
    line.answers(status)
    with pytest.raises(OutcomeUnknown):
        place()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"[]", b"<html>", b"\xff", b"{}", b'{"outcome":"x"}', b'{"success":"yes"}'),
        *(b'{"status":"DONE"}', b'{"status":"PENDING"}', b"[" * 100_000),
    ],
)
def test_answer_that_cannot_be_read_leaves_it_open(line: Line, body: bytes) -> None:
    line.answers(200, body)
    with pytest.raises(OutcomeUnknown):
        place()


@pytest.mark.parametrize(
    "behave", [reset_before_reading, hang_up, reset_after_reading, say_nothing, stop_midway, stall_midway]
)
def test_line_that_breaks_after_it_stood_leaves_it_open(line: Line, behave: Behave) -> None:
    line.behave = behave
    with pytest.raises(OutcomeUnknown):
        place()


@pytest.mark.parametrize(
    "behave",
    [
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b" "),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["chunks", "body", "body-without-length", "header", "provisional-answers"],
)
def test_answer_that_drips_is_not_waited_for_longer_than_the_time_out(line: Line, behave: Behave) -> None:
    line.behave = behave
    with pytest.raises(OutcomeUnknown, match="did not answer"):
        HttpAgent().place(an_order())


def test_handshake_that_drips_began_no_call_and_is_not_waited_for_longer_than_the_time_out(
    line: Line, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(wire, "CONNECT_TIMEOUT_SECONDS", 3_600)
    line.behave = drip_a_handshake
    environment.setenv("AGENT_URL", f"https://{line.address}/calls")
    assert refusal() is Verdict.AWAY


def test_answer_without_end_is_not_kept_in_memory(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_ANSWER", 10_000)
    line.behave = drip(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 20_000)
    with pytest.raises(OutcomeUnknown, match="too long"):
        HttpAgent().place(an_order())


def test_number_of_very_many_digits_costs_a_report_no_other_member() -> None:
    report = reports.read(b'{"status": "PROMISE_TO_PAY", "duration": %s}' % (b"9" * 5_000))
    assert report.result == Result(call_status=CallStatus.PROMISE_TO_PAY)
    assert report.lost == ("duration",)


def test_report_says_what_was_promised_and_what_the_call_cost() -> None:
    told = b'{"success":true,"promisedDate":" 2026-12-01T00:00:00+05:00","promisedAmount":500000,"cost":"0.031 USD"}'
    result = reports.read(told).ending()
    assert (result.promised_date, result.promised_amount) == ("2026-12-01", Money("500000"))
    assert result.cost == Money("0.031", "USD")


@pytest.mark.parametrize("name", ["promisedDate", "promisedAmount", "cost"])
@pytest.mark.parametrize("odd", ["Friday", "2026-13-01", True, [], {"amount": "much"}, -5])
def test_fact_that_cannot_be_read_costs_no_other(name: str, odd: Any) -> None:
    report = reports.of({"success": True, "summary": "said", name: odd})
    assert report.lost == (name,)
    assert report.ending() == Result(call_status=CallStatus.SUCCESS, summary="said")


@pytest.mark.parametrize("name", ["promisedDate", "promisedAmount", "cost"])
@pytest.mark.parametrize("blank", ["", " ", None])
def test_fact_that_is_not_there_is_none_and_not_lost(name: str, blank: str | None) -> None:
    assert reports.of({"success": True, name: blank}) == reports.of({"success": True})


def test_answer_that_is_no_http_leaves_it_open(line: Line) -> None:
    line.answers("two hundred")
    with pytest.raises(OutcomeUnknown):
        place()


def test_answer_with_contradictory_lengths_leaves_it_open(line: Line) -> None:
    line.answers(200, b"{}", **{"Content-Length": "2, 3"})
    with pytest.raises(OutcomeUnknown):
        place()


def test_agent_nobody_listens_for_began_no_call(environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    environment.setenv("AGENT_URL", f"http://{address}/calls")
    assert refusal() is Verdict.AWAY


def test_agent_without_encryption_where_some_is_expected_began_no_call(
    line: Line, environment: pytest.MonkeyPatch
) -> None:
    line.behave = lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    environment.setenv("AGENT_URL", f"https://{line.address}/calls")
    assert refusal() is Verdict.AWAY


def test_agent_whose_certificate_is_not_trusted_began_no_call(line: Line, environment: pytest.MonkeyPatch) -> None:
    line.encrypted(certificate())
    line.reports(success=True)
    environment.setenv("AGENT_URL", f"https://{line.address}/calls")
    assert refusal() is Verdict.AWAY
    assert line.received == []


@pytest.mark.parametrize("behave", [hang_up, reset_after_reading, say_nothing])
def test_encrypted_line_that_breaks_after_the_order_was_read_leaves_it_open(
    line: Line, environment: pytest.MonkeyPatch, tmp_path: Path, behave: Behave
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(certificate())
    environment.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    environment.setenv("AGENT_URL", f"https://{line.address}/calls")
    line.encrypted(certificate())
    line.reports(success=True)
    assert isinstance(place(), Result)
    line.behave = behave
    with pytest.raises(OutcomeUnknown):
        place()


@pytest.mark.parametrize("token", ["two\nlines", "ключ"])
def test_token_no_header_can_hold_began_no_call(line: Line, environment: pytest.MonkeyPatch, token: str) -> None:
    environment.setattr(http, "secret", lambda _: token)
    environment.setenv("AGENT_TOKEN_PARAMETER", "/token")
    line.reports(success=True)
    refusal()
    assert line.received == []


@pytest.mark.parametrize("address", ["", "agent.test/calls", "http://", "https://[::1", "ftp://agent.test/"])
def test_address_that_leads_nowhere_began_no_call(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("AGENT_URL", address)
    assert refusal() is Verdict.AWAY


def test_result_is_cut(line: Line) -> None:
    line.reports(success=True, outcome="x" * 9_000, summary="y" * 9_000, recordingUrl="https://" + "z" * 9_000)
    answer = place()
    assert isinstance(answer, Result)
    assert [len(each or "") for each in (answer.outcome, answer.summary, answer.recording_url)] == [1000, 4000, 2000]


@pytest.mark.parametrize("report", [{}, {"status": "CALLING"}, {"status": "SKIPPED"}, {"status": "something-new"}])
def test_report_without_a_status_of_ours_is_refused(report: dict[str, Any]) -> None:
    with pytest.raises(InvalidBody):
        reports.read(json.dumps(report).encode()).ending()


STAMP = str(int(NOW.timestamp()))
BODY, KEY = b'{"callId":"c","success":true}', "key"


def signature(timestamp: str = STAMP, body: bytes = BODY, key: str = KEY) -> str:
    return f"t={timestamp},v1={sign(timestamp, body, key)}"


def test_signed_webhook_is_believed_for_five_minutes() -> None:
    for seconds in (-300, 0, 300):
        verify(signature(), BODY, lambda: KEY, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_signature_of_another_time_is_refused(seconds: int) -> None:
    with pytest.raises(Unauthorized):
        verify(signature(), BODY, lambda: KEY, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "header",
    [
        *("", "t=1", f"v1={sign(STAMP, BODY, KEY)}", signature(body=b"{}"), signature(key="another")),
        *(signature().upper(), signature() + "0", signature("1" * 13), signature("-5"), f"{signature()},v1=00"),
        *(signature("٣"), signature().replace(STAMP, "1" + STAMP)),
    ],
)
def test_any_other_signature_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        verify(header, BODY, lambda: KEY, now=NOW)


def test_signature_is_what_the_contract_says() -> None:
    assert sign("1764000000", b"{}", "key") == "135a1a8c79ff2a07661486422c8068924d01c7a70da314a29ce512bc61231899"


@pytest.mark.parametrize(
    ("digit", "status"),
    [
        *((digit, CallStatus.SUCCESS) for digit in "0123"),
        *(("4", CallStatus.PROMISE_TO_PAY), ("5", CallStatus.REFUSED), ("6", CallStatus.NO_ANSWER)),
        *(("7", CallStatus.BUSY), ("8", CallStatus.CALLBACK_REQUESTED), ("9", CallStatus.FAILED)),
    ],
)
def test_simulated_agent_answers_by_the_last_digit(
    environment: pytest.MonkeyPatch, digit: str, status: CallStatus
) -> None:
    assert SimulatedAgent().place(an_order(phone_number=f"+99890123456{digit}")).call_status is status


def test_only_known_providers_are_taken() -> None:
    for provider in agents.PROVIDERS:
        assert not list(agents.faults(provider, "agent.provider"))
    [fault] = agents.faults("carrier pigeon", "agent.provider")
    assert fault.field == "agent.provider"


NUMBERS = ["+998712000001", "+998712000002", "+998712000003"]


def test_numbers_share_the_contacts_and_a_contacts_stays_the_same() -> None:
    people = [a_order_of(n) for n in range(300)]
    callers = [order.caller(NUMBERS) for order in people]
    assert callers == [order.caller(NUMBERS[::-1]) for order in people]
    assert all(60 < callers.count(number) < 140 for number in NUMBERS)


def test_number_that_comes_moves_only_the_contacts_that_it_gets() -> None:
    people = [a_order_of(n) for n in range(300)]
    for order in people:
        assert order.caller([*NUMBERS, "+998712000004"]) in (order.caller(NUMBERS), "+998712000004")


def test_campaigns_numbers_are_the_ones_that_call() -> None:
    assert an_order(caller_numbers=NUMBERS[:1]).caller(NUMBERS[1:]) == NUMBERS[0]
    assert an_order().caller() is None


def a_order_of(n: int) -> CallOrder:
    return an_order(contact_id=f"contact-{n}")


def test_agent_is_told_the_number_that_calls_and_how_long(line: Line) -> None:
    line.reports(success=True)
    HttpAgent().place(an_order(caller_numbers=NUMBERS, max_duration_seconds=90))
    body = json.loads(line.received[0].partition(b"\r\n\r\n")[2])
    assert (body["callerNumber"] in NUMBERS, body["maxDurationSeconds"]) == (True, 90)


@pytest.mark.parametrize(
    ("timeout", "most", "seconds"), [(900, None, 780), (900, 300, 300), (900, 800, 780), (120, None, 60)]
)
def test_conversation_ends_before_the_call_does(timeout: int, most: int | None, seconds: int) -> None:
    assert an_order(call_timeout_seconds=timeout, max_duration_seconds=most).longest_talk_seconds == seconds
