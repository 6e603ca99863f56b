"""Whose hours apply when a campaign calls in the contact's own time zone, and what it says when none ever open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.calls import store as calls
from chalicelib.campaigns import control
from chalicelib.campaigns.store import CampaignRow
from chalicelib.settings import settings
from tests import caches
from tests.service.agents import ScriptedAgent
from tests.service.cloud import Cloud, in_an
from tests.service.files import workbook
from tests.service.live import Live

HOURS = {
    "timezone": "contact",
    "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
    "from": "09:00",
    "to": "18:00",
}
IN_SANTIAGO = HOURS | {"fallbackTimezone": "America/Santiago"}
RUSSIAN_MOBILE, FREEPHONE, CHILEAN = "+79161234567", "+80012345678", "+56921234567"
"""libphonenumber knows sixteen time zones of the first, none of the second, one of the third."""

TOMORROW = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
NIGHT_IN_ALL, NOON_IN_TASHKENT, NOON_IN_SANTIAGO = (TOMORROW + timedelta(hours=n) for n in (3, 7, 16))


def started(cloud: Cloud, contact_id: str, **hours: Any) -> str:
    """A campaign with one contact, running since the night."""
    campaign_id: str = cloud.a_campaign([contact_id], callingHours=HOURS | hours)["id"]
    control.start("1", campaign_id, now=TOMORROW)
    cloud.tick(TOMORROW)
    return campaign_id


def dialed(cloud: Cloud, at: datetime) -> bool:
    """Whether somebody is dialed at a moment, in which everything that moves comes to rest."""
    agent = ScriptedAgent()
    for _ in range(3):
        cloud.tick(at)
        agent.dial(cloud.take(settings().dial_queue), now=lambda: at)
    return bool(agent.orders)


@pytest.mark.parametrize("phone", [RUSSIAN_MOBILE, FREEPHONE])
def test_number_that_says_not_where_it_is_is_called_in_the_deployments_hours(
    cloud: Cloud, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = started(cloud, cloud.a_contact(phone)["id"])
    assert not dialed(cloud, NIGHT_IN_ALL)
    monkeypatch.setenv("FALLBACK_TIMEZONE", "America/Santiago")
    caches.clear()
    assert not dialed(cloud, NOON_IN_TASHKENT)
    monkeypatch.delenv("FALLBACK_TIMEZONE")
    caches.clear()
    assert dialed(cloud, NOON_IN_TASHKENT + timedelta(hours=1))
    cloud.pace_all()
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


@pytest.mark.parametrize("phone", [RUSSIAN_MOBILE, FREEPHONE])
def test_campaign_has_a_fallback_of_its_own(cloud: Cloud, phone: str) -> None:
    campaign_id = started(cloud, cloud.a_contact(phone)["id"], fallbackTimezone="America/Santiago")
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, NOON_IN_SANTIAGO)
    assert cloud.campaign(campaign_id)["callingHours"] == IN_SANTIAGO | {"holidays": []}


def test_chilean_number_is_not_called_in_its_night(cloud: Cloud) -> None:
    started(cloud, cloud.a_contact(CHILEAN)["id"])
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, NOON_IN_SANTIAGO)


def test_contacts_own_time_zone_comes_before_its_numbers(cloud: Cloud) -> None:
    started(cloud, cloud.a_contact("+998901234567", timezone="America/Santiago")["id"])
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, NOON_IN_SANTIAGO)


@pytest.mark.parametrize("change", [{"timezone": "America/Santiago"}, {"phone": "+14155552671"}])
def test_contact_that_moves_while_it_waits_is_called_where_it_is(cloud: Cloud, change: dict[str, str]) -> None:
    contact_id = cloud.a_contact()["id"]
    started(cloud, contact_id)
    assert cloud.patch(f"/contacts/{contact_id}", change).status == 200
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, TOMORROW + timedelta(hours=18))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HOURS, IN_SANTIAGO),
        (HOURS, HOURS | {"timezone": "America/Santiago"}),
        (HOURS | {"timezone": "Asia/Tashkent"}, IN_SANTIAGO),
    ],
)
def test_changed_hours_move_calls_that_wait(cloud: Cloud, before: dict[str, Any], after: dict[str, Any]) -> None:
    campaign_id = started(cloud, cloud.a_contact(FREEPHONE)["id"], **before)
    assert not dialed(cloud, NIGHT_IN_ALL)
    assert cloud.patch(f"/campaigns/{campaign_id}", {"callingHours": after}).status == 200
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, NOON_IN_SANTIAGO)


def test_call_that_waits_in_several_zones_since_an_earlier_version_is_dialed(cloud: Cloud) -> None:
    contact_id = cloud.a_contact(RUSSIAN_MOBILE)["id"]
    campaign_id = cloud.a_campaign([contact_id], callingHours=HOURS)["id"]
    call = calls.find(campaign_id, contact_id)
    call.zone = "Asia/Almaty,Asia/Anadyr,Europe/Moscow"
    calls.row_of(call).save()
    CampaignRow("1", campaign_id).update([CampaignRow.zones.set({call.zone})])
    control.start("1", campaign_id, now=TOMORROW)
    assert not dialed(cloud, NIGHT_IN_ALL)
    assert dialed(cloud, NOON_IN_TASHKENT)


def test_last_call_of_a_campaign_with_many_zones_waits_for_its_own(cloud: Cloud) -> None:
    places = ("Asia/Tashkent", "Asia/Samarkand", "Asia/Karachi", "Asia/Ashgabat", "America/Santiago")
    people = [cloud.a_contact(f"+99890123456{n}", timezone=place)["id"] for n, place in enumerate(places)]
    campaign_id = cloud.a_campaign(people, callingHours=HOURS)["id"]
    for gone in people[:-1]:
        assert cloud.delete(f"/campaigns/{campaign_id}/contacts/{gone}").status == 204
    control.start("1", campaign_id, now=TOMORROW)
    assert not dialed(cloud, NOON_IN_TASHKENT)
    assert dialed(cloud, NOON_IN_SANTIAGO)


def test_campaign_that_can_never_call_says_so_on_call_campaign_and_sockets(cloud: Cloud, live: Live) -> None:
    contact_id = cloud.a_contact(RUSSIAN_MOBILE)["id"]
    live.open("browser")
    live.settle()
    holidays = [(TOMORROW + timedelta(days=n)).date().isoformat() for n in range(-3, 40)]
    campaign_id = cloud.a_running_campaign([contact_id], callingHours=HOURS | {"holidays": holidays})
    reason = cloud.campaign(campaign_id)["statusReason"]
    assert "calling hours" in reason
    call = cloud.call(campaign_id, contact_id)
    assert (call["whyNotCalled"], call["nextAttemptAt"]) == ("never-open", None)
    live.settle()
    told = [frame["data"] for frame in live.heard("browser") if frame["event"] == "campaign-progress"]
    assert (told[-1]["status"], told[-1]["statusReason"]) == ("RUNNING", reason)
    changed = cloud.patch(f"/campaigns/{campaign_id}", {"callingHours": HOURS}).body
    assert (changed["status"], changed["statusReason"]) == ("RUNNING", None)
    assert dialed(cloud, NOON_IN_TASHKENT)


def test_reason_goes_when_a_window_comes_near(cloud: Cloud) -> None:
    holidays = [(TOMORROW + timedelta(days=n)).date().isoformat() for n in range(-3, 20)]
    campaign_id = cloud.a_running_campaign([cloud.a_contact()["id"]], callingHours=HOURS | {"holidays": holidays})
    assert cloud.campaign(campaign_id)["statusReason"]
    cloud.tick(in_an(days=10))
    assert cloud.campaign(campaign_id)["statusReason"] is None


def test_time_zone_of_a_contact_is_kept_changed_and_cleared(cloud: Cloud) -> None:
    contact = cloud.a_contact(timezone="Europe/Moscow")
    path = f"/contacts/{contact['id']}"
    assert contact["timezone"] == cloud.get(path).body["timezone"] == "Europe/Moscow"
    assert cloud.patch(path, {"timezone": "Asia/Omsk"}).body["timezone"] == "Asia/Omsk"
    assert cloud.patch(path, {"timezone": None}).body["timezone"] is None
    for odd in ("Moscow", "europe/moscow", "", "localtime", "../etc/passwd", 3):
        assert cloud.patch(path, {"timezone": odd}).field_at_fault == "timezone"
        body = {"firstName": "Ali", "phone": "+998901234500", "timezone": odd}
        assert cloud.post("/contacts", body).field_at_fault == "timezone"


@pytest.mark.parametrize("header", ["timezone", "Time zone", "Vaqt mintaqasi", "Часовой пояс", "Вақт минтақаси"])
def test_list_says_where_its_people_are(cloud: Cloud, header: str) -> None:
    rows = [
        ("Ali", "+998901234560", "europe/moscow"),
        ("Vali", "+998901234561", ""),
        ("G'ani", "+998901234562", "GMT+3"),
    ]
    content = workbook(*rows, header=("firstName", "phone", header))
    import_id = cloud.upload(content, "contacts.xlsx")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    zones = {contact["phone"]: contact["timezone"] for contact in cloud.get("/contacts").body["data"]}
    assert zones == {"+998901234560": "Europe/Moscow", "+998901234561": None}
    [error] = cloud.get(f"/imports/{import_id}").body["errors"]
    assert (error["row"], error["field"], error["value"]) == (4, "timezone", "GMT+3")
    assert error["message"] == "expected an IANA time zone such as Asia/Tashkent"
