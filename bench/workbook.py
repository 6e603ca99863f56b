"""A workbook becomes contacts: parse, validate and build the writes, against the usual way of doing it.

DynamoDB answers at once, at the place where a request would leave the machine: everything before that is measured, on
both sides. The peer is pandas with openpyxl, phonenumbers and boto3's `batch_writer`, which puts the same two rows for
every contact, without upserts, reports, counters or markers. Memory is that of the importer and of the child that
reads, together, at their highest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

ROWS, MANY_ROWS = 100_000, 500_000
RUNS = 3
"""The better of so many runs of each, in turn."""

GOAL = 8.0
"""Times as fast as the peer, at least."""

MEMORY_GOAL = 512
"""Megabytes (2²⁰ bytes) of importer and child at `MANY_ROWS`, at most."""

HEADER = ("firstName", "lastName", "phone", "dateOfBirth", "customData (JSON string)", "notes")
ANSWERS: dict[str, bytes] = {
    "BatchGetItem": b'{"Responses":{"phone_numbers":[]},"UnprocessedKeys":{}}',
    "BatchWriteItem": b'{"UnprocessedItems":{}}',
    "Query": b'{"Items":[],"Count":0,"ScannedCount":0}',
    "UpdateItem": b'{"Attributes":{}}',
}
"""What DynamoDB says of an empty table."""

TABLES = (
    *("contacts", "phone_numbers", "counters", "campaigns", "calls", "attempts", "imports", "connections", "feed"),
    *("idempotency", "settings"),
)
QUEUES = ("campaign_events", "dial", "jobs", "imports", "live_events")


def main() -> bool:
    """Print times, memory and requests; whether the goals are met."""
    with tempfile.TemporaryDirectory() as place:
        few, many = write(Path(place) / "few.xlsx", ROWS), write(Path(place) / "many.xlsx", MANY_ROWS)
        tries = [(measured("peer", few), measured("importer", few)) for _ in range(RUNS)]
        much = measured("importer", many)
    peer, ours = (min(found, key=lambda one: float(one["seconds"])) for found in zip(*tries, strict=True))
    ratio = peer["seconds"] / ours["seconds"]
    print(f"workbook: {ROWS} rows in the guide's format, parsed, validated, writes built")
    for name, found in (("pandas, openpyxl, phonenumbers, batch_writer", peer), ("importer", ours)):
        print(f"  {name:46} {found['seconds']:6.1f} s  {found['requests']}")
    print(f"  {ratio:.1f} times as fast (goal ≥ {GOAL:.0f})")
    print(f"  {MANY_ROWS} rows: {much['seconds']:.1f} s, importer and child {much['megabytes']:.0f} MB", end="")
    print(f" (goal < {MEMORY_GOAL})")
    return bool(ratio >= GOAL and much["megabytes"] < MEMORY_GOAL)


def write(path: Path, rows: int) -> Path:
    """A workbook in the guide's format."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Kontaktlar")
    sheet.append(HEADER)
    for n in range(rows):
        debt = 1_000.5 + n
        custom = json.dumps({"totalDebt": debt, "remainingDebt": debt - 250.0})
        born = f"{1950 + n % 55}-{1 + n % 12:02}-{1 + n % 28:02}"
        sheet.append((f"Dilshod {n}", "Karimov", f"+99890{1_000_000 + n}", born, custom, "Cooperative debtor"))
    book.save(path)
    return path


def measured(what: str, workbook: Path) -> dict[str, Any]:
    """What a process of its own measured of one of the two."""
    command = [sys.executable, "-m", "bench.workbook", what, str(workbook)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment() -> None:
    """Settings of a deployment that is nowhere."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "eu-central-1"}
    os.environ |= {f"{name}_table".upper(): name for name in TABLES}
    os.environ |= {f"{name}_queue".upper(): f"https://sqs/{name}" for name in QUEUES}
    os.environ |= {"BUCKET": "bench", "SOCKET_ENDPOINT": "https://sockets", "BARRED_PHONES_KEY_PARAMETER": "/bench/key"}


def answering(client: Any) -> Counter[str]:
    """Let a DynamoDB client's requests be answered at once; the requests, counted by operation."""
    from botocore.awsrequest import AWSResponse

    class Raw:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield self._content

    counted: Counter[str] = Counter()

    def answer(request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        counted[operation] += 1
        return AWSResponse(request.url, 200, {}, Raw(ANSWERS.get(operation, b"{}")))

    client.meta.events.register("before-send.dynamodb", answer)
    return counted


def peer(workbook: Path) -> Counter[str]:
    """The usual way."""
    import uuid

    import boto3
    import pandas  # type: ignore[import-untyped]
    import phonenumbers

    dynamodb = boto3.resource("dynamodb")
    counted = answering(dynamodb.meta.client)
    rows = pandas.read_excel(workbook, engine="openpyxl", dtype=str)
    at = datetime.now(UTC).isoformat()
    with dynamodb.Table("contacts").batch_writer() as batch, dynamodb.Table("phone_numbers").batch_writer() as phones:
        for row in rows.to_dict("records"):
            number = phonenumbers.parse(row["phone"], "UZ")
            if not phonenumbers.is_valid_number(number):
                continue
            contact_id = str(uuid.uuid4())
            phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            owned = {"organizationId": "1", "phone": phone, "contactId": contact_id, "status": "ACTIVE"}
            phones.put_item(Item=owned)
            batch.put_item(
                Item={
                    "organizationId": "1",
                    "contactId": contact_id,
                    "statusKey": "1#ACTIVE",
                    "firstName": row["firstName"],
                    "lastName": row["lastName"],
                    "phone": phone,
                    "dateOfBirth": datetime.fromisoformat(row["dateOfBirth"]).date().isoformat(),
                    "customData": json.dumps(json.loads(row["customData (JSON string)"])),
                    "notes": row["notes"],
                    "status": "ACTIVE",
                    "isCalled": False,
                    "createdAt": at,
                    "updatedAt": at,
                }
            )
    return counted


def importer(workbook: Path) -> Counter[str]:
    """Ours: the importer's own functions, with files in place of the bucket."""
    from chalicelib import clock
    from chalicelib.aws import dynamodb, s3, ssm
    from chalicelib.imports import reading, writing
    from chalicelib.imports.model import Import

    counted = answering(dynamodb.connection().client)
    mock.patch.object(ssm, "secret", return_value="the key of barred phones").start()
    mock.patch.multiple(s3, fetch=lambda _, to: to.symlink_to(workbook), put=lambda *_, **__: None).start()
    of = Import(organization_id="1", import_id="1", key="1", file_name="1.xlsx", created_at=clock.stamp(clock.now()))
    with tempfile.TemporaryDirectory() as place:
        of = reading.read(of, Path(place), now=clock.now)
        writing.write(of, Path(place) / "plan", clock.now() + timedelta(hours=1), now=clock.now)
    return counted


@contextmanager
def watching_memory() -> Iterator[Callable[[], float]]:
    """The highest resident memory of this process and its children together, in megabytes, looked at all the time."""
    highest, ended = 0.0, threading.Event()

    def look() -> None:
        nonlocal highest
        while not ended.wait(0.02):
            highest = max(highest, resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield lambda: highest
    ended.set()
    thread.join()


def resident() -> float:
    """Megabytes this process and its children have in memory right now."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    return sum(map(_resident, [str(me), *children]))


def _resident(process: str) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def alone(what: str, workbook: Path) -> None:
    """Run one of the two in this process and print what was measured."""
    environment()
    with watching_memory() as megabytes:
        began = time.perf_counter()
        counted = {"peer": peer, "importer": importer}[what](workbook)
        taken = time.perf_counter() - began
    print(json.dumps({"seconds": taken, "megabytes": megabytes(), "requests": counted}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        alone(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(not main())
