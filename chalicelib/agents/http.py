"""The `http` provider: one POST per call; the answer is the result, or 202 and a signed webhook later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from chalicelib.agents import reports, signatures, wire
from chalicelib.agents.contract import Accepted, CallOrder, Declined, Ending, NotPlaced, OutcomeUnknown, Webhook
from chalicelib.agents.reports import Report
from chalicelib.aws.ssm import SecretUnreadable, secret
from chalicelib.calls.model import Result
from chalicelib.errors import FieldError, InvalidBody, Unauthorized
from chalicelib.log import logger
from chalicelib.settings import settings

SIGNATURE_AGE_SECONDS = 300
"""How far a webhook's signature may be from now."""


class HttpAgent:
    """The agent behind `AGENT_URL`."""

    waits_seconds = None
    takes_only_200 = False

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        if not settings().agent_url:
            raise NotPlaced("no agent is configured: set AGENT_URL")
        headers = {"Idempotency-Key": order.call_id, **_authorization()}
        response = wire.post(settings().agent_url, _request(order), headers)
        if refused := wire.refusal(response):
            return refused
        if response.status_code == 202:
            return Accepted()
        if response.status_code != 200:
            raise OutcomeUnknown(f"the agent answered {response.status_code}")
        try:
            return _ending(response.content, order.call_id)
        except InvalidBody:
            raise OutcomeUnknown("the agent's answer cannot be read") from None

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Check an `X-AutoCall-Signature`."""
        verify(headers.get("x-autocall-signature", ""), body, secret(settings().webhook_secret_parameter), now=now)

    def read(self, body: bytes) -> Webhook:
        report = reports.read(body)
        if report.call_id is None:
            raise InvalidBody(FieldError("callId", "required"))
        _log_lost(report, report.call_id)
        return Webhook(call_id=report.call_id, ending=Ending(report.ending()))


def _request(order: CallOrder) -> dict[str, Any]:
    """The order as it is, but for the numbers, of which it names the one that calls."""
    body: dict[str, Any] = msgspec.to_builtins(order)
    del body["callerNumbers"]
    return body | {"callerNumber": order.caller()}


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
    match = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", signature.strip())
    if not match:
        raise Unauthorized("The webhook carries no valid X-AutoCall-Signature.")
    signed = match[1].encode() + b"." + body
    signatures.check(signed, match[2], key, at=int(match[1]), now=now, age_seconds=SIGNATURE_AGE_SECONDS)


def sign(timestamp: str, body: bytes, key: str) -> str:
    """HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal."""
    return signatures.hmac_sha256(timestamp.encode() + b"." + body, key)
