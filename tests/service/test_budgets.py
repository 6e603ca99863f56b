"""What things cost: each request and message asks AWS for little, whatever the size of the lists, and never scans."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from chalicelib.agents.contract import Accepted
from chalicelib.agents.http import sign
from chalicelib.calls.model import CallStatus, Result
from chalicelib.clock import timezones
from chalicelib.contacts import store as contacts
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.aws import WEBHOOK_SECRET
from tests.service.cloud import Cloud
from tests.service.meter import metered

SHARDS = 16
"""Rows that a total is summed from."""

KEPT = 1
"""What is kept of who asked for a change: a row, written beside it."""


@contextmanager
def budget(read: int, written: int, **requests: int) -> Iterator[None]:
    """Fails when the block asks AWS for more than this, or for anything else."""
    with metered() as meter:
        yield
    assert meter.requests <= Counter(requests)
    assert meter.read <= read
    assert meter.written <= written


@pytest.fixture
def warm(cloud: Cloud) -> Cloud:
    """A deployment whose secrets are read."""
    cloud.get("/contacts")
    assert contacts.barred("1", ["+998901234567"]) == set()
    return cloud


def test_contact_costs_one_transaction_of_three_rows(warm: Cloud) -> None:
    with budget(read=1, written=3 + KEPT, BatchGetItem=1, TransactWriteItems=1, PutItem=KEPT):
        contact = warm.a_contact()
    with budget(read=1, written=0, GetItem=1):
        warm.get(f"/contacts/{contact['id']}")
    with budget(read=1, written=1 + KEPT, GetItem=1, TransactWriteItems=1, PutItem=KEPT):
        warm.patch(f"/contacts/{contact['id']}", {"notes": "x"})
    with budget(read=1, written=3 + KEPT, GetItem=1, TransactWriteItems=1, PutItem=KEPT):
        warm.delete(f"/contacts/{contact['id']}")


def test_key_costs_one_look_and_two_small_writes(warm: Cloud) -> None:
    body, key = {"firstName": "Ali", "phone": "+998901234567"}, {"Idempotency-Key": "k"}
    asked = {"GetItem": 1, "BatchGetItem": 1, "PutItem": 1 + KEPT, "UpdateItem": 1, "TransactWriteItems": 1}
    with budget(read=1 + 1, written=3 + 2 + KEPT, **asked):
        assert warm.post("/contacts", body, headers=key).status == 201
    with budget(read=1, written=0, GetItem=1):
        assert warm.post("/contacts", body, headers=key).status == 201


def test_page_costs_its_own_rows_and_the_total(warm: Cloud) -> None:
    warm.contacts(8)
    first = warm.get("/contacts?limit=2").body
    with budget(read=3 + SHARDS, written=0, Query=2):
        warm.get("/contacts?limit=2")
    with budget(read=3 + SHARDS, written=0, Query=2):
        warm.get(f"/contacts?limit=2&cursor={first['meta']['nextCursor']}")
    with budget(read=4 + 3 + SHARDS, written=0, Query=3):
        warm.get("/contacts?limit=2&page=3")
    with budget(read=3 + 2 + SHARDS, written=0, Query=2, BatchGetItem=1):
        warm.get("/contacts?limit=2&status=ACTIVE")
    with budget(read=2, written=0, GetItem=2):
        warm.get("/contacts?phone=901000010")


def test_settings_cost_one_row(warm: Cloud) -> None:
    with budget(read=1, written=0, GetItem=1):
        warm.get("/settings")
    with budget(read=0, written=1 + KEPT, UpdateItem=1, PutItem=KEPT, SendMessageBatch=1):
        warm.patch("/settings", {"timezone": "Asia/Almaty"})


def test_enrolment_costs_a_row_for_each_contact(warm: Cloud) -> None:
    ids = warm.contacts(5)
    campaign_id = warm.a_campaign()["id"]
    with budget(read=5 + 3, written=5 + 1 + KEPT, BatchGetItem=1, GetItem=3, TransactWriteItems=1, PutItem=KEPT):
        warm.post(f"/campaigns/{campaign_id}/contacts", {"contactIds": ids})


def test_start_costs_one_change_and_one_message(warm: Cloud) -> None:
    campaign_id = warm.a_campaign(warm.contacts(1))["id"]
    with budget(read=1, written=2 + KEPT, GetItem=1, TransactWriteItems=1, PutItem=KEPT, SendMessageBatch=1):
        warm.post(f"/campaigns/{campaign_id}/start")


def test_claim_fills_all_slots_in_one_transaction(warm: Cloud) -> None:
    campaign_id = warm.a_campaign(warm.contacts(20), maxConcurrentCalls=12)["id"]
    warm.post(f"/campaigns/{campaign_id}/start")
    [wake] = warm.take(settings().campaign_events_queue)
    with budget(read=1 + 14, written=12 + 1, BatchGetItem=1, Query=1, TransactWriteItems=1, SendMessageBatch=2):
        warm.pace(wake)
    with budget(read=1, written=0, BatchGetItem=1, Query=1):
        warm.pace(wake)


def test_call_costs_the_same_in_a_long_list_as_in_a_short_one(warm: Cloud) -> None:
    warm.a_running_campaign(warm.contacts(12), maxConcurrentCalls=1)
    warm.patch("/settings", {"callingPaused": False})
    [order] = warm.take(settings().dial_queue)
    looks = {"GetItem": 1, "BatchGetItem": 2}
    with budget(read=1 + 5, written=1 + 2, **looks, UpdateItem=1, TransactWriteItems=1, SendMessageBatch=1):
        ScriptedAgent(Result(call_status=CallStatus.SUCCESS)).dial([order])
    [result] = warm.take(settings().campaign_events_queue)
    with budget(
        read=2 + 1 + 3,
        written=1 + 4,
        BatchGetItem=2,
        UpdateItem=1,
        Query=1,
        TransactWriteItems=1,
        SendMessageBatch=1,
    ):
        warm.pace(result)
    with budget(read=2 + 1, written=0, BatchGetItem=2):
        warm.pace(result)


def test_look_costs_by_the_calls_that_wait_and_not_by_the_zones_anybody_waited_in(warm: Cloud) -> None:
    places = sorted(name for name in timezones().values() if name.startswith(("America/", "Asia/")))[:40]
    people = [warm.a_contact(f"+9989011{n:05}", timezone=place)["id"] for n, place in enumerate(places)]
    days = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
    hours = {"timezone": "contact", "days": days, "from": "00:00", "to": "24:00"}
    campaign_id = warm.a_campaign(people, callingHours=hours)["id"]
    for each in people[1:]:
        assert warm.delete(f"/campaigns/{campaign_id}/contacts/{each}").status == 204
    warm.pace_all()
    warm.post(f"/campaigns/{campaign_id}/start")
    with metered() as meter:
        warm.pace_all()
    assert len(warm.take(settings().dial_queue)) == 1
    assert meter.requests["Query"] == 1
    assert meter.read <= 10


def test_webhook_costs_one_look_and_one_message(warm: Cloud) -> None:
    warm.a_running_campaign(warm.contacts(2), agent={"provider": "http"})
    first, order = warm.take(settings().dial_queue)
    agent = ScriptedAgent(Accepted())
    agent.dial([first])
    warm.pace_all()
    with budget(read=4, written=1 + 2, GetItem=1, BatchGetItem=2, UpdateItem=1, TransactWriteItems=1):
        agent.dial([order])
    body, at = msgspec.json.encode({"callId": agent.orders[0].call_id, "success": True}), str(int(time.time()))
    signed = {"X-AutoCall-Signature": f"t={at},v1={sign(at, body, WEBHOOK_SECRET)}"}
    with budget(read=1, written=0, GetParameter=1, GetItem=1, SendMessageBatch=1):
        assert warm.post("/agents/http/webhook", body, organization=None, headers=signed).status == 202


def test_nothing_is_ever_scanned(cloud: Cloud) -> None:
    with metered() as meter:
        walk_through(cloud)
    assert meter.requests["Scan"] == 0
    assert meter.requests["Query"] > 0


def walk_through(cloud: Cloud) -> None:
    """The guide's workflow and what lists there are to look at."""
    import_id = cloud.upload(b"firstName,phone\nAli,901234560\nVali,901234567\n")["id"]
    cloud.arrive(f"uploads/1/{import_id}")
    campaign_id = cloud.a_campaign()["id"]
    path = f"/campaigns/{campaign_id}"
    cloud.post(f"{path}/contacts", {"importId": import_id})
    cloud.settle()
    cloud.post(f"{path}/start")
    cloud.settle()
    for seen in ("/contacts?status=ACTIVE", "/imports", "/campaigns?page=2", f"{path}/contacts?callStatus=BUSY"):
        assert cloud.get(seen).status == 200
    cloud.post(f"{path}/redial", {"callStatus": ["BUSY"]})
    cloud.post(f"{path}/audit")
    cloud.settle()
    cloud.delete(path)
    cloud.settle()


def test_meter_sees_every_kind_of_request(cloud: Cloud) -> None:
    with metered() as meter:
        cloud.a_campaign(cloud.contacts(1))
    assert meter.requests.keys() >= {"TransactWriteItems", "BatchGetItem", "GetItem", "GetParameter"}
