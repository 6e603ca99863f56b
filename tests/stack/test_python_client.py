"""Python's Socket.IO client on the deployed system. Its handlers have as many arguments as they name."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
import requests
import socketio

from tests.stack.deployed import LocalStack, cut, eventually
from tests.stack.office import Office

NAMESPACE = "/auto-calling"


@pytest.mark.parametrize("transports", [None, ["polling"], ["websocket"]])
def test_python_client_hears_everything(office: Office, stack: LocalStack, transports: list[str] | None) -> None:
    heard: list[tuple[str, int]] = []

    def contact_update(data: dict[str, Any], seq: int) -> None:
        heard.append((data["id"], seq))

    def auth() -> dict[str, Any]:
        return {"token": stack.token(office.organization), "since": heard[-1][1] if heard else None}

    with ExitStack() as afterwards:
        session = afterwards.enter_context(requests.Session())
        client = socketio.Client(http_session=session, reconnection_delay=0.1)
        client.on("contact-update", contact_update, namespace=NAMESPACE)
        client.connect(stack.base, auth=auth, namespaces=[NAMESPACE], transports=transports, wait_timeout=30)
        afterwards.callback(client.disconnect)
        assert client.transport() == ("polling" if transports == ["polling"] else "websocket")
        made = [office.contact(n)["id"] for n in range(3)]
        eventually(lambda: len(heard) == len(made))
        if client.transport() == "websocket":
            afterwards.callback(client.eio.ws.shutdown)  # which a client that is cut off leaves open
            assert cut(stack, office.organization) == 1
        made += [office.contact(n)["id"] for n in range(3, 6)]
        eventually(lambda: len(heard) == len(made))
    assert [each for each, _ in heard] == made
    assert [seq for _, seq in heard] == list(range(heard[0][1], heard[0][1] + len(made)))
