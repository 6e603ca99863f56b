"""A list's answer and what of it fits, in the bytes Lambda counts."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import http


@given(st.text())
def test_no_letter_is_sent_as_more_bytes_than_is_written_down(text: str) -> None:
    written = msgspec.json.encode(text)
    assert len(json.dumps(written.decode())) - 2 <= http.SENT_PER_BYTE * len(written)


@pytest.mark.parametrize("letter", ["a", "ж", '"', "\\", "\u0001", "語", "😀"])
def test_as_many_rows_are_shown_as_fit(letter: str) -> None:
    row = msgspec.json.encode({"notes": letter * 10_000})
    size = len(json.dumps(row.decode()))
    fit = http.ANSWER_BYTES // size
    for rows in (fit - 1, fit, fit + 1, 2 * fit):
        assert http._fitting([row] * rows) == min(rows, fit)


def test_a_row_is_always_shown() -> None:
    largest = msgspec.json.encode({"notes": "\u0001" * 400_000})
    assert http._fitting([largest] * 3) == 2
    assert http._fitting([largest * 4]) == 1
    assert http._fitting([]) == 0
