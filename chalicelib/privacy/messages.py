"""The worker's jobs about people's data."""

from __future__ import annotations

from msgspec import Struct

from chalicelib.aws import sqs
from chalicelib.settings import settings


class Erase(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="erase"):
    """Remove the traces of who a contact is. It names nobody: the person's row does, until all is removed.

    `again`: it was begun before. `shut`: a barred phone has been known by its digest for long enough. `last`: only what
    may have come up since is left to do.
    """

    organization_id: str
    contact_id: str
    again: bool = False
    shut: bool = False
    last: bool = False


def work(job: Erase, *, delay_seconds: int = 0) -> None:
    """Post a job for the worker, to be begun after a delay. Raises SendFailed."""
    sqs.send(settings().jobs_queue, [job], tenant=job.organization_id, delay_seconds=delay_seconds)
