"""The in-memory DynamoDB beside moto: it answers alike, and refuses alike. Where moto errs, AWS decides.

Whatever a case says of AWS is said in the API reference of its operation, in
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html or in .../Expressions.html beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from msgspec import Struct

from tests.service.aws import resources
from tests.simulation.dynamodb import DynamoDB, Refused
from tests.simulation.limits import size

CALLS = "test-CallsTable"
COUNTERS = "test-CountersTable"
KEY = {"campaignId": {"S": "c"}, "contactId": {"S": "x"}}
TAKEN, INVALID = "", "ValidationException"
FAILED, CANCELLED = "ConditionalCheckFailedException", "TransactionCanceledException"
Answer = dict[str, Any]
Ask = Callable[[str, dict[str, Any]], Answer]


class Case(Struct, frozen=True):
    """A request, and what AWS says where moto is wrong (an error's code, TAKEN, or the answer's members)."""

    title: str
    operation: str
    request: dict[str, Any]
    aws: Any = None
    before: list[dict[str, Any]] = []
    """Rows there are."""


def a_row(contact: str = "x", **more: Any) -> dict[str, Any]:
    return {**KEY, "contactId": {"S": contact}, **more}


def put(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"TableName": CALLS, "Item": item, **more}


def named(**names: str) -> dict[str, Any]:
    return {"ExpressionAttributeNames": {f"#{short}": name for short, name in names.items()}}


def valued(**values: Any) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{short}": value for short, value in values.items()}}


def text(value: str) -> dict[str, str]:
    return {"S": value}


def number(value: str) -> dict[str, str]:
    return {"N": value}


def put_if(condition: str, row: dict[str, Any] | None = None, *, names: Any = None, **values: Any) -> dict[str, Any]:
    more = valued(**values) if values else {}
    return put(row or a_row(), ConditionExpression=condition, **named(**(names or {"a": "a"})), **more)


def update(expression: str, *, names: Any = None, **values: Any) -> dict[str, Any]:
    return {
        "TableName": CALLS,
        "Key": KEY,
        "UpdateExpression": expression,
        "ReturnValues": "ALL_NEW",
        **named(**(names or {"a": "a"})),
        **(valued(**values) if values else {}),
    }


def query(condition: str = "#k = :k", *, names: Any = None, **more: Any) -> dict[str, Any]:
    values = more.pop("values", {"k": text("c")})
    return {
        "TableName": CALLS,
        "KeyConditionExpression": condition,
        **named(**(names or {"k": "campaignId"})),
        **valued(**values),
        **more,
    }


def transaction(*writes: dict[str, Any]) -> dict[str, Any]:
    return {"TransactItems": list(writes)}


def many(number: int, **more: Any) -> list[dict[str, Any]]:
    return [a_row(str(n), **more) for n in range(number)]


def large(kilobytes: int) -> dict[str, str]:
    return text("x" * 1024 * kilobytes)


A_ROW = [a_row(a=text("1"), n=number("5"), s={"SS": ["p", "q"]})]
ROWS = many(5, a=text("1"))

VALUES = [
    Case("an item of 400 KB", "PutItem", put(a_row(a=text("x" * (400 * 1024 - size(a_row(a=text(""))))))), TAKEN),
    Case("an item of a byte more", "PutItem", put(a_row(a=text("x" * (400 * 1024 - size(a_row(a=text(""))) + 1))))),
    Case("an item of 401 KB of Cyrillic", "PutItem", put(a_row(a=text("ы" * 205_000)))),
    Case("an empty text", "PutItem", put(a_row(a=text("")))),
    Case("an empty key", "PutItem", put(a_row(""))),
    Case("a key of another type", "PutItem", put({**KEY, "contactId": number("1")})),
    Case("no sort key", "PutItem", put({"campaignId": text("c")})),
    Case("a sort key of 1,025 bytes", "PutItem", put(a_row("x" * 1025))),
    Case("a partition key of 2,049 bytes", "PutItem", put(a_row() | {"campaignId": text("x" * 2049)})),
    Case("an empty key of an index", "PutItem", put(a_row(workKey=text(""), dueAt=text("1")))),
    Case("an index's key of another type", "PutItem", put(a_row(workKey=number("1"), dueAt=text("1"))), INVALID),
    Case("an index's key that is null", "PutItem", put(a_row(statusKey={"NULL": True}))),
    Case("an empty set", "PutItem", put(a_row(zones={"SS": []}))),
    Case("a member of a set twice", "PutItem", put(a_row(zones={"SS": ["a", "a"]})), INVALID),
    Case("a number of 38 digits", "PutItem", put(a_row(a=number("1" * 38)))),
    Case("a number of 39 digits", "PutItem", put(a_row(a=number("1" * 39))), INVALID),
    Case("a number that is too large", "PutItem", put(a_row(a=number("1E126"))), INVALID),
    Case("a number that is none", "PutItem", put(a_row(a=number("one")))),
    Case("a value of two types", "PutItem", put(a_row(a={"S": "1", "N": "1"})), INVALID),
]

CONDITIONS = [
    Case("<> on an attribute that is missing", "PutItem", put_if("#a <> :v", v=text("1"))),
    Case("<> on a row that is missing", "PutItem", put_if("#a <> :v", v=text("1"))),
    Case("<> on another type", "PutItem", put_if("#a <> :v", v=number("1")), before=A_ROW),
    Case("<> on the same value", "PutItem", put_if("#a <> :v", v=text("1")), before=A_ROW),
    Case("= on a missing attribute", "PutItem", put_if("#a = :v", v=text("1"))),
    Case(
        "= on numbers written otherwise", "PutItem", put_if("#n = :v", names={"n": "n"}, v=number("5.0")), before=A_ROW
    ),
    Case(
        "= on sets in another order", "PutItem", put_if("#s = :v", names={"s": "s"}, v={"SS": ["q", "p"]}), before=A_ROW
    ),
    Case("< on a missing attribute", "PutItem", put_if("#a < :v", v=text("9"))),
    Case("< on another type", "PutItem", put_if("#a < :v", v=number("9")), FAILED, before=A_ROW),
    Case("< on a set", "PutItem", put_if("#s < :v", names={"s": "s"}, v={"SS": ["z"]}), INVALID, before=A_ROW),
    Case("numbers compare as numbers", "PutItem", put_if("#n < :v", names={"n": "n"}, v=number("10")), before=A_ROW),
    Case("NOT of what is missing", "PutItem", put_if("NOT #a = :v", v=text("1"))),
    Case(
        "OR before AND",
        "PutItem",
        put_if("#a = :v OR #a = :w AND #a = :u", v=text("1"), w=text("2"), u=text("3")),
        before=A_ROW,
    ),
    Case(
        "parentheses",
        "PutItem",
        put_if("(#a = :v OR #a = :w) AND #a = :u", v=text("1"), w=text("2"), u=text("3")),
        before=A_ROW,
    ),
    Case("IN", "PutItem", put_if("#a IN (:v, :w)", v=text("1"), w=text("2")), before=A_ROW),
    Case("IN on a missing attribute", "PutItem", put_if("#a IN (:v, :w)", v=text("1"), w=text("2"))),
    Case(
        "BETWEEN",
        "PutItem",
        put_if("#n BETWEEN :v AND :w", names={"n": "n"}, v=number("5"), w=number("6")),
        before=A_ROW,
    ),
    Case("attribute_exists", "PutItem", put_if("attribute_exists(#a)"), before=A_ROW),
    Case("attribute_exists on a missing row", "PutItem", put_if("attribute_exists(#a)")),
    Case("attribute_not_exists", "PutItem", put_if("attribute_not_exists(#a)"), before=A_ROW),
    Case("begins_with", "PutItem", put_if("begins_with(#a, :v)", v=text("1")), before=A_ROW),
    Case("contains a member", "PutItem", put_if("contains(#s, :v)", names={"s": "s"}, v=text("p")), before=A_ROW),
    Case("size of a missing attribute", "PutItem", put_if("size(#a) > :v", v=number("0")), FAILED),
    Case("size", "PutItem", put_if("size(#a) = :v", v=number("1")), before=A_ROW),
    Case(
        "the row that did not hold is shown",
        "PutItem",
        put_if("#a = :v", v=text("2")) | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
        before=A_ROW,
    ),
    Case("the row that did not hold is not shown unasked", "PutItem", put_if("#a = :v", v=text("2")), before=A_ROW),
    Case("an empty condition", "PutItem", put(a_row(), ConditionExpression=""), INVALID),
    Case("a value that is not used", "PutItem", put_if("attribute_exists(#a)", v=text("1")), INVALID),
    Case("a name that is not used", "PutItem", put_if("attribute_exists(#a)", names={"a": "a", "b": "b"})),
    Case("a name that is not defined", "PutItem", put_if("attribute_exists(#b)", names={"a": "a"}), INVALID),
    Case("a value that is not defined", "PutItem", put_if("#a = :w", v=text("1")), INVALID),
    Case("names without an expression", "PutItem", put(a_row(), **named(a="a"))),
    Case(
        "no names at all",
        "PutItem",
        put(a_row(), ConditionExpression="attribute_exists(#a)", ExpressionAttributeNames={}),
        INVALID,
    ),
    Case("a condition of 5 KB", "PutItem", put_if(" OR ".join(["attribute_exists(#a)"] * 240)), INVALID),
]

UPDATES = [
    Case("SET", "UpdateItem", update("SET #a = :v", v=text("2")), before=A_ROW),
    Case("SET makes the row", "UpdateItem", update("SET #a = :v", v=text("2"))),
    Case(
        "SET sees the row as it was",
        "UpdateItem",
        update("SET #a = :v, #b = #a", names={"a": "a", "b": "b"}, v=text("2")),
        before=A_ROW,
    ),
    Case("SET of a sum", "UpdateItem", update("SET #n = #n + :v", names={"n": "n"}, v=number("2")), before=A_ROW),
    Case(
        "SET of a sum with what is missing", "UpdateItem", update("SET #n = #n + :v", names={"n": "n"}, v=number("2"))
    ),
    Case(
        "SET if_not_exists",
        "UpdateItem",
        update("SET #b = if_not_exists(#b, :v)", names={"b": "b"}, v=text("2")),
        before=A_ROW,
    ),
    Case("ADD to a number", "UpdateItem", update("ADD #n :v", names={"n": "n"}, v=number("-7")), before=A_ROW),
    Case("ADD to nothing", "UpdateItem", update("ADD #n :v", names={"n": "n"}, v=number("3"))),
    Case("ADD to a set", "UpdateItem", update("ADD #s :v", names={"s": "s"}, v={"SS": ["q", "r"]}), before=A_ROW),
    Case("ADD to a text", "UpdateItem", update("ADD #a :v", v=number("3")), before=A_ROW),
    Case("ADD of a text", "UpdateItem", update("ADD #a :v", v=text("3")), before=A_ROW),
    Case("ADD of an empty set", "UpdateItem", update("ADD #s :v", names={"s": "s"}, v={"SS": []}), before=A_ROW),
    Case("DELETE from a set", "UpdateItem", update("DELETE #s :v", names={"s": "s"}, v={"SS": ["q"]}), before=A_ROW),
    Case(
        "DELETE of a whole set",
        "UpdateItem",
        update("DELETE #s :v", names={"s": "s"}, v={"SS": ["p", "q"]}),
        before=A_ROW,
    ),
    Case("REMOVE", "UpdateItem", update("REMOVE #a"), before=A_ROW),
    Case(
        "SET and REMOVE and ADD",
        "UpdateItem",
        update("SET #b = :v REMOVE #a ADD #n :n", names={"a": "a", "b": "b", "n": "n"}, v=text("2"), n=number("1")),
        before=A_ROW,
    ),
    Case("SET twice", "UpdateItem", update("SET #a = :v SET #b = :v", names={"a": "a", "b": "b"}, v=text("2"))),
    Case("an attribute twice", "UpdateItem", update("SET #a = :v REMOVE #a", v=text("2"))),
    Case("a key attribute", "UpdateItem", update("SET #c = :v", names={"c": "contactId"}, v=text("y"))),
    Case(
        "the key of an index of another type",
        "UpdateItem",
        update("SET #w = :v", names={"w": "workKey"}, v=number("1")),
        INVALID,
    ),
    Case(
        "the key of an index becomes empty",
        "UpdateItem",
        update("SET #w = :v", names={"w": "workKey"}, v=text("")),
        INVALID,
    ),
    Case("a value that is not used", "UpdateItem", update("SET #a = :v", v=text("2"), w=text("3"))),
    Case(
        "a row grows beyond 400 KB",
        "UpdateItem",
        update("SET #b = :v", names={"b": "b"}, v=large(200)),
        before=[a_row(a=large(201))],
    ),
    Case("a key with an attribute too many", "UpdateItem", update("REMOVE #a") | {"Key": a_row(a=text("1"))}),
    Case(
        "deletion under a condition",
        "DeleteItem",
        {"TableName": CALLS, "Key": KEY, "ConditionExpression": "#a = :v", **named(a="a"), **valued(v=text("2"))},
        before=A_ROW,
    ),
    Case("deletion of what is not there", "DeleteItem", {"TableName": CALLS, "Key": KEY}),
]

READS = [
    Case("a row", "GetItem", {"TableName": CALLS, "Key": KEY, "ConsistentRead": True}, before=A_ROW),
    Case(
        "attributes of a row",
        "GetItem",
        {"TableName": CALLS, "Key": KEY, "ProjectionExpression": "#a", **named(a="a")},
        before=A_ROW,
    ),
    Case("no row", "GetItem", {"TableName": CALLS, "Key": KEY}),
    Case("half a key", "GetItem", {"TableName": CALLS, "Key": {"campaignId": text("c")}}),
    Case("an empty key", "GetItem", {"TableName": CALLS, "Key": a_row("")}),
    Case("an unknown table", "GetItem", {"TableName": "none", "Key": KEY}),
    Case(
        "a number as the sort key",
        "GetItem",
        {"TableName": COUNTERS, "Key": {"organizationId": text("1"), "shard": number("3")}},
    ),
    Case("100 keys", "BatchGetItem", {"RequestItems": {CALLS: {"Keys": many(100)}}}, before=ROWS),
    Case("101 keys", "BatchGetItem", {"RequestItems": {CALLS: {"Keys": many(101)}}}),
    Case("a key twice", "BatchGetItem", {"RequestItems": {CALLS: {"Keys": [KEY, KEY]}}}),
    Case("no keys", "BatchGetItem", {"RequestItems": {CALLS: {"Keys": []}}}, INVALID),
    Case("a partition", "Query", query(), before=ROWS),
    Case("a partition backwards", "Query", query(ScanIndexForward=False), before=ROWS),
    Case(
        "a range",
        "Query",
        query(
            "#k = :k AND #s > :s", names={"k": "campaignId", "s": "contactId"}, values={"k": text("c"), "s": text("2")}
        ),
        before=ROWS,
    ),
    Case(
        "a range between",
        "Query",
        query(
            "#k = :k AND #s BETWEEN :s AND :t",
            names={"k": "campaignId", "s": "contactId"},
            values={"k": text("c"), "s": text("1"), "t": text("2")},
        ),
        before=ROWS,
    ),
    Case("a page", "Query", query(Limit=2), before=ROWS),
    Case("the page after", "Query", query(Limit=2, ExclusiveStartKey=a_row("1")), before=ROWS),
    Case("a page that is just full", "Query", query(Limit=5), {"LastEvaluatedKey": a_row("4")}, before=ROWS),
    Case("a page of a megabyte", "Query", query(Select="COUNT"), before=many(4, a=large(300))),
    Case("a count", "Query", query(Select="COUNT"), before=ROWS),
    Case("a page of no rows", "Query", query(Limit=0), INVALID),
    Case(
        "attributes of rows",
        "Query",
        query(ProjectionExpression="#s", names={"k": "campaignId", "s": "contactId"}),
        before=ROWS,
    ),
    Case("no partition", "Query", query("#k > :k")),
    Case(
        "another attribute",
        "Query",
        query("#k = :k AND #a = :a", names={"k": "campaignId", "a": "a"}, values={"k": text("c"), "a": text("1")}),
    ),
    Case("an OR of keys", "Query", query("#k = :k OR #s = :k", names={"k": "campaignId", "s": "contactId"}), INVALID),
    Case("a partition of another type", "Query", query(values={"k": number("1")}), INVALID),
    Case("an empty partition", "Query", query(values={"k": text("")})),
    Case(
        "an index",
        "Query",
        query(names={"k": "statusKey"}, IndexName="status"),
        before=many(3, statusKey=text("c"), a=text("1")),
    ),
    Case(
        "an index read consistently", "Query", query(names={"k": "statusKey"}, IndexName="status", ConsistentRead=True)
    ),
    Case("an index there is not", "Query", query(IndexName="none"), INVALID),
    Case(
        "what an index does not hold",
        "Query",
        query(names={"k": "statusKey", "a": "a"}, IndexName="status", ProjectionExpression="#a"),
        INVALID,
    ),
    Case("a start that is no key", "Query", query(ExclusiveStartKey={"campaignId": text("c")}), INVALID),
    Case("names that are not used", "Query", query(names={"k": "campaignId", "a": "a"})),
]

BATCHES = [
    Case("25 writes", "BatchWriteItem", {"RequestItems": {CALLS: [{"PutRequest": {"Item": row}} for row in many(25)]}}),
    Case(
        "26 writes",
        "BatchWriteItem",
        {"RequestItems": {CALLS: [{"PutRequest": {"Item": row}} for row in many(26)]}},
        INVALID,
    ),
    Case(
        "a row twice",
        "BatchWriteItem",
        {"RequestItems": {CALLS: [{"DeleteRequest": {"Key": KEY}}, {"PutRequest": {"Item": KEY}}]}},
        INVALID,
    ),
    Case("a large row", "BatchWriteItem", {"RequestItems": {CALLS: [{"PutRequest": {"Item": a_row(a=large(401))}}]}}),
    Case(
        "an empty index key",
        "BatchWriteItem",
        {"RequestItems": {CALLS: [{"PutRequest": {"Item": a_row(statusKey=text(""))}}]}},
    ),
    Case("100 writes at once", "TransactWriteItems", transaction(*({"Put": put(row)} for row in many(100)))),
    Case("101 writes at once", "TransactWriteItems", transaction(*({"Put": put(row)} for row in many(101)))),
    Case(
        "two writes of a row at once",
        "TransactWriteItems",
        transaction({"Put": put(KEY)}, {"Delete": {"TableName": CALLS, "Key": KEY}}),
    ),
    Case("no writes at once", "TransactWriteItems", transaction(), INVALID),
    Case(
        "4 MB at once",
        "TransactWriteItems",
        transaction(*({"Put": put(row)} for row in many(41, a=large(100)))),
        INVALID,
    ),
    Case("a large row at once", "TransactWriteItems", transaction({"Put": put(a_row(a=large(401)))}), CANCELLED),
    Case("an empty key at once", "TransactWriteItems", transaction({"Put": put(a_row(""))})),
    Case(
        "an empty key of an index at once",
        "TransactWriteItems",
        transaction({"Put": put(a_row(statusKey=text("")))}),
        CANCELLED,
    ),
    Case(
        "a sum with a text at once",
        "TransactWriteItems",
        transaction(
            {
                "Update": {
                    name: each for name, each in update("ADD #a :v", v=number("1")).items() if name != "ReturnValues"
                }
            }
        ),
        CANCELLED,
        before=A_ROW,
    ),
    Case(
        "conditions that hold",
        "TransactWriteItems",
        transaction(
            {
                "ConditionCheck": {
                    "TableName": CALLS,
                    "Key": KEY,
                    "ConditionExpression": "#a = :v",
                    **named(a="a"),
                    **valued(v=text("1")),
                }
            },
            {"Put": put(a_row("y"))},
        ),
        before=A_ROW,
    ),
    Case(
        "a condition that does not hold",
        "TransactWriteItems",
        transaction({"Put": put(a_row("y"))}, {"Put": put_if("#a = :v", v=text("2"))}),
        before=A_ROW,
    ),
    Case(
        "a condition that does not hold, and its row",
        "TransactWriteItems",
        transaction({"Put": {**put_if("#a = :v", v=text("2")), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}),
        before=A_ROW,
    ),
    Case(
        "a check without a condition",
        "TransactWriteItems",
        transaction({"ConditionCheck": {"TableName": CALLS, "Key": KEY}}),
    ),
    Case(
        "an unused value at once",
        "TransactWriteItems",
        transaction({"Put": put_if("attribute_exists(#a)", v=text("1"))}),
        INVALID,
    ),
]

CASES = [*VALUES, *CONDITIONS, *UPDATES, *READS, *BATCHES]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-central-1"}
    with mock_aws():
        made = boto3.client("dynamodb", config=Config(parameter_validation=False), **credentials)
        for name in (CALLS, COUNTERS):
            declared = resources()[name.removeprefix("test-")]["Properties"]
            parts = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            made.create_table(TableName=name, **{part: declared[part] for part in parts if part in declared})
        yield made


@pytest.fixture
def moto(client: Any) -> Iterator[Ask]:
    """moto, whose rows are deleted afterwards."""

    def ask(operation: str, request: dict[str, Any]) -> Answer:
        answer: Answer = getattr(client, xform_name(operation))(**request)
        return answer

    yield ask
    while rows := client.query(**query())["Items"]:
        for row in rows:
            client.delete_item(TableName=CALLS, Key={name: row[name] for name in KEY})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}: {case.title}")
def test_dynamodb_in_memory_answers_as_aws_does(case: Case, moto: Ask) -> None:
    ours, theirs = told(DynamoDB(), case), told(moto, case)
    if case.aws is None:
        assert ours == theirs
    else:
        assert not theirs.is_(case.aws), "moto answers as AWS does by now: this case need not say what AWS does"
        assert ours.is_(case.aws)


def test_what_is_not_known_is_refused_loudly() -> None:
    with pytest.raises(NotImplementedError):
        DynamoDB()("Scan", {"TableName": CALLS})
    with pytest.raises(NotImplementedError):
        DynamoDB()("Query", query(FilterExpression="attribute_exists(#k)"))


class Told(Struct):
    """What came of a request: an error's code, or none; the answer; and the rows there are afterwards."""

    code: str
    answer: Answer
    rows: list[Any]

    def is_(self, aws: str | Answer) -> bool:
        """Whether AWS says the same: a code, or members of an answer."""
        return self.code == aws if isinstance(aws, str) else not self.code and aws.items() <= self.answer.items()


def told(ask: Ask, case: Case) -> Told:
    """Make the rows a case needs, and its request."""
    for row in case.before:
        ask("PutItem", put(row))
    code, answer = "", {}
    try:
        answer = {name: plain(each) for name, each in ask(case.operation, case.request).items() if name in MEMBERS}
    except Refused as refused:
        code, answer = refused.code, refusal(refused.answer)
    except ClientError as error:
        code, answer = error.response["Error"]["Code"], refusal(error.response)
    except Exception as broken:  # noqa: BLE001 (moto does not understand some of what AWS refuses)
        code = repr(broken)
    return Told(code, answer, plain(ask("Query", query(ConsistentRead=True))["Items"]))


MEMBERS = {
    "Item",
    "Items",
    "Count",
    "LastEvaluatedKey",
    "Attributes",
    "Responses",
    "UnprocessedKeys",
    "UnprocessedItems",
}


def refusal(answer: Answer) -> Answer:
    """The row that made a condition fail, or what each write of a transaction was cancelled for."""
    reasons = [(each["Code"], each.get("Item")) for each in answer.get("CancellationReasons", [])]
    return {"Item": plain(answer.get("Item")), "reasons": plain(reasons)}


def plain(value: Any) -> Any:
    """An answer in which the order of sets and of a batch's rows says nothing."""
    if isinstance(value, dict):
        return {name: sorted(each) if name == "SS" else plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return sorted(map(plain, value), key=repr) if value and isinstance(value[0], dict) else list(map(plain, value))
    return value
