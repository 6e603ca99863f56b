"""A call that is cancelled may ring all the same: nobody else rings that phone meanwhile; who was not asked is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

import pytest

from chalicelib import clock
from chalicelib.agents.contract import Accepted
from chalicelib.settings import settings
from tests.service.agents import ScriptedAgent
from tests.service.calling import accepted_call, before_the_next, orders, report
from tests.service.cloud import Cloud, in_an

HTTP = {"provider": "http"}


def cancel(cloud: Cloud, campaign_id: str, contact_id: str) -> None:
    """Cancel a call, and book it."""
    assert cloud.post(f"/campaigns/{campaign_id}/contacts/{contact_id}/cancel").status == 202
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "FAILED"


def redial(cloud: Cloud, campaign_id: str) -> None:
    """Have the call made again."""
    assert cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": ["FAILED"]}).body["requeued"] == 1
    assert cloud.post(f"/campaigns/{campaign_id}/start").status == 200
    cloud.pace_all()


def dialed(cloud: Cloud, at: datetime | None = None) -> int:
    """How many the dialer reaches with what lies in the queue."""
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud), now=lambda: at or clock.now())
    cloud.pace_all()
    return len(agent.orders)


def between_claim_and_asking(cloud: Cloud, do: Callable[[], object]) -> ScriptedAgent:
    """Let the dialer dial what lies in the queue, and do something when it has claimed a call and asked nobody yet."""
    agent = ScriptedAgent(Accepted())
    with ExitStack() as stack:

        def claims() -> None:
            stack.enter_context(before_the_next("BatchGetItem", do))

        stack.enter_context(before_the_next("TransactWriteItems", claims))
        agent.dial(orders(cloud))
    cloud.pace_all()
    return agent


def test_call_that_is_cancelled_before_the_agent_is_asked_is_not_made(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    agent = between_claim_and_asking(cloud, lambda: cancel(cloud, campaign_id, contact_id))
    assert agent.orders == []
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == "given up by an operator"
    redial(cloud, campaign_id)
    assert dialed(cloud) == 1


def test_contact_that_is_taken_out_before_the_agent_is_asked_is_not_called(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    agent = between_claim_and_asking(cloud, lambda: cloud.delete(f"/campaigns/{campaign_id}/contacts/{contact_id}"))
    assert agent.orders == []
    assert cloud.call(campaign_id, contact_id)["conversationOutcome"] == "taken out of the campaign"
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"


def test_campaign_that_is_deleted_after_a_cancel_and_before_the_agent_is_asked_calls_nobody(cloud: Cloud) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)

    def end() -> None:
        cancel(cloud, campaign_id, contact_id)
        assert cloud.delete(f"/campaigns/{campaign_id}").status == 204

    assert between_claim_and_asking(cloud, end).orders == []
    assert cloud.take(settings().campaign_events_queue) == []


def test_phone_of_a_cancelled_call_is_rung_again_when_the_lease_of_that_has_ended(cloud: Cloud) -> None:
    campaign_id, contact_id, _ = accepted_call(cloud, agent=HTTP, callTimeoutSeconds=120)
    cancel(cloud, campaign_id, contact_id)
    redial(cloud, campaign_id)
    assert dialed(cloud) == 0
    assert cloud.call(campaign_id, contact_id)["whyNotCalled"] == "phone-in-another-call"
    cloud.tick(in_an(seconds=70))
    assert dialed(cloud, in_an(seconds=70)) == 0
    cloud.tick(in_an(seconds=200))
    assert dialed(cloud, in_an(seconds=200)) == 1


def test_no_campaign_rings_the_phone_of_a_call_that_another_has_cancelled(cloud: Cloud) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cancel(cloud, campaign_id, contact_id)
    other = cloud.a_campaign([contact_id], agent=HTTP)["id"]
    cloud.post(f"/campaigns/{other}/start")
    assert cloud.call(other, contact_id)["whyNotCalled"] == "phone-in-another-call"
    cloud.pace_all()
    assert dialed(cloud) == 0
    report(cloud, call_id, status="BUSY")
    cloud.tick(in_an(minutes=2))
    assert dialed(cloud, in_an(minutes=2)) == 1


@pytest.mark.parametrize("told", ["BUSY", "FAILED"])
def test_phone_of_a_cancelled_call_is_free_when_that_is_reported_after_all(cloud: Cloud, told: str) -> None:
    campaign_id, contact_id, call_id = accepted_call(cloud, agent=HTTP)
    cancel(cloud, campaign_id, contact_id)
    report(cloud, call_id, status=told)
    cloud.post(f"/campaigns/{campaign_id}/redial", {"callStatus": [told]})
    cloud.post(f"/campaigns/{campaign_id}/start")
    cloud.pace_all()
    assert dialed(cloud) == 1


def test_contact_of_a_cancelled_call_can_be_changed_and_deleted(cloud: Cloud) -> None:
    campaign_id, contact_id, _ = accepted_call(cloud, agent=HTTP)
    moved = {"phone": "+998907654321"}
    assert cloud.patch(f"/contacts/{contact_id}", moved).problem == (409, "call-under-way")
    cancel(cloud, campaign_id, contact_id)
    assert cloud.patch(f"/contacts/{contact_id}", moved).status == 200
    assert cloud.delete(f"/contacts/{contact_id}").status == 204


def test_call_of_an_erased_person_ends_though_a_barred_contact_has_the_phone_by_then(cloud: Cloud) -> None:
    phone = "+998901112233"
    contact_id = cloud.a_contact(phone)["id"]
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    agent = ScriptedAgent(Accepted())
    agent.dial(orders(cloud))
    assert cloud.delete(f"/contacts/{contact_id}?erase=true").status == 204
    cloud.a_contact(phone, status="DO_NOT_CALL")
    report(cloud, agent.orders[0].call_id, status="SUCCESS")
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"
    assert cloud.campaign(campaign_id)["status"] == "COMPLETED"
