"""A campaign's results as a workbook: written in the background, kept until something changes."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import openpyxl
import pytest

from chalicelib import clock, worker
from chalicelib.aws import s3
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import results, store
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.calling import before_the_next, orders
from tests.service.cloud import Cloud
from tests.service.test_nothing_lost import queues_that_refuse
from tests.service.test_workbooks import download, phone, ticking

Sheet = list[tuple[Any, ...]]

OUTCOMES = {0: "SUCCESS", 4: "PROMISE_TO_PAY", 5: "REFUSED", 6: "NO_ANSWER", 9: "FAILED"}
"""How the simulated agent's conversations end, by the phone's last digit."""


def a_finished_campaign(cloud: Cloud, **fields: Any) -> str:
    people = [cloud.a_contact(phone(digit), **fields)["id"] for digit in OUTCOMES]
    campaign: str = cloud.a_campaign(people, name="=January")["id"]
    assert cloud.post(f"/campaigns/{campaign}/start").status == 200
    cloud.settle()
    assert cloud.campaign(campaign)["status"] == "COMPLETED"
    return campaign


def book_of(cloud: Cloud, campaign: str) -> openpyxl.Workbook:
    """The workbook, after it has been written."""
    reply = cloud.get(f"/campaigns/{campaign}/results")
    if reply.status == 202:
        cloud.settle()
        reply = cloud.get(f"/campaigns/{campaign}/results")
    assert reply.status == 200, reply
    return openpyxl.load_workbook(io.BytesIO(download(reply.body["url"])))


def rows_of(book: openpyxl.Workbook, sheet: str = "Results") -> list[dict[str, Any]]:
    header, *rows = book[sheet].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def jobs(cloud: Cloud) -> list[str]:
    return cloud.take(settings().jobs_queue)


def later(monkeypatch: pytest.MonkeyPatch, **after: float) -> None:
    """Requests from here on are made so much later."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(**after))


def test_every_contact_has_a_row_with_its_result(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud, lastName="Karimov", customData={"debt": 5420.5, "branch": "Buxoro"})
    rows = rows_of(book_of(cloud, campaign))
    assert [row["callStatus"] for row in rows] == list(OUTCOMES.values())
    assert [row["phone"] for row in rows] == [phone(digit) for digit in OUTCOMES]
    first = rows[0]
    assert (first["firstName"], first["lastName"], first["attempts"]) == ("Ali", "Karimov", 1)
    assert (first["debt"], first["branch"]) == (5420.5, "Buxoro")
    call = cloud.get(f"/campaigns/{campaign}/contacts?callStatus=SUCCESS").body["data"][0]
    for name in ("conversationOutcome", "conversationSummary", "callDuration", "recordingUrl", "calledAt"):
        assert first[name] == call[name], name


def test_summary_counts_and_draws(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    reply = cloud.get(f"/campaigns/{campaign}/results")
    assert reply.status == 202
    book = book_of(cloud, campaign)
    assert book.sheetnames == ["Summary", "Results"]
    counts = {row[0]: row[1] for row in book["Summary"].iter_rows(min_row=2, values_only=True)}
    assert {status: counts[status] for status in OUTCOMES.values()} == dict.fromkeys(OUTCOMES.values(), 1)
    assert (counts["total"], counts["campaign"], counts["status"]) == (5, "=January", "COMPLETED")
    assert len(book["Summary"]._charts) == 1  # type: ignore[attr-defined]


def test_results_are_written_once_and_kept(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = a_finished_campaign(cloud)
    assert [cloud.get(f"/campaigns/{campaign}/results").status for _ in range(3)] == [202, 202, 202]
    written = jobs(cloud)
    assert len(written) == 1
    worker.handle(written)
    later(monkeypatch, hours=5)
    assert cloud.get(f"/campaigns/{campaign}/results").status == 200
    assert jobs(cloud) == []


def test_results_are_written_anew_when_something_changed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = a_finished_campaign(cloud)
    book_of(cloud, campaign)
    cloud.post(f"/campaigns/{campaign}/contacts", {"contactIds": [cloud.a_contact(phone(10))["id"]]})
    later(monkeypatch, minutes=2)
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    worker.handle(jobs(cloud))
    rows = rows_of(book_of(cloud, campaign))
    assert len(rows) == 6
    assert rows[-1]["callStatus"] == "PENDING"


def test_running_campaign_gives_results_of_this_minute(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    book_of(cloud, campaign)
    cloud.post(f"/campaigns/{campaign}/contacts", {"contactIds": [cloud.a_contact(phone(10))["id"]]})
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    cloud.post(f"/campaigns/{campaign}/start")
    reply = cloud.get(f"/campaigns/{campaign}/results")
    assert (reply.status, reply.body["asOf"] < cloud.campaign(campaign)["updatedAt"]) == (200, True)


def test_job_that_was_lost_is_begun_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = a_finished_campaign(cloud)
    cloud.get(f"/campaigns/{campaign}/results")
    assert len(jobs(cloud)) == 1
    later(monkeypatch, minutes=20)
    cloud.get(f"/campaigns/{campaign}/results")
    assert len(jobs(cloud)) == 1


def test_results_that_no_queue_was_told_to_write_can_be_asked_for_again(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    with queues_that_refuse("jobs_queue"):
        assert cloud.get(f"/campaigns/{campaign}/results").status == 503
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    assert len(jobs(cloud)) == 1


def test_order_that_no_worker_begins_is_given_again_after_a_minute(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = a_finished_campaign(cloud)
    cloud.get(f"/campaigns/{campaign}/results")
    assert len(jobs(cloud)) == 1
    later(monkeypatch, minutes=2)
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    assert len(jobs(cloud)) == 1


def test_order_that_was_given_twice_is_followed_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PAGE", 1)
    campaign = a_finished_campaign(cloud)
    for minutes in (0, 2):
        with monkeypatch.context() as patch:
            later(patch, minutes=minutes)
            cloud.get(f"/campaigns/{campaign}/results")
    first, second = jobs(cloud)
    worker.handle([first], now=ticking(seconds=300))
    worker.handle([second])
    [rest] = jobs(cloud)
    assert "results.xlsx" not in str(client("s3").list_objects_v2(Bucket=settings().bucket))
    worker.handle([rest])
    assert [row["callStatus"] for row in rows_of(book_of(cloud, campaign))] == list(OUTCOMES.values())


def test_one_of_two_workers_that_begin_at_once_writes_the_results(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PAGE", 1)
    campaign = a_finished_campaign(cloud)
    for minutes in (0, 2):
        with monkeypatch.context() as patch:
            later(patch, minutes=minutes)
            cloud.get(f"/campaigns/{campaign}/results")
    first, second = jobs(cloud)
    with before_the_next("PutObject", lambda: worker.handle([second], now=ticking(seconds=300)), of=s3._s3()):
        worker.handle([first], now=ticking(seconds=300))
    [rest] = jobs(cloud)
    assert json.loads(rest)["orderId"] == json.loads(second)["orderId"]


def test_beginning_whose_answer_was_lost_is_no_others(cloud: Cloud) -> None:
    campaign = store.find("1", a_finished_campaign(cloud))
    cloud.get(f"/campaigns/{campaign.campaign_id}/results")
    [job] = jobs(cloud)

    def sent_before(params: dict[str, Any], **_: Any) -> None:
        send(**params)

    send = client("s3").put_object
    events = s3._s3().meta.events
    events.register_first("provide-client-params.s3.PutObject", sent_before, unique_id="lost")
    try:
        worker.handle([job])
    finally:
        events.unregister("provide-client-params.s3.PutObject", unique_id="lost")
    assert cloud.get(f"/campaigns/{campaign.campaign_id}/results").status == 200


def test_one_of_two_requests_at_once_orders_results(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    path = f"/campaigns/{campaign}/results"
    with before_the_next("PutObject", lambda: cloud.get(path), of=s3._s3()):
        assert cloud.get(path).status == 202
    assert len(jobs(cloud)) == 1


def test_order_that_a_worker_has_begun_is_not_given_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, _ = half_written(cloud, monkeypatch)
    later(monkeypatch, minutes=10)
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    assert jobs(cloud) == []


def test_long_results_are_gathered_in_slices(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PAGE", 2)
    campaign = a_finished_campaign(cloud, customData={"debt": 1})
    cloud.get(f"/campaigns/{campaign}/results")
    bodies, slices = jobs(cloud), 0
    while bodies:
        slices += 1
        worker.handle(bodies, now=ticking(seconds=300))
        bodies = jobs(cloud)
    assert slices > 2
    rows = rows_of(book_of(cloud, campaign))
    assert [(row["callStatus"], row["debt"]) for row in rows] == [(status, 1) for status in OUTCOMES.values()]
    kept = client("s3").list_objects_v2(Bucket=settings().bucket, Prefix="reports/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in kept] == ["results.xlsx"]


def half_written(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A campaign of whose results one slice is gathered, and the job of the second."""
    monkeypatch.setattr(results, "PAGE", 1)
    campaign = a_finished_campaign(cloud)
    cloud.get(f"/campaigns/{campaign}/results")
    worker.handle(jobs(cloud), now=ticking(seconds=300))
    return campaign, jobs(cloud)


@pytest.mark.parametrize(("one", "other"), [(130, 300), (300, 130)])
def test_slice_that_is_delivered_twice_doubles_and_loses_no_row(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, one: int, other: int
) -> None:
    campaign, second = half_written(cloud, monkeypatch)
    for seconds in (one, other):
        worker.handle(second, now=ticking(seconds=seconds))
    worker.handle(jobs(cloud))
    assert [row["callStatus"] for row in rows_of(book_of(cloud, campaign))] == list(OUTCOMES.values())


def test_slice_that_comes_late_does_not_say_that_results_are_being_written(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, second = half_written(cloud, monkeypatch)
    worker.handle(second)
    worker.handle(second, now=ticking(seconds=300))
    worker.handle(jobs(cloud))
    cloud.patch(f"/campaigns/{campaign}", {"name": "February"})
    later(monkeypatch, minutes=2)
    assert cloud.get(f"/campaigns/{campaign}/results").status == 202
    assert len(jobs(cloud)) == 1


@pytest.mark.parametrize("text", ["=1+1", "+998901234567", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://a","b")'])
def test_cell_that_begins_like_a_formula_is_text(cloud: Cloud, text: str) -> None:
    contact = cloud.a_contact(phone(0), firstName=text, customData={text: text})["id"]
    campaign = cloud.a_campaign([contact])["id"]
    sheet = book_of(cloud, campaign)["Results"]
    for cell in (sheet["A2"], sheet["Q1"], sheet["Q2"]):
        assert (cell.value, cell.data_type, cell.quotePrefix) == (text, "s", True)


ACTIVE = ('=HYPERLINK("http://a","b")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "#REF!", "#N/A")
HIDDEN = ("", "\x01", "\x00\x1f", "\ufffe", "\x0b\x0c")


def kinds_of(sheet: Any) -> set[str]:
    """The types of a sheet's cells that hold anything: `s` text, `n` number, `f` formula, `e` error."""
    return {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_text_of_strangers_is_ever_run(cloud: Cloud, hidden: str) -> None:
    """Neither names, `customData`, campaigns' names nor what agents say; what XML cannot hold hides nothing."""
    texts = [hidden + each for each in ACTIVE]
    people = [
        cloud.a_contact(phone(n * 10), firstName=text + "x", lastName=text, customData={f"{text}{n}": text})["id"]
        for n, text in enumerate(texts)
    ]
    campaign = cloud.a_running_campaign(people, agent={"provider": "http"}, maxConcurrentCalls=len(people))
    answers = [Result(call_status=CallStatus.SUCCESS, outcome=each, summary=each, recording_url=each) for each in texts]
    ScriptedAgent(*answers).dial(orders(cloud))
    cloud.settle()
    for text in texts:
        cloud.patch(f"/campaigns/{campaign}", {"name": text + "!"})
        book = book_of(cloud, campaign)
        assert kinds_of(book["Summary"]) == {"s", "n"}
    rows = rows_of(book)
    assert len(rows) == len(ACTIVE)
    assert kinds_of(book["Results"]) == {"s", "n"}


def test_odd_values_are_cells_too(cloud: Cloud) -> None:
    odd = {"list": [1, "a"], "long": 12345678901234567, "yes": True, "none": None, "bell": "a\x07b", "big": "x" * 9_000}
    campaign = cloud.a_campaign([cloud.a_contact(phone(0), customData=odd)["id"]])["id"]
    (row,) = rows_of(book_of(cloud, campaign))
    assert (row["list"], row["long"], row["yes"], row["none"]) == ('[1,"a"]', "12345678901234567", True, None)
    assert (row["bell"], len(row["big"])) == ("ab", 9_000)


def test_contact_that_was_deleted_leaves_its_result(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    contact = cloud.get(f"/campaigns/{campaign}/contacts?callStatus=SUCCESS").body["data"][0]["contact"]["id"]
    assert cloud.delete(f"/contacts/{contact}").status == 204
    row = rows_of(book_of(cloud, campaign))[0]
    assert (row["firstName"], row["phone"], row["callStatus"]) == (None, phone(0), "SUCCESS")


def test_empty_campaign_has_an_empty_workbook(cloud: Cloud) -> None:
    book = book_of(cloud, cloud.a_campaign([])["id"])
    assert rows_of(book) == []


def test_results_of_a_campaign_that_is_not_there(cloud: Cloud) -> None:
    campaign = cloud.a_campaign([])["id"]
    assert cloud.get(f"/campaigns/{campaign}/results", organization="2").status == 404


def test_deleted_campaign_leaves_no_workbook(cloud: Cloud) -> None:
    campaign = a_finished_campaign(cloud)
    book_of(cloud, campaign)
    assert cloud.delete(f"/campaigns/{campaign}").status == 204
    cloud.settle()
    assert client("s3").list_objects_v2(Bucket=settings().bucket, Prefix="reports/")["KeyCount"] == 0


def test_version_changes_with_the_campaign(cloud: Cloud) -> None:
    campaign = cloud.a_campaign([])["id"]
    before = results.version(store.find("1", campaign))
    assert results.version(store.find("1", campaign)) == before
    cloud.patch(f"/campaigns/{campaign}", {"name": "February"})
    assert results.version(store.find("1", campaign)) != before
