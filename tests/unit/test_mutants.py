"""What counts as a guard, and what is left of a module without it."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.mutants.concerned import HOUSE, MODULES
from tests.mutants.guards import SWITCH, guards, makers, switched


class Without(ast.NodeTransformer):
    """A switched module as it is with one of its guards taken out, or with none."""

    def __init__(self, number: int) -> None:
        self.number = number

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        match node.test:
            case ast.Call(func=ast.Attribute(ast.Name(id=name), "out"), args=[ast.Constant(n)]) if name == SWITCH:
                return self.generic_visit(node.body) if n == self.number else self.visit(node.orelse)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node:
            case ast.Call(ast.Attribute(ast.Name(id=name), "outcome"), [ast.Constant(n), other, it]) if name == SWITCH:
                return other if n == self.number else self.visit(it)
        return self.generic_visit(node)


def without(source: str, number: int, *known: str) -> str:
    """A source without the guard of a number."""
    return ast.unparse(Without(number).visit(switched(source, known)))


def without_guards(source: str, *known: str) -> dict[str, str]:
    """Each guard of a function → the line that stands in place of the one with the guard."""
    source = dedent(source)
    found = guards(source, known)
    made = {each.name.removeprefix("f: "): without(source, each.place, *known) for each in found}
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


def test_condition_that_a_function_makes_can_be_taken_out() -> None:
    assert makers("def still(one: int) -> Condition: ...\ndef count() -> int: ...") == {"still"}
    made = without_guards("def f():\n    return (CallRow.a == 1) & still(CallRow.b, 2)", "still")
    assert made["without still(CallRow.b, 2)"] == (
        "return (CallRow.a == 1) & (still(CallRow.b, 2) | ~still(CallRow.b, 2))"
    )


def test_condition_is_what_is_declared_one_or_asks_for_a_size() -> None:
    assert set(without_guards("def f():\n    none: Condition = given.does_not_exist()")) == {
        "without given.does_not_exist()"
    }
    assert set(without_guards("def f():\n    return size(CallRow.a) == 1")) == {"without size(CallRow.a) == 1"}


@pytest.mark.parametrize("module", MODULES)
def test_module_with_switches_is_the_module_while_no_guard_is_out(module: str) -> None:
    source = (HOUSE / module).read_text()
    assert without(source, -1, "still", "_unchanged") == ast.unparse(ast.parse(source))


def test_guards_of_a_module_have_names_of_their_own() -> None:
    for module in MODULES:
        names = [each.name for each in guards((HOUSE / module).read_text())]
        assert len(set(names)) == len(names)


def test_store_or_policy_has_guards_unasked() -> None:
    assert {"calls/store.py", "realtime/sessions.py", "dialing/telling.py", "agents/health.py"} <= set(MODULES)
    assert "campaigns/routes.py" not in MODULES
