"""Takes one guard after another out and runs the tests that could miss it: `make mutants ARGS="calls/store.py"`.

Prints who survived and how many were noticed; exits 1 when somebody survived without a reason in `survivors.toml`.

One process imports everything with a switch at each guard. It first runs every file of tests, in a fork, and writes
down which guards each test could miss: those of whose tests it sees both outcomes, and, where a write was refused, the
conditions. Then, for each guard, it runs the tests that could miss it, in a fork where the guard is out: first such as
noticed others in the same function or of the same kind, then the quickest, until one fails or twenty seconds of them
have passed. What was noticed once is not tried again while the function it stands in stays as it is, so a run may be
broken off and go on where it was; `--afresh` forgets all that.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import tomllib
from collections import defaultdict
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from msgspec import Struct

from tests.mutants import switches
from tests.mutants.guards import Kind
from tests.mutants.switches import MUTANTS, Mutant
from tests.mutants.tries import Ran, Tries

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "mutants"
REASONS = Path(__file__).with_name("survivors.toml")
TESTS = ("tests/unit", "tests/service", "tests/simulation/test_two_writers.py", "tests/simulation/test_crash_matrix.py")
STORY = "tests/simulation/test_seeds.py::test_no_call_is_lost_doubled_or_miscounted"
NO_CONCERN = "*/test_workbook_*.py"
"""Tests of the file readers, which know of no store."""

T = TypeVar("T")


class Recorded(Struct):
    """A test's own file as it was, the seconds the test takes of the processor, and the guards it could miss."""

    digest: str
    seconds: float
    missed: list[str]


class Noticed(Struct):
    """A mutant's function as it was, and the test that failed."""

    digest: str
    test: str
    said: str


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("only", nargs="*", help="parts of the mutants' names, such as calls/store.py or _unchanged")
    options.add_argument("--seeds", type=int, default=10, help="stories of the simulation a mutant must outlive")
    options.add_argument("--seconds", type=float, default=20, help="of tests that a mutant is to be noticed in")
    options.add_argument("--tests", nargs="+", help="files of tests, in place of all")
    options.add_argument("--list", action="store_true", help="name the mutants and try none")
    options.add_argument("--afresh", action="store_true", help="forget what was recorded and noticed before")
    given = options.parse_args()
    wanted = [each for each in MUTANTS if not given.only or any(part in each.key for part in given.only)]
    if given.list:
        return print(*(f"{each.key}, line {each.line}" for each in wanted), sep="\n")  # noqa: T201
    if given.afresh:
        for each in KEPT.glob("*.json"):
            each.unlink()
    switches.install()
    run = Run(wanted, given.seconds)
    tests = given.tests or [*TESTS, *(f"{STORY}[{seed}]" for seed in range(given.seeds))]
    plain = ["-s", "-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    plain.append(f"--ignore-glob={NO_CONCERN}")
    sys.exit(pytest.main([*plain, *tests], plugins=[Tries(run.work)]) or run.tell())


class Run:
    """The mutants that are wanted, and what is known of them."""

    def __init__(self, wanted: list[Mutant], seconds: float) -> None:
        self.wanted = wanted
        self.seconds = seconds
        self.recorded: dict[str, Recorded] = {}
        self.noticed: dict[str, Noticed] = {}
        self.survived: list[Mutant] = []
        self.reliable: set[str] = set()
        self.began = time.monotonic()

    def work(self, tries: Tries) -> None:
        """Record which guards each test could miss, and try the mutants that nobody noticed so far."""
        self._record(tries)
        self.noticed = _load("noticed", dict[str, Noticed])
        concerned = defaultdict(list)
        for test, recorded in self.recorded.items():
            for key in recorded.missed:
                concerned[key].append(test)
        runs = {(each.module, each.within) for each in MUTANTS if concerned[each.key]}
        settled = {
            each.key for each in MUTANTS if each.number in tries.on_import and (each.module, each.within) not in runs
        }
        self.wanted = [each for each in self.wanted if each.key not in settled]
        for number, mutant in enumerate(self.wanted, 1):
            before = self.noticed.pop(mutant.key, None)
            if before and before.digest == _digest(mutant.within):
                self.noticed[mutant.key] = before
                continue
            began = time.monotonic()
            tests = self._ordered(mutant, concerned[mutant.key])
            last = self._try(tries, mutant, tests)
            if last:
                self.noticed[mutant.key] = Noticed(_digest(mutant.within), last.test, last.said)
                _keep("noticed", self.noticed)
            else:
                self.survived.append(mutant)
            said = f"noticed  {mutant.key}: {last.test}" if last else f"SURVIVED {mutant.key}"
            self._print(f"{number} of {len(self.wanted)}, {time.monotonic() - began:.1f} s, {len(tests)} tests: {said}")

    def _try(self, tries: Tries, mutant: Mutant, tests: list[str]) -> Ran | None:
        """The test that notices a mutant, and passes by itself without it."""
        seconds = {test: recorded.seconds for test, recorded in self.recorded.items()}
        while tests:
            last = tries.run(tests, seconds, mutant.number)[-1]
            if not last.said:
                return None
            if last.test not in self.reliable and tries.run([last.test], seconds)[-1].said:
                self._print(f"fails by itself without any mutant: {last.test}")
                tests = [test for test in tests if test != last.test]
                continue
            self.reliable.add(last.test)
            return last
        return None

    def _record(self, tries: Tries) -> None:
        """Run each file of tests that is not as it was. A test that fails here without any mutant is left out."""
        known = _load("recorded", dict[str, Recorded])
        by_number = {each.number: each.key for each in MUTANTS}
        files = defaultdict(list)
        for test, item in tries.items.items():
            files[item.path].append(test)
        for number, (path, tests) in enumerate(files.items(), 1):
            digest = _digest(path.read_text())
            new = left = [test for test in tests if test not in known or known[test].digest != digest]
            while left:
                ran = tries.run(left, {})
                left = left[len(ran) :]
                for each in ran:
                    missed = [] if each.said else sorted(by_number[number] for number in each.missed)
                    known[each.test] = Recorded(digest, each.seconds, missed)
                    if each.said:
                        self._print(f"left out, as it fails here without any mutant: {each.test}: {each.said}")
            if new:
                _keep("recorded", known)
                self._print(f"{number} of {len(files)} files recorded: {path.name}")
        self.recorded = {test: known[test] for test in tries.items}

    def _ordered(self, mutant: Mutant, tests: list[str]) -> list[str]:
        """The tests a mutant is to be noticed in, in the order in which they probably do so soonest."""
        near = {each.key for each in MUTANTS if (each.module, each.within) == (mutant.module, mutant.within)}
        like = {each.key for each in MUTANTS if each.kind is mutant.kind is not Kind.TEST}
        noticing = [self._noticing(near), self._noticing(like)]

        def soonest(test: str) -> tuple[bool, ...]:
            return tuple(_function(test) not in functions for functions in noticing)

        ordered = sorted(sorted(tests, key=lambda test: self.recorded[test].seconds), key=soonest)
        so_far = accumulate(self.recorded[test].seconds for test in ordered)
        return [test for test, seconds in zip(ordered, so_far, strict=True) if seconds <= self.seconds] or ordered[:1]

    def _noticing(self, mutants: set[str]) -> set[str]:
        """The functions of the tests that noticed any of some mutants."""
        return {_function(noticed.test) for key, noticed in self.noticed.items() if key in mutants}

    def tell(self) -> int:
        """Print who survived. Returns 1 when one did so without a reason."""
        reasons: dict[str, str] = tomllib.loads(REASONS.read_text())
        self._print(f"\n{len(self.wanted) - len(self.survived)} of {len(self.wanted)} noticed")
        for each in self.survived:
            self._print(f"  {each.key}, line {each.line}: {reasons.get(each.key, 'NO REASON GIVEN')}")
        return int(not self.wanted or any(each.key not in reasons for each in self.survived))

    def _print(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:.0f} s: {text}", flush=True)  # noqa: T201


def _function(test: str) -> str:
    return test.partition("[")[0]


def _load(name: str, kind: type[T]) -> T:
    path = KEPT / f"{name}.json"
    return msgspec.json.decode(path.read_bytes() if path.exists() else b"{}", type=kind)


def _keep(name: str, what: object) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_bytes(msgspec.json.encode(what))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
