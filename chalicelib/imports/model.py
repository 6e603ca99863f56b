"""An import: a workbook that becomes contacts, with what became of each row."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

ERRORS_KEPT = 100
"""Rejected rows an import lists by itself."""

EXTENSIONS = (".xlsx", ".xls", ".ods", ".csv")


class ImportStatus(StrEnum):
    """Where an import stands. FAILED: the file as a whole cannot be read."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Duplicates(StrEnum):
    """What happens to a row whose phone is a contact's already."""

    UPDATE = "update"
    SKIP = "skip"


class RowError(Struct, frozen=True):
    """Why a row was rejected; `row` is the sheet's own number, `value` what stood there."""

    row: int
    field: str
    value: str
    message: str


class Counts(Struct, frozen=True):
    """What became of rows."""

    created: int = 0
    updated: int = 0
    skipped: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.created + other.created, self.updated + other.updated, self.skipped + other.skipped)


class Import(Struct, kw_only=True):
    """An import as it is kept."""

    organization_id: str
    import_id: str
    key: str
    file_name: str
    duplicates: Duplicates = Duplicates.UPDATE
    status: ImportStatus = ImportStatus.PENDING
    total_rows: int = 0
    processed_rows: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[RowError] = msgspec.field(default_factory=list)
    failure_reason: str | None = None
    created_at: str
    finished_at: str | None = None

    def view(self, *, with_errors: bool = True) -> dict[str, Any]:
        """The import as the API shows it."""
        view = {
            "id": self.import_id,
            "fileName": self.file_name,
            "status": self.status,
            "totalRows": self.total_rows,
            "processedRows": self.processed_rows,
            "created": self.created,
            "updated": self.updated,
            "skipped": self.skipped,
            "failed": self.failed,
            "errors": self.errors,
            "errorReportUrl": None,
            "failureReason": self.failure_reason,
            "createdAt": self.created_at,
            "finishedAt": self.finished_at,
        }
        if not with_errors:
            del view["errors"]
        return view
