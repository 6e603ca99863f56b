"""What is set of voice agents, by an organization or by the deployment, and what of it are secrets. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from chalicelib import bodies
from chalicelib.organizations.model import AgentSettings, Organization

Identifier = Annotated[str, Meta(pattern=r"^\S{1,200}\Z", description="an id without spaces")]

CallerNumbers = Annotated[
    list[Annotated[str, Meta(pattern=r"^\S{1,200}\Z", description="a number or its id at the vendor, without spaces")]],
    Meta(min_length=1, max_length=100),
]

Address = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
"""As `addresses.fault` takes it; a vendor's is at its `domain`."""

LongestTalk = Annotated[int, Meta(ge=10, le=7_200)]
"""Seconds of a conversation."""

SECRET = Meta(extra={"secret": True})
Secret = Annotated[str, Meta(pattern=r"^\S{1,500}\Z", description="a secret without spaces"), SECRET]
"""Kept where secrets are, and shown to nobody."""


class ProviderSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """What holds for calls by a provider that say nothing themselves, and what its account bears."""

    agent_id: Identifier | None = None
    caller_numbers: CallerNumbers | None = None
    max_duration_seconds: LongestTalk | None = None
    max_concurrent_calls: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    calls_per_second: Annotated[float, Meta(gt=0, le=100)] | None = None

    owned_by: ClassVar[str] = ""
    """The member that makes an account an organization's own: nothing of the deployment's account is used then."""

    domain: ClassVar[str] = ""
    """Where a vendor's servers are: an organization's `apiUrl` leads nowhere else."""


class Own(Struct, frozen=True):
    """An organization, and what it has set of a provider. Nobody's: what the deployment has set holds."""

    organization_id: str = ""
    settings: AgentSettings = AgentSettings()

    def has(self, kind: type[ProviderSettings]) -> bool:
        """Whether it has an account of its own, of a provider with such settings."""
        return kind.owned_by in self.settings.values or kind.owned_by in self.settings.secrets

    def shared(self) -> dict[str, Any]:
        """What it has set for calls by whatever provider and account."""
        return {name: each for name, each in self.settings.values.items() if name in SHARED}


SHARED = [field.encode_name for field in fields(ProviderSettings)]
NOBODYS = Own()


def own(organization_id: str, provider: str, organization: Organization) -> Own:
    """What an organization has set of a provider."""
    return Own(organization_id, organization.agents.get(provider, AgentSettings()))


def line(provider: str, organization_id: str | None) -> str:
    """What tells an account's ids of conversations from those of others: the provider, and whose account if not the
    deployment's.
    """
    return provider if organization_id is None else f"{provider}#{organization_id}"


def secrets(kind: type[Struct]) -> list[str]:
    """The members that are secrets."""
    return [field.encode_name for field in fields(kind) if _is_secret(field)]


def _is_secret(field: FieldInfo) -> bool:
    return any(SECRET in get_args(each) for each in (field.type, *get_args(field.type)))


class SecretView(Struct, frozen=True):
    """A secret, of which only is told whether there is one."""

    set: bool


@functools.cache
def view_type(provider: str, kind: type[Struct]) -> type[Struct]:
    """What is shown of what an organization has set of a provider."""
    members: list[Any] = [
        (each.name, SecretView if _is_secret(each) else each.type if not each.required else each.type | None)
        for each in fields(kind)
    ]
    name = f"{provider.capitalize()}AgentView"
    return msgspec.defstruct(name, members, frozen=True, kw_only=True, rename="camel")


@functools.cache
def change_type(provider: str, kind: type[Struct]) -> type[bodies.Body]:
    """What a request may change of what an organization has set of a provider."""
    return bodies.change(f"{provider.capitalize()}AgentChange", kind)


def view(provider: str, kind: type[Struct], own: AgentSettings) -> Struct:
    """What an organization has set, as the API shows it."""
    shown = {
        each.name: SecretView(each.encode_name in own.secrets)
        if _is_secret(each)
        else own.values.get(each.encode_name, each.default if not each.required else None)
        for each in fields(kind)
    }
    return view_type(provider, kind)(**shown)


def divided(kind: type[Struct], changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Changes by the names of fields, as members: those that are kept in a row, and secrets. None takes one away."""
    named = {field.encode_name: changes[field.name] for field in fields(kind) if field.name in changes}
    hidden = secrets(kind)
    return {name: each for name, each in named.items() if name not in hidden}, {
        name: each for name, each in named.items() if name in hidden
    }


def changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Members after changes, None takes one away."""
    return {name: each for name, each in {**members, **changes}.items() if each is not None}


def addresses(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The members that are addresses, with them."""
    return ((name, values[name]) for name in ("url", "apiUrl") if values.get(name) is not None)
