"""Virtual environments of their own, for what pins packages that the project's do not go with."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.laptop import ROOT, Refused

Say = Callable[[str], None]


def installed(name: str, requirements: Path, what: str, say: Say) -> Path:
    """The Python of an environment with some requirements, made if need be. Raises Refused."""
    venv = ROOT / ".local" / f"{name}-venv"
    venv.parent.mkdir(exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_of = requirements.read_bytes() + f"{sys.base_prefix} {sys.version}".encode()
        stamp, wanted = venv / "installed", hashlib.sha256(made_of).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            say(f"installing {what} (once) ...")
            shutil.rmtree(venv, ignore_errors=True)
            make = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
            pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "--disable-pip-version-check"]
            for command in make, [*pip, "install", "-qq", "--only-binary=:all:", "-r", str(requirements)]:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    said = (done.stderr or done.stdout).strip()
                    raise Refused(f"{what[0].upper()}{what[1:]} could not be installed: {said}")
            stamp.write_text(wanted)
    return venv / "bin" / "python"
