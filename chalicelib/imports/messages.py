"""What the importer is asked beside what S3 tells it."""

from __future__ import annotations

from chalicelib.aws import sqs
from chalicelib.imports.model import Undone
from chalicelib.settings import settings


class ContinueImport(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="continue"):
    """Go on with an import whose slice of time was over."""

    organization_id: str
    import_id: str


class WatchImport(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="watch"):
    """Look whether an import still comes further; repeats itself until the import has ended."""

    organization_id: str
    import_id: str


class UndoImport(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="undo"):
    """Take back what an import created, from the chunk after `cursor` on; `undone` is what came of those before."""

    organization_id: str
    import_id: str
    cursor: str | None = None
    undone: Undone = Undone()


ImportOrder = ContinueImport | WatchImport | UndoImport


def go_on(order: ImportOrder, *, delay_seconds: int = 0) -> None:
    """Post an order for the importer, to be followed after a delay."""
    sqs.send(settings().imports_queue, [order], tenant=order.organization_id, delay_seconds=delay_seconds)
