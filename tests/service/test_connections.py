"""How sockets begin and end: floods of openings, tokens that expire, silent clients, frames that nobody can read."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.dynamodb.responses import DynamoHandler

from chalicelib import clock
from chalicelib.realtime import broadcaster, sockets, store
from chalicelib.realtime.messages import Replay
from chalicelib.realtime.model import SILENCE
from chalicelib.realtime.socketio import PING_SECONDS, PONG_SECONDS
from chalicelib.settings import settings
from tests.service.aws import client
from tests.service.cloud import Cloud, token
from tests.service.feed import LATE, Live, impatient, record, socket_event
from tests.service.live import Gateway, of
from tests.service.live import Live as Browsers
from tests.service.meter import metered

A, B, C = "+998901112201", "+998901112202", "+998901112203"
SOCKET_IO = {"EIO": "4", "transport": "websocket"}
DEEP = "[" * 20_000


@pytest.fixture
def live(cloud: Cloud) -> Iterator[Live]:
    with impatient():
        yield Live(cloud)


def began(live: Live, connection_id: str, **query: str) -> dict[str, Any]:
    """A Socket.IO connection begins; what the stream tells of its row."""
    assert sockets.connect(socket_event(connection_id, query=SOCKET_IO | query), now=live.now) == {"statusCode": 200}
    row = next(each for each in rows() if each["connectionId"]["S"] == connection_id)
    return record("connections_table", {name: value["S"] for name, value in row.items() if "S" in value})


def joined(live: Live, connection_id: str, **claims: Any) -> None:
    """A Socket.IO client has joined."""
    began(live, connection_id)
    bearer = token("1", **{"exp": LATE, **claims})
    live.say(connection_id, f"40/auto-calling,{json.dumps({'token': bearer})}")
    live.deliver()


def rows() -> list[dict[str, Any]]:
    """Every row of a connection."""
    owners = ["1", *(f"{store.OPENING}{n}" for n in range(store.OPENINGS))]
    return [row for owner in owners for row in rows_of(owner)]


def rows_of(owner: str) -> list[dict[str, Any]]:
    """The connections of an organization, or of nobody yet."""
    answer: dict[str, Any] = client("dynamodb").query(
        TableName=settings().connections_table,
        KeyConditionExpression="organizationId = :own",
        ExpressionAttributeValues={":own": {"S": owner}},
    )
    found: list[dict[str, Any]] = answer["Items"]
    return found


def left(connection_id: str) -> None:
    """A client is gone, and API Gateway says so."""
    sockets.disconnect(socket_event(connection_id))


def test_openings_that_were_dropped_delay_nobody(live: Live) -> None:
    flood = [began(live, f"aborted {n}") for n in range(40)]
    honest = began(live, "honest")
    for n in range(40):
        left(f"aborted {n}")
        live.wire.gone[f"aborted {n}"] = 100
    live.cloud.take(settings().jobs_queue, 100)
    live.changed(*flood, honest)
    assert len(live.wire.posted["honest"]) == 1
    assert live.cloud.take(settings().jobs_queue, 100) == []
    assert {each for each in live.wire.posted if live.wire.posted[each]} == {"honest"}


def test_opening_that_is_dropped_while_it_waits_is_dropped_at_once(live: Live) -> None:
    opening = began(live, "aborted")
    live.cloud.take(settings().jobs_queue, 100)
    live.wire.gone["aborted"] = 100
    live.changed(opening)
    left("aborted")
    assert len(live.work()) == 1
    assert live.work() == []


def test_socket_that_is_not_open_yet_is_greeted_from_the_queue(live: Live) -> None:
    opening = began(live, "late")
    live.cloud.take(settings().jobs_queue, 100)
    live.wire.gone["late"] = 2
    live.changed(opening)
    assert live.wire.posted["late"] == []
    live.work()
    live.work()
    [packet] = live.wire.posted["late"]
    assert packet.startswith("0{")
    assert live.work() == []


def test_socket_that_never_opens_is_given_up(live: Live) -> None:
    opening = began(live, "never")
    live.cloud.take(settings().jobs_queue, 100)
    live.wire.gone["never"] = 100
    live.changed(opening)
    assert sum(len(live.work()) for _ in range(20)) == len(sockets.GREETINGS)


def test_openings_are_spread_over_partitions_and_not_pinged(live: Live) -> None:
    for n in range(100):
        sockets.connect(socket_event(f"connection {n}", query=SOCKET_IO))
    partitions = [row["organizationId"]["S"] for row in rows()]
    assert max(map(partitions.count, partitions)) < 20
    assert all("pingPhase" not in row for row in rows())


def test_socket_io_costs_no_more_rows_than_it_did(cloud: Cloud) -> None:
    live = Live(cloud)
    live.open("first")
    began(live, "io")
    frame = f"40/auto-calling,{json.dumps({'token': token(exp=LATE)})}"
    with metered() as meter:
        live.say("io", frame)
        live.deliver()
    assert (meter.written, meter.read) == (3, 4)
    with metered() as meter:
        live.open("second")
    assert (meter.written, meter.read) == (1, 1)


# ---- the token's end ----


@pytest.mark.parametrize("kind", ["plain", "socket.io"])
def test_socket_ends_within_a_minute_of_its_token(live: Live, kind: str) -> None:
    at = clock.now()
    expires = int(at.timestamp()) + 90
    if kind == "plain":
        sockets.connect(socket_event("short", query={"token": token(exp=expires)}), now=live.now)
    else:
        joined(live, "short", exp=expires)
    joined(live, "long")
    for seconds in (10, 70):
        sockets.close_due(now=at + timedelta(seconds=seconds), line=live.wire)
    assert live.wire.closed == []
    sockets.close_due(now=at + timedelta(seconds=130), line=live.wire)
    assert live.wire.closed == ["short"]
    assert [each.connection_id for each in store.of_organization("1")] == ["long"]
    sockets.close_due(now=at + timedelta(seconds=190), line=live.wire)
    assert live.wire.closed == ["short"]


def test_socket_is_told_nothing_after_its_token_though_the_clock_stands_still(live: Live) -> None:
    at = clock.now()
    for name, exp in (("short", int(at.timestamp()) + 90), ("long", LATE)):
        sockets.connect(socket_event(name, query={"token": token(exp=exp)}), now=live.now)
    live.tell(A)
    live.now = lambda: at + timedelta(seconds=91)
    live.tell(B)
    assert (live.wire.numbers("short"), live.wire.numbers("long")) == ([1], [1, 2])


def test_expired_socket_that_was_set_aside_is_told_nothing(live: Live) -> None:
    at = clock.now()
    live.open("other")
    live.tell(A)
    query = {"token": token(exp=int(at.timestamp()) + 90), "since": "0"}
    sockets.connect(socket_event("short", query=query), now=live.now)
    live.now = lambda: at + timedelta(seconds=91)
    live.work()
    live.deliver()
    broadcaster.replay(Replay(organization_id="1", connection_id="short"), line=live.wire, now=live.now)
    assert live.wire.posted["short"] == []


def test_socket_that_cannot_be_closed_is_closed_a_minute_later(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    at = clock.now()
    for name in ("one", "two"):
        sockets.connect(socket_event(name, query={"token": token(exp=int(at.timestamp()) + 5)}), now=live.now)
    live.wire.stuck.add("one")
    sockets.close_due(now=at + timedelta(minutes=1), line=live.wire)
    assert live.wire.closed == ["two"]
    live.wire.stuck.clear()
    sockets.close_due(now=at + timedelta(minutes=2), line=live.wire)
    assert live.wire.closed == ["two", "one"]


def test_token_that_outlasts_the_connection_asks_for_nothing(live: Live) -> None:
    live.open("plain")
    [row] = rows()
    assert "closesIn" not in row


@pytest.mark.parametrize("exp", [None, 10**15])
def test_token_without_an_end_opens_a_socket(live: Live, monkeypatch: pytest.MonkeyPatch, exp: int | None) -> None:
    monkeypatch.setenv("JWT_REQUIRE_EXP", "false")
    settings.cache_clear()
    assert sockets.connect(socket_event("x", query={"token": token(exp=exp)})) == {"statusCode": 200}


# ---- pings ----


def minutes(live: Live, start: datetime, *, skipped: tuple[int, ...] = (), answers: bool = True) -> list[int]:
    """Two hours of the clock; the minutes in which the client was pinged."""
    pinged = []
    for minute in range(1, 120):
        at = start + timedelta(minutes=minute)
        live.now = lambda at=at: at  # type: ignore[misc]
        if minute in skipped:
            continue
        before = live.wire.posted["io"].count("2")
        sockets.close_due(now=at, line=live.wire)
        sockets.ping(now=at, line=live.wire)
        if live.wire.posted["io"].count("2") > before:
            pinged.append(minute)
            if answers:
                live.say("io", "3")
    return pinged


def test_any_one_skipped_minute_costs_no_client_its_connection(live: Live) -> None:
    joined(live, "io")
    start = clock.now()
    pinged = minutes(live, start, skipped=tuple(range(7, 120, 7)))
    assert live.wire.closed == []
    gaps = [later - earlier for earlier, later in zip([0, *pinged], pinged, strict=False)]
    assert max(gaps) * 60 < PING_SECONDS + PONG_SECONDS
    assert len(pinged) < 45


def test_client_that_answers_no_ping_is_closed(live: Live) -> None:
    joined(live, "io")
    live.open("plain")
    pinged = minutes(live, clock.now(), answers=False)
    assert live.wire.closed == ["io"]
    assert 2 <= len(pinged) <= SILENCE / timedelta(minutes=store.PHASES)
    assert [each.connection_id for each in store.of_organization("1")] == ["plain"]


def test_answers_are_written_down_every_second_time_at_most(live: Live) -> None:
    joined(live, "io")
    start = clock.now()
    with metered() as meter:
        pinged = minutes(live, start)
    assert meter.written <= len(pinged) / 2 + 1


def test_gone_connection_that_a_ping_finds_is_forgotten(live: Live) -> None:
    joined(live, "gone")
    joined(live, "io")
    live.wire.gone["gone"] = 100
    for minute in range(store.PHASES):
        sockets.ping(now=clock.now() + timedelta(minutes=minute), line=live.wire)
    assert [each.connection_id for each in store.of_organization("1")] == ["io"]


# ---- frames ----


@pytest.mark.parametrize(
    "frame", [DEEP, '{"action":' + DEEP, '{"action":"ping","x":' + DEEP, "{}", "null", "\ud800", ""]
)
def test_plain_frame_that_cannot_be_read_is_answered_by_an_error(live: Live, frame: str) -> None:
    live.open("plain")
    live.say("plain", frame)
    [answer] = live.wire.events("plain")
    assert answer["event"] == "error"
    assert live.wire.closed == []


@pytest.mark.parametrize(
    "frame", ["42/auto-calling,{}", "42/auto-calling," + DEEP, "40/auto-calling,{" + DEEP, "9", "451-[]", "hello", DEEP]
)
@pytest.mark.parametrize("has_joined", [True, False])
def test_socketio_frame_that_cannot_be_read_closes_the_connection(live: Live, frame: str, has_joined: bool) -> None:
    if has_joined:
        joined(live, "io")
    else:
        began(live, "io")
    answered = list(live.wire.posted["io"])
    live.say("io", frame)
    assert live.wire.closed == ["io"]
    assert live.wire.posted["io"] == answered
    assert rows() == []


def test_binary_frame_is_answered_as_each_protocol_has_it(live: Live) -> None:
    live.open("plain")
    joined(live, "io")
    binary = base64.b64encode(b"\0\1").decode()
    for connection_id in ("plain", "io"):
        event = socket_event(connection_id, body=binary) | {"isBase64Encoded": True}
        assert sockets.message(event, line=live.wire) == {"statusCode": 200}
    assert [event["event"] for event in live.wire.events("plain")] == ["error"]
    assert live.wire.closed == ["io"]


@pytest.mark.parametrize("campaign", ["", "c1", "1 OR 1=1", "../x", "0192e4a0-0000-7000-8000-00000000000g"])
@pytest.mark.parametrize("kind", [{}, SOCKET_IO])
def test_campaign_that_is_no_id_is_refused(live: Live, campaign: str, kind: dict[str, str]) -> None:
    query = {"token": token(), "campaignId": campaign, **kind}
    assert sockets.connect(socket_event("x", query=query)) == {"statusCode": 400}
    assert rows() == []


def test_socket_is_put_off_while_tokens_cannot_be_checked(live: Live) -> None:
    began(live, "io")
    client("ssm").delete_parameter(Name="/autocall/jwt-secret")
    assert sockets.connect(socket_event("plain", query={"token": token()})) == {"statusCode": 503}
    live.say("io", f"40/auto-calling,{json.dumps({'token': token()})}")
    assert live.wire.closed == ["io"]
    assert live.wire.posted["io"] == []


# ---- those who write at the same time, and those who are slow ----


@pytest.fixture
def colliding(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Operations of DynamoDB that collide with a transaction, once for each time they are in the list."""
    collide: list[str] = []
    act = DynamoHandler.call_action

    def refusing(handler: Any) -> Any:
        operation = handler.headers["X-Amz-Target"].partition(".")[2]
        if operation in collide:
            collide.remove(operation)
            name = "com.amazonaws.dynamodb.v20120810#TransactionConflictException"
            return 400, {"server": "amazon.com"}, json.dumps({"__type": name, "message": "busy"})
        return act(handler)

    monkeypatch.setattr(DynamoHandler, "call_action", refusing)
    return collide


def test_socket_opens_and_hears_while_its_rows_collide(live: Live, colliding: list[str]) -> None:
    colliding += ["UpdateItem"] * 2 + ["PutItem"] * 2
    live.open("plain")
    assert colliding == []
    colliding += ["PutItem"] * 2
    joined(live, "io")
    live.tell(A)
    assert live.wire.numbers("plain") == [1]
    colliding += ["DeleteItem"] * 2
    left("plain")
    assert colliding == []
    assert [each.connection_id for each in store.of_organization("1")] == ["io"]


def test_following_is_written_every_ten_minutes_at_most(live: Live) -> None:
    at = clock.now()
    live.now = lambda: at
    live.open("first")
    for minute, written in ((1, 1), (9, 1), (11, 2), (12, 1)):
        live.now = lambda minute=minute: at + timedelta(minutes=minute)  # type: ignore[misc]
        with metered() as meter:
            live.open(f"socket {minute}")
        assert meter.written == written, minute


@pytest.fixture
def browsers(cloud: Cloud, gateway: Gateway) -> Browsers:
    """Sockets behind an API Gateway that answers over HTTP."""
    return Browsers(cloud, gateway)


def test_slow_socket_delays_nobody_else(cloud: Cloud, browsers: Browsers) -> None:
    """API Gateway answers the slow one's post only after everybody else has been told everything."""
    assert browsers.open("slow") == browsers.open("quick") == 200
    release = threading.Event()
    browsers.gateway.holds["slow"] = release
    try:
        for phone in (A, B, C):
            cloud.a_contact(phone)
            browsers.settle()
            assert len(of("contact-update", browsers.heard("quick"))) == 1
    finally:
        release.set()


def test_slow_socket_is_told_beside_the_mailbox_and_comes_back(live: Live) -> None:
    live.open("slow")
    live.open("quick")
    live.wire.slow.add("slow")
    for phone in (A, B, C):
        live.tell(phone)
    assert live.wire.numbers("quick") == [1, 2, 3]
    live.wire.slow.clear()
    live.work()
    assert live.wire.numbers("slow") == [1, 2, 3]
    live.deliver()
    live.tell("+998901112204")
    assert live.wire.numbers("slow") == live.wire.numbers("quick") == [1, 2, 3, 4]


def test_socket_that_stays_slow_stays_beside_the_mailbox(live: Live) -> None:
    at = clock.now()
    live.now = lambda: at
    live.open("slow")
    live.wire.slow.add("slow")
    live.tell(A)
    live.wire.slow.clear()
    ticks = (n * 1.25 for n in range(10_000))
    live.now = lambda: at + timedelta(seconds=next(ticks))
    for phone in (B, C):
        live.work()
        live.tell(phone)
    live.work()
    assert live.wire.numbers("slow") == [1, 2, 3]
    [socket] = store.of_organization("1")
    assert (socket.since, socket.tries) == (3, 1)
    live.now = lambda: at + timedelta(minutes=5)
    live.tell("+998901112204")
    live.work()
    live.deliver()
    assert store.of_organization("1")[0].since is None
    assert live.wire.numbers("slow") == [1, 2, 3, 4]
