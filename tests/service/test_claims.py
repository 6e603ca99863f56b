"""A dialer that never learns whether it has claimed a call gives back what it may have, and nobody else's claim."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.agents.contract import Accepted
from chalicelib.calls import store as calls
from tests.service.agents import ScriptedAgent
from tests.service.calling import orders, report
from tests.service.cloud import Cloud, in_an

HTTP = {"provider": "http"}


class Lost(Exception):
    """No answer came."""


@pytest.mark.parametrize("written", [True, False])
def test_call_whose_claim_is_not_answered_is_dialed_a_little_later(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    claim = calls.claim

    def unanswered(*given: Any, **options: Any) -> None:
        if written:
            claim(*given, **options)
        raise Lost

    agent = ScriptedAgent(Accepted())
    with monkeypatch.context() as patches:
        patches.setattr(calls, "claim", unanswered)
        agent.dial(orders(cloud))
    assert agent.orders == []
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "PENDING"
    cloud.tick(in_an(minutes=1))
    agent.dial(orders(cloud))
    report(cloud, agent.orders[0].call_id, status="SUCCESS")
    call = cloud.call(campaign_id, contact_id)
    assert [attempt["callStatus"] for attempt in call["attempts"]] == ["SUCCESS"]


def test_claim_that_is_not_answered_does_not_give_back_anothers(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_running_campaign([contact_id], agent=HTTP)
    [order] = orders(cloud)
    agent = ScriptedAgent(Accepted())

    def overtaken(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        agent.dial([order])
        raise Lost

    monkeypatch.setattr(calls, "claim", overtaken)
    ScriptedAgent(Accepted()).dial([order])
    cloud.pace_all()
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "CALLING"
    report(cloud, agent.orders[0].call_id, status="SUCCESS")
    assert cloud.call(campaign_id, contact_id)["callStatus"] == "SUCCESS"
