"""A story a seed tells: campaigns that share people, operators who change their minds, faults; then calm; an end."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from chalicelib import clock, ids
from chalicelib.calls import store as calls
from chalicelib.calls.model import OUTCOMES, CallState, CallStatus, Retry
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Redial, work
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from chalicelib.dialing.messages import order as dialers_order
from chalicelib.errors import Failure
from chalicelib.organizations import store as organizations
from chalicelib.organizations.messages import look_again
from chalicelib.organizations.model import AgentSettings, CallingHours
from chalicelib.privacy import erasing
from chalicelib.settings import settings
from tests.simulation.faults import CALM, WILD, Faults
from tests.simulation.invariants import Broken
from tests.simulation.world import ORGANIZATION, World

ACTION_HOURS = 2
PATIENCE_HOURS = 240
AFTERWARDS = 2 * 3600
"""Seconds in which dead letters that were posted again are done with, or the last person's traces removed."""

LAST_LOOK = 3600
"""Seconds into the calm after which operators start again what an enrolment that was still under way has paused."""

RUNS_PER_PERSON = 200
"""Handler runs a whole story may take: hundreds of seeds took 57 at most."""

EVERY_DAY = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


class Story:
    """One seed's world, people, campaigns and operators."""

    def __init__(self, seed: int, people: int, faults: Faults = WILD) -> None:
        self.world = World(seed, faults)
        self.random = random.Random(f"story {seed}")
        self.people = people
        self.world.ordered = self._interfere
        self.contact_ids: list[str] = []
        self.campaign_ids: list[str] = []
        self.erased: set[str] = set()

    def tell(self) -> World:
        """Run from the first contact to the last result. Raises Broken when an invariant does not hold."""
        with self.world.installed():
            self._set_up()
            self.world.at(1, self.world.tick_every_minute)
            self.world.run(ACTION_HOURS * 3600)
            self._calm_down()
            if self.world.redrive():
                self.world.run(AFTERWARDS)
            self.world.run(PATIENCE_HOURS * 3600, until=self._ended)
            if self.erased:
                self.world.run(AFTERWARDS)
            self._check_end()
        return self.world

    def _set_up(self) -> None:
        for provider in ("simulated", "http"):
            self._limit(provider, self.random.choice([None, None, 2, 6]))
        for n in range(self.people):
            self.contact_ids.append(self._contact(n))
        for _ in range(self.random.choice([1, 1, 2, 3])):
            campaign = self._campaign()
            campaigns.add(campaign)
            self.campaign_ids.append(campaign.campaign_id)
            members = self.random.sample(self.contact_ids, self.random.randint(self.people // 2, self.people))
            at = clock.stamp(self.world.now())
            enrolment.enrol(ORGANIZATION, campaign.campaign_id, members, at=at, now=self.world.now())
            self._later(30, partial(self._start, campaign.campaign_id))
        for _ in range(self.random.randrange(12)):
            self._later(ACTION_HOURS * 3600, self._action(self.random.choice(self.contact_ids), self._a_campaign_id()))

    def _limit(self, provider: str, most: int | None) -> None:
        """What the organization's account bears: so many calls at a time, and half as many new ones a second."""
        if most is not None:
            known = organizations.find(ORGANIZATION)
            bears = AgentSettings({"maxConcurrentCalls": most, "callsPerSecond": most / 2})
            organizations.set_agent(ORGANIZATION, provider, known, bears, done=False)
            self.world.invariants.limits[provider] = most

    def _contact(self, n: int) -> str:
        """People of Uzbekistan; now and then of Britain, of Russia's many time zones, and some who told their own."""
        phones = {0: f"+4474000{10000 + n:05}", 1: f"+7916{1000000 + n:07}"}
        phone = phones.get(n % 5, f"+99890{1000000 + n:07}")
        timezone = None if n % 3 else "Europe/London"
        return self.world.add_contact(phone, first_name=f"Person {n}", timezone=timezone)

    def _campaign(self) -> Campaign:
        at = clock.stamp(self.world.now())
        return Campaign(
            organization_id=ORGANIZATION,
            campaign_id=ids.new_id(),
            name="Story",
            max_concurrent_calls=self.random.choice([1, 2, 5, 20]),
            retry=Retry(
                max_attempts=self.random.choice([1, 2, 3]),
                delay_minutes=[self.random.choice([0, 1, 10])],
                on=[CallStatus.NO_ANSWER, CallStatus.BUSY, CallStatus.FAILED],
            ),
            calling_hours=self._hours(),
            call_timeout_seconds=self.random.choice([120, 300, 900]),
            agent=AgentChoice(self.random.choice(["simulated", "http"])),
            fallback_agents=list(map(AgentChoice, self.random.choice([(), ("retell",), ("http", "vapi")]))),
            created_at=at,
            updated_at=at,
        )

    def _hours(self) -> CallingHours | None:
        if self.random.random() < 0.4:
            return None
        zone = self.random.choice(["Asia/Tashkent", "contact", "Europe/London"])
        closing = f"11:{self.random.randrange(2, 30):02}"
        windows = [("09:00", "13:00"), ("00:00", "24:00"), ("22:00", "12:00"), ("11:00", closing), ("22:00", closing)]
        from_, to = self.random.choice(windows)
        own = CallingHours(timezone=zone, days=EVERY_DAY, from_=from_, to=to)
        return own if self.random.random() < 0.5 else replace(own, fallback_timezone="Europe/London")

    # operators

    def _later(self, within: float, do: Callable[[], None]) -> None:
        delay = self.random.uniform(0, within)
        self.world.at(delay, lambda: self.world.start("operator", do))

    def _interfere(self, body: str) -> None:
        """Now and then somebody changes something just while a call is on its way to the agent."""
        if self.world.chance(self.world.faults.interference):
            order = dialers_order(body)
            self._later(4, self._action(order.contact_id, order.campaign_id))

    def _a_campaign_id(self) -> str:
        return self.random.choice(self.campaign_ids)

    def _action(self, contact_id: str, campaign_id: str) -> Callable[[], None]:
        return self.random.choice(
            [
                lambda: self._stop(campaign_id),
                lambda: self._start(campaign_id),
                lambda: self._start(campaign_id),
                lambda: self._set_status(contact_id, ContactStatus.DO_NOT_CALL),
                lambda: self._set_status(contact_id, ContactStatus.INACTIVE),
                lambda: self._set_status(contact_id, ContactStatus.ACTIVE),
                lambda: self._delete(contact_id),
                lambda: self._erase(contact_id),
                lambda: self._new_phone(contact_id),
                lambda: self._withdraw(campaign_id, contact_id),
                lambda: self._redial(campaign_id),
                lambda: self._enrol(campaign_id),
                lambda: self._outage(),
                lambda: self._outage_of_one(),
                lambda: self._change(campaign_id),
                lambda: self._change(campaign_id),
                lambda: self._give_up(campaign_id, contact_id),
                lambda: self._trouble(),
                lambda: self._pause(),
            ]
        )

    def _start(self, campaign_id: str) -> None:
        self._try(lambda: control.start(ORGANIZATION, campaign_id, now=self.world.now()))

    def _stop(self, campaign_id: str) -> None:
        self._try(lambda: control.stop(ORGANIZATION, campaign_id, now=self.world.now()))
        self._later(600, partial(self._start, campaign_id))

    def _set_status(self, contact_id: str, status: ContactStatus) -> None:
        at = clock.stamp(self.world.now())
        self._try(lambda: contacts.change(ORGANIZATION, contact_id, {"status": status}, at=at))

    def _new_phone(self, contact_id: str) -> None:
        at, phone = clock.stamp(self.world.now()), f"+99893{self.random.randrange(10**7):07}"
        self._try(lambda: contacts.change(ORGANIZATION, contact_id, {"phone": phone}, at=at))

    def _delete(self, contact_id: str) -> None:
        self._try(lambda: contacts.remove(ORGANIZATION, contact_id))

    def _erase(self, contact_id: str) -> None:
        """Who gets no answer would ask again; here nobody does, and nothing is promised."""

        def ask() -> None:
            erasing.begin(ORGANIZATION, contact_id)
            self.erased.add(contact_id)

        self._try(ask)

    def _withdraw(self, campaign_id: str, contact_id: str) -> None:
        self._try(lambda: enrolment.withdraw(ORGANIZATION, campaign_id, contact_id, now=self.world.now()))

    def _enrol(self, campaign_id: str) -> None:
        now = self.world.now()
        at = clock.stamp(now)
        self._try(lambda: enrolment.enrol(ORGANIZATION, campaign_id, self.contact_ids, at=at, now=now))

    def _redial(self, campaign_id: str) -> None:
        order = Redial(
            organization_id=ORGANIZATION,
            campaign_id=campaign_id,
            statuses=self.random.sample([*OUTCOMES, CallStatus.SKIPPED], self.random.randint(1, 4)),
            before=clock.stamp(self.world.now()),
        )
        self._try(lambda: work(order))

    def _change(self, campaign_id: str) -> None:
        """An operator changes how many at a time, how often, or when."""
        changes: dict[str, Any] = self.random.choice(
            [
                {"max_concurrent_calls": self.random.choice([1, 2, 5])},
                {"retry": Retry(max_attempts=self.random.choice([1, 2]), delay_minutes=[1])},
                {"calling_hours": self._hours()},
            ]
        )
        self._try(lambda: self._patch(campaign_id, changes))

    def _patch(self, campaign_id: str, changes: dict[str, Any]) -> None:
        campaign = campaigns.find(ORGANIZATION, campaign_id)
        woken = {"wake_at": clock.minute(self.world.now())} if campaign.status is CampaignStatus.RUNNING else {}
        campaigns.change(campaign, changes | woken, at=self.world.now())

    def _give_up(self, campaign_id: str, contact_id: str) -> None:
        self._try(lambda: enrolment.give_up(ORGANIZATION, campaign_id, contact_id))

    def _trouble(self) -> None:
        """The agent refuses everybody for a while, or its reports do not arrive."""
        line, kind = self.world.line, self.random.choice(["refuses", "deaf"])
        setattr(line, kind, True)
        self.world.at(self.random.uniform(30, 900), lambda: setattr(line, kind, False))

    def _pause(self) -> None:
        """Nobody of the organization is called for a while."""
        organizations.change(ORGANIZATION, {"calling_paused": True})
        self._later(900, self._go_on)

    def _go_on(self) -> None:
        organizations.change(ORGANIZATION, {"calling_paused": False})
        self._try(lambda: look_again(ORGANIZATION))

    def _outage(self) -> None:
        self.world.line.down = True
        self.world.at(self.random.uniform(30, 1500), lambda: setattr(self.world.line, "down", False))

    def _outage_of_one(self) -> None:
        provider = self.random.choice(["simulated", "http", "retell"])
        self.world.line.out.add(provider)
        self.world.at(self.random.uniform(30, 1500), lambda: self.world.line.out.discard(provider))

    def _try(self, do: Callable[[], object]) -> None:
        """What an operator asks for may be refused."""
        try:
            do()
        except Failure as refusal:
            self.world.tally[type(refusal).__name__] += 1

    # the end

    def _calm_down(self) -> None:
        self.world.faults = CALM
        line = self.world.line
        line.down = line.refuses = line.deaf = False
        line.out.clear()
        self.world.start("operator", self._go_on)
        for campaign_id in self.campaign_ids:
            self.world.start("operator", partial(self._start, campaign_id))
            self.world.at(LAST_LOOK, partial(self.world.start, "operator", partial(self._start, campaign_id)))

    def _ended(self) -> bool:
        if self.world.tally.total() > RUNS_PER_PERSON * self.people:
            raise Broken("busy without end")
        return all(
            campaign.status is CampaignStatus.COMPLETED and not campaign.in_flight
            for campaign in self.world.invariants.counters.values()
        )

    def _check_end(self) -> None:
        for campaign in self.world.invariants.counters.values():
            if campaign.total and campaign.status is not CampaignStatus.COMPLETED:
                raise Broken(f"never ended: {campaign}")
        for item in self.world.database.tables[settings().calls_table].items.values():
            if item["state"]["S"] != CallState.DONE:
                raise Broken(f"a call never reached a final state: {item}")
        self.world.invariants.check_reports()
        self._check_erased()
        for item in self.world.database.tables[settings().phone_numbers_table].items.values():
            if "attemptId" in item:
                raise Broken(f"an attempt stayed on a phone: {item}")

    def _check_erased(self) -> None:
        """Nothing is left of whoever was erased but that there were calls."""
        for item in self.world.database.tables[settings().contacts_table].items.values():
            if item["contactId"]["S"] in self.erased:
                raise Broken(f"a contact was not erased: {item}")
        for item in self.world.database.tables[settings().calls_table].items.values():
            call = calls.of_image(item)
            if call.contact_id in self.erased and (call.phone or any(each.outcome for each in call.attempts)):
                raise Broken(f"a call of an erased person tells who it was: {call}")
