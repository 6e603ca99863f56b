"""Take a stage out of the cloud, with all it holds: `python -m infra.destroy STAGE` or `make destroy STAGE=…`.

It refuses while the stage's data is protected (`DATA_PROTECTION`), and asks for the stage's name. Secrets in SSM and
the bucket of packages stay.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from infra.deploy import PATIENCE_SECONDS, STAGE, DeployFailed

HOLDING = ("AWS::DynamoDB::Table", "AWS::S3::Bucket")


class Protected(DeployFailed):
    """The stage's data is protected."""


def destroy(
    session: Any, stack: str, stage: str, ask: Callable[[str], str], say: Callable[[str], None] = print
) -> None:
    """Delete a stack, then the tables and buckets it left. Raises Protected and DeployFailed."""
    cloudformation, dynamodb = session.client("cloudformation"), session.client("dynamodb")
    held = _held(cloudformation, stack)
    safe = [name for name, kind in held.items() if kind == HOLDING[0] and _is_protected(dynamodb, name)]
    if safe:
        raise Protected(
            f"the data of {stage} is protected ({len(safe)} tables). To lift that:\n"
            f"  DATA_PROTECTION=false make deploy STAGE={stage}"
        )
    if ask(f"All contacts, calls and files of {stage} will be gone for good. Type its name: ").strip() != stage:
        raise DeployFailed("nothing was deleted.")
    say(f"deleting: stack {stack} ...")
    cloudformation.delete_stack(StackName=stack)
    _wait(cloudformation, stack)
    for name, kind in held.items():
        say(f"deleting: {name} ...")
        if kind == HOLDING[0]:
            _delete_table(dynamodb, name)
        else:
            _delete_bucket(session.client("s3"), name)


def _held(cloudformation: Any, stack: str) -> dict[str, str]:
    """The names of a stack's tables and buckets, with their type. Raises DeployFailed where there is no such stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        found = [each for page in pages for each in page["StackResourceSummaries"]]
    except cloudformation.exceptions.ClientError as error:
        raise DeployFailed(error.response["Error"]["Message"]) from None
    return {each["PhysicalResourceId"]: each["ResourceType"] for each in found if each["ResourceType"] in HOLDING}


def _is_protected(dynamodb: Any, table: str) -> bool:
    try:
        found: Mapping[str, Any] = dynamodb.describe_table(TableName=table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return False
    return bool(found.get("DeletionProtectionEnabled"))


def _wait(cloudformation: Any, stack: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        except cloudformation.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return
            raise
        if status == "DELETE_COMPLETE":
            return
        if status == "DELETE_FAILED":
            raise DeployFailed(f"the stack {stack} was not deleted; CloudFormation's events say why")
        time.sleep(1)
    raise DeployFailed(f"the stack was not gone after {PATIENCE_SECONDS // 60} minutes")


def _delete_table(dynamodb: Any, table: str) -> None:
    try:
        dynamodb.delete_table(TableName=table)
    except dynamodb.exceptions.ResourceNotFoundException:
        return


def _delete_bucket(s3: Any, bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": each["Key"]} for each in page.get("Contents", ())]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        return


def main(stage: str) -> None:
    """Take a stage out of the cloud."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    if not STAGE.fullmatch(stage):
        sys.exit("Give the stage: make destroy STAGE=dev")
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if session.region_name is None:
        sys.exit("Destroying needs an AWS region: set AWS_REGION or AWS_PROFILE.")
    try:
        destroy(session, f"autocall-{stage}", stage, input)
    except (BotoCoreError, ClientError, DeployFailed) as error:
        sys.exit(f"Destroying failed: {error}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
