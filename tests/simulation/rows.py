"""Where the in-memory DynamoDB keeps its items: tables, what their rows were a moment ago, and indexes that lag."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sortedcontainers import SortedList

from tests.simulation.limits import HASH_KEY_BYTES, RANGE_KEY_BYTES, Invalid, Item, Value, check_key_value

Key = tuple[str, ...]


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

    def set(self, key: Key, item: Item | None) -> None:
        """Keep an item; None takes it out."""
        if item is None:
            self.pop(key)
        else:
            self[key] = item

    def of(self, partition: Any, *, after: tuple[Key, Item] | None = None, backwards: bool = False) -> Iterator[Item]:
        """A partition's items in order, those after a place only."""
        first, last = (partition,), (partition, _Last())
        if after:
            first, last = (first, self._place(*after)) if backwards else (self._place(*after), last)
        for *_, key in self._order.irange(first, last, inclusive=(False, False), reverse=backwards):
            yield self[key]

    def _place(self, key: Key, item: Item) -> tuple[Any, ...]:
        return (*(plain(item[name]) for name in self.key_names), key)


class _Last:
    """Comes after everything."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return True


def plain(value: Value) -> Any:
    """A value that sorts and compares as DynamoDB's do."""
    [(kind, held)] = value.items()
    if kind == "N":
        return Decimal(held)
    return frozenset(held) if kind == "SS" else held


class Index:
    """A global secondary index: the items as they were some time ago."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.name: str = declared["IndexName"]
        self.keys = [each["AttributeName"] for each in declared["KeySchema"]]
        self.projection: dict[str, Any] = declared["Projection"]
        self.items = Rows(self.keys)
        self.pending: dict[Key, list[tuple[float, Item | None]]] = defaultdict(list)

    def holds(self, name: str, table_keys: list[str]) -> bool:
        """Whether an attribute is in the index."""
        return self.projection["ProjectionType"] == "ALL" or name in {
            *self.keys,
            *table_keys,
            *self.projection.get("NonKeyAttributes", ()),
        }

    def projected(self, item: Item | None, table_keys: list[str]) -> Item | None:
        """What the index holds of an item; None when the item is not in it."""
        if item is None or any(key not in item for key in self.keys):
            return None
        return {name: value for name, value in item.items() if self.holds(name, table_keys)}

    def later(self, key: Key, item: Item | None, due: float) -> None:
        """Note a change that shows at a time, and not before the item's changes that came earlier."""
        changes = self.pending[key]
        changes.append((max(due, changes[-1][0]) if changes else due, item))

    def catch_up(self, now: float) -> None:
        """Apply the changes whose time has come, in order per item."""
        for key in [key for key, changes in self.pending.items() if changes[0][0] <= now]:
            changes = self.pending[key]
            while changes and changes[0][0] <= now:
                self.items.set(key, changes.pop(0)[1])
            if not changes:
                del self.pending[key]


class Past:
    """What a table's rows were, for reads that are not consistent."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.changes: dict[Key, list[tuple[float, Item | None]]] = defaultdict(list)
        """Key → when the row was changed, and what it was until then; the latest last."""

        self._order: deque[tuple[float, Key]] = deque()

    def note(self, key: Key, was: Item | None, now: float) -> None:
        """A row is changed."""
        if not self.seconds:
            return
        self.changes[key].append((now, was))
        self._order.append((now, key))
        while self._order[0][0] < now - self.seconds:
            _, old = self._order.popleft()
            self.changes[old].pop(0)
            if not self.changes[old]:
                del self.changes[old]

    def rows(self, at: float) -> dict[Key, Item | None]:
        """The rows that have changed since, as they were then."""
        since = ((key, [was for changed, was in changes if changed > at]) for key, changes in self.changes.items())
        return {key: images[0] for key, images in since if images}


class Table:
    """A table: its items by key, what they were, and its indexes."""

    def __init__(self, name: str, declared: dict[str, Any], *, history: float = 0.0) -> None:
        self.name = name
        self.keys = [each["AttributeName"] for each in declared["KeySchema"]]
        self.types = {each["AttributeName"]: each["AttributeType"] for each in declared["AttributeDefinitions"]}
        self.items = Rows(self.keys)
        self.past = Past(history)
        self.indexes = {each["IndexName"]: Index(each) for each in declared.get("GlobalSecondaryIndexes", ())}

    def key(self, item: Item) -> Key:
        return tuple(next(iter(item[name].values())) for name in self.keys)

    def write(self, key: Key, item: Item | None, now: float) -> None:
        """Keep an item; None deletes it."""
        self.past.note(key, self.items.get(key), now)
        self.items.set(key, item)

    def item(self, key: Key, at: float | None) -> Item | None:
        """A row as it was at a time; as it is when that is None."""
        then = {} if at is None else self.past.rows(at)
        return then[key] if key in then else self.items.get(key)

    def partition(self, of: str, at: float | None) -> Rows:
        """The rows, a partition's as they were at a time."""
        then = {} if at is None else {key: was for key, was in self.past.rows(at).items() if key[0] == of}
        if not then:
            return self.items
        rows = Rows(self.keys)
        for key, item in ({key: item for key, item in self.items.items() if key[0] == of} | then).items():
            rows.set(key, item)
        return rows

    def check_key(self, given: Item) -> None:
        """Raises Invalid for what is not exactly a key of this table."""
        if given.keys() != set(self.keys):
            raise Invalid("The provided key element does not match the schema")
        self._check(given, self.keys)

    def check_own_keys(self, item: Item) -> None:
        """Raises Invalid for an item without a sound key of the table."""
        for name in self.keys:
            if name not in item:
                raise Invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
        self._check(item, self.keys)

    def check_index_keys(self, item: Item) -> None:
        """Raises Invalid for an item with an attribute that an index cannot have as its key."""
        for index in self.indexes.values():
            self._check(item, index.keys)

    def _check(self, item: Item, keys: list[str]) -> None:
        for name, most in zip(keys, (HASH_KEY_BYTES, RANGE_KEY_BYTES), strict=False):
            if name in item:
                check_key_value(name, item[name], self.types[name], most)
