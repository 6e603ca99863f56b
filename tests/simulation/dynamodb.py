"""DynamoDB in memory, as far as this project speaks it: conditions, transactions, indexes that lag, units counted.

Tables and indexes are those of `infra/resources.yaml`. The stores run on it unchanged: botocore hands every request
over before it would be sent (see `world`).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from sortedcontainers import SortedList

from tests.service.aws import resources, variable

Item = dict[str, dict[str, Any]]
Key = tuple[str, ...]

TOKEN = re.compile(r"#\w+|:\w+|<>|<=|>=|[=<>(),]|\w+")


class Refused(Exception):
    """A request that DynamoDB answers with an error."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class Rows(dict[Key, Item]):
    """Items by their table's key, kept in the order of a table's or an index's own keys."""

    def __init__(self, key_names: list[str]) -> None:
        self.key_names = key_names
        self._order = SortedList()

    def __setitem__(self, key: Key, item: Item) -> None:
        self.pop(key)
        super().__setitem__(key, item)
        self._order.add(self._place(key, item))

    def pop(self, key: Key) -> None:  # type: ignore[override]
        if key in self:
            self._order.remove(self._place(key, self[key]))
            del self[key]

    def of(self, partition: str, *, after: tuple[Key, Item] | None, backwards: bool) -> Iterator[Item]:
        """A partition's items in order, those after a place only."""
        first, last = (partition,), (partition + "\0",)
        if after:
            first, last = (first, self._place(*after)) if backwards else (self._place(*after), last)
        for *_, key in self._order.irange(first, last, inclusive=(False, False), reverse=backwards):
            yield self[key]

    def _place(self, key: Key, item: Item) -> tuple[Any, ...]:
        return (*(_plain(item[name]) for name in self.key_names), key)


class Index:
    """A global secondary index: the items as they were some time ago."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.name: str = declared["IndexName"]
        self.keys = [each["AttributeName"] for each in declared["KeySchema"]]
        self.projection: dict[str, Any] = declared["Projection"]
        self.items = Rows(self.keys)
        self.pending: dict[Key, list[tuple[float, Item | None]]] = defaultdict(list)

    def projected(self, item: Item | None, table_keys: list[str]) -> Item | None:
        """What the index holds of an item; None when the item is not in it."""
        if item is None or any(key not in item for key in self.keys):
            return None
        if self.projection["ProjectionType"] == "ALL":
            return item
        names = {*self.keys, *table_keys, *self.projection.get("NonKeyAttributes", ())}
        return {name: value for name, value in item.items() if name in names}

    def catch_up(self, now: float) -> None:
        """Apply the changes whose time has come, in order per item."""
        for key in [key for key, changes in self.pending.items() if changes[0][0] <= now]:
            changes = self.pending[key]
            while changes and changes[0][0] <= now:
                _, item = changes.pop(0)
                if item is None:
                    self.items.pop(key)
                else:
                    self.items[key] = item
            if not changes:
                del self.pending[key]


class Table:
    """A table: its items by key, and its indexes."""

    def __init__(self, name: str, declared: dict[str, Any]) -> None:
        self.name = name
        self.keys = [each["AttributeName"] for each in declared["KeySchema"]]
        self.items = Rows(self.keys)
        self.indexes = {each["IndexName"]: Index(each) for each in declared.get("GlobalSecondaryIndexes", ())}

    def key(self, item: Item) -> Key:
        return tuple(next(iter(item[name].values())) for name in self.keys)


class DynamoDB:
    """Answers DynamoDB's operations. `now` and `lag` are seconds; `units` counts what AWS would bill."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0, lag: Callable[[], float] = lambda: 0.0) -> None:
        self.now = now
        self.lag = lag
        self.tables = {
            f"test-{logical}": Table(f"test-{logical}", resource["Properties"])
            for logical, resource in resources().items()
            if resource.get("Type") == "AWS::DynamoDB::Table"
        }
        self.units: Counter[tuple[str, str, str]] = Counter()
        self.watchers: list[Callable[[str, Item | None, Item | None], None]] = []

    def names(self) -> dict[str, str]:
        """Environment variables that name the tables."""
        return {variable(name.removeprefix("test-")): name for name in self.tables}

    def __call__(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request. Raises Refused."""
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer: dict[str, Any] = getattr(self, f"_{method}")(request)
        return answer

    # reads

    def _get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        item = table.items.get(table.key(request["Key"]))
        self._read(table.name, "", [item or {}], consistent=request.get("ConsistentRead", False), each=True)
        return {"Item": item} if item else {}

    def _batch_get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, list[Item]] = {}
        for name, wanted in request["RequestItems"].items():
            table = self.tables[name]
            items = [table.items.get(key) for key in sorted(map(table.key, wanted["Keys"]))]
            self._read(
                name, "", [item or {} for item in items], consistent=wanted.get("ConsistentRead", False), each=True
            )
            found[name] = [item for item in items if item]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        table = self.tables[request["TableName"]]
        index = table.indexes.get(request.get("IndexName", ""))
        if index:
            index.catch_up(self.now())
        rows = index.items if index else table.items
        start = request.get("ExclusiveStartKey")
        ordered = rows.of(
            _partition(request, rows.key_names[0]),
            after=(table.key(start), start) if start else None,
            backwards=not request.get("ScanIndexForward", True),
        )
        found = filter(condition(request["KeyConditionExpression"], request), ordered)
        page = list(islice(found, request.get("Limit")))
        self._read(table.name, index.name if index else "", page, consistent=request.get("ConsistentRead", False))
        answer: dict[str, Any] = {"Items": page, "Count": len(page), "ScannedCount": len(page)}
        if next(found, None):
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in {*table.keys, *rows.key_names}}
        return answer

    # writes

    def _put_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(request, _put)

    def _update_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(request, _update)

    def _delete_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(request, _delete)

    def _single(self, request: dict[str, Any], change: Change) -> dict[str, Any]:
        table, key, old = self._row(request)
        if not _holds(request, old):
            raise Refused("ConditionalCheckFailedException")
        new = change(request, old)
        self._write(table, key, old, new, transactional=False)
        return {"Attributes": new} if request.get("ReturnValues") == "ALL_NEW" and new else {}

    def _batch_write_item(self, request: dict[str, Any]) -> dict[str, Any]:
        for name, writes in request["RequestItems"].items():
            table = self.tables[name]
            for write in writes:
                key = table.key(write["PutRequest"]["Item"] if "PutRequest" in write else write["DeleteRequest"]["Key"])
                new = write["PutRequest"]["Item"] if "PutRequest" in write else None
                self._write(table, key, table.items.get(key), new, transactional=False)
        return {"UnprocessedItems": {}}

    def _transact_write_items(self, request: dict[str, Any]) -> dict[str, Any]:
        writes = [next(iter(each.items())) for each in request["TransactItems"]]
        rows = [self._row(write) for _, write in writes]
        touched = [(table.name, key) for table, key, _ in rows]
        if len(set(touched)) != len(touched):
            raise Refused("ValidationException", Message="multiple operations on one item")
        assert len(writes) <= 100, len(writes)
        reasons = [
            {"Code": "None"}
            if _holds(write, old)
            else {"Code": "ConditionalCheckFailed", **({"Item": old} if old else {})}
            for (_, write), (_, _, old) in zip(writes, rows, strict=True)
        ]
        if any(reason["Code"] != "None" for reason in reasons):
            raise Refused("TransactionCanceledException", CancellationReasons=reasons)
        for (kind, write), (table, key, old) in zip(writes, rows, strict=True):
            new = {"Put": _put, "Update": _update, "Delete": _delete, "ConditionCheck": _same}[kind](write, old)
            self._write(table, key, old, new, transactional=True)
        return {}

    def _row(self, request: dict[str, Any]) -> tuple[Table, Key, Item | None]:
        table = self.tables[request["TableName"]]
        key = table.key(request.get("Key") or request["Item"])
        return table, key, table.items.get(key)

    def _write(self, table: Table, key: Key, old: Item | None, new: Item | None, *, transactional: bool) -> None:
        if new is None:
            table.items.pop(key)
        else:
            table.items[key] = new
        units = math.ceil(max(size(old), size(new), 1) / 1024)
        self.units[table.name, "", "write"] += units * (2 if transactional else 1)
        for index in table.indexes.values():
            self._write_index(table, index, key, old, new)
        for watch in self.watchers:
            watch(table.name, old, new)

    def _write_index(self, table: Table, index: Index, key: Key, old: Item | None, new: Item | None) -> None:
        before, after = index.projected(old, table.keys), index.projected(new, table.keys)
        if before == after:
            return
        moved = before and after and any(before[name] != after[name] for name in index.keys)
        for written in [before, after] if moved else [after or before]:
            self.units[table.name, index.name, "write"] += math.ceil(max(size(written), 1) / 1024)
        changes = index.pending[key]
        due = self.now() + self.lag()
        changes.append((max(due, changes[-1][0]) if changes else due, after))

    def _read(self, table: str, index: str, items: list[Item], *, consistent: bool, each: bool = False) -> None:
        sizes = [max(size(item), 1) for item in items]
        blocks = sum(math.ceil(one / 4096) for one in sizes) if each else math.ceil(max(sum(sizes), 1) / 4096)
        self.units[table, index, "read"] += blocks * (2 if consistent else 1)
        """Half units: an eventually consistent read of 4 KB is half a unit."""


Change = Callable[[dict[str, Any], Item | None], Item | None]


def _put(request: dict[str, Any], old: Item | None) -> Item | None:
    item: Item = request["Item"]
    return item


def _delete(request: dict[str, Any], old: Item | None) -> Item | None:
    return None


def _same(request: dict[str, Any], old: Item | None) -> Item | None:
    return old


def _update(request: dict[str, Any], old: Item | None) -> Item | None:
    item = dict(old or request["Key"])
    for verb, clauses in _clauses(request["UpdateExpression"]):
        for clause in clauses:
            name = request["ExpressionAttributeNames"][clause[0]]
            value = request.get("ExpressionAttributeValues", {}).get(clause[-1])
            if verb == "REMOVE":
                item.pop(name, None)
            elif verb == "SET":
                assert clause[1:2] == ["="], clause
                assert len(clause) == 3, clause
                item[name] = value
            else:
                item[name] = _sum(item.get(name), value)
    return item


def _sum(old: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    if "N" in more:
        return {"N": str(Decimal(old["N"] if old else 0) + Decimal(more["N"]))}
    return {"SS": sorted({*(old["SS"] if old else ()), *more["SS"]})}


def _clauses(expression: str) -> Iterator[tuple[str, list[list[str]]]]:
    """`SET #0 = :0, #1 = :1 REMOVE #2` → its verbs with their clauses."""
    for part in re.split(r"\s*\b(?=SET |REMOVE |ADD |DELETE )", expression):
        verb, _, rest = part.partition(" ")
        if verb:
            yield verb, [TOKEN.findall(clause) for clause in rest.split(",")]


def _holds(request: dict[str, Any], item: Item | None) -> bool:
    expression = request.get("ConditionExpression")
    return expression is None or condition(expression, request)(item or {})


def condition(expression: str, request: dict[str, Any]) -> Callable[[Item], bool]:
    """A condition expression as a predicate."""
    return _Parser(TOKEN.findall(expression), request).whole()


class _Parser:
    """Recursive descent over a condition's tokens: OR of ANDs of NOTs of comparisons, functions and parentheses."""

    def __init__(self, tokens: list[str], request: dict[str, Any]) -> None:
        self.tokens = tokens
        self.names = request.get("ExpressionAttributeNames", {})
        self.values = request.get("ExpressionAttributeValues", {})

    def whole(self) -> Callable[[Item], bool]:
        parsed = self._any()
        assert not self.tokens, self.tokens
        return parsed

    def _any(self) -> Callable[[Item], bool]:
        parts = [self._all()]
        while self._take("OR"):
            parts.append(self._all())
        return lambda item: any(part(item) for part in parts)

    def _all(self) -> Callable[[Item], bool]:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return lambda item: all(part(item) for part in parts)

    def _one(self) -> Callable[[Item], bool]:
        if self._take("NOT"):
            negated = self._one()
            return lambda item: not negated(item)
        if self._take("("):
            inner = self._any()
            assert self._take(")")
            return inner
        if self.tokens[0] in ("attribute_exists", "attribute_not_exists"):
            exists = self.tokens.pop(0) == "attribute_exists"
            assert self._take("(")
            name = self.names[self.tokens.pop(0)]
            assert self._take(")")
            return lambda item: (name in item) is exists
        return self._comparison()

    def _comparison(self) -> Callable[[Item], bool]:
        name = self.names[self.tokens.pop(0)]
        operator = self.tokens.pop(0)
        if operator == "IN":
            wanted = [self.values[token] for token in self._until(")") if token.startswith(":")]
            return lambda item: item.get(name) in wanted
        if operator == "BETWEEN":
            low = self.values[self.tokens.pop(0)]
            assert self._take("AND")
            high = self.values[self.tokens.pop(0)]
            return lambda item: name in item and _plain(low) <= _plain(item[name]) <= _plain(high)
        value = self.values[self.tokens.pop(0)]
        compare = _COMPARE[operator]
        return lambda item: (
            name in item and item[name].keys() == value.keys() and compare(_plain(item[name]), _plain(value))
        )

    def _until(self, end: str) -> list[str]:
        position = self.tokens.index(end)
        taken, self.tokens = self.tokens[:position], self.tokens[position + 1 :]
        return taken

    def _take(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _plain(value: dict[str, Any]) -> Any:
    [(kind, plain)] = value.items()
    return Decimal(plain) if kind == "N" else plain


def _partition(request: dict[str, Any], key: str) -> str:
    """The partition a key condition names."""
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    for name, value in re.findall(r"(#\w+) = (:\w+)", request["KeyConditionExpression"]):
        if names[name] == key:
            return str(_plain(values[value]))
    raise Refused("ValidationException", Message=f"no equality on {key}")


def size(item: Item | None) -> int:
    """An item's size in bytes: names and values in UTF-8, numbers as half their digits and one.

    Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in (item or {}).items())


def _value_size(value: dict[str, Any]) -> int:
    [(kind, plain)] = value.items()
    if kind == "S":
        return len(plain.encode())
    if kind == "N":
        return len(plain.lstrip("-").replace(".", "")) // 2 + 2
    if kind == "SS":
        return sum(len(each.encode()) for each in plain)
    return 1
