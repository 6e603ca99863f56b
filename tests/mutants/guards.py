"""The guards of a module, each of which can be taken out: read from its syntax, so that no list can be outdated.

A guard is a conjunct of a PynamoDB condition, a consistent read, a test (of `if`, `while`, `case`, a comprehension), an
operand of such a test, or a comparison whose outcome is returned or kept. Pure.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import TypeGuard

from msgspec import Struct

CONDITIONS = {"exists", "does_not_exist", "is_in", "between", "startswith", "contains"}
"""Methods of an attribute that make a condition."""


SWITCH = "_switch_"
"""What a switched module calls its switches: see `switched`."""


class Kind(StrEnum):
    """What a guard is, which tells where it could be missed."""

    TEST = "test"
    """It comes out one way, whatever is asked: only a test that sees it come out the other way could miss it."""

    CONDITION = "condition"
    """It always holds: only a test in which something is refused could miss it."""

    OTHER = "other"


class Guard(Struct, frozen=True):
    """A guard that can be taken out. `name` says which and how, and outlives changes elsewhere in the module."""

    name: str
    line: int
    place: int
    """Its place among the changes that can be made to the module."""

    within: str
    """The function it stands in, as it is written."""

    kind: Kind


class Change(Struct, frozen=True):
    """What stands in place of a piece of syntax."""

    node: ast.expr
    instead: ast.expr
    what: str
    kind: Kind = Kind.OTHER


def makers(source: str) -> set[str]:
    """The functions of a module that make a condition, by their annotation."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {each.name for each in functions if each.returns is not None and _is_condition_type(each.returns)}


def guards(source: str, makers: Collection[str] = ()) -> list[Guard]:
    """Every guard of a module, in the order of its lines. `makers` are functions that make conditions."""
    reading = _Reading(ast.parse(source), makers)
    seen: Counter[str] = Counter()
    found = []
    for place, change in enumerate(_changes(reading)):
        name = f"{reading.place(change.node)}: {change.what}"
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(Guard(name + again, change.node.lineno, place, reading.within(change.node), change.kind))
    return sorted(found, key=lambda guard: guard.line)


def switched(source: str, makers: Collection[str] = (), *, first: int = 0) -> ast.Module:
    """The module with a switch at each guard, whose number is `first` and its place.

    A test's outcome goes through `SWITCH.outcome(number, the other outcome, outcome)`; what else stands for a guard is
    there when `SWITCH.out(number)` says so.
    """
    reading = _Reading(ast.parse(source), makers)
    _Switching(list(_changes(reading)), first).visit(reading.module)
    return ast.fix_missing_locations(reading.module)


class _Switching(ast.NodeTransformer):
    def __init__(self, changes: list[Change], first: int) -> None:
        self.changes: dict[ast.AST, list[tuple[int, Change]]] = defaultdict(list)
        for place, change in enumerate(changes):
            self.changes[change.node].append((first + place, change))

    def visit(self, node: ast.AST) -> ast.AST:
        changes = self.changes.pop(node, [])
        stands = self.generic_visit(node)
        for number, change in changes:
            assert isinstance(stands, ast.expr)
            if change.kind is Kind.TEST:
                stands = _call("outcome", ast.Constant(number), change.instead, stands)
            else:
                stands = ast.IfExp(_call("out", ast.Constant(number)), change.instead, stands)
        return stands


def _call(name: str, *given: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(SWITCH, ast.Load()), name, ast.Load()), list(given), [])


class _Reading:
    """A module's syntax with the way up, and the names that stand for an attribute of a row."""

    def __init__(self, module: ast.Module, makers: Collection[str]) -> None:
        self.module = module
        self.makers = makers
        self.parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
        self.attributes: set[str] = set()
        self.attributes = {
            target.id
            for node in ast.walk(module)
            if isinstance(node, ast.Assign) and self.is_attribute(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def place(self, node: ast.AST) -> str:
        """The function, or class and function, something stands in."""
        names = [each.name for each in self.above(node) if isinstance(each, ast.FunctionDef | ast.ClassDef)]
        return ".".join(reversed(names)) or "module"

    def within(self, node: ast.AST) -> str:
        """The outermost function something stands in, as it is written."""
        functions = [each for each in self.above(node) if isinstance(each, ast.FunctionDef)]
        return ast.unparse(functions[-1]) if functions else ""

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def is_attribute(self, node: ast.AST) -> bool:
        """Whether it is an attribute of a row, as conditions are made of."""
        if isinstance(node, ast.Name):
            return node.id in self.attributes
        return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id.endswith("Row")

    def is_condition(self, node: ast.AST) -> TypeGuard[ast.expr]:
        """Whether it is a condition for DynamoDB."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.AnnAssign) and node is parent.value:
            return _is_condition_type(parent.annotation)
        match node:
            case ast.Compare(left=ast.Call(func=ast.Name("size"), args=[of])):
                return self.is_attribute(of)
            case ast.Compare(left=left):
                return self.is_attribute(left)
            case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in self.makers:
                return True
            case ast.Call(func=ast.Attribute(value=of, attr=name)):
                return name in CONDITIONS and self.is_attribute(of)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right):
                return self.is_condition(left) or self.is_condition(right)
        return False


def _changes(reading: _Reading) -> Iterator[Change]:
    for node in ast.walk(reading.module):
        if reading.is_condition(node):
            yield from _condition(node, reading)
        elif isinstance(node, ast.keyword) and node.arg in ("consistent", "consistent_read") and _is_true(node.value):
            yield Change(node.value, ast.Constant(False), f"the read is not {node.arg}")
        elif isinstance(node, ast.Dict):
            yield from _asked_for(node)
        for test in _tests_in(node):
            yield from _test(test, reading)


def _tests_in(node: ast.AST) -> list[ast.expr]:
    """What a piece of syntax goes by, or has for its outcome."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            return [] if _is_true(test) else [test]
        case ast.match_case(guard=ast.expr() as test):
            return [test]
        case ast.comprehension(ifs=tests):
            return tests
        case ast.Return(value=value) | ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.keyword(value=value):
            return [value] if _is_boolean(value) else []
        case ast.GeneratorExp(elt=value):
            return [value] if _is_boolean(value) else []
    return []


def _asked_for(node: ast.Dict) -> Iterator[Change]:
    """A consistent read in a request that is put together by hand."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "ConsistentRead" and _is_true(value):
            yield Change(value, ast.Constant(False), "the read is not consistent")


def _condition(node: ast.expr, reading: _Reading) -> Iterator[Change]:
    """A conjunct that always holds; an alternative that is left out; a range that is not asked for."""
    parent = reading.parents[node]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
        return
    if isinstance(node, ast.BinOp):
        for out, left in ((node.left, node.right), (node.right, node.left)):
            yield Change(node, left, f"no alternative {ast.unparse(out)}")
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.BitOr):
        return
    if _may_be_none(node, parent):
        yield Change(node, ast.Constant(None), f"without {ast.unparse(node)}")
    else:
        always = ast.BinOp(node, ast.BitOr(), ast.UnaryOp(ast.Invert(), node))
        yield Change(node, always, f"without {ast.unparse(node)}", Kind.CONDITION)


def _may_be_none(node: ast.expr, parent: ast.AST) -> bool:
    """Whether a condition is a query's range, or is there only in one of two cases."""
    match parent:
        case ast.Call(func=ast.Attribute(attr="query")):
            return True
        case ast.IfExp(body=body, orelse=other):
            return any(isinstance(each, ast.Constant) for each in (body, other) if each is not node)
    return False


def _test(node: ast.expr, reading: _Reading) -> Iterator[Change]:
    """A test that always comes out one way, and one without one of its operands."""
    text = ast.unparse(node)
    if reading.is_condition(node):
        return
    if isinstance(node, ast.BoolOp):
        neutral = isinstance(node.op, ast.And)
        for operand in node.values:
            yield Change(operand, ast.Constant(neutral), f"{text} without {ast.unparse(operand)}", Kind.TEST)
        yield Change(node, ast.Constant(not neutral), f"{text} is {not neutral}", Kind.TEST)
        return
    for outcome in (True, False):
        yield Change(node, ast.Constant(outcome), f"{text} is {outcome}", Kind.TEST)
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Tuple):
        yield from _pairs(node, text)


def _pairs(node: ast.Compare, text: str) -> Iterator[Change]:
    """A comparison of tuples without one of their members."""
    [right] = node.comparators
    if not isinstance(node.left, ast.Tuple) or not isinstance(right, ast.Tuple):
        return
    for n, member in enumerate(node.left.elts):
        left, rest = ([each for m, each in enumerate(side.elts) if m != n] for side in (node.left, right))
        fewer = ast.Compare(ast.Tuple(left, ast.Load()), node.ops, [ast.Tuple(rest, ast.Load())])
        yield Change(node, fewer, f"{text} without {ast.unparse(member)}")


def _is_condition_type(annotation: ast.expr) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "Condition"


def _is_true(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_boolean(node: ast.AST | None) -> TypeGuard[ast.expr]:
    """Whether an expression is a test by its looks, and no value with a default."""
    if isinstance(node, ast.BoolOp):
        return _is_boolean(node.values[-1])
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
