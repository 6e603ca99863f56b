"""The `http` provider: one POST per call; the answer is the result, or 202 and a signed webhook later."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec.structs import replace

from chalicelib.agents import reports, signatures, wire
from chalicelib.agents.accounts import AccountHolder, Unusable
from chalicelib.agents.contract import (
    Accepted,
    CallOrder,
    Declined,
    Ending,
    Inquiry,
    OutcomeUnknown,
    Webhook,
    Whereabouts,
)
from chalicelib.agents.reports import Report
from chalicelib.agents.settings import Address, ProviderSettings, Secret
from chalicelib.agents.signatures import UNLIKE
from chalicelib.aws.ssm import secret
from chalicelib.calls.model import Result
from chalicelib.errors import FieldError, InvalidBody, Unauthorized
from chalicelib.log import logger
from chalicelib.settings import settings

SIGNATURE_AGE_SECONDS = 300
"""How far a webhook's signature may be from now."""


class Account(ProviderSettings, frozen=True, kw_only=True, rename="camel"):
    """An agent of somebody's own: where it is, what it is sent to know us by, and what it signs its reports with."""

    url: Address | None = None
    token: Secret | None = None
    webhook_secret: Secret | None = None

    owned_by: ClassVar[str] = "url"


class HttpAgent(AccountHolder[Account]):
    """The agent behind an organization's own URL, or `AGENT_URL`. Neither is sent a secret that is the other's."""

    kind = Account

    def account(self) -> Account:
        own = self.own()
        if own.has(self.kind):
            return super().account()
        if not settings().agent_url:
            raise Unusable("no agent is configured: set AGENT_URL, or url in the organization's settings of http")
        return replace(msgspec.convert(own.shared(), Account), url=settings().agent_url, token=_deployments_token())

    def to_hear(self) -> Account:
        if self.own().organization_id:
            return super().to_hear()
        return Account(webhook_secret=secret(settings().webhook_secret_parameter))

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        account = self.to_place()
        headers = {"Idempotency-Key": order.call_id, **_authorization(account)}
        response = wire.post(account.url or "", _request(order, account), headers, public=self.is_public)
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

    def ask(self, inquiry: Inquiry) -> Ending | Whereabouts:
        """By `GET <url>/<callId>`, which an agent may leave out: 404 and 405 say that it has no such thing."""
        account = self.to_ask()
        address = _address(account.url or "", inquiry.call_id)
        response = wire.look(address, _authorization(account), public=self.is_public)
        if response.status_code in (404, 405):
            return Whereabouts.UNSAID
        if response.status_code not in (200, 202, 204):
            raise OutcomeUnknown(f"the agent answered {response.status_code}")
        try:
            report = reports.read(response.content)
        except InvalidBody:
            return Whereabouts.UNDER_WAY
        if report.call_id not in (None, inquiry.call_id):
            raise OutcomeUnknown("the agent tells of another call")
        _log_lost(report, inquiry.call_id)
        return Ending(report.result) if report.result else Whereabouts.UNDER_WAY

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Check an `X-AutoCall-Signature: t=<unix seconds>,v1=<hex>`."""
        verify(headers.get("x-autocall-signature", ""), body, lambda: self.to_hear().webhook_secret, now=now)

    @property
    def is_public(self) -> bool:
        """Whether its address is an organization's own, and leads nowhere into a private network."""
        return self.own().has(self.kind) and not settings().agents_may_be_private

    def read(self, body: bytes) -> Webhook:
        report = reports.read(body)
        if report.call_id is None:
            raise InvalidBody(FieldError("callId", "required"))
        _log_lost(report, report.call_id)
        return Webhook(call_id=report.call_id, ending=Ending(report.ending()))


def _request(order: CallOrder, account: Account) -> dict[str, Any]:
    """The order, with what the account says where the campaign says nothing; of the numbers the one that calls."""
    body: dict[str, Any] = msgspec.to_builtins(order)
    del body["callerNumbers"]
    return body | {
        "agentId": order.agent_id or account.agent_id,
        "callerNumber": order.caller(account.caller_numbers or ()),
        "maxDurationSeconds": order.max_duration_seconds or account.max_duration_seconds,
    }


def _address(agent_url: str, call_id: str) -> str:
    """Where an agent tells of a call; what the agent's URL asks for is kept."""
    parts = urlsplit(agent_url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{call_id}"))


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


def _authorization(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"} if account.token else {}


def _deployments_token() -> str | None:
    """The token of the deployment's agent, where it has one. Raises SecretUnreadable."""
    parameter = settings().agent_token_parameter
    return secret(parameter).strip() if parameter else None


def verify(signature: str, body: bytes, key: Callable[[], str | None], *, now: datetime) -> None:
    """Check an `X-AutoCall-Signature`; the key is asked for by one that looks like one. Raises Unauthorized."""
    match = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", signature.strip())
    if not match:
        raise Unauthorized("The webhook carries no valid X-AutoCall-Signature.")
    known, signed = key(), match[1].encode() + b"." + body
    if not known:
        raise Unauthorized(UNLIKE)
    signatures.check(signed, match[2], known, at=int(match[1]), now=now, age_seconds=SIGNATURE_AGE_SECONDS)


def sign(timestamp: str, body: bytes, key: str) -> str:
    """HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal."""
    return signatures.hmac_sha256(timestamp.encode() + b"." + body, key)
