"""What an organization sets for itself, and what becomes of its calls then."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import clock
from chalicelib.campaigns import store
from tests import caches
from tests.service.agents import ScriptedAgent
from tests.service.calling import before_the_next, orders
from tests.service.cloud import Cloud, in_an

HOURS = {
    "timezone": "Asia/Almaty",
    "days": ["MON", "FRI"],
    "from": "10:00",
    "to": "18:00",
    "holidays": ["2027-01-01"],
}
UNSET = {
    "timezone": "Asia/Tashkent",
    "callingPaused": False,
    "defaultCallingHours": None,
    "allowedCountries": None,
    "retentionDays": {"contacts": None, "calls": None, "imports": None},
}


def test_organization_that_set_nothing_has_the_deployments_settings(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.get("/settings").body == UNSET
    for name, value in (
        ("FALLBACK_TIMEZONE", "Asia/Almaty"),
        ("ALLOWED_COUNTRIES", "KZ,UZ"),
        ("RETENTION_DAYS", '{"calls":365}'),
    ):
        monkeypatch.setenv(name, value)
    caches.clear()
    assert cloud.get("/settings").body == UNSET | {
        "timezone": "Asia/Almaty",
        "allowedCountries": ["KZ", "UZ"],
        "retentionDays": {"contacts": None, "calls": 365, "imports": None},
    }


def test_settings_are_the_organizations_own(cloud: Cloud) -> None:
    given = {
        "timezone": "Asia/Almaty",
        "callingPaused": True,
        "defaultCallingHours": HOURS,
        "allowedCountries": ["KZ"],
        "retentionDays": {"contacts": 1000, "calls": 90, "imports": 7},
    }
    assert cloud.patch("/settings", given).body == given
    assert cloud.get("/settings").body == given
    assert cloud.patch("/settings", {"timezone": "Asia/Samarkand"}).body == given | {"timezone": "Asia/Samarkand"}
    assert cloud.get("/settings", organization="2").body == UNSET


def test_settings_as_they_are_shown_can_be_sent_back(cloud: Cloud) -> None:
    shown = cloud.get("/settings").body
    assert cloud.patch("/settings", shown).body == shown
    assert cloud.patch("/settings", {}).body == shown


def test_null_is_the_deployments_value(cloud: Cloud) -> None:
    given = {"timezone": "Asia/Almaty", "defaultCallingHours": HOURS, "allowedCountries": ["KZ"]}
    cloud.patch("/settings", given | {"retentionDays": {"calls": 3}})
    cleared = dict.fromkeys([*given, "retentionDays"])
    assert cloud.patch("/settings", cleared).body == UNSET


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"callingPaused": "yes"}, "callingPaused"),
        ({"callingPaused": None}, "callingPaused"),
        ({"timezone": "Tashkent"}, "timezone"),
        ({"timezone": 5}, "timezone"),
        ({"allowedCountries": []}, "allowedCountries"),
        ({"allowedCountries": ["uz"]}, "allowedCountries[0]"),
        ({"allowedCountries": ["UZ", "EU"]}, "allowedCountries[1]"),
        ({"defaultCallingHours": HOURS | {"from": "25:00"}}, "defaultCallingHours.from"),
        ({"defaultCallingHours": HOURS | {"holidays": ["1 January"]}}, "defaultCallingHours.holidays"),
        ({"retentionDays": {"calls": 0}}, "retentionDays.calls"),
        ({"retentionDays": {"feeds": 1}}, "retentionDays.feeds"),
        ({"currencies": "UZS"}, "currencies"),
    ],
)
def test_setting_that_makes_no_sense_is_refused(cloud: Cloud, given: dict[str, Any], field: str) -> None:
    assert cloud.patch("/settings", given).field_at_fault == field
    assert cloud.get("/settings").body == UNSET


def test_countries_of_the_deployment_are_all_there_are(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_COUNTRIES", "KZ,UZ")
    caches.clear()
    assert cloud.patch("/settings", {"allowedCountries": ["UZ"]}).status == 200
    assert cloud.patch("/settings", {"allowedCountries": ["UZ", "TR"]}).field_at_fault == "allowedCountries[1]"
    assert cloud.get("/settings").body["allowedCountries"] == ["UZ"]


def test_campaign_that_names_no_hours_gets_the_organizations(cloud: Cloud) -> None:
    cloud.patch("/settings", {"defaultCallingHours": HOURS})
    made = cloud.a_campaign()
    assert {name: made["callingHours"][name] for name in HOURS} == HOURS
    assert cloud.a_campaign(callingHours=None)["callingHours"] is None
    assert cloud.a_campaign(organization="2")["callingHours"] is None


def test_contacts_of_whom_nobody_knows_it_are_where_the_organization_is(cloud: Cloud) -> None:
    person = cloud.a_contact("+79161234567")["id"]
    hours = HOURS | {"timezone": "contact", "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"], "holidays": []}
    campaign_id = cloud.a_running_campaign([person], callingHours=hours | {"from": "09:00", "to": "09:01"})
    opens = {}
    for zone in ("Asia/Tashkent", "America/Santiago"):
        cloud.patch("/settings", {"timezone": zone})
        opens[zone] = cloud.call(campaign_id, person)["nextAttemptAt"]
    assert opens["Asia/Tashkent"][11:16] == "04:00"
    assert opens["America/Santiago"][11:16] == "12:00"


def test_pause_stops_what_waits_and_what_is_on_its_way(cloud: Cloud) -> None:
    people = cloud.contacts(3)
    campaign_id = cloud.a_running_campaign(people, maxConcurrentCalls=2)
    cloud.patch("/settings", {"callingPaused": True})
    agent = ScriptedAgent()
    agent.dial(orders(cloud))
    cloud.settle()
    assert agent.orders == []
    assert orders(cloud) == []
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["statusReason"], campaign["inFlightCalls"]) == ("RUNNING", None, 0)
    for person in people:
        call = cloud.call(campaign_id, person)
        assert (call["callStatus"], call["whyNotCalled"]) == ("PENDING", "calling-paused")
        assert (call["nextAttemptAt"], call["attempts"]) == (None, [])


def test_pause_between_the_claim_and_the_agent_gives_the_call_back(cloud: Cloud) -> None:
    [person] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([person])
    agent = ScriptedAgent()

    def pause() -> None:
        cloud.patch("/settings", {"callingPaused": True})

    with before_the_next("TransactWriteItems", pause):
        agent.dial(orders(cloud))
    cloud.pace_all()
    assert agent.orders == []
    assert cloud.call(campaign_id, person)["whyNotCalled"] == "calling-paused"
    assert cloud.campaign(campaign_id)["inFlightCalls"] == 0


def test_end_of_a_pause_lets_every_running_campaign_go_on_at_once(cloud: Cloud) -> None:
    first, second, third = cloud.contacts(3)
    cloud.patch("/settings", {"callingPaused": True})
    running = [cloud.a_running_campaign([first]), cloud.a_running_campaign([second])]
    stopped = cloud.a_running_campaign([third])
    cloud.post(f"/campaigns/{stopped}/stop")
    cloud.settle()
    assert [cloud.campaign(each)["status"] for each in running] == ["RUNNING", "RUNNING"]
    cloud.patch("/settings", {"callingPaused": False})
    cloud.settle()
    assert [cloud.campaign(each)["status"] for each in running] == ["COMPLETED", "COMPLETED"]
    assert cloud.campaign(stopped)["status"] == "PAUSED"


def test_pause_is_the_organizations_own(cloud: Cloud) -> None:
    cloud.patch("/settings", {"callingPaused": True}, organization="2")
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    cloud.settle()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_call_under_way_ends_normally_in_a_pause(cloud: Cloud) -> None:
    [person] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([person])

    def pause(_: object) -> None:
        cloud.patch("/settings", {"callingPaused": True})

    ScriptedAgent(before=pause).dial(orders(cloud))
    cloud.settle()
    assert cloud.call(campaign_id, person)["callStatus"] == "SUCCESS"
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_paused_campaign_looks_around_seldom(cloud: Cloud) -> None:
    cloud.patch("/settings", {"callingPaused": True})
    campaign_id = cloud.a_running_campaign(cloud.contacts(1))
    wake_at = store.find("1", campaign_id).wake_at
    assert wake_at is not None
    assert clock.minute(in_an(minutes=13)) < wake_at <= clock.minute(in_an(minutes=15))


ABROAD, COSTLY = "+77011234560", "+19005551234"


def test_nobody_is_saved_whom_nobody_may_call(cloud: Cloud) -> None:
    cloud.patch("/settings", {"allowedCountries": ["UZ"]})
    person = cloud.a_contact()["id"]
    for phone in (ABROAD, COSTLY, "+881612345678"):
        assert cloud.post("/contacts", {"firstName": "Ali", "phone": phone}).field_at_fault == "phone"
        assert cloud.patch(f"/contacts/{person}", {"phone": phone}).field_at_fault == "phone"
    assert cloud.a_contact(ABROAD, organization="2")["phone"] == ABROAD


def test_rows_of_an_import_say_why_nobody_may_be_called_there(cloud: Cloud) -> None:
    cloud.patch("/settings", {"allowedCountries": ["UZ"]})
    rows = f"firstName,phone,phone 2\nAli,{ABROAD},\nVali,{COSTLY},901234560\nGani,901234567,\nHoji,{COSTLY},\n"
    import_id = cloud.upload(rows.encode())["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    done = cloud.get(f"/imports/{import_id}").body
    assert (done["created"], done["failed"]) == (2, 2)
    assert [(error["row"], error["message"]) for error in done["errors"]] == [
        (2, "only numbers of UZ are called"),
        (5, "premium-rate and satellite numbers are not called"),
    ]


def test_contacts_of_a_country_that_is_no_longer_allowed_are_skipped_and_found(cloud: Cloud) -> None:
    here, abroad = cloud.a_contact()["id"], cloud.a_contact(ABROAD)["id"]
    campaign_id = cloud.a_running_campaign([here, abroad])
    cloud.patch("/settings", {"allowedCountries": ["UZ"]})
    cloud.settle()
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["skippedContacts"], campaign["calledContacts"]) == ("COMPLETED", 1, 1)
    call = cloud.call(campaign_id, abroad)
    assert (call["callStatus"], call["conversationOutcome"]) == ("SKIPPED", "only numbers of UZ are called")
    assert cloud.get("/contacts?phone=%2B77011234560").body["data"][0]["id"] == abroad

    cloud.patch("/settings", {"allowedCountries": None})
    assert cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["SKIPPED"]}).body == {"requeued": 1}
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert cloud.call(campaign_id, abroad)["callStatus"] == "SUCCESS"


def test_country_that_is_shut_while_a_call_is_on_its_way_is_not_called(cloud: Cloud) -> None:
    abroad = cloud.a_contact(ABROAD)["id"]
    campaign_id = cloud.a_running_campaign([abroad])
    agent = ScriptedAgent()

    def narrow() -> None:
        cloud.patch("/settings", {"allowedCountries": ["UZ"]})

    with before_the_next("TransactWriteItems", narrow):
        agent.dial(orders(cloud))
    assert agent.orders == []
    cloud.settle()
    assert cloud.call(campaign_id, abroad)["conversationOutcome"] == "only numbers of UZ are called"
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_countries_of_the_deployment_hold_for_everybody(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    abroad = cloud.a_contact(ABROAD)["id"]
    campaign_id = cloud.a_running_campaign([abroad])
    cloud.patch("/settings", {"allowedCountries": ["KZ", "UZ"]})
    monkeypatch.setenv("ALLOWED_COUNTRIES", "UZ")
    caches.clear()
    assert cloud.get("/settings").body["allowedCountries"] == ["UZ"]
    assert cloud.post("/contacts", {"firstName": "Ali", "phone": "+77011234568"}).field_at_fault == "phone"
    cloud.settle()
    assert cloud.call(campaign_id, abroad)["callStatus"] == "SKIPPED"
