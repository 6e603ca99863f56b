"""On what the functions run: what AWS has, what is packaged for it, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.package import ROOT
from infra.runtime import GLIBC, MACHINES, NoRuntime, Runtime, cloud, laptop

PYTHONS = list(GLIBC)


def function(python: tuple[int, int], architecture: str) -> dict[str, object]:
    """The least function that CloudFormation knows."""
    properties = {
        "Runtime": "python{}.{}".format(*python),
        "Architectures": [architecture],
        "Handler": "app.app",
        "Role": "arn:aws:iam::123456789012:role/some",
        "Code": {"S3Bucket": "some-artifacts", "S3Key": "deployment.zip"},
    }
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def test_linter_knows_every_runtime(tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    pairs = [(python, architecture) for python in PYTHONS for architecture in MACHINES]
    template.write_text(json.dumps({"Resources": {f"F{n}": function(*pair) for n, pair in enumerate(pairs)}}))
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, template], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("architecture", "machine"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def test_wheels_are_for_the_runtime(python: tuple[int, int], architecture: str, machine: str) -> None:
    implementation, version, *platforms = Runtime(python, architecture).wheels()
    assert (implementation, version) == ("--implementation=cp", "--python-version={}.{}".format(*python))
    newest = 26 if python == (3, 11) else 34
    assert platforms[0] == f"--platform=manylinux_2_{newest}_{machine}"
    assert {each.rpartition(machine)[1:] for each in platforms} == {(machine, "")}


def test_wheels_of_a_machine_that_is_no_linux_are_its_own() -> None:
    assert Runtime((3, 13), "arm64", native=True).wheels() == []


def test_cloud_is_arm_unless_the_environment_says_otherwise() -> None:
    this = sys.version_info[:2]
    assert cloud({}) == cloud({"ARCHITECTURE": ""}) == Runtime(this, "arm64")
    assert cloud({"ARCHITECTURE": "x86_64"}) == Runtime(this, "x86_64")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the functions load libraries of another kind")
def test_laptop_with_linux_runs_what_lambda_would() -> None:
    assert laptop() == cloud({"ARCHITECTURE": laptop().architecture})


def test_architecture_that_lambda_does_not_have_is_one_sentence() -> None:
    command = [sys.executable, "-m", "infra.package"]
    environment = {**os.environ, "ARCHITECTURE": "aarch64"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "make package: AWS Lambda has the architectures arm64, x86_64, not 'aarch64'.\n"


@pytest.mark.parametrize("python", [(3, 10), (3, 15)])
def test_python_that_lambda_does_not_have_is_refused(python: tuple[int, int]) -> None:
    with pytest.raises(NoRuntime, match=r"^AWS Lambda has Python 3\.11, 3\.12, 3\.13, 3\.14, not 3\.1[05]\.$"):
        Runtime(python, "arm64")


def test_oldest_python_tells_its_end() -> None:
    assert "until 30 June 2027" in Runtime((3, 11), "arm64").ending
    assert not any(Runtime(python, "arm64").ending for python in PYTHONS[1:])
