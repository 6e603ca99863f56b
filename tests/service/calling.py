"""Calls as tests of the calling floor make and report them, and what others do in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.agents.contract import Accepted
from chalicelib.agents.http import sign
from chalicelib.aws import dynamodb
from chalicelib.dialing import pacer
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import WEBHOOK_SECRET
from tests.service.cloud import Cloud, Reply, in_an, sqs_event


def orders(cloud: Cloud) -> list[str]:
    """The dial orders that lie in the queue."""
    return cloud.take(settings().dial_queue, 500)


def accepted_call(cloud: Cloud, **fields: Any) -> tuple[str, str, str]:
    """A call an agent accepted: campaign, contact and call id."""
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], **fields)
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    return campaign_id, contact_id, agent.orders[0].call_id


def presumed_call(cloud: Cloud) -> tuple[str, str, str]:
    """A call of which nobody told in time."""
    campaign_id, contact_id, call_id = accepted_call(cloud)
    cloud.tick(in_an(seconds=1_000))
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "FAILED"
    return campaign_id, contact_id, call_id


def webhook(cloud: Cloud, body: bytes, *, key: str = WEBHOOK_SECRET, at: datetime | None = None) -> Reply:
    """The answer to a signed webhook."""
    timestamp = str(int((at or clock.now()).timestamp()))
    signature = f"t={timestamp},v1={sign(timestamp, body, key)}"
    headers = {"X-AutoCall-Signature": signature, "Content-Type": "application/json"}
    return cloud.post("/agents/http/webhook", body, organization=None, headers=headers)


def report(cloud: Cloud, call_id: str, **members: Any) -> None:
    """Report a call's result by webhook, and book it."""
    assert webhook(cloud, msgspec.json.encode({"callId": call_id, **members})).status == 202
    cloud.pace_all()


def pace_at(cloud: Cloud, at: datetime) -> None:
    """Book what lies in the mailbox at a moment."""
    while bodies := cloud.take(settings().campaign_events_queue):
        assert pacer.handle(sqs_event(bodies)["Records"], now=lambda: at) == []


@contextmanager
def before_the_next(operation: str, do: Callable[[], object], *, of: Any = None) -> Iterator[None]:
    """Do something once, just before a request of an operation reaches DynamoDB, as another process would.

    `of` is another service's client that the request is made with.
    """
    meta = (of or dynamodb.connection().client).meta
    service, events = meta.service_model.service_name, meta.events
    done: list[str] = []

    def interfere(**_: Any) -> None:
        if not done:
            done.append(operation)
            do()

    event = f"before-call.{service}.{operation}"
    events.register(event, interfere, unique_id=event)
    try:
        yield
    finally:
        events.unregister(event, unique_id=event)
    assert done, f"no {operation} was asked for"
