"""The `http` provider: one POST per call; the answer is the result, or 202 and a signed webhook later."""

from __future__ import annotations

import hashlib
import hmac
import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from chalicelib import bodies
from chalicelib.agents.contract import Accepted, CallOrder, NotPlaced, OutcomeUnknown, Webhook
from chalicelib.agents.health import Verdict
from chalicelib.aws.ssm import SecretUnreadable, secret
from chalicelib.calls.model import OUTCOMES, CallStatus, Result
from chalicelib.errors import FieldError, InvalidBody, Unauthorized
from chalicelib.settings import settings

CONNECT_TIMEOUT_SECONDS = 5
SIGNATURE_AGE_SECONDS = 300
"""How far a webhook's signature may be from now."""

LONGEST_CALL_SECONDS = 86_400
"""A longer duration is none, but milliseconds, or a number no row could keep."""

NOT_PLACED = {
    401: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.AWAY,
    405: Verdict.AWAY,
    410: Verdict.AWAY,
    429: Verdict.FULL,
}
"""Statuses by which an agent says that it began no call, through no fault of the contact's."""

UNACCEPTABLE = {400, 422}
"""Statuses by which an agent says that it cannot call this contact."""


class Report(Struct, frozen=True, rename="camel"):
    """A result as an agent tells it; unknown members are ignored."""

    success: bool | None = None
    outcome: str | None = None
    summary: str | None = None
    duration: Annotated[float, Meta(ge=0, le=LONGEST_CALL_SECONDS)] | None = None
    recording_url: str | None = None
    status: str | None = None
    callback_at: str | None = None

    def result(self) -> Result:
        """The result it means: a `status` of ours wins over `success`. Raises InvalidBody without either."""
        if self.status is None and self.success is None:
            raise InvalidBody(FieldError("success", "required, unless status is given"))
        if self.status is not None and self.status not in OUTCOMES:
            raise InvalidBody(FieldError("status", f"expected one of {', '.join(OUTCOMES)}"))
        status = CallStatus(self.status) if self.status else CallStatus.SUCCESS if self.success else CallStatus.FAILED
        return Result(
            call_status=status,
            outcome=self.outcome,
            summary=self.summary,
            duration=None if self.duration is None else round(self.duration),
            recording_url=self.recording_url,
            callback_at=self.callback_at,
        ).cut()


class LateReport(Report, frozen=True, kw_only=True, rename="camel"):
    """A result that comes by webhook."""

    call_id: str


class HttpAgent:
    """The agent behind `AGENT_URL`."""

    def place(self, order: CallOrder) -> Result | Accepted:
        response = _post(order)
        if response.status_code == 202:
            return Accepted()
        if response.status_code in NOT_PLACED or response.is_redirect:
            verdict = NOT_PLACED.get(response.status_code, Verdict.AWAY)
            raise NotPlaced(f"the agent answered {response.status_code}", verdict)
        if response.status_code in UNACCEPTABLE:
            return Result(call_status=CallStatus.FAILED, outcome=f"the agent refused the call ({response.status_code})")
        if response.status_code != 200:
            raise OutcomeUnknown(f"the agent answered {response.status_code}")
        try:
            return msgspec.json.decode(response.content, type=Report).result()
        except (msgspec.DecodeError, InvalidBody):
            raise OutcomeUnknown("the agent's answer cannot be read") from None

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Webhook:
        """What a signed LateReport tells."""
        key = secret(settings().webhook_secret_parameter)
        verify(headers.get("x-autocall-signature", ""), body, key, now=now)
        late = bodies.decode(body, LateReport)
        return Webhook(late.call_id, late.result())


def _post(order: CallOrder) -> Any:
    """The agent's answer. Raises NotPlaced when nothing of the order was sent, OutcomeUnknown when it may have been."""
    import requests

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
