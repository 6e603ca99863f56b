"""Text of strangers takes time in proportion to its length: all regular expressions meet long hostile text."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
METHODS = {"search", "match", "fullmatch", "sub", "findall", "finditer", "split"}
SEEDS = [
    *"(\"';,:=[{<+-._/|\\ \t\n",
    "1",
    "a",
    "A",
    "я",
    "é",
    "a1",
    "1.",
    "+1 ",
    "(1",
    " ,",
    "a b",
    "1,",
    "a'",
    "date1904=",
    "8 ",
]
"""What hostile text repeats."""

SIZES = (2_000, 8_000, 32_000)
NOTICED = 0.02
"""Seconds below which growth is not told from chance."""


def written() -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """Where, by which method and which: patterns written where they are used, and those that modules name."""
    for file in sorted((ROOT / "chalicelib").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                owner = node.func.value
                if not isinstance(owner, ast.Name):
                    continue
                if owner.id == "re" and isinstance(node.args[0], ast.Constant):
                    yield f"{module}:{node.lineno}", node.func.attr, re.compile(node.args[0].value)
                elif isinstance(found := getattr(import_module(module), owner.id, None), re.Pattern):
                    yield f"{module}:{node.lineno}", node.func.attr, found
            if isinstance(node, ast.keyword) and node.arg == "pattern" and isinstance(node.value, ast.Constant):
                yield f"{module}:{node.value.lineno}", "search", re.compile(node.value.value)


PATTERNS = list(written())


def seconds(use: Callable[[Any], Any], text: Any) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in use(text) or ():
            pass
        best = min(best, time.process_time() - began)
    return best


def test_patterns_are_found() -> None:
    assert len(PATTERNS) > 40


@pytest.mark.parametrize(("where", "method", "pattern"), PATTERNS, ids=[f"{where}-{how}" for where, how, _ in PATTERNS])
def test_time_grows_with_the_length(
    where: str, method: str, pattern: re.Pattern[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def use(text: Any) -> Any:
        found = pattern.sub(text[:0], text) if method == "sub" else getattr(pattern, method)(text)
        return found if method == "finditer" else ()

    worst = 0.0
    for seed in SEEDS:
        before = None
        for size in SIZES:
            text: Any = (seed * size)[:size]
            took = seconds(use, text.encode() if isinstance(pattern.pattern, bytes) else text)
            if before is not None and took > NOTICED:
                assert took < 9 * before, (seed, size, before, took)
            before = took
        worst = max(worst, took * 1e9 / size)
    with capsys.disabled():
        print(f"\n{where} {method}: {worst:.0f} µs per kB", end="")  # noqa: T201
