"""Reports of agents, read leniently: of a conversation that took place nothing is lost that can be read. Pure.

A report is a JSON object with `success` or `status` (which wins), `outcome`, `summary`, `duration` in seconds,
`recordingUrl` and `callbackAt`; by webhook with `callId`. Unknown members are ignored.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from chalicelib import clock
from chalicelib.calls.model import OUTCOMES, CallStatus, Result
from chalicelib.errors import FieldError, InvalidBody

LONGEST_CALL_SECONDS = 86_400
"""A longer duration is none, but milliseconds, or a number no row could keep."""

FIRST_MILLISECONDS = 10**11
"""From here on a moment in numbers is counted in milliseconds: as seconds it would be in the year 5138."""

TRUTHS = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
"""Ways to say `success`; 1 and 0 are equal to True and False."""

NOBODY = {"VOICEMAIL", "VOICE_MAIL", "ANSWERING_MACHINE", "MACHINE", "NOANSWER", "UNANSWERED"}
"""Words for nobody answering that are no status of ours; they stay in the outcome where there is none."""

_SURROGATE = re.compile("[\ud800-\udfff]")
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
    reading = _Reading(_members(body))
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
    )
    return Report(call_id, result.cut(), outcome, tuple(reading.lost))


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        raise InvalidBody(FieldError("", "the body is not valid JSON")) from None
    if not isinstance(members, dict):
        raise InvalidBody(FieldError("", "expected an object"))
    return members


class _Reading:
    """A report's members while they are read; a member of null is absent."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self.lost: list[str] = []

    def status(self) -> tuple[CallStatus | None, str | None]:
        """How the call ended, and the agent's word for it where it is not ours."""
        success, given = self._success(), self._members.get("status")
        if given is None:
            return success, None
        word = re.sub(r"[^A-Z]+", "_", str(given).strip().upper())
        if word in OUTCOMES:
            return CallStatus(word), None
        if word in NOBODY:
            return CallStatus.NO_ANSWER, str(given)[:100]
        self.lost.append("status")
        return success, None

    def _success(self) -> CallStatus | None:
        given = self._members.get("success")
        if given is None:
            return None
        known = TRUTHS.get(given.strip().lower() if isinstance(given, str) else given) if _is_plain(given) else None
        if known is None:
            self.lost.append("success")
            return None
        return CallStatus.SUCCESS if known else CallStatus.FAILED

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
        return _SURROGATE.sub("\ufffd", written)

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
        if given is None or (isinstance(given, str) and not given.strip()):
            return None
        if not isinstance(given, str) or not _LINK.fullmatch(given.strip()):
            self.lost.append(name)
            return None
        return _SURROGATE.sub("\ufffd", given.strip())

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

    def _number(self, name: str) -> float | None:
        given = self._members.get(name)
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, int | float | str) or not _is_number(given):
            self.lost.append(name)
            return None
        return float(given)


def _is_plain(given: Any) -> bool:
    return isinstance(given, bool | int | float | str)


def _is_number(given: float | str) -> bool:
    try:
        return math.isfinite(float(given))
    except (ValueError, OverflowError):
        return False
