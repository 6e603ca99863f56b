"""`make deploy` before it reaches AWS: what it needs, in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
