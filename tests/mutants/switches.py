"""Has the modules with guards imported with a switch at each guard, so that one process can be any of the mutants."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

from msgspec import Struct
from pynamodb.exceptions import PynamoDBException

from tests.mutants.concerned import HOUSE, MODULES
from tests.mutants.guards import SWITCH, Kind, guards, makers, switched


class Mutant(Struct, frozen=True):
    """A guard of the house that can be taken out, and its switch."""

    key: str
    """Its module and its name."""

    module: str
    line: int
    within: str
    number: int
    kind: Kind


SOURCES = {module: (HOUSE / module).read_text() for module in MODULES}
MAKERS = frozenset().union(*(makers(each.read_text()) for each in HOUSE.rglob("*.py")))


def _all() -> Iterator[Mutant]:
    first = 0
    for module, source in SOURCES.items():
        found = guards(source, MAKERS)
        for guard in found:
            yield Mutant(f"{module} {guard.name}", module, guard.line, guard.within, first + guard.place, guard.kind)
        first += len(found)


MUTANTS = list(_all())


class Switches:
    """Which guard is out, and which could be missed: those that made a difference, as far as one can see."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.missed: set[int] = set()
        self.refusing: set[int] = set()
        """Conditions: missed if something is refused."""

    def begin(self, number: int | None) -> None:
        """From now on a guard is out, or none."""
        self.number, self.missed, self.refusing = number, set(), set()

    def outcome(self, number: int, other: bool, outcome: object) -> object:
        """What a test comes to, which would always be `other` if it were out."""
        if bool(outcome) is not other:
            self.missed.add(number)
        return other if number == self.number else outcome

    def out(self, number: int) -> bool:
        """Whether a guard is out."""
        (self.refusing if number in _CONDITIONS else self.missed).add(number)
        return number == self.number

    def refused(self) -> None:
        """A write was refused, by whichever condition."""
        self.missed |= self.refusing


_CONDITIONS = frozenset(each.number for each in MUTANTS if each.kind is Kind.CONDITION)
SWITCHES = Switches()


class _Switched(SourceFileLoader):
    """Compiles a module with its switches."""

    def __init__(self, fullname: str, path: str, module: str) -> None:
        super().__init__(fullname, path)
        self.module = module

    def get_code(self, fullname: str) -> CodeType:
        first = min(each.number for each in MUTANTS if each.module == self.module)
        made = switched(SOURCES[self.module], MAKERS, first=first)
        return compile(made, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[SWITCH] = SWITCHES
        super().exec_module(module)


SWITCHED = {
    f"chalicelib.{each.removesuffix('.py').replace('/', '.')}": each for each in {mutant.module for mutant in MUTANTS}
}
"""Modules with guards: by which name they are imported, and where they are."""


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        module = SWITCHED.get(fullname)
        if module is None:
            return None
        where = str(HOUSE / module)
        return spec_from_file_location(fullname, where, loader=_Switched(fullname, where, module))


def install() -> None:
    """From now on modules are imported with their switches."""
    already = [name for name in sys.modules if name.startswith("chalicelib.")]
    assert not already, f"imported before: {already}"
    sys.meta_path.insert(0, _Finder())
    raised = PynamoDBException.__init__

    def noted(self: PynamoDBException, msg: str | None = None, cause: Exception | None = None) -> None:
        SWITCHES.refused()
        raised(self, msg, cause)

    PynamoDBException.__init__ = noted  # type: ignore[method-assign]
