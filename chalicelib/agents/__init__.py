"""Voice-agent providers, by name. A provider is a module of its own and one line here."""

from importlib import import_module
from typing import Any

from chalicelib.agents.contract import Agent, Reporter
from chalicelib.errors import FieldError, InvalidBody, NotFound

PROVIDERS = {
    "simulated": "SimulatedAgent",
    "http": "HttpAgent",
    "retell": "RetellAgent",
    "vapi": "VapiAgent",
    "elevenlabs": "ElevenLabsAgent",
}
"""The modules of this room that are providers, each with its class; a module is loaded when its provider is used."""


def check(provider: str) -> None:
    """Raises InvalidBody for a provider there is none of."""
    if provider not in PROVIDERS:
        raise InvalidBody(FieldError("agent.provider", f"expected one of {', '.join(PROVIDERS)}"))


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
