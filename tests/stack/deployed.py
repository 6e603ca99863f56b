"""The deployed system: a local stack in a place and on ports of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from infra import deploy
from local import ministack
from local.laptop import ROOT, Laptop
from local.stack import STACK
from local.token import token

T = TypeVar("T")
START_SECONDS = 600
"""A first start installs the emulator and packages; a later one takes a few seconds."""

STOP_SECONDS = 60


class LocalStack:
    """A running `make run`, as its callers see it."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.laptop = Laptop(_free_port(), _free_port(), home)
        self.base = f"http://localhost:{self.laptop.port}"
        self.sockets = f"ws://localhost:{self.laptop.port}/ws"
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.started_in = 0.0

    def start(self) -> None:
        """Start and wait until it is ready; fails with what it printed."""
        began = time.monotonic()
        log = self.laptop.home / "run.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.stack"],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                self.stop()
                pytest.fail(f"the stack did not start:\n{log.read_text()}")
            time.sleep(0.1)
        self.started_in = time.monotonic() - began

    def stop(self) -> int:
        """End it as `kill` does and return its exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def token(self, organization: str = "1") -> str:
        """A token of an organization."""
        return token(self.laptop, organization)

    def call(self, method: str, path: str, *, organization: str = "1", **options: Any) -> requests.Response:
        """A request with the organization's token; options are those of `requests`."""
        headers = {"Authorization": f"Bearer {self.token(organization)}", **options.pop("headers", {})}
        return requests.request(method, self.base + path, headers=headers, timeout=60, **options)

    def client(self, service: str, *, endpoint: str | None = None) -> Any:
        """A boto3 client that is the emulator's root."""
        import boto3
        from botocore.config import Config

        environment = ministack.sdk_environment(self.laptop)
        return boto3.Session(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name=ministack.REGION
        ).client(
            service,
            endpoint_url=endpoint or self.laptop.endpoint,
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4" if service == "s3" else None),
        )

    def outputs(self) -> dict[str, str]:
        """The CloudFormation stack's outputs."""
        found = deploy.outputs(self, STACK)
        assert found is not None
        return found

    def rows(self, table: str, **key: str) -> int:
        """How many rows a partition of a table, by its name in the template, has."""
        resource = self.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=table)
        ((name, value),) = key.items()
        found: int = self.client("dynamodb").query(
            TableName=resource["StackResourceDetail"]["PhysicalResourceId"],
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": name},
            ExpressionAttributeValues={":value": {"S": value}},
        )["Count"]
        return found

    def environment(self) -> dict[str, str]:
        """What `make` commands need to find this stack, and what it is started with."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COV_"))}
        return inherited | {
            "PORT": str(self.laptop.port),
            "STACK_PORT": str(self.laptop.stack_port),
            "LOCAL_DIR": str(self.laptop.home),
            **self.settings,
        }

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.base}/health", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(look: Callable[[], T | None], seconds: float = 60) -> T:
    """What `look` finds, asked again until it finds something true; fails after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"nothing after {seconds} s"
        time.sleep(0.2)


def cut(stack: LocalStack, organization: str, *, speaking: str = "") -> int:
    """Close an organization's sockets of a format, or of all, at the server; how many there were."""
    api, table = (
        stack.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=name)[
            "StackResourceDetail"
        ]["PhysicalResourceId"]
        for name in ("WebsocketAPI", "ConnectionsTable")
    )
    found = stack.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="organizationId = :own",
        ExpressionAttributeValues={":own": {"S": organization}},
    )["Items"]
    line = stack.client("apigatewaymanagementapi", endpoint=f"{stack.laptop.endpoint}/_aws/execute-api/{api}/api")
    opened = [each["connectionId"]["S"] for each in found if each["format"]["S"].startswith(speaking)]
    for connection_id in opened:
        line.delete_connection(ConnectionId=connection_id)
    return len(opened)
