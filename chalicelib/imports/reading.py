"""From the workbook in the bucket to the plan of its contacts and the report of its rejected rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from chalicelib import ids
from chalicelib.aws import s3
from chalicelib.contacts import bulk_phones
from chalicelib.imports import people, store
from chalicelib.imports.model import ERRORS_KEPT, Import, ImportStatus, RowError
from chalicelib.imports.people import Person
from chalicelib.imports.planning import Draft
from chalicelib.imports.progress import Progress
from chalicelib.imports.report import Report
from chalicelib.settings import settings
from chalicelib.workbooks import reader

Now = Callable[[], datetime]


def read(of: Import, place: Path, *, now: Now) -> Import:
    """Read an import's workbook and keep its plan. Returns the import as it then stands.

    Raises Unreadable and NotFound for the file, Over when the import has ended or was planned by another.
    """
    s3.fetch(of.key, place / "workbook")
    progress = Progress(of)
    progress.note(now(), status=ImportStatus.RUNNING)
    with (place / "draft").open("w+b") as file:
        draft, report, found = _read(of, place, Draft(file, of.duplicates), progress, now)
        draft.finish(place / "plan")
    if report.save(place / "report"):
        s3.put(of.report_key, place / "report")
    plan = store.plan_key(of, ids.new_id())
    s3.put(plan, place / "plan")
    return progress.note(now(), plan=plan, processed_rows=found["failed"], **found)


def _read(of: Import, place: Path, draft: Draft, progress: Progress, now: Now) -> tuple[Draft, Report, dict[str, Any]]:
    rows = reader.rows(place / "workbook")
    header = next(rows)
    report = Report(header[1], of.language)
    normalize = bulk_phones.normalizer(settings().default_phone_region)
    errors: list[RowError] = []
    total = failed = 0
    for total, each in enumerate(people.people(chain([header], rows), normalize), 1):
        if isinstance(each, Person):
            draft.add(each)
        else:
            failed += 1
            report.add(each)
            if failed <= ERRORS_KEPT:
                errors.append(each.error)
        if total % 1_000 == 0:
            progress.tell(now(), total_rows=total, failed=failed)
    return draft, report, {"total_rows": total, "failed": failed, "errors": errors}
