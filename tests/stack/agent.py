"""The simulated voice agent of the local stack, as tests and developers order it about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from local.stack import SIMULATOR
from tests.stack.deployed import LocalStack, eventually

Call = dict[str, Any]


class VoiceAgent:
    """All providers of the stack: what they took, what they are to do."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    @contextmanager
    def behaving(self, provider: str = "http", **behavior: Any) -> Iterator[None]:
        """A provider takes the block's orders so."""
        self._ask("PUT", f"/control/{provider}", json=behavior)
        try:
            yield
        finally:
            self._ask("PUT", f"/control/{provider}", json={})

    def calls(self, organization: str, number: int = 0) -> list[Call]:
        """An organization's calls in order, once there are so many."""

        def there() -> list[Call] | None:
            found: list[Call] = self._ask("GET", "/calls", params={"organizationId": organization})
            return found if len(found) >= number else None

        return (eventually(there, 20) if number else there()) or []

    def end(self, call: Call, **report: Any) -> list[int]:
        """End a call that is held, or report of it again; the statuses that its webhooks are answered with."""
        answers: list[int] = self._ask("POST", f"/calls/{call['attempt']}/end", json=report)["answers"]
        return answers

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        key = self._stack.laptop.secrets()["AGENT_TOKEN"]
        url, headers = f"{self._stack.base}/{SIMULATOR}{path}", {"Authorization": f"Bearer {key}"}
        answer = requests.request(method, url, headers=headers, timeout=60, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()
