"""Where the laptop stack lives and what it keeps: ports, state, secrets, logs."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


LEAVE_SECONDS = 30
"""How long a stack that was killed may take to let go of what it kept."""


class Refused(Exception):
    """The stack cannot run here; the message says why in one sentence."""


@dataclass(frozen=True)
class Laptop:
    """One local stack. Several can run side by side when their ports and homes differ."""

    port: int
    """What people and programs talk to."""

    stack_port: int
    """The emulator's."""

    home: Path
    """State, secrets and logs; not in version control."""

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def endpoint(self) -> str:
        """The emulator's, as the AWS SDK wants it."""
        return f"http://127.0.0.1:{self.stack_port}"

    @property
    def state(self) -> Path:
        return self.home / "state"

    def secrets(self) -> dict[str, str]:
        """The secrets that people need to connect an agent of their own, by the setting that sets each."""
        return {
            "WEBHOOK_SECRET": os.environ.get("WEBHOOK_SECRET") or self.secret("webhook"),
            "AGENT_TOKEN": os.environ.get("AGENT_TOKEN") or self.secret("agent"),
        }

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Nobody else runs a stack here meanwhile; a descriptor that holds this wherever it is open. Raises Refused."""
        self.home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            until = time.monotonic() + LEAVE_SECONDS
            while not _locked(lock.fileno()):
                lock.seek(0)
                holder, _, port = lock.read().partition(" ")
                if _runs(holder) or time.monotonic() > until:
                    raise Refused(
                        f"{self.home} is in use by the stack on port {port or '?'} (process {holder or '?'}); "
                        "end that one, or set LOCAL_DIR to another directory."
                    )
                time.sleep(0.1)
            lock.seek(0)
            lock.truncate()
            lock.write(f"{os.getpid()} {self.port}")
            lock.flush()
            yield lock.fileno()

    def secret(self, name: str) -> str:
        """A random secret of this laptop, made when first asked for and readable by its owner only."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "secrets.json"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read()
            known: dict[str, str] = json.loads(text) if text else {}
            if name not in known:
                known[name] = secrets.token_urlsafe(48)
                file.seek(0)
                json.dump(known, file, indent=1)
        return known[name]


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def laptop() -> Laptop:
    """The stack the environment names: `PORT`, `STACK_PORT`, `LOCAL_DIR`. Raises Refused."""
    return Laptop(_port("PORT", 3000), _port("STACK_PORT", 4566), Path(os.environ.get("LOCAL_DIR") or ROOT / ".local"))


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Refused(f"{name} is {text!r}; set it to a port number.")
    return int(text)
