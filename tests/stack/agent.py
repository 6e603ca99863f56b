"""A voice agent as api.md describes the provider `http`: it takes orders over HTTP and reports by signed webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests


@dataclass(frozen=True)
class Order:
    """A call the agent was asked to place."""

    body: dict[str, Any]
    authorization: str
    idempotency_key: str

    @property
    def call_id(self) -> str:
        return str(self.body["callId"])


class VoiceAgent:
    """Accepts every order with 202, unless told how to answer calls of a campaign."""

    token = "let-me-call"

    def __init__(self) -> None:
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = agent.take(
                    Order(json.loads(body), self.headers["Authorization"], self.headers["Idempotency-Key"])
                )
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._orders: list[Order] = []
        self._answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/call"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answers(self, campaign_id: str, status: int, answer: dict[str, Any]) -> None:
        """Answer orders of a campaign with this from now on."""
        self._answers[campaign_id] = (status, answer)

    def take(self, order: Order) -> tuple[int, dict[str, Any]]:
        """Note an order; the answer to it."""
        self._orders.append(order)
        return self._answers.get(order.body["campaignId"], (202, {}))

    def orders(self, campaign_id: str) -> list[Order]:
        """The orders of a campaign so far."""
        return [order for order in self._orders if order.body["campaignId"] == campaign_id]


def report(order: Order, secret: str, **result: Any) -> requests.Response:
    """Send the webhook with a call's result, signed with `secret`."""
    body = json.dumps({"callId": order.call_id, **result}).encode()
    timestamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-AutoCall-Signature": f"t={timestamp},v1={signature}"}
    return requests.post(order.body["callbackUrl"], data=body, headers=headers, timeout=60)
