"""What counts as a guard, and what is left of a module without it."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.mutants import concerned
from tests.mutants.concerned import MODULES, TESTS
from tests.mutants.guards import guards, without


def without_guards(source: str) -> dict[str, str]:
    """Each guard of a function → the line that stands in place of the one with the guard."""
    source = dedent(source)
    made = {each.name.removeprefix("f: "): ast.unparse(without(source, each)) for each in guards(source)}
    return {name: module.splitlines()[1].strip() for name, module in made.items()}


def test_conjunct_of_a_condition_always_holds() -> None:
    assert without_guards("def f():\n    return (CallRow.a == 1) & CallRow.b.exists()") == {
        "without CallRow.a == 1": "return (CallRow.a == 1 | ~(CallRow.a == 1)) & CallRow.b.exists()".replace(
            "CallRow.a == 1 |", "(CallRow.a == 1) |"
        ),
        "without CallRow.b.exists()": "return (CallRow.a == 1) & (CallRow.b.exists() | ~CallRow.b.exists())",
    }


def test_alternatives_of_a_condition_are_left_out_one_by_one_and_together() -> None:
    assert set(without_guards("def f():\n    free = CallRow.a.exists() | (CallRow.b == 1)")) == {
        "no alternative CallRow.a.exists()",
        "no alternative CallRow.b == 1",
        "without CallRow.a.exists() | (CallRow.b == 1)",
    }


def test_range_of_a_query_is_not_asked_for() -> None:
    assert without_guards("def f():\n    return CallRow.query(key, CallRow.a > 1)") == {
        "without CallRow.a > 1": "return CallRow.query(key, None)"
    }


def test_read_is_not_consistent() -> None:
    assert without_guards("def f():\n    return find(1, consistent=True)") == {
        "the read is not consistent": "return find(1, consistent=False)"
    }


def test_test_comes_out_one_way_and_loses_its_operands() -> None:
    assert without_guards("def f():\n    return [each for each in all if each and each > 1]") == {
        "each and each > 1 without each": "return [each for each in all if True and each > 1]",
        "each and each > 1 without each > 1": "return [each for each in all if each and True]",
        "each and each > 1 is False": "return [each for each in all if False]",
    }


def test_comparison_of_tuples_loses_its_members() -> None:
    changed = without_guards("def f():\n    return (a, b) == (c, d)")
    assert changed["(a, b) == (c, d) without a"] == "return (b,) == (d,)"
    assert changed["(a, b) == (c, d) is True"] == "return True"


def test_default_of_a_value_is_no_guard() -> None:
    assert without_guards("def f():\n    return given or 1") == {}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_with_guards_has_tests_that_concern_it(module: str) -> None:
    assert TESTS[module.partition("/")[0]]


def test_store_policy_or_test_is_concerned_unasked() -> None:
    assert {"calls/store.py", "organizations/store.py", "dialing/telling.py", "agents/reports.py"} <= set(MODULES)
    assert "campaigns/routes.py" not in MODULES
    assert "tests/service/test_withdrawals.py" in concerned.tests_of("calls/store.py", 0)
