"""`make deploy` before it reaches AWS: what it needs, in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from infra.deploy import DeployFailed, Deployment, _upload
from infra.package import ROOT
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
