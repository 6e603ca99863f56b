"""What the stores read off the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.parsers import JSONParser
from botocore.session import get_session

from chalicelib.aws.dynamodb import Verbatim

OPERATIONS = get_session().get_service_model("dynamodb")


def parsed(parser: JSONParser, operation: str, body: Any, status: int = 200) -> Any:
    """What a parser makes of an answer of DynamoDB, apart from the metadata of the request."""
    headers = {"x-amzn-requestid": "1"}
    response = {"status_code": status, "headers": headers, "body": b"" if body is None else json.dumps(body).encode()}
    answer = parser.parse(response, OPERATIONS.operation_model(operation).output_shape)
    assert answer.pop("ResponseMetadata")["RequestId"] == "1"
    return answer


ITEM = {
    "organizationId": {"S": "1"},
    "waiting": {"N": "12"},
    "isCalled": {"BOOL": False},
    "zones": {"SS": ["Asia/Tashkent"]},
    "notes": {"NULL": True},
    "nested": {"M": {"list": {"L": [{"S": "x"}, {"N": "1.5"}]}}},
}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("GetItem", {"Item": ITEM}),
        ("GetItem", {}),
        ("PutItem", None),
        ("Query", {"Items": [ITEM, ITEM], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": {"shard": {"N": "1"}}}),
        ("BatchGetItem", {"Responses": {"Contacts": [ITEM]}, "UnprocessedKeys": {}}),
        ("TransactWriteItems", {}),
    ],
)
def test_answers_are_read_as_botocore_reads_them(operation: str, body: Any) -> None:
    assert parsed(Verbatim(), operation, body) == parsed(JSONParser(), operation, body)


def test_refusals_are_read_by_botocore_itself() -> None:
    refusal = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException", "message": "busy"}
    assert parsed(Verbatim(), "PutItem", refusal, 400)["Error"]["Code"] == "TransactionConflictException"
