"""Text of strangers takes time in proportion to its length: all regular expressions meet long hostile text.

They are found wherever they are: written where they are used, named by modules, inside tables and types, or built from
parts. One that is built where this test cannot look must be in `BUILT`.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Meta, Struct

from chalicelib.contacts import bulk_phones
from chalicelib.workbooks import containers, languages
from infra import checks

parser: Any = import_module("re._parser")
"""Python's own, https://docs.python.org/3/library/re.html has no other name for it."""

ROOT = Path(__file__).parents[2]
ROOMS = ("chalicelib", "infra", "local")
OF_THE_EMULATOR = {ROOT / "local" / "emulator.py"}
"""What runs where only the emulator is installed."""

METHODS = ("search", "match", "fullmatch", "sub", "findall", "finditer", "split")
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
"""What hostile text repeats, whatever the pattern."""

SIZES = (2_000, 8_000, 32_000)
NOTICED = 0.02
"""Seconds below which growth is not told from chance."""

LETTERS = " a1A.(:-'\u0416" + "".join(map(chr, range(9, 127)))
CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_NOT_WORD": r"\W",
}

Pattern = re.Pattern[Any]
Use = tuple[str, str, Pattern]
"""Where, by which method and which."""


def phones_of_regions() -> Iterator[Pattern]:
    """The longest of those that are made of libphonenumber's, and that of the default region."""
    import phonenumbers

    made = {region: own[1] for region in phonenumbers.SUPPORTED_REGIONS if (own := bulk_phones._own(region))}
    yield made["UZ"]
    yield from sorted(made.values(), key=lambda each: len(each.pattern))[-3:]


def zones_of_regions() -> Iterator[Pattern]:
    import phonenumbers

    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        about = phonenumbers.PhoneMetadata.metadata_for_region(region)
        if about and about.leading_digits:
            yield re.compile(f"{about.country_code}(?:{about.leading_digits})")


def allowed_in_the_template() -> Iterator[Pattern]:
    for each in checks._declared().values():
        yield re.compile(each.get("AllowedPattern", "(?s:.*)"))


BUILT: dict[str, Callable[[], Iterable[Pattern]]] = {
    "chalicelib.contacts.bulk_phones:_own": phones_of_regions,
    "chalicelib.contacts.phone:_zones_of": zones_of_regions,
    "chalicelib.workbooks.containers:kind": lambda: [re.compile(sign, re.DOTALL) for sign, _ in containers._SIGNS],
    "chalicelib.workbooks.containers:of_archive": lambda: [re.compile(name) for name, _ in containers._PARTS],
    "chalicelib.workbooks.languages:reason": lambda: [re.compile(each[0]) for each in languages._REASONS],
    "infra.checks:_by_template": allowed_in_the_template,
}
"""Function → what it makes or is given."""


def written() -> Iterator[Use]:
    """Every use of a regular expression."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if file in OF_THE_EMULATOR:
                assert "import re\n" not in file.read_text()
                continue
            module = import_module(name)
            uses = list(Uses(module).of(ast.parse(file.read_text())))
            yield from uses
            yield from unused(module, {use[2] for use in uses})


class Uses(ast.NodeVisitor):
    """The calls of a module that use a regular expression."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.function = ""
        self.found: list[Use] = []

    def of(self, tree: ast.Module) -> list[Use]:
        self.visit(tree)
        return self.found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.function = self.function, self.function or node.name
        self.generic_visit(node)
        self.function = outer

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            owner, method = self._value(node.func.value), node.func.attr
            if owner is re and method in (*METHODS, "compile"):
                self._take(node, "search" if method == "compile" else method)
            elif isinstance(owner, re.Pattern) and method in METHODS:
                self.found.append((self._where(node), method, owner))
        self.generic_visit(node)

    def _take(self, node: ast.Call, method: str) -> None:
        pattern = self._value(node.args[0])
        if isinstance(pattern, str | bytes):
            flags = [each for each in map(self._value, node.args[1:]) if isinstance(each, re.RegexFlag)]
            compiled = re.compile(pattern, *flags[:1])
            if method != "search" or self.function:
                self.found.append((self._where(node), method, compiled))
        else:
            built = BUILT[f"{self.module.__name__}:{self.function}"]
            self.found += [(self._where(node), "match" if method == "search" else method, each) for each in built()]

    def _where(self, node: ast.Call) -> str:
        return f"{self.module.__name__}:{node.lineno}"

    def _value(self, node: ast.expr) -> Any:
        """What an expression without calls is, of the module's own names; None for one of others."""
        if any(isinstance(each, ast.Call) for each in ast.walk(node)):
            return None
        try:
            return eval(compile(ast.Expression(node), "", "eval"), vars(self.module))
        except Exception:  # noqa: BLE001 (whatever it lacks)
            return None


def unused(module: ModuleType, used: set[Pattern]) -> Iterator[Use]:
    """Patterns of a module that no call names: those in tables, in types, and those that others use."""
    for name, value in vars(module).items():
        if not isinstance(value, ModuleType):
            for pattern in inside(value, module.__name__):
                if pattern not in used:
                    yield from ((f"{module.__name__}:{name}", method, pattern) for method in ("match", "search"))


def inside(value: Any, module: str, depth: int = 4) -> Iterator[Pattern]:
    """The patterns in a value of a module, its tables, and the types of its Structs."""
    match value:
        case re.Pattern():
            yield value
        case Meta(pattern=str(pattern)):
            yield re.compile(pattern)
        case dict() | list() | tuple() | set() | frozenset() if depth:
            for each in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
                yield from inside(each, module, depth - 1)
        case type() if depth and issubclass(value, Struct) and value.__module__ == module:
            for field in msgspec.structs.fields(value):
                yield from inside(field.type, module, depth - 1)
        case _ if depth:
            for each in get_args(value):
                yield from inside(each, module, depth - 1)


def attacks(pattern: Pattern) -> list[str]:
    """What hostile text repeats, with what comes before, made for a pattern: each of its endless repetitions."""
    tree = parser.parse(
        pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    )
    return list(dict.fromkeys(each for each in _pumps(list(tree), "") if each))


def _pumps(nodes: list[Any], before: str) -> Iterator[str]:
    for kind, about in nodes:
        name = str(kind)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = about
            sample = _sample(list(body))
            if most > 20:
                yield sample
                yield before + sample
            yield from _pumps(list(body), before)
        for branch in _branches(name, about):
            yield from _pumps(branch, before)
        before += _sample([(kind, about)])


def _branches(name: str, about: Any) -> list[list[Any]]:
    match name:
        case "SUBPATTERN":
            return [list(about[3])]
        case "BRANCH":
            return [list(each) for each in about[1]]
        case "ASSERT" | "ASSERT_NOT":
            return [list(about[1])]
        case "ATOMIC_GROUP":
            return [list(about)]
    return []


def _sample(nodes: list[Any]) -> str:
    """Some text that nodes match, as far as one can tell."""
    text = ""
    for kind, about in nodes:
        match str(kind):
            case "LITERAL":
                text += chr(about)
            case "NOT_LITERAL":
                text += "b" if chr(about) == "a" else "a"
            case "ANY":
                text += "a"
            case "IN":
                text += _member(about)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                text += _sample(list(about[2])) * max(1, about[0])
            case "SUBPATTERN" | "BRANCH" | "ATOMIC_GROUP" as name:
                text += _sample(_branches(name, about)[0])
    return text


def _member(about: list[Any]) -> str:
    """A character of a set."""
    negated = str(about[0][0]) == "NEGATE"
    return next((each for each in LETTERS if any(_is(each, *one) for one in about[negated:]) is not negated), "!")


def _is(letter: str, kind: Any, value: Any) -> bool:
    match str(kind):
        case "LITERAL":
            return letter == chr(value)
        case "RANGE":
            return bool(value[0] <= ord(letter) <= value[1])
        case _:
            return bool(re.match(CATEGORIES.get(str(value), "(?!)"), letter))


PATTERNS = list(dict.fromkeys(written()))


def test_patterns_are_found() -> None:
    where = {each.partition(":")[0] for each, _, _ in PATTERNS}
    assert len(PATTERNS) > 120
    assert {
        "chalicelib.contacts.bulk_phones",
        "chalicelib.settings",
        "chalicelib.organizations.model",
        "infra.deploy",
    } <= where


def test_what_is_built_where_nobody_looks_is_missed() -> None:
    hidden = ast.parse("import re\ndef helper(text):\n    return re.compile(text + '+').match(text)\n")
    with pytest.raises(KeyError, match="helper"):
        Uses(checks).of(hidden)


def test_expression_that_takes_its_time_is_noticed() -> None:
    with pytest.raises(AssertionError):
        slowest(re.compile(r"(?:a ?)*\.x"), "search")
    with pytest.raises(AssertionError):
        slowest(re.compile(r"qz[\s\w]*[\d ]*#"), "search")


def seconds(use: Callable[[Any], Any], text: Any, tries: int) -> float:
    """The best of some tries."""
    best = float("inf")
    for _ in range(tries):
        began = time.process_time()
        for _ in use(text) or ():
            pass
        best = min(best, time.process_time() - began)
    return best


def slowest(pattern: Pattern, method: str) -> float:
    """Microseconds per kB of the worst text. Raises AssertionError where they grow with its length."""

    def use(text: Any) -> Any:
        found = pattern.sub(text[:0], text) if method == "sub" else getattr(pattern, method)(text)
        return found if method == "finditer" else ()

    def of(seed: str, size: int, tries: int) -> float:
        text: Any = (seed * (size // len(seed) + 1))[:size]
        return seconds(use, text.encode() if isinstance(pattern.pattern, bytes) else text, tries)

    worst = 0.0
    for seed in dict.fromkeys([*SEEDS, *attacks(pattern)]):
        small, *larger = SIZES
        before, took = of(seed, small, 1), 0.0
        for size in larger:
            took = of(seed, size, 1)
            if took > NOTICED:
                before, took = of(seed, size // 4, 3), of(seed, size, 3)
                assert took < max(NOTICED, 9 * before), (pattern.pattern[:80], seed[:80], size, before, took)
        worst = max(worst, took * 1e9 / SIZES[-1])
    return worst


@pytest.mark.parametrize(("where", "method", "pattern"), PATTERNS, ids=[f"{where}-{how}" for where, how, _ in PATTERNS])
def test_time_grows_with_the_length(
    where: str, method: str, pattern: Pattern, record_property: Callable[[str, object], None]
) -> None:
    record_property(f"{where} {method}", f"{slowest(pattern, method):.0f} µs per kB")
