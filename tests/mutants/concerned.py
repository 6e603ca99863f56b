"""Which modules have guards, and which quick tests concern them."""

from __future__ import annotations

import re
from pathlib import Path

TESTED = Path(__file__).parents[1]
HOUSE = TESTED.parent / "chalicelib"
DECIDE = ("agents", "calls", "campaigns", "dialing")
"""Rooms whose modules decide who is called, and what became of it. Their routes only pass on what they are told."""


def _names(room: str, source: str) -> set[str]:
    """The modules of a room that a source imports."""
    whole = rf"from chalicelib\.{room} import ([\w, ]+)"
    of_it = re.findall(rf"chalicelib\.{room}\.(\w+)", source)
    return {
        *of_it,
        *(name.split()[0] for names in re.findall(whole, source) for name in names.split(",") if name.strip()),
    }


def _modules() -> list[str]:
    """Every store, and every module of the rooms that decide."""
    deciding = [module for room in DECIDE for module in (HOUSE / room).glob("*.py") if module.stem != "routes"]
    return sorted({str(module.relative_to(HOUSE)) for module in (*HOUSE.glob("*/store.py"), *deciding)})


MODULES = ("aws/dynamodb.py", *_modules())

CALLING = ["unit/test_policy.py", "unit/test_schedule.py", "unit/test_hours.py", "unit/test_health.py"]
CAMPAIGNS = ["service/test_dialing.py", "service/test_deliveries.py", "service/test_enrolment.py"]
LISTS = ["service/test_campaigns.py", "service/test_contacts.py", "service/test_lists.py"]
SIMULATED = {"aws", "calls", "campaigns", "contacts", "dialing", "agents"}

TESTS = {
    "aws": ["unit/test_store.py", *CAMPAIGNS, *LISTS],
    "agents": [*CALLING, "unit/test_agents.py", "service/test_dialing.py"],
    "calls": [*CALLING, "service/test_conditions.py", *CAMPAIGNS, *LISTS, "service/test_results.py"],
    "campaigns": [
        *CALLING,
        "service/test_organizations.py",
        "unit/test_settings.py",
        "service/test_conditions.py",
        *CAMPAIGNS,
        *LISTS,
        "service/test_results.py",
    ],
    "contacts": ["unit/test_rows.py", *LISTS, *CAMPAIGNS, "service/test_imports.py"],
    "dialing": [*CALLING, *CAMPAIGNS, "service/test_organizations.py"],
    "idempotency": ["service/test_conditions.py", "service/test_idempotency.py"],
    "imports": [
        "unit/test_planning.py",
        "unit/test_imports_bulk.py",
        "service/test_imports.py",
        "service/test_lists.py",
    ],
    "organizations": ["unit/test_organizations.py", "service/test_organizations.py"],
    "realtime": [
        *(f"unit/test_{each}.py" for each in ("events", "rate", "socketio")),
        *(f"service/test_{each}.py" for each in ("realtime", "feed", "connections", "polling")),
    ],
    "totals": [*LISTS, "service/test_imports.py"],
}
"""Room → its tests, the quickest first; those that import from the room come after them unasked."""


def _importing(room: str) -> list[str]:
    """The quick tests that import from a room."""
    files = [*sorted(TESTED.glob("unit/test_*.py")), *sorted(TESTED.glob("service/test_*.py"))]
    return [str(each.relative_to(TESTED)) for each in files if _names(room, each.read_text())]


def tests_of(module: str, seeds: int) -> list[str]:
    """The tests that are to notice a mutant of a module."""
    room = module.partition("/")[0]
    tests = list(dict.fromkeys([*TESTS[room], *_importing(room)]))
    if room in SIMULATED:
        story = "simulation/test_seeds.py::test_no_call_is_lost_doubled_or_miscounted"
        tests += [f"{story}[{seed}]" for seed in range(seeds)]
        tests += ["simulation/test_two_writers.py"]
    return [f"tests/{each}" for each in tests]
