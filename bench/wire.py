"""AWS cut off at the wire: every client's requests are built, signed and parsed as ever, and answered from here."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.handlers import BUILTIN_HANDLERS

Answer = Callable[[str, bytes], bytes]
"""From an operation (`Query`) and its request's JSON to its answer's."""


class _Raw(io.BytesIO):
    """A body as urllib3 hands it over."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        while block := self.read(1 << 16):
            yield block


@contextmanager
def answered(answer: Answer) -> Iterator[None]:
    """Let `answer` stand for AWS in clients made meanwhile."""

    def sent(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).partition(".")[2]
        body = answer(operation, request.body)
        headers = {"Content-Type": "application/x-amz-json-1.0", "Content-Length": str(len(body))}
        return AWSResponse(request.url, 200, headers, _Raw(body))

    BUILTIN_HANDLERS.append(stub := ("before-send", sent))
    try:
        yield
    finally:
        BUILTIN_HANDLERS.remove(stub)
