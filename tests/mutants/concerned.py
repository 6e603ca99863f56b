"""Which modules have guards: every store, and every module of the rooms that decide who is called."""

from __future__ import annotations

import re
from pathlib import Path

HOUSE = Path(__file__).parents[2] / "chalicelib"
DECIDE = ("calls", "campaigns", "dialing")
"""Rooms whose modules decide who is called, and what became of it. Their routes only pass on what they are told."""

FIRST = ("calls/store.py", "dialing", "campaigns", "calls", "contacts", "realtime")
"""What is tried first, by how its modules' names begin."""


def _modules() -> list[str]:
    stores = [each for each in HOUSE.glob("*/*.py") if re.search(r"^class \w+\(Row\b", each.read_text(), re.MULTILINE)]
    deciding = [each for room in DECIDE for each in (HOUSE / room).glob("*.py") if each.stem != "routes"]
    found = {str(each.relative_to(HOUSE)) for each in (*stores, *deciding)}
    return sorted({"aws/dynamodb.py", "agents/health.py", *found}, key=lambda name: (_rank(name), name))


def _rank(module: str) -> int:
    return next((rank for rank, name in enumerate(FIRST) if module.startswith(name)), len(FIRST))


MODULES = _modules()
