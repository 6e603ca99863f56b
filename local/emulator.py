"""MiniStack as `make run` starts it: what it acknowledged survives it, and web pages do not reach its own endpoints.

Run by the emulator's own Python, which has none of the project's packages. MiniStack writes its state when it ends.
Here every write of a row and every message sent is in a journal before it is answered, and every few seconds a fork,
which is a copy that stands still, writes the state and shortens the journal. `NOTICES` is a descriptor on which
troubles are told, a line each; that it closes says that the emulator has ended.
"""

import asyncio
import copy
import errno
import fcntl
import gc
import json
import os
import struct
import sys
import termios
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from pathlib import Path
from typing import Any, ClassVar

import ministack.app as ministack
from ministack.core import lambda_runtime, persistence
from ministack.services import lambda_svc

SAVE_EVERY = 5.0
"""Seconds between two saves at least, and ten times what one takes."""

JOURNALED = {
    "dynamodb": ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"),
    "sqs": ("SendMessage", "SendMessageBatch"),
}
AT_ONCE = 2
"""Calls of a function that a WebSocket API makes at a time. Each is a process, which takes half a second to start."""

LOG_SECONDS = 0.25
"""How long a call's log is waited for at most."""

FOR_PAGES = ("/_aws/execute-api/",)
"""What the front leads web pages to among the emulator's own addresses: sockets."""

BROWSERS = {b"origin", b"referer", b"sec-fetch-site"}
"""Headers that a browser sends and no program does."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Answer = tuple[int, dict[str, str], Any]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Coroutine[Any, Any, Answer]]


class Journal:
    """What was done since the state was saved, in files that are numbered; each save begins the next."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.number = max((int(file.suffix[1:]) for file in self.files()), default=0)
        self._file: int | None = None

    def files(self) -> list[Path]:
        """Those there are, oldest first."""
        return sorted(self.home.glob("journal.*"), key=lambda file: int(file.suffix[1:]))

    def begin(self) -> list[Path]:
        """Begin the next; the ones before, which a save makes needless."""
        before = self.files()
        if self._file is not None:
            os.close(self._file)
        self.number += 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(self.home / f"journal.{self.number}", flags, 0o600)
        return before

    def keep(self, *entry: str) -> None:
        """Write an entry down. Raises OSError when it cannot be written whole."""
        if self._file is None:
            return
        size, line = os.fstat(self._file).st_size, json.dumps(entry).encode() + b"\n"
        if os.write(self._file, line) < len(line):
            os.ftruncate(self._file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Keeper:
    """Saves the state, and does what journals say that it does not have yet."""

    def __init__(self, journal: Journal, tell: Callable[[str], None]) -> None:
        self.journal = journal
        self.tell = tell
        self._handlers: dict[str, Handler] = {}
        self.requests = 0
        self._saved_requests = 0
        self._trouble = ""
        self._child = 0
        self._began = self._next = time.monotonic()

    def journaled(self, service: str, handle: Handler) -> Handler:
        """A service's handler whose writes are in the journal before they are answered."""
        self._handlers[service] = handle

        async def handler(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> Answer:
            answer = await handle(method, path, headers, body, query)
            target = headers.get("x-amz-target", "")
            if answer[0] == 200 and target.rpartition(".")[2] in JOURNALED[service]:
                try:
                    self.journal.keep(service, target, path, body.decode())
                except OSError as why:
                    self._troubled(why.strerror)
                    return 500, {"Content-Type": "application/x-amz-json-1.0"}, b'{"__type":"InternalServerError"}'
            return answer

        return handler

    def replay(self) -> None:
        """Do again what was done after the last save."""
        for file in self.journal.files():
            for line in file.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # else it was never answered
                    self._again(*json.loads(line))

    def _again(self, service: str, target: str, path: str, body: str) -> None:
        doing = self._handlers[service]("POST", path, {"x-amz-target": target}, body.encode(), {})
        try:
            doing.send(None)
        except StopIteration:
            return
        finally:
            doing.close()

    def tick(self) -> None:
        """Begin a save when it is time, and end one that is done."""
        if self._child:
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if not ended:
                return
            self._child = 0
            took = time.monotonic() - self._began
            self._next = time.monotonic() + max(SAVE_EVERY, 10 * took)
            if code := os.waitstatus_to_exitcode(status):
                self._saved_requests = -1
                self._troubled(os.strerror(code) if code > 0 else "the copy that saves it was killed")
            else:
                self._troubled("")
        elif self.requests != self._saved_requests and time.monotonic() >= self._next:
            self._began, self._saved_requests = time.monotonic(), self.requests
            before = self._begin_journal()
            if before is not None:
                self._child = os.fork()
                if not self._child:
                    os._exit(self._save_copy(before))

    def _begin_journal(self) -> list[Path] | None:
        try:
            return self.journal.begin()
        except OSError as why:
            self._troubled(why.strerror)
            return None

    def _troubled(self, why: str | None) -> None:
        """Tell what keeps the data from being kept, or nothing any more; each once."""
        if why != self._trouble:
            self.tell(f"cannot keep the data and takes no more of it: {why}" if why else "keeps the data again")
        self._trouble = why or ""

    def _save_copy(self, before: list[Path]) -> int:
        """In the fork: nobody else changes anything here, so nothing need be copied. Returns what the system said."""
        gc.disable()
        copy.deepcopy = lambda value, *_: value
        try:
            self.save(before)
        except OSError as why:
            return why.errno or errno.EIO
        return 0

    def save(self, before: list[Path]) -> None:
        """Write the state; the journals before it are gone then. Raises OSError."""
        persistence.save_all(ministack._build_persistence_save_dict())
        for file in before:
            file.unlink(missing_ok=True)

    def end(self) -> None:
        """Save what there is, when nothing more is asked."""
        if self._child:
            os.waitpid(self._child, 0)
        try:
            self.save(self.journal.files())
        except OSError as why:
            self._troubled(why.strerror)
        else:
            self._troubled("")


def save_state(service: str, state: Any) -> None:
    """As MiniStack's own, but in one go, and a failure is raised: it is no success to be told of."""
    path = Path(persistence.STATE_DIR) / f"{service}.json"
    whole = {"__ministack_format__": persistence._state_format_version(service), "payload": state}
    partial = path.with_suffix(".json.tmp")
    try:
        partial.write_text(json.dumps(whole, default=persistence._json_default))
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def guarded(app: Callable[[Scope, Receive, Send], Awaitable[None]], keeper: Keeper) -> Any:
    """MiniStack's application, out of web pages' reach where it has endpoints of its own, and saved as it goes."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            keeper.requests += 1
            path, sent = scope["path"], {name.lower() for name, _ in scope["headers"]}
            if path.startswith("/_") and not path.startswith(FOR_PAGES) and sent & BROWSERS:
                headers = [(b"content-type", b"text/plain")]
                await send({"type": "http.response.start", "status": 403, "headers": headers})
                await send({"type": "http.response.body", "body": b"The emulator serves no web pages."})
                return
        await app(scope, receive, send)

    return answer


class SocketsFunction:
    """A function as WebSocket APIs call it: several calls at a time and logged, as for everybody else.

    By itself MiniStack leaves all of them to one worker, one after the other, and logs none.
    """

    turns: ClassVar[defaultdict[str, threading.Semaphore]] = defaultdict(lambda: threading.Semaphore(AT_ONCE))

    def __init__(self, name: str, config: dict[str, Any], code: bytes, *, qualifier: str) -> None:
        self.turn = self.turns[f"{name}:{qualifier}"]
        self.function = {"config": config, "code_zip": code}

    def invoke(self, event: Any, _: str) -> dict[str, Any]:
        """What it answers, in a worker's words."""
        with self.turn:
            answer = lambda_svc._execute_function(self.function, event)
        if answer.get("error") or answer.get("throttle"):
            return {"status": "error", "error": '{"message": "Internal server error"}'}
        return {"status": "ok", "result": answer["body"]}


def quick_log(worker: Any) -> str:
    """What a call logged. MiniStack waits 50 ms for a first line; what was written is in the pipe when a call ends."""
    until = time.monotonic() + LOG_SECONDS
    while worker._proc and _is_unread(worker._proc.stderr) and time.monotonic() < until:
        time.sleep(0.001)
    text: str = log_of(worker, first_line_wait=0.005)
    return text


log_of = lambda_runtime.Worker._drain_stderr_bounded


def _is_unread(pipe: Any) -> bool:
    (size,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return bool(size)


async def _save_now_and_then(keeper: Keeper) -> None:
    while True:
        await asyncio.sleep(0.5)
        keeper.tick()


def main() -> None:
    """Run until SIGTERM."""
    notices = int(os.environ.pop("NOTICES"))
    os.set_inheritable(notices, False)
    keeper = Keeper(Journal(Path(persistence.STATE_DIR)), lambda text: _tell(notices, text))
    tasks: list[asyncio.Task[None]] = []

    def load() -> None:
        loaded()
        keeper.replay()
        keeper.journal.begin()
        tasks.append(asyncio.get_running_loop().create_task(_save_now_and_then(keeper)))

    loaded, ministack._load_persisted_state = ministack._load_persisted_state, load
    ministack.save_all = lambda _: keeper.end()
    persistence.save_state = save_state
    for service in JOURNALED:
        module = ministack._get_module(service)
        module.handle_request = keeper.journaled(service, module.handle_request)
    lambda_runtime.get_or_create_worker = SocketsFunction
    lambda_runtime.Worker._drain_stderr_bounded = quick_log
    ministack.app = guarded(ministack.app, keeper)
    ministack.main()


def _tell(notices: int, text: str) -> None:
    try:
        os.write(notices, text.encode() + b"\n")
    except OSError:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
