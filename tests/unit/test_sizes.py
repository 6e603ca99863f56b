"""Transactions of the largest rows there can be are within DynamoDB's limit."""

from __future__ import annotations

from typing import get_args

from chalicelib.contacts import model
from chalicelib.imports import planning

TRANSACTION_BYTES = 4 * 1024 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

LETTER = 4
"""Bytes of the longest letters in UTF-8."""


def longest(text: object) -> int:
    """Bytes of a text of a limited number of letters."""
    letters: int = next(each for each in get_args(text) if hasattr(each, "max_length")).max_length
    return letters * LETTER


def test_chunk_of_the_largest_contacts_is_a_transaction() -> None:
    texts = sum(map(longest, (model.Name, model.LastName, model.Notes, model.Outcome)))
    names_ids_moments_and_the_phones_row = 1_500
    contact = model.CUSTOM_DATA_LIMIT + texts + names_ids_moments_and_the_phones_row
    marker = planning.CHUNK * 40 + 1_000
    assert planning.CHUNK * contact + marker < TRANSACTION_BYTES * 3 // 4
