"""Who may deploy, and from where: the bootstrap template and GitHub's workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from infra import deploy
from infra.checks import variable
from infra.package import ROOT
from tests.infra.risky import risks

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what they are given."""


def _plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


Loader.add_multi_constructor("!", _plain)


@pytest.fixture
def made() -> dict[str, Any]:
    """The bootstrap's resources."""
    found: dict[str, Any] = yaml.load((ROOT / "infra" / "bootstrap.yaml").read_text(), Loader)["Resources"]
    return found


def statements(made: dict[str, Any]) -> dict[str, Any]:
    """The deployer's policy by the names of its statements."""
    policy = made["DeployerPolicy"]["Properties"]["PolicyDocument"]
    return {each["Sid"]: each for each in policy["Statement"]}


def test_policy_fits_into_one(made: dict[str, Any]) -> None:
    """IAM counts 6,144 characters of a managed policy, without white space."""
    written = json.dumps(made["DeployerPolicy"]["Properties"]["PolicyDocument"], separators=(",", ":"))
    assert len(written.replace("${AWS::Region}", "ap-southeast-1").replace("${AWS::AccountId}", "0" * 12)) < 6_144


def test_policies_have_no_high_risk(made: dict[str, Any], resources: dict[str, Any]) -> None:
    """CloudFront knows its things by ids only: whoever deploys can change another's distribution in the account."""
    functions = {
        name: each["Properties"]["Policies"][0]["PolicyDocument"]
        for name, each in resources.items()
        if each["Type"] == "AWS::IAM::Role" and "Policies" in each["Properties"]
    }
    assert len(functions) == 12
    found = risks(functions | {"Deployer": made["DeployerPolicy"]["Properties"]["PolicyDocument"]})
    deployers = found.pop("Deployer")
    assert not any(found.values()), found
    assert set(deployers) == {"infrastructure"}
    assert {action.partition(":")[0] for action in deployers["infrastructure"]} == {"cloudfront"}


def test_risk_would_be_found() -> None:
    statement = {"Effect": "Allow", "Action": ["iam:PutRolePolicy", "s3:GetObject"], "Resource": "*"}
    found = risks({"risky": {"Version": "2012-10-17", "Statement": [statement]}})["risky"]
    assert {"permissions", "data exfiltration"} <= set(found)


def test_deployer_makes_and_passes_roles_of_its_stacks_only(made: dict[str, Any]) -> None:
    for name, each in statements(made).items():
        actions = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
        if any(action.startswith("iam:") for action in actions):
            assert "role/autocall-" in each["Resource"], name
            assert not any("*" in action for action in actions), name
        assert "*" not in actions, name
    passed = statements(made)["PassedRoles"]["Condition"]["StringEquals"]["iam:PassedToService"]
    assert set(passed) == {"lambda.amazonaws.com", "apigateway.amazonaws.com"}
    attached = statements(made)["LogsOfApis"]["Condition"]["ArnEquals"]["iam:PolicyARN"]
    assert attached.endswith("/AmazonAPIGatewayPushToCloudWatchLogs")


def test_only_one_repositorys_environment_becomes_the_deployer(made: dict[str, Any]) -> None:
    (trust,) = made["Deployer"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:${Repository}:environment:${Environment}",
    }


def test_workflows_have_no_more_than_they_need_and_name_settings_that_exist() -> None:
    assert [path.name for path in WORKFLOWS] == ["check.yml", "deploy.yml"]
    known = {*map(variable, deploy.FROM_ENVIRONMENT), "STAGE", "AWS_REGION"}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert set(workflow["permissions"]) <= {"contents", "id-token"}, path.name
        assert workflow["permissions"]["contents"] == "read", path.name
        for job in workflow["jobs"].values():
            assert set(job.get("env", {})) <= known, path.name
            assert job["timeout-minutes"] <= 60, path.name
