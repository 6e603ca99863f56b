"""What is told of organizations, in the worker's queue."""

from __future__ import annotations

from chalicelib.aws import sqs
from chalicelib.settings import settings


class LookAgain(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="lookAgain"):
    """An organization's settings have changed: its running campaigns look around at once."""

    organization_id: str


def look_again(organization_id: str) -> None:
    """Have an organization's running campaigns look around. Raises SendFailed."""
    sqs.send(settings().jobs_queue, [LookAgain(organization_id=organization_id)], tenant=organization_id)
