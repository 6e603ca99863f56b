"""The switchboard: every Lambda entry point, one delegating line each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, SQSEvent, WebsocketEvent

from chalicelib import clock, http, openapi, worker
from chalicelib.agents import routes as agents
from chalicelib.aws import sqs
from chalicelib.campaigns import control
from chalicelib.campaigns import routes as campaigns
from chalicelib.contacts import routes as contacts
from chalicelib.dialing import dialer, pacer, webhooks
from chalicelib.dialing import routes as dialing
from chalicelib.imports import importer
from chalicelib.imports import routes as imports
from chalicelib.log import correlated
from chalicelib.organizations import routes as organizations
from chalicelib.privacy import retention
from chalicelib.privacy import routes as privacy
from chalicelib.realtime import broadcaster, polling, publisher, sockets

app = Chalice(app_name="auto-calling")
app.experimental_feature_flags.update(["BLUEPRINTS", "WEBSOCKETS"])
for room in (http, openapi, organizations, agents, contacts, imports, campaigns, dialing, webhooks, privacy):
    app.register_blueprint(room.routes.blueprint)


@app.on_sqs_message(queue="campaign-events.fifo", batch_size=10, name="pacer")
def pace(event: SQSEvent) -> dict[str, Any]:
    return _again(pacer.handle(event.to_dict()["Records"]))


@app.on_sqs_message(queue="dial-queue", batch_size=1, name="dialer")
def dial(event: SQSEvent) -> None:
    dialer.handle(_bodies(event))


@app.on_sqs_message(queue="jobs", batch_size=1, name="worker")
def work(event: SQSEvent) -> None:
    worker.handle(_bodies(event))


@app.on_sqs_message(queue="imports", batch_size=1, name="importer")
def import_file(event: SQSEvent) -> None:
    importer.handle(_bodies(event))


@app.schedule("rate(1 minute)", name="clock")
def tick(_: CloudWatchEvent) -> None:
    with correlated(""), ExitStack() as each_whatever_the_others_raise:
        for do in (retention.begin_if_due, sockets.ping, sockets.close_due, control.wake_due):
            each_whatever_the_others_raise.callback(do, now=clock.now())


@app.lambda_function(name="publisher")
def publish(event: dict[str, Any], _: object) -> None:
    with correlated(""):
        publisher.handle(event["Records"])


@app.on_sqs_message(queue="live-events.fifo", batch_size=10, name="broadcaster")
def broadcast(event: SQSEvent) -> dict[str, Any]:
    return _again(broadcaster.handle(event.to_dict()["Records"]))


def _bodies(event: SQSEvent) -> Iterator[str]:
    return sqs.correlating(record.body for record in event)


def _again(message_ids: list[str]) -> dict[str, Any]:
    """Which of a batch's messages SQS is to deliver again."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


@app.lambda_function(name="poller")
def poll(event: dict[str, Any], _: object) -> dict[str, Any]:
    with correlated(event["requestContext"].get("requestId", "")):
        return polling.handle(event)


@app.on_ws_connect(name="socket_connect")
def connect(event: WebsocketEvent) -> dict[str, int]:
    return _of_socket(sockets.connect, event)


@app.on_ws_message(name="socket_message")
def receive(event: WebsocketEvent) -> dict[str, int]:
    return _of_socket(sockets.message, event)


@app.on_ws_disconnect(name="socket_disconnect")
def disconnect(event: WebsocketEvent) -> dict[str, int]:
    return _of_socket(sockets.disconnect, event)


def _of_socket(do: Callable[[dict[str, Any]], dict[str, int]], event: WebsocketEvent) -> dict[str, int]:
    given = event.to_dict()
    with correlated(given["requestContext"].get("requestId", "")):
        return do(given)
