"""An agent that calls nobody: the phone's last digit decides the outcome, so that every path can be tried."""

from __future__ import annotations

import time

from chalicelib.agents.contract import CallOrder
from chalicelib.calls.model import CallStatus, Result
from chalicelib.settings import settings

BY_LAST_DIGIT = {
    "4": (CallStatus.PROMISE_TO_PAY, "Promised to pay"),
    "5": (CallStatus.REFUSED, "Refused to talk"),
    "6": (CallStatus.NO_ANSWER, "No answer"),
    "7": (CallStatus.BUSY, "Busy"),
    "8": (CallStatus.CALLBACK_REQUESTED, "Asked to be called back"),
    "9": (CallStatus.FAILED, "The call failed"),
}


class SimulatedAgent:
    """Answers after `SIMULATED_CALL_SECONDS`."""

    @property
    def waits_seconds(self) -> float:
        return settings().simulated_call_seconds

    def place(self, order: CallOrder) -> Result:
        seconds = settings().simulated_call_seconds
        time.sleep(seconds)
        return conversation(order.phone_number, order.first_name, seconds)


def conversation(phone: str, first_name: str, seconds: float) -> Result:
    """How a conversation of so many seconds ends."""
    status, outcome = BY_LAST_DIGIT.get(phone[-1], (CallStatus.SUCCESS, "Conversation completed"))
    return Result(
        call_status=status,
        outcome=outcome,
        summary=f"Simulated conversation with {first_name}: {outcome.lower()}.",
        duration=round(seconds),
    )
