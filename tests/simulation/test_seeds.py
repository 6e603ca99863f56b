"""A hundred stories, each of another seed."""

from __future__ import annotations

import pytest

from tests.simulation.story import Story


@pytest.mark.parametrize("seed", range(100))
def test_no_call_is_lost_doubled_or_miscounted(seed: int) -> None:
    world = Story(seed, people=30).tell()
    assert world.invariants.checks > 100
