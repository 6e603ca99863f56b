"""From the workbook in the bucket to the plan of its contacts and the report of its rejected rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import chain
from pathlib import Path

from msgspec import Struct, field

from chalicelib import ids
from chalicelib.aws import s3
from chalicelib.contacts import bulk_phones
from chalicelib.imports import people, store
from chalicelib.imports.model import ERRORS_KEPT, Import, ImportStatus, RowError, Warned
from chalicelib.imports.people import Person, Rejected
from chalicelib.imports.planning import Draft
from chalicelib.imports.progress import Progress
from chalicelib.imports.report import Report
from chalicelib.organizations import store as organizations
from chalicelib.settings import settings
from chalicelib.workbooks import columns, reader
from chalicelib.workbooks.dates import Dates
from chalicelib.workbooks.languages import Language, reason

Now = Callable[[], datetime]


def read(of: Import, place: Path, *, now: Now) -> Import:
    """Read an import's workbook and keep its plan. Returns the import as it then stands.

    Raises Unreadable and NotFound for the file, Over when the import has ended or was planned by another.
    """
    s3.fetch(of.key, place / "workbook")
    progress = Progress(of)
    progress.note(now(), status=ImportStatus.RUNNING)
    found = _read(of, place, progress, now)
    if found.report.save(place / "report"):
        s3.put(of.report_key, place / "report")
    plan = store.plan_key(of, ids.new_id())
    s3.put(plan, place / "plan")
    changes = {"total_rows": found.total, "failed": found.failed, "errors": found.errors, "warnings": found.warnings}
    return progress.note(now(), plan=plan, processed_rows=found.failed, **changes)


class Found(Struct, kw_only=True):
    """What a workbook's rows came to, beside the plan."""

    report: Report
    dates: Dates
    total: int = 0
    failed: int = 0
    errors: list[RowError] = field(default_factory=list)

    @property
    def warnings(self) -> list[Warned]:
        return [Warned("dateOfBirth", reason(self.dates.doubt, self.report.language))] if self.dates.doubt else []


def _read(of: Import, place: Path, progress: Progress, now: Now) -> Found:
    """Read the workbook into a plan; once more if its dates turn out to have the other order of day and month."""
    found = _read_once(of, place, progress, now)
    if found.dates.misread:
        found = _read_once(of, place, progress, now, month_first=found.dates.month_first)
    return found


def _read_once(of: Import, place: Path, progress: Progress, now: Now, *, month_first: bool | None = None) -> Found:
    rows = reader.rows(place / "workbook")
    header = next(rows)
    american = of.language is Language.EN and columns.dates_are_english(header[1])
    dates = Dates(american=american, month_first=month_first)
    found = Found(report=Report(header[1], of.language), dates=dates)
    countries = organizations.find(of.organization_id).allowed_countries
    normalize = bulk_phones.normalizer(settings().default_phone_region, countries)
    with (place / "draft").open("w+b") as file:
        draft = Draft(file, of.duplicates)
        for found.total, each in enumerate(people.people(chain([header], rows), normalize, dates), 1):
            if isinstance(each, Person):
                draft.add(each)
            else:
                _reject(each, found)
            if found.total % 1_000 == 0:
                progress.tell(now(), total_rows=found.total, failed=found.failed)
        draft.finish(place / "plan")
    return found


def _reject(row: Rejected, found: Found) -> None:
    found.failed += 1
    found.report.add(row)
    if found.failed <= ERRORS_KEPT:
        found.errors.append(row.error)
