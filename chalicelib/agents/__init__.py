"""Voice-agent providers, by name. A provider is a module of its own and one line here."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from chalicelib.agents.contract import Agent, Reporter
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


def agent(provider: str) -> Agent:
    """The agent of a provider's name."""
    made: Agent = _made(provider)
    return made


def waits_seconds(provider: str) -> float | None:
    """See `Agent.waits_seconds`."""
    return agent(provider).waits_seconds


def reporter(provider: str) -> Reporter:
    """Who reads the webhooks of a provider. Raises NotFound for one that sends none."""
    made = _made(provider) if provider in PROVIDERS else None
    if not isinstance(made, Reporter):
        raise NotFound
    return made


def _made(provider: str) -> Any:
    return getattr(import_module(f"chalicelib.agents.{provider}"), PROVIDERS[provider])()
