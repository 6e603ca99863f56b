"""What people set of a campaign: one Struct that requests, rows and answers share."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from chalicelib import agents, bodies, clock
from chalicelib.agents.settings import CallerNumbers, Identifier, LongestTalk
from chalicelib.bodies import CLEARABLE
from chalicelib.calls.model import Retry
from chalicelib.clock import Moment
from chalicelib.errors import FieldError, InvalidBody
from chalicelib.ids import Id
from chalicelib.organizations.model import CallingHours

Name = Annotated[str, Meta(max_length=200, pattern=r"\S", description="text that is not blank")]
Description = Annotated[str, Meta(max_length=2_000)]
Provider = Annotated[str, Meta(extra_json_schema={"enum": [*agents.PROVIDERS]})]
Concurrency = Annotated[int, Meta(ge=1, le=500)]
CallTimeout = Annotated[int, Meta(ge=120, le=7200)]
Ids = Annotated[list[Id], Meta(max_length=1_000)]


class CampaignType(StrEnum):
    """What a campaign is for."""

    GENERAL = "GENERAL"
    DEBT_COLLECTION = "DEBT_COLLECTION"
    SURVEY = "SURVEY"
    REMINDER = "REMINDER"
    MARKETING = "MARKETING"
    CUSTOMER_SERVICE = "CUSTOMER_SERVICE"


Variables = Annotated[
    dict[
        Annotated[str, Meta(pattern=r"^[^\W\d]\w{0,99}\Z", description="names of letters, digits and _")],
        Annotated[str, Meta(max_length=1_000)],
    ],
    Meta(max_length=50),
]


class AgentChoice(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Which voice agent places the calls, which of the provider's agents that is, and what it is told in each.

    Where it says nothing the provider's settings hold. `max_duration_seconds` is how long a conversation may be.
    """

    provider: Provider
    agent_id: Identifier | None = None
    variables: Variables = msgspec.field(default_factory=dict)
    caller_numbers: CallerNumbers | None = None
    max_duration_seconds: LongestTalk | None = None


DEPLOYMENTS_AGENT = AgentChoice("")
"""In place of the agent that the deployment names."""


class CampaignSettings(Struct, kw_only=True, rename="camel"):
    """A campaign's settings, with what they are where nobody says anything.

    Hours of None: any time. A request that names no hours gets the organization's, one without an agent the
    deployment's.
    """

    name: Name
    description: Description | None = None
    campaign_type: CampaignType = CampaignType.GENERAL
    max_concurrent_calls: Concurrency = 10
    retry: Annotated[Retry, CLEARABLE] = Retry()
    calling_hours: CallingHours | None = None
    call_timeout_seconds: CallTimeout = 900
    agent: Annotated[AgentChoice, CLEARABLE] = DEPLOYMENTS_AGENT
    fallback_agents: Annotated[list[AgentChoice], Meta(max_length=2), CLEARABLE] = msgspec.field(default_factory=list)
    """Who places the calls while those before fail to."""

    scheduled_at: Moment | None = None

    @property
    def agents(self) -> list[AgentChoice]:
        """Who may place the calls, in the order in which they are tried."""
        return [self.agent, *self.fallback_agents]

    @property
    def providers(self) -> list[str]:
        """Of each of its `agents`."""
        return [each.provider for each in self.agents]


NewCampaign = bodies.creation("NewCampaign", CampaignSettings, contact_ids=Ids)
CampaignChange = bodies.change("CampaignChange", CampaignSettings)

WHILE_RUNNING = {"name", "description", "max_concurrent_calls", "retry", "calling_hours"}
"""What may change while a campaign runs."""


CONCERN_AGENTS = {"agent", "fallback_agents", "call_timeout_seconds"}
"""What `check_agents` looks at."""


def check_agents(given: CampaignSettings) -> None:
    """What types alone do not say of a campaign's agents. Raises InvalidBody naming the field."""
    errors: list[FieldError] = []
    for n, choice in enumerate(given.agents):
        field = f"fallbackAgents[{n - 1}]" if n else "agent"
        errors += agents.faults(choice.provider, f"{field}.provider")
        if choice.max_duration_seconds and choice.max_duration_seconds >= given.call_timeout_seconds:
            said = f"expected less than callTimeoutSeconds, which is {given.call_timeout_seconds}"
            errors.append(FieldError(f"{field}.maxDurationSeconds", said))
    if errors:
        raise InvalidBody(*errors)


def scheduled(text: str, *, now: datetime) -> str:
    """A start time a request asks for, as a stamp. Raises InvalidBody for one that is no time or has passed."""
    try:
        at = clock.moment(text)
        stamp = clock.stamp(at)
    except (ValueError, OverflowError):
        raise InvalidBody(FieldError("scheduledAt", "expected an ISO 8601 time such as 2026-11-23T06:15:00Z")) from None
    if at.tzinfo is None:
        raise InvalidBody(FieldError("scheduledAt", "expected a time zone: end it with Z or an offset such as +05:00"))
    if at <= now:
        raise InvalidBody(FieldError("scheduledAt", "the time has passed"))
    return stamp
