"""Headers of a list's columns → a contact's fields. The child process imports it too, so it stays small."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

SEARCHED = 20
"""Rows in which the header is looked for."""

LONGEST_ROW = 1_000
"""Cells of a row that are looked at."""

REASON, REPORT = "reason", "Rejected"
"""The column a report of rejected rows adds, and what the names of its sheets begin with: there it is no column."""

_NAMES = {
    "first_name": (
        "firstname|first name|name|given name|full name|fullname|contact name|name surname|surname name"
        "|ism|ismi|to'liq ism|to'liq ismi|f i o|f i sh|fio|fish|ism familiya|ismi familiyasi|ism va familiya"
        "|ismi va familiyasi|ism sharif|ism sharifi|ismi sharifi|familiya ism|familiyasi ismi|familiya va ism"
        "|familiyasi va ismi|familiya ism sharif|familiyasi ismi sharifi|familiyasi ismi otasining ismi"
        "|исм|исми|тўлиқ исм|тўлиқ исми|исм фамилия|исми фамилияси|исм ва фамилия|исми ва фамилияси|исм шариф"
        "|исм шарифи|исми шарифи|фамилия исм|фамилияси исми|фамилия ва исм|фамилияси ва исми|фамилия исм шариф"
        "|фамилияси исми шарифи|фамилияси исми отасининг исми|ф и ш|фиш"
        "|имя|полное имя|ф и о|фио|имя фамилия|имя и фамилия|фамилия имя|фамилия и имя|имя отчество"
        "|фамилия имя отчество|фамилия имя и отчество|имя отчество фамилия"
    ),
    "last_name": "lastname|last name|surname|family name|familiya|familiyasi|фамилия|фамилияси",
    "phone": (
        "phone|phones|phone number|phone numbers|phonenumber|phone no|telephone|telephone number|mobile|mobile phone"
        "|mobile number|mobile no|cell|cell phone|cellphone|cell number|contact phone|contact number"
        "|tel|tel no|tel raqam|tel raqami|tel nomer|tel nomeri|telefon|telefoni|telefonlar|telefonlari|telefon raqam"
        "|telefon raqami|telefon raqamlari|telefon nomer|telefon nomeri|mobil|mobil telefon|mobil telefoni"
        "|mobil raqam|mobil raqami|uyali telefon|uyali raqam|aloqa raqami|aloqa uchun raqam|aloqa telefoni"
        "|bog'lanish raqami|bog'lanish uchun raqam"
        "|тел|тел рақам|тел рақами|тел номери|телефон|телефони|телефонлар|телефонлари|телефон рақам|телефон рақами"
        "|телефон рақамлари|телефон номер|телефон номери|мобил телефон|мобил телефони|мобил рақам|мобил рақами"
        "|алоқа рақами|алоқа учун рақам|алоқа телефони|боғланиш рақами|боғланиш учун рақам"
        "|тел номер|номер тел|телефона|телефоны|номер телефона|номера телефонов|моб|моб тел|моб телефон|моб номер"
        "|тел моб|телефон моб|мобильный|мобильный телефон|мобильный номер|номер мобильного|номер мобильного телефона"
        "|телефон мобильный|сотовый|сотовый телефон|сотовый номер|телефон сотовый|контактный телефон"
        "|контактный номер|контактный номер телефона|контактные телефоны"
    ),
    "date_of_birth": (
        "dateofbirth|date of birth|birth date|birthdate|birthday|tug'ilgan sana|tug'ilgan sanasi|tug'ilgan kuni"
        "|туғилган сана|туғилган санаси|туғилган куни|дата рождения|день рождения"
    ),
    "custom_data": "customdata|custom data|qo'shimcha ma'lumotlar|қўшимча маълумотлар|дополнительные данные",
    "notes": "notes|note|izoh|izohlar|изоҳ|изоҳлар|заметки|заметка|примечание|примечания",
    "timezone": (
        "timezone|time zone|tz|iana time zone|vaqt mintaqasi|vaqt zonasi|soat mintaqasi|вақт минтақаси|вақт зонаси"
        "|соат минтақаси|часовой пояс|часовая зона|временная зона|таймзона"
    ),
    "status": "status|holat|holati|ҳолат|ҳолати|статус",
}
"""English, Uzbek (Latin, Cyrillic) and Russian. Who has one column for the whole name has it in `first_name`."""

FIELDS = {name: field for field, names in _NAMES.items() for name in names.split("|")}

_WHOSE = re.compile(
    r"(?:mijoz|qarzdor|abonent)(?:ning)?|(?:мижоз|қарздор|абонент)(?:нинг)?|клиента|клиентов|абонента|должника"
    r"|за[её]мщика|покупателя|(?:customer|client)(?:'s)?"
)
"""Words of a header that only say whose the name or the phone is."""

_LIKELY = (
    ("phone", re.compile(r"\b(?:тел(?!егр)|моб|сотов|tel(?!egr)|mobil)|(?<!i)phone")),
    ("phone", re.compile("^(?:raqami?|рақами?)$")),
    (
        "first_name",
        re.compile(
            "^(?:mijoz(?:lar)?|abonent|qarzdor(?:lar)?|bemor(?:lar)?|xodim(?:lar)?|мижоз(?:лар)?|қарздор(?:лар)?"
            "|бемор(?:лар)?|клиент(?:ы|лар)?|абоненты?|должники?|пациенты?|сотрудники?|контактное лицо"
            "|customers?|clients?|patients?|contact person)$"
        ),
    ),
)
"""What the header of a field looks like in a list where no column has one of the field's names."""

_PARTS = re.compile("[\n/|]")
_VALUE = re.compile(r"[+(]*\d")
_SPARE = re.compile(r"\(.*?\)|\d+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = re.compile("[ʻʼ‘’`´ʹ′]")


def fields(header: Sequence[Any]) -> list[str | None]:
    """The field each column of a list holds; None for one that becomes a key of `customData`."""
    titles = [cell if isinstance(cell, str) else "" for cell in header]
    found = [field(title) for title in titles]
    for name, looks in _LIKELY:
        if name not in found:
            likely = [n for n, title in enumerate(titles) if found[n] is None and looks.search(_title(title))]
            for first in likely[:1]:
                found[first] = name
    return found


def find(rows: Sequence[list[Any]]) -> tuple[int, list[Any]] | None:
    """Where the header is among a sheet's first rows, and its cells; None when no row has a phone column.

    It is the row with the most fields, the earliest of several. Of a header in two rows the upper one fills the lower.
    """
    whole = [_filled(row, above) for above, row in zip([[], *rows], rows, strict=False)]
    counts = [known(row) for row in whole]
    most = max(counts, default=0)
    return (counts.index(most), whole[counts.index(most)]) if most else None


def known(header: Sequence[Any]) -> int:
    """How many fields the columns of a header hold; none without a phone."""
    found = {*fields(header)} - {None}
    return len(found) if "phone" in found else 0


def _filled(row: list[Any], above: list[Any]) -> list[Any]:
    """A header whose empty cells say what the row above says, when that one is a header too."""
    if not any(fields(row)) or not any(fields(above)) or any(map(_is_value, above)):
        return row
    return [cell if cell != "" else over for cell, over in zip_longest(row, above, fillvalue="")]


def _is_value(cell: Any) -> bool:
    return not isinstance(cell, str) or _VALUE.match(cell) is not None


def field(header: str) -> str | None:
    """The field that has a header among its names. A header may say it in two languages."""
    return next((FIELDS[name] for name in map(_title, (header, *_PARTS.split(header))) if name in FIELDS), None)


def _title(header: str) -> str:
    """The words of a header without remarks in parentheses, numbers, and whose it is unless it says nothing else."""
    words = plain(_SPARE.sub(" ", header)).split()
    return " ".join([word for word in words if not _WHOSE.fullmatch(word)] or words)


def plain(written: str) -> str:
    """Words without case, signs between them, and the many forms of the apostrophe."""
    return " ".join(_WORD.findall(_APOSTROPHES.sub("'", written).lower()))
