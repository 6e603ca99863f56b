"""The queues and the messages on them. A message is only a shortcut: losing one delays what it asks for, no more."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.dialing.health import Verdict
from chalicelib.dialing.model import CallState, CallStatus, Result
from chalicelib.ids import new_id
from chalicelib.imports.model import Undone
from chalicelib.log import logger
from chalicelib.realtime.model import Told
from chalicelib.settings import settings

BATCH = 10
"""Messages in one SendMessageBatch, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""

LONGEST_DELAY_SECONDS = 900
"""Of an SQS message."""


class SendFailed(RuntimeError):
    """SQS took only some of the messages."""


class CampaignEvent(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type"):
    """Something the pacer must react to."""

    organization_id: str
    campaign_id: str


class Wake(CampaignEvent, frozen=True, tag="wake"):
    """Look at the campaign: who is due, whose lease ran out, has its start time come."""


class Ended(CampaignEvent, frozen=True, tag="ended"):
    """An attempt ended with a result."""

    contact_id: str
    attempt_id: str
    result: Result


class Released(CampaignEvent, frozen=True, tag="released"):
    """A claim ended without a call: it goes back to waiting, dialed again `delay_seconds` from now at the earliest.

    `state` is where the dialer leaves the call: QUEUED when it was turned away at the gate, CALLING when it had passed.
    `verdict` is what that says of the agent, where it was asked; `zone` where the call waits from now on, if elsewhere.
    """

    contact_id: str
    attempt_id: str
    lease: int
    state: CallState
    reason: str
    delay_seconds: int = 0
    verdict: Verdict | None = None
    zone: str | None = None


class Heard(CampaignEvent, frozen=True, tag="heard"):
    """What a try to place a call says of the agent, when the call itself goes on."""

    attempt_id: str
    verdict: Verdict


class Skipped(CampaignEvent, frozen=True, tag="skipped"):
    """The contact must not be called."""

    contact_id: str
    attempt_id: str
    lease: int
    reason: str


Event = Wake | Ended | Released | Skipped | Heard


class Dial(Struct, frozen=True, kw_only=True, rename="camel"):
    """Place a claimed call."""

    organization_id: str
    campaign_id: str
    contact_id: str
    attempt_id: str
    lease: int
    call_timeout_seconds: int


class Enrol(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="enrol"):
    """Enrol contacts in the background: those listed, those of an import or those of a status, from `cursor` on."""

    organization_id: str
    campaign_id: str
    contact_ids: list[str] = []
    import_id: str | None = None
    status: str | None = None
    cursor: str | None = None


class Remove(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="remove"):
    """Delete the rows of a campaign that was deleted."""

    organization_id: str
    campaign_id: str


class Redial(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="redial"):
    """Let calls that ended by `before` with one of the statuses wait again, from `cursor` of the first status on."""

    organization_id: str
    campaign_id: str
    statuses: list[CallStatus]
    before: str
    cursor: str | None = None


class Audit(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="audit"):
    """Recount a campaign's calls and compare them with its counters."""

    organization_id: str
    campaign_id: str


class WriteResults(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="results"):
    """Write a campaign's results as a workbook, from the contact after `cursor` on.

    `version` is how the campaign stood at the beginning, `parts` names the parts gathered so far, `keys` the keys of
    `customData` found in them.
    """

    organization_id: str
    campaign_id: str
    version: str = ""
    cursor: str | None = None
    parts: list[str] = []
    keys: list[str] = []


class Refuse(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="refuse"):
    """Close a socket that has not said whose it is."""

    connection_id: str


class CatchUp(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="catchUp"):
    """Tell a socket what it missed, after a pause."""

    organization_id: str
    connection_id: str


class SumUp(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="sumUp"):
    """Tell an organization's sockets what stands in place of events that were too many."""

    organization_id: str


Job = Enrol | Remove | Redial | Audit | WriteResults | Refuse | CatchUp | SumUp


class Tell(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="tell"):
    """Events for an organization's sockets."""

    organization_id: str
    events: list[Told]


Live = Tell | CatchUp | SumUp
"""What the broadcaster handles, in order per organization."""


class ContinueImport(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="continue"):
    """Go on with an import whose slice of time was over."""

    organization_id: str
    import_id: str


class WatchImport(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="watch"):
    """Look whether an import still comes further; repeats itself until the import has ended."""

    organization_id: str
    import_id: str


class UndoImport(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="undo"):
    """Take back what an import created, from the chunk after `cursor` on; `undone` is what came of those before."""

    organization_id: str
    import_id: str
    cursor: str | None = None
    undone: Undone = Undone()


ImportOrder = ContinueImport | WatchImport | UndoImport


@functools.cache
def _sqs() -> Any:
    import boto3

    return boto3.client("sqs")


def tell_pacer(events: Iterable[Event]) -> None:
    """Post campaign events, in order per campaign."""
    _send(
        settings().campaign_events_queue,
        [
            {"MessageBody": encode(e), "MessageGroupId": e.campaign_id, "MessageDeduplicationId": new_id()}
            for e in events
        ],
    )


def dial(orders: Iterable[Dial]) -> None:
    """Post dial orders."""
    _send(settings().dial_queue, [{"MessageBody": encode(order)} for order in orders])


def work(job: Job, *, delay_seconds: int = 0) -> None:
    """Post a job for the worker, to be begun after a delay of at most LONGEST_DELAY_SECONDS."""
    _send(settings().jobs_queue, [{"MessageBody": encode(job), "DelaySeconds": delay_seconds}])


def broadcast(message: Live) -> None:
    """Post something for an organization's sockets, in order with the rest."""
    group = hashlib.sha256(message.organization_id.encode()).hexdigest()
    entry = {"MessageBody": encode(message), "MessageGroupId": group, "MessageDeduplicationId": new_id()}
    _send(settings().live_events_queue, [entry])


def go_on(order: ImportOrder, *, delay_seconds: int = 0) -> None:
    """Post an order for the importer, to be followed after a delay of at most LONGEST_DELAY_SECONDS."""
    _send(settings().imports_queue, [{"MessageBody": encode(order), "DelaySeconds": delay_seconds}])


def encode(message: Struct) -> str:
    """A message's body."""
    return msgspec.json.encode(message).decode()


def decode(body: str, kind: Any) -> Any:
    """A message of its body. Raises msgspec.ValidationError."""
    return msgspec.json.decode(body, type=kind)


def _send(queue: str, entries: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(entries), BATCH):
        chunk = [{"Id": str(n), **entry} for n, entry in enumerate(entries[start : start + BATCH])]
        failed = _sqs().send_message_batch(QueueUrl=queue, Entries=chunk).get("Failed", [])
        if failed:
            logger().error("messages not sent", queue=queue, codes=[each["Code"] for each in failed])
            raise SendFailed
