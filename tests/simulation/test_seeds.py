"""A hundred stories, each of another seed; and a seed is one story, wherever it is told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.story import Story

PROGRAM = """
from tests.simulation.story import Story
print(*Story(7, people=30).tell().invariants.dialed_attempts)
"""


@pytest.mark.parametrize("seed", range(100))
def test_no_call_is_lost_doubled_or_miscounted(seed: int) -> None:
    world = Story(seed, people=30).tell()
    assert world.invariants.checks > 100


def test_seed_tells_the_same_story_in_every_process() -> None:
    first, second = (told(hash_seed) for hash_seed in "12")
    assert len(first) > 10
    assert first == second


def told(hash_seed: str) -> list[str]:
    """The attempts dialed in a process of its own, in their order; sets are ordered by `hash_seed`."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True).split()
