"""What is logged, as CloudWatch would get it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.log import logger


class Logged(io.StringIO):
    """What was written since it was opened."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Line by line."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def saying(self, message: str) -> list[dict[str, Any]]:
        """The lines with a message."""
        return [line for line in self.lines if line["message"] == message]


@contextmanager
def everything() -> Iterator[Logged]:
    """All that is logged meanwhile, at any level."""
    written = Logged()
    mine = logging.StreamHandler(written)
    mine.setFormatter(logger().registered_formatter)
    level = logger().log_level
    logger().addHandler(mine)
    logger().setLevel("DEBUG")
    try:
        yield written
    finally:
        logger().removeHandler(mine)
        logger().setLevel(level)
