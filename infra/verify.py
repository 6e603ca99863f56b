"""What only a real deployment can show: `python -m infra.verify STAGE` or `make verify STAGE=…`, a line each.

It calls nobody: campaigns are simulated, of an organization of its own, and taken away again. It takes some minutes
and a few cents. `make verify STAGE=laptop` does the same with a running local stack, and says which lines mean nothing
there.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from infra import deploy, smoke
from infra.smoke import Line, Reached, Say, Unfit, tried

NAMESPACE = "/auto-calling"
ORIGIN = "https://somebody.example"
"""A page that may not call the API; what API Gateway itself refuses may be read by any."""

BURST, AT_ONCE = 600, 100
"""Polls that are sent to be refused: three times what their route takes at once."""

START_IN = timedelta(seconds=70)
MANY = 30
"""Contacts of the campaign that another one must not wait for."""


@dataclass(frozen=True)
class Trial:
    """Something to be tried; `here` says why a local stack shows nothing of it, where that is so."""

    name: str
    do: Callable[[Reached], object]
    here: str = ""


def gateway_errors(there: Reached) -> None:
    """What API Gateway refuses by itself is a problem, which any page may read."""
    answer = there.ask("GET", "/auto-calling/nowhere/at/all", token="none", headers={"Origin": ORIGIN})  # noqa: S106 (no token)
    kind, allowed = answer.headers.get("Content-Type"), answer.headers.get("Access-Control-Allow-Origin")
    if (answer.status_code, kind, allowed) != (404, "application/problem+json", "*"):
        raise Unfit(f"answered {answer.status_code}, {kind}, for pages of {allowed}")


def upgrade(there: Reached) -> str:
    """A Socket.IO client polls, then goes on over a WebSocket, through the one address."""
    import requests
    import socketio

    with requests.Session() as session:
        client = socketio.Client(http_session=session, reconnection=False)
        try:
            client.connect(
                there.origin, auth={"token": there.token}, namespaces=[NAMESPACE], wait_timeout=smoke.ANSWER_SECONDS
            )
            transport: str = client.transport()
        except socketio.exceptions.ConnectionError as why:
            raise Unfit(f"no connection: {why}") from None
        finally:
            client.disconnect()
    if transport != "websocket":
        raise Unfit(f"it stays with {transport}")
    return transport


def throttles(there: Reached) -> str:
    """Polls beyond their route's ceiling are answered 429, with when to ask again."""
    with ThreadPoolExecutor(AT_ONCE) as many:
        answers = list(many.map(lambda _: there.ask("GET", "/socket.io?EIO=4&transport=none"), range(BURST)))
    refused = [each for each in answers if each.status_code == 429]
    if not refused:
        raise Unfit(f"{BURST} requests, {AT_ONCE} at once, and none was refused")
    if not all(each.headers.get("Retry-After") for each in refused):
        raise Unfit("429 without Retry-After")
    return f"{len(refused)} of {BURST}"


def fair_dialing(there: Reached) -> str:
    """A campaign of one call does not wait for one of many that began before it."""
    with ExitStack() as held:
        phones = [f"{there.phone[:-2]}{n:02}" for n in range(MANY + 1)]
        contacts = [held.enter_context(smoke.a_contact(replace(there, phone=phone))) for phone in phones]
        one, many = contacts[0], contacts[1:]
        large = held.enter_context(smoke.a_campaign(there, many, maxConcurrentCalls=1))
        small = held.enter_context(smoke.a_campaign(there, [one]))
        began = time.monotonic()
        for campaign_id in (large, small):
            there.expect(200, "POST", f"/auto-calling/campaigns/{campaign_id}/start")
        completed(there, small)
        if (other := campaign(there, large))["status"] != "RUNNING":
            raise Unfit(f"the large one was {other['status']} first")
    return f"{time.monotonic() - began:.0f} s"


def scheduled_start(there: Reached) -> str:
    """A campaign starts by itself when its time has come."""
    at = datetime.now(UTC) + START_IN
    with smoke.a_contact(there) as contact_id:
        fields = {"scheduledAt": at.isoformat(timespec="seconds").replace("+00:00", "Z")}
        with smoke.a_campaign(there, [contact_id], **fields) as campaign_id:
            began = completed(there, campaign_id)["startedAt"]
    late = (datetime.fromisoformat(began) - at).total_seconds()
    if not 0 <= late <= 90:
        raise Unfit(f"it began {late:.0f} s after its time")
    return f"{late:.0f} s after its time"


def an_import(there: Reached) -> str:
    """A list becomes contacts, and its undoing takes them away."""
    phones = [f"{there.phone[:-2]}{n:02}" for n in range(10)]
    file = io.BytesIO("\n".join(["First name,Phone", *(f"Smoke {phone[-2:]},{phone}" for phone in phones)]).encode())
    files = {"file": ("smoke-test.csv", file, "text/csv")}
    import_id = there.expect(202, "POST", "/auto-calling/contacts/upload-excel", files=files)["id"]
    done = until(lambda: ended(there.expect(200, "GET", f"/auto-calling/imports/{import_id}"), "PENDING", "RUNNING"))
    there.ask("DELETE", f"/auto-calling/imports/{import_id}")
    if (done["status"], done["created"]) != ("COMPLETED", len(phones)):
        raise Unfit(f"{done['status']}, {done['created']} of {len(phones)} contacts: {done.get('failureReason')}")
    return f"{done['created']} contacts"


def campaign(there: Reached, campaign_id: str) -> dict[str, Any]:
    found: dict[str, Any] = there.expect(200, "GET", f"/auto-calling/campaigns/{campaign_id}")
    return found


def completed(there: Reached, campaign_id: str) -> dict[str, Any]:
    """A campaign once it has ended. Raises Unfit when it takes too long."""
    return until(lambda: ended(campaign(there, campaign_id), "PENDING", "RUNNING"))


def ended(found: dict[str, Any], *under_way: str) -> dict[str, Any] | None:
    return None if found["status"] in under_way else found


def reports(there: Reached, version: str) -> dict[str, Any] | None:
    """What `/health` says, once it is of a version."""
    said: dict[str, Any] = there.expect(200, "GET", "/health")
    return said if said["version"] == version else None


def until(look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """What is found, looked for again until it is there. Raises Unfit."""
    end = time.monotonic() + smoke.DONE_SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(1)
    raise Unfit(f"not done after {smoke.DONE_SECONDS} s")


TRIALS = [
    Trial("what API Gateway refuses can be read by any page", gateway_errors),
    Trial("a client that polls gets a WebSocket, through one address", upgrade, "CloudFront is not there"),
    Trial("polls beyond their ceiling are refused", throttles, "the emulator has no ceilings"),
    Trial("a small campaign does not wait for a large one", fair_dialing),
    Trial("a list is imported and undone", an_import),
    Trial("a campaign starts at its time", scheduled_start),
]


def of(there: Reached, trials: Sequence[Trial], *, laptop: bool = False, say: Say = print) -> list[Line]:
    """Try everything, saying each line as soon as it is known."""
    lines = smoke.of(there, say)
    if not there.token:
        return lines
    for line in _lines(there, trials, laptop):
        say(f"  {line.line}")
        lines.append(line)
    return lines


def _lines(there: Reached, trials: Sequence[Trial], laptop: bool) -> Iterator[Line]:
    for each in trials:
        if laptop and each.here:
            yield Line(each.name, None, f"means nothing here: {each.here}")
        else:
            yield tried(each.name, partial(each.do, there))


def in_place(session: Any, stack: str) -> Trial:
    """An update in place, to the same template with another version's name and back."""

    def update(version: str) -> None:
        cloudformation = session.client("cloudformation")
        names = deploy.standing_parameters(session, stack).keys() - {"Version"}
        given: list[dict[str, Any]] = [{"ParameterKey": name, "UsePreviousValue": True} for name in names]
        given.append({"ParameterKey": "Version", "ParameterValue": version})
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        cloudformation.update_stack(
            StackName=stack, UsePreviousTemplate=True, Parameters=given, Capabilities=capabilities
        )
        deploy.wait(cloudformation, stack)

    def do(there: Reached) -> None:
        before = there.expect(200, "GET", "/health")["version"]
        with smoke.a_contact(there) as contact_id:
            for version in ("verified", before):
                update(version)
                until(partial(reports, there, version))
                there.expect(200, "GET", f"/auto-calling/contacts/{contact_id}")

    return Trial("an update in place loses nothing", do, "shown by tests/stack")


def main(stage: str) -> None:
    """Try a stage in the cloud; ends with 1 where a line fails."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    if not deploy.STAGE.fullmatch(stage):
        sys.exit("Give the stage: make verify STAGE=prod")
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if session.region_name is None:
        sys.exit("Verifying needs an AWS region: set AWS_REGION or AWS_PROFILE.")
    try:
        stack = f"autocall-{stage}"
        told = deploy.outputs(session, stack)
        if told is None:
            sys.exit(f"There is no stack {stack} here: make deploy STAGE={stage}")
        there = smoke.reached(session, deploy.standing_parameters(session, stack), told)
        lines = of(there, [*TRIALS, in_place(session, stack)])
    except (BotoCoreError, ClientError, deploy.DeployFailed) as error:
        sys.exit(f"Verifying failed: {error}")
    sys.exit(any(line.failed for line in lines))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
