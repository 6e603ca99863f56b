"""The agents' webhooks: signed, not behind a token."""

from __future__ import annotations

from chalice.app import Response

from chalicelib import agents, clock, http
from chalicelib.calls import store
from chalicelib.dialing.dialer import ended
from chalicelib.dialing.telling import tell
from chalicelib.errors import NotFound
from chalicelib.http import BASE, Request
from chalicelib.ids import is_id

routes = http.Routes(__name__)


MAX_REPORT = 4 * 1024 * 1024
"""Bytes of a webhook; those of vendors carry whole transcripts."""


@routes.post(f"{BASE}/agents/http/webhook", public=True, max_body=MAX_REPORT)
def report(request: Request) -> Response:
    told = agents.reporter("http").read(request.headers, request.body, now=clock.now())
    if not is_id(told.call_id):
        raise NotFound("There is no such call.")
    now = clock.now()
    tell(ended(store.attempt(told.call_id), told.result, now=now), now=now)
    return http.ok({"accepted": True}, 202)
