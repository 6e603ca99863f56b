"""The agents' webhooks: signed, not behind a token."""

from __future__ import annotations

from chalice.app import Response

from chalicelib import clock, http, queues
from chalicelib.agents.http import LateReport, verify
from chalicelib.dialing import store
from chalicelib.dialing.dialer import ended
from chalicelib.errors import NotFound
from chalicelib.http import BASE, Request
from chalicelib.ids import is_id
from chalicelib.secrets import secret
from chalicelib.settings import settings

routes = http.Routes(__name__)


@routes.post(f"{BASE}/agents/http/webhook", public=True)
def report(request: Request) -> Response:
    key = secret(settings().webhook_secret_parameter)
    verify(request.headers.get("x-autocall-signature", ""), request.body, key, now=clock.now())
    late = http.decode(request.body, LateReport)
    if not is_id(late.call_id):
        raise NotFound("There is no such call.")
    queues.tell_pacer([ended(store.attempt(late.call_id), late.result())])
    return http.ok({"accepted": True}, 202)
