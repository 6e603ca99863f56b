"""Providers are asked after a call, by their own id of it or by the attempt; what they say is as in their webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib import agents
from chalicelib.agents.contract import Answering, Ending, Inquiry, OutcomeUnknown, Whereabouts
from chalicelib.agents.http import HttpAgent
from chalicelib.calls.model import CallStatus
from tests.unit.builders import NOW
from tests.unit.line import Line
from tests.unit.test_agents import environment
from tests.unit.test_agents import line as http_line
from tests.unit.test_vendors import CALL, line
from tests.vendors import CONVERSATION, TALKED, VENDORS, reported

__all__ = ["environment", "http_line", "line"]

UNDER_WAY, NO_TRACE, UNSAID = Whereabouts


def asked(provider: str, conversation_id: str | None = None) -> Ending | Whereabouts:
    """What a provider says of the call."""
    answering = agents.agent(provider)
    assert isinstance(answering, Answering)
    return answering.ask(Inquiry(call_id=CALL, conversation_id=conversation_id, organization_id="1", ordered_at=NOW))


def requests(line: Line) -> list[tuple[str, str, Any]]:
    """Method, address and body of what was asked."""
    found = []
    for request in line.received:
        head, _, body = request.partition(b"\r\n\r\n")
        method, address, _ = head.decode().split("\r\n")[0].split()
        found.append((method, address, json.loads(body) if body else None))
    return found


def whole(provider: str, **over: Any) -> dict[str, Any]:
    """A call as the vendor shows it, as in the report of a promise to pay."""
    report = reported(provider, CALL, reason=TALKED[provider], outcome="PROMISE_TO_PAY")
    match provider:
        case "retell":
            return {**report["call"], **over}
        case "vapi":
            message = report["message"]
            return {**message, **message["call"], "status": "ended", **over}
        case _:
            return {**report["data"], **over}


LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "retell": lambda calls: {"items": calls, "has_more": False},
    "vapi": lambda calls: calls,
    "elevenlabs": lambda calls: {"conversations": calls, "has_more": False},
}
BY_ID = {
    "retell": f"/v2/get-call/{CONVERSATION}",
    "vapi": f"/call/{CONVERSATION}",
    "elevenlabs": f"/v1/convai/conversations/{CONVERSATION}",
}


@pytest.mark.parametrize("provider", VENDORS)
def test_vendor_tells_by_its_own_id_what_its_webhook_would(line: Line, provider: str) -> None:
    line.answers_in_turn((200, whole(provider)))
    ending = asked(provider, CONVERSATION)
    report = json.dumps(reported(provider, CALL, reason=TALKED[provider], outcome="PROMISE_TO_PAY")).encode()
    webhook = agents.reporter(provider).read(report)
    assert webhook is not None
    assert ending == webhook.ending
    assert requests(line) == [("GET", BY_ID[provider], None)]
    assert b"key-1" in line.received[0]


@pytest.mark.parametrize("provider", VENDORS)
def test_vendor_finds_the_call_by_the_attempt(line: Line, provider: str) -> None:
    found = whole(provider)
    line.answers_in_turn((200, LISTS[provider]([found])), (200, found))
    ending = asked(provider)
    assert isinstance(ending, Ending)
    assert ending.result.call_status is CallStatus.PROMISE_TO_PAY
    method, address, body = requests(line)[0]
    path, query = urlsplit(address).path, parse_qs(urlsplit(address).query)
    match provider:
        case "retell":
            wanted = {"metadata": [{"type": "string", "op": "eq", "key": "attempt", "value": CALL}]}
            assert (method, path, body) == ("POST", "/v3/list-calls", {"filter_criteria": wanted, "limit": 1})
        case "vapi":
            assert (method, path) == ("GET", "/call")
            assert query["createdAtGe"] == ["2026-11-23T06:14:00.000Z"]
            assert query["createdAtLe"] > ["2026-11-23T06:16"]
        case _:
            assert (method, path, query) == ("GET", "/v1/convai/conversations", {"user_id": [CALL]})


@pytest.mark.parametrize("provider", VENDORS)
def test_vendor_knows_nothing_of_the_attempt(line: Line, provider: str) -> None:
    line.answers_in_turn((200, LISTS[provider]([])))
    assert asked(provider) is NO_TRACE


def test_other_calls_of_those_minutes_are_no_trace(line: Line) -> None:
    line.answers_in_turn((200, [whole("vapi", customer={"externalId": "another"})]))
    assert asked("vapi") is NO_TRACE


def test_more_calls_than_a_list_has_may_have_it(line: Line) -> None:
    line.answers_in_turn((200, [{"id": f"{n}"} for n in range(1000)]))
    with pytest.raises(OutcomeUnknown):
        asked("vapi")


@pytest.mark.parametrize(
    ("provider", "over"),
    [
        ("retell", {"call_status": "ongoing"}),
        ("retell", {"call_status": "registered"}),
        ("retell", {"call_analysis": None}),
        ("vapi", {"status": "in-progress"}),
        ("elevenlabs", {"status": "processing"}),
    ],
)
def test_call_that_goes_on_is_under_way(line: Line, provider: str, over: dict[str, Any]) -> None:
    line.answers_in_turn((200, whole(provider, **over)))
    assert asked(provider, CONVERSATION) is UNDER_WAY


@pytest.mark.parametrize("status", ["not_connected", "error"])
def test_call_that_never_connected_at_retell_is_over(line: Line, status: str) -> None:
    call = whole("retell", call_status=status, call_analysis=None, disconnection_reason="dial_no_answer")
    line.answers_in_turn((200, call))
    ending = asked("retell", CONVERSATION)
    assert isinstance(ending, Ending)
    assert ending.result.call_status is CallStatus.NO_ANSWER


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize("answer", [(500, {}), (401, {}), (429, {}), (200, "no list"), (200, {"items": 5})])
def test_answer_that_says_nothing_leaves_it_open(line: Line, provider: str, answer: tuple[int, Any]) -> None:
    line.answers_in_turn(answer)
    with pytest.raises(OutcomeUnknown):
        asked(provider)


@pytest.mark.parametrize("provider", VENDORS)
def test_id_that_is_not_found_is_no_end(line: Line, provider: str) -> None:
    line.answers_in_turn((404, {}))
    assert asked(provider, CONVERSATION) is UNDER_WAY


# an agent over HTTP of one's own


def test_agent_tells_below_its_address(http_line: Line, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_URL", f"http://{http_line.address}/calls/?key=1")
    http_line.answers_in_turn((200, {"callId": CALL, "success": True, "outcome": "Paid"}))
    ending = HttpAgent().ask(Inquiry(call_id=CALL, organization_id="1", ordered_at=NOW))
    assert isinstance(ending, Ending)
    assert (ending.result.call_status, ending.result.outcome) == (CallStatus.SUCCESS, "Paid")
    assert requests(http_line) == [("GET", f"/calls/{CALL}?key=1", None)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {}), UNSAID),
        ((405, {}), UNSAID),
        ((202, {}), UNDER_WAY),
        ((200, {"status": "CALLING"}), UNDER_WAY),
        ((200, "a page"), UNDER_WAY),
    ],
)
def test_agent_that_says_no_end(http_line: Line, answer: tuple[int, Any], said: Whereabouts) -> None:
    http_line.answers_in_turn(answer)
    assert asked("http") is said


@pytest.mark.parametrize("answer", [(500, {}), (401, {}), (200, {"callId": "another", "success": True})])
def test_agent_that_answers_something_else_leaves_it_open(http_line: Line, answer: tuple[int, Any]) -> None:
    http_line.answers_in_turn(answer)
    with pytest.raises(OutcomeUnknown):
        asked("http")


def test_simulated_agent_is_not_asked() -> None:
    assert not agents.can_be_asked("simulated")
    assert all(map(agents.can_be_asked, ("http", *VENDORS)))
