"""Lists as people and programs write them as text: what becomes of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chalicelib.contacts.bulk_phones import normalizer
from chalicelib.imports import people
from chalicelib.imports.people import Person, Rejected
from chalicelib.workbooks import encodings, reader, refusals
from chalicelib.workbooks.reader import Unreadable


def read(place: Path, content: bytes | str, encoding: str = "utf-8") -> list[Person | Rejected]:
    """What becomes of the rows of a file."""
    (place / "file").write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return list(people.people(reader.rows(place / "file"), normalizer("UZ")))


def one(place: Path, content: bytes | str, encoding: str = "utf-8") -> Person:
    """The one person of a file."""
    (found,) = read(place, content, encoding)
    assert isinstance(found, Person), found
    return found


def why(place: Path, content: bytes | str, encoding: str = "utf-8") -> str:
    with pytest.raises(Unreadable) as refused:
        read(place, content, encoding)
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "Фамилия, имя, отчество;Телефон;Долг\nAli;901234567;5\n",
        "Familiyasi, ismi, sharifi;Telefon;Qarz\nAli;901234567;5\n",
        "Name, surname;Phone;Notes, remarks\nAli;901234567;x\n",
        "Ism, familiya\tTelefon, mobil\tQarz, so'm\nAli\t901234567\t1,5\n",
        "Telefon, mobil; F.I.Sh., to'liq; Manzil, ko'cha\n901234567;Ali; Chilonzor, 5\n",
        "Name|Phone|Amount, USD\nAli|901234567|1,000\n",
        "sep=|\nName|Phone\nAli|901234567\n",
        '"sep=;"\r\nName;Phone\r\nAli;901234567\r\n',
        "\ufeffsep=\t\nName\tPhone\nAli\t901234567\n",
        '"Ism,Telefon,Izoh"\n"Ali,901234567,""x"""\n',
        '"Имя;Телефон";;\n"Ali;901234567";;\n',
        "Ism;Telefon\rAli;901234567\r",
        "ООО «Ромашка», список\nТелефон: 712000000, доб. 5\n№;Фамилия, имя;Тел.\n1;Ali;901234567\n",
        "Ism;Telefon\nAli;901234567\n\x1a",
        "Ism;Telefon\nAli;901234567\x1a",
    ],
)
def test_delimiter_and_header_are_those_that_make_people(tmp_path: Path, text: str) -> None:
    person = one(tmp_path, text)
    assert (person.phone, person.fields["first_name"]) == ("+998901234567", "Ali")


def test_line_that_names_the_delimiter_is_no_row(tmp_path: Path) -> None:
    assert one(tmp_path, "sep=;\nName;Phone\nAli;901234567\n").row == 2


def test_long_cell_costs_its_row(tmp_path: Path) -> None:
    long, good = read(tmp_path, f"Ism;Telefon;Izoh\nAli;901234567;{'y' * 140_000}\nVali;901234568;z\n")
    assert isinstance(long, Rejected)
    assert long.error.message == "at most 10000 characters"
    assert isinstance(good, Person)


RUSSIAN = "Имя;Телефон\nОльга Петрова;901234567\nПётр Щербаков;931234567\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(
            (RUSSIAN, name)
            for name in ("cp1251", "cp866", "koi8-r", "mac-cyrillic", "utf-16-le", "utf-16-be", "utf-32")
        ),
        *(
            (RUSSIAN.replace("Имя;Телефон", "Name;Phone"), name)
            for name in ("cp1251", "cp866", "koi8-r", "mac-cyrillic", "utf-16-le")
        ),
        ("Name;Phone\nАННА ПЕТРОВА;901234567\n", "cp866"),
        ("Исми;Телефон\nЎткир Йўлдошев;901234567\n", "cp1251"),
        ("Name;Phone\nŞükrü Yıldız;901234567\n", "cp1254"),
        ("Name;Phone\nJosé;901234567\nMüller;931234567\nFrançois;941234567\n", "cp1252"),
        ("Ism;Telefon\nO‘tkir Yo’ldoshev;901234567\n", "cp1252"),
        ("Name;Phone\nАнна;901234567\n", "cp1251"),
    ],
)
def test_encoding_is_told_by_words(tmp_path: Path, text: str, encoding: str) -> None:
    names = [line.partition(";")[0] for line in text.splitlines()[1:]]
    found = [each.fields["first_name"] for each in read(tmp_path, text, encoding) if isinstance(each, Person)]
    assert found == names


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        ("王小明\n李娜", "gbk"),
        ("Γιώργος\nΜαρία", "cp1253"),
        ("Łukasz\nMałgorzata", "cp1250"),
        ("محمد\nفاطمة", "cp1256"),
    ],
)
def test_names_of_an_encoding_nobody_knows_are_not_stored(tmp_path: Path, names: str, encoding: str) -> None:
    rows = "".join(f"{name};90123456{n}\n" for n, name in enumerate(names.split()))
    assert why(tmp_path, f"Name;Phone\n{rows}", encoding) == refusals.ENCODING


def test_encoding_of_one_short_name_is_not_guessed() -> None:
    with pytest.raises(refusals.Refused):
        encodings.by_words(["цой".encode("cp1251")])


def test_name_that_lost_letters_is_rejected(tmp_path: Path) -> None:
    content = "Имя;Телефон\nАнна;901234567\n".encode() + "Пётр;931234567\n".encode("cp1251")
    good, bad = read(tmp_path, content)
    assert isinstance(good, Person)
    assert isinstance(bad, Rejected)
    assert bad.error.field == "firstName"


GOOGLE = (
    "First Name,Middle Name,Last Name,Phonetic First Name,File As,Organization Name,Birthday,Notes,Labels,"
    "E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\n"
    "Ali,,Valiyev,,,,--03-15,,* myContacts,,,Work,71 200 00 00 ::: 71 200 00 01,Mobile,12\n"
)
OLD_GOOGLE = (
    "Name,Given Name,Family Name,Yomi Name,Birthday,Notes,Group Membership,Phone 1 - Type,Phone 1 - Value\n"
    "Ali Valiyev,Ali,Valiyev,,,,* myContacts,Work,712000000\n"
)
OUTLOOK = (
    "Title,First Name,Last Name,Company,Assistant's Phone,Business Fax,Business Phone,Company Main Phone,Home Phone,"
    "Mobile Phone,Pager,Birthday,Anniversary\n,Ali,Valiyev,,901111111,902222222,712000000,,,,,0/0/00,0/0/00\n"
)
OUTLOOK_RU = (
    "Обращение,Имя,Отчество,Фамилия,Телефон помощника,Рабочий факс,Рабочий телефон,Домашний телефон,Телефон переносной,"
    "День рождения\n,Ali,,Valiyev,901111111,902222222,712000001,,712000000,0.0.00\n"
)
BITRIX = (
    "ID;Имя;Отчество;Фамилия;Дата рождения;Компания;Ответственный;Рабочий телефон;Мобильный телефон;Номер факса\n"
    '7;Ali;;Valiyev;15.03.1985;ООО;M;712000001;"+998712000000, +998712000002";902222222\n'
)
BITRIX_LEADS = 'ID;"Название лида";Имя;Фамилия;Мобильный телефон;Статус\n7;Заявка;Ali;Valiyev;712000000;Новый\n'
AMOCRM = (
    '"ID","Тип","Имя контакта","Имя","Фамилия","Рабочий телефон (контакт)","Мобильный телефон (контакт)"\n'
    '"1","контакт","Ali Valiyev","Ali","Valiyev","\'+998712000000",""\n'
)
IPHONE = "First name,Last name,Mobile,iPhone,Home,Birthday\nAli,Valiyev,,+998712000000,,1604-03-15\n"


@pytest.mark.parametrize("text", [GOOGLE, OLD_GOOGLE, OUTLOOK, OUTLOOK_RU, BITRIX, BITRIX_LEADS, AMOCRM, IPHONE])
def test_exports_of_address_books_are_recognized_whole(tmp_path: Path, text: str) -> None:
    person = one(tmp_path, text)
    assert person.phone == "+998712000000"
    assert (person.fields["first_name"], person.fields["last_name"]) == ("Ali", "Valiyev")


def card(*lines: str, version: str = "3.0") -> str:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (card("N:Валиев;Али;;;", "FN:Али Валиев", "TEL;TYPE=CELL:901234567"), {"last_name": "Валиев"}),
        (card("FN:Али", "item1.TEL;type=pref:+998 90\r\n  123-45-67", "item1.X-ABLabel:дом"), {}),
        (
            card(
                "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=92=D0=B0=D0=BB=D0=B8;=D0=90=D0=BB=\r\n=D0=B8",
                "TEL;WORK:712000000",
                "TEL;CELL;PREF:901234567",
                version="2.1",
            ),
            {"last_name": "Вали"},
        ),
        (
            card("FN:Али", 'TEL;VALUE=uri;TYPE="voice,cell":tel:+998-90-123-45-67', "BDAY:19850315", version="4.0"),
            {"date_of_birth": "1985-03-15"},
        ),
        (
            card("FN:Али", "TEL:901234567", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-15", "NOTE:a\\, b\\nc"),
            {"notes": "a, b\nc"},
        ),
        (card("FN:Али", "TEL:901234567", "AGENT:", card("FN:Other", "TEL:931234567").strip()), {}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_vcards(tmp_path: Path, text: str, fields: dict[str, Any], encoding: str) -> None:
    person = one(tmp_path, text, encoding)
    assert (person.row, person.phone, person.fields["first_name"]) == (1, "+998901234567", "Али")
    assert person.fields | fields == person.fields


def test_other_phones_of_a_vcard_are_kept_and_a_card_without_one_is_rejected(tmp_path: Path) -> None:
    text = card("FN:A", "TEL;HOME:712000000", "TEL;CELL:901234567", "TEL;FAX:712000009", "ORG:OOO;Bo'lim")
    both, none = read(tmp_path, text + card("FN:B"))
    assert isinstance(both, Person)
    assert both.fields["custom_data"] == {"Phone 2": "712000000", "Organization": "OOO, Bo'lim"}
    assert isinstance(none, Rejected)
    assert (none.error.row, none.error.field) == (2, "phone")
