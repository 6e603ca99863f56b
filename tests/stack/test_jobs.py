"""What the worker and the clock do, each under its own role: every path of theirs once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office, phone


def has_contacts(office: Office, campaign: str, number: int) -> bool:
    total: int = office.get(f"/campaigns/{campaign}")["totalContacts"]
    return total == number


def a_finished_campaign(office: Office, digits: str) -> dict[str, Any]:
    """A campaign whose simulated conversations ended as the digits say."""
    people = [office.contact(10 * n + int(digit))["id"] for n, digit in enumerate(digits)]
    campaign = office.campaign(contactIds=people)["id"]
    office.post(f"/campaigns/{campaign}/start")
    return office.comes_to(campaign, "COMPLETED")


def test_contacts_of_a_status_are_enrolled(office: Office) -> None:
    office.contact(1)
    office.contact(2, status="INACTIVE")
    campaign = office.campaign()["id"]
    office.post(f"/campaigns/{campaign}/contacts", {"filter": {"status": "ACTIVE"}}, status=202)
    eventually(lambda: has_contacts(office, campaign, 1))


def test_thousands_of_contacts_are_enrolled_in_the_background(office: Office) -> None:
    known = [office.contact(number)["id"] for number in range(2)]
    unknown = [str(uuid.uuid4()) for _ in range(1_001)]
    campaign = office.campaign()["id"]
    office.post(f"/campaigns/{campaign}/contacts", {"contactIds": [*known, *unknown]}, status=202)
    eventually(lambda: has_contacts(office, campaign, 2))


def test_known_phones_of_a_second_workbook_update_their_contacts(office: Office) -> None:
    office.upload([("Bobur", "Aliyev", phone(1), None, None, "first")])
    again = office.upload([("Bobur", None, phone(1), None, '{"debt": 5}', None), ("", "", "12", None, None, None)])
    assert (again["created"], again["updated"], again["failed"]) == (0, 1, 1)
    contact = office.get("/contacts", phone=phone(1))["data"][0]
    assert (contact["notes"], contact["customData"]) == ("first", {"debt": 5})


def test_scheduled_campaign_starts_by_the_clock(office: Office) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=5)
    made = office.campaign(contactIds=[office.contact(1)["id"]], scheduledAt=soon.isoformat(timespec="seconds"))
    assert made["status"] == "PENDING"
    assert office.comes_to(made["id"], "COMPLETED", 90)["successfulCalls"] == 1


def test_ended_calls_are_made_again(office: Office) -> None:
    campaign = a_finished_campaign(office, "16")["id"]
    redial = office.post(f"/campaigns/{campaign}/redial", {"callStatus": ["NO_ANSWER"]}, status=202)
    assert redial == {"requeued": 1}
    assert office.comes_to(campaign, "PAUSED")["statusCounts"]["PENDING"] == 1
    office.post(f"/campaigns/{campaign}/start")
    assert office.comes_to(campaign, "COMPLETED")["calledContacts"] == 2
    (call,) = office.get(f"/campaigns/{campaign}/contacts", callStatus="NO_ANSWER")["data"]
    assert len(call["attempts"]) == 2


def test_audit_finds_the_counters_right(office: Office) -> None:
    campaign = a_finished_campaign(office, "159")["id"]
    office.post(f"/campaigns/{campaign}/audit", status=202)

    def audited() -> Any:
        report = office.get(f"/campaigns/{campaign}/audit")
        return report if report["status"] == "COMPLETED" else None

    report = eventually(audited)
    assert report["consistent"], report["differences"]


def test_deleted_campaign_leaves_nothing_behind(office: Office, stack: LocalStack) -> None:
    campaign = a_finished_campaign(office, "12")["id"]
    assert office.request("DELETE", f"/campaigns/{campaign}").status_code == 204
    assert office.request("GET", f"/campaigns/{campaign}").status_code == 404
    assert office.get("/campaigns")["meta"]["total"] == 0
    eventually(lambda: not stack.rows("CallsTable", campaignId=campaign))
    eventually(lambda: not stack.rows("CampaignsTable", organizationId=f"{office.organization}#deleted"))


def test_who_must_not_be_called_is_skipped(office: Office) -> None:
    people = [office.contact(number)["id"] for number in range(3)]
    campaign = office.campaign(contactIds=people)["id"]
    barred, gone, _ = people
    assert office.request("PATCH", f"/contacts/{barred}", json={"status": "DO_NOT_CALL"}).status_code == 200
    assert office.request("DELETE", f"/contacts/{gone}").status_code == 204
    office.post(f"/campaigns/{campaign}/start")
    done = office.comes_to(campaign, "COMPLETED")
    assert (done["skippedContacts"], done["successfulCalls"]) == (2, 1)
    call = office.get(f"/campaigns/{campaign}/contacts/{barred}")
    assert (call["callStatus"], call["conversationOutcome"]) == ("SKIPPED", "contact is DO_NOT_CALL")


def test_withdrawn_contact_is_not_called(office: Office) -> None:
    stays, leaves = (office.contact(number)["id"] for number in (1, 2))
    campaign = office.campaign(contactIds=[stays, leaves])["id"]
    assert office.request("DELETE", f"/campaigns/{campaign}/contacts/{leaves}").status_code == 204
    office.post(f"/campaigns/{campaign}/start")
    assert office.comes_to(campaign, "COMPLETED")["totalContacts"] == 1
    assert office.get(f"/contacts/{leaves}/calls")["meta"]["total"] == 0


def test_rows_change_and_lists_find_them(office: Office) -> None:
    contact = office.contact(1)
    moved = office.request("PATCH", f"/contacts/{contact['id']}", json={"phone": phone(2), "notes": "moved"})
    assert moved.json()["phone"] == phone(2)
    assert office.get("/contacts", status="ACTIVE", page=1, limit=50)["meta"]["total"] == 1
    campaign = office.campaign()["id"]
    changed = office.request("PATCH", f"/campaigns/{campaign}", json={"maxConcurrentCalls": 3, "description": "new"})
    assert changed.json()["maxConcurrentCalls"] == 3
    added = office.post(f"/campaigns/{campaign}/contacts", {"contactIds": [contact["id"], contact["id"]]})
    assert (added["added"], added["totalContacts"]) == (1, 1)
    assert office.get("/campaigns", status="PENDING")["data"][0]["id"] == campaign
    assert office.get(f"/campaigns/{campaign}/contacts", callStatus="PENDING")["meta"]["total"] == 1
    assert office.get(f"/campaigns/{campaign}/contacts/{contact['id']}")["whyNotCalled"]
    assert office.get("/imports")["meta"]["total"] == 0
