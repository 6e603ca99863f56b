"""Takes one guard after another out and runs the tests concerned: `make mutants ARGS="calls/store.py"`.

Prints who survived and how many were noticed; exits 1 when somebody survived without a reason in `survivors.toml`. What
was noticed once is not tried again while its module stays as it is: a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.mutants.concerned import MODULES, tests_of
from tests.mutants.guards import guards

ROOT = Path(__file__).parents[2]
NOTICED = ROOT / "build" / "mutants-noticed.json"
REASONS = Path(__file__).with_name("survivors.toml")
PATIENCE_SECONDS = 1800
"""A mutant that comes to no end has been noticed."""


class Try(Struct, frozen=True):
    """A mutant to be tried: its module, its place among that module's mutants, its name and its line."""

    module: str
    number: int
    name: str
    line: int

    @property
    def key(self) -> str:
        return f"{self.module} {self.name}"


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("only", nargs="*", help="parts of the mutants' names, such as calls/store.py or _unchanged")
    options.add_argument("--seeds", type=int, default=20, help="stories of the simulation a mutant must outlive")
    options.add_argument("--list", action="store_true", help="name the mutants and try none")
    given = options.parse_args()
    wanted = [each for each in _all() if not given.only or any(part in each.key for part in given.only)]
    if given.list:
        return print(*(f"{each.key}, line {each.line}" for each in wanted), sep="\n")  # noqa: T201
    sys.exit(_judge(wanted, given.seeds))


def _all() -> Iterator[Try]:
    for module in MODULES:
        for number, guard in enumerate(guards(_source(module))):
            yield Try(module, number, guard.name, guard.line)


def _source(module: str) -> str:
    return (ROOT / "chalicelib" / module).read_text()


def _judge(wanted: list[Try], seeds: int) -> int:
    """Try the mutants that nobody noticed so far, side by side. Returns 1 when one survived without a reason."""
    noticed = _Noticed()
    left = [each for each in wanted if each not in noticed]
    survived = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(lambda module: _run(module, seeds, None), _one_per_room(left)):
            if said:
                raise SystemExit(f"the tests fail without any mutant: {said}")
        tries = {pool.submit(_run, each.module, seeds, each.number): each for each in left}
        for done in as_completed(tries):
            mutant, said = tries[done], done.result()
            if said:
                noticed.add(mutant)
            else:
                survived.append(mutant)
            print(f"{'noticed ' if said else 'SURVIVED'}  {mutant.key}{f': {said[:120]}' if said else ''}", flush=True)  # noqa: T201
    return _tell(wanted, survived)


def _one_per_room(mutants: list[Try]) -> list[str]:
    """A module of each room: a room's modules have the same tests."""
    return list({each.module.partition("/")[0]: each.module for each in mutants}.values())


def _tell(wanted: list[Try], survived: list[Try]) -> int:
    reasons: dict[str, str] = tomllib.loads(REASONS.read_text())
    print(f"\n{len(wanted) - len(survived)} of {len(wanted)} noticed")  # noqa: T201
    for each in sorted(survived, key=lambda each: (each.module, each.line)):
        print(f"  {each.key}, line {each.line}: {reasons.get(each.key, 'NO REASON GIVEN')}")  # noqa: T201
    return int(any(each.key not in reasons for each in survived))


def _run(module: str, seeds: int, number: int | None) -> str:
    """Run the tests that concern a module; what failed first, or nothing."""
    mutant = {} if number is None else {"MUTANT": f"chalicelib/{module} {number}"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "-p", "tests.mutants.plugin", *tests_of(module, seeds)],
        cwd=ROOT,
        env=os.environ | mutant,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            output, _ = run.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return f"no end after {PATIENCE_SECONDS} s"
    failed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR tests"))]
    return "" if run.returncode == 0 else (failed or [output[-300:]])[0]


class _Noticed:
    """The mutants noticed so far, each with a digest of its module as it was then."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = msgspec.json.decode(NOTICED.read_bytes()) if NOTICED.exists() else {}

    def __contains__(self, mutant: Try) -> bool:
        return self.digests.get(mutant.key) == _digest(mutant.module)

    def add(self, mutant: Try) -> None:
        self.digests[mutant.key] = _digest(mutant.module)
        NOTICED.parent.mkdir(exist_ok=True)
        NOTICED.write_bytes(msgspec.json.format(msgspec.json.encode(self.digests)))


def _digest(module: str) -> str:
    return hashlib.sha256(_source(module).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
