"""The guides' programs, read out of the guides and not retyped, and what they run in."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.laptop import ROOT
from tests import npm
from tests.stack.deployed import LocalStack

NEWEST = "4.8.4"
EARLIER = ("4.0.2", "4.4.1", "4.6.2")
Heard = list[list[Any]]

LOGGED = {
    "campaign-update": "Campaign update:",
    "campaign-complete": "Campaign completed:",
    "contact-update": "Contact update:",
}
"""What the guide's program logs of each event."""


def client(version: str = NEWEST) -> Path:
    """The directory of an installed client."""
    return npm.installed("socket.io-client", version)


def program(marked: str, stack: LocalStack, organization: str, *, language: str = "uz") -> str:
    """The one program of a guide that has a text in it; its address, its organization and its token are filled in."""
    guide = (ROOT / "docs" / f"guide.{language}.md").read_text()
    programs: list[str] = re.findall(r"```javascript\n(.*?)```", guide, re.DOTALL)
    [text] = [each for each in programs if marked in each]
    assert text.count("//localhost:3000") == 1
    text = text.replace("//localhost:3000", stack.base.removeprefix("http:"))
    for blank, value in (
        ("your-jwt-token", stack.token(organization)),
        ("organizationId: '1'", f"organizationId: '{organization}'"),
    ):
        text = text.replace(blank, value)
    return text


@contextmanager
def running(*command: str) -> Iterator[Heard]:
    """What a program says, one JSON array a line, as long as the block lasts."""
    heard: Heard = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda lines: heard.extend(map(json.loads, lines)), args=(process.stdout,))
        reader.start()
        try:
            yield heard
        finally:
            process.terminate()
            reader.join()


def names(heard: Heard) -> list[str]:
    """Of each thing said its first word: an event's name, or the line that is logged of it."""
    return [each[0] for each in heard]
