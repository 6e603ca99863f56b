"""Run many seeds: `python -m tests.simulation --seeds 2000 --profile harsh`. Exits 1 and names the seeds that fail."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.environment import variables
from tests.simulation.faults import PROFILES


def tell(people: int, profile: str, seed: int) -> tuple[int, str]:
    """A seed and what broke; nothing when all held."""
    from tests.simulation.invariants import Broken
    from tests.simulation.story import Story

    try:
        Story(seed, people, PROFILES[profile]).tell()
    except (Exception, Broken) as error:  # noqa: BLE001 (every failure is this run's result)
        return seed, f"{type(error).__name__}: {error}"
    return seed, ""


def main() -> None:
    """Run the seeds on all cores."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--contacts", type=int, default=30)
    options.add_argument("--profile", choices=PROFILES, default="wild", help="how the world misbehaves")
    options.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    given = options.parse_args()
    os.environ.update(variables())
    began, failed = time.monotonic(), []
    seeds = range(given.first, given.first + given.seeds)
    with ProcessPoolExecutor() as pool:
        for number, (seed, broken) in enumerate(pool.map(partial(tell, given.contacts, given.profile), seeds), 1):
            if broken:
                failed.append(seed)
                print(f"seed {seed}: {broken[:2000]}", flush=True)  # noqa: T201
                if given.until_failure:
                    pool.shutdown(wait=False, cancel_futures=True)
                    break
            if number % 100 == 0:
                print(f"{number} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    print(f"{len(seeds) - len(failed)} passed, {len(failed)} failed {failed or ''}")  # noqa: T201
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
