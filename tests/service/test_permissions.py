"""A role allows what its function does: every test here that has a deployment watches it (`conftest.py`)."""

from __future__ import annotations

import pytest

from chalicelib.settings import settings
from tests.service import permissions
from tests.service.aws import resources
from tests.service.cloud import Cloud
from tests.service.permissions import ENTRIES, Grant, Use


def test_every_function_is_watched() -> None:
    functions = [each["Properties"] for each in resources().values() if "Role" in each.get("Properties", {})]
    roles = {each["Role"].removesuffix(".Arn") for each in functions}
    assert roles == ENTRIES.keys(), (
        "ENTRIES in tests/service/permissions.py says where the functions of each role begin"
    )


def test_what_a_role_does_not_allow_is_noticed(cloud: Cloud) -> None:
    [watch] = permissions.watches
    watch.at_work.append("PollerRole")
    cloud.sqs.send_message(QueueUrl=settings().jobs_queue, MessageBody="{}")
    watch.at_work.clear()
    with pytest.raises(AssertionError, match="PollerRole may not sqs:SendMessage on JobsQueue"):
        watch.check()
    watch.refused.clear()


def test_what_a_role_allows_is_for_one_table_index_and_folder() -> None:
    grant = Grant("ApiRole", "s3:ListBucket", "Bucket.Arn", "uploads/*")
    assert grant.allows("ApiRole", Use("s3:ListBucket", "Bucket.Arn", "uploads/1/x"))
    assert not grant.allows("ApiRole", Use("s3:ListBucket", "Bucket.Arn", "reports/1/x"))
    assert not grant.allows("WorkerRole", Use("s3:ListBucket", "Bucket.Arn", "uploads/1/x"))
    table = Grant("ApiRole", "dynamodb:Query", "ContactsTable.Arn", "*")
    assert not table.allows("ApiRole", Use("dynamodb:Query", "${ContactsTable.Arn}/index/status"))
