"""Print what the functions of a running local stack logged, the newest last.

`make logs`, `make logs ARGS=Importer`, `make logs ARGS=<requestId>` (of a problem, or of a call of a function).
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import ministack
from local.laptop import Laptop, Refused, laptop

GROUPS = "/aws/lambda/"
NOISE = ("START ", "END ", "REPORT ", "INIT_")


PAGE = 10_000
"""Lines that MiniStack gives at a time: the oldest, and without a token with which to go on."""


@dataclass(frozen=True)
class Line:
    """A line in a function's log."""

    at: int
    """Milliseconds since 1970."""

    function: str
    """Its name in the template."""

    call: str
    """The call that wrote it."""

    text: str

    @property
    def is_noise(self) -> bool:
        """Whether Lambda wrote it and not the function."""
        return not self.text or self.text.startswith(NOISE)


def lines(where: Laptop) -> list[Line]:
    """Every line of every function, oldest first; those the runtime writes included."""
    logs = _client(where)
    groups = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=GROUPS)
    found = [line for group in groups.search("logGroups[].logGroupName") for line in of_group(logs, group)]
    return sorted(found, key=lambda line: line.at)


def of_group(logs: Any, group: str) -> Iterator[Line]:
    """Every line of a function's group, oldest first."""
    function, since = group.split("-")[-2], 0
    while True:
        events = logs.filter_log_events(logGroupName=group, startTime=since, limit=PAGE)["events"]
        newest = events[-1]["timestamp"] if len(events) == PAGE else None
        for each in events:
            if each["timestamp"] != newest:
                yield Line(each["timestamp"], function, each["logStreamName"], each["message"].rstrip())
        if newest is None:
            return
        if newest == since:
            raise Refused(f"{group} has more than {PAGE} lines of one moment, which nobody can read.")
        since = newest


def about(found: Sequence[Line], wanted: str) -> list[Line]:
    """Those of functions whose name contains a word; if there are none, of calls that wrote it anywhere."""
    said = [line for line in found if wanted in line.function]
    calls = set() if said else {line.call for line in found if wanted in line.text}
    return [line for line in said or found if (said or line.call in calls) and not line.is_noise]


def _client(where: Laptop) -> Any:
    import boto3

    root = ministack.sdk_environment(where)
    session = boto3.Session(root["AWS_ACCESS_KEY_ID"], root["AWS_SECRET_ACCESS_KEY"], region_name=ministack.REGION)
    return session.client("logs", endpoint_url=where.endpoint)


def main(wanted: str) -> None:
    """Print what functions said themselves: all of it, or what a word is about."""
    for line in about(lines(laptop()), wanted):
        print(f"{line.function}: {line.text}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except (Refused, BotoCoreError, ClientError) as why:
        sys.exit(f"make logs: {why}")
