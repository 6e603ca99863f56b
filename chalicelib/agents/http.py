"""The `http` provider: one POST per call; the answer is the result, or 202 and a signed webhook later."""

from __future__ import annotations

import hashlib
import hmac
import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from chalicelib.agents import reports
from chalicelib.agents.contract import Accepted, CallOrder, Declined, NotPlaced, OutcomeUnknown, Webhook
from chalicelib.agents.health import Verdict
from chalicelib.agents.reports import Report
from chalicelib.aws.ssm import SecretUnreadable, secret
from chalicelib.calls.model import CallStatus, Result
from chalicelib.errors import FieldError, InvalidBody, Unauthorized
from chalicelib.log import logger
from chalicelib.settings import settings

CONNECT_TIMEOUT_SECONDS = 5
SIGNATURE_AGE_SECONDS = 300
"""How far a webhook's signature may be from now."""

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


class HttpAgent:
    """The agent behind `AGENT_URL`."""

    waits_seconds = None

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        response = _post(order)
        status = response.status_code
        if status == 202:
            return Accepted()
        if status in NOT_PLACED or response.is_redirect:
            raise NotPlaced(f"the agent answered {status}", NOT_PLACED.get(status, Verdict.AWAY))
        if status in UNACCEPTABLE:
            result = Result(call_status=CallStatus.FAILED, outcome=f"the agent refused the call ({status})")
            return Declined(result, str(status))
        if status != 200:
            raise OutcomeUnknown(f"the agent answered {status}")
        try:
            return _ending(response.content, order.call_id)
        except InvalidBody:
            raise OutcomeUnknown("the agent's answer cannot be read") from None

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Webhook:
        """What a signed report tells."""
        key = secret(settings().webhook_secret_parameter)
        verify(headers.get("x-autocall-signature", ""), body, key, now=now)
        report = reports.read(body)
        if report.call_id is None:
            raise InvalidBody(FieldError("callId", "required"))
        _log_lost(report, report.call_id)
        return Webhook(report.call_id, report.ending())


def _ending(body: bytes, call_id: str) -> Result:
    """The result in an answer. Raises InvalidBody, and OutcomeUnknown with what it says in words instead."""
    report = reports.read(body)
    _log_lost(report, call_id)
    if report.result is None and report.words:
        raise OutcomeUnknown("the agent's answer says neither success nor a status", said=report.words)
    return report.ending()


def _log_lost(report: Report, call_id: str) -> None:
    if report.lost:
        logger().warning("members of a report not read", attemptId=call_id, lost=report.lost)


def _post(order: CallOrder) -> Any:
    """The agent's answer. Raises NotPlaced when nothing of the order was sent, OutcomeUnknown when it may have been."""
    import requests

    if not settings().agent_url:
        raise NotPlaced("no agent is configured: set AGENT_URL")
    body = io.BytesIO(msgspec.json.encode(order))
    try:
        return requests.post(
            settings().agent_url,
            data=body,
            headers={"Content-Type": "application/json", "Idempotency-Key": order.call_id, **_authorization()},
            timeout=(CONNECT_TIMEOUT_SECONDS, settings().agent_timeout_seconds),
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        if body.tell() == 0:
            raise NotPlaced("the agent cannot be reached") from error
        raise OutcomeUnknown("the agent did not answer") from error


def _authorization() -> dict[str, str]:
    """The agent's token as a header, where the deployment has one. Raises NotPlaced when it cannot be read."""
    parameter = settings().agent_token_parameter
    if not parameter:
        return {}
    try:
        return {"Authorization": f"Bearer {secret(parameter).strip()}"}
    except SecretUnreadable as error:
        raise NotPlaced(str(error)) from error


def verify(signature: str, body: bytes, key: str, *, now: datetime) -> None:
    """Check an `X-AutoCall-Signature: t=<unix seconds>,v1=<hex>`. Raises Unauthorized."""
    match = re.fullmatch(r"t=(\d{1,12}),v1=([0-9a-f]{64})", signature.strip())
    if not match:
        raise Unauthorized("The webhook carries no valid X-AutoCall-Signature.")
    expected = sign(match[1], body, key)
    if not hmac.compare_digest(expected, match[2]):
        raise Unauthorized("The webhook's signature does not match.")
    if abs(now.timestamp() - int(match[1])) > SIGNATURE_AGE_SECONDS:
        raise Unauthorized("The webhook's signature is too old.")


def sign(timestamp: str, body: bytes, key: str) -> str:
    """HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal."""
    return hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
