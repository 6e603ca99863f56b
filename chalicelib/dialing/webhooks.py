"""The agents' webhooks: signed, not behind a token."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from chalice.app import Response
from msgspec import Struct

from chalicelib import agents, clock, http
from chalicelib.agents import settings
from chalicelib.agents.contract import Reporter, Webhook
from chalicelib.agents.settings import Own, line
from chalicelib.calls import store
from chalicelib.calls.store import AttemptKey
from chalicelib.dialing import unread
from chalicelib.dialing.telling import hear
from chalicelib.errors import InvalidBody, NotFound, Unauthorized
from chalicelib.http import BASE, Request
from chalicelib.ids import is_id
from chalicelib.log import correlated, correlation_id, logger
from chalicelib.organizations import store as organizations

routes = http.Routes(__name__)


MAX_REPORT = 4 * 1024 * 1024
"""Bytes of a webhook; those of vendors carry whole transcripts. In base64, as API Gateway hands them over, that is as
much as Lambda takes."""


class Accepted(Struct, frozen=True):
    """The webhook was taken."""

    accepted: bool = True


class Sender(Struct, frozen=True):
    """Whose account at a provider reports: the deployment's, or an organization's, which tells of its calls only."""

    provider: str
    organization_id: str | None = None

    @property
    def account(self) -> str:
        """The account as a path."""
        return self.provider if self.organization_id is None else f"{self.provider}/of/{self.organization_id}"

    @property
    def line(self) -> str:
        """What its ids of conversations are known by."""
        return line(self.provider, self.organization_id)


REPORT: dict[str, Any] = {
    "body": dict[str, Any],
    "answers": {200: Accepted, 202: Accepted},
    "raises": [Unauthorized],
    "role": http.ANYBODY,
    "max_body": MAX_REPORT,
}


@routes.post(f"{BASE}/agents/{{provider}}/webhook", "reportCall", **REPORT)
def report(request: Request) -> Response:
    """Take a voice agent's report of a call. Its body and signature are the provider's own; a token is not wanted."""
    provider = request.path["provider"]
    return _taken(request, agents.reporter(provider), Sender(provider))


@routes.post(f"{BASE}/agents/{{provider}}/webhook/{{organizationId}}", "reportCallToOrganization", **REPORT)
def report_to_organization(request: Request) -> Response:
    """Take a report of a call that was placed with an organization's own account, signed with its secret.

    Its settings are read when the report carries what may be a signature.
    """
    provider, organization_id = request.path["provider"], unquote(request.path["organizationId"])

    @functools.cache
    def own() -> Own:
        return settings.own(organization_id, provider, organizations.find(organization_id))

    return _taken(request, agents.reporter(provider, own), Sender(provider, organization_id))


def _taken(request: Request, reporter: Reporter, sender: Sender) -> Response:
    now = clock.now()
    reporter.verify(request.headers, request.body, now=now)
    try:
        if webhook := reporter.read(request.body):
            _hear(sender, webhook, now)
    except (InvalidBody, NotFound) as refusal:
        logger().warning("webhook not understood", provider=sender.provider, reason=str(refusal))
        if isinstance(refusal, InvalidBody):
            unread.keep(sender.account, request.body, str(refusal), now=now)
        if not reporter.takes_only_200:
            raise
    return http.ok(Accepted(), 200 if reporter.takes_only_200 else 202)


def _hear(sender: Sender, webhook: Webhook, now: datetime) -> None:
    """Pass on what a webhook tells of an attempt, or keep it until that is known. Raises NotFound."""
    if key := _attempt(sender, webhook, now):
        if sender.organization_id not in (None, key.organization_id):
            raise NotFound("There is no such call.")
        request_id = correlation_id()
        with correlated(key.attempt_id):
            logger().info("call reported", provider=sender.provider, requestId=request_id)
            hear(key, webhook.ending, now=now)
        if webhook.conversation_id is not None and key.attempt_id != webhook.call_id:
            store.forget_early(sender.line, webhook.conversation_id)


def _attempt(sender: Sender, webhook: Webhook, now: datetime) -> AttemptKey | None:
    """Whose attempt a webhook is about; None when it is not known yet. Raises NotFound."""
    if webhook.call_id is not None and is_id(call_id := webhook.call_id.lower()):
        return store.attempt(call_id)
    if webhook.conversation_id is None:
        raise NotFound("There is no such call.")
    kept = msgspec.json.encode(webhook.ending).decode()
    attempt_id = store.keep_early(sender.line, webhook.conversation_id, kept, now=now)
    return store.attempt(attempt_id) if attempt_id else None
