"""An import: a workbook that becomes contacts, with what became of each row."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import UNSET, Struct, UnsetType

from chalicelib import clock
from chalicelib.clock import Moment
from chalicelib.ids import Id
from chalicelib.workbooks.languages import Language

ERRORS_KEPT = 100
"""Rejected rows an import lists by itself."""

CONTENT_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xls": "application/vnd.ms-excel",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".csv": "text/csv",
    ".vcf": "text/vcard",
}
"""The files that are imported, by the ends of their names."""

EXTENSIONS = tuple(CONTENT_TYPES)

UPLOAD_PATIENCE = timedelta(hours=24)
"""How long an announced file may take to come."""

PATIENCE = timedelta(minutes=30)
"""How long an import may make no progress."""

ABANDONED = timedelta(minutes=7)
"""Without progress for so long nobody works on an import any more: its message was hidden for 6 minutes at most."""


class ImportStatus(StrEnum):
    """Where an import stands. FAILED: the file as a whole cannot be read, has no row that can, or never came."""

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


class Warned(Struct, frozen=True):
    """What somebody should look at though no row was rejected for it."""

    field: str
    message: str


class Counts(Struct, frozen=True):
    """What became of rows."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    barred: int = 0
    """Of the skipped ones: phones that nobody has and nobody may call any more."""

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            self.created + other.created,
            self.updated + other.updated,
            self.skipped + other.skipped,
            self.barred + other.barred,
        )

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.skipped


class Undone(Struct, frozen=True):
    """What became of the contacts an import created, when it was undone.

    `called` ones stay because a campaign has called them, `changed` ones because somebody or another import has
    changed them since; those deleted before are not counted.
    """

    removed: int = 0
    called: int = 0
    changed: int = 0

    def plus(self, other: Undone) -> Undone:
        """Both together."""
        return Undone(self.removed + other.removed, self.called + other.called, self.changed + other.changed)


class Undo(Struct, frozen=True):
    """How far the undoing of an import has come, and as of when."""

    status: ImportStatus
    undone: Undone = Undone()
    at: str = ""

    def view(self) -> UndoView:
        """The undoing as the API shows it."""
        return UndoView(self.status, self.undone.removed, Stayed(self.undone.called, self.undone.changed))


class Stayed(Struct, frozen=True):
    """How many of an undone import's contacts stayed: those a campaign called, and those somebody changed since."""

    called: int
    changed: int


class UndoView(Struct, frozen=True):
    """How far the undoing of an import has come."""

    status: ImportStatus
    removed: int
    stayed: Stayed


class Import(Struct, kw_only=True):
    """An import as it is kept.

    `plan` names the plan of its contacts, once the workbook has been read (see `planning`); `progressed_at` is when it
    last came further.
    """

    organization_id: str
    import_id: str
    key: str
    file_name: str
    duplicates: Duplicates = Duplicates.UPDATE
    language: Language = Language.EN
    status: ImportStatus = ImportStatus.PENDING
    total_rows: int = 0
    processed_rows: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    barred: int = 0
    failed: int = 0
    errors: list[RowError] = msgspec.field(default_factory=list)
    warnings: list[Warned] = msgspec.field(default_factory=list)
    plan: str | None = None
    undo: Undo | None = None
    failure_reason: str | None = None
    created_at: str
    progressed_at: str | None = None
    finished_at: str | None = None

    @property
    def under_way(self) -> bool:
        return self.status in (ImportStatus.PENDING, ImportStatus.RUNNING)

    @property
    def report(self) -> str | None:
        """The key of the workbook of its rejected rows; None when no row was rejected."""
        return self.report_key if self.plan and self.failed else None

    @property
    def report_key(self) -> str:
        return f"reports/{self.organization_id}/{self.import_id}/rejected.xlsx"

    def view(self, *, error_report_url: str | None = None) -> ImportView:
        """The import as the API shows it."""
        return ImportView(
            id=self.import_id,
            file_name=self.file_name,
            status=self.status,
            total_rows=self.total_rows,
            processed_rows=self.processed_rows,
            created=self.created,
            updated=self.updated,
            skipped=self.skipped,
            failed=self.failed,
            errors=self.errors,
            error_report_url=error_report_url,
            failure_reason=self.failure_reason,
            created_at=self.created_at,
            finished_at=self.finished_at,
            barred=self.barred or UNSET,
            warnings=self.warnings or UNSET,
            undo=self.undo.view() if self.undo else UNSET,
        )


class ImportView(Struct, kw_only=True, rename="camel"):
    """An import, with what became of each row. `errors` are the first 100 rejected rows.

    `errorReportUrl` leads for an hour to a workbook of all of them, each with its reason; `warnings` are what
    somebody should look at though no row was rejected for it.
    """

    id: Id
    file_name: str
    status: ImportStatus
    total_rows: int
    processed_rows: int
    created: int
    updated: int
    skipped: int
    failed: int
    errors: list[RowError] | UnsetType = UNSET
    error_report_url: str | None
    failure_reason: str | None
    created_at: Moment
    finished_at: Moment | None
    barred: int | UnsetType = UNSET
    """Phones of an opt-out list that no contact has."""
    warnings: list[Warned] | UnsetType = UNSET
    undo: UndoView | UnsetType = UNSET


def all_rejected(of: Import) -> str | None:
    """Why an import that was read has nobody to write: what is wrong with most of its rows; None when it has.

    Of many rows those decide that the import lists.
    """
    if not of.errors or of.failed < of.total_rows:
        return None
    (name, message), _ = Counter((error.field, error.message) for error in of.errors).most_common(1)[0]
    return f"Every row was rejected, most for the column {name}: {message}"


def overdue(of: Import, *, arrived: datetime | None, now: datetime) -> str | None:
    """Why an import must be given up; None while there is hope. `arrived` is when its file came, if it did."""
    if arrived is None and of.status is ImportStatus.PENDING:
        late = now - clock.moment(of.created_at) >= UPLOAD_PATIENCE
        return "The file was not uploaded within 24 hours." if late else None
    return "The import made no progress for 30 minutes." if idle(of, arrived=arrived, now=now) >= PATIENCE else None


def idle(of: Import, *, arrived: datetime | None, now: datetime) -> timedelta:
    """For how long an import has made no progress since its file came."""
    since = clock.moment(of.progressed_at) if of.progressed_at else arrived
    return now - since if since else timedelta()
