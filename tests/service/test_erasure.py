"""Erasing a person: afterwards nothing in any table or file says who it was, and nobody calls that phone by mistake."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from chalicelib import clock, worker
from chalicelib.agents.contract import Accepted
from chalicelib.aws import s3, sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.money import Money
from chalicelib.privacy import erasing, messages
from chalicelib.privacy.messages import Erase
from chalicelib.realtime import store as feed
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import client
from tests.service.calling import accepted_call, before_the_next, orders, report
from tests.service.cloud import Cloud
from tests.service.live import Live

PHONE, HOME = "+998935551122", "935551122"
FIRST, LAST = "Zebiniso", "Qodirova"
OTHER = "+998901112200"
TRACES = (HOME, FIRST, LAST, "kredit haqida", "2031-07-09", "7310452")
SAID = Result(
    call_status=CallStatus.PROMISE_TO_PAY,
    outcome=f"{FIRST} promised",
    summary=f"{FIRST} {LAST} kredit haqida gapirdi",
    recording_url=f"https://recordings.example/{PHONE}.mp3",
    promised_date="2031-07-09",
    promised_amount=Money("7310452.19", "UZS"),
    cost=Money("0.31", "USD"),
)


THANKS = Result(call_status=CallStatus.SUCCESS, outcome="thanks")


def kept() -> Iterator[tuple[str, str]]:
    """Every row of every table and every file of the bucket, as text, with where it is."""
    for name, table in dynamodb_backends["123456789012"]["eu-central-1"].tables.items():
        for item in table.all_items():
            yield name, str(item.to_json())
    bucket = client("s3")
    for each in bucket.list_objects_v2(Bucket=settings().bucket).get("Contents", []):
        content = bucket.get_object(Bucket=settings().bucket, Key=each["Key"])["Body"].read()
        yield each["Key"], each["Key"] + _text(content)


def _text(content: bytes) -> str:
    if not content.startswith(b"PK"):
        return content.decode(errors="replace")
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return "".join(book.read(name).decode(errors="replace") for name in book.namelist())


def found(*texts: str) -> dict[str, list[str]]:
    """Which of the texts are where."""
    where: dict[str, list[str]] = {}
    for place, text in kept():
        if there := [each for each in texts if each in text]:
            where[place] = there
    return where


def erase(cloud: Cloud, contact_id: str, *, now: datetime | None = None) -> None:
    """Ask for it, and let the worker do it to its end."""
    assert cloud.delete(f"/contacts/{contact_id}?erase=true").status == 204
    work(contact_id, now=now)


def work(contact_id: str, *, now: datetime | None = None) -> None:
    """What the worker does now, after half a minute, and in the end."""
    states: list[dict[str, Any]] = [{}, {"again": True, "shut": True}, {"last": True}]
    for state in states:
        job = Erase(organization_id="1", contact_id=contact_id, **state)
        worker.handle([sqs.encode(job)], now=(lambda: now) if now else clock.now)


@pytest.fixture
def person(live: Live) -> str:
    """Somebody who left traces everywhere: made by a request with a key, in lists, called, told of, in results."""
    cloud = live.cloud
    live.open("browser")
    body = {"firstName": FIRST, "lastName": LAST, "phone": PHONE, "customData": {"debt": f"{FIRST} kredit haqida"}}
    person: str = cloud.post("/contacts", body, headers={"Idempotency-Key": "k"}).body["id"]
    other = cloud.a_contact(OTHER)["id"]
    rows = f"{FIRST},{LAST},{HOME},\n{FIRST},{LAST},123,\n,Someone,{PHONE},\nAli,Aliyev,90111,\nA,B,{OTHER},{FIRST}\n"
    import_id = cloud.upload(f"firstName,lastName,phone,status\n{rows}".encode())["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    campaign_id = cloud.a_running_campaign([person, other])
    for order in orders(cloud):
        ScriptedAgent(SAID if person in order else THANKS).dial([order])
    live.settle()
    for about in ({"phone": PHONE}, {"phone": OTHER, "contactId": person}):
        assert cloud.post(f"/campaigns/{campaign_id}/test-calls", about).status == 202
    ScriptedAgent(SAID).dial(orders(cloud))
    assert cloud.get(f"/campaigns/{campaign_id}/results").status == 202
    cloud.settle()
    assert cloud.get(f"/campaigns/{campaign_id}/results").status == 200
    live.settle()
    return person


def test_nothing_of_an_erased_person_is_left_in_any_table_or_file(live: Live, person: str) -> None:
    places = "".join(found(*TRACES))
    tables = ("Contacts", "PhoneNumbers", "Calls", "Feed", "Idempotency", "Imports", "Settings")
    for place in (*tables, "uploads/", "rejected", "results"):
        assert place in places
    erase(live.cloud, person)
    assert found(*TRACES) == {}
    assert live.cloud.get(f"/contacts/{person}").status == 404


def test_what_was_done_stays_counted(live: Live, person: str) -> None:
    cloud = live.cloud
    [before] = cloud.get("/campaigns").body["data"]
    erase(cloud, person)
    [after] = cloud.get("/campaigns").body["data"]
    assert after["statusCounts"] == before["statusCounts"]
    assert (after["totalContacts"], after["calledContacts"]) == (2, 2)
    call = cloud.call(before["id"], person)
    assert (call["callStatus"], call["conversationSummary"], call["recordingUrl"]) == ("PROMISE_TO_PAY", None, None)
    assert call["contact"] == {"id": person, "firstName": None, "lastName": None, "phone": None}
    assert cloud.get("/contacts").body["meta"]["total"] == len(cloud.get("/contacts").body["data"])
    cloud.post(f"/campaigns/{before['id']}/audit")
    cloud.settle()
    assert cloud.get(f"/campaigns/{before['id']}/audit").body["consistent"]


def test_others_keep_what_is_theirs(live: Live, person: str) -> None:
    cloud = live.cloud
    erase(cloud, person)
    other = next(each["id"] for each in cloud.get("/contacts").body["data"] if each["phone"] == OTHER)
    [call] = cloud.get(f"/contacts/{other}/calls").body["data"]
    assert call["conversationOutcome"] == THANKS.outcome
    [done] = cloud.get("/imports").body["data"]
    assert [error["value"] for error in done["errors"]] == ["123", "", "90111", ""]


def test_repeated_request_does_not_bring_an_erased_person_back(live: Live, person: str) -> None:
    erase(live.cloud, person)
    body = {"firstName": FIRST, "lastName": LAST, "phone": PHONE, "customData": {"debt": f"{FIRST} kredit haqida"}}
    again = live.cloud.post("/contacts", body, headers={"Idempotency-Key": "k"})
    assert (again.status, again.body["id"], again.body["phone"]) == (201, person, "-")
    assert not any(said in str(again.body) for said in (FIRST, LAST, PHONE, "kredit"))
    assert live.cloud.get(f"/contacts/{person}").status == 404


def logged() -> str:
    """What is kept of the organization's events."""
    return "".join(str(bytes(each.told.data)) for each in feed.logged_after(feed.feed("1"), 0, parts=100))


def test_missed_events_are_told_again_without_the_person(live: Live, person: str) -> None:
    numbers = [each.seq for each in feed.logged_after(feed.feed("1"), 0, parts=100)]
    assert FIRST in logged()
    erase(live.cloud, person)
    assert person in logged()
    assert FIRST not in logged()
    assert [each.seq for each in feed.logged_after(feed.feed("1"), 0, parts=100)] == numbers


def test_events_that_were_on_their_way_are_found_by_the_last_look(live: Live, person: str) -> None:
    live.cloud.patch(f"/contacts/{person}", {"notes": f"{LAST} asked"})
    live.cloud.delete(f"/contacts/{person}?erase=true")
    worker.handle([sqs.encode(Erase(organization_id="1", contact_id=person))])
    live.settle()
    assert f"{LAST} asked" in logged()
    worker.handle([sqs.encode(Erase(organization_id="1", contact_id=person, last=True))])
    assert found(*TRACES) == {}


def test_report_without_the_person_stays(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    import_id = cloud.upload(b"firstName,lastName,phone\nAli,Aliyev,12\nVali,Valiyev,901112299\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    erase(cloud, person)
    assert any(place.endswith("rejected.xlsx") for place, _ in kept())
    assert found("Aliyev")


def test_person_in_a_call_is_barred_at_once_and_removed_when_it_has_ended(cloud: Cloud) -> None:
    campaign_id, person, call_id = accepted_call(cloud)
    phone = cloud.get(f"/contacts/{person}").body["phone"]
    assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    assert cloud.get(f"/contacts/{person}").status == 404
    work(person)
    assert cloud.call(campaign_id, person)["callStatus"] == "CALLING"
    report(cloud, call_id, status="NO_ANSWER", outcome=f"{FIRST} kredit haqida", summary=LAST)
    cloud.pace_all()
    assert cloud.call(campaign_id, person)["callStatus"] == "NO_ANSWER"
    work(person)
    assert found(phone.removeprefix("+998"), *TRACES) == {}
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


class Died(BaseException):
    """The process is gone."""


def test_request_that_dies_before_the_contact_is_hidden_is_followed_all_the_same(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]

    def die() -> None:
        raise Died

    with pytest.raises(Died), before_the_next("TransactWriteItems", die):
        cloud.delete(f"/contacts/{person}?erase=true")
    assert cloud.get(f"/contacts/{person}").status == 200
    cloud.settle()
    assert cloud.get(f"/contacts/{person}").status == 404
    assert found(*TRACES) == {}


def test_job_that_is_done_before_the_request_has_hidden_the_contact_is_done(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    with before_the_next("TransactWriteItems", cloud.settle):
        assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    assert found(*TRACES) == {}


def test_nobody_dials_whose_erasure_was_asked_for(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE)["id"]
    campaign_id = cloud.a_running_campaign([person])
    assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    work(person)
    cloud.settle()
    assert agent.orders == []
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
    assert found(HOME) == {}


def test_late_report_of_an_erased_person_changes_the_status_and_no_more(cloud: Cloud) -> None:
    campaign_id, person, call_id = accepted_call(cloud)
    cloud.tick(clock.now() + timedelta(seconds=1_000))
    erase(cloud, person)
    report(cloud, call_id, status="REFUSED", outcome=f"{FIRST} refused", summary=LAST, recordingUrl="https://a.example")
    call = cloud.call(campaign_id, person)
    assert (call["callStatus"], call["conversationOutcome"], call["recordingUrl"]) == ("REFUSED", None, None)
    assert found(FIRST, LAST) == {}


def test_a_call_under_way_is_waited_for_ever_longer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that comes twice goes on as two: so many as come while a long call lasts stay few."""
    _, person, _ = accepted_call(cloud)
    waited: list[tuple[Erase, int]] = []
    monkeypatch.setattr(messages, "work", lambda job, *, delay_seconds=0: waited.append((job, delay_seconds)))
    job = Erase(organization_id="1", contact_id=person)
    for _ in range(7):
        worker.handle([sqs.encode(job)])
        job, _ = waited[-1]
    assert [seconds for _, seconds in waited] == [30, 60, 120, 240, 480, 900, 900]


@pytest.mark.parametrize("asked", ["by a person", "in the call"])
def test_barred_phone_of_an_erased_person_stays_barred_though_nobody_can_read_it(cloud: Cloud, asked: str) -> None:
    person = cloud.a_contact(PHONE, status="DO_NOT_CALL" if asked == "by a person" else "ACTIVE")["id"]
    if asked == "in the call":
        cloud.a_running_campaign([person])
        ScriptedAgent(Result(call_status=CallStatus.REFUSED, do_not_call=True)).dial(orders(cloud))
        assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
        cloud.pace_all()
    erase(cloud, person) if asked == "by a person" else work(person)
    assert found(HOME) == {}
    assert cloud.a_contact(PHONE)["status"] == "DO_NOT_CALL"
    assert cloud.a_contact(PHONE, organization="2")["status"] == "ACTIVE"


def test_barred_phone_stays_barred_for_imports_and_changes_too(cloud: Cloud) -> None:
    phones = [f"+99893555112{n}" for n in range(2)]
    for phone in phones:
        erase(cloud, cloud.a_contact(phone, status="DO_NOT_CALL")["id"])
    import_id = cloud.upload(f"firstName,phone\nAli,{phones[0]}\nVali,901112299\n".encode())["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    moved = cloud.a_contact(OTHER)["id"]
    cloud.patch(f"/contacts/{moved}", {"phone": phones[1]})
    statuses = {each["phone"]: each["status"] for each in cloud.get("/contacts").body["data"]}
    assert statuses == {**dict.fromkeys(phones, "DO_NOT_CALL"), "+998901112299": "ACTIVE"}


def test_phone_of_somebody_who_was_not_barred_is_free_again(cloud: Cloud) -> None:
    erase(cloud, cloud.a_contact(PHONE)["id"])
    assert cloud.a_contact(PHONE)["status"] == "ACTIVE"


def test_barred_phone_is_forgotten_only_when_its_digest_has_been_kept_for_a_while(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, status="DO_NOT_CALL")["id"]
    assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    worker.handle([sqs.encode(Erase(organization_id="1", contact_id=person))])
    assert "test-PhoneNumbersTable" in found(HOME)
    assert cloud.a_contact(PHONE)["status"] == "DO_NOT_CALL"


def test_import_under_way_is_waited_for(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    import_id = cloud.upload(f"firstName,lastName,phone\n{FIRST},{LAST},123\n".encode())["id"]
    erase(cloud, person)
    assert f"uploads/1/{import_id}" in found(FIRST)
    cloud.arrive(f"uploads/1/{import_id}")
    work(person)
    assert found(FIRST, LAST) == {}


def test_file_that_waits_in_the_inbox_is_imported_first(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    key = "inbox/1/list.csv"
    s3.put(key, f"firstName,lastName,phone\n{FIRST},{LAST},123\n".encode())
    erase(cloud, person)
    assert key in found(FIRST)
    cloud.arrive(key, at=clock.stamp(clock.now()))
    work(person)
    assert found(FIRST, LAST) == {}


def test_what_an_import_that_died_left_goes_too(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    import_id = cloud.upload(b"firstName,phone\nAli,901112299\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    s3.put(f"reports/1/{import_id}/plan-of-nobody", FIRST.encode())
    s3.put(f"reports/1/{import_id}/rejected.xlsx", f"{FIRST}, no workbook".encode())
    erase(cloud, person)
    assert found(FIRST) == {}


def test_search_of_reports_goes_on_where_its_time_was_up(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE, firstName=FIRST, lastName=LAST)["id"]
    for _ in range(3):
        import_id = cloud.upload(f"firstName,lastName,phone\n{FIRST},{LAST},123\n".encode())["id"]
        cloud.arrive(f"uploads/1/{import_id}")
    cloud.take(settings().jobs_queue)
    assert cloud.delete(f"/contacts/{person}?erase=true").status == 204
    jobs, slices = cloud.take(settings().jobs_queue), 0
    while jobs:
        slices += 1
        [job] = [sqs.decode(each, Erase) for each in jobs]
        erasing.erase(job, withdraw=lambda call: None, now=clock.now, until=clock.now())
        jobs = cloud.take(settings().jobs_queue)
    assert slices == 4
    assert found(*TRACES) == {}


def test_somebody_who_was_only_deleted_can_be_erased_later(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE)["id"]
    campaign_id = cloud.a_running_campaign([person])
    ScriptedAgent(SAID).dial(orders(cloud))
    cloud.settle()
    cloud.delete(f"/contacts/{person}")
    assert cloud.call(campaign_id, person)["conversationSummary"] == SAID.summary
    erase(cloud, person)
    assert found(*TRACES) == {}


def test_erasing_again_leaves_only_that_it_was_asked_for(live: Live, person: str) -> None:
    erase(live.cloud, person)
    before = Counter(kept())
    erase(live.cloud, person)
    after = Counter(kept())
    assert before - after == Counter()
    assert [place for place, _ in after - before] == [settings().activity_table]


def test_who_is_nobody_cannot_be_erased(cloud: Cloud) -> None:
    person = cloud.a_contact(PHONE)["id"]
    assert cloud.delete(f"/contacts/{person}?erase=true", organization="2").status == 404
    assert cloud.delete("/contacts/0193a5c8-1234-7000-8000-000000000000?erase=true").status == 404
    assert cloud.delete(f"/contacts/{person}?erase=perhaps").field_at_fault == "erase"
    assert cloud.get(f"/contacts/{person}").status == 200


def test_contact_in_a_call_that_is_only_deleted_is_refused(cloud: Cloud) -> None:
    _, person, _ = accepted_call(cloud)
    assert cloud.delete(f"/contacts/{person}").problem == (409, "call-under-way")
    assert cloud.delete(f"/contacts/{person}?erase=false").problem == (409, "call-under-way")


def test_job_of_a_strangers_organization_touches_nothing(cloud: Cloud) -> None:
    campaign_id, person, _ = accepted_call(cloud)
    worker.handle([sqs.encode(Erase(organization_id="2", contact_id=person))])
    assert cloud.call(campaign_id, person)["callStatus"] == "CALLING"
    assert cloud.get(f"/contacts/{person}").status == 200


def test_what_an_agent_told_early_is_forgotten_when_it_is_passed_on(cloud: Cloud) -> None:
    cloud.a_running_campaign(cloud.contacts(1), agent={"provider": "http"})
    agent = ScriptedAgent(Accepted("conversation"))
    agent.dial(orders(cloud))
    assert [place for place, text in kept() if "conversation" in text and "early" in text] == []
