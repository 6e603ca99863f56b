"""What a contact costs: DynamoDB units, SQS requests, Lambda invocations, step by step; and the bill of 100,000 calls.

The real handlers run over an in-memory DynamoDB that counts units from item sizes: writes of a transaction twice, each
index that changes once more, reads by the 4 KB and half of it when eventually consistent.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from bench import campaign
from tests.simulation.faults import Faults

PEOPLE = (100, 10_000)
CAP = 100
CALLS = 100_000
WRITE_GOAL, READ_GOAL = 32.0, 14.0
STEPS = ("enrolment", "pacer", "dialer", "worker")
"""What counts against the goals; the worker audits the campaign at its end."""

TALK_SECONDS = 60
HANDLER_SECONDS = 0.2
MEMORY_GB = {"pacer": 0.5, "dialer": 0.25, "publisher": 0.25}
DOLLARS = {
    "DynamoDB writes": 0.625e-6,
    "DynamoDB reads": 0.125e-6,
    "SQS requests": 0.50e-6,
    "Lambda requests": 0.20e-6,
    "Lambda GB seconds": 16.6667e-6,
}
"""us-east-1, on demand, x86, no free tier, as published since November 2024:
https://aws.amazon.com/dynamodb/pricing/on-demand/, https://aws.amazon.com/sqs/pricing/ (FIFO),
https://aws.amazon.com/lambda/pricing/"""


class Costs(Struct):
    """Per contact."""

    writes: dict[str, float]
    reads: dict[str, float]
    sends: float
    invocations: dict[str, float]

    @property
    def counted(self) -> tuple[float, float]:
        """Write and read units of the steps that count."""
        return sum(self.writes[step] for step in STEPS), sum(self.reads[step] for step in STEPS)

    @property
    def sqs(self) -> float:
        """Requests: sends, and of each invocation a receive and a deletion."""
        return self.sends + 2 * (self.invocations["pacer"] + self.invocations["dialer"])


def measure(people: int) -> Costs:
    """Run a campaign and divide what it took by its contacts."""
    world = campaign.Measured(Faults(latency=(0.005, 0.02), delay=(0.1, 0.3)), talk=(30.0, 90.0), dialers=CAP)
    changes: Counter[str] = Counter()
    with world.installed():
        run = campaign.Run(world, people, cap=CAP)
        run.set_up()
        world.database.watchers.append(lambda table, *_: changes.update([table]))
        run.finish()
    streamed = sum(
        changes[table] for table in changes if table.endswith(("ContactsTable", "CallsTable", "CampaignsTable"))
    )
    each = {who: world.tally[who] / people for who in ("pacer", "dialer", "clock")} | {"publisher": streamed / people}
    return Costs(
        _units(world, "write", people), _units(world, "read", 2 * people), sum(world.sends.values()) / people, each
    )


def _units(world: campaign.Measured, kind: str, divisor: int) -> dict[str, float]:
    sums = {who: sum(n for (*_, of), n in units.items() if of == kind) for who, units in world.units.items()}
    return {who: sums.get(who, 0) / divisor for who in ("contacts", *STEPS, "clock")}


def bill(costs: Costs, *, talk_seconds: float) -> dict[str, float]:
    """Dollars of CALLS calls, each held open by a dialer for `talk_seconds`."""
    writes, reads = costs.counted
    seconds = {name: n * HANDLER_SECONDS for name, n in costs.invocations.items() if name in MEMORY_GB}
    seconds["dialer"] += talk_seconds
    amounts = {
        "DynamoDB writes": writes,
        "DynamoDB reads": reads,
        "SQS requests": costs.sqs,
        "Lambda requests": sum(costs.invocations.values()),
        "Lambda GB seconds": sum(seconds[name] * MEMORY_GB[name] for name in seconds),
    }
    return {name: CALLS * amount * DOLLARS[name] for name, amount in amounts.items()}


def main() -> bool:
    """Print the costs; whether the goals are met at every size."""
    campaign.prepare()
    measured = {people: measure(people) for people in PEOPLE}
    print(f"cost of a contact of 1 KB dialed once, at {' and '.join(map(str, PEOPLE))} contacts (DynamoDB units)")
    for kind in ("writes", "reads"):
        for step in ("contacts", *STEPS, "clock"):
            print(f"  {kind:7} {step:10}", *(f"{getattr(each, kind)[step]:8.2f}" for each in measured.values()))
    for each in measured.values():
        print("  sum without contacts: {:.2f} writes, {:.2f} reads".format(*each.counted), end="; ")
        print(f"{each.sqs:.2f} SQS requests,", ", ".join(f"{n:.2f} {name}" for name, n in each.invocations.items()))
    for name, talk_seconds in {"agent answers by webhook": 1, f"dialer waits {TALK_SECONDS} s": TALK_SECONDS}.items():
        dollars = bill(measured[PEOPLE[-1]], talk_seconds=talk_seconds)
        parts = ", ".join(f"{part} {amount:.2f}" for part, amount in dollars.items())
        print(f"  {CALLS} calls, {name}: ${sum(dollars.values()):.2f} ({parts})")
    return all(
        writes <= WRITE_GOAL and reads <= READ_GOAL for writes, reads in (each.counted for each in measured.values())
    )
