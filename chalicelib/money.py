"""Amounts of money, and how they are read where others write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

MOST = 10**15
DECIMALS = Decimal("0.000001")
"""What is finer is rounded: prices of seconds are, which vendors multiply in floating point."""

LONGEST = 60
"""Characters of a text that is read as an amount."""

_AMOUNT = re.compile(r"([A-Z]{3})?([0-9]{1,15}(?:\.[0-9]{1,30})?)([A-Z]{3})?")
_CURRENCY = re.compile("[A-Z]{3}")


class Money(Struct, frozen=True):
    """A decimal amount as text, such as `12.50`, of a currency's ISO 4217 code; null where nobody said of which."""

    amount: Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?\Z")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] | None = None


def read(given: Any, currency: str | None = None) -> Money | None:
    """What an object, a number or a text such as `500 000 UZS` says; None where that is no amount.

    `currency` is that of what names none.
    """
    if isinstance(given, dict):
        said = given.get("currency")
        code = said.strip().upper()[:LONGEST] if isinstance(said, str) else ""
        amount = given.get("amount")
        known = code if _CURRENCY.fullmatch(code) else currency
        return None if isinstance(amount, dict) else read(amount, known)
    if isinstance(given, bool):
        return None
    if isinstance(given, int | float):
        return _of_number(given, currency)
    return _of_text(given, currency) if isinstance(given, str) and len(given) <= LONGEST else None


def _of_number(given: float, currency: str | None) -> Money | None:
    return _money(Decimal(str(given)).normalize(), currency) if 0 <= given < MOST else None


def _of_text(given: str, currency: str | None) -> Money | None:
    match = _AMOUNT.fullmatch("".join(given.split()).upper())
    return _money(Decimal(match[2]), match[1] or match[3] or currency) if match else None


def _money(amount: Decimal, currency: str | None) -> Money | None:
    rounded = amount.quantize(DECIMALS, ROUND_HALF_UP)
    exact = amount if amount == rounded and len(f"{amount:f}".partition(".")[2]) <= 6 else rounded.normalize()
    return Money(f"{exact:f}", currency) if exact < MOST else None


def total(amounts: Iterable[Money]) -> list[Money]:
    """The sums of amounts, one for each currency."""
    sums: dict[str | None, Decimal] = {}
    for each in amounts:
        sums[each.currency] = sums.get(each.currency, Decimal(0)) + Decimal(each.amount)
    return [Money(f"{amount:f}", currency) for currency, amount in sums.items()]
