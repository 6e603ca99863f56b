"""Ends of calls as vendors tell them: a reason, and what an analysis of the conversation says."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from chalicelib.agents import reports
from chalicelib.agents.contract import Ending, Webhook
from chalicelib.agents.health import Verdict
from chalicelib.agents.reports import identifier
from chalicelib.calls.model import CallStatus, Result
from chalicelib.errors import FieldError, InvalidBody
from chalicelib.log import logger


class End(StrEnum):
    """What a vendor's reason for a call's end means."""

    TALKED = "talked"
    """There was a conversation: its analysis says how it ended."""

    BUSY = "busy"
    NO_ANSWER = "no answer"
    FAILED = "failed"
    """The call broke; what was said before may have been enough all the same."""

    CALLBACK = "callback"
    UNWANTED = "unwanted"
    FULL = "full"
    AWAY = "away"
    UNPAID = "unpaid"


CERTAIN = {
    End.BUSY: CallStatus.BUSY,
    End.NO_ANSWER: CallStatus.NO_ANSWER,
    End.CALLBACK: CallStatus.CALLBACK_REQUESTED,
    End.UNWANTED: CallStatus.REFUSED,
}
"""Ends that no analysis knows better."""

NEVER_DIALED = {End.FULL: Verdict.FULL, End.AWAY: Verdict.AWAY, End.UNPAID: Verdict.REFUSED}
"""Ends before the beginning, unless the call lasted."""


DRAWN = {
    "callbackAt": "callback_at",
    "promisedDate": "promised_date",
    "promisedAmount": "promised_amount",
    "doNotCall": "do_not_call",
}
"""What an analysis finds besides the outcome, by either of two names."""


def webhook(attempt: Any, conversation: Any, ending: Ending) -> Webhook:
    """What a vendor tells of a call. Raises InvalidBody where it names none."""
    call_id, conversation_id = identifier(attempt), identifier(conversation)
    if call_id is None and conversation_id is None:
        raise InvalidBody(FieldError("", "no call is named"))
    return Webhook(call_id=call_id, conversation_id=conversation_id, ending=ending)


def read(reason: Any, end: End | None, told: dict[str, Any], analysis: Any = None) -> Ending:
    """How a call ended, by its reason, what that means (None: nobody knows), and what is told as in a report of `http`.

    `analysis` is what the agent has drawn from the conversation: `outcome` and the members of `DRAWN`. An outcome that
    is a status of ours beats the success flag and a failure, never a certain end. Any other is kept in words.
    """
    known_as = reports.clean(word(reason))[:200]
    if end is None and known_as:
        logger().warning("unknown end reason", reason=known_as)
    drawn = within(analysis)
    report = reports.of(
        {
            **told,
            "success": told.get("success") is True and end is not End.FAILED,
            "status": drawn.get("outcome"),
            **{name: drawn.get(name, drawn.get(other)) for name, other in DRAWN.items()},
        }
    )
    result = report.ending()
    if end in NEVER_DIALED and not result.duration:
        words = f"402, {known_as}" if end is End.UNPAID else known_as
        return Ending(Result(call_status=CallStatus.FAILED, outcome=words), NEVER_DIALED[end])
    spoken = reports.of({"outcome": drawn["outcome"]}).words if "status" in report.lost else result.outcome
    result = replace(
        result,
        call_status=CERTAIN.get(end, result.call_status) if end else result.call_status,
        outcome="; ".join(filter(None, [spoken, known_as if end is None or not spoken else None])) or None,
        do_not_call=result.do_not_call or end is End.UNWANTED,
    )
    return Ending(result.cut())


def dollars(amount: Any, *, parts: int = 1) -> dict[str, Any] | None:
    """A vendor's price in US dollars, or so many `parts` of them, as in a report of `http`."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    return {"amount": amount / parts, "currency": "USD"}


def word(value: Any) -> str:
    """A vendor's word or code for something, as text; nothing where it is neither."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def within(value: Any, *names: str) -> dict[str, Any]:
    """The object inside an object, step by step; an empty one where there is none."""
    for name in names:
        value = within(value).get(name)
    return value if isinstance(value, dict) else {}
