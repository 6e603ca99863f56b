"""Lists: newest first, by page or by cursor, filtered, with exact totals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.service.cloud import Cloud


def walk(cloud: Cloud, path: str, limit: int) -> Iterator[list[str]]:
    """The ids on each page of a list, from cursor to cursor."""
    answer = cloud.get(f"{path}limit={limit}").body
    while True:
        yield [row["id"] for row in answer["data"]]
        cursor = answer["meta"]["nextCursor"]
        if cursor is None:
            return
        answer = cloud.get(f"{path}limit={limit}&cursor={cursor}").body
        assert "page" not in answer["meta"]


def pages(cloud: Cloud, path: str, limit: int, number: int) -> list[list[str]]:
    """The ids on the first pages of a list."""
    answers = [cloud.get(f"{path}page={n}&limit={limit}").body for n in range(1, number + 1)]
    return [[row["id"] for row in answer["data"]] for answer in answers]


def test_pages_and_cursors_show_the_same_rows_newest_first(cloud: Cloud) -> None:
    ids = cloud.contacts(5)[::-1]
    expected = [ids[:2], ids[2:4], ids[4:]]
    assert pages(cloud, "/contacts?", 2, 4) == [*expected, []]
    assert list(walk(cloud, "/contacts?", 2)) == expected
    assert cloud.get("/contacts?page=2&limit=2").body["meta"] | {"nextCursor": ""} == {
        "page": 2,
        "limit": 2,
        "total": 5,
        "totalPages": 3,
        "nextCursor": "",
    }
    assert cloud.get("/contacts?page=1&limit=5").body["meta"]["nextCursor"] is None


def test_statuses_are_lists_of_their_own(cloud: Cloud) -> None:
    ids = cloud.contacts(4)
    for contact_id in ids[:3]:
        cloud.patch(f"/contacts/{contact_id}", {"status": "COMPLETED"})
    assert list(walk(cloud, "/contacts?status=COMPLETED&", 2)) == [[ids[2], ids[1]], [ids[0]]]
    assert pages(cloud, "/contacts?status=COMPLETED&", 2, 2) == [[ids[2], ids[1]], [ids[0]]]
    cloud.delete(f"/contacts/{ids[0]}")
    totals = {status: cloud.get(f"/contacts?status={status}").body["meta"]["total"] for status in STATUSES}
    assert totals == {"ACTIVE": 1, "INACTIVE": 0, "COMPLETED": 2, "DO_NOT_CALL": 0}


STATUSES = ("ACTIVE", "INACTIVE", "COMPLETED", "DO_NOT_CALL")


def test_contact_is_found_by_its_phone(cloud: Cloud) -> None:
    contact = cloud.a_contact("+998901234567")
    cloud.a_contact("+998901234568")
    for written in ("%2B998901234567", "901234567", "%2B998%2090%20123%2045%2067"):
        found = cloud.get(f"/contacts?phone={written}").body
        assert (found["data"], found["meta"]["total"]) == ([contact], 1)
    assert cloud.get("/contacts?phone=901234567&status=INACTIVE").body["data"] == []
    assert cloud.get("/contacts?phone=901234569").body["meta"]["total"] == 0
    assert cloud.get("/contacts?phone=12").field_at_fault == "phone"


def test_campaigns_and_imports_are_lists_too(cloud: Cloud) -> None:
    campaigns = [cloud.a_campaign()["id"] for _ in range(3)][::-1]
    imports = [cloud.upload(b"phone\n")["id"] for _ in range(3)][::-1]
    for path, ids in (("/campaigns?", campaigns), ("/campaigns?status=PENDING&", campaigns), ("/imports?", imports)):
        assert list(walk(cloud, path, 2)) == [ids[:2], ids[2:]]
        assert pages(cloud, path, 2, 2) == [ids[:2], ids[2:]]
        assert cloud.get(path).body["meta"] == {
            "page": 1,
            "limit": 20,
            "total": 3,
            "totalPages": 1,
            "nextCursor": None,
        }
    assert cloud.get("/campaigns?status=RUNNING").body["meta"]["totalPages"] == 0


def test_lists_begin_with_the_oldest_if_asked_to(cloud: Cloud) -> None:
    contacts = cloud.contacts(3)
    campaigns = [cloud.a_campaign()["id"] for _ in range(3)]
    imports = [cloud.upload(b"phone\n")["id"] for _ in range(3)]
    for path, ids in {
        "/contacts?": contacts,
        "/contacts?status=ACTIVE&": contacts,
        "/campaigns?": campaigns,
        "/campaigns?status=PENDING&": campaigns,
        "/imports?": imports,
    }.items():
        for sort, expected in (("createdAt", ids), ("-createdAt", ids[::-1])):
            assert list(walk(cloud, f"{path}sort={sort}&", 2)) == [expected[:2], expected[2:]]
            assert pages(cloud, f"{path}sort={sort}&", 2, 2) == [expected[:2], expected[2:]]


def test_calls_of_a_campaign_are_listed_by_status(cloud: Cloud) -> None:
    ids = cloud.contacts(2) + cloud.contacts(1, last_digit=7)
    campaign_id = cloud.a_campaign(ids)["id"]
    path = f"/campaigns/{campaign_id}/contacts?"
    assert calls(cloud, f"{path}limit=2") == ids[:0:-1]
    assert calls(cloud, f"{path}limit=2&page=2") == ids[:1]
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.settle()
    assert calls(cloud, f"{path}callStatus=BUSY") == ids[2:]
    assert calls(cloud, f"{path}callStatus=SUCCESS") == ids[1::-1]
    assert calls(cloud, f"{path}callStatus=PENDING") == []
    assert cloud.get(f"{path}callStatus=SUCCESS").body["meta"]["total"] == 2
    assert cloud.get(path).body["meta"]["limit"] == 50
    assert cloud.get(f"{path}callStatus=LOST").field_at_fault == "callStatus"


def calls(cloud: Cloud, path: str) -> list[str]:
    """Whom the calls on a page are to."""
    data: list[dict[str, Any]] = cloud.get(path).body["data"]
    return [call["contactId"] for call in data]


def test_cursor_belongs_to_its_list(cloud: Cloud) -> None:
    ids = cloud.contacts(3)
    campaigns = [cloud.a_campaign(ids)["id"] for _ in range(2)]
    lists = [
        "/contacts?",
        "/contacts?status=ACTIVE&",
        "/contacts?sort=createdAt&",
        "/campaigns?",
        f"/contacts/{ids[0]}/calls?",
        f"/campaigns/{campaigns[0]}/contacts?",
        f"/campaigns/{campaigns[1]}/contacts?",
        f"/campaigns/{campaigns[1]}/contacts?callStatus=PENDING&",
    ]
    cursors = {path: cloud.get(f"{path}limit=1").body["meta"]["nextCursor"] for path in lists}
    for path in lists:
        for other, cursor in cursors.items():
            reply = cloud.get(f"{path}cursor={cursor}")
            if other == path:
                assert reply.status == 200
            else:
                assert reply.field_at_fault == "cursor"
    for odd in ("", "2", ids[0], cursors["/contacts?"][:-1]):
        assert cloud.get(f"/contacts?cursor={odd}").field_at_fault == "cursor"


def test_parameters_out_of_their_range_are_named(cloud: Cloud) -> None:
    for query, field in {
        "limit=0": "limit",
        "limit=101": "limit",
        "limit=ten": "limit",
        "limit=-1": "limit",
        "page=0": "page",
        "page=1.5": "page",
        "page=101&limit=100": "page",
        "status=RUNNING": "status",
        "sort=phone": "sort",
    }.items():
        assert cloud.get(f"/contacts?{query}").field_at_fault == field, query
    assert cloud.get("/campaigns?status=ACTIVE").field_at_fault == "status"
    assert cloud.get(f"/contacts/{cloud.a_contact()['id']}/calls?sort=createdAt").field_at_fault == "sort"
    assert cloud.get("/contacts?page=100&limit=100").body["data"] == []
    assert cloud.get("/imports?status=PENDING").problem == (400, "invalid-parameter")
