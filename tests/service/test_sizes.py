"""What Lambda and DynamoDB take: no list is too large to be answered, and no contact to be stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import app
from chalicelib.aws import dynamodb
from chalicelib.calls.model import CallStatus, Result
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.cloud import BASE, Cloud, rest_event, token

LAMBDA_TAKES = 6_291_556
ITEM_BYTES = 400 * 1024


def sent(path: str) -> tuple[int, dict[str, Any]]:
    """The size of an answer as the runtime of Python 3.11 sends it, and what is in it."""
    answer = app.app(rest_event("GET", BASE + path, None, {"authorization": f"Bearer {token()}"}), None)
    assert answer["statusCode"] == 200, answer
    body: dict[str, Any] = json.loads(answer["body"])
    return len(json.dumps(answer)), body


def walk(path: str, limit: int) -> Iterator[dict[str, Any]]:
    """The pages of a list, from cursor to cursor, none of them larger than Lambda takes."""
    size, page = sent(f"{path}limit={limit}")
    while True:
        assert size <= LAMBDA_TAKES
        yield page
        cursor = page["meta"]["nextCursor"]
        if cursor is None:
            return
        size, page = sent(f"{path}limit={limit}&cursor={cursor}")


def rows(pages: list[dict[str, Any]], by: str = "id") -> list[str]:
    return [row[by] for page in pages for row in page["data"]]


@pytest.mark.parametrize("letter", ["ж", "a"])
def test_list_of_the_largest_contacts_is_walked_whole(cloud: Cloud, letter: str) -> None:
    notes = letter * 10_000
    custom = {"k": letter * ((16 * 1024 - 8) // len(json.dumps(letter, ensure_ascii=False)[1:-1].encode()))}
    ids = [cloud.a_contact(f"+99890{n:07}", notes=notes, customData=custom)["id"] for n in range(1_000_000, 1_000_100)][
        ::-1
    ]
    pages = list(walk("/contacts?", 100))
    assert rows(pages) == ids
    assert ("truncated" in pages[0]["meta"]) is (letter != "a")
    assert "truncated" not in pages[-1]["meta"]
    assert rows(list(walk("/contacts?status=ACTIVE&", 100))) == ids
    for page in pages[:-1]:
        assert len(page["data"]) > 20, "as many as fit"


def test_pages_by_number_stay_where_they_are(cloud: Cloud) -> None:
    ids = [cloud.a_contact(f"+99890{n:07}", notes="😀" * 10_000)["id"] for n in range(1_000_000, 1_000_110)][::-1]
    (size, first), (_, second) = sent("/contacts?page=1&limit=100"), sent("/contacts?page=2&limit=100")
    assert size <= LAMBDA_TAKES
    assert rows([second]) == ids[100:]
    assert rows([sent("/contacts?status=ACTIVE&page=2&limit=100")[1]]) == ids[100:]
    shown = rows([first])
    assert shown == ids[: len(shown)]
    assert len(shown) < 100
    meta = {"page": 1, "limit": 100, "total": 110, "totalPages": 2, "truncated": True}
    assert first["meta"] | {"nextCursor": ""} == meta | {"nextCursor": ""}
    _, rest = sent(f"/contacts?limit=100&cursor={first['meta']['nextCursor']}")
    assert rows([rest]) == ids[len(shown) : len(shown) + len(rest["data"])]


def test_lists_of_long_conversations_are_walked_whole(cloud: Cloud) -> None:
    ids = cloud.contacts(55)
    campaign_id = cloud.a_running_campaign(ids, maxConcurrentCalls=55)
    result = Result(call_status=CallStatus.REFUSED, outcome="😀" * 1_000, summary="😀" * 4_000)
    ScriptedAgent(result).dial(cloud.take(settings().dial_queue, 55))
    cloud.pace_all()
    pages = list(walk(f"/campaigns/{campaign_id}/contacts?callStatus=REFUSED&", 100))
    assert len(pages) > 1
    assert rows(pages, "contactId") == ids[::-1]
    assert rows(list(walk(f"/contacts/{ids[0]}/calls?", 100)), "campaignId") == [campaign_id]


def test_largest_contact_fits_into_a_row_many_times_over(cloud: Cloud) -> None:
    largest = 0

    def weigh(model: Any, params: dict[str, Any], **_: Any) -> None:
        nonlocal largest
        if model.name == "TransactWriteItems":
            largest = max(largest, len(params["body"]))

    events = dynamodb.connection().client.meta.events
    events.register("before-call.dynamodb", weigh, unique_id="weigh")
    try:
        text = "😀" * 100
        custom = {"k": "😀" * 4_000}
        contact = cloud.a_contact(firstName=text, lastName=text, notes="😀" * 10_000, customData=custom)
        cloud.patch(f"/contacts/{contact['id']}", {"lastConversationOutcome": "😀" * 1_000})
    finally:
        events.unregister("before-call.dynamodb", unique_id="weigh")
    assert 0 < largest < ITEM_BYTES
