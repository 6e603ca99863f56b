"""What is known of an attempt: who placed it, what it cost, what was promised, and when to call back."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import clock
from chalicelib.calls.model import CallStatus, Result
from chalicelib.money import Money
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, orders, report
from tests.service.cloud import Cloud, in_an
from tests.service.test_results import book_of, rows_of

SHOWN = {"promisedDate": "2026-12-01", "promisedAmount": {"amount": "500000.50", "currency": "UZS"}}


def test_facts_of_a_report_are_shown_and_written_down(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(
        cloud, retry={"maxAttempts": 2, "delayMinutes": [0], "on": ["BUSY"]}, agent={"provider": "http"}
    )
    report(cloud, call_id, status="BUSY", cost={"amount": "0.01", "currency": "USD"})
    agent = ScriptedAgent(
        Result(
            call_status=CallStatus.PROMISE_TO_PAY,
            promised_date="2026-12-01",
            promised_amount=Money("500000.50", "UZS"),
            cost=Money("0.144", "USD"),
        )
    )
    cloud.pace_all()
    agent.dial(orders(cloud))
    cloud.pace_all()
    first, second = cloud.call(campaign_id, contact_id)["attempts"]
    assert second.items() >= SHOWN.items()
    assert [each["cost"]["amount"] for each in (first, second)] == ["0.01", "0.144"]
    assert (first["promisedDate"], first["promisedAmount"]) == (None, None)
    assert [each["provider"] for each in (first, second)] == ["http", "http"]
    [row] = rows_of(book_of(cloud, campaign_id))
    assert (row["promisedDate"], row["promisedAmount"], row["promisedCurrency"]) == ("2026-12-01", 500000.5, "UZS")
    assert (row["cost"], row["costCurrency"], row["provider"]) == (0.154, "USD", "http")


def test_workbook_adds_no_currencies_up(cloud: Cloud) -> None:
    campaign_id, _, call_id = accepted_call(cloud, retry={"maxAttempts": 2, "delayMinutes": [0], "on": ["BUSY"]})
    report(cloud, call_id, status="BUSY", cost="1 UZS")
    ScriptedAgent(Result(call_status=CallStatus.SUCCESS, cost=Money("2", "USD"))).dial(orders(cloud))
    cloud.pace_all()
    [row] = rows_of(book_of(cloud, campaign_id))
    assert (row["cost"], row["costCurrency"], row["promisedAmount"]) == ("1 UZS + 2 USD", None, None)


@pytest.mark.parametrize(
    ("contact", "offset"), [({"timezone": "Asia/Almaty"}, 5), ({"timezone": "Asia/Dubai"}, 4), ({"timezone": None}, 5)]
)
def test_callback_without_a_zone_is_of_the_contacts_clock(cloud: Cloud, contact: dict[str, Any], offset: int) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud)
    assert cloud.patch(f"/contacts/{contact_id}", contact).status == 200
    wanted = in_an(hours=30).replace(microsecond=0)
    local = clock.later(offset * 3600, than=wanted).replace(tzinfo=None).isoformat()
    report(cloud, call_id, status="CALLBACK_REQUESTED", callbackAt=local)
    call = cloud.call(campaign_id, contact_id)
    assert (call["nextAttemptAt"], call["attempts"][0]["callbackAt"]) == (clock.stamp(wanted), clock.stamp(wanted))


def test_callback_of_a_contact_that_is_gone_is_of_the_campaigns_clock(cloud: Cloud) -> None:
    hours = {"timezone": "Asia/Dubai", "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"], "from": "00:00"}
    campaign_id, contact_id, call_id = accepted_call(cloud, callingHours=hours | {"to": "24:00"})
    report(cloud, call_id, status="NO_ANSWER")
    assert cloud.delete(f"/contacts/{contact_id}").status == 204
    report(cloud, call_id, status="CALLBACK_REQUESTED", callbackAt="2026-12-01T18:30:00")
    [attempt] = cloud.call(campaign_id, contact_id)["attempts"]
    assert attempt["callbackAt"] == "2026-12-01T14:30:00.000Z"
