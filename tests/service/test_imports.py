"""Imports: a workbook that was sent becomes contacts once, whatever comes twice; what could not is told row by row."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import openpyxl
import pytest

import app
from chalicelib.settings import settings
from tests.service.aws import client
from tests.service.cloud import Cloud, sqs_event
from tests.service.files import TEST_EVENT, notification, workbook

CSV = b"firstName,phone\nAli,+998901234560\nVali,+998901234561\n"


def imported(
    cloud: Cloud, content: bytes, file_name: str = "contacts.xlsx", *, organization: str = "1", **fields: str
) -> dict[str, Any]:
    """The import of an uploaded file, when it has ended."""
    import_id = cloud.upload(content, file_name, organization=organization, **fields)["id"]
    cloud.arrive(f"uploads/{organization}/{import_id}")
    return import_of(cloud, import_id, organization=organization)


def import_of(cloud: Cloud, import_id: str, *, organization: str = "1") -> dict[str, Any]:
    body: dict[str, Any] = cloud.get(f"/imports/{import_id}", organization=organization).body
    return body


def counts(of: dict[str, Any]) -> dict[str, int]:
    """What became of an import's rows, without the zeros."""
    names = ("totalRows", "created", "updated", "skipped", "failed")
    assert of["processedRows"] == of["totalRows"]
    assert of["totalRows"] == sum(of[name] for name in names[1:])
    return {name: of[name] for name in names if of[name]}


def contacts(cloud: Cloud, organization: str = "1") -> dict[str, dict[str, Any]]:
    """The organization's contacts by phone."""
    listed = cloud.get("/contacts?limit=100", organization=organization).body
    assert listed["meta"]["total"] == len(listed["data"])
    return {contact["phone"]: contact for contact in listed["data"]}


def test_guides_workbook_becomes_contacts(cloud: Cloud) -> None:
    content = workbook(
        ("John", "Smith", "+998901234567", "1985-03-15", '{"totalDebt": 5420.50}', "Cooperative debtor"),
        ("Jane", None, 998901234568, datetime(1990, 5, 20), None, None),  # noqa: DTZ001 (a cell knows no zone)
    )
    reply = cloud.send_file(content, "contacts.xlsx")
    pending = reply.body
    assert reply.status == 202
    assert reply.headers["Location"] == f"/auto-calling/imports/{pending['id']}"
    assert pending == {
        "id": pending["id"],
        "fileName": "contacts.xlsx",
        "status": "PENDING",
        "totalRows": 0,
        "processedRows": 0,
        "created": 0,
        "updated": 0,
        "skipped": 0,
        "failed": 0,
        "errors": [],
        "errorReportUrl": None,
        "failureReason": None,
        "createdAt": pending["createdAt"],
        "finishedAt": None,
    }
    assert import_of(cloud, pending["id"]) == pending
    cloud.arrive(f"uploads/1/{pending['id']}")
    done = import_of(cloud, pending["id"])
    assert done == pending | {
        "status": "COMPLETED",
        "totalRows": 2,
        "processedRows": 2,
        "created": 2,
        "finishedAt": done["finishedAt"],
    }
    john, jane = (contacts(cloud)[phone] for phone in ("+998901234567", "+998901234568"))
    assert (john["firstName"], john["lastName"], john["notes"]) == ("John", "Smith", "Cooperative debtor")
    assert (john["dateOfBirth"], john["customData"]) == ("1985-03-15", {"totalDebt": 5420.5})
    assert (jane["lastName"], jane["dateOfBirth"], jane["customData"]) == ("", "1990-05-20", None)
    assert {john["status"], jane["status"]} == {"ACTIVE"}


def test_notification_delivered_twice_creates_nothing_twice(cloud: Cloud) -> None:
    rows = "".join(f"Ali,+998901234{n:03}\n" for n in range(60))
    import_id = cloud.upload(f"firstName,phone\n{rows}".encode())["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    first = import_of(cloud, import_id)
    cloud.arrive(f"uploads/1/{import_id}", sequencer="0055AED6DCD90281E6")
    assert import_of(cloud, import_id) == first
    assert counts(first) == {"totalRows": 60, "created": 60}
    assert cloud.get("/contacts").body["meta"]["total"] == 60


def test_same_file_again_updates_and_adds_nobody(cloud: Cloud) -> None:
    imported(cloud, CSV, "contacts.csv")
    before = contacts(cloud)
    again = imported(cloud, CSV, "contacts.csv")
    assert counts(again) == {"totalRows": 2, "updated": 2}
    skipped = imported(cloud, b"firstName,phone\nAnvar,901234560\nNodir,901234569\n", "c.csv", duplicates="skip")
    assert counts(skipped) == {"totalRows": 2, "created": 1, "skipped": 1}
    after = contacts(cloud)
    for phone, contact in before.items():
        assert (after[phone]["id"], after[phone]["firstName"]) == (contact["id"], contact["firstName"])
    assert cloud.get("/imports").body["meta"]["total"] == 3


def test_import_never_takes_do_not_call_away(cloud: Cloud) -> None:
    cloud.a_contact("901234560", status="DO_NOT_CALL")
    cloud.delete(f"/contacts/{cloud.a_contact('901234561', status='DO_NOT_CALL')['id']}")
    csv = b"firstName,phone,status\nAli,901234560,ACTIVE\nVali,901234561,ACTIVE\nAnvar,901234562,do_not_call\n"
    done = imported(cloud, csv, "contacts.csv")
    assert counts(done) == {"totalRows": 3, "created": 2, "updated": 1}
    assert {contact["status"] for contact in contacts(cloud).values()} == {"DO_NOT_CALL"}
    assert cloud.get("/contacts?status=DO_NOT_CALL").body["meta"]["total"] == 3


def test_rejected_rows_are_told_one_by_one(cloud: Cloud) -> None:
    deep = '{"x":' + "[" * 500 + "]" * 500 + "}"
    done = imported(
        cloud,
        workbook(
            ("Ali", None, "+998901234567", None, None, None),
            ("Nobody", None, "12", None, None, None),
            (None, "Karimov", "+998901234561", None, None, None),
            ("Vali", None, None, None, None, None),
            (None, None, None, None, None, None),
            ("Vali", None, "+998901234562", "31.02.1990", None, None),
            ("Vali", None, "+998901234563", None, "not JSON", None),
            ("Vali", None, "+998901234564", None, json.dumps({"x": "x" * 17_000}), None),
            ("Vali", None, "+998901234565", None, deep, None),
            ("x" * 101, None, "+998901234566", None, None, None),
        ),
    )
    assert counts(done) == {"totalRows": 9, "created": 1, "failed": 8}
    assert [(error["row"], error["field"]) for error in done["errors"]] == [
        (3, "phone"),
        (4, "firstName"),
        (5, "phone"),
        (7, "dateOfBirth"),
        (8, "customData"),
        (9, "customData"),
        (10, "customData"),
        (11, "firstName"),
    ]
    assert done["errors"][0].keys() == {"row", "field", "value", "message"}
    assert (done["errors"][0]["value"], done["errors"][3]["value"]) == ("12", "31.02.1990")
    rejected = list(sheet(done["errorReportUrl"]))
    assert rejected[0][-1] == "reason"
    assert len(rejected) == 9
    assert all(row[-1] for row in rejected)


def sheet(url: str) -> list[tuple[Any, ...]]:
    """The rows of the workbook that an address leads to."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.hostname.startswith(settings().bucket)
    assert "X-Amz-Signature" in place.query
    file = client("s3").get_object(Bucket=settings().bucket, Key=unquote(place.path).lstrip("/"))["Body"].read()
    return list(openpyxl.load_workbook(io.BytesIO(file)).worksheets[0].iter_rows(values_only=True))


@pytest.mark.parametrize(
    ("content", "file_name"),
    [
        (b"This is no workbook.", "contacts.xlsx"),
        (b"name,city\nAli,Toshkent\n", "contacts.csv"),
    ],
)
def test_file_that_is_no_list_fails_as_a_whole(cloud: Cloud, content: bytes, file_name: str) -> None:
    done = imported(cloud, content, file_name)
    assert done["status"] == "FAILED"
    assert done["failureReason"]
    assert done["finishedAt"]


def test_upload_is_refused_for_what_can_be_seen_at_once(cloud: Cloud) -> None:
    five_mb = b"x" * (5 * 1024 * 1024)
    assert cloud.send_file(five_mb, "contacts.xlsx").problem == (413, "too-large")
    for name in ("contacts.pdf", "contacts", "contacts.xlsx.exe"):
        assert cloud.send_file(CSV, name).problem == (415, "unsupported-media-type")
    assert cloud.send_file(CSV, "contacts.csv", duplicates="replace").field_at_fault == "duplicates"
    assert cloud.post("/contacts/upload-excel", {"file": "contacts.xlsx"}).problem == (415, "unsupported-media-type")
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    no_file = b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n'
    assert cloud.post("/contacts/upload-excel", no_file, headers=form).field_at_fault == "file"
    for cut in (no_file[:40], b"", b"no form"):
        assert cloud.post("/contacts/upload-excel", cut, headers=form).problem == (400, "invalid-body")
    assert cloud.get("/imports").body["meta"]["total"] == 0


def test_file_may_be_sent_straight_to_the_bucket(cloud: Cloud) -> None:
    reply = cloud.post("/imports", {"fileName": "Mijozlar.csv", "duplicates": "skip"})
    assert reply.status == 201
    made, upload = reply.body["import"], reply.body["upload"]
    assert reply.headers["Location"] == f"/auto-calling/imports/{made['id']}"
    assert (made["status"], made["fileName"]) == ("PENDING", "Mijozlar.csv")
    assert upload["url"].startswith("https://")
    key = upload["fields"]["key"]
    client("s3").put_object(Bucket=settings().bucket, Key=key, Body=CSV)
    cloud.arrive(key)
    assert counts(import_of(cloud, made["id"])) == {"totalRows": 2, "created": 2}
    assert cloud.post("/imports", {"fileName": "contacts.pdf"}).problem == (415, "unsupported-media-type")
    for body, field in (({}, "fileName"), ({"fileName": ""}, "fileName"), ({"fileName": "c.csv", "size": 1}, "size")):
        assert cloud.post("/imports", body).field_at_fault == field


def drop(cloud: Cloud, key: str, content: bytes = CSV) -> dict[str, Any]:
    """Drop a file into the bucket; what S3 tells of it."""
    client("s3").put_object(Bucket=settings().bucket, Key=key, Body=content)
    return notification(key)


def test_file_dropped_into_the_inbox_is_imported_once(cloud: Cloud) -> None:
    key = "inbox/7/2026/Қарздорлар ro'yxati + 50% (yanvar).csv"
    told = json.dumps(drop(cloud, key))
    assert "%D2%9A" in told
    for _ in range(2):
        app.import_file(sqs_event([told]), None)
    [done] = cloud.get("/imports", organization="7").body["data"]
    assert done["fileName"] == "Қарздорлар ro'yxati + 50% (yanvar).csv"
    assert counts(done) == {"totalRows": 2, "created": 2}
    assert len(contacts(cloud, "7")) == 2
    assert contacts(cloud) == {}
    cloud.arrive(key, sequencer="0055AED6DCD90281E6")
    assert cloud.get("/imports", organization="7").body["meta"]["total"] == 2
    assert len(contacts(cloud, "7")) == 2


def test_one_message_may_tell_of_several_files(cloud: Cloud) -> None:
    records = [record for n in ("1", "2") for record in drop(cloud, f"inbox/{n}/contacts.csv")["Records"]]
    app.import_file(sqs_event([json.dumps({"Records": records})]), None)
    assert [len(contacts(cloud, organization)) for organization in ("1", "2")] == [2, 2]


def test_what_is_no_import_is_passed_over(cloud: Cloud) -> None:
    app.import_file(sqs_event([json.dumps(TEST_EVENT)]), None)
    for key in (
        "inbox/1/",
        "inbox/contacts.csv",
        "reports/1/0192e4a0-0000-7000-8000-000000000000/rejected.xlsx",
        "uploads/1/0192e4a0-0000-7000-8000-000000000000",
        "contacts.csv",
    ):
        app.import_file(sqs_event([json.dumps(drop(cloud, key))]), None)
    assert cloud.get("/imports").body["meta"]["total"] == 0
    assert contacts(cloud) == {}
