"""What queues and agents bring broken: it alone is refused or given back, and nothing else waits for it."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

import app
from chalicelib.agents.http import sign
from chalicelib.aws import sqs
from chalicelib.realtime.messages import SumUp
from chalicelib.settings import settings
from tests import pauses
from tests.service.aws import WEBHOOK_SECRET, client
from tests.service.cloud import Cloud, Reply, sqs_event
from tests.service.live import Live

BROKEN = ("{}", "[]", "not JSON", '{"type":"unheard-of","organizationId":"1","campaignId":"1"}')


def given_back(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    """The messages that SQS is to deliver again."""
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def test_pacer_gives_back_what_is_no_campaign_event(cloud: Cloud) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    event = sqs_event([*BROKEN, *cloud.take(settings().campaign_events_queue)])
    assert given_back(app.pace(event, None)) == [each["messageId"] for each in event["Records"][:-1]]
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 1


def test_broadcaster_gives_back_what_is_no_live_event(cloud: Cloud) -> None:
    event = sqs_event([*BROKEN, "no JSON", sqs.encode(SumUp(organization_id="1"))])
    assert given_back(app.broadcast(event, None)) == [each["messageId"] for each in event["Records"][:-1]]


@pytest.mark.parametrize("handler", [app.dial, app.work, app.import_file])
def test_message_that_cannot_be_read_fails_its_delivery(cloud: Cloud, handler: Any) -> None:
    with pytest.raises(msgspec.DecodeError):
        handler(sqs_event(["no JSON"]), None)


def reported(cloud: Cloud, body: bytes, *, provider: str = "http") -> Reply:
    """The answer to an agent's signed webhook."""
    at = str(int(time.time()))
    signature = f"t={at},v1={sign(at, body, WEBHOOK_SECRET)}"
    return cloud.post(
        f"/agents/{provider}/webhook", body, organization=None, headers={"X-AutoCall-Signature": signature}
    )


def test_signed_webhook_that_says_nothing_is_refused_with_the_field(cloud: Cloud) -> None:
    for body, field in ((b"{", ""), (b"[]", ""), (b'{"success":true}', "callId"), (b'{"callId":7}', "callId")):
        assert reported(cloud, body).field_at_fault == field
    assert reported(cloud, b'{"callId":"7","success":true}').problem == (404, "not-found")
    assert cloud.take(settings().campaign_events_queue) == []


def test_changes_that_cannot_be_passed_on_are_delivered_again(cloud: Cloud, live: Live) -> None:
    live.open("browser")
    cloud.a_contact()
    [batch] = [batch for batch in live.changes() if "ContactsTable" in batch[0]["eventSourceARN"]]
    client("sqs").delete_queue(QueueUrl=settings().live_events_queue)
    with pauses.skipped(), pytest.raises(sqs.SendFailed):
        app.publish({"Records": batch}, None)
