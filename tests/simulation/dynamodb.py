"""DynamoDB in memory, as far as this project speaks it: conditions, transactions, limits, reads that are stale, indexes
that lag, units counted.

Tables and indexes are those of `infra/resources.yaml`. The stores run on it unchanged: botocore hands every request
over before it would be sent (see `world`). What it does not know it refuses loudly, with a NotImplementedError.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tests.service.aws import resources, variable
from tests.simulation import limits
from tests.simulation.expressions import Expressions, Predicate
from tests.simulation.limits import Invalid, Item, Refused, check_size, check_values, size
from tests.simulation.rows import Index, Key, Rows, Table, plain

__all__ = ["DynamoDB", "Item", "Refused"]

NAMES = {"ExpressionAttributeNames"}
VALUES = {*NAMES, "ExpressionAttributeValues"}
WRITE = {"TableName", "ConditionExpression", "ReturnValuesOnConditionCheckFailure", *VALUES}
ACCOUNT = {"ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "ClientRequestToken"}
"""Members that ask for nothing this project reads."""

READ = {"Key", "ConsistentRead", "ProjectionExpression", *NAMES}
PAGE = {"KeyConditionExpression", "ScanIndexForward", "Limit", "ExclusiveStartKey", "Select", "IndexName"}
KNOWN = {
    "GetItem": {"TableName", *READ},
    "BatchGetItem": {"RequestItems"},
    "Query": {"TableName", *PAGE, *READ, *VALUES} - {"Key"},
    "PutItem": {"Item", "ReturnValues", *WRITE},
    "UpdateItem": {"Key", "UpdateExpression", "ReturnValues", *WRITE},
    "DeleteItem": {"Key", "ReturnValues", *WRITE},
    "BatchWriteItem": {"RequestItems"},
    "TransactWriteItems": {"TransactItems"},
}
"""What a request may hold here."""


class Write(Struct):
    """A write that was read and found sound, of a row as it was at that moment."""

    table: Table
    key: Key
    old: Item | None
    holds: bool
    change: Callable[[], Item | None]
    shows_old: bool

    def shown(self) -> dict[str, Any]:
        """What a condition that does not hold says of the row."""
        return {"Item": self.old} if self.shows_old and self.old else {}


class DynamoDB:
    """Answers DynamoDB's operations; times are in seconds, and `units` counts what AWS would bill.

    `lag` is after how long a change shows in an index, `behind` how old the rows are that a read shows which is not
    consistent (at most `history`), `processed` how many of a batch's entries are dealt with.
    """

    def __init__(
        self,
        now: Callable[[], float] = lambda: 0.0,
        lag: Callable[[], float] = lambda: 0.0,
        *,
        behind: Callable[[], float] = lambda: 0.0,
        processed: Callable[[int], int] = lambda entries: entries,
        history: float = 0.0,
    ) -> None:
        self.now = now
        self.lag = lag
        self.behind = behind
        self.processed = processed
        self.tables = {
            f"test-{logical}": Table(f"test-{logical}", resource["Properties"], history=history)
            for logical, resource in resources().items()
            if resource.get("Type") == "AWS::DynamoDB::Table"
        }
        self.units: Counter[tuple[str, str, str]] = Counter()
        self.watchers: list[Callable[[str, Item | None, Item | None], None]] = []

    def names(self) -> dict[str, str]:
        """Environment variables that name the tables."""
        return {variable(name.removeprefix("test-")): name for name in self.tables}

    def __call__(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request. Raises Refused, and NotImplementedError for what is not known here."""
        if operation not in KNOWN or (unknown := request.keys() - KNOWN[operation] - ACCOUNT):
            raise NotImplementedError(f"{operation} with {unknown if operation in KNOWN else request.keys()}")
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer: dict[str, Any] = getattr(self, f"_{method}")(request)
        return answer

    # reads

    def _get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        table, consistent = self._table(request), request.get("ConsistentRead", False)
        names = self._projection(request)
        table.check_key(request["Key"])
        item = table.item(table.key(request["Key"]), self._moment(consistent=consistent))
        self._read(table.name, "", [item or {}], consistent=consistent, each=True)
        return {"Item": _only(item, names)} if item else {}

    def _batch_get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = [(name, key) for name, each in request["RequestItems"].items() for key in each["Keys"]]
        _check_number(wanted, limits.BATCH_READS, "BatchGetItem")
        answer: dict[str, Any] = {"Responses": {}, "UnprocessedKeys": {}}
        room, left = limits.BATCH_BYTES, self.processed(len(wanted))
        for name, each in request["RequestItems"].items():
            table, consistent = self._table({"TableName": name}), each.get("ConsistentRead", False)
            names = self._projection(each)
            keys = self._batch_keys(table, each["Keys"])
            rows = [table.item(key, self._moment(consistent=consistent)) or {} for key in sorted(keys)[:left]]
            while sum(map(size, rows)) > room:
                rows.pop()
            room, left = room - sum(map(size, rows)), left - len(rows)
            self._read(name, "", rows, consistent=consistent, each=True)
            answer["Responses"][name] = [_only(row, names) for row in rows if row]
            if later := sorted(keys)[len(rows) :]:
                answer["UnprocessedKeys"][name] = {**each, "Keys": [keys[key] for key in later]}
        return answer

    def _batch_keys(self, table: Table, given: list[Item]) -> dict[Key, Item]:
        for key in given:
            table.check_key(key)
        keys = {table.key(key): key for key in given}
        if len(keys) != len(given):
            raise Invalid("Provided list of item keys contains duplicates")
        return keys

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        table, consistent = self._table(request), request.get("ConsistentRead", False)
        index = self._index(table, request, consistent=consistent)
        keys = index.keys if index else table.keys
        about = Expressions(request)
        partition, holds = about.key_condition(request["KeyConditionExpression"], keys)
        names = about.projection(request.get("ProjectionExpression"))
        about.done()
        limits.check_key_value(keys[0], partition, table.types[keys[0]], limits.HASH_KEY_BYTES)
        if unheld := index and [name for name in names or () if not index.holds(name, table.keys)]:
            raise Invalid(f"Global secondary index {request['IndexName']} does not project {unheld}")
        rows = (
            index.items
            if index
            else table.partition(next(iter(partition.values())), self._moment(consistent=consistent))
        )
        page, last = self._page(request, table, rows, partition, holds)
        self._read(table.name, index.name if index else "", page, consistent=consistent)
        answer: dict[str, Any] = {"Count": len(page), "ScannedCount": len(page)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [_only(item, names) for item in page]
        if last:
            answer["LastEvaluatedKey"] = {name: last[name] for name in {*table.keys, *keys}}
        return answer

    def _page(
        self, request: dict[str, Any], table: Table, rows: Rows, partition: dict[str, Any], holds: Predicate
    ) -> tuple[list[Item], Item | None]:
        """A query's page, and its last item when the query may go on: it was cut by `Limit`, or by a megabyte."""
        limit, start = request.get("Limit"), request.get("ExclusiveStartKey")
        if limit is not None and limit < 1:
            raise Invalid("Value at 'limit' failed to satisfy constraint: must have value greater than or equal to 1")
        if start is not None and start.keys() != {*table.keys, *rows.key_names}:
            raise Invalid("The provided starting key is invalid")
        ordered = rows.of(
            plain(partition),
            after=(table.key(start), start) if start else None,
            backwards=not request.get("ScanIndexForward", True),
        )
        page: list[Item] = []
        room = limits.PAGE_BYTES
        for item in filter(holds, ordered):
            room -= size(item)
            if page and room < 0:
                return page, page[-1]
            page.append(item)
            if len(page) == limit:
                return page, item
        return page, None

    # writes

    def _put_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(self._put(request), request)

    def _update_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(self._update(request), request)

    def _delete_item(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._single(self._delete(request), request)

    def _single(self, write: Write, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("ReturnValues", "NONE") not in ("NONE", "ALL_NEW"):
            raise NotImplementedError(f"ReturnValues {request['ReturnValues']}")
        if not write.holds:
            raise Refused("ConditionalCheckFailedException", "The conditional request failed", **write.shown())
        new = self._changed(write)
        self._write(write, new, transactional=False)
        return {"Attributes": new} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _batch_write_item(self, request: dict[str, Any]) -> dict[str, Any]:
        given = [(name, each) for name, writes in request["RequestItems"].items() for each in writes]
        _check_number(given, limits.BATCH_WRITES, "BatchWriteItem")
        writes = [self._batch_write(name, each) for name, each in given]
        _check_distinct(writes, "Provided list of item keys contains duplicates")
        done = self.processed(len(writes))
        for write in writes[:done]:
            self._write(write, write.change(), transactional=False)
        later: dict[str, list[Any]] = {}
        for name, each in given[done:]:
            later.setdefault(name, []).append(each)
        return {"UnprocessedItems": later}

    def _batch_write(self, name: str, given: dict[str, Any]) -> Write:
        [(kind, write)] = given.items()
        read = {"PutRequest": self._put, "DeleteRequest": self._delete}[kind]({"TableName": name, **write})
        self._changed(read)
        return read

    def _transact_write_items(self, request: dict[str, Any]) -> dict[str, Any]:
        given = [next(iter(each.items())) for each in request["TransactItems"]]
        _check_number(given, limits.TRANSACTION_WRITES, "TransactWriteItems")
        read = {"Put": self._put, "Update": self._update, "Delete": self._delete, "ConditionCheck": self._check}
        writes = [read[kind](write) for kind, write in given]
        _check_distinct(writes, "Transaction request cannot include multiple operations on one item")
        reasons = list(map(self._reason, writes))
        if any(reason["Code"] != "None" for reason in reasons):
            raise Refused("TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)
        rows = [(write, write.change()) for write in writes]
        if sum(size(new or write.old) for write, new in rows) > limits.TRANSACTION_BYTES:
            raise Invalid("The aggregate size of the items in the transaction exceeds 4 MB")
        for write, new in rows:
            self._write(write, new, transactional=True)
        return {}

    def _reason(self, write: Write) -> dict[str, Any]:
        """Why a write cancels its transaction, or that it does not."""
        if not write.holds:
            return {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", **write.shown()}
        try:
            self._changed(write)
        except Invalid as invalid:
            return {"Code": "ValidationError", "Message": invalid.message}
        return {"Code": "None"}

    def _changed(self, write: Write) -> Item | None:
        """The row after a write. Raises Invalid for one that cannot be kept."""
        new = write.change()
        if new is not None and new is not write.old:
            check_values(new.values())
            write.table.check_index_keys(new)
            check_size(new)
        return new

    # what a write asks for; each raises Invalid before any row is looked at

    def _put(self, request: dict[str, Any]) -> Write:
        table, item = self._table(request), request["Item"]
        check_values(item.values())
        table.check_own_keys(item)
        return self._conditional(request, table, table.key(item), Expressions(request), lambda old: item)

    def _update(self, request: dict[str, Any]) -> Write:
        table, about = self._table(request), Expressions(request)
        table.check_key(request["Key"])
        update = about.update(request["UpdateExpression"])
        if own := update.changes.keys() & set(table.keys):
            raise Invalid(f"Cannot update attribute {own}. This attribute is part of the key")
        return self._conditional(
            request, table, table.key(request["Key"]), about, lambda old: update(old or request["Key"])
        )

    def _delete(self, request: dict[str, Any]) -> Write:
        return self._of_key(request, lambda old: None)

    def _check(self, request: dict[str, Any]) -> Write:
        return self._of_key(request, lambda old: old)

    def _of_key(self, request: dict[str, Any], change: Callable[[Item | None], Item | None]) -> Write:
        table = self._table(request)
        table.check_key(request["Key"])
        return self._conditional(request, table, table.key(request["Key"]), Expressions(request), change)

    def _conditional(
        self,
        request: dict[str, Any],
        table: Table,
        key: Key,
        about: Expressions,
        change: Callable[[Item | None], Item | None],
    ) -> Write:
        holds = about.condition(request.get("ConditionExpression"))
        about.done()
        old = table.items.get(key)
        shows_old = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        return Write(table, key, old, holds(old or {}), lambda: change(old), shows_old)

    # rows

    def _table(self, request: dict[str, Any]) -> Table:
        if request["TableName"] not in self.tables:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return self.tables[request["TableName"]]

    def _index(self, table: Table, request: dict[str, Any], *, consistent: bool) -> Index | None:
        """The index a query asks, as it shows by now."""
        if "IndexName" not in request:
            return None
        if request["IndexName"] not in table.indexes:
            raise Invalid(f"The table does not have the specified index: {request['IndexName']}")
        if consistent:
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        index = table.indexes[request["IndexName"]]
        index.catch_up(self.now())
        return index

    def _moment(self, *, consistent: bool) -> float | None:
        """As of when a read shows rows; None for now."""
        behind = 0.0 if consistent else self.behind()
        return self.now() - behind if behind else None

    def _projection(self, request: dict[str, Any]) -> list[str] | None:
        about = Expressions(request)
        names = about.projection(request.get("ProjectionExpression"))
        about.done()
        return names

    def _write(self, write: Write, new: Item | None, *, transactional: bool) -> None:
        table, old = write.table, write.old
        table.write(write.key, new, self.now())
        units = math.ceil(max(size(old), size(new), 1) / 1024)
        self.units[table.name, "", "write"] += units * (2 if transactional else 1)
        for index in table.indexes.values():
            self._write_index(table, index, write.key, old, new)
        for watch in self.watchers:
            watch(table.name, old, new)

    def _write_index(self, table: Table, index: Index, key: Key, old: Item | None, new: Item | None) -> None:
        before, after = index.projected(old, table.keys), index.projected(new, table.keys)
        if before == after:
            return
        moved = before and after and any(before[name] != after[name] for name in index.keys)
        for written in [before, after] if moved else [after or before]:
            self.units[table.name, index.name, "write"] += math.ceil(max(size(written), 1) / 1024)
        index.later(key, after, self.now() + self.lag())

    def _read(self, table: str, index: str, items: list[Item], *, consistent: bool, each: bool = False) -> None:
        sizes = [max(size(item), 1) for item in items]
        blocks = sum(math.ceil(one / 4096) for one in sizes) if each else math.ceil(max(sum(sizes), 1) / 4096)
        self.units[table, index, "read"] += blocks * (2 if consistent else 1)
        """Half units: an eventually consistent read of 4 KB is half a unit."""


def _only(item: Item, names: list[str] | None) -> Item:
    return item if names is None else {name: item[name] for name in names if name in item}


def _check_number(given: list[Any], most: int, operation: str) -> None:
    if not given or len(given) > most:
        raise Invalid(f"{len(given)} items requested for the {operation} call, between 1 and {most} are taken")


def _check_distinct(writes: list[Write], message: str) -> None:
    if len({(write.table.name, write.key) for write in writes}) != len(writes):
        raise Invalid(message)
