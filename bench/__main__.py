"""`python -m bench` runs every bench, `python -m bench pacing http` those named. Exits 1 when a goal is missed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

BENCHES = ("http", "start", "hours", "pacing", "cost", "sockets", "polling", "flood", "workbook", "load")


def main(names: list[str]) -> bool:
    """Run one bench here, or several each in a process of its own; whether all goals are met."""
    if len(names) == 1:
        met: bool = import_module(f"bench.{names[0]}").main()
        return met
    missed = [name for name in names if subprocess.run([sys.executable, "-m", "bench", name], check=False).returncode]
    print(f"{len(names) - len(missed)} passed, {len(missed)} failed {' '.join(missed)}")
    return not missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="bench", help=", ".join(BENCHES))
    given = parser.parse_args().names or list(BENCHES)
    if unknown := [name for name in given if name not in BENCHES]:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    sys.exit(not main(given))
