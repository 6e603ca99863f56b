"""The first of a campaign's agents fails in the middle of it: the next takes over, nobody is lost or called twice."""

from __future__ import annotations

from collections import Counter

from chalicelib import clock, ids
from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import CallState, CallStatus, Result
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.settings import settings
from tests.simulation.agent import PhoneLine
from tests.simulation.faults import CALM
from tests.simulation.world import ORGANIZATION, World

PEOPLE = 120
FAILS, MENDED = 90, 540
"""Seconds after the start."""


class Noting(PhoneLine):
    """Answers with the result after a minute, and notes when whose calls began."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.seconds = (60, 60)
        self.begun: list[tuple[float, str]] = []

    def place(self, order: CallOrder) -> object:  # type: ignore[override]
        self.begun.append((self.world.seconds, self.placed_by[order.call_id]))
        return super().place(order)

    def _result(self) -> Result:
        return Result(call_status=CallStatus.SUCCESS, outcome="said")

    def begun_by(self, since: float, until: float) -> Counter[str]:
        """How many calls began between two moments, by provider."""
        return Counter(provider for at, provider in self.begun if since <= at < until)


def a_campaign(world: World) -> Campaign:
    at = clock.stamp(world.now())
    campaign = Campaign(
        organization_id=ORGANIZATION,
        campaign_id=ids.new_id(),
        name="Failover",
        max_concurrent_calls=10,
        agent=AgentChoice("retell"),
        fallback_agents=[AgentChoice("vapi")],
        created_at=at,
        updated_at=at,
    )
    campaigns.add(campaign)
    people = [world.add_contact(f"+99890{n:07}") for n in range(PEOPLE)]
    enrolment.enrol(ORGANIZATION, campaign.campaign_id, people, at=at, now=world.now())
    return campaign


def test_outage_in_the_middle_fails_over_and_back() -> None:
    world = World(1, CALM)
    world.line = line = Noting(world)
    with world.installed():
        campaign = a_campaign(world)
        world.at(1, world.tick_every_minute)
        world.at(FAILS, lambda: line.out.add("retell"))
        world.at(MENDED, lambda: line.out.discard("retell"))
        control.start(ORGANIZATION, campaign.campaign_id, now=world.now())
        world.run(400)
        during = world.invariants.counters[campaign.campaign_id]
        world.run(7_200, until=lambda: world.invariants.counters[campaign.campaign_id].status is not during.status)
        ended = world.invariants.counters[campaign.campaign_id]
        world.invariants.check_reports()
    assert during.status is CampaignStatus.RUNNING
    assert during.status_reason == "vapi places the calls as long as others take none: retell (no)."
    assert (ended.status, ended.success) == (CampaignStatus.COMPLETED, PEOPLE)
    assert set(world.invariants.dialed_attempts.values()) == {1}
    rows = world.database.tables[settings().calls_table].items.values()
    assert {row["state"]["S"] for row in rows} == {CallState.DONE}
    assert set(line.begun_by(0, FAILS)) == {"retell"}
    assert line.begun_by(FAILS + 240, MENDED).keys() == {"vapi"}
    assert line.begun_by(FAILS + 240, MENDED)["vapi"] > 20
    assert set(line.begun_by(MENDED + 90, world.seconds)) == {"retell"}
