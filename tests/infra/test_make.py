"""`make venv`: which interpreter it takes, and when it takes another. The interpreters are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.package import ROOT

RUNS = """#!/bin/sh
# {name}
if [ "$2" = venv ]; then rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi
"""
FAILS = "#!/bin/sh\nexit 127\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project as far as make looks at it, on a machine whose every Python fails."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for requirements in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / requirements).touch()
    for minor in range(11, 15):
        interpreter(tmp_path / f"bin/python3.{minor}", FAILS)
    return tmp_path


def interpreter(path: Path, script: str = RUNS) -> Path:
    """A Python that makes virtual environments, or one that does as told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script.format(name=path))
    path.chmod(0o755)
    return path


def make(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`make venv` there."""
    environment = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYENV_ROOT": str(home / "pyenv"), **settings}
    return subprocess.run(["make", "venv"], cwd=home, env=environment, capture_output=True, text=True, check=False)


def taken(home: Path) -> str:
    """The interpreter of .venv."""
    return (home / ".venv/bin/python").read_text().splitlines()[1].removeprefix("# ")


def test_newest_interpreter_that_runs_is_taken(home: Path) -> None:
    newest = interpreter(home / "pyenv/versions/3.13.0/bin/python")
    interpreter(home / "bin/python3.12")
    assert make(home).returncode == 0
    assert taken(home) == str(newest)


def test_another_interpreter_makes_the_environment_anew_and_is_kept(home: Path) -> None:
    interpreter(home / "bin/python3.14")
    older = interpreter(home / "bin/python3.12")
    make(home)
    assert make(home, PYTHON="python3.12").returncode == 0
    assert taken(home) == str(older)
    make(home)
    assert taken(home) == str(older)


def test_another_requirement_keeps_the_environment(home: Path) -> None:
    interpreter(home / "bin/python3.13")
    make(home)
    (home / ".venv/lib").mkdir()
    os.utime(home / ".venv/ready", (0, 0))
    assert make(home).stderr.startswith("installing the project's packages")
    assert (home / ".venv/lib").exists()


def test_interpreter_that_does_not_run_is_one_sentence(home: Path) -> None:
    interpreter(home / "bin/python3.13")
    make(home)
    done = make(home, PYTHON="python3.12")
    assert done.returncode != 0
    assert done.stderr.startswith("python3.12 is no Python from 3.11 to 3.14 that runs and has venv; 3.13 or newer")
    assert taken(home) == str(home / "bin/python3.13")
    assert "sudo apt install python3 python3-venv" in done.stderr
