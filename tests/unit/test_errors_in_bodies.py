"""What is wrong in a body is said where it is and in words an operator understands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import bodies
from chalicelib.campaigns.routes import RedialRequest
from chalicelib.campaigns.settings import NewCampaign
from chalicelib.contacts.model import NewContact
from chalicelib.errors import InvalidBody

CONTACT = {"firstName": "Ali", "phone": "901234567"}
HOURS = {"timezone": "contact", "days": ["MON"], "from": "09:00", "to": "20:00"}
TYPES = "GENERAL, DEBT_COLLECTION, SURVEY, REMINDER, MARKETING, CUSTOMER_SERVICE"
ENDED = "BUSY, CALLBACK_REQUESTED, FAILED, NO_ANSWER, PROMISE_TO_PAY, REFUSED, SKIPPED, SUCCESS"


def hours(**changes: Any) -> dict[str, Any]:
    return {"name": "May", "callingHours": HOURS | changes}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (NewContact, {"phone": "901234567"}, "firstName: required"),
        (NewContact, CONTACT | {"age": 40}, "age: unknown field"),
        (NewContact, CONTACT | {"firstName": 5}, "firstName: expected text, got a whole number"),
        (NewContact, CONTACT | {"firstName": " "}, "firstName: expected text that is not blank"),
        (NewContact, CONTACT | {"notes": []}, "notes: expected text or null, got a list"),
        (NewContact, CONTACT | {"customData": "{}"}, "customData: expected an object or null, got text"),
        (NewContact, [], "expected an object, got a list"),
        (NewCampaign, {"name": "May", "campaignType": "DEBT"}, f"campaignType: expected one of {TYPES}"),
        (NewCampaign, {"name": "May", "maxConcurrentCalls": 0}, "maxConcurrentCalls: expected a whole number >= 1"),
        (NewCampaign, hours(**{"from": "9:0"}), "callingHours.from: expected HH:MM"),
        (NewCampaign, hours(zone="UTC"), "callingHours.zone: unknown field"),
        (NewCampaign, {"name": "May", "retry": {"delayMinutes": [5, True]}},
         "retry.delayMinutes[1]: expected a whole number, got true or false"),
        (RedialRequest, {"callStatus": ["BUSY", "DEAD"]}, f"callStatus[1]: expected one of {ENDED}"),
    ],
)  # fmt: skip
def test_error_names_the_field_and_what_it_takes(kind: type, body: Any, said: str) -> None:
    with pytest.raises(InvalidBody) as refusal:
        bodies.decode(json.dumps(body).encode(), kind)
    assert str(refusal.value) == said
