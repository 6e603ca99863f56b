"""Reports of agents, read leniently: of a conversation that took place nothing is lost that can be read. Pure.

A report is a JSON object with `success` or `status` (which wins), `outcome`, `summary`, `duration` in seconds,
`recordingUrl`, `callbackAt`, `promisedDate`, `promisedAmount`, `cost` and `doNotCall`; by webhook with `callId`.
Unknown members are ignored.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from chalicelib import clock, money
from chalicelib.calls.model import OUTCOMES, CallStatus, Result
from chalicelib.errors import FieldError, InvalidBody
from chalicelib.money import Money

LONGEST_CALL_SECONDS = 86_400
"""A longer duration is none, but milliseconds, or a number no row could keep."""

FIRST_MILLISECONDS = 10**11
"""From here on a moment in numbers is counted in milliseconds: as seconds it would be in the year 5138."""

LONGEST_NUMBER = 300
"""Digits of a whole number that is read exactly; a float goes to 308, `int` gives up after 4,300."""

TRUTHS = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
"""Ways to say yes and no; 1 and 0 are equal to True and False."""

NOBODY = {"VOICEMAIL", "VOICE_MAIL", "ANSWERING_MACHINE", "MACHINE", "NOANSWER", "UNANSWERED"}
"""Words for nobody answering that are no status of ours; they stay in the outcome where there is none."""

UNWANTED = {"DO_NOT_CALL", "DNC"}
"""Words in place of a status for a contact who asks never to be called again: REFUSED, and more than that."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_IDENTIFIER = re.compile("[!-~]{1,200}")
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)


class Report(Struct, frozen=True):
    """What could be read of a report, and the members that could not."""

    call_id: str | None
    result: Result | None
    """None where neither `success` nor `status` says how the call ended."""

    words: str | None
    """What it says in words, to be shown where there is no result."""

    lost: tuple[str, ...] = ()

    def ending(self) -> Result:
        """The result. Raises InvalidBody where there is none."""
        if self.result is None:
            raise InvalidBody(FieldError("success", f"required, unless status is one of {', '.join(OUTCOMES)}"))
        return self.result


def read(body: bytes) -> Report:
    """The report in an answer or a webhook. Raises InvalidBody for what is no JSON object."""
    return of(members(body))


def of(members: dict[str, Any]) -> Report:
    """The report that an object's members are."""
    reading = _Reading(members)
    status, word = reading.status()
    outcome = reading.text("outcome") or word
    call_id = reading.name("callId")
    if status is None:
        return Report(call_id, None, outcome, tuple(reading.lost))
    result = Result(
        call_status=status,
        outcome=outcome,
        summary=reading.text("summary"),
        duration=reading.duration(),
        recording_url=reading.link("recordingUrl"),
        callback_at=reading.moment("callbackAt"),
        promised_date=reading.date("promisedDate"),
        promised_amount=reading.money("promisedAmount"),
        cost=reading.money("cost"),
        do_not_call=reading.do_not_call(),
    )
    return Report(call_id, result.cut(), outcome, tuple(reading.lost))


def members(body: bytes) -> dict[str, Any]:
    """The members of a JSON object. Raises InvalidBody."""
    try:
        given = json.loads(body.decode("utf-8-sig", "replace"), parse_int=_whole)
    except (ValueError, RecursionError):
        raise InvalidBody(FieldError("", "the body is not valid JSON")) from None
    if not isinstance(given, dict):
        raise InvalidBody(FieldError("", "expected an object"))
    return given


def _whole(digits: str) -> float:
    """A whole number; one of more digits than Python reads is infinite, as JSON's other numbers too large are."""
    return int(digits) if len(digits) <= LONGEST_NUMBER else math.inf


def identifier(given: Any) -> str | None:
    """What may name a call, if it is such a thing."""
    return given if isinstance(given, str) and _IDENTIFIER.fullmatch(given) else None


def clean(text: str) -> str:
    """A text without halves of letters, which JSON can say and nothing can keep."""
    return _SURROGATE.sub("\ufffd", text)


class _Reading:
    """A report's members while they are read; a member of null is absent."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self.lost: list[str] = []

    def status(self) -> tuple[CallStatus | None, str | None]:
        """How the call ended, and the agent's word for it where it is not ours."""
        success, word = self._success(), self._word()
        if word is None:
            return success, None
        if word in OUTCOMES:
            return CallStatus(word), None
        if word in UNWANTED:
            return CallStatus.REFUSED, None
        if word in NOBODY:
            return CallStatus.NO_ANSWER, str(self._members["status"])[:100]
        self.lost.append("status")
        return success, None

    def do_not_call(self) -> bool:
        """Whether the contact asks never to be called again."""
        return self._truth("doNotCall") is True or self._word() in UNWANTED

    def _word(self) -> str | None:
        given = self._members.get("status")
        return None if given is None else re.sub(r"[^A-Z]+", "_", str(given).strip().upper())

    def _success(self) -> CallStatus | None:
        known = self._truth("success")
        if known is None:
            return CallStatus.REFUSED if self._truth("doNotCall") else None
        return CallStatus.SUCCESS if known else CallStatus.FAILED

    def _truth(self, name: str) -> bool | None:
        given = self._members.get(name)
        if given is None:
            return None
        known = TRUTHS.get(given.strip().lower() if isinstance(given, str) else given) if _is_plain(given) else None
        if known is None and name not in self.lost:
            self.lost.append(name)
        return known

    def name(self, name: str) -> str | None:
        """A text that names something, or nothing."""
        given = self._members.get(name)
        return given if isinstance(given, str) else None

    def text(self, name: str) -> str | None:
        """A text; what is nested as JSON."""
        given = self._members.get(name)
        if given is None:
            return None
        written = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        return clean(written)

    def duration(self) -> int | None:
        seconds = self._number("duration")
        if seconds is None:
            return None
        if not 0 <= seconds <= LONGEST_CALL_SECONDS:
            self.lost.append("duration")
            return None
        return round(seconds)

    def link(self, name: str) -> str | None:
        """An address a browser may open without danger."""
        given = self._members.get(name)
        if _is_blank(given):
            return None
        if not isinstance(given, str) or not _LINK.fullmatch(given.strip()):
            self.lost.append(name)
            return None
        return clean(given.strip())

    def moment(self, name: str) -> str | None:
        """A moment as text, also one in seconds or milliseconds since 1970."""
        given = self._members.get(name)
        if given is None or (isinstance(given, str) and not _is_number(given)):
            return given
        seconds = self._number(name)
        if seconds is None:
            return None
        try:
            at = datetime.fromtimestamp(seconds / 1000 if seconds >= FIRST_MILLISECONDS else seconds, UTC)
        except (ValueError, OverflowError, OSError):
            self.lost.append(name)
            return None
        return clock.stamp(at)

    def date(self, name: str) -> str | None:
        """A calendar date, also that of a moment as it is written."""
        given = self._members.get(name)
        if _is_blank(given):
            return None
        if not isinstance(given, str) or not clock.is_date(day := given.strip()[:10]):
            self.lost.append(name)
            return None
        return day

    def money(self, name: str) -> Money | None:
        """An amount of money; see `money.read`."""
        given = self._members.get(name)
        if _is_blank(given):
            return None
        amount = money.read(given)
        if amount is None:
            self.lost.append(name)
        return amount

    def _number(self, name: str) -> float | None:
        given = self._members.get(name)
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, int | float | str) or not _is_number(given):
            self.lost.append(name)
            return None
        return float(given)


def _is_blank(given: Any) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())


def _is_plain(given: Any) -> bool:
    return isinstance(given, bool | int | float | str)


def _is_number(given: float | str) -> bool:
    try:
        return math.isfinite(float(given))
    except (ValueError, OverflowError):
        return False
