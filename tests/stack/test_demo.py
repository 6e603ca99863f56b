"""`make demo`: the guide's workflow for whoever wants to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.demo import CONTACTS
from local.laptop import ROOT
from tests.stack.deployed import LocalStack


def demo(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.demo"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)


def test_demo_calls_everybody_and_says_how_it_went(stack: LocalStack) -> None:
    done = demo(stack.environment() | {"ORG": "demo"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{CONTACTS} contacts created" in done.stdout
    assert f"{CONTACTS}/{CONTACTS}" in done.stdout
    assert "COMPLETED" in done.stdout
    assert f"{CONTACTS} of {CONTACTS} called" in done.stdout
    for status in ("SUCCESS", "PROMISE_TO_PAY", "REFUSED", "NO_ANSWER", "BUSY", "CALLBACK_REQUESTED"):
        assert status in done.stdout


def test_demo_without_a_stack_is_one_sentence(tmp_path: Path) -> None:
    done = demo(os.environ | {"PORT": "1", "LOCAL_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == "make demo: Nothing answers on http://localhost:1; start the stack with `make run`.\n"
