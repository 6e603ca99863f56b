"""Whose role each route is for, where tokens tell roles, and what a view wants more of."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import http, ids
from chalicelib.auth import Role
from chalicelib.http import BASE
from tests.service.cloud import Cloud, Reply, token
from tests.service.identity import configure

VIEWER, OPERATOR, MANAGER = Role.VIEWER, Role.OPERATOR, Role.MANAGER
PROVIDERS = ("Simulated", "Http", "Retell", "Vapi", "Elevenlabs")
ROLES: dict[str, Role | None] = {
    **dict.fromkeys(("getHealth", "getOpenApi", "reportCall", "reportCallToOrganization")),
    **dict.fromkeys(("listContacts", "getContact", "listCallsOfContact"), VIEWER),
    **dict.fromkeys(("listImports", "getImport", "getImportTemplate"), VIEWER),
    **dict.fromkeys(
        ("listCampaigns", "getCampaign", "listCallsOfCampaign", "getCall", "getTestCall", "getAudit"), VIEWER
    ),
    **dict.fromkeys(("getSettings", "listActivity", *(f"get{provider}Agent" for provider in PROVIDERS)), VIEWER),
    **dict.fromkeys(("createContact", "changeContact", "deleteContact"), OPERATOR),
    **dict.fromkeys(("uploadContacts", "createImport", "undoImport"), OPERATOR),
    **dict.fromkeys(("createCampaign", "changeCampaign", "deleteCampaign", "startCampaign", "stopCampaign"), OPERATOR),
    **dict.fromkeys(("addContactsToCampaign", "removeContactFromCampaign", "redialCampaign", "startAudit"), OPERATOR),
    **dict.fromkeys(("cancelCall", "makeTestCall", "changeSettings"), OPERATOR),
    **dict.fromkeys(("getResults", *(f"change{provider}Agent" for provider in PROVIDERS)), MANAGER),
}
"""By operation; None needs no token."""

RANK = {role: n for n, role in enumerate((VIEWER, OPERATOR, MANAGER))}
PERSON = {"firstName": "Ali", "phone": "+998901234567"}


@pytest.fixture
def told(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A deployment whose tokens tell roles."""
    configure(monkeypatch, JWT_ROLE_CLAIM="role")
    return cloud


def ask(cloud: Cloud, role: Any, method: str, path: str, body: Any = None) -> Reply:
    """The answer to somebody of a role."""
    bearer = {"Authorization": f"Bearer {token(role=role)}"}
    return cloud.request(method, path, body, organization=None, headers=bearer)


def test_every_route_is_for_a_role() -> None:
    assert {of.name: of.role for of in http.Routes.operations} == ROLES


def test_route_is_for_its_role_and_those_above(told: Cloud) -> None:
    for of in filter(lambda of: of.role, http.Routes.operations):
        path = of.path.removeprefix(BASE).replace("{id}", ids.new_id()).replace("{contactId}", ids.new_id())
        body = {"callingPaused": True} if of.name == "changeSettings" else of.example
        for role in Role:
            reply = ask(told, role, of.method, path, body)
            assert (reply.status == 403) is (RANK[role] < RANK[of.role or VIEWER]), (of.name, reply)
            if reply.status == 403:
                assert reply.problem == (403, "forbidden")
                assert reply.body["detail"] == f"This takes the role {of.role}; the token's is {role}."


@pytest.mark.parametrize("claim", [None, "", "admin", "Viewer", 1, True, [], ["admin"], {"viewer": True}, [["viewer"]]])
def test_token_that_names_no_role_may_do_nothing(told: Cloud, claim: Any) -> None:
    reply = ask(told, claim, "GET", "/contacts")
    assert reply.problem == (403, "forbidden")
    assert reply.body["detail"] == "The token's role claim names no role: expected one of viewer, operator, manager."


@pytest.mark.parametrize(("claim", "status"), [(["staff", "operator", "viewer"], 201), (["viewer", "staff"], 403)])
def test_highest_of_several_roles_counts(told: Cloud, claim: list[str], status: int) -> None:
    assert ask(told, claim, "POST", "/campaigns", {"name": "January"}).status == status


@pytest.mark.parametrize("role", [None, "viewer", "admin"])
def test_where_no_roles_are_told_everybody_may_do_everything(cloud: Cloud, role: str | None) -> None:
    assert ask(cloud, role, "PATCH", "/settings", {"timezone": "Asia/Almaty"}).status == 200


def test_operator_pauses_everything_and_a_manager_lets_it_go_on(told: Cloud) -> None:
    assert ask(told, VIEWER, "PATCH", "/settings", {"callingPaused": True}).status == 403
    for _ in range(2):
        assert ask(told, OPERATOR, "PATCH", "/settings", {"callingPaused": True}).body["callingPaused"] is True
    for changes in ({"callingPaused": False}, {"callingPaused": True, "timezone": "Asia/Almaty"}, {"timezone": None}):
        assert ask(told, OPERATOR, "PATCH", "/settings", changes).problem == (403, "forbidden")
    assert ask(told, MANAGER, "PATCH", "/settings", {"callingPaused": False}).body["callingPaused"] is False


def test_manager_alone_lifts_do_not_call(told: Cloud) -> None:
    path = f"/contacts/{ask(told, OPERATOR, 'POST', '/contacts', PERSON | {'status': 'DO_NOT_CALL'}).body['id']}"
    assert ask(told, OPERATOR, "PATCH", path, {"notes": "asked again", "status": "DO_NOT_CALL"}).status == 200
    for status in ("ACTIVE", "INACTIVE", "COMPLETED"):
        assert ask(told, OPERATOR, "PATCH", path, {"status": status}).problem == (403, "forbidden")
    assert ask(told, MANAGER, "PATCH", path, {"status": "ACTIVE"}).body["status"] == "ACTIVE"
    assert ask(told, OPERATOR, "PATCH", path, {"status": "INACTIVE"}).status == 200


def test_manager_alone_erases(told: Cloud) -> None:
    path = f"/contacts/{ask(told, OPERATOR, 'POST', '/contacts', PERSON).body['id']}"
    assert ask(told, OPERATOR, "DELETE", f"{path}?erase=true").problem == (403, "forbidden")
    assert ask(told, VIEWER, "GET", path).status == 200
    assert ask(told, MANAGER, "DELETE", f"{path}?erase=true").status == 204
