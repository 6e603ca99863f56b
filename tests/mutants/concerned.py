"""Which modules have guards, and which quick tests concern them."""

from __future__ import annotations

from pathlib import Path

POLICIES = (
    "dialing/policy.py",
    "dialing/pacer.py",
    "dialing/dialer.py",
    "agents/health.py",
    "campaigns/schedule.py",
    "campaigns/hours.py",
    "campaigns/waiting.py",
    "campaigns/control.py",
    "campaigns/enrolment.py",
    "campaigns/audit.py",
)
HOUSE = Path(__file__).parents[2] / "chalicelib"
STORES = tuple(sorted(str(store.relative_to(HOUSE)) for store in HOUSE.glob("*/store.py")))
MODULES = ("aws/dynamodb.py", *STORES, *POLICIES)

CALLING = ["unit/test_policy.py", "unit/test_schedule.py", "unit/test_hours.py", "unit/test_health.py"]
CAMPAIGNS = ["service/test_dialing.py", "service/test_deliveries.py", "service/test_enrolment.py"]
LISTS = ["service/test_campaigns.py", "service/test_contacts.py", "service/test_lists.py"]
SIMULATED = {"aws", "calls", "campaigns", "contacts", "dialing", "agents"}

TESTS = {
    "aws": ["unit/test_store.py", *CAMPAIGNS, *LISTS],
    "agents": [*CALLING, "unit/test_agents.py", "service/test_dialing.py"],
    "calls": [*CALLING, *CAMPAIGNS, *LISTS, "service/test_results.py"],
    "campaigns": [
        *CALLING,
        "service/test_organizations.py",
        "unit/test_settings.py",
        *CAMPAIGNS,
        *LISTS,
        "service/test_results.py",
    ],
    "contacts": ["unit/test_rows.py", *LISTS, *CAMPAIGNS, "service/test_imports.py"],
    "dialing": [*CALLING, *CAMPAIGNS, "service/test_organizations.py"],
    "idempotency": ["service/test_idempotency.py"],
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
"""Room → its tests, the quickest first."""


def tests_of(module: str, seeds: int) -> list[str]:
    """The tests that are to notice a mutant of a module."""
    room = module.partition("/")[0]
    tests = list(TESTS[room])
    if room in SIMULATED:
        story = "simulation/test_seeds.py::test_no_call_is_lost_doubled_or_miscounted"
        tests += [f"{story}[{seed}]" for seed in range(seeds)]
        tests += ["simulation/test_two_writers.py"]
    return [f"tests/{each}" for each in tests]
