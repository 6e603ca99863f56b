"""Updates in place: what DynamoDB and CloudFormation would refuse or lose is refused, and the present is none of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra import changes

Change = tuple[str, Any]

TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "DeletionPolicy": "Retain",
    "UpdateReplacePolicy": "Retain",
    "Properties": {
        "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "due", "AttributeType": "S"},
        ],
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for name in ("first", "second")
        ],
    },
}
OLD: dict[str, Any] = {
    "Resources": {
        "Rows": TABLE,
        "Files": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": "files"}},
        "Mail": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "mail", "VisibilityTimeout": 30}},
        "Api": {"Type": "AWS::Serverless::Api", "Properties": {}},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {}},
    }
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The template with one thing changed; None takes it away."""
    new = copy.deepcopy(OLD)
    at: Any = new["Resources"]
    *way, last = (int(each) if each.isdigit() else each for each in path.split("/"))
    for each in way:
        at = at[each]
    if value is None:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return new


INDEXES = "Rows/Properties/GlobalSecondaryIndexes"
ANOTHER = {"IndexName": "third", "KeySchema": [], "Projection": {}}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("Rows", None, "left behind"),
        ("Rows/Type", "AWS::DynamoDB::GlobalTable", "left behind"),
        ("Rows/DeletionPolicy", "Delete", "DeletionPolicy would no longer be Retain"),
        ("Rows/UpdateReplacePolicy", None, "UpdateReplacePolicy would no longer be Retain"),
        ("Rows/Properties/TableName", "rows", "another TableName"),
        ("Rows/Properties/KeySchema/0/AttributeName", "due", "another KeySchema"),
        ("Rows/Properties/KeySchema/1", {"AttributeName": "due", "KeyType": "RANGE"}, "another KeySchema"),
        ("Rows/Properties/LocalSecondaryIndexes", [{}], "another LocalSecondaryIndexes"),
        ("Rows/Properties/AttributeDefinitions/1/AttributeType", "N", "attribute due would be of another type"),
        ("Rows/Properties/StreamSpecification/StreamViewType", "KEYS_ONLY", "no stream's view"),
        (f"{INDEXES}/0/KeySchema/0/AttributeName", "owner", "index first cannot have another KeySchema"),
        (f"{INDEXES}/1/Projection/ProjectionType", "ALL", "index second cannot have another Projection"),
        (INDEXES, None, "one index in an update, not first, second"),
        (INDEXES, [TABLE["Properties"]["GlobalSecondaryIndexes"][0], ANOTHER], "not second, third"),  # type: ignore[index]
        ("Files/Properties/BucketName", "others", "another BucketName"),
        ("Files", None, "left behind"),
        ("Mail/Properties/QueueName", "post", "another QueueName"),
        ("Mail/Properties/FifoQueue", True, "another FifoQueue"),
        ("Api", None, "address would be gone"),
    ],
)
def test_change_that_loses_or_is_refused_is_said(path: str, value: Any, said: str) -> None:
    (danger,) = changes.dangers(OLD, changed(path, value))
    assert danger.startswith(f"{path.partition('/')[0]}: ")
    assert said in danger


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Alarm", None),
        ("Alarm/Type", "AWS::SNS::Topic"),
        ("Mail", None),
        ("Mail/Properties/VisibilityTimeout", 60),
        ("New", TABLE),
        (f"{INDEXES}/2", ANOTHER),
        (f"{INDEXES}/1", None),
        ("Rows/Properties/StreamSpecification", None),
        ("Rows/Properties/AttributeDefinitions/2", {"AttributeName": "more", "AttributeType": "N"}),
        ("Rows/Properties/TimeToLiveSpecification", {"AttributeName": "expiresAt", "Enabled": True}),
        ("Files/Properties/LifecycleConfiguration", {}),
    ],
)
def test_change_that_loses_nothing_is_free(path: str, value: Any) -> None:
    assert changes.dangers(OLD, changed(path, value)) == []


def test_present_template_follows_the_released_one(sam: dict[str, Any]) -> None:
    assert changes.dangers(json.loads(changes.RELEASED.read_text()), sam) == []


def test_what_is_kept_of_a_release_is_what_holds_something(sam: dict[str, Any]) -> None:
    kept = changes.holding(sam)["Resources"]
    wanted = {name for name, each in sam["Resources"].items() if each["Type"] in changes.FIXED}
    assert kept.keys() - wanted == {"ImportsQueuePolicy"}, "which the bucket waits for"
    assert wanted <= kept.keys()
