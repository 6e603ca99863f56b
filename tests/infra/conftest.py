"""The built package, and its template as CloudFormation sees it after the SAM transform."""

import json
import os
from typing import Any

import pytest

from infra import package as packaging
from infra import runtime as runtimes

Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def runtime() -> runtimes.Runtime:
    """What the functions run on in the cloud."""
    return runtimes.cloud(os.environ)


@pytest.fixture(scope="session")
def package(runtime: runtimes.Runtime) -> packaging.Package:
    """The package of the working tree for the cloud."""
    return packaging.package(runtime)


@pytest.fixture(scope="session")
def sam(package: packaging.Package) -> dict[str, Any]:
    """The packaged template."""
    template: dict[str, Any] = json.loads(package.template.read_text())
    return template


@pytest.fixture(scope="session")
def cloudformation(package: packaging.Package) -> dict[str, Any]:
    """The packaged template after SAM's own transform, with a place for the code filled in."""
    from samtranslator.translator.transform import transform

    template = json.loads(package.template.read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": "some-artifacts", "Key": "deployment.zip"}

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    kept = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    try:
        transformed: dict[str, Any] = transform(template, {}, NoManagedPolicies())
    finally:
        if kept is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = kept
    return transformed


@pytest.fixture(scope="session")
def resources(cloudformation: dict[str, Any]) -> Resources:
    """The transformed resources by name."""
    found: Resources = cloudformation["Resources"]
    return found
