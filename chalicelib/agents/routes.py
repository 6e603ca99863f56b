"""REST routes of what an organization sets of voice agents."""

from __future__ import annotations

from typing import Any

import msgspec
from chalice.app import Response
from msgspec.structs import replace

from chalicelib import agents, http
from chalicelib.activity.model import Action
from chalicelib.agents import accounts, addresses, settings
from chalicelib.agents.settings import ProviderSettings
from chalicelib.auth import Role
from chalicelib.aws import ssm
from chalicelib.errors import Conflict, FieldError, InvalidBody
from chalicelib.http import BASE, Later, Request
from chalicelib.idempotency.model import LONGEST_REQUEST
from chalicelib.organizations import messages, store
from chalicelib.organizations.model import AgentSettings
from chalicelib.settings import settings as deployment

routes = http.Routes(__name__)

RACES = 5


def _register(provider: str) -> None:
    """The routes of a provider, whose settings are of a type of their own; its module is loaded when they are used."""
    path, name = f"{BASE}/settings/agents/{provider}", provider.capitalize()
    shown = Later(lambda: settings.view_type(provider, agents.account(provider)))
    body = Later(lambda: settings.change_type(provider, agents.account(provider)))

    def show(request: Request) -> Response:
        """Look at what the organization has set of an agent; what it has not set is as the deployment has it.

        Of a secret it is told whether there is one.
        """
        organization_id = request.identity.organization_id
        own = settings.own(organization_id, provider, store.find(organization_id))
        return http.ok(settings.view(provider, agents.account(provider), own.settings))

    def change(request: Request) -> Response:
        """Change what the organization has set of an agent; null takes it away, and a secret that is left out stays.

        With an account of its own nothing of the deployment's is used. Running campaigns look around at once.
        """
        kind = agents.account(provider)
        return http.ok(settings.view(provider, kind, _changed(request, provider, kind)))

    for view in (show, change):
        view.__name__ = f"{view.__name__}_{provider}"
    routes.get(path, f"get{name}Agent", role=Role.VIEWER, answers={200: shown})(show)
    routes.patch(
        path, f"change{name}Agent", role=Role.MANAGER, does=Action.AGENT_CHANGED, body=body, answers={200: shown}
    )(change)


def _changed(request: Request, provider: str, kind: type[ProviderSettings]) -> AgentSettings:
    """What the organization has set after a request. Raises InvalidBody, Conflict."""
    organization_id, body, writes = request.identity.organization_id, settings.change_type(provider, kind), False
    for _ in range(RACES):
        known = store.find(organization_id)
        before = settings.own(organization_id, provider, known).settings
        values, secrets = settings.divided(kind, request.changes(body, settings.view(provider, kind, before)))
        _check(kind, values)
        if secrets and not writes:
            store.begin_writing_secrets(organization_id, until=request.at + LONGEST_REQUEST, now=request.at)
            writes = True
            continue
        after = replace(before, values=settings.changed(before.values, values))
        if secrets:
            written = _written(accounts.parameter(organization_id, provider), before, secrets)
            after = replace(after, secrets=sorted(written), version=before.version + 1)
        try:
            store.set_agent(organization_id, provider, known, after, done=writes)
        except Conflict:
            continue
        messages.look_again(organization_id)
        return after
    raise Conflict


def _check(kind: type[ProviderSettings], values: dict[str, Any]) -> None:
    """Raises InvalidBody for an address that nothing is sent to."""
    errors = [FieldError(name, said) for name, url in settings.addresses(values) if (said := _fault(kind, url))]
    if errors:
        raise InvalidBody(*errors)


def _written(parameter: str, before: AgentSettings, changes: dict[str, Any]) -> dict[str, Any]:
    """The secrets there are after some were written; nobody else writes any meanwhile."""
    known = msgspec.json.decode(ssm.read(parameter) or "{}") if before.secrets else {}
    secrets = settings.changed(known, changes)
    if secrets:
        ssm.put(parameter, msgspec.json.encode(secrets).decode())
    else:
        ssm.remove(parameter)
    return secrets


def _fault(kind: type[ProviderSettings], url: str) -> str | None:
    """Why nothing is sent to an address that an organization names; None where it may be."""
    if deployment().agents_may_be_private:
        return None
    if kind.domain:
        host = addresses.host(url) or ""
        return None if f".{host}".endswith(f".{kind.domain}") else f"expected an https:// address at {kind.domain}"
    return addresses.fault(url)


for each in agents.PROVIDERS:
    _register(each)
