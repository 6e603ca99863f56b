"""MiniStack, the AWS emulator: its own virtual environment, its process, its end."""

import asyncio
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import environments
from local.environments import Say
from local.laptop import ROOT, Laptop, Refused

REGION = "us-east-1"
ACCESS_KEY = "autocall-laptop"
REQUIREMENTS = ROOT / "local" / "requirements.txt"
START_SECONDS = 60
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1
"""prctl(2)"""

SERVICES = "apigateway,cloudformation,dynamodb,events,iam,kms,lambda,logs,monitoring,s3,sqs,ssm,sts"

EMULATOR = ROOT / "local" / "emulator.py"


class Emulator:
    """The emulator's process, and what it tells of its troubles."""

    def __init__(self, process: subprocess.Popen[bytes], notices: int) -> None:
        self.process = process
        self.notices = notices
        self.is_keeping = True

    async def watch(self, at: Laptop, say: Say) -> None:
        """Say what troubles it until it ends by itself. Raises Refused then."""
        loop, text = asyncio.get_running_loop(), asyncio.StreamReader()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(text), os.fdopen(os.dup(self.notices), "rb")
        )
        try:
            while line := await text.readline():
                self.told(line.decode().rstrip(), say)
        finally:
            pipe.close()
        raise Refused(f"The AWS emulator has ended by itself; {at.home / 'ministack.log'} says why. Start again.")

    def told(self, line: str, say: Say) -> None:
        """That it cannot keep the data, or can again."""
        self.is_keeping = line.startswith("keeps")
        say(f"the AWS emulator {line}")


def install(say: Say) -> Path:
    """The emulator's Python, on which functions run, installed if need be. Raises Refused."""
    return environments.installed("ministack", REQUIREMENTS, "the AWS emulator", say)


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
def running(at: Laptop, python: Path, lock: int, say: Say) -> Iterator[Emulator]:
    """Run the emulator, with what it kept, until the block ends. Raises Refused when it does not start.

    It holds the lock of the laptop's home too, so that nobody takes its place before it has ended.
    """
    scratch = at.home / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (at.home / "aws-config").write_text("[default]\ns3 =\n  addressing_style = path\n")
    _rewind_streams(at)
    say(f"starting the AWS emulator on port {at.stack_port} ...")
    notices, told = os.pipe()
    with (at.home / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-P", str(EMULATOR)],  # without -P its neighbours would be taken for Python's own modules
            env=_environment(at, scratch) | {"NOTICES": str(told)},
            pass_fds=(told, lock),
            cwd=at.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (no threads run yet)
        )
    os.close(told)
    emulator = Emulator(process, notices)
    try:
        _await_health(at, process)
        yield emulator
    finally:
        _stop(emulator, say)
        os.close(notices)


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


def _stop(emulator: Emulator, say: Say) -> None:
    """Let it write its state, then end whatever its functions left running."""
    process = emulator.process
    if process.poll() is None:
        say("stopping ...")
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            say("the AWS emulator does not stop by itself; what it had not written is read from its journal")
        for line in _unread(emulator.notices):
            emulator.told(line, say)
        say("the data is kept" if emulator.is_keeping else "what was refused since then is not kept")
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _unread(notices: int) -> list[str]:
    os.set_blocking(notices, False)
    try:
        return os.read(notices, 65536).decode().splitlines()
    except BlockingIOError:
        return []
