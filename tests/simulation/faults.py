"""How a world misbehaves, and the profiles there are of it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

STALE_SECONDS = 5.0
"""How old the rows may be that a read shows which is not consistent; AWS says less than a second, usually."""

OUTAGE_SECONDS = 60.0


class Faults(Struct, kw_only=True):
    """Probabilities per event, times in seconds."""

    kill: float = 0.0
    duplicate: float = 0.0
    lose: float = 0.0
    conflict: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)
    slow: float = 0.0
    late: float = 0.0
    """How often a dial message is held back, within its lease or until that has ended and the pacer is at work."""

    delay: tuple[float, float] = (0.01, 0.2)
    index_lag: float = 0.0
    stale: float = 0.0
    """How often a read that is not consistent shows rows as they were up to STALE_SECONDS ago."""

    throttle: float = 0.0
    """How often DynamoDB refuses a request for good: the SDK's own tries are over."""

    unprocessed: float = 0.0
    """How often DynamoDB leaves a part of a batch."""

    refuse: float = 0.0
    """How often SQS refuses a message of a batch, and how often the whole batch."""

    outage: float = 0.0
    """How often a queue begins to refuse everything for up to OUTAGE_SECONDS, which no sender outwaits."""

    unanswered: float = 0.0
    """How often a request is carried out and its answer lost, after all the SDK's own tries."""

    interference: float = 0.0
    """How often an operator acts just while a call is on its way to the agent."""

    agent: float = 0.0
    """How often the agent is anything but prompt and honest."""


CALM = Faults()
WILD = Faults(
    kill=0.01,
    duplicate=0.1,
    lose=0.02,
    conflict=0.02,
    slow=0.05,
    late=0.1,
    delay=(0.01, 3.0),
    index_lag=5.0,
    interference=0.1,
    stale=0.3,
    unprocessed=0.2,
    agent=0.4,
)
THROTTLED = {"throttle": 0.005}
REFUSING = {"refuse": 0.01, "outage": 0.005}
UNANSWERED = {"unanswered": 0.005}

PROFILES = {
    "wild": WILD,
    "throttled": replace(WILD, **THROTTLED),
    "refusing": replace(WILD, **REFUSING),
    "unanswered": replace(WILD, **UNANSWERED),
    "harsh": replace(WILD, **THROTTLED, **REFUSING, **UNANSWERED),
}
"""The default; what is not survived everywhere yet, one by one; and all together."""
