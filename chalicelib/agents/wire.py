"""Orders over HTTP: what an answer, or its absence, proves of a call."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.agents.contract import Accepted, Declined, NotPlaced, OutcomeUnknown
from chalicelib.agents.health import Verdict
from chalicelib.agents.reports import clean, identifier, members
from chalicelib.calls.model import CallStatus, Result
from chalicelib.errors import InvalidBody
from chalicelib.settings import settings

CONNECT_TIMEOUT_SECONDS = 5

NOT_PLACED = {
    401: Verdict.REFUSED,
    402: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.AWAY,
    405: Verdict.AWAY,
    410: Verdict.AWAY,
    429: Verdict.FULL,
}
"""Statuses by which an agent says that it began no call, through no fault of the contact's."""

UNACCEPTABLE = {400, 422}
"""Statuses by which an agent says that it does not call this contact."""

VENDORS_UNACCEPTABLE = {*UNACCEPTABLE, 404}
"""Those of a vendor, whose address is right: what it does not find is what the order names."""

LONGEST_REFUSAL_SECONDS = 3_600
"""An agent that wants to be asked later than this (`Retry-After`) is asked then all the same."""


def post(url: str, message: object, headers: Mapping[str, str]) -> Any:
    """The answer to a message. Raises NotPlaced when nothing of it was sent, OutcomeUnknown when it may have been."""
    import requests

    body = io.BytesIO(msgspec.json.encode(message))
    try:
        return requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=(CONNECT_TIMEOUT_SECONDS, settings().agent_timeout_seconds),
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        if body.tell() == 0:
            raise NotPlaced("the agent cannot be reached") from error
        raise OutcomeUnknown("the agent did not answer") from error


def refusal(response: Any, unacceptable: set[int] = UNACCEPTABLE) -> Declined | None:
    """How an answer refuses the call; None when it does not. Raises NotPlaced, OutcomeUnknown."""
    status = response.status_code
    if status in unacceptable:
        return declined(": ".join(filter(None, [str(status), _words(response.content)])))
    if status in NOT_PLACED or response.is_redirect:
        verdict = NOT_PLACED.get(status, Verdict.AWAY)
        raise NotPlaced(f"the agent answered {status}", verdict, _again_seconds(response.headers))
    if not response.ok:
        raise OutcomeUnknown(f"the agent answered {status}")
    return None


def declined(words: str) -> Declined:
    """An agent's refusal to call a contact."""
    return Declined(Result(call_status=CallStatus.FAILED, outcome=f"the agent refused the call ({words})").cut(), words)


def ask(url: str, message: object, headers: Mapping[str, str]) -> Declined | dict[str, Any]:
    """What a vendor answers to an order: its refusal, or an object. Raises NotPlaced, OutcomeUnknown."""
    response = post(url, message, headers)
    if refused := refusal(response, VENDORS_UNACCEPTABLE):
        return refused
    try:
        return members(response.content)
    except InvalidBody:
        raise OutcomeUnknown("the agent's answer cannot be read") from None


def place(url: str, message: object, headers: Mapping[str, str], *, named: str) -> Accepted | Declined:
    """Order a call of a vendor that answers with its id of the call, in the member `named`.

    Raises NotPlaced, OutcomeUnknown.
    """
    answer = ask(url, message, headers)
    if isinstance(answer, Declined):
        return answer
    if not answer.get(named):
        raise OutcomeUnknown("the agent's answer names no call")
    return Accepted(identifier(answer[named]))


def _words(body: bytes) -> str:
    try:
        return explained(members(body))
    except InvalidBody:
        return ""


def explained(answer: Mapping[str, Any]) -> str:
    """An answer's reason in words, as far as it gives one; without numbers that may be phones."""
    detail = answer.get("detail")
    said = [
        answer.get("message"),
        detail,
        detail.get("message") if isinstance(detail, dict) else None,
        answer.get("error"),
    ]
    words = next((each for each in said if isinstance(each, str)), "")
    return re.sub("[+]?[0-9]{6,}", "…", clean(words))[:200]


def _again_seconds(headers: Mapping[str, str]) -> int:
    given = headers.get("Retry-After", "").strip()
    return min(int(given), LONGEST_REFUSAL_SECONDS) if re.fullmatch("[0-9]{1,9}", given) else 0
