"""When an agent is asked after a call of which it should have told by then. Pure.

Calls that are told of in time are never asked after: when one will be looked at stands in its row from its claim on, in
place of the end of its lease.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.agents.contract import longest_talk_seconds

RING_SECONDS = 30
"""How long agents let a phone ring, as they are told."""

REPORT_SECONDS = 180
"""How long a report may take after the longest call."""

UNSURE_SECONDS = 60
"""How soon an agent is asked after a call that it may have begun: its answer was none."""

AGAIN = timedelta(minutes=5)
"""Between two questions."""

LAST = timedelta(minutes=2)
"""Before the end of the lease, so that an answer to the last question still comes in time."""

SLACK_SECONDS = 60
"""What a dialer may take beside waiting for the agent."""

UNTRACED_SECONDS = 300
"""How long after its order a call of which the agent knows nothing may still turn up."""


def first_look(call_timeout_seconds: int, max_duration_seconds: int | None, lease_seconds: float) -> float:
    """Seconds from a call's claim until it is silent for longer than it may take; at last its lease."""
    longest = longest_talk_seconds(call_timeout_seconds, max_duration_seconds) + RING_SECONDS
    return min(longest + REPORT_SECONDS, max(lease_seconds - LAST.total_seconds(), longest), lease_seconds)


def next_look(until: datetime, now: datetime) -> datetime:
    """When a call that has just been asked after is looked at again; at last at the end of its lease, `until`."""
    last = until - LAST
    return min(now + AGAIN, last) if last - now >= LAST / 2 else until


def unsure_look(due: datetime, now: datetime) -> datetime:
    """When a call is looked at that may not have begun, and would have been at `due`."""
    return min(due, now + timedelta(seconds=UNSURE_SECONDS))


def is_untraced(claimed: datetime, answer_seconds: float, now: datetime) -> bool:
    """Whether a call that was claimed then, and of which the agent knows nothing, was never placed.

    `answer_seconds` is how long a dialer waits for the agent's answer.
    """
    return now >= claimed + timedelta(seconds=SLACK_SECONDS + answer_seconds + UNTRACED_SECONDS)
