"""The worker's jobs about people's data."""

from __future__ import annotations

from typing import Any, Literal

from chalicelib.aws import sqs
from chalicelib.settings import settings


class Erase(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="erase"):
    """Remove the traces of who a contact is. It names nobody: the person's row does, until all is removed.

    `again`: it was begun before. `shut`: a barred phone has been known by its digest for long enough. `last`: only what
    may have come up since is left to do.
    """

    organization_id: str
    contact_id: str
    again: bool = False
    shut: bool = False
    last: bool = False
    searched: str = ""
    """The last report that was searched, in this round of it."""

    waits: int = 0
    """How often it was waited for a call under way, or for an import."""

    old: bool = False
    """Events and files about the person have expired by themselves."""


Kind = Literal["contacts", "calls", "imports"]
"""Of data that is kept for as long as was set."""


class Sweep(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="sweep"):
    """Remove what is too old of everybody's data of a kind, from a place in its table on."""

    kind: Kind
    after: dict[str, Any] | None = None


Job = Erase | Sweep

SWEEPS = "#sweeps"
"""Whose jobs those are that concern everybody."""


def work(job: Job, *, delay_seconds: int = 0) -> None:
    """Post a job for the worker, to be begun after a delay. Raises SendFailed."""
    tenant = job.organization_id if isinstance(job, Erase) else SWEEPS
    sqs.send(settings().jobs_queue, [job], tenant=tenant, delay_seconds=delay_seconds)
