"""Lets a test run see one module without one of its guards.

`MUTANT="chalicelib/calls/store.py 3" pytest -p tests.mutants.plugin`; the number is the guard's place in `guards`.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

from tests.mutants.guards import guards, without

ROOT = Path(__file__).parents[2]


class Mutated(SourceFileLoader):
    """Compiles a mutant in place of the module."""

    def __init__(self, fullname: str, path: str, number: int) -> None:
        super().__init__(fullname, path)
        self.number = number

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text()
        mutant = without(source, guards(source)[self.number])
        return compile(mutant, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds the one module."""

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.name = path.removesuffix(".py").replace("/", ".")
        self.number = number

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        where = str(ROOT / self.path)
        return spec_from_file_location(fullname, where, loader=Mutated(fullname, where, self.number))


if "MUTANT" in os.environ:
    _path, _number = os.environ["MUTANT"].split()
    sys.meta_path.insert(0, Finder(_path, int(_number)))
