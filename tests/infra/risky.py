"""What cloudsplaining, in an environment of its own, finds in policies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.environments import installed

HERE = Path(__file__).parent


def risks(policies: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The high risks of policies by name."""
    python = installed("risks", HERE / "risks-requirements.txt", "what judges policies", lambda _: None)
    given = json.dumps({name: _named(each) for name, each in policies.items()})
    done = subprocess.run([python, HERE / "risks.py"], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


def _named(value: Any) -> Any:
    """A policy with ARNs in place of references: what they refer to is something, and not everything."""
    if isinstance(value, list):
        return [_named(each) for each in value]
    if isinstance(value, str):
        return value.replace("${", "").replace("}", "")
    if not isinstance(value, dict):
        return value
    if value.keys() & {"Ref", "Fn::GetAtt", "Fn::Sub"}:
        (referred,) = value.values()
        return _named(f"arn:aws:some:region:account:{referred}")
    return {name: _named(each) for name, each in value.items()}
