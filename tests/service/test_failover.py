"""A campaign's agents take each other's place, and whatever comes of a call comes to the one that placed it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clock
from chalicelib.agents.contract import Accepted, Agent, NotPlaced, Whereabouts
from chalicelib.agents.health import Verdict
from chalicelib.agents.settings import Own
from chalicelib.aws import sqs
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns.messages import Wake
from chalicelib.dialing import dialer
from chalicelib.dialing.messages import Ask, Dial
from chalicelib.dialing.messages import order as dialers_order
from chalicelib.settings import settings
from tests.service.agents import Answer, ScriptedAgent
from tests.service.calling import orders, pace_at, report, webhook
from tests.service.cloud import Cloud, in_an, sqs_event

FIRST, SECOND = "retell", "http"
AGENTS: dict[str, Any] = {"agent": {"provider": FIRST}, "fallbackAgents": [{"provider": SECOND, "agentId": "b"}]}
DENIED = NotPlaced("the agent answered 401", Verdict.REFUSED)
DONE = Result(call_status=CallStatus.SUCCESS, outcome="done")


class Voices:
    """An agent per provider."""

    def __init__(self, **answers: Answer) -> None:
        self.by_provider = {provider: ScriptedAgent(answer) for provider, answer in answers.items()}

    def __call__(self, provider: str, _: Own) -> Agent:
        return self.by_provider[provider]

    def dial(self, cloud: Cloud, at: datetime | None = None) -> list[Dial | Ask]:
        """Carry out what is ordered, and let the campaign hear of it; what was ordered."""
        bodies = orders(cloud)
        dialer.handle(bodies, agent=self, now=lambda: at or clock.now())
        cloud.pace_all()
        return list(map(dialers_order, bodies))

    def called(self, provider: str) -> int:
        return len(self.by_provider[provider].orders)


def test_next_agent_takes_over_at_the_next_claim_and_the_first_is_probed(cloud: Cloud) -> None:
    people = cloud.contacts(6)
    campaign_id = cloud.a_running_campaign(people, maxConcurrentCalls=2, **AGENTS)
    voices = Voices(retell=DENIED, http=Accepted())
    voices.dial(cloud)
    assert (voices.called(FIRST), voices.called(SECOND)) == (2, 0)
    campaign = cloud.campaign(campaign_id)
    assert campaign["status"] == "RUNNING"
    assert campaign["statusReason"] == f"http places the calls as long as others take none: retell ({DENIED})."

    probe, next_order = voices.dial(cloud)
    assert isinstance(probe, Dial)
    assert isinstance(next_order, Dial)
    assert (probe.agent, next_order.agent) == (0, 1)
    [placed] = voices.by_provider[SECOND].orders
    assert (placed.agent_id, placed.callback_url) == ("b", settings().public_url + "/auto-calling/agents/http/webhook")
    voices.dial(cloud)
    assert (voices.called(FIRST), voices.called(SECOND)) == (3, 2)

    report(cloud, placed.call_id, success=True)
    [attempt] = cloud.call(campaign_id, placed.contact_id)["attempts"]
    assert (attempt["provider"], attempt["attemptId"]) == (SECOND, placed.call_id)

    voices.by_provider[FIRST].answers = [Accepted()]
    voices.dial(cloud)
    other = voices.by_provider[SECOND].orders[1]
    webhook(cloud, msgspec.json.encode({"callId": other.call_id, "success": True}))
    pace_at(cloud, in_an(minutes=2))
    voices.dial(cloud)
    assert voices.called(FIRST) == 4
    assert cloud.campaign(campaign_id)["statusReason"] is None


def test_call_that_the_first_did_not_take_is_the_nexts_at_once_whenever_the_first_wants_to_be_asked_again(
    cloud: Cloud,
) -> None:
    cloud.a_running_campaign(cloud.contacts(1), **AGENTS)
    voices = Voices(retell=NotPlaced("the agent answered 401", Verdict.REFUSED, 60), http=Accepted())
    voices.dial(cloud)
    voices.dial(cloud)
    assert (voices.called(FIRST), voices.called(SECOND)) == (1, 1)


def test_campaign_pauses_when_all_its_agents_are_out_and_starts_afresh(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(6), maxConcurrentCalls=2, **AGENTS)
    voices = Voices(retell=DENIED, http=NotPlaced("the agent answered 402", Verdict.REFUSED))
    voices.dial(cloud)
    voices.dial(cloud)
    campaign = cloud.campaign(campaign_id)
    assert (campaign["status"], campaign["calledContacts"], campaign["inFlightCalls"]) == ("PAUSED", 0, 0)
    assert campaign["statusReason"].startswith("retell: The agent refuses our credentials")
    assert "http: The agent wants payment" in campaign["statusReason"]
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    assert [order.agent for each in orders(cloud) if isinstance(order := dialers_order(each), Dial)] == [0, 0]


def test_waiting_contact_is_not_told_of_an_agent_for_which_another_stands_in(cloud: Cloud) -> None:
    people = cloud.contacts(4)
    campaign_id = cloud.a_running_campaign(people, maxConcurrentCalls=1, **AGENTS)
    Voices(retell=DENIED, http=Accepted()).dial(cloud)
    [order] = map(dialers_order, orders(cloud))
    waiting = next(each for each in people if each != order.contact_id)
    assert cloud.call(campaign_id, waiting)["whyNotCalled"] == "waiting-for-slot"


def test_order_that_is_given_again_goes_to_the_same_agent(cloud: Cloud) -> None:
    campaign_id = cloud.a_running_campaign(cloud.contacts(4), maxConcurrentCalls=2, **AGENTS)
    Voices(retell=DENIED, http=DONE).dial(cloud)
    given = orders(cloud)
    [record] = sqs_event([sqs.encode(Wake(organization_id="1", campaign_id=campaign_id))])["Records"]
    record["attributes"]["ApproximateReceiveCount"] = "2"
    assert app.pace({"Records": [record]}, None)["batchItemFailures"] == []
    assert sorted(orders(cloud)) == sorted(given)


@pytest.mark.parametrize("first", [0, 1])
def test_silent_call_is_asked_of_who_placed_it(cloud: Cloud, first: int) -> None:
    cloud.a_running_campaign(cloud.contacts(2), maxConcurrentCalls=1, **AGENTS)
    voices = Voices(retell=DENIED if first else Accepted(), http=Accepted())
    began = clock.now()
    for _ in range(first + 2):
        voices.dial(cloud)
    for each in voices.by_provider.values():
        each.says = [Whereabouts.UNDER_WAY]
    cloud.tick(began + timedelta(seconds=900))
    asked = [order.provider for order in voices.dial(cloud) if isinstance(order, Ask)]
    assert asked == [(FIRST, SECOND)[first]]
    assert len(voices.by_provider[asked[0]].inquiries) == 1
