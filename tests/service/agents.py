"""Voice agents of the tests: they keep what they were asked and answer as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chalicelib.agents.contract import Accepted, CallOrder, Declined, Ending, Inquiry, Whereabouts
from chalicelib.calls.model import CallStatus, Result
from chalicelib.dialing import dialer

Answer = Result | Accepted | Declined | Exception


class ScriptedAgent:
    """Gives its answers in order, and the last for ever. An exception is raised.

    Asked after calls, it says nothing, unless a test has it say something.
    """

    waits_seconds = None

    def __init__(self, *answers: Answer, before: Callable[[CallOrder], None] | None = None) -> None:
        self.answers = list(answers) or [Result(call_status=CallStatus.SUCCESS, outcome="done")]
        self.orders: list[CallOrder] = []
        self.before = before
        self.inquiries: list[Inquiry] = []
        self.says: list[Ending | Whereabouts | Exception] = [Whereabouts.UNSAID]
        """What it says in turn when it is asked after calls, and the last for ever."""

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        if self.before:
            self.before(order)
        self.orders.append(order)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        self.inquiries.append(inquiry)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return said

    def dial(self, bodies: Iterable[str], **more: Callable[..., object]) -> None:
        """Let the dialer handle messages with this agent."""
        dialer.handle(bodies, agent=lambda *_: self, **more)  # type: ignore[arg-type]
