"""AWS does not answer, or fails: whoever asked is told to try again, and nothing is an error of ours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from chalicelib.aws import dynamodb, s3
from tests.service.cloud import Cloud, Reply
from tests.service.files import workbook

URL = "https://dynamodb.test"
NO_ANSWER = [
    ReadTimeoutError(endpoint_url=URL),
    ConnectTimeoutError(endpoint_url=URL),
    EndpointConnectionError(endpoint_url=URL),
    ConnectionClosedError(endpoint_url=URL),
]

Ask = Callable[[Cloud, str, str], Reply]
REQUESTS: dict[str, Ask] = {
    "GetItem": lambda cloud, contact, campaign: cloud.get(f"/contacts/{contact}"),
    "Query": lambda cloud, contact, campaign: cloud.get("/contacts"),
    "BatchGetItem": lambda cloud, contact, campaign: cloud.post(
        "/contacts", {"firstName": "Ali", "phone": "901234567"}
    ),
    "TransactWriteItems": lambda cloud, contact, campaign: cloud.delete(f"/contacts/{contact}"),
    "UpdateItem": lambda cloud, contact, campaign: cloud.patch(f"/campaigns/{campaign}", {"name": "B"}),
    "PutItem": lambda cloud, contact, campaign: cloud.post(f"/campaigns/{campaign}/audit"),
}


class _Body:
    def __init__(self, text: str) -> None:
        self.text = text

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.text.encode()


@contextmanager
def failing(client: Any, operation: str, trouble: Exception | tuple[int, str]) -> Iterator[list[str]]:
    """Every try of an operation fails; what was tried."""
    tries: list[str] = []

    def fail(**_: object) -> AWSResponse:
        tries.append(operation)
        if isinstance(trouble, Exception):
            raise trouble
        status, code = trouble
        body = json.dumps({"__type": f"com.amazonaws.dynamodb#{code}", "message": "no"})
        return AWSResponse(URL, status, {}, _Body(body))

    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register_first(event, fail)
    try:
        yield tries
    finally:
        client.meta.events.unregister(event, fail)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between tries."""
    clock = iter(range(10**9))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))


def _told(answer: Reply) -> tuple[int, str, str]:
    return *answer.problem, answer.headers["Retry-After"]


@pytest.mark.parametrize("trouble", [*NO_ANSWER, (500, "InternalServerError"), (503, "ServiceUnavailable")], ids=repr)
@pytest.mark.parametrize("operation", REQUESTS)
def test_database_that_does_not_answer_is_told_as_unavailable(
    cloud: Cloud, operation: str, trouble: Exception | tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign()["id"]
    with failing(dynamodb.connection().client, operation, trouble) as tries:
        answer = REQUESTS[operation](cloud, contact_id, campaign_id)
    assert _told(answer) == (503, "unavailable", "1")
    assert tries
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("operation", REQUESTS)
def test_database_that_throttles_is_told_as_too_much_at_once(cloud: Cloud, operation: str) -> None:
    [contact_id] = cloud.contacts(1)
    campaign_id = cloud.a_campaign()["id"]
    with failing(dynamodb.connection().client, operation, (400, "ProvisionedThroughputExceededException")):
        answer = REQUESTS[operation](cloud, contact_id, campaign_id)
    assert _told(answer) == (429, "throttled", "1")


@pytest.mark.parametrize("trouble", [*NO_ANSWER, (503, "SlowDown")], ids=repr)
def test_bucket_that_does_not_answer_is_told_as_unavailable(cloud: Cloud, trouble: Exception | tuple[int, str]) -> None:
    with failing(s3._s3(), "PutObject", trouble):
        answer = cloud.send_file(workbook(("Ali", "", "901234567")), "people.xlsx")
    assert _told(answer) == (503, "unavailable", "1")


def test_fault_of_ours_is_no_outage(cloud: Cloud) -> None:
    with failing(dynamodb.connection().client, "Query", (400, "ValidationException")):
        answer = cloud.get("/contacts")
    assert answer.problem == (500, "internal")
