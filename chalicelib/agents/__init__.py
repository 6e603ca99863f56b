"""Voice-agent providers, by name."""

from chalicelib.agents.contract import Agent, Reporter
from chalicelib.errors import FieldError, InvalidBody, NotFound

PROVIDERS = ("simulated", "http")


def check(provider: str) -> None:
    """Raises InvalidBody for a provider there is none of."""
    if provider not in PROVIDERS:
        raise InvalidBody(FieldError("agent.provider", f"expected one of {', '.join(PROVIDERS)}"))


def agent(provider: str) -> Agent:
    """The agent of a provider's name."""
    if provider == "http":
        from chalicelib.agents.http import HttpAgent

        return HttpAgent()
    from chalicelib.agents.simulated import SimulatedAgent

    return SimulatedAgent()


def waits_seconds(provider: str) -> float | None:
    """See `Agent.waits_seconds`."""
    return agent(provider).waits_seconds


def reporter(provider: str) -> Reporter:
    """Who reads the webhooks of a provider. Raises NotFound for one that sends none."""
    if provider != "http":
        raise NotFound
    from chalicelib.agents.http import HttpAgent

    return HttpAgent()
