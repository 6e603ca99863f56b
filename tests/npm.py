"""Programs of Node's that tests need, each in a directory of its own, installed once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.package import ROOT


def installed(name: str, version: str) -> Path:
    """The directory of an installed package; without Node the test is skipped."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"node and npm are not installed: {name} is not tried")
    wanted = f"{name}@{version}"
    home = ROOT / ".local" / wanted.replace("/", "-")
    if not (home / "node_modules").exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(home), "--no-package-lock", "--no-audit", "--no-fund", wanted]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return home
