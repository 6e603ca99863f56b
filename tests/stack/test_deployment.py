"""Deploying and verifying on a deployed system: what was there stays, and what is there works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra import changes, deploy, verify
from infra.package import Package
from local import code, deployment
from local.stack import ARTIFACTS, talking_to
from tests.stack.deployed import LocalStack

BEFORE = deploy.Deployment("autocall-before", {"Stage": "before"}, ARTIFACTS)


def packaged(home: Path, template: dict[str, Any]) -> Package:
    """A template as a package; its functions are none."""
    (home / "template.json").write_text(json.dumps(template | {"Outputs": {}}))
    (home / "code.zip").write_bytes(b"")
    return Package(home / "template.json", home / "code.zip")


def tables(session: Any) -> dict[str, str]:
    """The names of the stack's tables by those in its template."""
    found = session.client("cloudformation").describe_stack_resources(StackName=BEFORE.stack)["StackResources"]
    is_table = "AWS::DynamoDB::Table"
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found if each["ResourceType"] == is_table}


def a_row(table: dict[str, Any]) -> dict[str, Any]:
    """A row with nothing but its key."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    return {key["AttributeName"]: {types[key["AttributeName"]]: "1"} for key in table["KeySchema"]}


def test_update_in_place_from_what_was_released_loses_no_rows(stack: LocalStack, tmp_path: Path) -> None:
    released = json.loads(changes.RELEASED.read_text())
    present = changes.holding(json.loads((code.BUILT / "template.json").read_text()))
    with talking_to(stack.laptop) as session:
        deploy.deploy(session, packaged(tmp_path, released), BEFORE, lambda _: None)
        dynamodb, before = session.client("dynamodb"), tables(session)
        rows = {name: a_row(released["Resources"][name]["Properties"]) for name in before}
        for name, row in rows.items():
            dynamodb.put_item(TableName=before[name], Item=row)
        deploy.deploy(session, packaged(tmp_path, present), BEFORE, lambda _: None)
        after = tables(session)
        assert before.items() <= after.items()
        for name, row in rows.items():
            assert dynamodb.get_item(TableName=after[name], Key=row)["Item"] == row, name


def test_deployed_system_passes_what_can_be_verified_here(stack: LocalStack) -> None:
    quick = [each for each in verify.TRIALS if each.do is not verify.scheduled_start]
    lines = verify.of(deployment.reached(stack.laptop), quick, laptop=True, say=lambda _: None)
    assert [each.line for each in lines if each.failed] == []
    nothing = [each.name for each in lines if each.passed is None]
    assert nothing == [each.name for each in verify.TRIALS if each.here]
    assert len(lines) == 4 + len(quick)
