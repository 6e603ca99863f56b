"""`make run`: what it keeps, what it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from local.laptop import ROOT
from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office

ORGANIZATION = "run"


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    """`make run` where it is expected to end by itself."""
    command = [sys.executable, "-m", "local.stack"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def test_restart_is_quick_keeps_what_was_written_and_goes_on_telling(stack: LocalStack) -> None:
    person = {"firstName": "Malika", "phone": "+998901113301"}
    made = stack.call("POST", "/auto-calling/contacts", organization=ORGANIZATION, json=person)
    assert stack.stop() == 0
    stack.start()
    assert stack.started_in < 10
    assert stack.call("GET", made.headers["Location"], organization=ORGANIZATION).json() == made.json()
    office = Office(stack, ORGANIZATION)
    with office.listening() as told:
        contact = office.contact(1)
        eventually(lambda: contact in told.of("contact-update"), 20)


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(PORT=port, LOCAL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"make run: Port {port} is in use; set PORT to another one.\n"


def test_port_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = run(PORT="three thousand", LOCAL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "make run: PORT is 'three thousand'; set it to a port number.\n"


def test_make_token_prints_a_token_and_nothing_else(stack: LocalStack) -> None:
    command = [sys.executable, "-m", "local.token"]
    environment = {**os.environ, "LOCAL_DIR": str(stack.laptop.home), "ORG": ORGANIZATION}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip().count(".") == 2
    assert done.stdout == done.stdout.strip() + "\n"


def test_secrets_are_their_owners_only(stack: LocalStack) -> None:
    assert (stack.laptop.home / "secrets.json").stat().st_mode & 0o777 == 0o600
