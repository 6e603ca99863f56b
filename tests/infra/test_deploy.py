"""`make deploy` before it reaches AWS: what it needs, in one sentence."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.deploy import Declined, DeployFailed, Deployment, _upload, ask
from infra.deploy import deploy as deploy_package
from infra.destroy import Protected, destroy
from infra.package import ROOT, Package
from infra.runtime import cloud


def deploy(stage: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make deploy` of somebody who has no AWS configuration but the environment given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "infra.deploy", stage]
    nobody = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        command, cwd=ROOT, env=bare | nobody | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_deploying_without_credentials_is_one_sentence(tmp_path: Path) -> None:
    done = deploy("dev", tmp_path, AWS_REGION="eu-central-1")
    assert done.returncode == 1
    assert done.stderr.startswith("Deploying needs AWS credentials: set AWS_PROFILE")
    assert done.stderr.count("\n") == 1


def test_deploying_without_a_region_is_one_sentence(tmp_path: Path) -> None:
    done = deploy("dev", tmp_path)
    assert (done.returncode, done.stderr) == (1, "Deploying needs an AWS region: set AWS_REGION or AWS_PROFILE.\n")


def test_deploying_without_a_stage_is_one_sentence(tmp_path: Path) -> None:
    done = deploy("", tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("make deploy STAGE=dev\n")


def test_deploying_tells_the_end_of_its_python_first(tmp_path: Path) -> None:
    assert deploy("dev", tmp_path, AWS_REGION="eu-central-1").stdout.strip() == cloud({}).ending


OURS = "123456789012"


def test_code_in_the_bucket_is_the_code_that_was_packaged() -> None:
    to = Deployment("autocall-test", {}, "artifacts", OURS)
    with mock_aws():
        session = boto3.Session("testing", "testing", region_name="eu-central-1")
        s3 = session.client("s3")
        key = _upload(session, to, b"code", "zip")
        s3.put_object(Bucket="artifacts", Key=key, Body=b"somebody else's")
        assert _upload(session, to, b"code", "zip") == key
        assert s3.get_object(Bucket="artifacts", Key=key)["Body"].read() == b"code"


@pytest.mark.parametrize(("refusal", "code"), [(403, "403"), (403, "AccessDenied")])
def test_bucket_of_somebody_else_gets_no_code(refusal: int, code: str) -> None:
    """S3 refuses when the bucket's owner is not the one it is told to expect."""
    from botocore.stub import Stubber

    client = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as asked:
        expected = {"Bucket": "artifacts", "ExpectedBucketOwner": OURS}
        asked.add_client_error("head_bucket", code, http_status_code=refusal, expected_params=expected)
        session = type("Session", (), {"region_name": "eu-central-1", "client": lambda self, _: client})()
        with pytest.raises(DeployFailed, match="artifacts is not this account's"):
            _upload(session, Deployment("autocall-test", {}, "artifacts", OURS), b"code", "zip")


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "mail"}}
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "DeletionPolicy": "Retain",
    "UpdateReplacePolicy": "Retain",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
        "AttributeDefinitions": [{"AttributeName": "owner", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
    },
}
TO = Deployment("autocall-test", {}, "artifacts")


class Asked:
    """Somebody who is asked, and says the same each time."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.lines: list[Sequence[str]] = []

    def __call__(self, lines: Sequence[str]) -> bool:
        self.lines.append(lines)
        return self.answer


@pytest.fixture
def session() -> Iterator[Any]:
    with mock_aws():
        yield boto3.Session("testing", "testing", region_name="us-east-1")


def packaged(home: Path, **resources: Any) -> Package:
    """A package of these resources."""
    (home / "template.json").write_text(
        json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": {}})
    )
    (home / "code.zip").write_bytes(b"code")
    return Package(home / "template.json", home / "code.zip")


def silent(_: str) -> None:
    return


def test_changes_are_shown_before_they_are_made(session: Any, tmp_path: Path) -> None:
    asked = Asked(True)
    deploy_package(session, packaged(tmp_path, Mail=QUEUE), TO, silent, asked)
    deploy_package(session, packaged(tmp_path, Mail=QUEUE, Rows=TABLE), TO, silent, asked)
    assert asked.lines[0] == ["  + made: Mail (AWS::SQS::Queue)"]
    assert "  + made: Rows (AWS::DynamoDB::Table)" in asked.lines[1]
    assert len(session.client("dynamodb").list_tables()["TableNames"]) == 1


def test_who_says_no_changes_nothing(session: Any, tmp_path: Path) -> None:
    with pytest.raises(Declined, match="nothing was changed"):
        deploy_package(session, packaged(tmp_path, Mail=QUEUE), TO, silent, Asked(False))
    assert "QueueUrls" not in session.client("sqs").list_queues()
    deploy_package(session, packaged(tmp_path, Mail=QUEUE), TO, silent)
    assert len(session.client("sqs").list_queues()["QueueUrls"]) == 1


def test_update_that_would_lose_rows_is_refused_before_anybody_is_asked(session: Any, tmp_path: Path) -> None:
    deploy_package(session, packaged(tmp_path, Rows=TABLE), TO, silent)
    another = TABLE | {"Properties": TABLE["Properties"] | {"TableName": "rows"}}  # type: ignore[operator]
    asked = Asked(True)
    with pytest.raises(DeployFailed, match="Rows: another TableName means another, empty one"):
        deploy_package(session, packaged(tmp_path, Rows=another), TO, silent, asked)
    assert asked.lines == []


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(DeployFailed, match="YES=1"):
        ask(["  + made: Mail"])
    monkeypatch.setenv("YES", "1")
    assert ask(["  + made: Mail"])
    assert capsys.readouterr().out.splitlines() == ["  + made: Mail"] * 2


def test_protected_data_is_not_destroyed(session: Any, tmp_path: Path) -> None:
    deploy_package(session, packaged(tmp_path, Rows=TABLE), TO, silent)
    with pytest.raises(Protected, match="DATA_PROTECTION=false make deploy STAGE=test"):
        destroy(session, "autocall-test", "test", lambda _: "test", silent)
    [table] = session.client("dynamodb").list_tables()["TableNames"]
    session.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=False)
    with pytest.raises(DeployFailed, match="nothing was deleted"):
        destroy(session, "autocall-test", "test", lambda _: "yes", silent)
    destroy(session, "autocall-test", "test", lambda _: "test", silent)
    assert session.client("dynamodb").list_tables()["TableNames"] == []
    with pytest.raises(DeployFailed):
        destroy(session, "autocall-test", "test", lambda _: "test", silent)
