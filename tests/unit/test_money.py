"""Amounts of money as agents write them."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import money
from chalicelib.money import Money


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"amount": "12.50", "currency": "USD"}, Money("12.50", "USD")),
        ({"amount": 12.5, "currency": " usd "}, Money("12.5", "USD")),
        ({"amount": "12.50"}, Money("12.50")),
        ({"amount": "12.50", "currency": "so'm"}, Money("12.50")),
        ({"amount": "12.50 UZS", "currency": 5}, Money("12.50", "UZS")),
        (500_000, Money("500000")),
        (500_000.0, Money("500000")),
        (0.1 + 0.2, Money("0.3")),
        (0, Money("0")),
        ("500\u00a0000 UZS", Money("500000", "UZS")),
        ("eur 007.10", Money("7.10", "EUR")),
        ("1.0000005", Money("1.000001")),
        (999_999_999_999_999, Money("999999999999999")),
        ("0.00", Money("0.00")),
    ],
)
def test_amount_is_read_as_it_is_meant(given: Any, known: Money) -> None:
    assert money.read(given) == known


@pytest.mark.parametrize(
    "given",
    [
        *(None, True, -1, 10**15, 10**300, float("nan"), float("inf"), [], {}, {"amount": None}),
        *({"amount": {"amount": 1}}, "", "-5", "1,5", "1e3", "five", "\u0665", "1" * 16, "0" * 61),
        *("999999999999999.9999999", "USD 5 EUR x"),
    ],
)
def test_what_is_no_amount_is_none(given: Any) -> None:
    assert money.read(given) is None


def test_amounts_of_one_currency_add_up() -> None:
    assert money.total([]) == []
    costs = [Money("0.1", "USD"), Money("1", "EUR"), Money("0.20", "USD"), Money("3")]
    assert money.total(costs) == [Money("0.30", "USD"), Money("1", "EUR"), Money("3")]
