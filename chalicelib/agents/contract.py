"""What a voice agent is asked and what it may answer. Providers implement `Agent`; the dialer knows no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from chalicelib.agents.health import Verdict
from chalicelib.calls.model import Result
from chalicelib.errors import Failure


class CallOrder(Struct, frozen=True, kw_only=True, rename="camel"):
    """A call to be placed: the body of the `http` provider's request. `call_id` is the attempt's id."""

    phone_number: str
    first_name: str
    last_name: str
    custom_data: dict[str, Any]
    call_id: str
    campaign_id: str
    contact_id: str
    campaign_type: str
    callback_url: str


class Accepted(Struct, frozen=True):
    """The agent places the call and reports its result later."""


class Declined(Struct, frozen=True):
    """The agent will not call this contact: an end of the call, which spends an attempt. `words` are the agent's."""

    result: Result
    words: str


class NotPlaced(Failure):
    """The agent surely began no call: it may be asked again, when it is no longer full, away or refusing us."""

    def __init__(self, message: str, verdict: Verdict = Verdict.AWAY) -> None:
        super().__init__(message)
        self.verdict = verdict


class OutcomeUnknown(Failure):
    """Nobody knows whether a call began or how it ended: it waits for its webhook. `said` is what its answer says."""

    def __init__(self, message: str, said: str | None = None) -> None:
        super().__init__(message)
        self.said = said


class Webhook(Struct, frozen=True):
    """What a webhook tells: the result of a call, by the attempt's id."""

    call_id: str
    result: Result


class Agent(Protocol):
    """A voice-agent provider."""

    def place(self, order: CallOrder) -> Result | Accepted | Declined:
        """Place a call. Returns its result when the agent waits for it. Raises NotPlaced or OutcomeUnknown."""

    @property
    def waits_seconds(self) -> float | None:
        """How long an answer takes at most when it always is the result; None when results may come later."""


class Reporter(Protocol):
    """A provider that reports results by webhook."""

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Webhook:
        """What a webhook tells. Raises Unauthorized when it is not the provider's, InvalidBody."""
