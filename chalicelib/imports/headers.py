"""Headers of a list's columns → a contact's fields. The child process imports it too, so it stays small."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

SEARCHED = 20
"""Rows in which the header is looked for."""

REASON = "reason"
"""The column that a report of rejected rows adds; ignored when the report comes back."""

_NAMES = {
    "first_name": (
        "firstname|first name|name|given name|full name|fullname|ism|ismi|to'liq ism|to'liq ismi|f.i.o|f.i.sh|fio|fish"
        "|исм|исми|тўлиқ исм|тўлиқ исми|имя|полное имя|ф.и.о|ф.и.ш|фио|фиш"
    ),
    "last_name": "lastname|last name|surname|family name|familiya|familiyasi|фамилия|фамилияси",
    "phone": (
        "phone|phone number|phonenumber|telephone|mobile|tel|telefon|telefoni|telefon raqam|telefon raqami"
        "|телефон|телефони|телефон рақам|телефон рақами|номер телефона|мобильный телефон|тел"
    ),
    "date_of_birth": (
        "dateofbirth|date of birth|birth date|birthdate|birthday|tug'ilgan sana|tug'ilgan sanasi|tug'ilgan kuni"
        "|туғилган сана|туғилган санаси|туғилган куни|дата рождения|день рождения"
    ),
    "custom_data": "customdata|custom data|qo'shimcha ma'lumotlar|қўшимча маълумотлар|дополнительные данные",
    "notes": "notes|note|izoh|izohlar|изоҳ|изоҳлар|заметки|заметка|примечание|примечания",
    "status": "status|holat|holati|ҳолат|ҳолати|статус",
    REASON: REASON,
}
"""English, Uzbek (Latin, Cyrillic) and Russian. Who has one column for the whole name has it in `first_name`."""

FIELDS = {name: field for field, names in _NAMES.items() for name in names.split("|")}

_PARTS = re.compile("[\n/|]")
_REMARK = re.compile(r"\(.*?\)")
_APOSTROPHES = re.compile("[ʻʼ‘’`´ʹ′]")


def field(header: str) -> str | None:
    """The field a column holds; None when it becomes a key of `customData`. A header may say it in two languages."""
    return next((FIELDS[name] for name in map(plain, (header, *_PARTS.split(header))) if name in FIELDS), None)


def plain(header: str) -> str:
    """A header without remarks in parentheses, case, spare signs and the many forms of the apostrophe."""
    bare = _APOSTROPHES.sub("'", _REMARK.sub("", header)).replace("_", " ")
    return " ".join(bare.split()).strip(" *:.").lower()


def is_header(cells: Iterable[Any]) -> bool:
    """Whether a row names a phone column."""
    return any(isinstance(cell, str) and field(cell) == "phone" for cell in cells)
