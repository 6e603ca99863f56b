"""What the pacer orders of dialers, and what it is told of calls."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from chalicelib.agents.health import Said
from chalicelib.aws import sqs
from chalicelib.calls.model import CallState, Result
from chalicelib.campaigns.messages import CampaignEvent, GivenUp, Wake
from chalicelib.settings import settings


class Ended(CampaignEvent, frozen=True, tag="ended"):
    """An attempt ended with a result. `waited`: the agent answered with it, holding the dialer all the time."""

    contact_id: str
    attempt_id: str
    result: Result
    said: Said | None = None
    waited: bool = False


class Released(CampaignEvent, frozen=True, tag="released"):
    """A claim ended without a call: it goes back to waiting, dialed again `delay_seconds` from now at the earliest.

    `state` is where the dialer leaves the call: QUEUED when it was turned away at the gate, CALLING when it had passed.
    Its `claimed_by` is there where the dialer does not know whether it had passed: the answer to its claim was lost.
    `said` is what that says of the agent, where it was asked; `zone` where the call waits from now on, if elsewhere.
    """

    contact_id: str
    attempt_id: str
    lease: int
    state: CallState
    reason: str
    delay_seconds: int = 0
    said: Said | None = None
    zone: str | None = None
    claimed_by: str | None = None


class Undialed(CampaignEvent, frozen=True, tag="undialed"):
    """The agent dialed nobody although it had, or may have, accepted the call: it waits for another attempt.

    Another one, as providers answer a second order of the same attempt by what became of the first.
    """

    contact_id: str
    attempt_id: str
    reason: str
    said: Said | None = None
    delay_seconds: int = 0


class Heard(CampaignEvent, frozen=True, tag="heard"):
    """What a try to place a call says of the agent, when the call itself goes on; its `answer` if it says no result."""

    contact_id: str
    attempt_id: str
    said: Said
    answer: str | None = None


class Skipped(CampaignEvent, frozen=True, tag="skipped"):
    """The contact must not be called."""

    contact_id: str
    attempt_id: str
    lease: int
    reason: str


CallEvent = Ended | Released | Undialed | Skipped | Heard | GivenUp
"""What may change a call."""

Event = Wake | CallEvent


class Dial(sqs.Message, frozen=True, kw_only=True, rename="camel"):
    """Place a claimed call, with one of the campaign's agents: `agent` is its place among them."""

    organization_id: str
    campaign_id: str
    contact_id: str
    attempt_id: str
    lease: int
    agent: int = 0
    call_timeout_seconds: int


class Ask(sqs.Message, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="ask"):
    """Ask the agent after a call that was ordered then and of which it has not told.

    `unsure`: it may never have begun it.
    """

    organization_id: str
    campaign_id: str
    contact_id: str
    attempt_id: str
    provider: str
    ordered_at: str
    unsure: bool = False


class _Kind(Struct, frozen=True):
    type: str = "dial"


def order(body: str) -> Dial | Ask:
    """What a dialer is ordered to do. Raises msgspec.ValidationError."""
    kind = Ask if sqs.decode(body, _Kind).type == "ask" else Dial
    made: Dial | Ask = sqs.decode(body, kind)
    return made


def dial(organization_id: str, orders: Iterable[Dial | Ask], *, delay_seconds: int = 0) -> None:
    """Post an organization's orders to its dialers, to be carried out after a delay."""
    sqs.send(settings().dial_queue, orders, tenant=organization_id, delay_seconds=delay_seconds)
