"""Common ground of the stores: rows, transactions that say what cancelled them, and pages.

PynamoDB serves the rows; all of them share one connection, so that a process builds one DynamoDB client.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import msgspec
from botocore.config import Config
from botocore.parsers import JSONParser
from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.connection import Connection
from pynamodb.connection.table import TableConnection
from pynamodb.constants import STRING
from pynamodb.exceptions import PynamoDBException, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection
from pynamodb.models import MetaModel, Model

from chalicelib.aws import clients
from chalicelib.errors import Conflict, Failure
from chalicelib.settings import settings

T = TypeVar("T")
RowT = TypeVar("RowT", bound="Row")

TRANSACTION_LIMIT = 100
"""Writes in one transaction, https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

TRANSACTION_BYTES = 3_000_000
"""Of the rows in one transaction; DynamoDB takes 4 MB."""

PATIENCE_SECONDS = 3.0
"""How long a write that collides with another transaction is tried again; no SDK retries those."""

_COLLISIONS = {
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ThrottlingError",
    "ThrottlingException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
}


class Busy(Failure):
    """The row is being changed by others: try again in a moment."""


class Cancelled(Conflict):
    """A transaction whose conditions did not hold; nothing was written."""

    def __init__(self, failed: dict[object, dict[str, Any]]) -> None:
        super().__init__(f"conditions did not hold: {len(failed)}")
        self.failed = failed
        """Tag of each failed write → the row as it stands, in DynamoDB's own JSON; empty when there is none."""


class table:  # noqa: N801 (reads as a declaration)
    """The name of a row's table, looked up in the settings when it is needed and not at import."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def __get__(self, instance: object, owner: type) -> str:
        name: str = getattr(settings(), self.setting)
        return name


class Json(Attribute[Any]):
    """A nested value kept as JSON text: one typed attribute in place of a map that would have to be walked."""

    attr_type = STRING

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def serialize(self, value: Any) -> str:
        return msgspec.json.encode(value).decode()

    def deserialize(self, value: Any) -> Any:
        return msgspec.json.decode(value, type=self.kind)


class Verbatim(JSONParser):  # type: ignore[misc]
    """Reads DynamoDB's answers as the JSON they are.

    botocore visits every attribute to decode binary ones, of which no row has any: most of the time of a read.
    """

    def parse(self, response: dict[str, Any], shape: Any) -> dict[str, Any]:
        if response["status_code"] >= 300:
            return super().parse(response, shape)  # type: ignore[no-any-return]
        answer: dict[str, Any] = msgspec.json.decode(response["body"] or b"{}")
        self._inject_response_metadata(answer, response["headers"])
        return answer


class VerbatimParsers:
    """What botocore gets its parsers from."""

    def create_parser(self, _: str) -> Verbatim:
        return Verbatim()


@functools.cache
def connection() -> Connection:
    """The process's one DynamoDB connection. Its user agent is short: botocore puts a long one together per request."""
    patience = clients.PATIENCE["dynamodb"]
    made = Connection(
        connect_timeout_seconds=patience.connect,
        read_timeout_seconds=patience.read,
        max_retry_attempts=patience.tries - 1,
    )
    made.session.register_component("response_parser_factory", VerbatimParsers())
    made.session.set_default_client_config(Config(user_agent="autocall"))
    clients.raise_unavailable(made.session.register)
    made.session.register("after-call", _collided)
    return made


def _collided(parsed: dict[str, Any], **_: object) -> None:
    """Raises Busy for a request that collides, or is throttled, after all the client's tries."""
    if parsed.get("Error", {}).get("Code") in _COLLISIONS:
        raise Busy


class Schema(Connection):
    """The schema of one kind of row, over the process's one client: two kinds may live in one table."""

    @property
    def client(self) -> Any:
        return connection().client


class Choice(Attribute[Any]):
    """A member of a string enumeration."""

    attr_type = STRING

    def __init__(self, kind: Callable[[str], Any], **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def deserialize(self, value: Any) -> Any:
        return self.kind(value)


StructT = TypeVar("StructT", bound=msgspec.Struct)


class RowType(MetaModel):
    """Rows that keep a value have an attribute for each of its fields; what a row declares or inherits comes first."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], keeps: type[msgspec.Struct] | None = None
    ) -> Any:
        inherited = {each for base in bases if isinstance(base, RowType) for each in base.get_attributes()}
        kept = {field: each for field, each in attributes_of(keeps).items() if field not in inherited} if keeps else {}
        return super().__new__(cls, name, bases, kept | body)  # type: ignore[no-untyped-call]  # (PynamoDB's)

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: object) -> None:  # noqa: N805 (a metaclass)
        super().__init__(name, bases, body)

    if TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any: ...  # noqa: N805 (a metaclass)


def attributes_of(kind: type[msgspec.Struct]) -> dict[str, Attribute[Any]]:
    """An attribute for each field of a Struct, its name in camel case; a field with a default may be absent."""
    return {
        field.name: _attribute(field.type, attr_name=_camel(field.name), null=not field.required)
        for field in msgspec.structs.fields(kind)
    }


def _attribute(kind: Any, **options: Any) -> Attribute[Any]:
    union = get_origin(kind) in (Union, UnionType)
    present = [each for each in get_args(kind) if each is not NoneType] if union else [kind]
    plain = get_args(present[0])[0] if get_origin(present[0]) is Annotated else present[0]
    if len(present) == 1 and plain in _ATTRIBUTES:
        return _ATTRIBUTES[plain](**options)
    if len(present) == 1 and isinstance(plain, type) and issubclass(plain, StrEnum):
        return Choice(plain, **options)
    return Json(kind, **options)


_ATTRIBUTES: dict[Any, Callable[..., Attribute[Any]]] = {
    str: UnicodeAttribute,
    bool: BooleanAttribute,
    int: NumberAttribute,
    float: NumberAttribute,
    set[str]: UnicodeSetAttribute,
}


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(map(str.capitalize, more))


class Row(Model, metaclass=RowType):
    """Base of every row. Its Python attributes are named as the fields of the values it is turned into."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def value(self, kind: type[StructT]) -> StructT:
        """This row as a value: a msgspec Struct whose fields are among the row's attributes."""
        held = self.attribute_values
        return kind(**{name: held[name] for name in fields_of(kind) if held.get(name) is not None})

    @classmethod
    def of(cls, value: msgspec.Struct, **more: Any) -> Self:
        """The row of a value, with further attributes. Empty lists and sets are not kept."""
        mine = cls.get_attributes()
        held = {name: getattr(value, name) for name in fields_of(type(value)) if name in mine}
        return cls(**{name: each for name, each in held.items() if each not in ([], set())}, **more)

    @classmethod
    def _get_connection(cls) -> TableConnection:
        known = super()._get_connection()
        if not isinstance(known.connection, Schema):
            schema = Schema()
            schema.add_meta_table(known.get_meta_table())
            known.connection = schema
        return known


class Transaction:
    """Writes that happen together or not at all. Each carries a tag, by which a cancellation names it."""

    def __init__(self) -> None:
        self._writes: dict[str, list[tuple[object, dict[str, Any]]]] = {
            "condition_check_items": [],
            "delete_items": [],
            "put_items": [],
            "update_items": [],
        }

    def __len__(self) -> int:
        return sum(map(len, self._writes.values()))

    def put(self, row: Row, condition: Condition | None = None, *, tag: object = None) -> None:
        kwargs = row.get_save_kwargs_from_instance(condition=condition, return_values_on_condition_failure="ALL_OLD")
        self._writes["put_items"].append((tag, kwargs))

    def update(
        self, row: Row, actions: Sequence[Action], condition: Condition | None = None, *, tag: object = None
    ) -> None:
        kwargs = row.get_update_kwargs_from_instance(
            actions=list(actions), condition=condition, return_values_on_condition_failure="ALL_OLD"
        )
        self._writes["update_items"].append((tag, kwargs))

    def delete(self, row: Row, condition: Condition | None = None, *, tag: object = None) -> None:
        self._writes["delete_items"].append((tag, _by_key(row, condition)))

    def check(self, row: Row, condition: Condition, *, tag: object = None) -> None:
        self._writes["condition_check_items"].append((tag, _by_key(row, condition)))

    def commit(self) -> None:
        """Write everything. Raises Cancelled when a condition did not hold, Busy after three seconds of collisions."""
        items: dict[str, Any] = {kind: [kwargs for _, kwargs in writes] for kind, writes in self._writes.items()}
        try:
            patiently(lambda: connection().transact_write_items(**items))
        except TransactWriteError as error:
            tags = [tag for writes in self._writes.values() for tag, _ in writes]
            failed = {
                tag: reason.raw_item or {}
                for tag, reason in zip(tags, error.cancellation_reasons, strict=False)
                if reason is not None and reason.code == "ConditionalCheckFailed"
            }
            if not failed:
                raise
            raise Cancelled(failed) from None


def _by_key(row: Row, condition: Condition | None) -> dict[str, Any]:
    return row.get_delete_kwargs_from_instance(condition=condition, return_values_on_condition_failure="ALL_OLD")


@functools.cache
def fields_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The names of a Struct's fields."""
    return tuple(field.name for field in msgspec.structs.fields(kind))


def patiently(write: Callable[[], T]) -> T:
    """Call `write`, again with growing jitter while it collides. Raises Busy after PATIENCE_SECONDS of that."""
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.02
    while True:
        try:
            return write()
        except (TransactWriteError, Busy) as error:
            if isinstance(error, TransactWriteError) and not _only_collisions(error):
                raise
            if time.monotonic() > deadline:
                raise Busy from error
        time.sleep(random.uniform(0, pause))  # noqa: S311 (jitter)
        pause = min(pause * 2, 0.5)


def _only_collisions(error: TransactWriteError) -> bool:
    """Whether a transaction was cancelled although all its conditions held."""
    codes = {reason.code for reason in error.cancellation_reasons if reason is not None}
    return "ConditionalCheckFailed" not in codes and bool(codes & _COLLISIONS)


def chunks(items: Iterable[T], most: int, weight: Callable[[T], int]) -> Iterator[list[T]]:
    """Items as they fit into transactions: at most so many together, and TRANSACTION_BYTES by their weights."""
    chunk: list[T] = []
    size = 0
    for item in items:
        heavy = weight(item)
        if chunk and (len(chunk) == most or size + heavy > TRANSACTION_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += heavy
    if chunk:
        yield chunk


def still(attribute: Any, value: Any) -> Condition:
    """That an attribute is as it was read: has a value, or is absent for None and what a row may leave out."""
    absent: Condition = attribute.does_not_exist()
    if value is None:
        return absent
    same: Condition = attribute == value
    return same if value else same | absent


def update_if(row: Row, actions: Sequence[Action], condition: Condition) -> None:
    """Update one row under a condition. Raises Conflict when the condition does not hold."""
    _if(lambda: row.update(actions=list(actions), condition=condition))


def put_if(row: Row, condition: Condition) -> None:
    """Put one row under a condition. Raises Conflict when the condition does not hold."""
    _if(lambda: row.save(condition=condition))


def delete_if(row: Row, condition: Condition) -> None:
    """Delete one row under a condition. Raises Conflict when the condition does not hold."""
    _if(lambda: row.delete(condition=condition))


def _if(write: Callable[[], object]) -> None:
    try:
        patiently(write)
    except PynamoDBException as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        raise Conflict from None


class Paging(msgspec.Struct, frozen=True):
    """Which page of a list is asked for: by number (from 1), or after the id `cursor`; newest first, or oldest."""

    limit: int
    page: int | None = 1
    cursor: str | None = None
    oldest_first: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page's values and the cursor of the next; None on the last page."""

    data: Sequence[Any]
    next_cursor: str | None


def index(name: str, partition: str, sort: str | None = None, *, include: Sequence[str] = ()) -> Any:
    """A global secondary index by attributes of the table, which holds the rows' keys and `include`."""

    class Index(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = name
            projection = IncludeProjection(list(include)) if include else KeysOnlyProjection()

        partition_key = UnicodeAttribute(hash_key=True, attr_name=partition)
        if sort:
            sort_key = UnicodeAttribute(range_key=True, attr_name=sort)

    return Index()


def listed(
    kind: type[RowT], partition: str, by: Attribute[str], paging: Paging, *, index: str | None = None
) -> tuple[list[RowT], str | None]:
    """As `page_of`, with the whole rows also where the index holds only their keys."""
    rows, cursor = page_of(kind, partition, by, paging, index=index)
    if index is None:
        return rows, cursor
    keys = list(map(_key, rows))
    found = {_key(row): row for row in batch(kind, keys)}
    return [found[key] for key in keys if key in found], cursor


def _key(row: Row) -> tuple[str, str]:
    return getattr(row, str(row._hash_keyname)), getattr(row, str(row._range_keyname))


def page_of(
    kind: type[RowT], partition: str, by: Attribute[str], paging: Paging, *, index: str | None = None
) -> tuple[list[RowT], str | None]:
    """A page of a partition in the order of `by`, its (or its index's) range key; and the next cursor.

    A page by number costs a counting read over the rows before it, which DynamoDB bills by their size; a page by
    cursor costs itself only.
    """
    query = functools.partial(kind.query, partition, index_name=index, scan_index_forward=paging.oldest_first)
    bound = (by > paging.cursor if paging.oldest_first else by < paging.cursor) if paging.cursor else None
    start = None
    if paging.page is not None and paging.page > 1:
        keys = kind._get_connection().get_meta_table().get_key_names(index)
        before = query(limit=(paging.page - 1) * paging.limit, attributes_to_get=list(keys))
        skipped = sum(1 for _ in before)
        start = before.last_evaluated_key
        if start is None or skipped < (paging.page - 1) * paging.limit:
            return [], None
    rows = list(query(bound, limit=paging.limit + 1, last_evaluated_key=start))
    more = len(rows) > paging.limit
    rows = rows[: paging.limit]
    return rows, getattr(rows[-1], _python_name(kind, by)) if more else None


def _python_name(kind: type[Row], attribute: Attribute[Any]) -> str:
    return kind._dynamo_to_python_attr(attribute.attr_name)


def batch(kind: type[RowT], keys: Iterable[Any]) -> list[RowT]:
    """The rows of many keys as they are right now, those that exist, in no particular order; a hundred per request."""
    return list(kind.batch_get(list(dict.fromkeys(keys)), consistent_read=True))


def some_of_all(kind: type[RowT], limit: int, after: dict[str, Any] | None) -> tuple[list[RowT], dict[str, Any] | None]:
    """Some rows of a whole table, whatever they are, and where to go on: for what sweeps a table from end to end."""
    found = kind.scan(limit=limit, last_evaluated_key=after)
    return list(found), found.last_evaluated_key


def get_together(*wanted: tuple[type[Row], str, str]) -> list[Any]:
    """Rows of any tables as they are right now, in one request; None for each that does not exist.

    Each is read consistently, but not all at one moment. Raises Busy when DynamoDB leaves some unread for long.
    """
    left: dict[str, Any] = {}
    for kind, partition, sort in wanted:
        key = {name: {"S": value} for name, value in zip(_key_names(kind), (partition, sort), strict=True)}
        left.setdefault(kind.Meta.table_name, {"Keys": [], "ConsistentRead": True})["Keys"].append(key)
    names = {kind.Meta.table_name: _key_names(kind) for kind, *_ in wanted}
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left:
        answer = patiently(functools.partial(connection()._make_api_call, "BatchGetItem", {"RequestItems": left}))
        for table_name, images in answer["Responses"].items():
            found |= {(table_name, *(image[name]["S"] for name in names[table_name])): image for image in images}
        left = answer.get("UnprocessedKeys", {})
        if left and time.monotonic() > deadline:
            raise Busy
    images = [found.get((kind.Meta.table_name, partition, sort)) for kind, partition, sort in wanted]
    return [kind.from_raw_data(image) if image else None for (kind, *_), image in zip(wanted, images, strict=True)]


def _key_names(kind: type[Row]) -> list[str]:
    """What DynamoDB calls the two parts of a row's key."""
    by_name = kind.get_attributes()
    return [by_name[str(name)].attr_name for name in (kind._hash_keyname, kind._range_keyname)]


def get(kind: type[RowT], partition: str, sort: str | int | None = None) -> RowT | None:
    """One row as it is right now, or None: whoever asks for one waits for what was written before."""
    try:
        return kind.get(partition, sort, consistent_read=True)
    except kind.DoesNotExist:
        return None
