"""Orders over HTTP: what an answer, or its absence, proves of a call."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Thread
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib.agents import addresses
from chalicelib.agents.contract import Accepted, Declined, NotPlaced, OutcomeUnknown
from chalicelib.agents.health import Verdict
from chalicelib.agents.reports import clean, identifier, members
from chalicelib.calls.model import CallStatus, Result
from chalicelib.errors import InvalidBody
from chalicelib.settings import settings

CONNECT_TIMEOUT_SECONDS = 5

LOOK_SECONDS = 20
"""How long an agent may take to say what became of a call."""

NOT_PLACED = {
    401: Verdict.REFUSED,
    402: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.AWAY,
    405: Verdict.AWAY,
    410: Verdict.AWAY,
    429: Verdict.FULL,
}
"""Statuses by which an agent says that it began no call, through no fault of the contact's."""

REDIRECTS = {301, 302, 303, 307, 308}

UNACCEPTABLE = {400, 422}
"""Statuses by which an agent says that it does not call this contact."""

VENDORS_UNACCEPTABLE = {*UNACCEPTABLE, 404}
"""Those of a vendor, whose address is right: what it does not find is what the order names."""

LONGEST_REFUSAL_SECONDS = 3_600
"""An agent that wants to be asked later than this (`Retry-After`) is asked then all the same."""


MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer, as of a webhook."""

CHUNK = 64 * 1024


class Answer(Struct, frozen=True):
    """What an agent answered, whole. The names of headers are in any case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def post(url: str, message: object, headers: Mapping[str, str], *, public: bool = False) -> Answer:
    """The answer to a message. Raises NotPlaced when nothing of it was sent, OutcomeUnknown when it may have been.

    It has come whole within the agent's time-out, or there is none: the time-outs of requests are of each read, and an
    agent that sends a byte now and then would hold its dialer for ever. `public`: it is connected to at a public
    address only.
    """
    body = io.BytesIO(msgspec.json.encode(message))
    try:
        return _exchange("POST", url, body, headers, settings().agent_timeout_seconds, public=public)
    except OutcomeUnknown as error:
        if _led_astray(error):
            raise NotPlaced(PRIVATE) from error
        if body.tell() == 0:
            raise NotPlaced("the agent cannot be reached") from error
        raise


def look(url: str, headers: Mapping[str, str], message: object = None, *, public: bool = False) -> Answer:
    """The answer to a question that changes nothing. Raises OutcomeUnknown where there is none."""
    body = None if message is None else io.BytesIO(msgspec.json.encode(message))
    return _exchange("GET" if body is None else "POST", url, body, headers, LOOK_SECONDS, public=public)


def _exchange(
    method: str, url: str, body: io.BytesIO | None, headers: Mapping[str, str], seconds: float, *, public: bool
) -> Answer:
    """An answer, whole. Raises OutcomeUnknown."""
    import requests

    try:
        with requests.Session() as session, _hung_up_after(seconds, session, public=public) as late:
            session.trust_env = not public
            sent = session.request(
                method,
                url,
                data=body,
                headers={**({} if body is None else {"Content-Type": "application/json"}), **headers},
                timeout=(CONNECT_TIMEOUT_SECONDS, seconds),
                allow_redirects=False,
                stream=True,
            )
            with sent as response:
                content = _whole(response.iter_content(CHUNK))
    except (requests.RequestException, ValueError) as error:
        raise OutcomeUnknown("the agent did not answer") from error
    if late.is_set():
        raise OutcomeUnknown("the agent did not answer in time")
    return Answer(response.status_code, response.headers, content)


def _whole(chunks: Iterable[bytes]) -> bytes:
    """An answer's body. Raises OutcomeUnknown."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_ANSWER:
            raise OutcomeUnknown("the agent's answer is too long")
    return bytes(content)


PRIVATE = "the agent's address leads into a private network"


def _led_astray(error: BaseException | None) -> bool:
    """Whether what went wrong is that an address is not public."""
    while error is not None and not isinstance(error, addresses.NotPublic):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _hung_up_after(seconds: float, session: Any, *, public: bool) -> Iterator[Event]:
    """A session whose connections end after so long, whatever they are busy with; the event says that they did."""
    lines = _Lines(public=public)
    for scheme in ("http://", "https://"):
        session.mount(scheme, lines.adapter())
    done, late = Event(), Event()

    def watch() -> None:
        pause = seconds
        while not done.wait(pause):
            late.set()
            lines.hang_up()
            pause = 1.0

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        watcher.join()
        lines.close()


class _Lines:
    """The connections that a session's adapters make."""

    def __init__(self, *, public: bool) -> None:
        self._public = public
        self._sockets: list[socket.socket] = []

    def adapter(self) -> Any:
        """An adapter whose connections are these."""
        from requests.adapters import HTTPAdapter

        lines = self

        class Adapter(HTTPAdapter):
            def get_connection_with_tls_context(self, *given: Any, **more: Any) -> Any:
                pool: Any = super().get_connection_with_tls_context(*given, **more)
                pool.ConnectionCls = partial(lines._connection, type(pool).ConnectionCls)
                return pool

        return Adapter()

    def _connection(self, kind: Any, **given: Any) -> Any:
        made = kind(**given)
        connect = partial(_publicly, made) if self._public else made._new_conn

        def noted() -> socket.socket:
            """The line as it is before TLS takes it over, whose handshake is part of the time-out."""
            line: socket.socket = connect()
            self._sockets.append(line.dup())
            return line

        made._new_conn = noted
        return made

    def hang_up(self) -> None:
        """End what is connected; a read that waits returns. TLS is not told, as its state is another thread's."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connections."""
        for each in self._sockets:
            each.close()


def _publicly(connection: Any) -> socket.socket:
    """A connection to a public address, or urllib3's own error: nothing was sent."""
    from urllib3.exceptions import NewConnectionError

    try:
        return addresses.connected(connection.host, connection.port, CONNECT_TIMEOUT_SECONDS)
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error


def refusal(response: Answer, unacceptable: set[int] = UNACCEPTABLE) -> Declined | None:
    """How an answer refuses the call; None when it does not. Raises NotPlaced, OutcomeUnknown."""
    status = response.status_code
    if status in unacceptable:
        return declined(": ".join(filter(None, [str(status), _words(response.content)])))
    if status in NOT_PLACED or status in REDIRECTS:
        verdict = NOT_PLACED.get(status, Verdict.AWAY)
        raise NotPlaced(f"the agent answered {status}", verdict, _again_seconds(response.headers))
    if status >= 400:
        raise OutcomeUnknown(f"the agent answered {status}")
    return None


def declined(words: str) -> Declined:
    """An agent's refusal to call a contact."""
    return Declined(Result(call_status=CallStatus.FAILED, outcome=f"the agent refused the call ({words})").cut(), words)


def ask(url: str, message: object, headers: Mapping[str, str]) -> Declined | dict[str, Any]:
    """What a vendor answers to an order: its refusal, or an object. Raises NotPlaced, OutcomeUnknown."""
    response = post(url, message, headers)
    if refused := refusal(response, VENDORS_UNACCEPTABLE):
        return refused
    try:
        return members(response.content)
    except InvalidBody:
        raise OutcomeUnknown("the agent's answer cannot be read") from None


def place(url: str, message: object, headers: Mapping[str, str], *, named: str) -> Accepted | Declined:
    """Order a call of a vendor that answers with its id of the call, in the member `named`.

    Raises NotPlaced, OutcomeUnknown.
    """
    answer = ask(url, message, headers)
    if isinstance(answer, Declined):
        return answer
    if not answer.get(named):
        raise OutcomeUnknown("the agent's answer names no call")
    return Accepted(identifier(answer[named]))


def found(response: Answer) -> Any:
    """The JSON that answers a question; None where there is no such thing. Raises OutcomeUnknown."""
    if response.status_code == 404:
        return None
    if response.status_code != 200:
        raise OutcomeUnknown(f"the agent answered {response.status_code}")
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise OutcomeUnknown("the agent's answer cannot be read") from None


def _words(body: bytes) -> str:
    try:
        return explained(members(body))
    except InvalidBody:
        return ""


def explained(answer: Mapping[str, Any]) -> str:
    """An answer's reason in words, as far as it gives one; without numbers that may be phones."""
    detail = answer.get("detail")
    said = [
        answer.get("message"),
        detail,
        detail.get("message") if isinstance(detail, dict) else None,
        answer.get("error"),
    ]
    words = next((each for each in said if isinstance(each, str)), "")
    return re.sub("[+]?[0-9]{6,}", "…", clean(words))[:200]


def _again_seconds(headers: Mapping[str, str]) -> int:
    given = headers.get("Retry-After", "").strip()
    return min(int(given), LONGEST_REFUSAL_SECONDS) if re.fullmatch("[0-9]{1,9}", given) else 0
