"""What the broadcaster is asked, in order per organization; and the worker's jobs about sockets."""

from __future__ import annotations

from chalicelib.aws import sqs
from chalicelib.realtime.model import Told
from chalicelib.settings import settings


class Tell(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="tell"):
    """Events for an organization's sockets, the first of which happened `at` a moment."""

    organization_id: str
    events: list[Told]
    at: str = ""


class TellLast(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="tellLast"):
    """Tell events once others have been told, or after so many tries without those."""

    organization_id: str
    events: list[Told]
    after: list[str]
    tries: int = 0
    at: str = ""


class CatchUp(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="catchUp"):
    """Tell a socket what it missed, after a pause."""

    organization_id: str
    connection_id: str


class SumUp(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="sumUp"):
    """Tell an organization's sockets what stands in place of events that were too many."""

    organization_id: str


class Refuse(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="refuse"):
    """Close a socket that has not said whose it is."""

    connection_id: str


class Greet(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="greet"):
    """Tell a socket that was not open yet that it is."""

    connection_id: str
    tries: int = 0


class Replay(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="replay"):
    """Tell a slow socket what it missed, beside the mailbox, where it would hold up the others."""

    organization_id: str
    connection_id: str


Live = Tell | TellLast | CatchUp | SumUp
Job = TellLast | CatchUp | SumUp | Refuse | Greet | Replay
"""Orders for the broadcaster travel as jobs while they wait: a FIFO queue delays no single message."""


OPENINGS = "#openings"
"""Whose jobs those are that concern sockets nobody's yet: a flood of them makes no organization's jobs wait."""


def broadcast(message: Live) -> None:
    """Post something for an organization's sockets, in order with the rest."""
    sqs.send_in_order(settings().live_events_queue, [message], group=lambda each: sqs.group_of(each.organization_id))


def work(job: Job, *, delay_seconds: int) -> None:
    """Post a job for the worker, to be begun after a delay."""
    tenant = OPENINGS if isinstance(job, Refuse | Greet) else job.organization_id
    sqs.send(settings().jobs_queue, [job], tenant=tenant, delay_seconds=delay_seconds)
