"""What is asked of a campaign's pacer, and the worker's jobs about campaigns.

A message is only a shortcut: losing one delays what it asks for, no more.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import field

from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus
from chalicelib.log import logger
from chalicelib.settings import settings


class CampaignEvent(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type"):
    """Something the pacer must react to."""

    organization_id: str
    campaign_id: str


class Wake(CampaignEvent, frozen=True, tag="wake"):
    """Look at the campaign: who is due, whose lease ran out, has its start time come."""


class GivenUp(CampaignEvent, frozen=True, tag="givenUp"):
    """An operator waits no longer for an attempt under way; a message of an earlier version means whichever it is."""

    contact_id: str
    attempt_id: str | None = None


class Enrol(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="enrol"):
    """Enrol contacts in the background: those listed, those of an import or those of a status, from `cursor` on.

    `packed_ids` are those listed, 10,000 of which fit into a message so (an earlier version listed `contact_ids`). `at`
    is when that was asked for: who was taken out since is not brought back. The campaign does not end before the order
    of its `order_id` has been followed. Equal requests have the same `asks`.
    """

    organization_id: str
    campaign_id: str
    contact_ids: list[str] = field(default_factory=list)
    packed_ids: bytes = b""
    import_id: str | None = None
    status: str | None = None
    cursor: str | None = None
    order_id: str = ""
    at: str = ""
    asks: str = ""


class Remove(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="remove"):
    """Delete the rows of a campaign that was deleted."""

    organization_id: str
    campaign_id: str


class Redial(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="redial"):
    """Let calls that ended by `before` with one of the statuses wait again, from the contact after `cursor` on.

    The campaign does not end before the order of its `order_id` has been followed.
    """

    organization_id: str
    campaign_id: str
    statuses: list[CallStatus]
    before: str
    cursor: str | None = None
    order_id: str = ""


class Audit(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="audit"):
    """Recount a campaign's calls and compare them with its counters, at its end unless it has an `audit_id`.

    `waits` is how often it was left for a while, because the campaign kept changing.
    """

    organization_id: str
    campaign_id: str
    audit_id: str = ""
    waits: int = 0


class WriteResults(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="results"):
    """Write a campaign's results as a workbook, from the contact after `cursor` on.

    `order_id` is whose the file is, `version` how the campaign stood at the beginning, `as_of` when that was; `parts`
    names the parts gathered so far, `keys` the keys of `customData` found in them.
    """

    organization_id: str
    campaign_id: str
    order_id: str = ""
    version: str = ""
    as_of: str = ""
    cursor: str | None = None
    parts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


Job = Enrol | Remove | Redial | Audit | WriteResults


def tell_pacer(events: Iterable[CampaignEvent]) -> None:
    """Post campaign events, in order per campaign."""
    sqs.send_in_order(settings().campaign_events_queue, events, group=lambda event: event.campaign_id)


def wake(organization_id: str, campaign_id: str) -> None:
    """Have a campaign look at once. Its `wakeAt` says so too: where no queue takes this, the clock does it."""
    try:
        tell_pacer([Wake(organization_id=organization_id, campaign_id=campaign_id)])
    except sqs.SendFailed:
        logger().warning("a wake is left to the clock", campaignId=campaign_id)


def remove(organization_id: str, campaign_id: str) -> None:
    """Have the rows of a deleted campaign removed. What is left of it has a `wakeAt`, as in `wake`."""
    try:
        work(Remove(organization_id=organization_id, campaign_id=campaign_id))
    except sqs.SendFailed:
        logger().warning("a removal is left to the clock", campaignId=campaign_id)


def work(job: Job, *, delay_seconds: int = 0) -> None:
    """Post a job for the worker, to be begun after a delay."""
    sqs.send(settings().jobs_queue, [job], tenant=job.organization_id, delay_seconds=delay_seconds)
