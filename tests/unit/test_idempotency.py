"""What a key that comes again means, and what remembering costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import idempotency
from chalicelib.aws import dynamodb
from chalicelib.errors import IdempotencyConflict, RequestUnderWay
from chalicelib.idempotency.model import LONGEST_REQUEST, REMEMBERED, Answer, Asked, Hold, asked, hold
from tests.simulation.dynamodb import DynamoDB, Refused
from tests.simulation.environment import variables

NOW = datetime(2026, 11, 23, 6, 15, tzinfo=UTC)
ASKED = Asked("key", "content")
OTHER = Asked("key", "other")
ANSWER = Answer(201, '{"id":"1"}', {"Location": "/somewhere"})

HELD = hold(ASKED, None, now=NOW, new_id="first")
DONE = replace(HELD, answer=ANSWER)
FAILED = replace(HELD, until=None)
DEAD = NOW + LONGEST_REQUEST
MOMENT = timedelta(milliseconds=1)


def take(asked: Asked, known: Hold, at: datetime) -> Hold:
    return hold(asked, known, now=at, new_id="second")


@pytest.mark.parametrize("at", [NOW, DEAD, NOW + REMEMBERED - MOMENT])
def test_answer_is_given_again_for_a_day(at: datetime) -> None:
    assert take(ASKED, DONE, at).answer == ANSWER
    with pytest.raises(IdempotencyConflict):
        take(OTHER, DONE, at)


@pytest.mark.parametrize("known", [HELD, DONE, FAILED])
@pytest.mark.parametrize("wanted", [ASKED, OTHER])
def test_day_old_key_is_anybodys(known: Hold, wanted: Asked) -> None:
    taken = take(wanted, known, NOW + REMEMBERED)
    assert (taken.content, taken.new_id, taken.answer, taken.turn) == (wanted.content, "second", None, 2)


@pytest.mark.parametrize("at", [NOW, DEAD - MOMENT])
def test_request_under_way_holds_its_key(at: datetime) -> None:
    with pytest.raises(RequestUnderWay):
        take(ASKED, HELD, at)
    with pytest.raises(IdempotencyConflict) as refused:
        take(OTHER, HELD, at)
    assert not isinstance(refused.value, RequestUnderWay)


@pytest.mark.parametrize(("known", "at"), [(HELD, DEAD), (FAILED, NOW)])
def test_request_that_died_or_failed_is_gone_on_with(known: Hold, at: datetime) -> None:
    again = take(ASKED, known, at)
    assert (again.new_id, again.began_at, again.turn) == ("first", HELD.began_at, 2)
    assert again.until is not None
    assert take(OTHER, known, at).new_id == "second"


def test_same_request_is_known_by_its_digest_only() -> None:
    owner, json_ = ("1", "ali"), "application/json"
    one = asked(owner, "k", "/a", b"{}", json_)
    assert one == asked(owner, "k", "/a", b"{}", json_)
    assert {len(one.key), len(one.content)} == {64}
    for other in (asked(owner, "l", "/a", b"{}", json_), asked(("1", "vali"), "k", "/a", b"{}", json_)):
        assert (other.key == one.key, other.content) == (False, one.content)
    for other in (asked(owner, "k", "/b", b"{}", json_), asked(owner, "k", "/a", b"{ }", json_)):
        assert (other.key, other.content == one.content) == (one.key, False)
    assert asked(("1", "a', 'b"), "k", "", b"", "").key != asked(("1", "a"), "b', 'k", b"", b"", "").key


@pytest.mark.parametrize("quoted", ["{}", '"{}"'])
def test_boundary_of_a_form_is_no_part_of_it(quoted: str) -> None:
    def sent(boundary: str, content: bytes) -> str:
        body = b'--%b\r\nname="file"\r\n\r\n%b\r\n--%b--\r\n' % (boundary.encode(), content, boundary.encode())
        kind = f"multipart/form-data; boundary={quoted.format(boundary)}; charset=utf-8"
        return asked(("1", None), "k", "/a", body, kind).content

    assert sent("one", b"phone") == sent("--another", b"phone")
    assert sent("one", b"phone") != sent("one", b"phony")


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDB]:
    """A DynamoDB that counts its units."""
    for name, value in variables().items():
        monkeypatch.setenv(name, value)
    made, events = DynamoDB(), dynamodb.connection().client.meta.events

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        try:
            return SimpleNamespace(status_code=200), made(model.name, json.loads(params["body"])) | METADATA
        except Refused as refused:
            error = {"Error": {"Code": refused.code, "Message": refused.code}}
            return SimpleNamespace(status_code=400), error | METADATA

    events.register("before-call.dynamodb", answer, unique_id="units")
    yield made
    events.unregister("before-call.dynamodb", unique_id="units")


METADATA: dict[str, Any] = {"ResponseMetadata": {}}


@pytest.mark.parametrize(("characters", "written"), [(100, 1 + 1), (1_200, 1 + 2), (5_000, 1 + 6)])
def test_answer_costs_a_unit_per_kilobyte_and_one_more(database: DynamoDB, characters: int, written: int) -> None:
    """In half units of reading (a consistent one is two halves) and units of writing."""
    table = "test-IdempotencyTable"
    answer = replace(ANSWER, body="x" * characters)
    who = asked(("1", "ali"), "k", "/a", b"{}", "")
    for _ in range(3):
        assert idempotency.once(who, lambda _: answer, now=lambda: NOW)[0] == answer
    kept_in_blocks_of_4_kb = -(-(characters + 600) // 4096)
    assert database.units == {
        (table, "", "read"): 2 * (1 + 2 * kept_in_blocks_of_4_kb),
        (table, "", "write"): written,
    }


def test_two_that_read_at_once_do_not_both_begin(database: DynamoDB) -> None:
    who, done = asked(("1", "ali"), "k", "/a", b"{}", ""), []

    def slowly(_: Hold) -> Answer:
        with pytest.raises(RequestUnderWay):
            idempotency.once(who, lambda _: pytest.fail("done twice"), now=lambda: NOW)
        done.append(1)
        return ANSWER

    assert idempotency.once(who, slowly, now=lambda: NOW) == (ANSWER, False)
    with pytest.raises(RequestUnderWay):
        idempotency.store.take(hold(who, None, now=NOW, new_id="late"), None)
    assert done == [1]


def test_request_that_outlived_its_hold_leaves_the_key_to_who_has_it_now(database: DynamoDB) -> None:
    who, late = asked(("1", "ali"), "k", "/a", b"{}", ""), replace(ANSWER, body="late")

    def outlive(_: Hold) -> Answer:
        assert idempotency.once(who, lambda _: ANSWER, now=lambda: DEAD) == (ANSWER, False)
        return late

    assert idempotency.once(who, outlive, now=lambda: NOW) == (late, False)
    assert idempotency.once(who, lambda _: pytest.fail("done again"), now=lambda: DEAD) == (ANSWER, True)
