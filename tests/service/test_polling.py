"""Socket.IO by polling: how a client opens, joins, is told events, moves to a WebSocket, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.aws import dynamodb, sqs
from chalicelib.realtime import broadcaster, polling, sessions, socketio, sockets, store
from chalicelib.settings import settings
from tests.service.calling import before_the_next
from tests.service.cloud import Cloud, token
from tests.service.feed import LATE, Live, contact_record, impatient, socket_event
from tests.service.meter import billed

A, B, C, D = (f"+99890111220{n}" for n in range(1, 5))
CONNECT = f"40{socketio.NAMESPACE},"


class Polling(Live):
    """A deployment whose clients poll. Time stands still but for the pauses of polls that are held."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.at = clock.now()
        self.now = lambda: self.at
        self.meanwhile: list[Callable[[], object]] = []
        """What happens during a poll's next pauses, one at each."""

        self.paused = 0.0
        self.requests = 0

    def pause(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.paused += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def received(self) -> int:
        """When API Gateway received the next request, in milliseconds: no two of them at once."""
        self.requests += 1
        return int(self.at.timestamp() * 1000) + self.requests

    def ask(self, method: str, body: str | None = None, **query: str) -> tuple[int, str]:
        asked = {"EIO": "4", "transport": "polling", **query}
        event = {
            "httpMethod": method,
            "queryStringParameters": {name: value for name, value in asked.items() if value} or None,
            "headers": {"Origin": "https://app.example"},
            "body": body,
            "isBase64Encoded": False,
            "requestContext": {"requestTimeEpoch": self.received()},
        }
        answer = polling.handle(event, now=self.now, pause=self.pause)
        return answer["statusCode"], answer["body"]

    def begin(self, **query: str) -> str:
        status, packet = self.ask("GET", **query)
        assert (status, packet[0]) == (200, "0")
        opened = json.loads(packet[1:])
        assert opened["upgrades"] == ["websocket"]
        sid: str = opened["sid"]
        return sid

    def push(self, sid: str, *packets: str) -> tuple[int, str]:
        return self.ask("POST", socketio.SEPARATOR.join(packets), sid=sid)

    def poll(self, sid: str) -> list[str]:
        status, body = self.ask("GET", sid=sid)
        assert status == 200, body
        return body.split(socketio.SEPARATOR)

    def join(self, sid: str, organization: str = "1", **auth: Any) -> dict[str, Any]:
        """A session joins; what CONNECT was answered."""
        bearer = token(organization, exp=auth.pop("exp", LATE))
        assert self.push(sid, CONNECT + json.dumps({"token": bearer, **auth})) == (200, "ok")
        [answer] = self.poll(sid)
        assert answer.startswith(CONNECT)
        told: dict[str, Any] = json.loads(answer.removeprefix(CONNECT))
        return told

    def joined(self, organization: str = "1", **query: str) -> str:
        sid = self.begin(**query)
        self.join(sid, organization)
        return sid

    def probe(self, sid: str, connection_id: str) -> None:
        query = {"EIO": "4", "transport": "websocket", "sid": sid}
        assert sockets.connect(socket_event(connection_id, query=query), now=self.now) == {"statusCode": 200}
        self.say(connection_id, "2probe")
        assert self.wire.posted.pop(connection_id) == ["3probe"]


class Died(BaseException):
    """The process is gone."""


@contextmanager
def dying(call: int) -> Iterator[list[str]]:
    """The process dies in place of its n-th call of AWS; which one that was, if it made so many."""
    left, died = [call], list[str]()

    def die(model: Any, **_: Any) -> None:
        if not left[0]:
            died.append(model.name)
            raise Died
        left[0] -= 1

    clients = (dynamodb.connection().client, sqs.client())
    for each in clients:
        each.meta.events.register("before-call", die, unique_id="dying")
    try:
        yield died
    finally:
        for each in clients:
            each.meta.events.unregister("before-call", unique_id="dying")


@pytest.fixture
def live(cloud: Cloud) -> Iterator[Polling]:
    with impatient():
        yield Polling(cloud)


def phones(packets: list[str]) -> list[str]:
    """Whose contacts events are about, in order."""
    return [json.loads(each.partition(",")[2])[1]["phone"] for each in packets if each.startswith("42")]


def offsets(packets: list[str]) -> list[Any]:
    return [json.loads(each.partition(",")[2])[2:] for each in packets if each.startswith("42")]


def test_poll_is_told_what_happens_while_it_is_held(live: Polling) -> None:
    sid = live.joined()
    live.meanwhile = [lambda: None, lambda: live.tell(A, B)]
    assert phones(live.poll(sid)) == [A, B]
    live.tell(C)
    assert phones(live.poll(sid)) == [C]
    assert live.poll(sid) == [socketio.NOOP]


def test_poll_whose_session_changed_before_it_could_answer_tells_its_events_all_the_same(live: Polling) -> None:
    sid = live.joined()
    live.tell(A)
    with before_the_next("UpdateItem", lambda: live.push(sid, "2more")):
        packets = live.poll(sid)
    assert (phones(packets), packets[0]) == ([A], "3more")


def test_client_that_stays_polls_less_often_and_is_pinged(live: Polling) -> None:
    sid = live.joined()
    live.paused = 0
    assert live.poll(sid) == [socketio.NOOP]
    assert 0 <= live.paused - polling.SHORTEST.total_seconds() < 1
    live.at += timedelta(minutes=1)
    live.paused = 0
    assert live.poll(sid) == [socketio.NOOP]
    assert 0 <= live.paused - polling.LONGEST.total_seconds() < 1
    live.at += timedelta(seconds=socketio.PING_SECONDS)
    assert live.poll(sid) == [socketio.PING]
    assert live.push(sid, socketio.PONG) == (200, "ok")
    live.at += timedelta(seconds=socketio.PONG_SECONDS)
    assert live.poll(sid) == [socketio.NOOP]


def test_client_that_answers_no_ping_is_given_up(live: Polling) -> None:
    sid = live.joined()
    live.at += timedelta(seconds=socketio.PING_SECONDS)
    assert live.poll(sid) == [socketio.PING]
    live.at += timedelta(seconds=socketio.PONG_SECONDS + 1)
    assert live.ask("GET", sid=sid) == (400, '{"code":1,"message":"Session ID unknown"}')


def test_polls_beyond_those_that_may_be_held_are_answered_after_a_second(
    live: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "settings", lambda: replace(settings(), held_polls=1))
    first, second = live.joined(), live.joined()
    live.paused = 0
    waited: list[float] = []

    def also() -> None:
        began = live.paused
        assert live.poll(second) == [socketio.NOOP]
        waited.append(live.paused - began)

    live.meanwhile = [*[lambda: None] * 6, also]
    assert live.poll(first) == [socketio.NOOP]
    [second_waited] = waited
    assert 0 <= second_waited - polling.FREE.total_seconds() < 1


def test_upgrade_loses_and_repeats_nothing(live: Polling) -> None:
    sid = live.joined()
    live.tell(A)
    live.meanwhile = [lambda: live.probe(sid, "ws")]
    assert phones(live.poll(sid)) == [A]
    assert live.poll(sid) == [socketio.NOOP]
    live.tell(B)
    live.say("ws", "5")
    live.tell(C)
    live.deliver()
    assert phones(live.wire.posted["ws"]) == [B, C]
    assert live.ask("GET", sid=sid)[0] == 400
    assert live.ask("POST", "3", sid=sid)[0] == 400
    live.work()
    assert live.wire.closed == []


def test_poll_that_goes_on_after_the_upgrade_is_refused(live: Polling) -> None:
    sid = live.joined()

    def upgrade() -> None:
        live.probe(sid, "ws")
        live.say("ws", "5")

    live.meanwhile = [upgrade]
    assert live.ask("GET", sid=sid)[0] == 400
    live.tell(A)
    live.deliver()
    assert phones(live.wire.posted["ws"]) == [A]


def test_poll_under_way_is_answered_as_soon_as_there_is_a_socket(live: Polling) -> None:
    sid = live.joined()
    live.paused = 0
    live.meanwhile = [lambda: live.probe(sid, "ws")]
    assert live.poll(sid) == [socketio.NOOP]
    assert live.paused < 1


def test_answer_that_no_poll_has_taken_comes_over_the_socket_before_events(live: Polling) -> None:
    sid = live.begin()
    live.push(sid, CONNECT + json.dumps({"token": token(exp=LATE)}))
    live.tell(A)
    live.probe(sid, "ws")
    live.say("ws", "5")
    live.deliver()
    answer, *events = live.wire.posted["ws"]
    assert answer.startswith(CONNECT)
    assert phones(events) == [A]


@pytest.mark.parametrize("told_first", ["5", "40"])
def test_client_joins_over_the_socket_in_whatever_order_its_packets_come(live: Polling, told_first: str) -> None:
    sid = live.begin()
    live.probe(sid, "ws")
    packets = ["5", CONNECT + json.dumps({"token": token(exp=LATE)})]
    for packet in packets if told_first == "5" else reversed(packets):
        live.say("ws", packet)
    live.deliver()
    live.tell(A)
    answer, *events = live.wire.posted["ws"]
    assert answer.startswith(CONNECT)
    assert phones(events) == [A]
    live.work()
    assert live.wire.closed == []


def test_probe_that_never_upgrades_is_closed_and_the_session_polls_on(live: Polling) -> None:
    sid = live.joined()
    live.probe(sid, "ws")
    live.changed()
    live.work()
    assert live.wire.closed == ["ws"]
    live.at += polling.PROBED
    live.meanwhile = [lambda: live.tell(A)]
    assert phones(live.poll(sid)) == [A]


def test_probe_of_an_unknown_session_is_refused(live: Polling) -> None:
    query = {"EIO": "4", "transport": "websocket", "sid": "none"}
    assert sockets.connect(socket_event("ws", query=query)) == {"statusCode": 400}


@pytest.mark.parametrize("packet", ["5", CONNECT + "{}"])
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("call", range(6))
def test_process_that_dies_in_the_upgrade_leaves_a_closed_connection_or_one_that_is_told_everything(
    live: Polling, call: int, packet: str, *, joined: bool
) -> None:
    sid = live.joined() if joined else live.begin()
    live.tell(A)
    live.probe(sid, "ws")
    with dying(call) as died, suppress(Died):
        live.say("ws", packet)
    live.tell(B)
    told = phones(live.wire.posted["ws"])
    live.work()  # half a minute later
    live.at += broadcaster.OVERDUE + timedelta(seconds=1)
    live.tell(C)
    live.deliver()
    if "ws" in live.wire.closed:
        assert died or not joined
        assert told == []
    elif joined:
        assert phones(live.wire.posted["ws"]) == [A, B, C]
    live.at += store.LONGEST_CONNECTION
    assert live.ask("GET", sid=sid)[0] == 400


def test_upgrade_that_died_half_way_is_done_by_the_next_packet(live: Polling) -> None:
    sid = live.joined()
    live.tell(A)
    live.probe(sid, "ws")
    session, probe = sessions.find(sid), sessions.probe("ws")
    assert session is not None
    assert probe is not None
    assert sessions.hand_over(session, probe)
    assert live.ask("GET", sid=sid)[0] == 400
    for _ in range(2):
        live.say("ws", "5")
    live.tell(B)
    assert phones(live.wire.posted["ws"]) == [A, B]


def test_only_one_of_two_sockets_takes_a_session_over(live: Polling) -> None:
    sid = live.joined()
    live.probe(sid, "first")
    live.probe(sid, "second")
    live.say("second", "5")
    live.say("first", "5")
    live.tell(A)
    live.deliver()
    assert live.wire.closed == ["first"]
    assert (phones(live.wire.posted["first"]), phones(live.wire.posted["second"])) == ([], [A])
    query = {"EIO": "4", "transport": "websocket", "sid": sid}
    assert sockets.connect(socket_event("third", query=query), now=live.now) == {"statusCode": 400}


def test_session_that_ended_before_the_upgrade_closes_the_socket(live: Polling) -> None:
    sid = live.joined()
    live.probe(sid, "ws")
    live.push(sid, "1")
    live.say("ws", "5")
    assert live.wire.closed == ["ws"]


def test_socket_after_polling_ends_with_its_token(live: Polling) -> None:
    expires = int(live.at.timestamp()) + 90
    sid = live.begin()
    live.join(sid, exp=expires)
    live.probe(sid, "ws")
    live.say("ws", "5")
    [row] = store.of_organization("1")
    assert row.valid_until == clock.stamp(datetime.fromtimestamp(expires, live.at.tzinfo))


def test_session_ends_with_its_token(live: Polling) -> None:
    sid = live.begin()
    live.join(sid, exp=int(live.at.timestamp()) + 3)
    assert live.poll(sid) == [socketio.CLOSE]
    assert live.ask("GET", sid=sid)[0] == 400


def test_session_that_does_not_join_ends(live: Polling) -> None:
    sid = live.begin()
    live.paused = 0
    assert live.poll(sid) == [socketio.NOOP]
    assert live.paused < polling.SHORTEST.total_seconds() + 1
    live.at += polling.JOIN
    assert live.ask("GET", sid=sid)[0] == 400


@pytest.mark.parametrize("came_first", [True, False])
def test_poll_beside_another_ends_the_session_and_the_one_that_came_first_is_told(
    live: Polling, *, came_first: bool
) -> None:
    sid = live.joined()
    others: list[tuple[int, str]] = []

    def other() -> None:
        live.meanwhile = []
        live.requests -= 0 if came_first else 5_000
        others.append(live.ask("GET", sid=sid))

    live.meanwhile = [*[lambda: None] * 4, other]
    mine = live.ask("GET", sid=sid)
    [other_one] = others
    first, second = (mine, other_one) if came_first else (other_one, mine)
    assert first == (200, socketio.CLOSE)
    assert second[0] == 400
    assert live.ask("GET", sid=sid)[0] == 400


def test_poll_whose_function_died_does_not_block_the_session(live: Polling) -> None:
    sid = live.joined()
    live.tell(A)
    session = sessions.find(sid)
    assert session is not None
    assert sessions.hold(session, "dead", live.at, live.at + polling.SHORTEST)
    live.at += polling.SHORTEST + timedelta(seconds=1)
    assert phones(live.poll(sid)) == [A]


@pytest.mark.parametrize("pauses", [0, 5])
def test_closed_session_lets_its_poll_go(live: Polling, pauses: int) -> None:
    sid = live.joined()
    live.meanwhile = [*[lambda: None] * pauses, lambda: live.push(sid, "1")]
    assert live.poll(sid) == [socketio.NOOP]
    assert live.ask("GET", sid=sid)[0] == 400


def test_poll_that_is_overtaken_by_the_close_is_let_go(live: Polling) -> None:
    sid = live.joined()
    live.push(sid, "1")
    assert live.poll(sid) == [socketio.NOOP]
    assert live.ask("GET", sid=sid)[0] == 400
    assert live.ask("POST", "3", sid=sid)[0] == 400


def test_poll_under_way_is_told_that_another_packet_was_none(live: Polling) -> None:
    sid = live.joined()
    live.meanwhile = [lambda: live.push(sid, "abc")]
    assert live.poll(sid) == [socketio.CLOSE]


def test_client_that_asks_and_never_polls_is_closed(live: Polling) -> None:
    sid = live.begin()
    for _ in range(20):
        live.push(sid, f"40/{'x' * 1_000},")
    assert live.poll(sid) == [socketio.CLOSE]
    assert live.ask("GET", sid=sid)[0] == 400


def test_second_connect_changes_nothing(live: Polling) -> None:
    sid = live.begin()
    session = sessions.find(sid)
    assert session is not None
    live.open("other")
    join = CONNECT + json.dumps({"token": token(exp=LATE)})
    live.push(sid, join)
    assert len(live.poll(sid)) == 1
    live.tell(A)
    sessions.join(session, "1", 0, None, "twice")  # it was under way when the first was done
    live.push(sid, join)
    assert phones(live.poll(sid)) == [A]
    assert live.poll(sid) == [socketio.NOOP]


def test_second_connect_over_the_socket_changes_nothing(live: Polling) -> None:
    query = {"EIO": "4", "transport": "websocket"}
    assert sockets.connect(socket_event("ws", query=query), now=live.now)["statusCode"] == 200
    opening = store.opening("ws")
    assert opening is not None
    join = CONNECT + json.dumps({"token": token(exp=LATE), "since": 0})
    live.say("ws", join)
    live.tell(A)
    store.add_opening(opening)  # as if both were under way at once
    live.say("ws", join)
    live.deliver()
    [answer, *events] = live.wire.posted["ws"]
    assert answer.startswith(CONNECT)
    assert phones(events) == [A]


@pytest.mark.parametrize("namespace", ["", "/other,"])
def test_leaving_a_namespace_that_it_is_not_in_ends_nothing(live: Polling, namespace: str) -> None:
    sid = live.joined()
    live.push(sid, f"41{namespace}")
    live.tell(A)
    assert phones(live.poll(sid)) == [A]
    live.probe(sid, "ws")
    live.say("ws", "5")
    live.say("ws", f"41{namespace}")
    assert live.wire.closed == []
    live.say("ws", f"41{socketio.NAMESPACE},")
    assert live.wire.closed == ["ws"]


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("GET", {"EIO": "3"}, 5),
        ("GET", {"EIO": ""}, 5),
        ("GET", {"transport": "carrier-pigeon"}, 0),
        ("GET", {"transport": ""}, 0),
        ("GET", {"sid": "unknown"}, 1),
        ("POST", {"sid": "unknown"}, 1),
        ("POST", {}, 2),
        ("PUT", {}, 2),
        ("GET", {"campaignId": "none"}, 3),
        ("GET", {"organizationId": "1" * 129}, 3),
        ("GET", {"organizationId": "\ud800"}, 3),
    ],
)
def test_request_that_is_none_of_the_protocol_is_refused(
    live: Polling, method: str, query: dict[str, str], code: int
) -> None:
    status, body = live.ask(method, **query)
    assert (status, json.loads(body)["code"]) == (400, code)


@pytest.mark.parametrize(
    "body", ["abc", "9", "40/auto-calling,{", "bAQIDBA==", "", "4" * 200_000, "3\x1e", "\x1e".join("3" * 17)]
)
def test_packet_that_is_none_ends_the_session(live: Polling, body: str) -> None:
    sid = live.joined()
    assert live.ask("POST", body, sid=sid) == (400, '{"code":3,"message":"Bad request"}')
    assert live.ask("GET", sid=sid)[0] == 400


@pytest.mark.parametrize("namespace", ["/other", "/"])
def test_namespace_that_is_none_is_refused(live: Polling, namespace: str) -> None:
    sid = live.begin()
    where = "" if namespace == "/" else f"{namespace},"
    live.push(sid, f"40{where}", "2more")
    assert live.poll(sid) == [f'44{where}{{"message":"Invalid namespace"}}', "3more"]


def test_client_without_a_good_token_is_told_why(live: Polling) -> None:
    sid = live.begin(organizationId="2")
    live.push(sid, CONNECT + json.dumps({"token": token("1")}))
    assert live.poll(sid) == ['44/auto-calling,{"message":"The token is of another organization."}']
    live.push(sid, CONNECT)
    [refusal] = live.poll(sid)
    assert refusal.startswith("44/auto-calling,")


def test_session_of_one_campaign_hears_of_no_other(live: Polling) -> None:
    sid = live.joined(campaignId="6f9619ff-8b86-4011-b42d-00cf4fc964ff")
    live.tell(A)
    assert live.poll(sid) == [socketio.NOOP]


def test_opening_by_polling_costs_little(live: Polling) -> None:
    join = CONNECT + json.dumps({"token": token(exp=LATE)})
    with billed() as bill:
        sid = live.begin()  # one request
        live.meanwhile = [lambda: live.push(sid, join)]  # two
        assert live.poll(sid)[0].startswith(CONNECT)  # three
        live.meanwhile = [lambda: live.probe(sid, "ws")]
        assert live.poll(sid) == [socketio.NOOP]  # four
        before = bill.units
        live.say("ws", "5")
        assert (before, bill.units) == (6, 11)
    assert live.requests == 4


def test_opening_costs_two_units_more_when_its_socket_takes_longer(live: Polling) -> None:
    with billed() as bill:
        sid = live.joined()
        live.meanwhile = [*[lambda: None] * 5, lambda: live.probe(sid, "ws")]
        assert live.poll(sid) == [socketio.NOOP]
        live.say("ws", "5")
    assert bill.units == 13


def test_quiet_client_that_polls_for_good_costs_two_units_a_poll(live: Polling) -> None:
    with billed() as bill:
        sid = live.joined()
        for _ in range(3):
            before = bill.units
            assert live.poll(sid) == [socketio.NOOP]
            assert bill.units - before == 2


# ---- strangers ----

GUESSES = ["", "#", "feed", "~", "x" * 20, "x" * 1_025, "é" * 20, "\0" * 20, "2", "../1", "a" * 19 + "\n"]


@pytest.mark.parametrize("guess", GUESSES)
def test_id_that_is_no_sessions_opens_nothing(live: Polling, guess: str) -> None:
    event = {"headers": {}, "requestContext": {"requestTimeEpoch": 1}, "isBase64Encoded": False}
    for method, body in (("GET", None), ("POST", "1")):
        query = {"EIO": "4", "transport": "polling", "sid": guess}
        answer = polling.handle(event | {"httpMethod": method, "queryStringParameters": query, "body": body})
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, 1)
    opening = socket_event("ws", query={"EIO": "4", "transport": "websocket", "sid": guess})
    assert sockets.connect(opening) == {"statusCode": 400}


def test_what_others_may_see_of_a_client_is_no_key_to_its_session(live: Polling) -> None:
    sid = live.begin()
    answer = live.join(sid)
    seen = [answer["sid"], answer["pid"], answer["pid"].partition(".")[0]]
    live.probe(sid, "ws")
    for name in [*seen, "ws", sid[:-1], sid + "A", sid.swapcase()]:
        assert live.ask("GET", sid=name)[0] == live.ask("POST", "1", sid=name)[0] == 400
        query = {"EIO": "4", "transport": "websocket", "sid": name}
        assert sockets.connect(socket_event("other", query=query)) == {"statusCode": 400}
    live.say("ws", "5")
    live.tell(A)
    assert phones(live.wire.posted["ws"]) == [A]


@pytest.mark.parametrize("joined", [True, False])
def test_token_of_another_organization_moves_no_session_to_it(live: Polling, *, joined: bool) -> None:
    sid = live.begin(organizationId="1")
    if joined:
        live.join(sid)
    foreign = CONNECT + json.dumps({"token": token("2", exp=LATE)})
    live.push(sid, foreign)
    if not joined:
        assert live.poll(sid)[0].startswith("44")
        live.join(sid)
    live.probe(sid, "ws")
    live.say("ws", foreign)
    live.say("ws", "5")
    live.say("ws", foreign)
    live.open("other", "2")
    live.tell(A, organization="2")
    live.tell(B)
    assert phones(live.wire.posted["ws"]) == [B]


def test_socket_that_asked_for_one_session_takes_no_other_over(live: Polling) -> None:
    mine, others = live.joined(), live.joined("2")
    live.probe(mine, "ws")
    query = {"EIO": "4", "transport": "polling", "sid": others}
    live.say("ws", f"5{others}")
    live.tell(B, organization="2")
    assert phones(live.wire.posted["ws"]) == []
    assert live.ask("GET", **query)[0] == 200


def test_sessions_and_feeds_are_read_as_they_are_right_now(live: Polling) -> None:
    stale: list[str] = []

    def look(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked = json.loads(params["body"])
        if model.name in ("GetItem", "Query") and not asked.get("ConsistentRead"):
            stale.append(f"{model.name} {asked['TableName']} {asked.get('IndexName')}")

    events = dynamodb.connection().client.meta.events
    events.register("before-call", look, unique_id="stale")
    try:
        sid = live.joined()
        live.tell(A)
        live.poll(sid)
        live.probe(sid, "ws")
        live.say("ws", "5")
        live.tell(B)
    finally:
        events.unregister("before-call", unique_id="stale")
    assert stale == []


# ---- many at once ----


class Client:
    """A client as `socket.io-client` is one: it polls, or asks for a WebSocket once it is open, and moves there."""

    def __init__(self, live: Polling, number: int) -> None:
        self.live = live
        self.name = f"ws-{number}"
        self.sid = live.begin()
        self.upgrades = number % 3 > 0
        self.joins_late = number % 4 == 0
        self.stage = "open"
        self.polled: list[str] = []
        self.expected: int | None = None
        self.busy = False

    def go_on(self) -> None:
        """The next thing it does."""
        self.busy = True
        try:
            getattr(self, f"_{self.stage}")()
        finally:
            self.busy = False

    def _open(self) -> None:
        if not self.joins_late:
            self._join()
        self.stage = "probe" if self.upgrades else "poll"

    def _join(self) -> None:
        self.expected = store.feed("1").seq + 1
        packet = CONNECT + json.dumps({"token": token(exp=LATE)})
        if self.stage == "told":
            self.live.say(self.name, packet)
        else:
            assert self.live.push(self.sid, packet) == (200, "ok")

    def _poll(self) -> None:
        if self.expected is None:
            self._join()
        self.polled += (packets := self.live.poll(self.sid))
        if socketio.PING in packets:
            self.live.push(self.sid, socketio.PONG)

    def _probe(self) -> None:
        self.live.probe(self.sid, self.name)
        self.stage = "move"

    def _move(self) -> None:
        """It says that it moves when the poll that was under way has been answered."""
        self.polled += self.live.poll(self.sid)
        self.live.say(self.name, "5")
        self.stage = "told"

    def _told(self) -> None:
        if self.expected is None:
            self._join()

    @property
    def numbers(self) -> list[int]:
        return [each[0] for each in offsets(self.polled + self.live.wire.posted[self.name])]


def test_twenty_clients_that_come_while_things_happen_are_told_everything_once(
    live: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LONGEST", timedelta(seconds=2))  # what twenty do at once is done here by turns
    monkeypatch.setattr(polling, "SHORTEST", timedelta(seconds=2))
    monkeypatch.setattr(polling, "JOIN", timedelta(minutes=10))
    chance = random.Random(SEED)
    clients: list[Client] = []
    left = [f"+9989011{n:05}" for n in range(62)]
    live.open("first")
    nested = 0

    def happen() -> None:
        nonlocal nested
        if nested > 2:
            return
        nested += 1
        idle = [each for each in clients if not each.busy]
        match chance.choice(["write", "deliver", "come", "go on", "go on", "go on"]):
            case "write" if left:
                new, left[:] = left[: (n := chance.randint(1, 4))], left[n:]
                live.changed(*(contact_record(phone, at=live.now()) for phone in new))
            case "deliver":
                live.deliver()
            case "come" if len(clients) < 20:
                clients.append(Client(live, len(clients)))
            case "go on" if idle:
                chance.choice(idle).go_on()
        nested -= 1

    live.meanwhile = Endless(happen)
    while left or len(clients) < 20 or any(each.stage in ("open", "probe", "move") for each in clients):
        happen()
    live.meanwhile = []
    live.deliver()
    for each in clients:
        each.go_on()
        live.deliver()
    last = store.feed("1").seq
    assert last == 62
    wrong = {each.name: each.numbers for each in clients if each.numbers != list(range(each.expected or 0, last + 1))}
    assert wrong == {}
    assert [each.stage for each in clients] == ["told" if each.upgrades else "poll" for each in clients]


SEED = 1
"""Of who does what when; any will do."""


class Endless(list[Callable[[], object]]):
    """The same happens at every pause."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__([what])

    def pop(self, _: Any = -1) -> Callable[[], object]:
        return self[0]


# ---- recovery ----


def test_client_that_comes_back_is_told_what_it_missed(live: Polling) -> None:
    sid = live.begin()
    known = live.join(sid)
    live.tell(A)
    [offset] = offsets(live.poll(sid))
    assert offset == [1, "1"]
    live.tell(B, C)
    again = live.begin()
    assert live.push(again, CONNECT + json.dumps({"token": token(exp=LATE), "pid": known["pid"], "offset": "1"}))
    answer, *missed = live.poll(again)
    assert json.loads(answer.removeprefix(CONNECT))["pid"] == known["pid"]
    assert phones(missed) == [B, C]


def test_client_that_heard_nothing_recovers_from_where_it_began(live: Polling) -> None:
    live.open("first")
    live.tell(A)
    known = live.join(live.begin())
    live.tell(B)
    again = live.begin()
    live.push(again, CONNECT + json.dumps({"token": token(exp=LATE), "pid": known["pid"]}))
    answer, *missed = live.poll(again)
    assert json.loads(answer.removeprefix(CONNECT))["pid"] == known["pid"]
    assert phones(missed) == [B]


@pytest.mark.parametrize("change", ["organization", "campaign", "offset", "pid", "left out"])
def test_client_that_missed_something_has_not_recovered(live: Polling, change: str) -> None:
    live.open("other", "2")
    known = live.join(live.begin())
    live.tell(A)
    auth: dict[str, Any] = {
        "pid": 7 if change == "pid" else known["pid"],
        "offset": "7" if change == "offset" else "1",
    }
    if change == "left out":
        live.at += store.FOLLOWED + timedelta(hours=1)
    query = {"campaignId": "6f9619ff-8b86-4011-b42d-00cf4fc964ff"} if change == "campaign" else {}
    again = live.begin(**query)
    bearer = token("2" if change == "organization" else "1", exp=LATE)
    live.push(again, CONNECT + json.dumps({"token": bearer, **auth}))
    answer = live.poll(again)[0]
    assert json.loads(answer.removeprefix(CONNECT))["pid"] != known["pid"]


def test_recovery_works_over_the_socket_alone(live: Polling) -> None:
    query = {"EIO": "4", "transport": "websocket"}
    sockets.connect(socket_event("one", query=query), now=live.now)
    live.say("one", CONNECT + json.dumps({"token": token(exp=LATE)}))
    live.deliver()
    live.tell(A)
    answer, first = live.wire.posted["one"]
    pid = json.loads(answer.removeprefix(CONNECT))["pid"]
    sockets.disconnect(socket_event("one"))
    live.tell(B)
    sockets.connect(socket_event("two", query=query), now=live.now)
    [[_, offset]] = offsets([first])
    live.say("two", CONNECT + json.dumps({"token": token(exp=LATE), "pid": pid, "offset": offset}))
    live.deliver()
    answer, *missed = live.wire.posted["two"]
    assert json.loads(answer.removeprefix(CONNECT))["pid"] == pid
    assert phones(missed) == [B]


def test_handlers_in_python_get_no_argument_they_did_not_have(live: Polling) -> None:
    sid = live.begin(t="1795414500.123")
    assert "pid" not in live.join(sid)
    live.tell(A)
    assert offsets(live.poll(sid)) == [[1]]
