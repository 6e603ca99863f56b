"""The agents' webhooks: signed, not behind a token."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from chalice.app import Response
from msgspec import Struct

from chalicelib import agents, clock, http
from chalicelib.agents.contract import Webhook
from chalicelib.calls import store
from chalicelib.calls.store import AttemptKey
from chalicelib.dialing import dialer
from chalicelib.dialing.telling import tell
from chalicelib.errors import InvalidBody, NotFound, Unauthorized
from chalicelib.http import BASE, Request
from chalicelib.ids import is_id
from chalicelib.log import logger

routes = http.Routes(__name__)


MAX_REPORT = 4 * 1024 * 1024
"""Bytes of a webhook; those of vendors carry whole transcripts."""


class Accepted(Struct, frozen=True):
    """The webhook was taken."""

    accepted: Literal[True] = True


@routes.post(
    f"{BASE}/agents/{{provider}}/webhook",
    "reportCall",
    body=dict[str, Any],
    answers={200: Accepted, 202: Accepted},
    raises=[Unauthorized],
    public=True,
    max_body=MAX_REPORT,
)
def report(request: Request) -> Response:
    """Take a voice agent's report of a call. Its body and signature are the provider's own; a token is not wanted."""
    provider, now = request.path["provider"], clock.now()
    reporter = agents.reporter(provider)
    reporter.verify(request.headers, request.body, now=now)
    try:
        if webhook := reporter.read(request.body):
            _hear(provider, webhook, now)
    except (InvalidBody, NotFound) as refusal:
        logger().warning("webhook not understood", provider=provider, reason=str(refusal))
        if not reporter.takes_only_200:
            raise
    return http.ok(Accepted(), 200 if reporter.takes_only_200 else 202)


def _hear(provider: str, webhook: Webhook, now: datetime) -> None:
    """Pass on what a webhook tells of an attempt, or keep it until that is known. Raises NotFound."""
    if key := _attempt(provider, webhook, now):
        tell(dialer.told(key, webhook.ending, now=now), now=now)
        if webhook.conversation_id is not None and key.attempt_id != webhook.call_id:
            store.forget_early(provider, webhook.conversation_id)


def _attempt(provider: str, webhook: Webhook, now: datetime) -> AttemptKey | None:
    """Whose attempt a webhook is about; None when it is not known yet. Raises NotFound."""
    if webhook.call_id is not None and is_id(call_id := webhook.call_id.lower()):
        return store.attempt(call_id)
    if webhook.conversation_id is None:
        raise NotFound("There is no such call.")
    kept = msgspec.json.encode(webhook.ending).decode()
    attempt_id = store.keep_early(provider, webhook.conversation_id, kept, now=now)
    return store.attempt(attempt_id) if attempt_id else None
