"""What cells say: phones, dates, custom data, headers, in the many ways people write them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import phonenumbers
import pytest

from chalicelib.contacts.bulk_phones import normalizer
from chalicelib.contacts.phone import EXPECTED, normalize
from chalicelib.errors import FieldError, NotFound
from chalicelib.imports import people
from chalicelib.imports.people import Person, Rejected
from chalicelib.workbooks import columns, dates, headers, languages, refusals
from chalicelib.workbooks.dates import Dates
from chalicelib.workbooks.languages import Language


def read(header: list[Any], *rows: list[Any]) -> list[Person | Rejected]:
    return list(people.people(enumerate([header, *rows], 1), normalizer("UZ")))


def a_person(**cells: Any) -> Person:
    (found,) = read(["firstName", "phone", *cells], ["Ali", "901234567", *cells.values()])
    assert isinstance(found, Person), found
    return found


def an_error(**cells: Any) -> Rejected:
    given = {"firstName": "Ali", "phone": "901234567"} | cells
    (found,) = read([*given], [*given.values()])
    assert isinstance(found, Rejected), found
    return found


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("firstName", "first_name"),
        (" FIRSTNAME ", "first_name"),
        ("First_Name", "first_name"),
        ("Ism", "first_name"),
        ("Исм", "first_name"),
        ("Имя", "first_name"),
        ("Familiya", "last_name"),
        ("Фамилия", "last_name"),
        ("Telefon", "phone"),
        ("Телефон:", "phone"),
        ("Номер телефона *", "phone"),
        ("Телефон рақами", "phone"),
        ("dateOfBirth", "date_of_birth"),
        ("Tug'ilgan sana", "date_of_birth"),
        ("Tugʻilgan sana", "date_of_birth"),
        ("Tug‘ilgan  sana", "date_of_birth"),
        ("Туғилган сана", "date_of_birth"),
        ("Дата рождения (дд.мм.гггг)", "date_of_birth"),
        ("customData (JSON string)", "custom_data"),
        ("Izoh", "notes"),
        ("Заметки", "notes"),
        ("Holat", "status"),
        ("Статус", "status"),
        ("Ф.И.О.", "first_name"),
        ("F.I.Sh.", "first_name"),
        ("Ism\nИмя", "first_name"),
        ("Telefon / Phone", "phone"),
        ("Qarz", None),
        ("Qarz/Долг", None),
        ("Otasining ismi", None),
        ("Company name", None),
    ],
)
def test_headers(header: str, field: str | None) -> None:
    assert headers.field(header) == field


@pytest.mark.parametrize(
    "header",
    [
        *("Телефон 1", "Телефон №2", "Phone 1", "phone_2", "Phone1", "Тел. номер", "Номер тел.", "№ телефона"),
        *("Телефоны", "Моб. телефон", "Моб.тел.", "Мобильный", "Мобильный телефон", "Сотовый", "Контактный телефон"),
        *("Контактный номер", "Телефон клиента", "Номер телефона клиента", "Телефон, моб."),
        *("Tel raqam", "Tel. raqami", "Telefon nomeri", "Mobil telefon", "Тел рақам", "Телефон номери"),
        *("Mijozning telefon raqami", "Aloqa raqami"),
        *("Mobile phone", "Mobile number", "Cell phone", "Phone No.", "Contact number", "Customer phone"),
    ],
)
def test_usual_headers_of_a_phone(header: str) -> None:
    assert headers.field(header) == "phone"


@pytest.mark.parametrize(
    "header",
    [
        *("Ism familiya", "Ism va familiya", "Familiya ism", "Ism sharifi", "Исм фамилия", "F. I. Sh.", "Mijoz ismi"),
        *("Familiyasi, ismi, sharifi", "Ф. И. О.", "ФИО клиента", "Фамилия Имя Отчество", "Фамилия, имя, отчество"),
        *("Имя Фамилия", "Имя/Фамилия", "Customer name", "Client's full name"),
    ],
)
def test_usual_headers_of_a_name(header: str) -> None:
    assert headers.field(header) == "first_name"


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["Контрагент", "Номер"], ["first_name", "phone"]),
        (["Наименование", "Тел."], ["first_name", "phone"]),
        (["Заемщик", "WhatsApp Number"], ["first_name", "phone"]),
        (["Mijoz nomi", "Nomer"], ["first_name", "phone"]),
        (["Фамилия", "Телефон"], ["first_name", "phone"]),
        (["Название компании", "Телефон"], ["first_name", "phone"]),
        (["Номер", "Фамилия", "Имя", "Телефон"], [None, "last_name", "first_name", "phone"]),
        (["Name", "Phonetic Name", "Phone 1 - Label", "Phone 1 - Value"], ["first_name", None, None, "phone"]),
        (["Mijoz", "Raqam"], ["first_name", "phone"]),
        (["Клиент", "Рабочий тел.", "Домашний тел."], ["first_name", "phone", "phone"]),
        (["№", "customerPhone", "Customer"], [None, "phone", "first_name"]),
        (["Клиент", "ФИО", "Рабочий тел.", "Телефон"], [None, "first_name", "phone", "phone"]),
        (["Telegram", "Hotel", "iPhone", "Avtomobil"], [None] * 4),
        ([5, "phone"], [None, "phone"]),
    ],
)
def test_likely_headers_count_where_no_column_has_a_fields_name(header: list[Any], fields: list[str | None]) -> None:
    assert headers.fields(header) == fields


@pytest.mark.parametrize(
    ("rows", "place", "header"),
    [
        ([["Телефон:", "+998712000000", ""], ["Ф.И.О.", "Телефон", ""]], 1, ["Ф.И.О.", "Телефон", ""]),
        ([["Tel:", 712000000], ["", "Ism", "Telefon"]], 1, ["", "Ism", "Telefon"]),
        ([["Директор:", "Каримов"], ["№", "", "ФИО", "Тел."]], 1, ["№", "", "ФИО", "Тел."]),
        ([["Ism", "Telefon", ""], ["Name", "Phone", ""]], 0, ["Ism", "Telefon", ""]),
        (
            [["№", "Ф.И.О.", "Контакты", "", "Долг"], ["", "", "Телефон", "Адрес", ""], [1, "Ali", "901234567", "", 5]],
            1,
            ["№", "Ф.И.О.", "Телефон", "Адрес", "Долг"],
        ),
        ([["Ism", "Telefon", "Izoh"], ["Ali", "", ""], ["", "901234567", ""]], 0, ["Ism", "Telefon", "Izoh"]),
    ],
)
def test_header_is_the_row_with_the_most_fields(rows: list[list[Any]], place: int, header: list[Any]) -> None:
    assert headers.find(rows) == (place, header)


@pytest.mark.parametrize("rows", [[], [[]], [["Ism", "Familiya"], ["Ali", "Valiyev"]]])
def test_without_a_phone_column_there_is_no_header(rows: list[list[Any]]) -> None:
    assert headers.find(rows) is None


@pytest.mark.parametrize(
    "cell",
    [
        "+998901234567",
        "998901234567",
        "901234567",
        "90 123-45-67",
        "(90) 123 45 67",
        "+998 (90) 123-45-67",
        "00998901234567",
        998901234567,
        998901234567.0,
        901234567.0,
        "9.98901234567E+11",
        "9,98901234567E+11",
        "998901234567.0",
        "'+998901234567",
        "998901234567,00",
        "901234567.00",
        "998 901 234 567,00",
        "998,901,234,567",
        "998.901.234.567,00",
        "901,234,567",
        "8 90 123 45 67",
        "8 (90) 123-45-67",
        "8-10-998-90-123-45-67",
        "810998901234567",
    ],
)
def test_phones(cell: Any) -> None:
    (person,) = read(["firstName", "phone"], ["Ali", cell])
    assert isinstance(person, Person)
    assert person.phone == "+998901234567"


@pytest.mark.parametrize("cell", ["9.98901E+11", "9,98901E+11", "9.98E+11", 9.9890123456712e17])
def test_phone_whose_digits_are_lost_is_rejected(cell: Any) -> None:
    assert an_error(phone=cell).error.message == columns.DIGITS_LOST


@pytest.mark.parametrize(
    "cell",
    [
        0.5,
        True,
        "call me",
        "12345",
        "+998001234567",
        "1985-03-15",
        31503851234567.0,
        "30101900123456",
        "8 90 123-45",
        "998901234567,50",
    ],
)
def test_what_is_no_phone_is_rejected(cell: Any) -> None:
    assert an_error(phone=cell).error.field == "phone"


def outcome(function: Any, *given: str) -> str:
    try:
        return str(function(*given))
    except FieldError as error:
        return f"{type(error).__name__}: {error}"


def numbers_like(region: str, chance: random.Random, count: int) -> Iterator[str]:
    """Texts near a region's own numbers, and far from them."""
    kinds = range(phonenumbers.PhoneNumberType.VOICEMAIL + 1)
    found = filter(None, (phonenumbers.example_number_for_type(region, kind) for kind in kinds))
    known = [phonenumbers.national_significant_number(number) for number in found] or ["901234567"]
    code = str(phonenumbers.country_code_for_region(region))
    for _ in range(count):
        digits = chance.choice(known)[: chance.choice([2, 4, 20])]
        digits += "".join(chance.choices("0123456789", k=max(0, chance.choice([5, 8, 9, 9, 10, 12]) - len(digits))))
        text = chance.choice(["", "", "+", code, code, f"+{code}", f"+{code} ", f"00{code}", "00", "8", "0"]) + digits
        yield f"{text[:4]} {text[4:6]}-{text[6:]}" if chance.random() < 0.2 else text


def test_fast_phones_agree_with_the_library_in_every_region() -> None:
    chance = random.Random(7)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        fast = normalizer(region)
        for text in numbers_like(region, chance, 40 if region != "UZ" else 2_000):
            assert outcome(fast, text) == outcome(normalize, text, region), (region, text)


def test_number_that_begins_as_the_calling_code_is_whole_where_it_can_be() -> None:
    assert normalizer("PL")("486119650") == "+48486119650"


@pytest.mark.parametrize(
    "cell",
    [
        "1985-03-15",
        "15.03.1985",
        "15/03/1985",
        "15-03-1985",
        "1985-03-15T00:00:00",
        "1985-03-15 00:00:00",
        "1985-03-15T00:00:00.000",
        "1985-03-15 0:00:00",
        "15.03.1985 0:00:00",
        "15.03.1985 00:00:00",
        "15.03.1985 0:00",
        "15.03.1985 г.",
        "15.03.1985г",
        "15.03.1985 й.",
        "1985/03/15",
        "1985.03.15",
        "1985-3-15",
        "'15.03.1985",
        31121,
        31121.0,
    ],
)
def test_dates(cell: Any) -> None:
    assert a_person(dateOfBirth=cell).fields["date_of_birth"] == "1985-03-15"


@pytest.mark.parametrize(
    "cell", ["31.02.1990", "1985", 1985, "yesterday", "15.13.1985", "15.03.85", "15.03.1985-16.03.1985", True]
)
def test_what_is_no_date_is_rejected(cell: Any) -> None:
    assert an_error(dateOfBirth=cell).error.message == dates.EXPECTED


@pytest.mark.parametrize("cell", ["0/0/00", "00.00.0000", "0000-00-00", "--03-15", "--0315", "-", 0.0, "1899-12-30"])
def test_what_stands_for_no_date_is_none(cell: Any) -> None:
    assert "date_of_birth" not in a_person(dateOfBirth=cell).fields


def born(*cells: str, **order: Any) -> tuple[list[Any], Dates]:
    """Dates of birth as they are read, and what reads them."""
    dates = Dates(**order)
    rows = [["Name", "Phone", "Birthday"], *(["Ali", "901234567", cell] for cell in cells)]
    found = list(people.people(enumerate(rows, 1), normalizer("UZ"), dates))
    return [each.fields["date_of_birth"] if isinstance(each, Person) else None for each in found], dates


def test_rows_of_no_doubt_tell_the_order_of_a_columns_dates() -> None:
    _, months = born("3/4/1985", "3/15/1985")
    assert (months.month_first, months.misread, months.doubt) == (True, True, None)
    assert born("3/4/1985", "3/15/1985", month_first=True)[0] == ["1985-03-04", "1985-03-15"]
    _, days = born("03.04.1985", "15.03.1985")
    assert (days.month_first, days.misread, days.doubt) == (False, False, None)


@pytest.mark.parametrize(
    ("cells", "american", "read_as", "doubt"),
    [
        (["3/4/1985"], False, ["1985-04-03"], dates.DAY_FIRST),
        (["3/4/1985"], True, ["1985-03-04"], dates.MONTH_FIRST),
        (["03.04.1985"], True, ["1985-04-03"], dates.DAY_FIRST),
        (["3/4/1985", "3/15/1985", "15/3/1985"], False, ["1985-04-03", "1985-03-15", "1985-03-15"], dates.DAY_FIRST),
        (["3/3/1985", "1985-03-15"], True, ["1985-03-03", "1985-03-15"], None),
        (["3/15/1985", "15/3/1985"], False, ["1985-03-15", "1985-03-15"], None),
    ],
)
def test_doubtful_dates_follow_the_language_and_are_told(
    cells: list[str], american: bool, read_as: list[str], doubt: str | None
) -> None:
    found, order = born(*cells, american=american)
    assert (found, order.doubt, order.misread) == (read_as, doubt, False)


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        (["ACTIVE", "active", "Faol", "Фаол", "Активный", "активна"], "ACTIVE"),
        (["Inactive", "Nofaol", "Faol emas", "Нофаол", "Неактивный", "Не активен", "(не)активный"], "INACTIVE"),
        (["Completed", "Yakunlangan", "Якунланган", "Завершён", "завершен"], "COMPLETED"),
        (["DO_NOT_CALL", "Do not call", "Qoʻngʻiroq qilinmasin", "Қўнғироқ қилинмасин", "Не звонить!"], "DO_NOT_CALL"),
    ],
)
def test_statuses(cells: list[str], status: str) -> None:
    assert {a_person(status=cell).fields["status"] for cell in cells} == {status}


@pytest.mark.parametrize("cell", ["звонить", "ACTIVE 2", "new", "Не звонить до 15.12", "-", 1.0])
def test_unknown_status_is_rejected(cell: Any) -> None:
    assert an_error(status=cell).error.message == "expected one of ACTIVE, INACTIVE, COMPLETED, DO_NOT_CALL"


@pytest.mark.parametrize("cell", ["{", "[1]", "5", "NaN", '{"a": NaN}', "[" * 100_000, '{"a":' * 50_000])
def test_what_is_no_json_object_is_rejected(cell: str) -> None:
    assert an_error(customData=cell).error.message == columns.OBJECT_EXPECTED


def test_custom_data_larger_than_a_contact_may_have_is_rejected() -> None:
    assert an_error(branch="x" * 17_000).error.message == columns.OBJECT_LIMIT


def test_long_name_is_rejected() -> None:
    assert an_error(firstName="x" * 101).error.message == "at most 100 characters"


def test_own_columns_keep_numbers_and_give_way_to_the_json_column() -> None:
    person = a_person(
        debt=5420.5, branch=5.0, paid=True, since="2026-01-15T00:00:00", customData='{"branch": "Buxoro"}'
    )
    assert person.fields["custom_data"] == {"debt": 5420.5, "branch": "Buxoro", "paid": True, "since": "2026-01-15"}


def test_of_several_phones_the_mobile_one_counts_and_none_is_lost() -> None:
    header = ["Ism", "Telefon", "Mobile", "Qarz", "Qarz"]
    both, one = read(header, ["Ali", "901234567", 931234567, 1, 2], ["Vali", "901234568", "", "", 3])
    assert isinstance(both, Person)
    assert (both.phone, both.fields["custom_data"]) == (
        "+998931234567",
        {"Telefon": "901234567", "Qarz": 1, "Qarz 2": 2},
    )
    assert isinstance(one, Person)
    assert (one.phone, one.fields["custom_data"]) == ("+998901234568", {"Qarz 2": 3})


@pytest.mark.parametrize(
    ("header", "cells", "phone", "others"),
    [
        (["Ism", "Telefon", "Ish telefoni"], ["Ali", "yo'q", "712000000"], "+998712000000", {"Telefon": "yo'q"}),
        (["Имя", "Рабочий телефон", "Сотовый"], ["Али", "901234567", "12"], "+998901234567", {"Сотовый": "12"}),
        (["Name", "Home Phone", "Phone"], ["Ali", "712000000", ""], "+998712000000", {}),
        (["Name", "Phone", "Phone 1 - Type"], ["Ali", "901234567", "931234567"], "+998901234567", None),
        (["Name", "Home Fax", "Phone"], ["Ali", "712000000", "901234567"], "+998901234567", None),
        (["Имя", "Телефон поручителя", "Тел."], ["Али", "901234567", "931234567"], "+998931234567", None),
    ],
)
def test_first_column_that_has_a_phone_is_dialed(
    header: list[Any], cells: list[Any], phone: str, others: dict[str, Any] | None
) -> None:
    (person,) = read(header, cells)
    assert isinstance(person, Person), person
    assert person.phone == phone
    assert others is None or person.fields.get("custom_data", {}) == others


def test_phones_of_others_are_not_dialed_in_place_of_a_persons_own() -> None:
    (rejected,) = read(["Имя", "Телефон", "Телефон поручителя"], ["Али", "", "901234567"])
    assert isinstance(rejected, Rejected)
    (only,) = read(["Имя", "Телефон поручителя"], ["Али", "901234567"])
    assert isinstance(only, Person)


@pytest.mark.parametrize("cell", ["901234567, 931234567", "901234567; 931234567", "901234567 ::: +998931234567"])
def test_first_of_several_whole_phones_in_a_cell_is_dialed_and_the_cell_kept(cell: str) -> None:
    (person,) = read(["Ism", "phone"], ["Ali", cell])
    assert isinstance(person, Person)
    assert (person.phone, person.fields["custom_data"]) == ("+998901234567", {"phone": cell})


@pytest.mark.parametrize("cell", ["901234567/931234567", "93 771-23-45, 46"])
def test_phones_that_are_not_whole_are_refused(cell: str) -> None:
    assert an_error(phone=cell).error.field == "phone"


def test_numbered_phones_are_kept_under_their_headers() -> None:
    (person,) = read(["Ism familiya", "Телефон 1", "Телефон 2"], ["Ali Valiyev", "901234567", "931234567"])
    assert isinstance(person, Person)
    assert (person.phone, person.fields["custom_data"]) == ("+998901234567", {"Телефон 2": "931234567"})


def test_blank_cells_say_nothing() -> None:
    assert a_person(lastName="  ", notes="").fields == {"first_name": "Ali"}


def test_own_column_of_reasons_is_data() -> None:
    assert a_person(Reason="moved").fields["custom_data"] == {"Reason": "moved"}


def test_columns_without_a_header_are_called_as_the_spreadsheet_calls_them() -> None:
    header = ["Ism", "Telefon", "", "Column F", ""]
    row = ["Ali", "901234567", 931234567, "", "", "x", *[""] * 20, "y"]
    person, without = read(header, row, ["Vali", "901234568", "", "", "", ""])
    assert isinstance(person, Person)
    assert person.fields["custom_data"] == {"Column C": 931234567, "Column F 2": "x", "Column AA": "y"}
    assert isinstance(without, Person)
    assert without.fields == {"first_name": "Vali"}


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        (20208000900123456001.0, "2.02080009001235E+19"),
        (1e15, "1E+15"),
        (-1234567890123456.0, "-1.23456789012346E+15"),
        (999999999999999.0, 999999999999999),
        ("20208000900123456001", "20208000900123456001"),
    ],
)
def test_digits_that_excel_has_lost_are_not_invented(cell: Any, kept: Any) -> None:
    person = a_person(account=cell, notes=cell)
    assert person.fields == {"first_name": "Ali", "custom_data": {"account": kept}, "notes": str(kept)}


def test_merging_never_outgrows_a_contact() -> None:
    old, new = {"custom_data": {"a": "x" * 10_000}}, {"custom_data": {"b": "y" * 10_000}}
    assert people.merged(old, new) == new


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("uz", "uz"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("de, uz;q=0.5, en;q=0.7", "en"),
        ("uz;q=0, ru;q=0.1", "ru"),
        ("fr", "en"),
        ("*;q=x,;,", "en"),
    ],
)
def test_language_of_a_report(header: str, language: str) -> None:
    assert languages.of(header) == language


MESSAGES = [
    *("required", EXPECTED, columns.DIGITS_LOST, dates.EXPECTED, columns.OBJECT_EXPECTED),
    *(columns.OBJECT_LIMIT, "at most 100 characters", "expected one of ACTIVE, INACTIVE, COMPLETED, DO_NOT_CALL"),
    *("there is no such phone number; expected one such as +998901234567", dates.DAY_FIRST, dates.MONTH_FIRST),
    *(value for name, value in vars(refusals).items() if name.isupper() and isinstance(value, str)),
    *(refusals.unclosed(5), refusals.too_large(1, 2, 3, 4), refusals.too_slow(180), refusals.too_much(1024)),
    f"Every row was rejected, most for the column phone: {EXPECTED}",
    *("The file was not uploaded within 24 hours.", "The import made no progress for 30 minutes.", str(NotFound())),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_reason_is_told_in_the_three_languages(message: str) -> None:
    told = {languages.reason(message, language) for language in Language}
    assert len(told) == 3
    assert message in told
    assert not any("{" in text and "{" not in message for text in told)
