"""Messages: what is sent is what is read, and nothing is believed to be sent that was not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from chalicelib.agents.health import Said, Verdict
from chalicelib.aws import sqs
from chalicelib.calls.model import CallState, CallStatus
from chalicelib.campaigns.messages import Audit, Enrol, Redial, Remove, Wake, tell_pacer
from chalicelib.dialing.messages import Dial, Ended, Event, Heard, Released, Skipped, Undialed, dial
from chalicelib.imports.messages import ContinueImport, ImportOrder, UndoImport, WatchImport
from chalicelib.log import correlated
from chalicelib.realtime.messages import CatchUp, Live, Refuse, SumUp, Tell
from chalicelib.realtime.model import Told
from chalicelib.settings import settings
from chalicelib.worker import Job
from tests.simulation.environment import variables
from tests.unit.builders import a_result

HERE: dict[str, Any] = {"organization_id": "1", "campaign_id": "campaign"}
TRAVELS = st.characters(codec="utf-8", exclude_characters="\ufffe\uffff")
"""What SQS takes of what UTF-8 can say."""

CALL: dict[str, Any] = {**HERE, "contact_id": "contact", "attempt_id": "first"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (Wake(**HERE), Event),
        (Ended(**CALL, result=a_result(CallStatus.BUSY, outcome="O‘zbekcha, по-русски", duration=3)), Event),
        (
            Released(
                **CALL, lease=2, state=CallState.QUEUED, reason="busy", said=Said(Verdict.FULL, "429"), zone="a,b"
            ),
            Event,
        ),
        (Skipped(**CALL, lease=1, reason="DO_NOT_CALL"), Event),
        (Heard(**CALL, said=Said(Verdict.TAKEN)), Event),
        (Undialed(**CALL, reason="the agent dialed nobody", said=Said(Verdict.FULL), delay_seconds=60), Event),
        (Dial(**CALL, lease=1, call_timeout_seconds=900), Dial),
        (Enrol(**HERE, contact_ids=["a", "b"]), Job),
        (Enrol(**HERE, status="ACTIVE", cursor="c"), Job),
        (Remove(**HERE), Job),
        (Redial(**HERE, statuses=[CallStatus.BUSY], before="2026-11-23T06:15:00.000Z"), Job),
        (Audit(**HERE), Job),
        (Refuse(connection_id="c="), Job),
        (CatchUp(organization_id="1", connection_id="c="), Job),
        (SumUp(organization_id="1"), Job),
        (Tell(organization_id="1", events=[Told(record="r", name="e", data=msgspec.Raw(b'{"a":1}'))]), Live),
        (ContinueImport(organization_id="1", import_id="i"), ImportOrder),
        (WatchImport(organization_id="1", import_id="i"), ImportOrder),
        (UndoImport(organization_id="1", import_id="i", cursor="00000001"), ImportOrder),
    ],
)
def test_message_is_read_as_it_was_sent(message: msgspec.Struct, kind: Any) -> None:
    assert sqs.decode(sqs.encode(message), kind) == message


@given(st.text(TRAVELS), st.text(TRAVELS, max_size=50) | st.none())
def test_any_text_an_agent_tells_travels(summary: str, outcome: str | None) -> None:
    told = Ended(**CALL, result=a_result(summary=summary, outcome=outcome))
    assert sqs.decode(sqs.encode(told), Event) == told


def test_wake_has_the_form_that_is_written_down() -> None:
    with correlated("request"):
        sent = sqs.encode(Wake(**HERE))
    assert json.loads(sent) == {
        "type": "wake",
        "organizationId": "1",
        "campaignId": "campaign",
        "correlationId": "request",
    }


def test_member_a_newer_sender_adds_is_ignored() -> None:
    assert sqs.decode('{"type":"wake","organizationId":"1","campaignId":"c","new":1}', Event).campaign_id == "c"


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"type":"nap"}', '{"type":"wake","organizationId":"1"}'])
def test_what_is_no_message_is_refused(body: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        sqs.decode(body, Event)


class Queues:
    """The queues in moto, and what lies in them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sqs = boto3.client("sqs")
        for name in ("CAMPAIGN_EVENTS_QUEUE", "DIAL_QUEUE"):
            fifo = {"FifoQueue": "true"} if name.startswith("CAMPAIGN") else {}
            queue = name.lower() + (".fifo" if fifo else "")
            monkeypatch.setenv(name, self.sqs.create_queue(QueueName=queue, Attributes=fifo)["QueueUrl"])

    def take(self, queue: str) -> list[dict[str, Any]]:
        """All messages of a queue, each once."""
        taken: list[dict[str, Any]] = []
        while found := self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for message in found:
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            taken += found
        return taken


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Queues(monkeypatch)


def test_any_number_of_messages_is_sent(queues: Queues) -> None:
    orders = [Dial(**{**CALL, "contact_id": str(n)}, lease=1, call_timeout_seconds=900) for n in range(23)]
    dial("1", orders)
    sent = [sqs.decode(message["Body"], Dial) for message in queues.take(settings().dial_queue)]
    assert sorted(sent, key=lambda order: int(order.contact_id)) == orders


def test_events_of_a_campaign_stay_in_order_and_the_same_one_may_be_told_twice(queues: Queues) -> None:
    told = [Heard(**(CALL | {"attempt_id": str(n % 2)}), said=Said(Verdict.TAKEN)) for n in range(12)]
    tell_pacer(told)
    sent = queues.take(settings().campaign_events_queue)
    assert [sqs.decode(message["Body"], Event) for message in sent] == told
    assert {message["Attributes"]["MessageGroupId"] for message in sent} == {"campaign"}


def test_nothing_to_send_asks_for_nothing(queues: Queues) -> None:
    dial("1", [])
    assert queues.take(settings().dial_queue) == []
