"""`python -m bench` runs every bench, `python -m bench pacing http` those named. Exits 1 when a goal is missed."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHES = ("http", "start", "pacing", "cost", "sockets", "workbook")

if __name__ == "__main__":
    results = {name: import_module(f"bench.{name}").main() for name in sys.argv[1:] or BENCHES}
    missed = [name for name, good in results.items() if not good]
    print(f"{len(results) - len(missed)} passed, {len(missed)} failed {' '.join(missed)}")
    sys.exit(bool(missed))
