"""Print what the functions of a running local stack logged: `make logs`, `make logs ARGS=Importer`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import ministack
from local.laptop import Laptop, Refused, laptop

GROUPS = "/aws/lambda/"
NOISE = ("START ", "END ", "REPORT ", "INIT_")


@dataclass(frozen=True)
class Line:
    """A line in a function's log."""

    at: int
    """Milliseconds since 1970."""

    function: str
    """Its name in the template."""

    text: str


def lines(where: Laptop) -> list[Line]:
    """Every line of every function, oldest first; those the runtime writes included."""
    logs = _client(where)
    return sorted(_lines(logs), key=lambda line: line.at)


def _lines(logs: Any) -> Iterator[Line]:
    groups = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=GROUPS)
    for group in groups.search("logGroups[].logGroupName"):
        function = group.split("-")[-2]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            yield from (Line(each["timestamp"], function, each["message"].rstrip()) for each in page["events"])


def _client(where: Laptop) -> Any:
    import boto3

    root = ministack.sdk_environment(where)
    session = boto3.Session(root["AWS_ACCESS_KEY_ID"], root["AWS_SECRET_ACCESS_KEY"], region_name=ministack.REGION)
    return session.client("logs", endpoint_url=where.endpoint)


def main(wanted: str) -> None:
    """What functions whose name contains `wanted` said themselves, oldest first."""
    for line in lines(laptop()):
        if wanted in line.function and line.text and not line.text.startswith(NOISE):
            print(f"{line.function}: {line.text}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except (Refused, BotoCoreError, ClientError) as why:
        sys.exit(f"make logs: {why}")
