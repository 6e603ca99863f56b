"""Headers of a list's columns → a contact's fields. The child process imports it too, so it stays small."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

SEARCHED = 20
"""Rows in which the header is looked for."""

SAMPLED = 100
"""Rows by which it is judged what a row would be the header of."""

LONGEST_ROW = 1_000
"""Cells of a row that are looked at."""

REASON, REPORT = "reason", "Rejected"
"""The column a report of rejected rows adds, and what the names of its sheets begin with: there it is no column."""

_NAMES = {
    "first_name": (
        "firstname|first name|name|given name|full name|fullname|contact name|name surname|surname name|display name"
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
    r"|за[её]мщика|покупателя|контакта|(?:customer|client)(?:'s)?"
)
"""Words of a header that only say whose the name or the phone is."""

_PHONE = re.compile(r"\b(?:тел(?!егр)|моб|сотов|tel(?!egr)|mobil)|(?<!i)phone|whatsapp|ват?с?сап|вотсап")
_MOBILE = re.compile(r"\b(?:моб|сотов|перенос|mob|cell|uyali)")
_NO_PHONE = re.compile(r"\b(?:type|label|тип|метка|phonetic|fax|факс|факса|модел[ьи]|марка|model)\b|телетайп")
_ANOTHERS = re.compile(
    r"\b(?:поручител|родствен|родител|отца|матери|мужа|жены|супруг|помощник|ассистент|секретар|менеджер|директор"
    r"|оператор|ответственн|организаци|компани|assistant|guarantor|relative|spouse|emergency|manager|company|operator"
    r"|kafil|qarindosh|yaqin|menejer|direktor|кафил|қариндош|яқин|менежер)"
)
"""What a phone's header says beside: that it is dialed first, that it is none, that it is not the person's own."""

_NUMBER = re.compile("^(?:raqami?|рақами?|nomeri?|номери?|номера|number|numbers)$")
"""The header of a phone where nothing else looks like one."""

_PERSON = (
    re.compile(r"^(?:ф ?и ?о|фио|f ?i ?(?:o|sh)|ф ?и ?ш|имя|ismi?|исми?|full name|name)\b"),
    re.compile(
        "^(?:mijoz(?:lar)?|abonent|qarzdor(?:lar)?|bemor(?:lar)?|xodim(?:lar)?|мижоз(?:лар)?|қарздор(?:лар)?"
        "|бемор(?:лар)?|клиент(?:ы|лар)?|абоненты?|должники?|пациенты?|сотрудники?|за[её]мщики?|плательщики?"
        "|покупател[ьи]|заказчики?|(?:контактное|ответственное) лицо|(?:основной )?контакты?|customers?|clients?"
        "|patients?|debtors?|borrowers?|contacts?|contact person)$"
    ),
    re.compile(
        r"^(?:контрагенты?|kontragent(?:lar)?|контрагент(?:лар)?|counterparty|наименование(?: \w+)?|название|nomi|номи"
        "|nomlanishi)$"
    ),
    re.compile(
        "^(?:компания|организация|предприятие|название компании|tashkilot(?: nomi)?|korxona(?: nomi)?|firma(?: nomi)?"
        "|ташкилот(?: номи)?|корхона(?: номи)?|company|company name|organization|organization name)$"
    ),
)
"""What the header of a name looks like where no column has one of its names, the likeliest first."""

_IPHONES = {"iphone", "home", "work", "main", "other"}
"""Headers of a phone in an address book, which has columns with clearer ones."""

_DEALS = {"название лида", "название сделки", "lead name", "deal name"}
"""Columns of a CRM's deals: what it calls their status is none of a contact's."""

_GIVEN = {"firstname", "first name", "given name", "ism", "ismi", "исм", "исми", "имя"}
"""Names of a column of given names only: it comes before one of whole names."""

_PARTS = re.compile("[\n/|]")
_VALUE = re.compile(r"[+(]*\d")
_SPARE = re.compile(r"\([^)\n]{0,200}\)|\d+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LETTERS = re.compile(r"[^\W\d_]")
_DATE = re.compile(r"\s*\d{1,4}[./-]\d{1,2}[./-]\d{2,4}\b(?![-\d])")
_APOSTROPHES = re.compile("[ʻʼ‘’`´ʹ′]")


class Score(NamedTuple):
    """How well rows make a list: people in it, rows as long as its header, fields that its columns hold."""

    people: int = 0
    fitting: int = 0
    known: int = 0


def fields(header: Sequence[Any]) -> list[str | None]:
    """The field each column of a list holds; None for one that becomes a key of `customData`.

    Several may hold a phone, or a name: `order` says which comes first.
    """
    titles = [_title(cell) if isinstance(cell, str) else "" for cell in header]
    found = [field(cell) if isinstance(cell, str) else None for cell in header]
    _add_phones(titles, found)
    if _DEALS & {*titles}:
        found = [None if each == "status" else each for each in found]
    if "first_name" not in found:
        likely = [n for looks in _PERSON for n, each in enumerate(titles) if found[n] is None and looks.search(each)]
        for n in [*likely, *(n for n, each in enumerate(found) if each == "last_name")][:1]:
            found[n] = "first_name"
    return found


def _add_phones(titles: list[str], found: list[str | None]) -> None:
    """Mark the columns that look like phones: the person's own, or else whatever there is."""
    free = [n for n, each in enumerate(found) if each is None]
    phones = [n for n in free if _PHONE.search(titles[n]) and not _NO_PHONE.search(titles[n])]
    own = [n for n in phones if not _ANOTHERS.search(titles[n])]
    if "phone" not in found and not own:
        own = phones[:1] or [n for n in free if _NUMBER.search(titles[n])][:1]
    if "phone" in found or own:
        own = [*own, *(n for n in free if titles[n] in _IPHONES)]
    for n in own:
        found[n] = "phone"


def order(header: Sequence[Any]) -> list[int]:
    """The places of a header's columns as they are to be asked: mobile phones and given names before others."""

    def rank(n: int) -> int:
        title = plain(_SPARE.sub(" ", header[n])) if found[n] == "first_name" else plain(header[n])
        if found[n] == "phone":
            return 0 if _MOBILE.search(title) else 2 - (field(header[n]) == "phone")
        return int(found[n] == "first_name" and title not in _GIVEN)

    found = fields(header)
    return sorted(range(len(header)), key=rank)


def find(rows: Sequence[list[Any]]) -> tuple[int, list[Any]] | None:
    """Where the header is among a sheet's first rows, and its cells; None when no row has a phone column.

    It is the row below which there are the most people, or that has the most fields, the earliest of several. Of a
    header in two rows the upper one fills the lower.
    """
    found = _candidates(rows)
    if not found:
        return None
    place = max(found, key=lambda n: (found[n][0].people, found[n][0].known, -n))
    return place, found[place][1]


def score(rows: Sequence[list[Any]]) -> Score:
    """How well rows make a list under the best header among them."""
    return max((each for each, _ in _candidates(rows).values()), default=Score())


def _candidates(rows: Sequence[list[Any]]) -> dict[int, tuple[Score, list[Any]]]:
    """The rows that may be the header, by place: what they would make of those below, and their cells."""
    found = {}
    for place, (row, above) in enumerate(zip(rows[:SEARCHED], [[], *rows], strict=False)):
        header = _filled(row, above)
        held = fields(header)
        if "phone" in held:
            below = rows[place + 1 :]
            fitting = sum(len(each) == len(row) for each in below)
            found[place] = Score(_people(held, below), fitting, len({*held} - {None})), header
    return found


def _people(held: list[str | None], rows: Sequence[list[Any]]) -> int:
    """Rows with something like a name and something like a phone in the columns of these."""

    def has(field: str, looks: Callable[[Any], bool], row: list[Any]) -> bool:
        return any(looks(cell) for cell, each in zip(row, held, strict=False) if each == field)

    return sum(has("phone", _is_like_phone, row) and has("first_name", _is_like_name, row) for row in rows)


def _is_like_phone(cell: Any) -> bool:
    if isinstance(cell, str):
        return 7 <= sum(map(str.isdigit, cell)) <= 40 and not _DATE.match(cell) and len(_LETTERS.findall(cell)) < 4
    return isinstance(cell, int | float) and 1e6 <= cell < 1e14


def _is_like_name(cell: Any) -> bool:
    return isinstance(cell, str) and _LETTERS.search(cell) is not None


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
