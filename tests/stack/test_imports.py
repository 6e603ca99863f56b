"""Workbooks on the deployed system: large ones, hostile ones, uploads straight to the bucket."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import requests

from local.demo import Row, workbook
from tests.stack.deployed import eventually
from tests.stack.office import Office, phone

MANY = 10_000
PATIENCE = 240


def people(number: int) -> list[Row]:
    return [(f"Ali {n}", "Karimov", phone(n), "1985-03-15", '{"totalDebt": 5420.50}', None) for n in range(number)]


def ended(office: Office, made: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """The import, once it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = office.get(f"/imports/{made['id']}")
        return found if found["finishedAt"] else None

    return eventually(look, seconds)


def send(office: Office, content: bytes, name: str = "people.xlsx", **body: Any) -> dict[str, Any]:
    """Send a file straight to the bucket, as a browser does with the announcement's answer."""
    answer = office.post("/imports", {"fileName": name, **body}, status=201)
    sent = requests.post(answer["upload"]["url"], data=answer["upload"]["fields"], files={"file": content}, timeout=60)
    assert sent.status_code == 204, sent.text
    made: dict[str, Any] = answer["import"]
    return made


def download(office: Office, url: str) -> Any:
    """The workbook an address of this origin leads to."""
    assert url.startswith(office.stack.base), url
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return openpyxl.load_workbook(io.BytesIO(answer.content))


def counted(of: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(of[name] for name in ("status", "totalRows", "created", "updated", "failed"))


def test_ten_thousand_rows_twice(office: Office) -> None:
    content = workbook(people(MANY))
    with office.listening() as told:
        first = ended(office, send(office, content), PATIENCE)
        assert counted(first) == ("COMPLETED", MANY, MANY, 0, 0), first
        second = ended(office, send(office, content), PATIENCE)
        assert counted(second) == ("COMPLETED", MANY, 0, MANY, 0), second
        progress = eventually(lambda: [each for each in told.of("import-progress") if each["id"] == first["id"]])
    assert len(progress) > 3
    assert office.get("/contacts", limit=1)["meta"]["total"] == MANY


def test_hostile_workbook_fails_and_the_next_works(office: Office) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "phone", "boom"  # type: ignore[index]
    content = io.BytesIO()
    book.save(content)
    failed = ended(office, send(office, content.getvalue()))
    assert failed["status"] == "FAILED"
    assert "far from the list" in failed["failureReason"]
    assert ended(office, send(office, workbook(people(3))))["created"] == 3


def test_template_and_report_are_fetched_from_this_origin(office: Office) -> None:
    template = download(office, office.get("/imports/template")["url"])
    assert template.worksheets[0]["C1"].value == "phone"
    done = office.upload([*people(2), ("Vali", "", "12", None, None, None)])
    assert (done["created"], done["failed"]) == (2, 1)
    assert download(office, done["errorReportUrl"]).worksheets[0]["G1"].value == "reason"


def test_undone_import_leaves_nobody(office: Office) -> None:
    done = ended(office, send(office, workbook(people(100))))
    answer = office.request("DELETE", f"/imports/{done['id']}")
    assert (answer.status_code, answer.json()["undo"]["status"]) == (202, "RUNNING")
    undo = eventually(lambda: found if (found := office.get(f"/imports/{done['id']}")["undo"])["removed"] else None)
    assert undo["removed"] == 100
    assert office.get("/contacts", limit=1)["meta"]["total"] == 0


def test_results_are_fetched_from_this_origin(office: Office) -> None:
    campaign = office.campaign(contactIds=[office.contact(number)["id"] for number in range(3)])["id"]
    office.post(f"/campaigns/{campaign}/start")
    office.comes_to(campaign, "COMPLETED")

    def written() -> str | None:
        answer = office.request("GET", f"/campaigns/{campaign}/results")
        assert answer.status_code in {200, 202}, answer.text
        return str(answer.json()["url"]) if answer.status_code == 200 else None

    book = download(office, eventually(written))
    assert [row[3] for row in book["Results"].iter_rows(min_row=2, values_only=True)] == ["SUCCESS"] * 3


def test_csv_in_windows_1251(office: Office) -> None:
    content = "Имя;Телефон\r\nАнна;90 123-45-67\r\n".encode("cp1251")
    done = ended(office, send(office, content, "people.csv"))
    assert counted(done) == ("COMPLETED", 1, 1, 0, 0), done
    assert office.get("/contacts")["data"][0]["firstName"] == "Анна"
