"""Imports beyond the basics: repeated phones, crashes and time-outs, hostile files, large files, reports, undo."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import openpyxl
import pytest

import app
from chalicelib import clock
from chalicelib.aws import sqs
from chalicelib.calls import store as calls
from chalicelib.contacts import store as contacts
from chalicelib.dialing.messages import Dial
from chalicelib.imports import importer, planning, store, undoing, writing
from chalicelib.imports.messages import ContinueImport, WatchImport
from chalicelib.settings import settings
from tests.service.aws import client
from tests.service.calling import before_the_next
from tests.service.cloud import Cloud, in_an, sqs_event
from tests.service.files import form, notification, workbook
from tests.service.test_nothing_lost import queues_that_refuse

Sheet = list[tuple[Any, ...]]


def phone(number: int) -> str:
    return f"+99890{1_000_000 + number}"


def people(number: int, first: int = 0) -> Sheet:
    return [(f"Ali {n}", "", phone(n)) for n in range(first, first + number)]


def upload(cloud: Cloud, content: bytes, name: str = "people.xlsx", **options: Any) -> dict[str, Any]:
    """Send a workbook; the import as the answer shows it. Nothing is imported yet."""
    language = {"accept-language": options.pop("language")} if "language" in options else {}
    body, content_type = form(content, name, **options)
    reply = cloud.post("/contacts/upload-excel", body, headers={"content-type": content_type, **language})
    assert reply.status == 202, reply
    made: dict[str, Any] = reply.body
    return made


def arrive(made: dict[str, Any]) -> None:
    """Let S3 tell the importer of an upload."""
    key = store.upload_key("1", made["id"])
    app.import_file(sqs_event([json.dumps(notification(key))]), None)


def shown(cloud: Cloud, made: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = cloud.get(f"/imports/{made['id']}").body
    return body


def imported(cloud: Cloud, content: bytes, name: str = "people.xlsx", **options: Any) -> dict[str, Any]:
    """An import that has been handled."""
    made = upload(cloud, content, name, **options)
    arrive(made)
    cloud.settle()
    return shown(cloud, made)


def counts(of: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        of[name] for name in ("status", "totalRows", "processedRows", "created", "updated", "skipped", "failed")
    )


def contact(cloud: Cloud, number: int) -> dict[str, Any]:
    """The contact with the phone of a number."""
    (found,) = cloud.get(f"/contacts?phone=%2B{phone(number)[1:]}").body["data"]
    body: dict[str, Any] = found
    return body


def total(cloud: Cloud) -> int:
    number: int = cloud.get("/contacts?limit=1").body["meta"]["total"]
    return number


def download(url: str) -> bytes:
    """What a presigned address leads to."""
    key = urlsplit(url).path.lstrip("/").removeprefix(f"{settings().bucket}/")
    content: bytes = client("s3").get_object(Bucket=settings().bucket, Key=key)["Body"].read()
    return content


def rows_of(content: bytes, sheet: int = 0) -> Sheet:
    return list(openpyxl.load_workbook(io.BytesIO(content)).worksheets[sheet].iter_rows(values_only=True))


def ticking(*, seconds: float) -> Callable[[], datetime]:
    """A clock that goes on by so much whenever it is read."""
    start = datetime.now(UTC)
    reads = iter(range(1_000_000))
    return lambda: start + timedelta(seconds=seconds * next(reads))


def messages(cloud: Cloud) -> Iterable[str]:
    return cloud.take(settings().imports_queue)


# phones that repeat


def test_phone_twice_in_a_file_is_one_contact_and_counted_updated(cloud: Cloud) -> None:
    rows: Sheet = [*people(60), ("", "Valiyev", phone(0)), ("Vali", "", phone(59)), ("Sardor", "", phone(0))]
    assert counts(imported(cloud, workbook(*rows))) == ("COMPLETED", 63, 63, 60, 2, 0, 1)
    assert (contact(cloud, 0)["firstName"], contact(cloud, 0)["lastName"]) == ("Sardor", "")
    assert contact(cloud, 59)["firstName"] == "Vali"
    assert total(cloud) == 60


def test_later_row_updates_only_by_cells_that_have_a_value(cloud: Cloud) -> None:
    rows: Sheet = [
        ("Ali", "Karimov", phone(0), "1985-03-15", '{"debt": 5, "branch": 1}', "first"),
        ("Vali", "", phone(0), "", '{"debt": 7}', ""),
    ]
    imported(cloud, workbook(*rows))
    found = contact(cloud, 0)
    assert (found["firstName"], found["lastName"], found["notes"]) == ("Vali", "Karimov", "first")
    assert found["customData"] == {"debt": 7, "branch": 1}


def test_second_upload_creates_nobody(cloud: Cloud) -> None:
    content = workbook(*people(100))
    assert counts(imported(cloud, content)) == ("COMPLETED", 100, 100, 100, 0, 0, 0)
    assert counts(imported(cloud, content)) == ("COMPLETED", 100, 100, 0, 100, 0, 0)
    assert total(cloud) == 100


def test_skipped_duplicates_change_nothing(cloud: Cloud) -> None:
    imported(cloud, workbook(*people(10)))
    rows = [("Other", "", phone(n)) for n in range(5, 15)] + [("Third", "", phone(14))]
    assert counts(imported(cloud, workbook(*rows), duplicates="skip")) == ("COMPLETED", 11, 11, 5, 0, 6, 0)
    assert contact(cloud, 5)["firstName"] == "Ali 5"
    assert contact(cloud, 14)["firstName"] == "Other"


# slices, crashes, deliveries


def test_import_goes_on_in_slices_and_counts_nothing_twice(cloud: Cloud) -> None:
    made = upload(cloud, workbook(*people(500), *people(100)))
    message = json.dumps(notification(store.upload_key("1", made["id"])))
    slices = 0
    bodies = [message]
    while bodies:
        slices += 1
        importer.handle(bodies, now=ticking(seconds=30))
        bodies = list(messages(cloud))
    assert slices > 2
    assert counts(shown(cloud, made)) == ("COMPLETED", 600, 600, 500, 100, 0, 0)
    assert total(cloud) == 500


@pytest.mark.parametrize("crash_at", [0, 1, 3, 5])
def test_crash_at_any_chunk_counts_nothing_twice(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, crash_at: int) -> None:
    made = upload(cloud, workbook(*people(300), ("", "No name", phone(0))))
    begun, opened = iter(range(1_000)), planning.people

    def dying(chunk: bytes) -> list[Any]:
        if next(begun) == crash_at:
            raise RuntimeError("the machine is gone")
        return opened(chunk)

    with monkeypatch.context() as patch:
        patch.setattr(planning, "people", dying)
        with pytest.raises(RuntimeError):
            arrive(made)
    assert shown(cloud, made)["status"] == "RUNNING"
    arrive(made)
    arrive(made)
    assert counts(shown(cloud, made)) == ("COMPLETED", 301, 301, 300, 0, 0, 1)
    assert total(cloud) == 300


def test_crash_while_reading_starts_reading_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(cloud, workbook(*people(50)))
    with monkeypatch.context() as patch:
        patch.setattr(planning.Draft, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            arrive(made)
    arrive(made)
    assert counts(shown(cloud, made)) == ("COMPLETED", 50, 50, 50, 0, 0, 0)


def test_progress_is_told_while_it_goes_on(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.imports.progress.SECONDS", 0)
    monkeypatch.setattr(writing, "WRITERS", 1)
    made = upload(cloud, workbook(*people(300)))
    told: list[int] = []
    monkeypatch.setattr(store, "change", _noting(told, store.change))
    arrive(made)
    assert told == sorted(told)
    assert len(set(told)) > 3
    assert told[-1] == 300


def _noting(told: list[int], change: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*given: Any, **changes: Any) -> Any:
        told.extend([changes["processed_rows"]] if "processed_rows" in changes else [])
        return change(*given, **changes)

    return noted


def test_plan_is_gone_when_the_import_has_ended(cloud: Cloud) -> None:
    imported(cloud, workbook(*people(10)))
    assert reports() == 0


def test_plan_of_an_import_that_is_given_up_is_gone(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "write", lambda *_, **__: False)
    made = upload(cloud, workbook(*people(10)))
    arrive(made)
    assert reports() == 1
    importer.watch(store.find("1", made["id"]), now=lambda: in_an(minutes=31))
    assert shown(cloud, made)["status"] == "FAILED"
    assert reports() == 0


def reports() -> int:
    """How many objects of imports there are beside their uploads."""
    listed: int = client("s3").list_objects_v2(Bucket=settings().bucket, Prefix="reports/")["KeyCount"]
    return listed


def test_change_made_while_an_import_writes_is_kept(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = cloud.a_contact(customData={"debt": 1})
    owners = contacts.owners
    read: list[Any] = []

    def interrupted(*given: Any) -> Any:
        found = owners(*given)
        if not read:
            cloud.patch(f"/contacts/{contact['id']}", {"customData": {"debt": 1, "promise": "Friday"}})
        read.append(found)
        return found

    monkeypatch.setattr(contacts, "owners", interrupted)
    imported(cloud, f"firstName,phone,branch\nAli,{contact['phone']},Chorsu\n".encode(), "people.csv")
    assert cloud.get(f"/contacts/{contact['id']}").body["customData"] == {
        "debt": 1,
        "promise": "Friday",
        "branch": "Chorsu",
    }
    assert len(read) == 2


# hostile files


@pytest.mark.parametrize("name", ["people.xlsx", "people.xls", "people.ods", "people.csv"])
def test_file_that_cannot_be_read_fails_and_the_next_works(cloud: Cloud, name: str) -> None:
    failed = imported(cloud, b"PK\x03\x04 and then nothing that makes sense", name)
    assert (failed["status"], failed["failureReason"]) == ("FAILED", "The file is damaged or was not sent completely.")
    assert failed["finishedAt"]
    assert imported(cloud, workbook(*people(3)))["created"] == 3


def test_workbook_that_kills_its_reader_fails_and_the_next_works(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "phone", "boom"  # type: ignore[index]
    content = io.BytesIO()
    book.save(content)
    failed = imported(cloud, content.getvalue())
    assert failed["status"] == "FAILED"
    assert "far from the list" in failed["failureReason"]
    assert imported(cloud, workbook(*people(3)))["created"] == 3


def test_upload_that_is_gone_fails(cloud: Cloud) -> None:
    made = upload(cloud, workbook(*people(1)))
    client("s3").delete_object(Bucket=settings().bucket, Key=store.upload_key("1", made["id"]))
    arrive(made)
    assert shown(cloud, made)["status"] == "FAILED"


# imports that stand still


def watched(made: dict[str, Any], *, after: timedelta) -> None:
    """Let a look at an import come some time after now."""
    order = sqs.encode(WatchImport(organization_id="1", import_id=made["id"]))
    importer.handle([order], now=lambda: clock.now() + after)


def announced(cloud: Cloud) -> dict[str, Any]:
    reply = cloud.post("/imports", {"fileName": "people.xlsx", "duplicates": "skip"})
    assert reply.status == 201, reply
    body: dict[str, Any] = reply.body
    return body


def test_upload_that_never_comes_fails_after_a_day(cloud: Cloud) -> None:
    made = announced(cloud)["import"]
    watched(made, after=timedelta(hours=23))
    assert shown(cloud, made)["status"] == "PENDING"
    watched(made, after=timedelta(hours=24))
    assert (shown(cloud, made)["status"], shown(cloud, made)["failureReason"]) == (
        "FAILED",
        "The file was not uploaded within 24 hours.",
    )


def test_import_whose_message_was_lost_is_gone_on_with(cloud: Cloud) -> None:
    made = upload(cloud, workbook(*people(3)))
    watched(made, after=timedelta(minutes=5))
    assert shown(cloud, made)["status"] == "PENDING"
    watched(made, after=timedelta(minutes=15))
    cloud.settle()
    assert counts(shown(cloud, made)) == ("COMPLETED", 3, 3, 3, 0, 0, 0)


def test_reading_again_and_again_is_no_progress(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.imports.progress.SECONDS", 0)
    monkeypatch.setattr(planning.Draft, "finish", lambda *_: 1 / 0)
    made = upload(cloud, workbook(*people(2_500)))
    message = json.dumps(notification(store.upload_key("1", made["id"])))
    for minutes in (0, 10, 20, 29):
        at = clock.now() + timedelta(minutes=minutes)
        with pytest.raises(ZeroDivisionError):
            importer.handle([message], now=itertools.repeat(at).__next__)
    watched(made, after=timedelta(minutes=31))
    assert shown(cloud, made)["failureReason"] == "The import made no progress for 30 minutes."


def test_import_without_progress_fails_after_half_an_hour(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(cloud, workbook(*people(100)))
    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            arrive(made)
    watched(made, after=timedelta(minutes=31))
    failed = shown(cloud, made)
    assert (failed["status"], failed["failureReason"]) == ("FAILED", "The import made no progress for 30 minutes.")
    arrive(made)
    importer.handle([sqs.encode(ContinueImport(organization_id="1", import_id=made["id"]))])
    assert shown(cloud, made)["status"] == "FAILED"


def test_watch_ends_with_the_import(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(1)))
    watched(made, after=timedelta(hours=30))
    assert shown(cloud, made)["status"] == "COMPLETED"


# large files


def test_announced_file_is_sent_to_the_bucket(cloud: Cloud) -> None:
    answer = announced(cloud)
    sent = answer["upload"]
    assert urlsplit(sent["url"]).netloc == f"{settings().bucket}.s3.eu-central-1.amazonaws.com"
    assert sent["fields"]["key"] == store.upload_key("1", answer["import"]["id"])
    assert sent["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert answer["import"]["status"] == "PENDING"


def test_announced_file_is_limited_in_type_size_and_time(cloud: Cloud) -> None:
    import base64

    fields = announced(cloud)["upload"]["fields"]
    policy = json.loads(base64.b64decode(fields["policy"]))
    assert ["content-length-range", 1, 200 * 1024 * 1024] in policy["conditions"]
    assert {"Content-Type": fields["Content-Type"]} in policy["conditions"]
    assert fields["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    left = datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


def test_announced_file_keeps_what_was_said_of_duplicates(cloud: Cloud) -> None:
    imported(cloud, workbook(*people(2)))
    answer = announced(cloud)
    key = answer["upload"]["fields"]["key"]
    client("s3").put_object(Bucket=settings().bucket, Key=key, Body=workbook(*people(3)))
    arrive(answer["import"])
    assert counts(shown(cloud, answer["import"])) == ("COMPLETED", 3, 3, 1, 0, 2, 0)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"fileName": "people.pdf"}, 415, "unsupported-media-type"),
        ({}, 400, "invalid-body"),
        ({"fileName": ""}, 400, "invalid-body"),
        ({"fileName": "a.csv", "duplicates": "merge"}, 400, "invalid-body"),
        ({"fileName": "a.csv", "size": 5}, 400, "invalid-body"),
    ],
)
def test_announcement_that_cannot_be_taken(cloud: Cloud, body: dict[str, Any], status: int, code: str) -> None:
    reply = cloud.post("/imports", body)
    assert (reply.status, reply.body["code"]) == (status, code)


# template and report


@pytest.mark.parametrize(("language", "sheet"), [("uz", "Kontaktlar"), ("ru", "Контакты"), ("en", "Contacts")])
def test_template_is_empty_and_explains_itself(cloud: Cloud, language: str, sheet: str) -> None:
    reply = cloud.get("/imports/template", headers={"accept-language": language})
    book = openpyxl.load_workbook(io.BytesIO(download(reply.body["url"])))
    empty, examples = book.worksheets
    assert empty.title == sheet
    assert [cell.value for cell in empty[1]] == ["firstName", "lastName", "phone", "dateOfBirth", "customData", "notes"]
    assert all(cell.comment for cell in empty[1])
    assert {row[2].number_format for row in empty.iter_rows(min_row=2)} == {"@"}
    assert not any(value for row in empty.iter_rows(min_row=2, values_only=True) for value in row)
    assert examples.max_row > 1


def test_examples_of_the_template_can_be_imported(cloud: Cloud) -> None:
    template = download(cloud.get("/imports/template").body["url"])
    header, *examples = rows_of(template, sheet=1)
    done = imported(cloud, workbook(*examples, header=header))
    assert (done["created"], done["failed"]) == (len(examples), 0)


def test_empty_template_imports_nobody(cloud: Cloud) -> None:
    done = imported(cloud, download(cloud.get("/imports/template").body["url"]))
    assert counts(done) == ("COMPLETED", 0, 0, 0, 0, 0, 0)


REJECTED: Sheet = [
    ("", "Nomsiz", phone(1), None, None, "+1+1"),
    ("Ali", "", "12", "15.03.1985", '{"debt": 5}', "@cmd"),
    ("Vali", "", 9.98e11, None, None, None),
]


def test_report_has_the_rejected_rows_and_reasons(cloud: Cloud) -> None:
    done = imported(cloud, workbook(*people(5), *REJECTED), language="uz,en;q=0.5")
    assert (done["created"], done["failed"]) == (5, 3)
    header, *rows = rows_of(download(done["errorReportUrl"]))
    assert header == ("firstName", "lastName", "phone", "dateOfBirth", "customData (JSON string)", "notes", "reason")
    assert rows[0] == (None, "Nomsiz", phone(1), None, None, "+1+1", "to'ldirilishi shart")
    assert rows[1][2:5] == ("12", "15.03.1985", '{"debt": 5}')
    assert "bunday telefon raqami yo'q" in rows[1][6]
    sheet = openpyxl.load_workbook(io.BytesIO(download(done["errorReportUrl"]))).worksheets[0]
    assert {sheet.cell(2, 6).data_type, sheet.cell(3, 6).data_type} == {"s"}
    assert done["errors"][0]["message"] == "required"


def test_corrected_report_can_be_uploaded_again(cloud: Cloud) -> None:
    done = imported(cloud, workbook(*people(5), *REJECTED))
    book = openpyxl.load_workbook(io.BytesIO(download(done["errorReportUrl"])))
    for n, (name, _, number, *_) in enumerate(book.worksheets[0].iter_rows(min_row=2)):
        name.value, number.value = "Name", phone(50 + n)
    corrected = io.BytesIO()
    book.save(corrected)
    again = imported(cloud, corrected.getvalue())
    assert counts(again) == ("COMPLETED", 3, 3, 3, 0, 0, 0)
    assert again["errorReportUrl"] is None
    assert contact(cloud, 51)["customData"] == {"debt": 5}


def test_import_lists_the_first_hundred_errors_and_reports_all(cloud: Cloud) -> None:
    done = imported(cloud, workbook(*[("", "", phone(n)) for n in range(150)]))
    assert (done["failed"], len(done["errors"])) == (150, 100)
    assert len(rows_of(download(done["errorReportUrl"]))) == 151


# reasons a person can act on


def test_import_of_which_every_row_is_rejected_fails_with_the_likely_reason(cloud: Cloud) -> None:
    rows: Sheet = [("Ali", "", "12"), ("Vali", "", "13"), ("", "", phone(1))]
    failed = imported(cloud, workbook(*rows), language="ru")
    assert counts(failed) == ("FAILED", 3, 3, 0, 0, 0, 3)
    assert failed["failureReason"] == (
        "Отклонены все строки, большинство из-за столбца phone:"
        " такого номера телефона нет; ожидался, например, +998901234567"
    )
    assert len(rows_of(download(failed["errorReportUrl"]))) == 4
    assert total(cloud) == 0


def test_one_good_row_is_an_import(cloud: Cloud) -> None:
    assert counts(imported(cloud, workbook(("Ali", "", "12"), *people(1)))) == ("COMPLETED", 2, 2, 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ("uz", "Fayl PDF: ro'yxatni jadval (.xlsx) yoki .csv ko'rinishida so'rang."),
        ("ru", "Файл — PDF: попросите список таблицей (.xlsx) или в .csv."),
        ("en", "The file is a PDF: ask for the list as a workbook (.xlsx) or as .csv."),
    ],
)
def test_reason_of_a_failure_is_told_in_the_operators_language(cloud: Cloud, language: str, reason: str) -> None:
    failed = imported(cloud, b"%PDF-1.7", language=language)
    assert (failed["status"], failed["failureReason"]) == ("FAILED", reason)


def test_dates_are_read_in_the_order_their_column_shows(cloud: Cloud) -> None:
    list_ = f"Name,Phone,Birthday\nEve,{phone(0)},3/4/1985\nBob,{phone(1)},3/15/1985\n"
    done = imported(cloud, list_.encode(), "people.csv", language="ru")
    assert counts(done) == ("COMPLETED", 2, 2, 2, 0, 0, 0)
    assert [contact(cloud, n)["dateOfBirth"] for n in (0, 1)] == ["1985-03-04", "1985-03-15"]
    assert "warnings" not in done


def test_doubtful_dates_are_read_as_the_language_has_them_and_warned_of(cloud: Cloud) -> None:
    list_ = f"Name,Phone,Birthday\nEve,{phone(0)},3/4/1985\n".encode()
    american = imported(cloud, list_, "people.csv", language="en")
    assert contact(cloud, 0)["dateOfBirth"] == "1985-03-04"
    assert [(each["field"], "4 March" in each["message"]) for each in american["warnings"]] == [("dateOfBirth", True)]
    russian = imported(cloud, list_, "people.csv", language="ru")
    assert contact(cloud, 0)["dateOfBirth"] == "1985-04-03"
    assert russian["warnings"][0]["message"].endswith("прочитаны как 3 апреля")


def test_address_book_is_imported(cloud: Cloud) -> None:
    card = f"BEGIN:VCARD\nVERSION:3.0\nN:Valiyev;Ali;;;\nTEL;TYPE=CELL:{phone(0)}\nEND:VCARD\n"
    assert counts(imported(cloud, card.encode(), "contacts.vcf")) == ("COMPLETED", 1, 1, 1, 0, 0, 0)
    assert (contact(cloud, 0)["firstName"], contact(cloud, 0)["lastName"]) == ("Ali", "Valiyev")


# undo


def undone(cloud: Cloud, made: dict[str, Any]) -> dict[str, Any]:
    """What came of undoing an import."""
    reply = cloud.delete(f"/imports/{made['id']}")
    assert reply.status == 202, reply
    cloud.settle()
    undo: dict[str, Any] = shown(cloud, made)["undo"]
    return undo


def test_undone_import_leaves_nobody(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(100)))
    assert undone(cloud, made) == {"status": "COMPLETED", "removed": 100, "stayed": {"called": 0, "changed": 0}}
    assert total(cloud) == 0
    assert counts(imported(cloud, workbook(*people(100)))) == ("COMPLETED", 100, 100, 100, 0, 0, 0)


def test_undo_leaves_who_was_there_before_or_changed_since(cloud: Cloud) -> None:
    cloud.a_contact(phone(0), firstName="Before")
    made = imported(cloud, workbook(*people(10)))
    cloud.patch(f"/contacts/{contact(cloud, 1)['id']}", {"notes": "by hand"})
    imported(cloud, workbook(*people(1, first=2)))
    cloud.delete(f"/contacts/{contact(cloud, 3)['id']}")
    assert undone(cloud, made) == {"status": "COMPLETED", "removed": 6, "stayed": {"called": 0, "changed": 2}}
    assert total(cloud) == 3


def test_undo_leaves_who_was_called(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(10)))
    called = [contact(cloud, number)["id"] for number in (0, 1)]
    campaign = cloud.a_campaign(called)["id"]
    cloud.post(f"/campaigns/{campaign}/start")
    cloud.settle()
    assert undone(cloud, made) == {"status": "COMPLETED", "removed": 8, "stayed": {"called": 2, "changed": 0}}
    assert {each["id"] for each in cloud.get("/contacts").body["data"]} == set(called)


def test_undo_leaves_who_is_being_called(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(2)))
    campaign = cloud.a_campaign([contact(cloud, 0)["id"]], agent={"provider": "http"})["id"]
    cloud.post(f"/campaigns/{campaign}/start")
    cloud.pace(*cloud.take(settings().campaign_events_queue))
    claim(cloud, campaign)
    assert undone(cloud, made)["stayed"] == {"called": 1, "changed": 0}


def claim(cloud: Cloud, campaign: str) -> None:
    """Put the campaign's one queued call onto its phone, as the dialer does before it asks the agent."""
    (order,) = [sqs.decode(body, Dial) for body in cloud.take(settings().dial_queue)]
    person = contacts.find("1", order.contact_id)
    attempt = calls.AttemptKey("1", campaign, order.contact_id, order.attempt_id)
    until = clock.now() + timedelta(minutes=15)
    calls.claim(attempt, order.lease, person, until, provider="http", dialer="me", look_at=until, now=clock.now())


def test_undo_goes_on_in_slices_and_counts_nothing_twice(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MARKERS_PER_PAGE", 1)
    made = imported(cloud, workbook(*people(200)))
    assert cloud.delete(f"/imports/{made['id']}").status == 202
    slices, bodies = 0, list(messages(cloud))
    while bodies:
        slices += 1
        importer.handle([*bodies, *bodies], now=ticking(seconds=300))
        bodies = list(messages(cloud))[:1]
    assert slices > 3
    assert shown(cloud, made)["undo"]["removed"] == 200
    assert total(cloud) == 0


def test_undoing_again_changes_nothing(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(5)))
    first = undone(cloud, made)
    imported(cloud, workbook(*people(5)))
    assert undone(cloud, made) == first
    assert total(cloud) == 5


def test_undo_is_done_although_the_request_died_after_it_was_ordered(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(5)))
    with before_the_next("UpdateItem", die):
        assert cloud.delete(f"/imports/{made['id']}").status == 500
    assert "undo" not in shown(cloud, made)
    cloud.settle()
    assert (shown(cloud, made)["undo"]["status"], total(cloud)) == ("COMPLETED", 0)


def die() -> None:
    raise RuntimeError("killed")


def test_undo_that_no_queue_takes_is_not_shown_as_going_on(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(5)))
    with queues_that_refuse("imports_queue"):
        assert cloud.delete(f"/imports/{made['id']}").status == 503
    assert "undo" not in shown(cloud, made)
    assert undone(cloud, made)["removed"] == 5


def test_undo_that_ends_before_it_is_noted_stays_ended(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(5)))
    with before_the_next("UpdateItem", cloud.settle):
        assert cloud.delete(f"/imports/{made['id']}").body["undo"]["status"] == "COMPLETED"
    assert shown(cloud, made)["undo"]["status"] == "COMPLETED"


def test_second_undo_joins_the_first_while_that_comes_further(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(5)))
    for _ in range(2):
        reply = cloud.delete(f"/imports/{made['id']}")
        assert (reply.status, reply.body["undo"]["status"]) == (202, "RUNNING")
    assert len(list(messages(cloud))) == 1
    undoing.begin(store.find("1", made["id"]), now=in_an(minutes=41))
    assert undone(cloud, made) == {"status": "COMPLETED", "removed": 5, "stayed": {"called": 0, "changed": 0}}


def test_running_import_is_not_undone(cloud: Cloud) -> None:
    reply = cloud.delete(f"/imports/{upload(cloud, workbook(*people(1)))['id']}")
    assert (reply.status, reply.body["code"]) == (409, "import-running")


def test_undo_of_an_import_that_is_not_there(cloud: Cloud) -> None:
    made = imported(cloud, workbook(*people(1)))
    assert cloud.delete(f"/imports/{made['id']}", organization="2").status == 404
