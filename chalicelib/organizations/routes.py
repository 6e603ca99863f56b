"""REST routes of what an organization sets for itself."""

from __future__ import annotations

from chalice.app import Response

from chalicelib import http
from chalicelib.activity import store as activities
from chalicelib.activity.model import Action, Activity, ActivityFilter
from chalicelib.auth import Role
from chalicelib.http import BASE, Request
from chalicelib.organizations import messages, model, store
from chalicelib.organizations.model import OrganizationSettings, SettingsChange

routes = http.Routes(__name__)

PAUSES = {True: Action.CALLING_PAUSED, False: Action.CALLING_RESUMED}


@routes.get(f"{BASE}/settings", "getSettings", role=Role.VIEWER, answers={200: OrganizationSettings})
def show(request: Request) -> Response:
    """Look at the organization's settings; what it has not set is as the deployment has it."""
    return http.ok(store.find(request.identity.organization_id).view())


def _change(request: Request) -> Action:
    paused = request.named().get("callingPaused")
    return PAUSES[paused] if isinstance(paused, bool) else Action.SETTINGS_CHANGED


@routes.patch(
    f"{BASE}/settings",
    "changeSettings",
    role=Role.OPERATOR,
    does=_change,
    body=SettingsChange,
    example={"callingPaused": True},
    answers={200: OrganizationSettings},
)
def change(request: Request) -> Response:
    """Change the organization's settings; null is as the deployment has it. `callingPaused` stops all dialing at once.

    That, and nothing else, an operator may set as well.

    Campaigns are told of any change, also of one that was made before: who repeats a request wants it to work.
    """
    organization_id = request.identity.organization_id
    changes = request.changes(SettingsChange, store.find(organization_id).view() if request.merges else {})
    if changes and changes != {"calling_paused": True}:
        request.require(Role.MANAGER)
    model.check(changes, store.deployments())
    if not changes:
        return show(request)
    changed = store.change(organization_id, changes)
    messages.look_again(organization_id)
    return http.ok(changed.view())


@routes.get(
    f"{BASE}/activity", "listActivity", role=Role.VIEWER, query=ActivityFilter, lists=Activity, is_counted=False
)
def show_activity(request: Request) -> Response:
    """List who did what in the last year, the newest first; of somebody, or of a kind."""
    paging, wanted = request.paging(), request.parameters(ActivityFilter)
    return http.listing(request, paging, activities.page(request.identity.organization_id, wanted, paging), None)
