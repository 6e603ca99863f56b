"""Campaigns that share an account: its limits hold for all of them together, and each is served."""

from __future__ import annotations

from chalicelib import clock, ids
from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.organizations import store as organizations
from chalicelib.organizations.model import AgentSettings
from tests.simulation.agent import PhoneLine
from tests.simulation.faults import CALM
from tests.simulation.world import ORGANIZATION, World

PEOPLE = 40
AT_A_TIME, A_SECOND = 6, 0.5
CALL_SECONDS = 10
LATENCY = 2
"""Seconds by which a call may come later than another that was planned with it."""


class Noting(PhoneLine):
    """Answers with the result after a while, and notes when calls began and of whom."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.seconds = (CALL_SECONDS, CALL_SECONDS)
        self.begun: list[tuple[float, str]] = []
        self.most = 0

    def place(self, order: CallOrder) -> object:  # type: ignore[override]
        self.begun.append((self.world.seconds, order.campaign_id))
        self.most = max(self.most, len(self.live()) + 1)
        return super().place(order)

    def _result(self) -> Result:
        return Result(call_status=CallStatus.SUCCESS, outcome="said")


def a_campaign(world: World, first_phone: int) -> Campaign:
    at = clock.stamp(world.now())
    campaign = Campaign(
        organization_id=ORGANIZATION,
        campaign_id=ids.new_id(),
        name="Shared",
        max_concurrent_calls=20,
        agent=AgentChoice("http"),
        created_at=at,
        updated_at=at,
    )
    campaigns.add(campaign)
    people = [world.add_contact(f"+99890{n:07}") for n in range(first_phone, first_phone + PEOPLE)]
    enrolment.enrol(ORGANIZATION, campaign.campaign_id, people, at=at, now=world.now())
    return campaign


def test_limits_hold_for_all_campaigns_and_each_is_served() -> None:
    world = World(1, CALM)
    world.line = line = Noting(world)
    world.invariants.limits["http"] = AT_A_TIME
    bears = AgentSettings({"maxConcurrentCalls": AT_A_TIME, "callsPerSecond": A_SECOND})
    with world.installed():
        organizations.set_agent(ORGANIZATION, "http", organizations.find(ORGANIZATION), bears, done=False)
        shared = [a_campaign(world, n * PEOPLE) for n in range(3)]
        world.at(1, world.tick_every_minute)
        for campaign in shared:
            control.start(ORGANIZATION, campaign.campaign_id, now=world.now())
        world.run(4_000, until=lambda: all(_is_over(world, each) for each in shared))
    assert all(_is_over(world, each) for each in shared)
    assert len(line.begun) == 3 * PEOPLE
    assert 1 < line.most <= AT_A_TIME
    moments = [at for at, _ in line.begun]
    for n, since in enumerate(moments):
        within = sum(at < since + 30 - LATENCY for at in moments[n:])
        assert within <= 30 * A_SECOND + 1
    assert moments[-1] - moments[0] < 2 * 3 * PEOPLE / A_SECOND
    for campaign in shared:
        assert min(at for at, whose in line.begun if whose == campaign.campaign_id) < 120


def _is_over(world: World, campaign: Campaign) -> bool:
    known = world.invariants.counters[campaign.campaign_id]
    return known.status is CampaignStatus.COMPLETED and known.success == PEOPLE
