"""One organization's thousands do not make another's single call wait, although every call holds a dialer."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from chalicelib import clock, ids
from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import CallStatus, Result
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.settings import settings
from tests.simulation.agent import PhoneLine
from tests.simulation.faults import CALM
from tests.simulation.world import World

CALL_SECONDS = 60
DIALERS = 20


class Waiting(PhoneLine):
    """An agent that answers with the result, after a minute."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.seconds = (CALL_SECONDS, CALL_SECONDS)
        self.first: dict[str, float] = {}
        self.placed: Counter[str] = Counter()

    def place(self, order: CallOrder) -> Result:
        self.first.setdefault(order.campaign_id, self.world.seconds)
        self.placed[order.campaign_id] += 1
        self.world.boundary(lambda: self._ring(order))
        self.world.sleep(CALL_SECONDS)
        return Result(call_status=CallStatus.SUCCESS)


def a_campaign(world: World, organization: str, people: int, cap: int) -> str:
    """A campaign of so many new contacts of an organization."""
    at = clock.stamp(world.now())
    campaign = Campaign(
        organization_id=organization,
        campaign_id=ids.new_id(),
        name="Fair",
        max_concurrent_calls=cap,
        agent=AgentChoice("http"),
        created_at=at,
        updated_at=at,
    )
    campaigns.add(campaign)
    members = []
    for _ in range(people):
        contact = Contact(
            organization_id=organization,
            contact_id=ids.new_id(),
            first_name="Ali",
            phone=f"+99890{len(world.database.tables[settings().phone_numbers_table].items):07}",
            created_at=at,
            updated_at=at,
        )
        members.append(contacts.add(contact).contact_id)
    for first in range(0, people, 500):
        some = members[first : first + 500]
        enrolment.enrol(organization, campaign.campaign_id, some, at=at, now=world.now())
    return campaign.campaign_id


@pytest.mark.parametrize("campaigns_of_the_other", [1, 3])
def test_single_call_starts_within_two_call_lengths(
    campaigns_of_the_other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALER_MAX_CONCURRENCY", str(DIALERS))
    settings.cache_clear()
    world = World(1, CALM, dialers=DIALERS)
    world.line = line = Waiting(world)
    orders: Counter[str] = Counter()
    world.ordered = lambda body: orders.update([json.loads(body)["campaignId"]])
    with world.installed():
        many = [a_campaign(world, "1", 300, cap=100) for _ in range(campaigns_of_the_other)]
        single = a_campaign(world, "2", 1, cap=1)
        world.at(1, world.tick_every_minute)
        for campaign_id in many:
            control.start("1", campaign_id, now=world.now())
        world.run(300)
        began = world.seconds
        control.start("2", single, now=world.now())
        world.run(3_600, until=lambda: single in line.first)
        assert line.first[single] - began <= 2 * CALL_SECONDS
        world.run(3_600)
    settings.cache_clear()
    assert sum(line.placed[campaign_id] for campaign_id in many) >= 300
    assert sum(orders[campaign_id] for campaign_id in many) < 1.2 * sum(line.placed[each] for each in many)
    assert orders[single] == 1
