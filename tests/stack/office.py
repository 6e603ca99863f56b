"""An organization at work on the deployed system, over HTTP and WebSocket only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from websockets.sync.client import ClientConnection, connect

from local.demo import Row, workbook
from tests.stack.deployed import LocalStack, eventually


def phone(number: int) -> str:
    """A valid number; its last digit decides how the simulated agent's conversation ends."""
    return f"+99890{1_000_000 + number}"


class Office:
    """One organization: its requests, its workbooks, its sockets."""

    def __init__(self, stack: LocalStack, organization: str) -> None:
        self.stack = stack
        self.organization = organization

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request below /auto-calling with the organization's token."""
        return self.stack.call(method, f"/auto-calling{path}", organization=self.organization, **options)

    def get(self, path: str, **parameters: Any) -> Any:
        """What a GET finds."""
        answer = self.request("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The answer to a POST, which must have the status."""
        answer = self.request("POST", path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upload(self, people: Iterable[Row]) -> dict[str, Any]:
        """Upload a workbook as the guide does, and return the import when it has ended."""
        file = {"file": ("contacts.xlsx", workbook(people))}
        answer = self.request("POST", "/contacts/upload-excel", files=file)
        assert answer.status_code == 202, answer.text

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/imports/{answer.json()['id']}")
            return found if found["finishedAt"] else None

        return eventually(ended)

    def contact(self, number: int, **fields: Any) -> dict[str, Any]:
        """A new contact with the phone of a number."""
        made: dict[str, Any] = self.post(
            "/contacts", {"firstName": "Dilshod", "phone": phone(number), **fields}, status=201
        )
        return made

    def campaign(self, **fields: Any) -> dict[str, Any]:
        """A new campaign."""
        made: dict[str, Any] = self.post("/campaigns", {"name": "January Debt Collection", **fields}, status=201)
        return made

    def comes_to(self, campaign_id: str, status: str, seconds: float = 60) -> dict[str, Any]:
        """The campaign, once it has a status and nobody in flight."""

        def there() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/campaigns/{campaign_id}")
            return found if found["status"] == status and not found["inFlightCalls"] else None

        return eventually(there, seconds)

    @contextmanager
    def listening(self) -> Iterator[Told]:
        """What a socket of the organization is told; it is open inside the `with` block."""
        told = Told()
        with connect(f"{self.stack.sockets}?token={self.stack.token(self.organization)}") as socket:
            listener = threading.Thread(target=told.listen, args=(socket,), daemon=True)
            listener.start()
            yield told
        listener.join()


class Told:
    """Everything a socket was told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def of(self, name: str) -> list[dict[str, Any]]:
        """The data of all events of a name so far."""
        return [data for event, data in list(self.events) if event == name]

    def listen(self, socket: ClientConnection) -> None:
        """Note every event until the socket closes."""
        for frame in socket:
            message = json.loads(frame)
            self.events.append((message["event"], message["data"]))
