"""DynamoDB's expressions: conditions, key conditions, updates and projections, each read once and then applied to rows.

Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
Paths are top-level attributes under a `#name`, which is how PynamoDB writes them; any other is refused loudly.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

from tests.simulation.limits import DIGITS, SETS, Invalid, Item, Value, check_values
from tests.simulation.rows import plain

TOKEN = re.compile(r"\s*(#\w+|:\w+|<>|<=|>=|[=<>(),+-]|\w+)")
MOST_BYTES = 4096
MOST_CHOICES = 100

Predicate = Callable[[Item], bool]
Operand = Callable[[Item], Value | None]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Update:
    """A parsed update: what it does to a row, and which attributes it touches."""

    def __init__(self) -> None:
        self.changes: dict[str, Callable[[Item], Value | None]] = {}
        """Attribute → its new value, given the row as it is; None removes it."""

    def __call__(self, item: Item) -> Item:
        values = {name: change(item) for name, change in self.changes.items()}
        given = {name: value for name, value in values.items() if value is not None}
        return {name: value for name, value in item.items() if name not in values} | given


class Expressions:
    """A request's expressions, which share names and values. `done` refuses those that none of them used."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.names: dict[str, str] = request.get("ExpressionAttributeNames", {})
        self.values: dict[str, Value] = request.get("ExpressionAttributeValues", {})
        self._used: set[str] = set()
        for part in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            if request.get(part) == {}:
                raise Invalid(f"{part} must not be empty")
        check_values(self.values.values())

    def condition(self, text: str | None) -> Predicate:
        """A condition as a predicate; without one, everything holds."""
        return _Parser(text, self).condition() if text is not None else lambda item: True

    def key_condition(self, text: str, keys: list[str]) -> tuple[Value, Predicate]:
        """The partition a key condition names, and what it says of the rows in it."""
        return _Parser(text, self).key_condition(keys)

    def update(self, text: str) -> Update:
        """An update expression."""
        return _Parser(text, self).update()

    def projection(self, text: str | None) -> list[str] | None:
        """The attributes a projection names; None when the whole row is asked for."""
        return _Parser(text, self).projection() if text is not None else None

    def name(self, token: str) -> str:
        """The attribute a path stands for."""
        if not token.startswith("#"):
            raise NotImplementedError(f"a path without a #name: {token}")
        self._used.add(token)
        if token not in self.names:
            raise Invalid(f"An expression attribute name used in the document path is not defined: {token}")
        return self.names[token]

    def value(self, token: str) -> Value:
        """The value a `:token` stands for."""
        self._used.add(token)
        if token not in self.values:
            raise Invalid(f"An expression attribute value used in expression is not defined: {token}")
        return self.values[token]

    def done(self) -> None:
        """Raises Invalid when a name or a value was not used."""
        unused = (self.names.keys() | self.values.keys()) - self._used
        if unused:
            raise Invalid(f"Value provided in ExpressionAttributeNames or Values unused in expressions: {unused}")


@functools.lru_cache(maxsize=4096)
def _tokens(text: str) -> tuple[str, ...]:
    """An expression's tokens. Raises Invalid."""
    if not text.strip() or len(text.encode()) > MOST_BYTES:
        raise Invalid("The expression can not be empty, nor longer than 4 KB")
    found, position = [], 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if not match:
            raise Invalid(f"Syntax error near {text[position:]!r}")
        found.append(match[1])
        position = match.end()
    return tuple(found)


class _Parser:
    """Recursive descent over an expression's tokens."""

    def __init__(self, text: str, names: Expressions) -> None:
        self.tokens = list(_tokens(text))
        self.about = names

    # conditions: OR of ANDs of NOTs of comparisons, functions and parentheses

    def condition(self) -> Predicate:
        parsed = self._any()
        self._end()
        return parsed

    def _any(self) -> Predicate:
        parts = [self._all()]
        while self._take("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)

    def _all(self) -> Predicate:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)

    def _one(self) -> Predicate:
        if self._take("NOT"):
            negated = self._one()
            return lambda item: not negated(item)
        if self._take("("):
            inner = self._any()
            self._expect(")")
            return inner
        if self._peek() in FUNCTIONS:
            return self._function(self._next())
        return self._comparison()

    def _function(self, name: str) -> Predicate:
        self._expect("(")
        attribute = self.about.name(self._next())
        operands = []
        while self._take(","):
            operands.append(self._operand())
        self._expect(")")
        takes, holds = FUNCTIONS[name]
        if len(operands) != takes:
            raise Invalid(f"Incorrect number of operands for operator or function: {name}")
        return lambda item: holds(item.get(attribute), *(each(item) for each in operands))

    def _comparison(self) -> Predicate:
        left = self._operand()
        sign = self._next()
        if sign == "IN":
            self._expect("(")
            choices = [self._operand()]
            while self._take(","):
                choices.append(self._operand())
            self._expect(")")
            if len(choices) > MOST_CHOICES:
                raise Invalid("Too many operands for the IN operator")
            return lambda item: any(_compared("=", left(item), each(item)) for each in choices)
        if sign == "BETWEEN":
            low = self._ordered("BETWEEN")
            self._expect("AND")
            high = self._ordered("BETWEEN")
            return lambda item: _compared(">=", left(item), low(item)) and _compared("<=", left(item), high(item))
        if sign not in COMPARE:
            raise Invalid(f"Syntax error near {sign!r}")
        right = self._operand() if sign in ("=", "<>") else self._ordered(sign)
        return lambda item: _compared(sign, left(item), right(item))

    def _operand(self) -> Operand:
        token = self._next()
        if token == "size":
            self._expect("(")
            name = self.about.name(self._next())
            self._expect(")")
            return lambda item: {"N": str(_length(item[name]))} if name in item else None
        if token.startswith(":"):
            value = self.about.value(token)
            return lambda item: value
        name = self.about.name(token)
        return lambda item: item.get(name)

    def _ordered(self, sign: str) -> Operand:
        """An operand that has an order. Raises Invalid for a value that has none."""
        token = self._peek()
        if token.startswith(":") and not self.about.value(token).keys() & {"S", "N", "B"}:
            raise Invalid(f"Incorrect operand type for operator or function; operator: {sign}")
        return self._operand()

    # key conditions

    def key_condition(self, keys: list[str]) -> tuple[Value, Predicate]:
        tokens = list(self.tokens)
        holds = self.condition()
        if refused := {"OR", "NOT", "IN", "<>", "contains", "size", "attribute_exists"} & set(tokens):
            raise Invalid(f"Invalid operator used in KeyConditionExpression: {refused}")
        named = [self.about.name(token) for token in tokens if token.startswith("#")]
        if len(set(named)) != len(named) or not set(named) <= set(keys):
            raise Invalid("KeyConditionExpressions must only contain one condition per key, and only of keys")
        if keys[0] not in named:
            raise Invalid(f"Query condition missed key schema element: {keys[0]}")
        at = next(n for n, token in enumerate(tokens) if self.about.names.get(token) == keys[0])
        if tokens[at + 1] != "=":
            raise Invalid("Query key condition not supported")
        return self.about.value(tokens[at + 2]), holds

    # updates

    def update(self) -> Update:
        parsed, seen = Update(), set()
        clauses = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add, "DELETE": self._delete}
        while self.tokens:
            verb = self._next()
            if verb not in clauses:
                raise Invalid(f"Syntax error near {verb!r}")
            if verb in seen:
                raise Invalid(f'The "{verb}" section can only be used once in an update expression')
            seen.add(verb)
            while True:
                name = self.about.name(self._next())
                if name in parsed.changes:
                    raise Invalid(f"Two document paths overlap with each other: {name}")
                parsed.changes[name] = clauses[verb](name)
                if not self._take(","):
                    break
        return parsed

    def _set(self, name: str) -> Operand:
        self._expect("=")
        first = self._set_operand()
        if self._peek() not in ("+", "-"):
            return lambda item: _present(first(item))
        sign = 1 if self._next() == "+" else -1
        second = self._set_operand()
        return lambda item: _sum(_present(first(item)), _present(second(item)), sign)

    def _set_operand(self) -> Operand:
        if not self._take("if_not_exists"):
            return self._operand()
        self._expect("(")
        name = self.about.name(self._next())
        self._expect(",")
        other = self._set_operand()
        self._expect(")")
        return lambda item: item.get(name, other(item))

    def _remove(self, name: str) -> Operand:
        return lambda item: None

    def _add(self, name: str) -> Operand:
        value = self._typed("ADD", {"N", *SETS})
        if "N" in value:
            return lambda item: _sum(item.get(name, {"N": "0"}), value, 1)
        return lambda item: _members(item.get(name), value, set.union)

    def _delete(self, name: str) -> Operand:
        value = self._typed("DELETE", set(SETS))
        return lambda item: _members(item.get(name), value, set.difference)

    def _typed(self, verb: str, kinds: set[str]) -> Value:
        value = self.about.value(self._next())
        if not value.keys() <= kinds:
            raise Invalid(f"Incorrect operand type for operator or function; operator: {verb}")
        return value

    # projections

    def projection(self) -> list[str]:
        names = [self.about.name(self._next())]
        while self._take(","):
            names.append(self.about.name(self._next()))
        self._end()
        if len(set(names)) != len(names):
            raise Invalid("Two document paths overlap with each other")
        return names

    # tokens

    def _peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _next(self) -> str:
        if not self.tokens:
            raise Invalid("Syntax error at the expression's end")
        return self.tokens.pop(0)

    def _take(self, token: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == token and bool(self.tokens.pop(0))

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise Invalid(f"Syntax error: {token!r} expected before {self.tokens}")

    def _end(self) -> None:
        if self.tokens:
            raise Invalid(f"Syntax error near {self.tokens}")


def _compared(sign: str, left: Value | None, right: Value | None) -> bool:
    """A missing attribute, or one of another type, differs from every value and is neither more nor less."""
    if left is None or right is None or left.keys() != right.keys():
        return sign == "<>"
    return COMPARE[sign](plain(left), plain(right))


def _begins(value: Value | None, prefix: Value | None) -> bool:
    return bool(value and prefix and "S" in value and "S" in prefix and value["S"].startswith(prefix["S"]))


def _contains(value: Value | None, part: Value | None) -> bool:
    if not value or not part:
        return False
    [(kind, held)], [(of, wanted)] = value.items(), part.items()
    return wanted in held if kind == of == "S" or SETS.get(kind) == of else kind == "L" and part in held


FUNCTIONS: dict[str, tuple[int, Callable[..., bool]]] = {
    "attribute_exists": (0, lambda value: value is not None),
    "attribute_not_exists": (0, lambda value: value is None),
    "begins_with": (1, _begins),
    "contains": (1, _contains),
    "attribute_type": (1, lambda value, kind: bool(value) and kind["S"] in value),
}
"""A function's operands beside its attribute, and when it holds of them."""


def _length(value: Value) -> int:
    [(kind, held)] = value.items()
    return len(held.encode()) if kind in ("S", "B") else len(held)


def _present(value: Value | None) -> Value:
    if value is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _sum(old: Value, more: Value, sign: int) -> Value:
    if not old.keys() == more.keys() == {"N"}:
        raise Invalid("An operand in the update expression has an incorrect data type")
    return {"N": str(Context(DIGITS).fma(sign, Decimal(more["N"]), Decimal(old["N"])))}


def _members(old: Value | None, more: Value, combined: Callable[[set[str], set[str]], set[str]]) -> Value | None:
    if old and old.keys() != more.keys():
        raise Invalid("An operand in the update expression has an incorrect data type")
    [(kind, members)] = more.items()
    left = combined(set(old[kind] if old else ()), set(members))
    return {kind: sorted(left)} if left else None
