"""`make logs`: the newest lines too, and what a word is about."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from local.laptop import Refused
from local.logs import PAGE, Line, about, of_group

GROUP = "/aws/lambda/autocall-Pacer-1A2B"


class Logs:
    """As MiniStack has it: the oldest lines from a moment on, and never a token to go on with."""

    def __init__(self, moments: list[int]) -> None:
        self.events: list[dict[str, Any]] = [
            {"timestamp": at, "message": f"line {n}\n", "logStreamName": "one"} for n, at in enumerate(moments)
        ]

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        assert asked["logGroupName"] == GROUP
        return {"events": [each for each in self.events if each["timestamp"] >= asked["startTime"]][: asked["limit"]]}


@pytest.mark.parametrize("lines", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 5])
@pytest.mark.parametrize("at_once", [1, 3])
def test_every_line_is_found_once_in_order(lines: int, at_once: int) -> None:
    found = list(of_group(Logs([n // at_once for n in range(lines)]), GROUP))
    assert [line.text for line in found] == [f"line {n}" for n in range(lines)]
    assert all(earlier.at <= later.at for earlier, later in pairwise(found))
    assert {line.function for line in found} <= {"Pacer"}


def test_lines_that_cannot_be_read_are_told() -> None:
    with pytest.raises(Refused, match="more than 10000 lines of one moment"):
        list(of_group(Logs([5] * (PAGE + 1)), GROUP))


def line(function: str, call: str, text: str) -> Line:
    return Line(0, function, call, text)


FOUND = [
    line("Pacer", "1", "START RequestId: 11"),
    line("Pacer", "1", "claimed"),
    line("APIHandler", "2", "START RequestId: 22"),
    line("APIHandler", "2", "looked"),
    line("APIHandler", "2", '{"message":"request refused","requestId":"33"}'),
    line("APIHandler", "4", '{"message":"request refused","requestId":"44"}'),
]


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [("", "1224"), ("Pacer", "1"), ("Handler", "224"), ("33", "22"), ("22", "22"), ("11", "1"), ("99", "")],
)
def test_word_is_a_function_or_something_in_a_call(wanted: str, calls: str) -> None:
    found = about(FOUND, wanted)
    assert "".join(each.call for each in found) == calls
    assert not [each for each in found if each.is_noise]
