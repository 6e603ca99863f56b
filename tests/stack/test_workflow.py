"""The guide's complete workflow on the deployed system: a workbook becomes conversations, and browsers see each."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office, phone

CONTACTS = 200
BY_LAST_DIGIT = {
    **dict.fromkeys(range(4), "SUCCESS"),
    4: "PROMISE_TO_PAY",
    5: "REFUSED",
    6: "NO_ANSWER",
    7: "BUSY",
    8: "CALLBACK_REQUESTED",
    9: "FAILED",
}
"""How the simulated agent's conversations end."""

EACH = CONTACTS // 10


def test_workbook_becomes_conversations_and_browsers_see_each_once(office: Office, stack: LocalStack) -> None:
    people = [
        ("Aziza", f"Karimova {n}", phone(n), "1985-03-15", '{"totalDebt": 5420.50}', None) for n in range(CONTACTS)
    ]
    imported = office.upload(people)
    assert (imported["status"], imported["created"], imported["failed"]) == ("COMPLETED", CONTACTS, 0), imported

    campaign = office.campaign(campaignType="DEBT_COLLECTION", maxConcurrentCalls=20)["id"]
    office.post(f"/campaigns/{campaign}/contacts", {"importId": imported["id"]}, status=202)
    eventually(lambda: office.get(f"/campaigns/{campaign}")["totalContacts"] == CONTACTS)

    with office.listening() as socket, Office(stack, "stranger").listening() as stranger:
        assert office.post(f"/campaigns/{campaign}/start")["status"] == "RUNNING"
        ended = office.comes_to(campaign, "COMPLETED", 120)
        eventually(lambda: socket.of("campaign-complete"))
        eventually(lambda: len(socket.of("campaign-update")) >= 2 * CONTACTS)

    assert_counted(ended)
    assert_told(socket.of("campaign-update"), campaign)
    assert socket.of("campaign-complete") == [{"campaignId": campaign, "message": "Campaign completed successfully"}]
    assert stranger.events == []
    contact = office.get("/contacts", phone=phone(4))["data"][0]
    assert (contact["isCalled"], contact["lastConversationOutcome"]) == (True, "Promised to pay")
    assert_consistent(office, campaign)


def assert_counted(campaign: dict[str, Any]) -> None:
    """The counters say exactly how the conversations ended."""
    assert {name: campaign[name] for name in ("totalContacts", "calledContacts", "skippedContacts")} == {
        "totalContacts": CONTACTS,
        "calledContacts": CONTACTS,
        "skippedContacts": 0,
    }
    assert (campaign["successfulCalls"], campaign["failedCalls"]) == (6 * EACH, 4 * EACH)
    expected = Counter(BY_LAST_DIGIT[n % 10] for n in range(CONTACTS))
    assert {status: n for status, n in campaign["statusCounts"].items() if n} == expected


def assert_told(updates: list[dict[str, Any]], campaign: str) -> None:
    """Each contact's conversation began once and then ended once, as its phone says."""
    assert {update["campaignId"] for update in updates} == {campaign}
    by_contact: dict[str, list[dict[str, Any]]] = {}
    for update in updates:
        by_contact.setdefault(update["contactId"], []).append(update)
    assert len(by_contact) == CONTACTS
    for contact_id, (calling, final, *more) in by_contact.items():
        assert not more
        assert calling["contact"]["id"] == final["contact"]["id"] == contact_id
        assert (calling["status"], calling["outcome"]) == ("calling", None)
        assert final["status"] == BY_LAST_DIGIT[int(final["contact"]["phone"][-1])]
        assert final["outcome"]
        assert final["summary"]


def assert_consistent(office: Office, campaign: str) -> None:
    """The audit that follows a campaign's end agrees with its counters."""

    def audited() -> Any:
        answer = office.request("GET", f"/campaigns/{campaign}/audit")
        return answer.json() if answer.status_code == 200 and answer.json()["status"] == "COMPLETED" else None

    report = eventually(audited)
    assert report["consistent"], report["differences"]
