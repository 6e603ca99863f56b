"""Every handler dies before and after every single call it makes to the outside; then its message comes again.

A calm campaign goes through everything a campaign can: enrolment in the background by several orders, start, a prompt
result, a result by webhook, a call nobody reports and somebody gives up, one whose webhook is lost and whose agent is
asked, a retry, an agent that is away, a redial, an audit, deletion. A first run counts every process's calls; the
same tale is then told once for each of them and each side of it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from chalicelib import clock, ids
from chalicelib.agents.contract import CallOrder
from chalicelib.calls import store as calls
from chalicelib.calls.model import Call, CallState, CallStatus, Result, Retry
from chalicelib.campaigns import control, enrolment
from chalicelib.campaigns import store as campaigns
from chalicelib.campaigns.messages import Enrol, Redial
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.campaigns.settings import AgentChoice
from chalicelib.dialing import policy
from chalicelib.errors import Failure
from chalicelib.settings import settings
from tests.simulation.agent import PhoneLine
from tests.simulation.faults import CALM
from tests.simulation.invariants import Broken
from tests.simulation.world import ORGANIZATION, Process, World

ASKED_LATE = 1200
"""Seconds in which a question comes again whose dialer died at it."""

HANDLERS = ("operator", "pacer", "dialer", "worker", "clock", "webhook")
Point = tuple[str, int, int, str]
"""A handler, which of its processes, which call of it, before or after."""


class ScriptedLine(PhoneLine):
    """Answers each phone its own way."""

    def _kind(self) -> str:
        return self.kinds.get(self.phone, "prompt")

    def place(self, order: CallOrder) -> object:  # type: ignore[override]
        self.phone = order.phone_number
        self.asked[order.phone_number] += 1
        if order.phone_number == AWAY_AT_FIRST and self.asked[order.phone_number] == 1:
            self.kinds[AWAY_AT_FIRST] = "away"
        else:
            self.kinds.pop(AWAY_AT_FIRST, None)
        return super().place(order)

    def _result(self) -> Result:
        busy = self.phone == BUSY and self.asked[BUSY] == 1
        return Result(call_status=CallStatus.BUSY if busy else CallStatus.SUCCESS, outcome="said")

    def prepare(self) -> ScriptedLine:
        self.seconds = (5.0, 5.0)
        self.kinds = {WEBHOOK: "webhook", SILENT: "silent", LOST: "silent"}
        self.asked: dict[str, int] = defaultdict(int)
        return self


PROMPT, WEBHOOK, BUSY, AWAY_AT_FIRST, LOST, SILENT = (f"+99890123450{n}" for n in range(6))


class Tale:
    """The calm campaign, told once, with at most one death."""

    def __init__(self, death: Point | None = None) -> None:
        self.death = death
        self.made: dict[tuple[str, int], int] = {}
        self.world = World(0, CALM, kill=self._kill)
        self.world.line = ScriptedLine(self.world).prepare()
        self.died = self.given_up = False

    def _kill(self, process: Process, number: int, when: str) -> bool:
        key = process.name, process.number
        self.made[key] = max(self.made.get(key, 0), number + 1)
        dies = self.death == (*key, number, when)
        self.died = self.died or dies
        return dies

    def tell(self) -> Tale:
        """Raises Broken."""
        world = self.world
        with world.installed():
            people = [self.world.add_contact(phone) for phone in (PROMPT, WEBHOOK, BUSY, AWAY_AT_FIRST, LOST, SILENT)]
            *_, self.lost, self.silent = people
            self.campaign = self._campaign()
            campaigns.add(self.campaign)
            world.at(1, world.tick_every_minute)
            self._ask(lambda: self._enrol(people))
            world.run(3600, until=lambda: self._now().total == len(people))
            self._ask(lambda: control.start(ORGANIZATION, self.campaign.campaign_id, now=world.now()))
            world.run(1200, until=lambda: self._call(self.silent).state is CallState.CALLING)
            self._ask(lambda: enrolment.give_up(ORGANIZATION, self.campaign.campaign_id, self.silent))
            self._until_completed(2 * 3600)
            self._ask(self._redial)
            world.run(600)
            if self._now().waiting:
                self._ask(lambda: control.start(ORGANIZATION, self.campaign.campaign_id, now=world.now()))
                self._until_completed(2 * 3600)
            world.run(ASKED_LATE, until=self._is_lost_told)
            self._check_calls()
            self._ask(lambda: campaigns.remove(campaigns.find(ORGANIZATION, self.campaign.campaign_id), at=world.now()))
            world.run(3600, until=self._is_gone)
            self._check_end()
        return self

    def _ask(self, do: object) -> None:
        """An operator's request, made again until it is answered."""

        def request() -> None:
            self.world.start("operator", lambda: self._answered(do), failed=lambda _: self.world.at(5, request))

        request()
        self.world.run(20)

    def _answered(self, do: object) -> None:
        try:
            do()  # type: ignore[operator]
        except Failure as refusal:
            self.world.tally[type(refusal).__name__] += 1

    def _campaign(self) -> Campaign:
        at = clock.stamp(self.world.now())
        return Campaign(
            organization_id=ORGANIZATION,
            campaign_id=ids.new_id(),
            name="Matrix",
            max_concurrent_calls=2,
            retry=Retry(max_attempts=2, delay_minutes=[1], on=[CallStatus.BUSY]),
            agent=AgentChoice("http"),
            created_at=at,
            updated_at=at,
        )

    def _now(self) -> Campaign:
        return self.world.invariants.counters[self.campaign.campaign_id]

    def _call(self, contact_id: str) -> Call:
        key = self.campaign.campaign_id, contact_id
        return calls.of_image(self.world.database.tables[settings().calls_table].items[key])

    def _enrol(self, people: list[str]) -> None:
        """Two orders, as the API gives for many ids; the second brings nobody new."""
        now = self.world.now()
        for some in (people, people[:1]):
            order = Enrol(organization_id=ORGANIZATION, campaign_id=self.campaign.campaign_id, contact_ids=some)
            enrolment.begin(replace(order, at=clock.stamp(now)), now=now)

    def _redial(self) -> None:
        now = self.world.now()
        order = Redial(
            organization_id=ORGANIZATION,
            campaign_id=self.campaign.campaign_id,
            statuses=[CallStatus.SUCCESS],
            before=clock.stamp(now),
        )
        enrolment.begin(order, now=now)

    def _until_completed(self, seconds: float) -> None:
        self.world.run(seconds, until=lambda: self._now().status is CampaignStatus.COMPLETED)
        if self._now().status is not CampaignStatus.COMPLETED:
            raise Broken(f"never completed: {self._now()}")
        self.world.run(30)

    def _check_calls(self) -> None:
        self.given_up = (self._call(self.silent).attempts[-1].outcome or "").startswith(policy.GIVEN_UP)
        if not self._is_lost_told():
            raise Broken(f"a lost webhook cost a result: {self._call(self.lost).attempts}")
        rows = self.world.database.tables[settings().calls_table].items.values()
        if any(row["state"]["S"] != CallState.DONE for row in rows):
            raise Broken("a call never reached a final state")

    def _is_lost_told(self) -> bool:
        """Whether a lost webhook cost minutes, and not the result of what was dialed."""
        said = {call_id: result.call_status for call_id, (_, result) in self.world.line.results.items()}
        attempts = self._call(self.lost).attempts
        return all(said.get(each.attempt_id, each.call_status) is each.call_status for each in attempts)

    def _is_gone(self) -> bool:
        return not self.world.database.tables[settings().calls_table].items and not self.world.invariants.buried

    def _check_end(self) -> None:
        if not self._is_gone():
            raise Broken("the deleted campaign left rows")
        gates = self.world.database.tables[settings().phone_numbers_table].items.values()
        if any("attemptId" in gate for gate in gates):
            raise Broken("an attempt stayed on a phone")


@functools.cache
def matrix() -> list[Point]:
    """Every call of every process, and both sides of it."""
    calm = Tale().tell()
    assert not calm.world.tally["failed"], "a handler failed although nothing died"
    assert calm.given_up, "nobody gave a call up"
    return [
        (name, process, number, when)
        for (name, process), calls in sorted(calm.made.items())
        for number in range(calls)
        for when in ("before", "after")
    ]


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_may_die_at_any_call(handler: str, record_property: Callable[[str, object], None]) -> None:
    points = [point for point in matrix() if point[0] == handler]
    assert points, f"{handler} made no call"
    broken = []
    for point in points:
        try:
            assert Tale(point).tell().died
        except (Broken, AssertionError) as error:
            broken.append(f"{point}: {error}")
    record_property(f"crash matrix, {handler}", f"{len(points)} points")
    assert not broken, "\n".join(broken)
