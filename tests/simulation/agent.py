"""The agent and the phone network behind it: it talks to people, and tells of it promptly, late, twice, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from chalicelib import clock
from chalicelib.agents.contract import (
    Accepted,
    CallOrder,
    Declined,
    Ending,
    Inquiry,
    NotPlaced,
    OutcomeUnknown,
    Whereabouts,
)
from chalicelib.agents.health import Verdict
from chalicelib.calls import store
from chalicelib.calls.model import OUTCOMES, CallStatus, Result
from chalicelib.dialing.telling import ended, tell
from tests.simulation.invariants import Broken

if TYPE_CHECKING:
    from tests.simulation.world import World

LONGEST_CONVERSATION = 110.0
"""Seconds; campaigns must give their calls more (`callTimeoutSeconds` is at least 120)."""


class Conversation(Struct):
    """A phone that rings, or is talked to."""

    call_id: str
    campaign_id: str
    phone: str
    ends: float


class Provider:
    """An agent that places its calls over the line; what it placed, no other is asked after."""

    waits_seconds = None

    def __init__(self, name: str, line: PhoneLine) -> None:
        self.name = name
        self.line = line

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        if self.name in self.line.out:
            return self.line.world.boundary(lambda: self.line.refuse(Verdict.AWAY))  # type: ignore[no-any-return]
        self.line.placed_by[order.call_id] = self.name
        return self.line.place(order)

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        if self.line.placed_by.get(inquiry.call_id, self.name) != self.name:
            raise Broken("a provider is asked after another's call")
        if self.name in self.line.out:
            raise OutcomeUnknown("no answer")
        return self.line.ask(inquiry)


class PhoneLine:
    """What all providers' calls go over."""

    waits_seconds = None

    def __init__(self, world: World) -> None:
        self.world = world
        self._conversations: list[Conversation] = []
        self.down = False
        self.out: set[str] = set()
        """Providers that are down by themselves."""

        self.placed_by: dict[str, str] = {}
        """Who placed an attempt, or tried to."""

        self.refuses = False
        """Whether it declines every call."""

        self.deaf = False
        """Whether it takes calls and its reports do not arrive."""

        self.seconds = (1.0, 60.0)
        self.prompt: dict[int, tuple[str, Result]] = {}
        """What it answered at once and of which attempt, by the dialer that asked."""

        self.results: dict[str, tuple[Conversation, Result]] = {}
        """How each conversation ends, by attempt."""

    def live(self) -> list[Conversation]:
        """The conversations under way."""
        self._conversations = [each for each in self._conversations if self.world.seconds < each.ends]
        return self._conversations

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        self.world.invariants.asked.add(order.call_id)
        if self.down:
            return self.world.boundary(lambda: self.refuse(Verdict.AWAY))  # type: ignore[no-any-return]
        if self.refuses:
            return self.world.boundary(self._decline)  # type: ignore[no-any-return]
        kind = "webhook" if self.deaf else self._kind()
        if kind in ("away", "full"):
            return self.world.boundary(lambda: self.refuse(Verdict(kind)))  # type: ignore[no-any-return]
        if kind == "vanished":
            self.world.boundary(lambda: None)
            raise OutcomeUnknown("the connection broke before the order was read")
        conversation = self.world.boundary(lambda: self._ring(order))
        result = self._result()
        self.results[order.call_id] = conversation, result
        if kind == "prompt":
            self.world.sleep(conversation.ends - self.world.seconds)
            if self.world.current:
                self.prompt[self.world.current.number] = order.call_id, result
            return result
        if kind == "broken":
            self._report_later(order.call_id, result, conversation)
            raise OutcomeUnknown("the connection broke")
        if kind == "webhook":
            self._report_later(order.call_id, result, conversation)
        return Accepted()

    def _kind(self) -> str:
        if not self.world.chance(self.world.faults.agent):
            return "prompt"
        kinds = ["away", "full", "webhook", "webhook", "webhook", "silent", "silent", "broken", "vanished"]
        return self.world.random.choice(kinds)

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """Tells what it has not told, unless it is in trouble itself."""
        return self.world.boundary(lambda: self._told(inquiry.call_id))  # type: ignore[no-any-return]

    def _told(self, call_id: str) -> Ending | Whereabouts:
        if self.down or self.world.chance(self.world.faults.agent / 4):
            raise OutcomeUnknown("no answer")
        if call_id not in self.results:
            return Whereabouts.NO_TRACE
        conversation, result = self.results[call_id]
        if self.world.seconds < conversation.ends:
            return Whereabouts.UNDER_WAY
        if self.world.current:
            self.prompt[self.world.current.number] = call_id, result
        self.world.tally["asked after"] += 1
        return Ending(result)

    def _decline(self) -> Declined:
        return Declined(Result(call_status=CallStatus.FAILED, outcome="the agent refused the call (400)"), "400")

    def refuse(self, verdict: Verdict) -> Result:
        raise NotPlaced("no", verdict)

    def _ring(self, order: CallOrder) -> Conversation:
        self.world.invariants.dialed(order)
        conversation = Conversation(
            order.call_id,
            order.campaign_id,
            order.phone_number,
            self.world.seconds + self.world.random.uniform(*self.seconds),
        )
        self._conversations.append(conversation)
        return conversation

    def _result(self) -> Result:
        status = self.world.random.choice(OUTCOMES)
        at = None
        if status is CallStatus.CALLBACK_REQUESTED and self.world.random.random() < 0.5:
            at = clock.stamp(clock.later(self.world.random.uniform(60, 7200), than=self.world.now()))
        return Result(call_status=status, outcome=status.lower(), callback_at=at)

    def _report_later(self, call_id: str, result: Result, conversation: Conversation) -> None:
        """By webhook: once or more, most soon after the end, some after the lease."""
        for _ in range(self.world.random.choice([1, 1, 1, 2, 3])):
            wait = self.world.random.choice([0.0, 1.0, 5.0, 60.0, 1500.0]) * self.world.random.random()
            self.world.at(conversation.ends - self.world.seconds + wait, lambda: self._report(call_id, result))

    def _report(self, call_id: str, result: Result) -> None:
        if self.deaf:
            return
        self.world.start(
            "webhook",
            lambda: self._webhook(call_id, result),
            done=lambda _: self.world.invariants.heard(call_id, result),
            failed=lambda error: self.world.at(30, lambda: self._report(call_id, result)),
        )

    def _webhook(self, call_id: str, result: Result) -> None:
        now = self.world.now()
        tell(ended(store.attempt(call_id), result, now=now), now=now)
