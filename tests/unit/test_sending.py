"""Sending: whatever SQS refuses is sent again for a few seconds, in order, and no character loses a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus
from chalicelib.campaigns.messages import Audit, Wake
from chalicelib.dialing.messages import Ended, Event
from tests.pauses import Pauses, skipped
from tests.simulation.environment import variables
from tests.unit.builders import a_result

QUEUE = "https://sqs.test/some"
Verdict = Callable[[dict[str, Any]], dict[str, Any] | None]
"""What is wrong with an entry; None when it is taken."""

AGAIN = {"Code": "InternalError", "SenderFault": False}
AT_FAULT = {"Code": "InvalidMessageContents", "SenderFault": True}


class Queue:
    """SQS as a test has it: takes what nothing is wrong with, and keeps what it was asked."""

    def __init__(self, pauses: Pauses) -> None:
        self.pauses = pauses
        self.requests: list[list[dict[str, Any]]] = []
        self.taken: list[dict[str, Any]] = []
        self.wrong: Verdict = lambda entry: None
        self.down: Callable[[], Exception | tuple[int, str] | None] = lambda: None

    def answer(self, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        entries = json.loads(params["body"])["Entries"]
        self.requests.append(entries)
        if trouble := self.down():
            if isinstance(trouble, Exception):
                raise trouble
            error = {"Error": {"Code": trouble[1], "Message": ""}, "ResponseMetadata": {}}
            return SimpleNamespace(status_code=trouble[0]), error
        failed = [{"Id": entry["Id"], **wrong} for entry in entries if (wrong := self.wrong(entry))]
        refused = {each["Id"] for each in failed}
        self.taken += [entry for entry in entries if entry["Id"] not in refused]
        return SimpleNamespace(status_code=200), {"Failed": failed, "ResponseMetadata": {}}

    def bodies(self) -> list[str]:
        return [sqs.decode(entry["MessageBody"], Wake | Audit).campaign_id for entry in self.taken]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    events = sqs.client().meta.events
    with skipped() as pauses:
        queue = Queue(pauses)
        events.register("before-call.sqs.SendMessageBatch", queue.answer, unique_id="queue")
        yield queue
    events.unregister("before-call.sqs.SendMessageBatch", unique_id="queue")


def wakes(*campaigns: str) -> list[Wake]:
    return [Wake(organization_id="1", campaign_id=campaign) for campaign in campaigns]


def times(number: int, trouble: Any) -> Callable[..., Any]:
    """Trouble the first so many times, then none."""
    left = [trouble] * number
    return lambda *_: left.pop() if left else None


def send(*campaigns: str) -> None:
    sqs.send(QUEUE, wakes(*campaigns), tenant="1")


def send_in_order(*campaigns: str) -> None:
    sqs.send_in_order(QUEUE, wakes(*campaigns), group=lambda wake: wake.campaign_id.partition("-")[0])


def test_only_what_was_refused_is_sent_again(queue: Queue) -> None:
    refuse = times(3, AGAIN)
    queue.wrong = lambda entry: refuse() if '"c' in entry["MessageBody"] and int(entry["Id"]) in (1, 4) else None
    send(*(f"c{n}" for n in range(6)))
    assert sorted(queue.bodies()) == [f"c{n}" for n in range(6)]
    assert [len(entries) for entries in queue.requests] == [6, 2, 1]
    assert 0 < queue.pauses.seconds < sqs.PATIENCE_SECONDS


@pytest.mark.parametrize(
    "trouble",
    [
        (503, "ServiceUnavailable"),
        (500, "InternalError"),
        (400, "RequestThrottled"),
        (429, "ThrottlingException"),
        (403, "AccessDenied"),
        ReadTimeoutError(endpoint_url=QUEUE),
    ],
)
def test_request_without_success_is_made_again(queue: Queue, trouble: Any) -> None:
    queue.down = times(4, trouble)
    send_in_order("a", "b")
    assert queue.bodies() == ["a", "b"]
    assert len({entry["MessageDeduplicationId"] for request in queue.requests for entry in request}) == 2


@pytest.mark.parametrize("trouble", [(503, "ServiceUnavailable"), ReadTimeoutError(endpoint_url=QUEUE)])
def test_queue_that_stays_down_is_given_up_within_seconds(queue: Queue, trouble: Any) -> None:
    queue.down = lambda: trouble
    with pytest.raises(sqs.SendFailed):
        send(*map(str, range(500)))
    assert {entry["Id"] for request in queue.requests for entry in request} == set(map(str, range(10)))
    assert queue.pauses.seconds <= sqs.PATIENCE_SECONDS + 0.5


def test_entry_that_stays_refused_is_given_up_within_seconds(queue: Queue) -> None:
    queue.wrong = lambda entry: AGAIN if "bad" in entry["MessageBody"] else None
    with pytest.raises(sqs.SendFailed):
        send("a", "bad", "b")
    assert queue.bodies() == ["a", "b"]
    assert queue.pauses.seconds <= sqs.PATIENCE_SECONDS + 0.5


def test_message_at_fault_is_not_sent_again_and_keeps_no_other_back(queue: Queue) -> None:
    queue.wrong = lambda entry: AT_FAULT if "bad" in entry["MessageBody"] else None
    with pytest.raises(sqs.SendFailed):
        send("a", "bad", *map(str, range(20)))
    assert queue.bodies() == ["a", *map(str, range(20))]
    assert len(queue.requests) == 3
    assert queue.pauses.seconds == 0


def test_refused_message_is_overtaken_by_none_of_its_group(queue: Queue) -> None:
    refuse = times(5, AGAIN)
    queue.wrong = lambda entry: refuse() if "a-1" in entry["MessageBody"] else None
    send_in_order("a-0", "b-0", "a-1", "c-0", "a-2", "b-1", "a-3")
    taken = queue.bodies()
    assert [each for each in taken if each.startswith("a")] == ["a-0", "a-1", "a-2", "a-3"]
    assert [each for each in taken if each.startswith("b")] == ["b-0", "b-1"]


def test_group_whose_message_is_given_up_gets_no_later_one(queue: Queue) -> None:
    queue.wrong = lambda entry: AGAIN if "a-1" in entry["MessageBody"] else None
    with pytest.raises(sqs.SendFailed):
        send_in_order("a-0", "a-1", "a-2")
    assert queue.bodies() == ["a-0"]


def test_different_groups_travel_together(queue: Queue) -> None:
    send_in_order(*map(str, range(20)))
    assert [len(entries) for entries in queue.requests] == [10, 10]


def test_request_is_never_larger_than_sqs_takes(queue: Queue) -> None:
    long = [Audit(organization_id="ж" * 40_000, campaign_id=str(n)) for n in range(7)]
    sqs.send(QUEUE, long, tenant=None)
    sizes = [sum(len(entry["MessageBody"].encode()) for entry in entries) for entries in queue.requests]
    assert [len(entries) for entries in queue.requests] == [3, 3, 1]
    assert max(sizes) <= 256 * 1024
    assert queue.bodies() == [str(n) for n in range(7)]


def test_message_larger_than_a_request_goes_alone(queue: Queue) -> None:
    sizes = [10, 300_000, 10]
    sqs.send(
        QUEUE, [Audit(organization_id="x" * size, campaign_id=str(n)) for n, size in enumerate(sizes)], tenant=None
    )
    assert [len(entries) for entries in queue.requests] == [1, 1, 1]


@given(st.text(st.characters(codec=None)))
def test_any_character_travels_or_is_replaced(summary: str) -> None:
    told = Ended(organization_id="1", campaign_id="c", contact_id="p", attempt_id="a", result=a_result(summary=summary))
    body = sqs.encode(told)
    assert not sqs.REFUSED_CHARACTERS.search(body)
    refused = [each for each in map(chr, range(0x20)) if each not in "\t\n\r"]
    kept = "".join(each if each in refused else sqs.REFUSED_CHARACTERS.sub("\ufffd", each) for each in summary)
    assert sqs.decode(body, Event).result.summary == kept


def test_half_an_emoji_costs_no_conversation() -> None:
    result = a_result(CallStatus.PROMISE_TO_PAY, outcome="pays \ud83d", summary="\ufffe\uffff \x00 ok \U0001f600")
    told = Ended(organization_id="1", campaign_id="c", contact_id="p", attempt_id="a", result=result)
    read = sqs.decode(sqs.encode(told), Event).result
    assert (read.call_status, read.outcome) == (CallStatus.PROMISE_TO_PAY, "pays \ufffd")
    assert read.summary == "\ufffd\ufffd \x00 ok \U0001f600"
