"""What a call's way through the functions leaves in their logs: one id in every line, and the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import Accepted, Declined, NotPlaced
from chalicelib.agents.health import Verdict
from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.log import METRICS, correlated
from chalicelib.realtime import broadcaster
from chalicelib.realtime.messages import Live as Message
from chalicelib.realtime.messages import Tell
from chalicelib.settings import settings
from tests.logged import Logged, everything
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders, webhook
from tests.service.cloud import Cloud, sqs_event
from tests.service.live import Live


@pytest.fixture
def logged(cloud: Cloud) -> Iterator[Logged]:
    with everything() as written:
        yield written


def dial(order: str, agent: ScriptedAgent) -> None:
    """Deliver a dial order as its queue does."""
    agent.dial(sqs.correlating([order]))


def announced(cloud: Cloud, live: Live) -> list[Tell]:
    """What the publisher has the sockets told."""
    for batch in live.changes():
        app.publish({"Records": batch}, None)
    told = [sqs.decode(body, Message) for body in cloud.take(settings().live_events_queue)]
    return [each for each in told if isinstance(each, Tell)]


def metrics(logged: Logged) -> dict[str, list[float]]:
    """Every value of every metric, by name."""
    found: dict[str, list[float]] = {}
    for line in logged.lines:
        for told in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            for each in told["Metrics"]:
                assert each["Unit"] == METRICS[each["Name"]]
                found.setdefault(each["Name"], []).append(line[each["Name"]])
    return found


def test_call_is_followed_from_the_request_to_the_event_by_one_id(cloud: Cloud, live: Live, logged: Logged) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign([contact_id])["id"]
    assert live.open("socket") == 200
    live.settle()
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    (paced,) = logged.saying("campaign paced")
    [attempt_id] = paced["claimed"]
    agent = ScriptedAgent(Accepted())
    [order] = orders(cloud)
    dial(order, agent)
    (asked,) = logged.saying("agent asked")
    assert asked["correlationId"] == agent.orders[0].call_id == attempt_id
    reply = webhook(cloud, msgspec.json.encode({"callId": attempt_id, "status": "SUCCESS"}))
    assert reply.status == 202
    (reported,) = logged.saying("call reported")
    assert reported["correlationId"] == attempt_id
    cloud.pace_all()
    (ended,) = logged.saying("calls ended")
    assert (ended["correlationId"], ended["attemptIds"]) == (attempt_id, [attempt_id])
    told = [of for tell in announced(cloud, live) for event in tell.events if (of := event.correlation_id)]
    assert told == [attempt_id, attempt_id], "that it began, and how it ended"


def test_request_is_followed_into_what_it_asks_for(cloud: Cloud, logged: Logged) -> None:
    campaign_id = cloud.a_campaign(cloud.contacts(1))["id"]
    with correlated("whatever the process did before"):
        cloud.post(f"/campaigns/{campaign_id}/start")
    [wake] = cloud.take(settings().campaign_events_queue)
    part_of = msgspec.json.decode(wake)["correlationId"]
    assert part_of not in ("", "whatever the process did before")
    assert cloud.pace(wake) == []
    assert logged.saying("campaign paced")[0]["correlationId"] == part_of


def test_message_of_an_earlier_version_is_something_new(cloud: Cloud, logged: Logged) -> None:
    assert list(sqs.correlating(['{"type": "wake"}', "no JSON"])) == ['{"type": "wake"}', "no JSON"]


def place(cloud: Cloud, agent: ScriptedAgent) -> None:
    """A campaign of one call, and an agent that is asked once."""
    cloud.a_running_campaign(cloud.contacts(1))
    agent.dial(orders(cloud))


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (Accepted(), {"CallsStarted": 1, "AgentErrors": 0, "AgentFull": 0}),
        (Result(call_status=CallStatus.SUCCESS), {"CallsStarted": 1, "AgentErrors": 0, "AgentFull": 0}),
        (
            Declined(Result(call_status=CallStatus.FAILED), "no such number"),
            {"CallsStarted": 0, "AgentErrors": 0, "AgentFull": 0},
        ),
        (NotPlaced("429", Verdict.FULL), {"CallsStarted": 0, "AgentErrors": 0, "AgentFull": 1}),
        (NotPlaced("refused", Verdict.AWAY), {"CallsStarted": 0, "AgentErrors": 1, "AgentFull": 0}),
        (ValueError("no sense"), {"CallsStarted": 0, "AgentErrors": 1, "AgentFull": 0}),
    ],
)
def test_agents_answer_is_counted_as_what_it_is(
    cloud: Cloud, logged: Logged, answer: Any, counted: dict[str, int]
) -> None:
    place(cloud, ScriptedAgent(answer))
    (asked,) = logged.saying("agent asked")
    assert {name: asked[name] for name in counted} == counted
    assert asked["AgentLatency"] >= 0
    assert asked["provider"] == "simulated"


def test_calls_are_counted_by_how_they_end(cloud: Cloud, logged: Logged) -> None:
    cloud.a_running_campaign(cloud.contacts(1) + cloud.contacts(1, last_digit=7), maxConcurrentCalls=4)
    agent = ScriptedAgent(Result(call_status=CallStatus.REFUSED), Result(call_status=CallStatus.BUSY))
    agent.dial(orders(cloud))
    cloud.pace_all()
    counted = {line["outcome"]: (line["CallsEnded"], line["CallsAnswered"]) for line in logged.saying("calls ended")}
    assert counted == {"REFUSED": (1, 1), "BUSY": (1, 0)}
    assert metrics(logged)["CapOccupancy"][0] == 50


def test_agent_that_is_down_is_told_as_long_as_it_is(cloud: Cloud, logged: Logged) -> None:
    cloud.a_running_campaign(cloud.contacts(2), maxConcurrentCalls=1)
    ScriptedAgent(NotPlaced("401", Verdict.REFUSED)).dial(orders(cloud))
    cloud.pace_all()
    assert metrics(logged)["AgentDown"] == [0, 1]


def test_rows_of_an_import_are_counted_when_it_ends(cloud: Cloud, logged: Logged) -> None:
    import_ = cloud.upload(b"First name,Phone\nAli,+998901234567\nVali,none\n")
    cloud.arrive(f"uploads/1/{import_['id']}")
    (ended,) = logged.saying("import ended")
    assert (ended["ImportRows"], ended["ImportRowsFailed"], ended["importId"]) == (2, 1, import_["id"])


def test_broadcaster_tells_how_late_events_are(cloud: Cloud, live: Live, logged: Logged) -> None:
    assert live.open("socket") == 200
    live.settle()
    cloud.a_contact()
    [tell] = announced(cloud, live)
    later = clock.moment(tell.at) + timedelta(milliseconds=1_500)
    assert broadcaster.handle(sqs_event([sqs.encode(tell)])["Records"], now=lambda: later) == []
    (line,) = logged.saying("events told")
    assert (line["ResultToBrowserLag"], line["correlationId"]) == (1_500, tell.correlation_id)
