"""Voice-agent providers, by name. A provider is a module of its own and one line here."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from urllib.parse import quote

from chalicelib.agents import settings
from chalicelib.agents.accounts import AccountHolder
from chalicelib.agents.contract import Agent, Answering, Reporter
from chalicelib.agents.settings import NOBODYS, Own, ProviderSettings
from chalicelib.errors import FieldError, NotFound

PROVIDERS = {
    "simulated": "SimulatedAgent",
    "http": "HttpAgent",
    "retell": "RetellAgent",
    "vapi": "VapiAgent",
    "elevenlabs": "ElevenLabsAgent",
}
"""The modules of this room that are providers, each with its class; a module is loaded when its provider is used."""


def faults(provider: str, field: str) -> Iterator[FieldError]:
    """What is wrong with a provider's name that a request gives in a field: there is no such provider."""
    if provider not in PROVIDERS:
        yield FieldError(field, f"expected one of {', '.join(PROVIDERS)}")


def agent(provider: str, own: Own = NOBODYS) -> Agent:
    """The agent of a provider's name, for calls of an organization that has set something of it."""
    made: Agent = _made(provider, lambda: own)
    return made


def account(provider: str) -> type[ProviderSettings]:
    """What can be set of a provider. Raises NotFound."""
    if provider not in PROVIDERS:
        raise NotFound("There is no such provider.")
    return getattr(_class(provider), "kind", ProviderSettings)


def is_own(provider: str, own: Own) -> bool:
    """Whether an organization's calls by a provider are placed with an account of its own."""
    return own.has(account(provider))


def line(provider: str, own: Own) -> str:
    """Under which name the provider's ids of an organization's conversations are known."""
    return settings.line(provider, own.organization_id if is_own(provider, own) else None)


def webhook(provider: str, own: Own) -> str:
    """Where a provider reports an organization's calls, below the public origin."""
    path = f"/auto-calling/agents/{provider}/webhook"
    return f"{path}/{quote(own.organization_id, safe='')}" if is_own(provider, own) else path


def waits_seconds(provider: str) -> float | None:
    """See `Agent.waits_seconds`."""
    return agent(provider).waits_seconds


def can_be_asked(provider: str) -> bool:
    """Whether a provider may say what became of a call when it is asked."""
    return isinstance(agent(provider), Answering)


def reporter(provider: str, own: Callable[[], Own] = lambda: NOBODYS) -> Reporter:
    """Who reads the webhooks of a provider, of an organization's account if it is one's own.

    Raises NotFound for one that sends none.
    """
    made = _made(provider, own) if provider in PROVIDERS else None
    if not isinstance(made, Reporter):
        raise NotFound
    return made


def _made(provider: str, own: Callable[[], Own]) -> Any:
    kind = _class(provider)
    return kind(own) if issubclass(kind, AccountHolder) else kind()


def _class(provider: str) -> Any:
    return getattr(import_module(f"chalicelib.agents.{provider}"), PROVIDERS[provider])
