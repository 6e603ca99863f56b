"""A test call: one phone that is rung with a campaign's agent, outside of the campaign's calls. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from chalicelib import clock
from chalicelib.calls.model import CallStatus, Result
from chalicelib.clock import Date, Moment
from chalicelib.ids import Id
from chalicelib.money import Money

NOBODY = "test-call"
"""In an attempt's key in place of a contact: the attempt is a test call."""

KEPT = timedelta(days=1)
"""How long a test call and what came of it can be looked at."""

AN_HOUR = 10
"""Test calls of a person in an hour by the clock."""


class TestCallView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A test call: PENDING, CALLING, and then how it ended; SKIPPED where nobody was rung, and the outcome says why.

    `duration` in seconds.
    """

    call_id: Id
    campaign_id: Id
    phone: str
    call_status: CallStatus
    provider: str | None
    requested_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    outcome: str | None
    summary: str | None
    duration: int | None
    recording_url: str | None
    callback_at: str | None
    promised_date: Date | None
    promised_amount: Money | None
    cost: Money | None
    do_not_call: bool


class Trial(Struct, frozen=True, kw_only=True):
    """A test call as it is kept. `until` is by when somebody reports its result, or nobody does."""

    organization_id: str
    call_id: str
    campaign_id: str
    phone: str
    contact_id: str | None = None
    status: CallStatus = CallStatus.PENDING
    provider: str | None = None
    requested_at: str
    started_at: str | None = None
    until: str | None = None
    ended_at: str | None = None
    result: Result | None = None

    def view(self, now: datetime, silence: str) -> TestCallView:
        """The test call as the API shows it; `silence` is its outcome where nobody reported it in time."""
        is_silent = self.result is None and self.until is not None and self.until <= clock.stamp(now)
        result = Result(call_status=CallStatus.FAILED, outcome=silence) if is_silent else self.result
        said = result or Result(call_status=self.status)
        return TestCallView(
            call_id=self.call_id,
            campaign_id=self.campaign_id,
            phone=self.phone,
            call_status=said.call_status,
            provider=self.provider,
            requested_at=self.requested_at,
            started_at=self.started_at,
            ended_at=self.until if is_silent else self.ended_at,
            outcome=said.outcome,
            summary=said.summary,
            duration=said.duration,
            recording_url=said.recording_url,
            callback_at=said.callback_at,
            promised_date=said.promised_date,
            promised_amount=said.promised_amount,
            cost=said.cost,
            do_not_call=said.do_not_call,
        )
