"""MiniStack, the AWS emulator: its own virtual environment, its process, its end."""

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.laptop import ROOT, Laptop, Refused

REGION = "us-east-1"
ACCESS_KEY = "autocall-laptop"
VENV = ROOT / ".local" / "ministack-venv"
REQUIREMENTS = ROOT / "local" / "requirements.txt"
START_SECONDS = 60
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1
"""prctl(2)"""

SERVICES = "apigateway,cloudformation,dynamodb,events,iam,kms,lambda,logs,monitoring,s3,sqs,ssm,sts"

Say = Callable[[str], None]


def install(say: Say) -> Path:
    """The emulator's Python, installed if need be. Raises Refused."""
    VENV.parent.mkdir(exist_ok=True)
    with (VENV.parent / "ministack-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_of = REQUIREMENTS.read_bytes() + f"{sys.base_prefix} {sys.version}".encode()  # functions run on its Python
        stamp, wanted = VENV / "installed", hashlib.sha256(made_of).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            say("installing the AWS emulator (once) ...")
            shutil.rmtree(VENV, ignore_errors=True)
            python = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
            for command in [sys.executable, "-m", "venv", str(VENV)], [*python, "-r", str(REQUIREMENTS)]:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Refused(f"The AWS emulator could not be installed: {(done.stderr or done.stdout).strip()}")
            stamp.write_text(wanted)
    return VENV / "bin" / "python"


def sdk_environment(at: Laptop) -> dict[str, str]:
    """What the AWS SDK needs to talk to the emulator as its root, and to nothing else."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": at.secret("root"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": at.endpoint,
        "AWS_CONFIG_FILE": str(at.home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def running(at: Laptop, python: Path, say: Say) -> Iterator[subprocess.Popen[bytes]]:
    """Run the emulator, with what it kept, until the block ends. Raises Refused when it does not start."""
    scratch = at.home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (at.home / "aws-config").write_text("[default]\ns3 =\n  addressing_style = path\n")
    _rewind_streams(at)
    say(f"starting the AWS emulator on port {at.stack_port} ...")
    with (at.home / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", "ministack"],
            env=_environment(at, scratch),
            cwd=at.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (no threads run yet)
        )
    try:
        _await_health(at, process)
        yield process
    finally:
        _stop(process, say)


def _rewind_streams(at: Laptop) -> None:
    """Forget how far the streams were read: MiniStack keeps that and not the records, and would pass over as many."""
    kept = at.state / "services" / "lambda.json"
    if kept.exists():
        state = json.loads(kept.read_text())
        state["payload"]["dynamodb_stream_positions"]["data"] = {}
        kept.write_text(json.dumps(state))


def _environment(at: Laptop, scratch: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return inherited | {
        **sdk_environment(at),
        "AWS_ENDPOINT_URL_S3": at.origin,  # what functions presign must work in a browser
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(at.stack_port),
        "MINISTACK_REGION": REGION,
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(at.state / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(at.state / "s3"),
        "LAMBDA_EXECUTOR": "local",
        "SERVICES": SERVICES,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(scratch),
        "LOG_LEVEL": os.environ.get("STACK_LOG_LEVEL", "INFO"),
    }


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _await_health(at: Laptop, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{at.endpoint}/_ministack/health", timeout=2):  # noqa: S310 (our own)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise Refused(f"The AWS emulator did not start; {at.home / 'ministack.log'} says why.")


def _stop(process: subprocess.Popen[bytes], say: Say) -> None:
    """Let it write its state, then end whatever its functions left running."""
    if process.poll() is None:
        say("stopping, and keeping the data ...")
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            say("the AWS emulator does not stop by itself; what it had not written is lost")
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
