"""`make run`: what it keeps, what it refuses."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

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


def contact(stack: LocalStack, number: int) -> requests.Response:
    """A request that makes a contact."""
    person = {"firstName": "Malika", "phone": f"+99890111{number:04}"}
    return stack.call("POST", "/auto-calling/contacts", organization=ORGANIZATION, json=person)


def emulator(stack: LocalStack) -> int:
    """Its process."""
    assert stack.process is not None
    found = subprocess.run(["pgrep", "-P", str(stack.process.pid)], capture_output=True, text=True, check=True)
    return int(found.stdout)


def printed(stack: LocalStack) -> str:
    """What `make run` printed."""
    return (stack.laptop.home / "run.log").read_text()


def test_what_was_acknowledged_survives_that_everything_is_killed(stack: LocalStack) -> None:
    made = [contact(stack, number) for number in range(4000, 4030)]
    assert {answer.status_code for answer in made} == {201}
    assert stack.process is not None
    process, group = stack.process, os.getpgid(emulator(stack))
    os.killpg(group, signal.SIGKILL)
    process.kill()
    process.wait()
    stack.start()
    for answer in made:
        assert stack.call("GET", answer.headers["Location"], organization=ORGANIZATION).json() == answer.json()


def test_emulator_that_dies_ends_the_stack_with_one_sentence(stack: LocalStack) -> None:
    process = stack.process
    assert process is not None
    os.kill(emulator(stack), signal.SIGKILL)
    assert process.wait(60) == 1
    said = (
        f"make run: The AWS emulator has ended by itself; {stack.laptop.home / 'ministack.log'} says why. Start again."
    )
    assert printed(stack).splitlines()[-1] == said
    stack.start()


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process")
def test_full_disk_is_told_and_nothing_is_acknowledged(stack: LocalStack) -> None:
    _, most = resource.prlimit(emulator(stack), resource.RLIMIT_FSIZE)
    resource.prlimit(emulator(stack), resource.RLIMIT_FSIZE, (0, most))
    assert contact(stack, 5000).status_code >= 500
    assert "the AWS emulator cannot keep the data and takes no more of it: File too large" in printed(stack)
    resource.prlimit(emulator(stack), resource.RLIMIT_FSIZE, (most, most))
    eventually(lambda: "the AWS emulator keeps the data again" in printed(stack), 60)
    resource.prlimit(emulator(stack), resource.RLIMIT_FSIZE, (0, most))
    stack.stop()
    assert printed(stack).splitlines()[-1] == "what was refused since then is not kept"
    stack.start()


def test_second_stack_in_one_directory_is_told_who_has_it(stack: LocalStack) -> None:
    assert stack.process is not None
    done = run(PORT="1", LOCAL_DIR=str(stack.laptop.home))
    assert done.returncode == 1
    assert done.stderr == (
        f"make run: {stack.laptop.home} is in use by the stack on port {stack.laptop.port} "
        f"(process {stack.process.pid}); end that one, or set LOCAL_DIR to another directory.\n"
    )


def test_settings_that_cannot_work_are_all_named_before_anything_starts(tmp_path: Path) -> None:
    done = run(LOCAL_DIR=str(tmp_path), AGENT_URL="", PHONE_REGION="XX")
    assert done.returncode == 1
    assert "AGENT_PROVIDER=http needs AGENT_URL" in done.stderr
    assert "PHONE_REGION=XX" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("header", ["Origin", "Referer", "Sec-Fetch-Site"])
def test_web_pages_do_not_reach_the_emulators_own_endpoints(stack: LocalStack, header: str) -> None:
    headers = {header: "http://page.example"}
    for path in ("/_ministack/reset", "/_ministack/config", "/_ministack/sqs/messages"):
        for origin, status in ((stack.laptop.endpoint, 403), (stack.base, 404)):
            answer = requests.post(f"{origin}{path}", headers=headers, data="{}", timeout=10)
            assert answer.status_code == status, (origin, path)
    assert requests.get(f"{stack.base}/health", headers=headers, timeout=30).status_code == 200


def test_secrets_of_an_agent_are_printed_and_settable(stack: LocalStack) -> None:
    environment = {**os.environ, "LOCAL_DIR": str(stack.laptop.home), "AGENT_TOKEN": "mine"}
    command = [sys.executable, "-m", "local.secrets"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    webhook = stack.laptop.secrets()["WEBHOOK_SECRET"]
    assert done.stdout == f"WEBHOOK_SECRET={webhook}\nAGENT_TOKEN=mine\n"
    stored = stack.client("ssm").get_parameter(Name="/autocall/laptop/webhook-secret", WithDecryption=True)
    assert stored["Parameter"]["Value"] == webhook


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
