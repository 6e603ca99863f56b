"""Rows and the values they keep: attributes come from a Struct's fields, and rows of earlier versions still read."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from pynamodb.attributes import UnicodeAttribute

from chalicelib.aws.dynamodb import Row
from chalicelib.calls import store as calls
from chalicelib.calls.model import CallState, CallStatus, Retry
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.settings import AgentChoice, CampaignType
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from tests.unit.builders import a_call, a_campaign, a_contact, an_attempt, some_hours


class Note(Struct, kw_only=True):
    key: str
    text_kept: str | None = None
    times: int = 0
    words: set[str] = set()
    inside: list[dict[str, Any]] = []


class NoteRow(Row, keeps=Note):
    class Meta:
        table_name = "notes"

    key = UnicodeAttribute(hash_key=True, attr_name="id")


@pytest.mark.parametrize(
    ("note", "item"),
    [
        (Note(key="1"), {"id": {"S": "1"}, "times": {"N": "0"}}),
        (
            Note(key="1", text_kept="a", times=2, words={"b"}, inside=[{"c": None}]),
            {
                "id": {"S": "1"},
                "textKept": {"S": "a"},
                "times": {"N": "2"},
                "words": {"SS": ["b"]},
                "inside": {"S": '[{"c":null}]'},
            },
        ),
    ],
)
def test_row_has_an_attribute_for_each_field_of_its_value(note: Note, item: dict[str, Any]) -> None:
    row = NoteRow.of(note)
    assert row.serialize() == item
    assert NoteRow.from_raw_data(item).value(Note) == note


@pytest.mark.parametrize(
    ("state", "where"),
    [
        (CallState.WAITING, "campaign#waiting#Asia/Tashkent"),
        (CallState.QUEUED, "campaign#in_flight"),
        (CallState.CALLING, "campaign#in_flight"),
        (CallState.DONE, None),
    ],
)
def test_call_is_found_by_what_is_to_be_done_with_it(state: CallState, where: str | None) -> None:
    assert calls.row_of(a_call(state, zone="Asia/Tashkent")).work_key == where


def test_campaign_of_an_earlier_version_is_read() -> None:
    campaign = campaigns.of_image(
        {
            "organizationId": {"S": "1"},
            "campaignId": {"S": "campaign"},
            "statusKey": {"S": "1#RUNNING"},
            "name": {"S": "January"},
            "campaignType": {"S": "SURVEY"},
            "status": {"S": "RUNNING"},
            "maxConcurrentCalls": {"N": "7"},
            "retry": {"S": '{"maxAttempts":2,"delayMinutes":[5],"on":["BUSY"]}'},
            "callingHours": {
                "S": '{"timezone":"Asia/Tashkent","days":["MON","TUE","WED","THU","FRI","SAT","SUN"],"from":"09:00",'
                '"to":"20:00","holidays":[]}'
            },
            "callTimeoutSeconds": {"N": "600"},
            "agent": {"S": '{"provider":"http"}'},
            "createdAt": {"S": "2026-11-23T06:15:00.000Z"},
            "updatedAt": {"S": "2026-11-23T06:15:00.000Z"},
            "wakeShard": {"S": "3"},
            "wakeAt": {"S": "2026-11-23T06:20"},
            **{name: {"N": "0"} for name in ("waiting", "success", "failed", "busy", "promiseToPay", "refused")},
            **{name: {"N": "0"} for name in ("callbackRequested", "skipped")},
            "inFlight": {"N": "3"},
            "noAnswer": {"N": "4"},
            "zones": {"SS": ["Asia/Tashkent"]},
            "health": {"S": "{}"},
        }
    )
    assert campaign == a_campaign(
        campaign_type=CampaignType.SURVEY,
        max_concurrent_calls=7,
        retry=Retry(max_attempts=2, delay_minutes=[5], on=[CallStatus.BUSY]),
        calling_hours=some_hours(),
        call_timeout_seconds=600,
        agent=AgentChoice("http"),
        wake_at="2026-11-23T06:20",
        in_flight=3,
        no_answer=4,
        zones={"Asia/Tashkent"},
    )


def test_contact_of_an_earlier_version_is_read() -> None:
    contact = contacts.of_image(
        {
            "organizationId": {"S": "1"},
            "contactId": {"S": "contact"},
            "statusKey": {"S": "1#DO_NOT_CALL"},
            "firstName": {"S": "Ali"},
            "lastName": {"S": ""},
            "phone": {"S": "+998901234567"},
            "customData": {"S": '{"totalDebt":5000}'},
            "status": {"S": "DO_NOT_CALL"},
            "isCalled": {"BOOL": True},
            "lastConversationOutcome": {"S": "Promised"},
            "lastAttemptId": {"S": "first"},
            "createdAt": {"S": "2026-11-23T06:15:00.000Z"},
            "updatedAt": {"S": "2026-11-23T06:15:00.000Z"},
        }
    )
    assert contact == a_contact(
        custom_data={"totalDebt": 5000},
        status=ContactStatus.DO_NOT_CALL,
        is_called=True,
        last_conversation_outcome="Promised",
    )


def test_call_of_an_earlier_version_is_read() -> None:
    call = calls.of_image(
        {
            "campaignId": {"S": "campaign"},
            "contactId": {"S": "contact"},
            "organizationId": {"S": "1"},
            "state": {"S": "DONE"},
            "callStatus": {"S": "BUSY"},
            "statusKey": {"S": "campaign#BUSY"},
            "lease": {"N": "2"},
            "phone": {"S": "+998901234567"},
            "attempts": {"S": '[{"attemptId":"first","endedAt":"2026-11-23T06:15:00.000Z","callStatus":"BUSY"}]'},
            "calledBack": {"BOOL": True},
            "zone": {"S": "-"},
            "updatedAt": {"S": "2026-11-23T06:15:00.000Z"},
        }
    )
    assert call == a_call(
        CallState.DONE,
        call_status=CallStatus.BUSY,
        lease=2,
        phone="+998901234567",
        attempts=[an_attempt("first", CallStatus.BUSY)],
        called_back=True,
    )
