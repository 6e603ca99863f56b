"""Calls of which nobody told are asked after: a lost webhook costs minutes, not the result, and a kept one nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from chalicelib import clock
from chalicelib.agents.contract import Accepted, Ending, OutcomeUnknown, Whereabouts
from chalicelib.agents.health import Verdict
from chalicelib.calls.model import CallStatus, Result
from chalicelib.dialing.messages import Ask
from chalicelib.dialing.messages import order as dialers_order
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders, pace_at, report
from tests.service.cloud import Cloud, in_an
from tests.service.meter import metered

PROMISE = Result(call_status=CallStatus.PROMISE_TO_PAY, outcome="pays on Friday", duration=42)
NEVER = [Whereabouts.UNDER_WAY, Whereabouts.UNSAID, OutcomeUnknown("the agent answered 500"), RuntimeError("bug")]


class Silent:
    """A call that an agent took, or may have taken, and of which it does not tell."""

    def __init__(self, cloud: Cloud, answer: Accepted | Exception | None = None, **fields: Any) -> None:
        self.cloud = cloud
        self.began = clock.now()
        [self.contact_id] = cloud.contacts(1)
        self.campaign_id = cloud.a_running_campaign([self.contact_id], **{"agent": {"provider": "http"}, **fields})
        self.agent = ScriptedAgent(answer or Accepted())
        self.agent.dial(orders(cloud))
        cloud.pace_all()

    def let_pass(self, *, seconds: float) -> list[Ask]:
        """Let the clock tick so many seconds after the call began; what is asked then, and answered and booked."""
        at = self.began + timedelta(seconds=seconds)
        self.cloud.tick(at)
        questions = orders(self.cloud)
        self.agent.dial(questions, now=lambda: at)
        self.cloud.pace_all()
        return [order for each in questions if isinstance(order := dialers_order(each), Ask)]

    @property
    def status(self) -> str:
        status: str = self.cloud.call(self.campaign_id, self.contact_id)["callStatus"]
        return status


def test_lost_webhook_costs_minutes_and_not_the_result(cloud: Cloud) -> None:
    call = Silent(cloud)
    assert call.let_pass(seconds=800) == []
    call.agent.says = [Ending(PROMISE)]
    [question] = call.let_pass(seconds=870)
    assert (question.provider, question.attempt_id, question.unsure) == ("http", call.agent.orders[0].call_id, False)
    [inquiry] = call.agent.inquiries
    assert (inquiry.call_id, inquiry.conversation_id, inquiry.organization_id) == (question.attempt_id, None, "1")
    assert abs(inquiry.ordered_at - call.began) < timedelta(minutes=1)
    booked = cloud.call(call.campaign_id, call.contact_id)
    assert (booked["callStatus"], booked["conversationOutcome"]) == ("PROMISE_TO_PAY", "pays on Friday")
    assert booked["attempts"][0]["provider"] == "http"
    assert cloud.campaign(call.campaign_id)["status"] == "COMPLETED"


def test_agent_that_may_talk_shortly_is_asked_soon_and_again_and_again(cloud: Cloud) -> None:
    call = Silent(cloud, agent={"provider": "http", "maxDurationSeconds": 60})
    call.agent.says = [Whereabouts.UNDER_WAY]
    asked = [minute for minute in range(1, 15) if call.let_pass(seconds=60 * minute)]
    assert len(asked) == 3
    assert (call.status, asked[0]) == ("CALLING", 5)
    call.let_pass(seconds=960)
    assert call.status == "FAILED"


@pytest.mark.parametrize("said", NEVER)
def test_call_that_nobody_knows_the_end_of_fails_when_its_lease_ends(
    cloud: Cloud, said: Whereabouts | Exception
) -> None:
    call = Silent(cloud)
    call.agent.says = [said]
    assert len(call.let_pass(seconds=870)) == 1
    assert call.status == "CALLING"
    assert call.let_pass(seconds=970) == []
    assert cloud.call(call.campaign_id, call.contact_id)["conversationOutcome"] == "no result from the agent"
    report(cloud, call.agent.orders[0].call_id, success=True)
    assert call.status == "SUCCESS"


def test_what_is_said_of_a_call_that_was_told_of_changes_nothing(cloud: Cloud) -> None:
    call = Silent(cloud)
    cloud.tick(call.began + timedelta(seconds=870))
    [question] = orders(cloud)
    report(cloud, call.agent.orders[0].call_id, success=True, outcome="told")
    call.agent.says = [Ending(PROMISE)]
    for _ in range(2):
        call.agent.dial([question])
        cloud.pace_all()
    booked = cloud.call(call.campaign_id, call.contact_id)
    assert (booked["callStatus"], booked["conversationOutcome"], len(booked["attempts"])) == ("SUCCESS", "told", 1)
    assert cloud.campaign(call.campaign_id)["successfulCalls"] == 1


def test_question_that_was_lost_is_asked_again(cloud: Cloud) -> None:
    call = Silent(cloud, agent={"provider": "http", "maxDurationSeconds": 60})
    cloud.tick(call.began + timedelta(seconds=330))
    assert len(orders(cloud)) == 1
    call.agent.says = [Ending(PROMISE)]
    assert len(call.let_pass(seconds=660)) == 1
    assert call.status == "PROMISE_TO_PAY"


@pytest.mark.parametrize("seconds", [60, 600])
def test_order_without_an_answer_is_asked_after_soon(cloud: Cloud, seconds: int) -> None:
    call = Silent(cloud, OutcomeUnknown("the agent answered 503"))
    call.agent.says = [Ending(PROMISE)]
    [question] = call.let_pass(seconds=120)
    assert question.unsure
    assert call.status == "PROMISE_TO_PAY"


def test_call_that_left_no_trace_was_not_placed_and_is_made_again_as_another_attempt(cloud: Cloud) -> None:
    call = Silent(cloud, OutcomeUnknown("the agent answered 503"))
    call.agent.says = [Whereabouts.NO_TRACE]
    assert len(call.let_pass(seconds=120)) == 1
    assert call.status == "CALLING"
    assert len(call.let_pass(seconds=480)) == 1
    shown = cloud.call(call.campaign_id, call.contact_id)
    assert (shown["callStatus"], shown["attempts"]) == ("PENDING", [])
    cloud.tick(in_an(minutes=10))
    call.agent.answers = [PROMISE]
    call.agent.dial(orders(cloud))
    cloud.pace_all()
    first, second = call.agent.orders
    assert first.call_id != second.call_id
    assert call.status == "PROMISE_TO_PAY"


def test_call_that_was_accepted_is_never_given_back_for_want_of_a_trace(cloud: Cloud) -> None:
    call = Silent(cloud, Accepted("conversation"))
    call.agent.says = [Whereabouts.NO_TRACE]
    assert len(call.let_pass(seconds=870)) == 1
    assert call.status == "CALLING"
    call.let_pass(seconds=970)
    assert call.status == "FAILED"


def test_agent_that_finds_calls_by_its_own_id_is_asked_by_it(cloud: Cloud) -> None:
    call = Silent(cloud, Accepted("conversation", asked_by_it=True))
    call.let_pass(seconds=870)
    assert [each.conversation_id for each in call.agent.inquiries] == ["conversation"]


def test_agent_that_dialed_nobody_after_all_costs_no_attempt(cloud: Cloud) -> None:
    call = Silent(cloud)
    full = Result(call_status=CallStatus.FAILED, outcome="concurrency_limit_reached")
    call.agent.says = [Ending(full, never_dialed=Verdict.FULL)]
    call.let_pass(seconds=870)
    shown = cloud.call(call.campaign_id, call.contact_id)
    assert (shown["callStatus"], shown["attempts"]) == ("PENDING", [])


def test_calls_that_are_told_of_are_asked_after_at_no_cost(cloud: Cloud) -> None:
    """What a call asks of AWS is the same whether its agent may be asked or not."""
    spent: dict[str, Any] = {}
    for provider, answer in (("simulated", Accepted()), ("http", Accepted())):
        contact_id = cloud.a_contact(f"+99890123450{len(spent)}")["id"]
        cloud.a_running_campaign([contact_id], agent={"provider": provider})
        agent = ScriptedAgent(answer)
        with metered() as meter:
            agent.dial(orders(cloud))
            cloud.pace_all()
        report(cloud, agent.orders[0].call_id, success=True)
        spent[provider] = (meter.requests, meter.read, meter.written)
        assert agent.inquiries == []
    assert spent["simulated"] == spent["http"]


def test_question_costs_two_reads_and_its_answer_what_a_webhook_does(cloud: Cloud) -> None:
    call = Silent(cloud)
    at = call.began + timedelta(seconds=870)
    with metered() as meter:
        cloud.tick(at)
    assert meter.requests["TransactWriteItems"] == 1
    assert meter.written == 2
    call.agent.says = [Ending(PROMISE)]
    questions = orders(cloud)
    with metered() as meter:
        call.agent.dial(questions, now=lambda: at)
    assert dict(meter.requests) == {"GetItem": 2, "SendMessageBatch": 1}


def test_order_of_an_earlier_version_is_dialed(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id])
    [order] = orders(cloud)
    assert "type" not in msgspec.json.decode(order)
    ScriptedAgent().dial([order])
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"


def test_silent_call_of_a_busy_campaign_is_looked_at_in_time(cloud: Cloud) -> None:
    """Calls that go well claim others all the time: none of that puts off the look at one that does not."""
    call = Silent(cloud, maxConcurrentCalls=3)
    others = {"contactIds": cloud.contacts(40, last_digit=1)}
    assert cloud.post(f"/campaigns/{call.campaign_id}/contacts", others).status == 200
    agent, asked = ScriptedAgent(), 0
    for minute in range(1, 17):
        at = call.began + timedelta(minutes=minute)
        cloud.tick(at)
        bodies = orders(cloud)
        agent.dial(bodies, now=lambda at=at: at)
        asked += sum(isinstance(dialers_order(each), Ask) for each in bodies)
        pace_at(cloud, at)
    assert asked == 1
    assert call.status == "FAILED"
    assert cloud.campaign(call.campaign_id)["status"] == "RUNNING"
