"""What DynamoDB takes: how it counts bytes, and the limits of values, keys, items and requests.

Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html and, of sizes,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]

ITEM_BYTES = 400 * 1024
TRANSACTION_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 1024 * 1024
BATCH_BYTES = 16 * 1024 * 1024
TRANSACTION_WRITES = 100
BATCH_READS = 100
BATCH_WRITES = 25
HASH_KEY_BYTES, RANGE_KEY_BYTES = 2048, 1024
DIGITS = 38
LARGEST, SMALLEST = Decimal("9.9999999999999999999999999999999999999E+125"), Decimal("1E-130")

SETS = {"SS": "S", "NS": "N", "BS": "B"}
TYPES = {"S", "N", "B", "BOOL", "NULL", "M", "L", *SETS}


class Refused(Exception):
    """A request that AWS answers with an error; `more` are the error's own members."""

    def __init__(self, code: str, message: str = "", **more: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.more = more

    @property
    def answer(self) -> dict[str, Any]:
        """The error as botocore parses it."""
        return {"Error": {"Code": self.code, "Message": self.message or self.code}, **self.more}


class Invalid(Refused):
    """A request DynamoDB cannot make sense of."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


def size(item: Mapping[str, Value] | None) -> int:
    """An item's size in bytes: names and values in UTF-8, a number as half its significant digits and one."""
    return sum(len(name.encode()) + _value_size(value) for name, value in (item or {}).items())


def _value_size(value: Value) -> int:
    [(kind, plain)] = value.items()
    match kind:
        case "S" | "B":
            return len(plain.encode())
        case "N":
            return _number_size(plain)
        case "SS" | "NS" | "BS":
            return sum(_value_size({SETS[kind]: each}) for each in plain)
        case "L":
            return 3 + sum(1 + _value_size(each) for each in plain)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in plain.items())
    return 1


def _number_size(plain: str) -> int:
    mantissa = plain.lstrip("-").partition("E")[0].replace(".", "").strip("0")
    return (len(mantissa) + 1) // 2 + 1 + plain.startswith("-")


def check_values(values: Iterable[Value]) -> None:
    """Raises Invalid for a value DynamoDB does not keep."""
    for value in values:
        _check_value(value)


def _check_value(value: Value, depth: int = 1) -> None:
    if len(value) != 1 or not value.keys() <= TYPES:
        raise Invalid("Supplied AttributeValue must contain exactly one of the supported datatypes")
    if depth > 32:
        raise Invalid("Nesting Levels have exceeded supported limits")
    [(kind, plain)] = value.items()
    if kind == "N":
        _check_number(plain)
    elif kind in SETS:
        _check_set(plain, SETS[kind])
    elif kind in ("L", "M"):
        for each in plain if kind == "L" else plain.values():
            _check_value(each, depth + 1)


def _check_number(plain: str) -> None:
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise Invalid("The parameter cannot be converted to a numeric value") from None
    if not number.is_finite():
        raise Invalid("The parameter cannot be converted to a numeric value")
    if len("".join(map(str, number.as_tuple().digits)).strip("0")) > DIGITS:
        raise Invalid("Attempting to store more than 38 significant digits in a Number")
    if number and not SMALLEST <= abs(number) <= LARGEST:
        raise Invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")


def _check_set(members: list[str], kind: str) -> None:
    if not members:
        raise Invalid("One or more parameter values were invalid: An string set may not be empty")
    if len(set(members)) != len(members):
        raise Invalid("One or more parameter values were invalid: Input collection contains duplicates.")
    check_values({kind: each} for each in members)


def check_key_value(name: str, value: Value, kind: str, most: int) -> None:
    """Raises Invalid for a value that is no key of a table or an index."""
    if value.keys() != {kind}:
        raise Invalid(f"One or more parameter values were invalid: Type mismatch for key {name} expected: {kind}")
    if value[kind] == "":
        raise Invalid(f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}")
    if len(value[kind].encode()) > most:
        raise Invalid(f"One or more parameter values were invalid: Size of {name} has exceeded {most} bytes")


def check_size(item: Item) -> None:
    """Raises Invalid for an item that is too large."""
    if size(item) > ITEM_BYTES:
        raise Invalid("Item size has exceeded the maximum allowed size")
