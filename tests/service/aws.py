"""AWS in process: moto with the very tables and queues that `infra/resources.yaml` declares."""

from __future__ import annotations

import copy
import functools
import os
from pathlib import Path
from typing import Any

import boto3
import yaml
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

RESOURCES = Path(__file__).parents[2] / "infra" / "resources.yaml"
QUEUES = {
    "CAMPAIGN_EVENTS_QUEUE": "campaign-events.fifo",
    "DIAL_QUEUE": "dial-queue",
    "JOBS_QUEUE": "jobs",
    "LIVE_EVENTS_QUEUE": "live-events.fifo",
    "IMPORTS_QUEUE": "imports",
}
JWT_SECRET = "a secret of the tests, long enough for HS256"
WEBHOOK_SECRET = "the webhooks' secret"


@functools.cache
def client(service: str) -> Any:
    """The tests' own client of a service; making one takes a tenth of a second."""
    return boto3.client(service)


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref` …) as their plain value."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _tag)


@functools.cache
def resources() -> dict[str, Any]:
    """The resources of the merged template, by logical name."""
    declared: dict[str, Any] = yaml.load(RESOURCES.read_text(), _Loader)["Resources"]
    return declared


def setup(environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Make tables, queues, bucket and secrets in the running mock, and name them in the environment."""
    _tables(environ)
    sqs = client("sqs")
    for variable, name in QUEUES.items():
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        environ[variable] = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    environ["BUCKET"] = "autocall-test"
    client("s3").create_bucket(
        Bucket="autocall-test", CreateBucketConfiguration={"LocationConstraint": environ["AWS_DEFAULT_REGION"]}
    )
    ssm = client("ssm")
    for variable, name, value in (
        ("JWT_SECRET_PARAMETER", "/autocall/jwt-secret", JWT_SECRET),
        ("WEBHOOK_SECRET_PARAMETER", "/autocall/webhook-secret", WEBHOOK_SECRET),
        ("BARRED_PHONES_KEY_PARAMETER", "/autocall/barred-phones-key", "the key of barred phones"),
    ):
        ssm.put_parameter(Name=name, Value=value, Type="SecureString")
        environ[variable] = name
    environ["ORGANIZATION_ACCOUNTS_PATH"] = "/autocall/organizations"
    environ["SOCKET_ENDPOINT"] = "https://sockets.test/api"


def _tables(environ: dict[str, str] | os._Environ[str]) -> None:
    declared = {
        logical: resource["Properties"]
        for logical, resource in resources().items()
        if resource.get("Type") == "AWS::DynamoDB::Table"
    }
    region = dynamodb_backends[DEFAULT_ACCOUNT_ID][environ["AWS_DEFAULT_REGION"]]
    if not _EMPTY:
        for logical, properties in declared.items():
            parts = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
            client("dynamodb").create_table(
                TableName=f"test-{logical}",
                BillingMode="PAY_PER_REQUEST",
                **{part: properties[part] for part in parts if part in properties},
            )
        _EMPTY.update(copy.deepcopy(region.tables))
    region.tables = copy.deepcopy(_EMPTY)
    environ |= {variable(logical): f"test-{logical}" for logical in declared}


_EMPTY: dict[str, Any] = {}
"""moto's tables as it made them once: making them takes most of the time that a deployment does."""


def variable(logical: str) -> str:
    """`PhoneNumbersTable` → `PHONE_NUMBERS_TABLE`."""
    return "".join(f"_{c}" if c.isupper() and n else c for n, c in enumerate(logical)).upper()
