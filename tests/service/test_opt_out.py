"""Opt-out lists: rows that say of a phone only that it must not be called bar it, whoever has it, also nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.agents import ScriptedAgent
from tests.service.calling import before_the_next, orders
from tests.service.cloud import Cloud
from tests.service.test_erasure import erase, found
from tests.service.test_imports import contacts, counts, imported

KNOWN, UNKNOWN, OTHER = "+998901234567", "+998935551122", "+998901112233"


def opted_out(cloud: Cloud, *phones: str, **fields: str) -> dict[str, Any]:
    """The import of an opt-out list."""
    rows = "".join(f"{phone},DO_NOT_CALL\n" for phone in phones)
    return imported(cloud, f"phone,status\n{rows}".encode(), "opt-out.csv", **fields)


@pytest.mark.parametrize("duplicates", ["update", "skip"])
def test_list_bars_contacts_and_phones_that_nobody_has(cloud: Cloud, duplicates: str) -> None:
    cloud.a_contact(KNOWN, notes="Owes")
    done = opted_out(cloud, KNOWN, UNKNOWN, duplicates=duplicates)
    assert (done["status"], done["barred"], done["errorReportUrl"]) == ("COMPLETED", 1, None)
    assert counts(done) == {"totalRows": 2, "updated": 1, "skipped": 1}
    assert contacts(cloud).keys() == {KNOWN}
    assert (contacts(cloud)[KNOWN]["status"], contacts(cloud)[KNOWN]["notes"]) == ("DO_NOT_CALL", "Owes")
    assert cloud.get("/contacts?status=DO_NOT_CALL").body["meta"]["total"] == 1


@pytest.mark.parametrize("how", ["request", "import", "other phone"])
def test_barred_phone_is_not_called_whoever_gets_it_later(cloud: Cloud, how: str) -> None:
    opted_out(cloud, UNKNOWN)
    if how == "request":
        cloud.a_contact(UNKNOWN)
    elif how == "import":
        imported(cloud, f"firstName,phone,status\nAli,{UNKNOWN},ACTIVE\n".encode(), "contacts.csv")
    else:
        cloud.patch(f"/contacts/{cloud.a_contact(OTHER)['id']}", {"phone": UNKNOWN, "status": "ACTIVE"})
    contact = contacts(cloud)[UNKNOWN]
    assert contact["status"] == "DO_NOT_CALL"
    campaign_id = cloud.a_running_campaign([contact["id"]])
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.settle()
    assert agent.orders == []
    assert cloud.call(campaign_id, contact["id"])["callStatus"] == "SKIPPED"


def test_whoever_calls_already_stops(cloud: Cloud) -> None:
    contact_id = cloud.a_contact(KNOWN)["id"]
    campaign_id = cloud.a_running_campaign([contact_id])
    opted_out(cloud, KNOWN)
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.settle()
    assert agent.orders == []
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == "contact is DO_NOT_CALL"


def test_list_comes_again_and_changes_nothing(cloud: Cloud) -> None:
    opted_out(cloud, UNKNOWN, KNOWN)
    again = opted_out(cloud, UNKNOWN, KNOWN, UNKNOWN)
    assert (again["barred"], counts(again)) == (2, {"totalRows": 3, "skipped": 3})
    assert cloud.a_contact(UNKNOWN)["status"] == "DO_NOT_CALL"


def test_lists_of_others_bar_nothing(cloud: Cloud) -> None:
    opted_out(cloud, UNKNOWN)
    assert cloud.a_contact(UNKNOWN, organization="2")["status"] == "ACTIVE"


def test_person_decides_anew(cloud: Cloud) -> None:
    opted_out(cloud, UNKNOWN)
    contact = cloud.a_contact(UNKNOWN)
    assert cloud.patch(f"/contacts/{contact['id']}", {"status": "ACTIVE"}).body["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Телефон;Статус", "{};Не звонить"),
        ("Telefon\tHolat\tSabab", "{}\tQo'ng'iroq qilinmasin\tso'radi"),
        ("status,phone,firstName", "do not call,{},"),
        ("phone,status,date", "{},DO_NOT_CALL,2026-11-01"),
    ],
)
def test_lists_as_people_write_them(cloud: Cloud, header: str, row: str) -> None:
    done = imported(cloud, f"{header}\n{row.format(UNKNOWN)}\n".encode(), "opt-out.csv")
    assert (done["barred"], counts(done)) == (1, {"totalRows": 1, "skipped": 1})
    assert cloud.a_contact(UNKNOWN)["status"] == "DO_NOT_CALL"


def test_rows_that_do_not_bar_need_a_name(cloud: Cloud) -> None:
    done = imported(
        cloud, f"phone,status\n{KNOWN},ACTIVE\n{OTHER},\n{UNKNOWN},DO_NOT_CALL\n12,DO_NOT_CALL\n".encode(), "a.csv"
    )
    assert (done["barred"], counts(done)) == (1, {"totalRows": 4, "skipped": 1, "failed": 3})
    assert [(error["row"], error["field"]) for error in done["errors"]] == [
        (2, "firstName"),
        (3, "firstName"),
        (5, "phone"),
    ]
    assert done["errorReportUrl"]


@pytest.mark.parametrize("duplicates", ["update", "skip"])
@pytest.mark.parametrize(
    "rows", [[f"Ali,{KNOWN},", f",{KNOWN},DO_NOT_CALL"], [f",{KNOWN},DO_NOT_CALL", f"Ali,{KNOWN},"]]
)
def test_phone_that_one_row_names_and_another_bars(cloud: Cloud, duplicates: str, rows: list[str]) -> None:
    content = "\n".join(["firstName,phone,status", *rows])
    done = imported(cloud, content.encode(), "contacts.csv", duplicates=duplicates)
    assert counts(done)["created"] == 1
    assert {phone: (each["firstName"], each["status"]) for phone, each in contacts(cloud).items()} == {
        KNOWN: ("Ali", "DO_NOT_CALL")
    }


def test_named_row_bars_also_where_duplicates_are_skipped(cloud: Cloud) -> None:
    cloud.a_contact(KNOWN)
    done = imported(cloud, f"firstName,phone,status\nVali,{KNOWN},DO_NOT_CALL\n".encode(), "a.csv", duplicates="skip")
    assert counts(done) == {"totalRows": 1, "updated": 1}
    assert (contacts(cloud)[KNOWN]["firstName"], contacts(cloud)[KNOWN]["status"]) == ("Ali", "DO_NOT_CALL")


def test_phone_of_an_erased_person_is_not_written_down_again(cloud: Cloud) -> None:
    erase(cloud, cloud.a_contact(UNKNOWN, status="DO_NOT_CALL")["id"])
    done = opted_out(cloud, UNKNOWN)
    assert done["barred"] == 1
    assert not [place for place in found(UNKNOWN.removeprefix("+998")) if "PhoneNumbers" in place]
    assert cloud.a_contact(UNKNOWN)["status"] == "DO_NOT_CALL"


def test_contact_that_is_made_just_before_the_phone_is_barred(cloud: Cloud) -> None:
    with before_the_next("TransactWriteItems", lambda: cloud.a_contact(UNKNOWN)):
        import_id = cloud.upload(f"phone,status\n{UNKNOWN},DO_NOT_CALL\n".encode(), "opt-out.csv")["id"]
        cloud.arrive(f"uploads/1/{import_id}")
    assert contacts(cloud)[UNKNOWN]["status"] == "DO_NOT_CALL"


def test_contact_that_is_made_just_after_the_phone_is_barred(cloud: Cloud) -> None:
    with before_the_next("TransactWriteItems", lambda: opted_out(cloud, UNKNOWN)):
        assert cloud.a_contact(UNKNOWN)["status"] == "DO_NOT_CALL"


def test_undoing_a_list_takes_no_bar_away(cloud: Cloud) -> None:
    done = opted_out(cloud, UNKNOWN)
    assert cloud.delete(f"/imports/{done['id']}").status == 202
    cloud.settle()
    assert cloud.a_contact(UNKNOWN)["status"] == "DO_NOT_CALL"


def test_long_list(cloud: Cloud) -> None:
    phones = [f"+99890{n:07}" for n in range(1_000_000, 1_000_120)]
    done = opted_out(cloud, *phones)
    assert (done["barred"], done["skipped"]) == (120, 120)
    assert {cloud.a_contact(phone)["status"] for phone in (phones[0], phones[-1])} == {"DO_NOT_CALL"}
