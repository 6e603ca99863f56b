"""A campaign called from beginning to end by the real handlers in virtual time: the ground of `pacing` and `cost`."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import Any

from chalicelib import clock, ids
from chalicelib.calls.model import CallStatus, Result, Retry
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from tests.simulation.agent import PhoneLine
from tests.simulation.environment import variables
from tests.simulation.faults import Faults
from tests.simulation.world import ORGANIZATION, World

CONTACT_BYTES = 1000


class Line(PhoneLine):
    """Everybody answers, and talks so many seconds."""

    def __init__(self, world: World, seconds: tuple[float, float]) -> None:
        super().__init__(world)
        self.seconds = seconds

    def _result(self) -> Result:
        return Result(call_status=CallStatus.SUCCESS, outcome="Said yes", summary="They talked. " * 8, duration=60)


class Measured(World):
    """A world that knows who asked AWS for what."""

    def __init__(self, faults: Faults, *, talk: tuple[float, float], dialers: int) -> None:
        super().__init__(0, faults, dialers=dialers)
        self.line = Line(self, talk)
        self.units: defaultdict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
        """Handler → (table, index, read or write) → units; reads are counted in halves."""

        self.sends: Counter[str] = Counter()
        """Handler → requests to SQS."""

    def _serve(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        who = self.current.name if self.current else "outside"
        if service == "sqs":
            self.sends[who] += 1
            return super()._serve(service, operation, request)
        before = self.database.units.copy()
        answer = super()._serve(service, operation, request)
        self.units[who].update(self.database.units - before)
        return answer


class Run:
    """A campaign of so many contacts of 1 KB each, dialed once each."""

    def __init__(self, world: Measured, people: int, *, cap: int) -> None:
        self.world = world
        self.people = people
        self.cap = cap
        self.campaign_id = ids.new_id()

    @property
    def campaign(self) -> Campaign:
        """As it is now."""
        return self.world.invariants.counters[self.campaign_id]

    def set_up(self) -> None:
        """Contacts, the campaign, enrolment; each as a handler of its own."""
        contact_ids: list[str] = []
        self.world.start("contacts", lambda: contact_ids.extend(self._contact(n) for n in range(self.people)))
        self.world.run(10**6, until=lambda: len(contact_ids) == self.people)
        campaigns.add(self._new())
        now = self.world.now()
        self.world.start("enrolment", lambda: self._enrol(contact_ids))
        self.world.run(10**6, until=lambda: self.campaign.total == self.people)
        self.world.start("start", lambda: control.start(ORGANIZATION, self.campaign_id, now=now))
        self.world.at(60, self.world.tick_every_minute)

    def finish(self) -> None:
        """Until the campaign is completed and audited."""
        self.world.run(10**6, until=lambda: self.campaign.status is CampaignStatus.COMPLETED)
        self.world.run(120)
        if self.campaign.success != self.people:
            raise RuntimeError(f"{self.people} contacts, {self.campaign}")

    def _enrol(self, contact_ids: list[str]) -> None:
        for first in range(0, len(contact_ids), 500):
            now, some = self.world.now(), contact_ids[first : first + 500]
            enrolment.enrol(ORGANIZATION, self.campaign_id, some, at=clock.stamp(now), now=now)

    def _contact(self, n: int) -> str:
        remark = "x" * (CONTACT_BYTES - 420)
        return self.world.add_contact(
            f"+99890{1000000 + n:07}", first_name="Gulnora", last_name="Karimova", custom_data={"remark": remark}
        )

    def _new(self) -> Campaign:
        at = clock.stamp(self.world.now())
        return Campaign(
            organization_id=ORGANIZATION,
            campaign_id=self.campaign_id,
            name="Bench",
            max_concurrent_calls=self.cap,
            retry=Retry(),
            agent=AgentChoice("simulated"),
            created_at=at,
            updated_at=at,
        )


def prepare() -> None:
    """The environment the handlers read."""
    os.environ.update(variables())
