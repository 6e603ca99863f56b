"""What each function asks of AWS, held against its role in `infra/resources.yaml`: nothing that it may not do.

Moto itself refuses nothing, and the stack's tests reach only some of what functions do.
"""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from botocore.handlers import BUILTIN_HANDLERS

from chalicelib import http, worker
from chalicelib.aws import s3
from chalicelib.campaigns import control
from chalicelib.dialing import dialer, pacer
from chalicelib.imports import importer
from chalicelib.privacy import retention
from chalicelib.realtime import broadcaster, polling, poster, publisher, sockets
from chalicelib.settings import settings
from tests.service.aws import QUEUES, RESOURCES, resources

ENTRIES: dict[str, list[tuple[Any, str]]] = {
    "ApiRole": [(http, "perform")],
    "PacerRole": [(pacer, "handle")],
    "DialerRole": [(dialer, "handle")],
    "WorkerRole": [(worker, "handle")],
    "ImporterRole": [(importer, "handle")],
    "PublisherRole": [(publisher, "handle")],
    "BroadcasterRole": [(broadcaster, "handle")],
    "PollerRole": [(polling, "handle")],
    "ClockRole": [(retention, "begin_if_due"), (sockets, "ping"), (sockets, "close_due"), (control, "wake_due")],
    "SocketConnectRole": [(sockets, "connect")],
    "SocketMessageRole": [(sockets, "message")],
    "SocketDisconnectRole": [(sockets, "disconnect")],
}
"""Where the functions of each role begin; of `app.py`'s one line each."""

LAMBDAS_OWN = ("logs:", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueue", "sqs:ChangeMessageVisibility")
STREAMS = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams")


class Use(NamedTuple):
    """An action on a resource, as the template names both."""

    action: str
    resource: str
    prefix: str = ""
    """Of keys that are listed."""


class Grant(NamedTuple):
    """What a statement of a role allows: one action on one resource."""

    role: str
    action: str
    resource: str
    prefix: str

    def allows(self, role: str, use: Use) -> bool:
        return (role, self.action) == (self.role, use.action) and all(
            fnmatch.fnmatchcase(used, granted)
            for used, granted in ((use.resource, self.resource), (use.prefix, self.prefix))
        )


@functools.cache
def grants() -> tuple[Grant, ...]:
    """Whatever the roles of functions allow, but what Lambda itself does with them: logs, queues and streams."""
    return tuple(
        Grant(role, action, resource, prefix)
        for role in ENTRIES
        for policy in resources()[role]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        if not action.startswith((*LAMBDAS_OWN, *STREAMS))
        for resource in _listed(statement["Resource"])
        for prefix in _listed(statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*"))
        if (role, resource.removeprefix("${")[:6]) != ("PublisherRole", "Bucket")  # where Lambda puts what failed
    )


class Watch:
    """Who asks for what in one test; what no role allows is `refused`."""

    def __init__(self) -> None:
        self.refused: set[tuple[str, Use]] = set()
        self.at_work: list[str] = []

    def check(self) -> None:
        """Nothing was asked for that a role does not allow."""
        told = [f"{role} may not {use.action} on {use.resource} {use.prefix}" for role, use in sorted(self.refused)]
        assert not told, f"allow it in {RESOURCES}, or do not ask for it: {told}"

    def asked(self, *uses: Use) -> None:
        if len(set(self.at_work)) != 1:  # a test itself, or two functions at once, of which nobody knows which asked
            return
        for use in uses:
            if not any(grant.allows(self.at_work[0], use) for grant in grants()):
                self.refused.add((self.at_work[0], use))


watches: list[Watch] = []
"""Of the test that runs."""


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch the functions in the block."""
    watch = Watch()
    for role, entries in ENTRIES.items():
        for module, name in entries:
            monkeypatch.setattr(module, name, _as(watch, role, getattr(module, name)))
    monkeypatch.setattr(s3, "form", _signing(watch, s3.form))
    for name in ("post", "close"):
        monkeypatch.setattr(poster, name, _posting(watch, getattr(poster, name)))
    watches.append(watch)
    try:
        yield watch
    finally:
        watches.remove(watch)


def _as(watch: Watch, role: str, entry: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(entry)
    def enter(*given: Any, **options: Any) -> Any:
        watch.at_work.append(role)
        try:
            return entry(*given, **options)
        finally:
            watch.at_work.remove(role)

    return enter


def _signing(watch: Watch, form: Callable[..., Any]) -> Callable[..., Any]:
    """A form is as good as its signer's permission, and nothing is asked of AWS for it."""

    def sign(key: str, *given: Any) -> Any:
        watch.asked(Use("s3:PutObject", f"${{Bucket.Arn}}/{key}"))
        return form(key, *given)

    return sign


def _posting(watch: Watch, post: Callable[..., Any]) -> Callable[..., Any]:
    def send(*given: Any, **options: Any) -> Any:
        watch.asked(Use("execute-api:ManageConnections", _sockets()))
        return post(*given, **options)

    return send


@functools.cache
def _sockets() -> str:
    return next(grant.resource for grant in grants() if grant.action == "execute-api:ManageConnections")


WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def _rows(operation: str, asked: dict[str, Any]) -> Iterator[Use]:
    if operation == "TransactWriteItems":
        for item in asked["TransactItems"]:
            ((kind, what),) = item.items()
            yield Use(f"dynamodb:{WRITES[kind]}", f"{_table(what)}.Arn")
    elif "RequestItems" in asked:
        yield from (
            Use(f"dynamodb:{operation}", f"{_table({'TableName': each})}.Arn") for each in asked["RequestItems"]
        )
    elif statement := asked.get("Statement"):
        yield Use(f"dynamodb:{operation}", statement)
    elif index := asked.get("IndexName"):
        yield Use(f"dynamodb:{operation}", f"${{{_table(asked)}.Arn}}/index/{index}")
    else:
        yield Use(f"dynamodb:{operation}", f"{_table(asked)}.Arn")


def _table(asked: dict[str, Any]) -> str:
    name: str = asked["TableName"]
    return name.removeprefix("test-")


def _files(operation: str, asked: dict[str, Any]) -> Iterator[Use]:
    if operation == "ListObjectsV2":
        yield Use("s3:ListBucket", "Bucket.Arn", asked["Prefix"])
        return
    yield Use(f"s3:{operation.replace('Head', 'Get')}", f"${{Bucket.Arn}}/{asked['Key']}")
    if operation in ("HeadObject", "GetObject"):  # S3 says 404 to who may list the key, and 403 to everybody else
        yield Use("s3:ListBucket", "Bucket.Arn", asked["Key"])


@functools.cache
def _queues() -> dict[str, str]:
    """Queues of the template by the names that tests give them."""
    words = {"".join(part.title() for part in variable.split("_")): name for variable, name in QUEUES.items()}
    return {name: f"{logical}.Arn" for logical, name in words.items()}


def _messages(asked: dict[str, Any]) -> Use:
    return Use("sqs:SendMessage", _queues()[asked["QueueUrl"].rpartition("/")[2]])


PARAMETERS = {
    "/autocall/jwt-secret": "JwtSecretParameter",
    "/autocall/webhook-secret": "WebhookSecretParameter",
    "/autocall/barred-phones-key": "BarredPhonesKeyParameter",
    "/autocall/agent-token": "AgentTokenParameter",
}


def _secret(operation: str, asked: dict[str, Any]) -> Use:
    name: str = asked["Name"]
    organizations = settings().organization_accounts_path
    if name in PARAMETERS:
        place = f"${{{PARAMETERS[name]}}}"
    elif organizations and name.startswith(organizations):
        place = f"${{OrganizationAccountsPath}}{name.removeprefix(organizations)}"
    else:
        place = f"${{AgentAccountsPath}}/{name.rpartition('/')[2]}"
    return Use(f"ssm:{operation}", f"arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter{place}")


def _before(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    """Also of what is only signed. Transactions are handed over beside botocore's parameters, hence `_sent`."""
    uses: list[Use] = []
    if not watches:
        return
    match model.service_model.service_name:
        case "s3" if "Key" in params or "Prefix" in params:
            uses = list(_files(model.name, params))
        case "sqs" if model.name.startswith("SendMessage"):
            uses = [_messages(params)]
        case "ssm" if "Name" in params:
            uses = [_secret(model.name, params)]
        case "s3" | "sqs" | "ssm" | "dynamodb":
            return
        case service:
            uses = [Use(f"{service}:{model.name}", "*")]
    for watch in watches:
        watch.asked(*uses)


def _sent(*, params: dict[str, Any], model: Any, **_: Any) -> None:
    if model.service_model.service_name == "dynamodb":
        for watch in watches:
            watch.asked(*_rows(model.name, json.loads(params["body"])))


BUILTIN_HANDLERS += [("before-parameter-build", _before), ("before-call", _sent)]  # before any client is made


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
