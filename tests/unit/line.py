"""A line to an agent: a server on this machine that treats each connection as it is told."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Behave = Callable[[socket.socket], None]


class Line:
    """A server on this machine that treats each connection as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.behave: Behave = hang_up
        self._tls: ssl.SSLContext | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(ssl.SSLError), self._spoken_on(connection) as line:
                self.behave(line)

    def _spoken_on(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    def encrypted(self, certificate: bytes) -> None:
        """Speak TLS from now on, with a certificate and its key in PEM."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate)
            file.flush()
            tls.load_cert_chain(file.name)
        self._tls = tls

    def answers(self, status: int | str, body: bytes = b"", **headers: str) -> None:
        """Read a request and answer it."""
        lines = {"Content-Length": str(len(body)), "Connection": "close", **headers}
        head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())

        def answer(connection: socket.socket) -> None:
            self.received.append(request_on(connection))
            connection.sendall(head.encode() + b"\r\n" + body)

        self.behave = answer

    def reports(self, **result: Any) -> None:
        """Answer with a result."""
        self.answers(200, json.dumps(result).encode())

    def answers_in_turn(self, *answers: tuple[int, Any]) -> None:
        """Answer one request after another, each with a status and a value as JSON."""
        left = list(answers)

        def answer(connection: socket.socket) -> None:
            status, value = left.pop(0)
            self.answers(status, json.dumps(value).encode())
            behave, self.behave = self.behave, answer
            behave(connection)

        self.behave = answer

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def request_on(connection: socket.socket) -> bytes:
    """A whole request, with its body if it has one."""
    with connection.makefile("rb") as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        length = head.lower().partition(b"content-length: ")[2].split()[:1]
        return head + (stream.read(int(length[0])) if length else b"")


def hang_up(connection: socket.socket) -> None:
    request_on(connection)
