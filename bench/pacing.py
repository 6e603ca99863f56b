"""Is the cap used? Calls really under way against `maxConcurrentCalls`, while contacts wait, in virtual time."""

from __future__ import annotations

from bench import campaign
from tests.simulation.faults import Faults

PEOPLE = 5_000
CAP = 100
TALK = (30.0, 90.0)
HOP = 0.3
"""Seconds a message takes from one function to the next."""

GOAL = 0.95
SAMPLE = 0.5
"""Seconds between two looks."""


def occupancy(people: int = PEOPLE, cap: int = CAP) -> tuple[float, float]:
    """Mean and highest share of the cap under way, from the start until nobody waits any more."""
    world = campaign.Measured(Faults(latency=(0.005, 0.02), delay=(HOP, HOP)), talk=TALK, dialers=cap)
    looks: list[float] = []

    def look() -> None:
        if run.campaign.waiting:
            looks.append(len(world.line.live()) / cap)
            world.at(SAMPLE, look)

    with world.installed():
        run = campaign.Run(world, people, cap=cap)
        run.set_up()
        world.at(SAMPLE, look)
        run.finish()
    return sum(looks) / len(looks), max(looks)


def main() -> bool:
    """Print the occupancy; whether the goal is met."""
    campaign.prepare()
    mean, highest = occupancy()
    print(f"pacing: {PEOPLE} contacts, cap {CAP}, calls of {TALK[0]:.0f}–{TALK[1]:.0f} s, {HOP} s a hop")
    print(f"  mean occupancy {mean:.1%} (goal ≥ {GOAL:.0%}), highest {highest:.1%} (goal ≤ 100%)")
    return mean >= GOAL and highest <= 1
