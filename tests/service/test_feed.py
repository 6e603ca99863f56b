"""From the tables' streams to the sockets: numbers, order, replay, and what happens when something dies on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import clock
from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.realtime import broadcaster, rate, sockets, store
from chalicelib.settings import settings
from tests.service.cloud import Cloud, sqs_event, token
from tests.service.feed import LATE, Live, contact_record, impatient, socket_event

A, B, C = "+998901112201", "+998901112202", "+998901112203"


AT = clock.now()


@pytest.fixture
def live(cloud: Cloud) -> Iterator[Live]:
    with impatient():
        yield Live(cloud)


def joined(live: Live, connection_id: str, organization: str = "1", **auth: Any) -> None:
    """A Socket.IO client that has joined."""
    answer = sockets.connect(socket_event(connection_id, query={"EIO": "4", "transport": "websocket"}), now=live.now)
    assert answer == {"statusCode": 200}
    live.say(connection_id, f"40/auto-calling,{json.dumps({'token': token(organization, exp=LATE), **auth})}")
    live.deliver()


def heard(live: Live, connection_id: str) -> list[list[Any]]:
    """The events a Socket.IO connection was told."""
    packets = [frame for frame in live.wire.posted[connection_id] if frame.startswith("42")]
    return [json.loads(packet.removeprefix("42/auto-calling,")) for packet in packets]


def test_all_sockets_of_the_organization_hear_the_same_in_the_same_order(live: Live) -> None:
    live.open("plain")
    joined(live, "io")
    live.open("stranger", "2")
    live.tell(A, B)
    live.tell(C)
    plain = [(event["event"], event["data"], event["seq"]) for event in live.wire.events("plain")]
    assert [data["phone"] for _, data, _ in plain] == [A, B, C]
    assert [seq for *_, seq in plain] == [1, 2, 3]
    assert [tuple(event) for event in heard(live, "io")] == [(*event, str(event[2])) for event in plain]
    assert live.wire.posted["stranger"] == []


def test_change_told_twice_keeps_its_number(live: Live) -> None:
    live.open("plain")
    first, second = contact_record(A), contact_record(B)
    live.changed(first)
    live.deliver()
    live.changed(first, second)
    live.deliver()
    assert live.wire.numbers("plain") == [1, 1, 2]


def test_organization_nobody_listens_to_writes_no_log(live: Live) -> None:
    live.changed(contact_record(A))
    assert live.deliver() == []
    live.open("plain")
    live.now = lambda: clock.now() + timedelta(hours=27)
    live.changed(contact_record(B))
    assert live.deliver() == []


@pytest.mark.parametrize("dies_at", range(6))
def test_broadcaster_that_dies_loses_nothing_and_numbers_nothing_twice(live: Live, dies_at: int) -> None:
    live.open("first")
    live.open("second")
    live.changed(contact_record(A), contact_record(B), contact_record(C))
    bodies = live.cloud.take(settings().live_events_queue)
    posts = iter(range(100))
    post = live.wire.post

    def dying(connection_id: str, text: str, **_: float) -> None:
        if next(posts) >= dies_at:
            raise RuntimeError("the process died")
        post(connection_id, text)

    live.wire.post = dying  # type: ignore[method-assign]
    batch = sqs_event(bodies)["Records"]
    assert broadcaster.handle(batch, line=live.wire) == [each["messageId"] for each in batch]
    live.wire.post = post  # type: ignore[method-assign]
    live.deliver(bodies)
    for connection_id in ("first", "second"):
        told = {event["seq"]: event["data"]["phone"] for event in live.wire.events(connection_id)}
        assert told == {1: A, 2: B, 3: C}


def test_failure_of_one_organization_holds_up_no_other(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.open("one")
    live.open("two", "2")
    live.changed(contact_record(A), contact_record(B, organization="2"))
    batch = sqs_event(live.cloud.take(settings().live_events_queue))["Records"]
    post = live.wire.post

    def refusing(connection_id: str, text: str, **_: float) -> None:
        if connection_id == "one":
            raise RuntimeError
        post(connection_id, text)

    live.wire.post = refusing  # type: ignore[method-assign]
    assert len(broadcaster.handle(batch, line=live.wire)) == 1
    assert live.wire.numbers("two") == [1]


def test_socket_whose_first_posts_answer_410_misses_nothing_and_delays_nobody(live: Live) -> None:
    live.open("ready")
    live.open("opening")
    live.wire.gone["opening"] = 2
    live.tell(A)
    live.tell(B)
    assert live.wire.numbers("ready") == [1, 2]
    assert live.wire.posted["opening"] == []
    for _ in range(2):
        live.work()
        live.deliver()
    live.tell(C)
    assert live.wire.numbers("opening") == [1, 2, 3]


def test_old_socket_that_is_gone_is_forgotten(live: Live) -> None:
    live.open("old")
    live.wire.close("old")
    live.now = lambda: clock.now() + timedelta(minutes=1)
    live.tell(A)
    assert store.of_organization("1") == []


def test_socket_that_takes_nothing_is_closed_in_the_end(live: Live) -> None:
    live.open("slow")
    live.wire.slow.add("slow")
    live.tell(A)
    for _ in range(broadcaster.MOST_TRIES + 1):
        live.work()
        live.deliver()
    assert live.wire.closed == ["slow"]
    assert store.of_organization("1") == []


def test_socket_that_comes_back_is_told_what_it_missed_and_then_what_happens(live: Live) -> None:
    live.open("before")
    live.tell(A, B, C)
    live.open("after", since="1")
    live.tell("+998901112204")
    assert live.wire.posted["after"] == []
    live.work()
    live.deliver()
    live.tell("+998901112205")
    assert live.wire.numbers("after") == [2, 3, 4, 5]


def test_long_replay_goes_in_slices_with_live_events_in_their_place(live: Live) -> None:
    live.open("before")
    for n in range(12):
        live.tell(f"+9989011{n:05}")
    joined(live, "after", since=0)
    assert [event[2] for event in heard(live, "after")] == list(range(1, 6))
    live.tell(A)
    while live.deliver():
        pass
    assert [event[2] for event in heard(live, "after")] == list(range(1, 14))


def test_hole_in_the_log_answers_resync(live: Live) -> None:
    live.open("before")
    for phone in (A, B, C):
        live.tell(phone)
    [_, hole, _] = store.PartRow.query("1#log")
    hole.delete()
    live.open("after", since="0")
    live.work()
    live.deliver()
    assert [(event["event"], event["seq"]) for event in live.wire.events("after")] == [("resync", 3)]


@pytest.mark.parametrize("since", ["7", "0"])
def test_number_out_of_reach_answers_resync(live: Live, since: str) -> None:
    live.open("before")
    live.tell(A, B)
    for row in store.PartRow.query("1#log"):
        row.delete()
    live.tell(C)
    live.open("after", since=since)
    live.work()
    live.deliver()
    assert [(event["event"], event["seq"]) for event in live.wire.events("after")] == [("resync", 3)]
    live.tell(A)
    assert live.wire.numbers("after") == [3, 4]


def told_too_much(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket has heard two events; a third is held, since the organization is above its rate."""
    monkeypatch.setattr(rate, "POSTS_PER_SECOND", 2)
    live.now = lambda: AT
    live.open("plain")
    live.tell(A, B)
    live.tell(C)


def test_organization_above_its_rate_gets_progress_and_resync(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    told_too_much(live, monkeypatch)
    live.tell("+998901112204")
    assert live.wire.numbers("plain") == [1, 2]
    live.work()
    live.deliver()
    assert [(event["event"], event["seq"]) for event in live.wire.events("plain")[2:]] == [("resync", 3)]
    live.now = lambda: AT + timedelta(minutes=1)
    live.tell(A)
    assert live.wire.numbers("plain") == [1, 2, 3, 4]


def test_what_stands_in_place_of_events_is_told_also_when_the_broadcaster_dies(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_too_much(live, monkeypatch)
    live.work()
    bodies = live.cloud.take(settings().live_events_queue)
    live.wire.post, post = (lambda *_, **__: pytest.fail("the process died")), live.wire.post  # type: ignore[method-assign]
    with pytest.raises(pytest.fail.Exception):
        live.deliver(bodies)
    live.wire.post = post  # type: ignore[method-assign]
    live.deliver(bodies)
    live.deliver(bodies)
    assert [(event["event"], event["seq"]) for event in live.wire.events("plain")[2:]] == [("resync", 3)]


def test_events_that_come_days_later_are_told_as_one_resync(live: Live) -> None:
    live.now = lambda: AT
    live.open("plain")
    live.changed(contact_record(A, at=AT), contact_record(B, at=AT))
    live.changed(contact_record(C, at=AT))
    redriven = live.deliver()
    live.now = lambda: AT + timedelta(hours=50)
    live.open("today")
    for times in (1, 2):
        live.deliver([*redriven, *redriven])
        live.work()
        live.deliver()
        assert [event["event"] for event in live.wire.events("today")] == ["resync"] * times


@pytest.mark.parametrize(
    ("seconds", "events"), [(4, ["contact-update"]), (6, ["resync"]), (599, ["resync"]), (601, ["resync"])]
)
def test_events_that_sockets_could_not_take_in_time_are_summed_up(live: Live, seconds: int, events: list[str]) -> None:
    live.now = lambda: AT
    live.open("plain")
    live.changed(contact_record(A, at=AT))
    live.now = lambda: AT + timedelta(seconds=seconds)
    live.deliver()
    live.work()
    live.deliver()
    assert [event["event"] for event in live.wire.events("plain")] == events


def test_batch_that_takes_long_is_told_as_its_gist_from_then_on(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    at = AT
    monkeypatch.setattr(broadcaster, "SLICE_POSTS", 2)
    live.now = lambda: at
    live.open("one")
    live.open("two")
    post = live.wire.post

    def post_slowly(connection_id: str, text: str, **more: Any) -> None:
        nonlocal at
        at += timedelta(seconds=0.5)
        post(connection_id, text, **more)

    live.wire.post = post_slowly  # type: ignore[method-assign]
    live.tell(*(f"+9989011{n:05}" for n in range(20)))
    for connection_id in ("one", "two"):
        told = [(event["event"], event["seq"]) for event in live.wire.events(connection_id)]
        assert told == [("contact-update", 1), ("contact-update", 2), ("resync", 20)]
    live.wire.post = post  # type: ignore[method-assign]
    live.tell(A)
    assert live.wire.numbers("one") == live.wire.numbers("two") == [1, 2, 20, 21]


def test_late_events_leave_those_in_their_batch_alone(live: Live) -> None:
    live.now = lambda: AT
    live.open("plain")
    live.changed(contact_record(A, at=AT - timedelta(hours=1)))
    live.tell(B)
    live.work()
    live.deliver()
    told = [(event["event"], event["data"].get("phone")) for event in live.wire.events("plain")]
    assert told == [("contact-update", B), ("resync", None)]


def test_lost_order_to_sum_up_is_given_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    told_too_much(live, monkeypatch)
    assert len(live.cloud.take(settings().jobs_queue)) == 1
    live.tell(*(f"+9989011{n:05}" for n in range(3)))
    assert live.cloud.take(settings().jobs_queue) == []
    live.now = lambda: AT + rate.PATIENCE
    live.tell(*(f"+9989012{n:05}" for n in range(3)))
    live.work()
    live.deliver()
    assert [event["event"] for event in live.wire.events("plain")[2:]] == ["resync"]


def test_socket_whose_replay_was_lost_is_told_a_minute_later(live: Live) -> None:
    live.now = lambda: AT
    live.open("before")
    live.tell(A, B)
    live.open("after", since="1")
    live.cloud.take(settings().jobs_queue)
    live.tell(C)
    assert live.deliver() == []
    live.now = lambda: AT + broadcaster.OVERDUE + timedelta(seconds=1)
    live.tell("+998901112204")
    live.deliver()
    live.tell("+998901112205")
    assert live.wire.numbers("after") == [2, 3, 4, 5]


def test_client_that_comes_back_after_days_without_a_log_must_read_again(live: Live) -> None:
    live.now = lambda: AT
    live.open("plain")
    live.tell(A)
    live.now = lambda: AT + timedelta(hours=40)
    live.tell(B)
    live.now = lambda: AT + timedelta(hours=60)
    live.open("back", since="1")
    live.open("other")
    live.work()
    live.deliver()
    live.tell(C)
    assert [(event["event"], event["seq"]) for event in live.wire.events("back")] == [
        ("resync", 2),
        ("contact-update", 3),
    ]
    assert live.wire.numbers("other") == [3]


def test_client_whose_answer_is_lost_is_closed_and_may_come_back(live: Live) -> None:
    sockets.connect(socket_event("io", query={"EIO": "4"}))
    live.wire.slow.add("io")
    frame = f"40/auto-calling,{json.dumps({'token': token(exp=LATE)})}"
    assert sockets.message(socket_event("io", body=frame), line=live.wire) == {"statusCode": 410}
    live.tell(A)
    sockets.refuse("io", line=live.wire)
    assert live.wire.closed == ["io"]
    sockets.disconnect(socket_event("io"))
    assert store.of_organization("1") == []


def test_joined_client_is_answered_before_any_event(live: Live) -> None:
    live.open("other")
    live.tell(A)
    joined(live, "io")
    live.tell(B)
    answer, event = live.wire.posted["io"]
    assert answer.startswith('40/auto-calling,{"sid":"io",')
    assert json.loads(event.removeprefix("42/auto-calling,"))[2] == 2


def test_client_that_has_not_joined_is_closed_after_half_a_minute(live: Live) -> None:
    sockets.connect(socket_event("idle", query={"EIO": "4"}))
    joined(live, "io")
    for connection_id in ("idle", "io"):
        sockets.refuse(connection_id, line=live.wire)
    assert live.wire.closed == ["idle"]
    live.say("idle", f"40/auto-calling,{json.dumps({'token': token(exp=LATE)})}")
    assert live.wire.posted["idle"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [({"EIO": "3"}, 400), ({"EIO": "4", "transport": "polling"}, 400), ({}, 401), ({"token": "x"}, 401)],
)
def test_connection_of_another_kind_is_refused(live: Live, query: dict[str, str], status: int) -> None:
    assert sockets.connect(socket_event("x", query=query)) == {"statusCode": status}


@pytest.mark.parametrize(
    "auth",
    [{}, {"token": 7}, {"token": "x"}, {"token": token("2")}, {"token": token("1"), "since": "yesterday"}],
)
def test_join_is_refused_with_a_reason(live: Live, auth: dict[str, Any]) -> None:
    sockets.connect(socket_event("io", query={"EIO": "4", "organizationId": "1"}))
    live.say("io", f"40/auto-calling,{json.dumps(auth)}")
    [answer] = live.wire.posted["io"]
    assert answer.startswith('44/auto-calling,{"message":')
    assert store.of_organization("1") == store.of_organization("2") == []


def test_socket_of_one_campaign_hears_of_no_other(live: Live) -> None:
    live.open("narrow", campaignId=new_id().upper())
    live.tell(A)
    assert live.wire.posted["narrow"] == []


def test_disconnected_socket_is_forgotten(live: Live) -> None:
    live.open("plain")
    joined(live, "io")
    sockets.disconnect(socket_event("plain"))
    live.say("io", "41/auto-calling,")
    assert store.of_organization("1") == []
    assert live.wire.closed == ["io"]


def test_disconnected_socket_that_cannot_be_forgotten_now_is_left_to_who_finds_it_gone(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> None:
        raise Unavailable

    monkeypatch.setattr(store, "forget_connection", away)
    assert sockets.disconnect(socket_event("plain")) == {"statusCode": 200}


def test_nonsense_of_a_plain_client_gets_an_answer(live: Live) -> None:
    live.open("plain")
    live.say("plain", '{"action":"ping"}')
    live.say("plain", "hello")
    assert [event["event"] for event in live.wire.events("plain")[:1]] == ["pong"]  # no number
    assert json.loads(live.wire.posted["plain"][1])["event"] == "error"
