"""Print what the functions of a running local stack logged: `make logs`, `make logs ARGS=Importer`."""

import os
import sys

from botocore.exceptions import BotoCoreError

from local import ministack
from local.laptop import Refused, laptop

NOISE = ("START ", "END ", "REPORT ", "INIT_")


def main(wanted: str) -> None:
    """All lines of functions whose name contains `wanted`, oldest first."""
    import boto3

    os.environ.update(ministack.sdk_environment(laptop()))
    logs = boto3.client("logs")
    lines = []
    for group in logs.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName"):
        if wanted in group:
            events = logs.get_paginator("filter_log_events").paginate(logGroupName=group).search("events[]")
            lines += [(each["timestamp"], group.split("-")[-2], each["message"].rstrip()) for each in events if each]
    for _, function, message in sorted(lines):
        if message and not message.startswith(NOISE):
            print(f"{function}: {message}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except (Refused, BotoCoreError) as why:
        sys.exit(f"make logs: {why}")
