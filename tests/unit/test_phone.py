"""Phones: as people write them, as rows keep them, as logs show them, and where they ring."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import phonenumbers.tzdata
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.contacts.bulk_phones import normalizer
from chalicelib.contacts.phone import COSTLY, EXPECTED, masked, normalize, uncallable, zones
from chalicelib.errors import FieldError

E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@pytest.mark.parametrize(
    "text",
    [
        "+998901234567",
        "+998 90 123-45-67",
        "+998 (90) 123 45 67",
        "998901234567",
        "998 90 123 45 67",
        "00998901234567",
        "00 998 90 123-45-67",
        "901234567",
        "90 123 45 67",
        "(90) 123-45-67",
        "tel:+998-90-123-45-67",
        " +998901234567 ",
        "٩٠١٢٣٤٥٦٧",
        "Тел.: 90 123-45-67",
        "90 123–45–67",
        "(998) 90 123-45-67",
        "90 123 45 67 (onasi)",
        "90 123 45 67 - onasi.",
        "+998901234567 Ali",
        "90 123-45-67 ext. 12",
        "90 123-45-67 доб. 12",
        "901234567 доб. 12 (бухгалтерия)",
        "90 123-45-67, доб. 12",
        "901234567 x12",
        "901234567#12",
        "tel:901234567;ext=12",
    ],
)
def test_phone_is_read_as_people_write_it(text: str) -> None:
    assert normalize(text, "UZ") == "+998901234567"


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("+7 701 123-45-67", "UZ", "+77011234567"),
        ("8 701 123 45 67", "KZ", "+77011234567"),
        ("030 901820", "DE", "+4930901820"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("79161234567", "UZ", "+79161234567"),
        ("7 (916) 123-45-67", "UZ", "+79161234567"),
        ("00 7 916 123-45-67 (Иван)", "UZ", "+79161234567"),
        ("030/901820", "DE", "+4930901820"),
    ],
)
def test_other_countries(text: str, region: str, phone: str) -> None:
    assert normalize(text, region) == phone


@pytest.mark.parametrize("text", ["", " ", "+", "call me", "12345", "+998", "+998001234567", "²²²²²²²²²²²²", "9" * 300])
def test_what_is_no_phone_is_refused(text: str) -> None:
    with pytest.raises(FieldError) as refused:
        normalize(text, "UZ", field="customer")
    assert refused.value.field == "customer"
    assert "+998901234567" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("93 771-23-45/67", "93 771-23-45 (67)", "93 771-23-45, 67", "93 771-23-45; 67", "93 771-23-45, 67-68"),
        *("94 712-34-56 (57)", "94 712-34-56/57", "+998 93 771-23-45/67", "998 93 771-23-45 (67)"),
        *("93 771-23-45 yoki 67", "90 123 45 67 (onasi) 2", "90 ALI 45 67", "1-800-FLOWERS", "90 123 45 67 uy 5"),
    ],
)
def test_number_that_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(FieldError) as refused:
        normalize(text, "UZ")
    assert "+998901234567" in str(refused.value)


def test_letters_are_no_digits() -> None:
    with pytest.raises(FieldError) as refused:
        normalize("90 123 ALI 67", "UZ")
    assert str(refused.value) == EXPECTED


@given(st.text(max_size=30) | st.text("0123456789+ ()-.", max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_phone_for_good_or_refused(text: str) -> None:
    try:
        phone = normalize(text, "UZ")
    except FieldError:
        return
    assert E164.fullmatch(phone)
    assert normalize(phone, "UZ") == phone
    assert normalize(phone, "DE") == phone


@given(st.from_regex(E164, fullmatch=True))
def test_masked_phone_shows_neither_its_middle_nor_its_length_less(phone: str) -> None:
    shown = masked(phone)
    assert len(shown) == len(phone)
    assert phone not in shown
    assert shown.strip("*+0123456789") == ""
    assert sum(character.isdigit() for character in shown) <= 7


def test_masked_phone_keeps_what_support_needs() -> None:
    assert masked("+998901234567") == "+99890*****67"
    assert masked("+1234567") == "********"


@pytest.mark.parametrize(
    ("phone", "where"),
    [
        ("+998901234567", ("Asia/Tashkent",)),
        ("+996555123456", ("Asia/Bishkek",)),
        ("+4915112345678", ("Europe/Berlin",)),
        ("+14155552671", ("America/Los_Angeles",)),
        ("+77011234567", ("Asia/Almaty", "Asia/Aqtobe")),
        ("+18765551234", ("America/Jamaica",)),
        ("+80012345678", ()),
        ("+56912345678", ()),
    ],
)
def test_where_a_phone_rings(phone: str, where: tuple[str, ...]) -> None:
    assert zones(phone) == where


def test_every_zone_a_phone_may_be_in_is_known() -> None:
    for name in {zone for found in phonenumbers.tzdata.TIMEZONE_DATA.values() for zone in found}:
        ZoneInfo(name)


COSTLY_PHONES = {
    "premium rate of the United States": "+19005551234",
    "premium rate of Latvia": "+37190012345",
    "premium rate of Russia": "+78091234567",
    "premium rate of Britain": "+449012345678",
    "international premium rate": "+979123456789",
    "Inmarsat": "+870773111632",
    "Iridium": "+881612345678",
    "an international network": "+88213300655",
    "another international network": "+883510012345",
    "a universal personal number": "+878101234567890",
}


@pytest.mark.parametrize("kind", COSTLY_PHONES)
def test_number_whose_calls_cost_much_is_refused_however_it_is_written(kind: str) -> None:
    phone = COSTLY_PHONES[kind]
    assert uncallable(phone, None) == COSTLY
    for text in (phone, f"00{phone[1:]}", f"{phone[:4]} {phone[4:7]}-{phone[7:]}"):
        for read in (lambda text: normalize(text, "UZ"), normalizer("UZ"), normalizer("US"), normalizer("LV")):
            with pytest.raises(FieldError) as refused:
                read(text)
            assert str(refused.value) == COSTLY


@pytest.mark.parametrize(("text", "region"), [("900 555 1234", "US"), ("90012345", "LV"), ("809 123-45-67", "RU")])
def test_costly_number_of_the_own_region_is_refused_too(text: str, region: str) -> None:
    for read in (lambda text: normalize(text, region), normalizer(region)):
        with pytest.raises(FieldError, match="premium"):
            read(text)


@pytest.mark.parametrize(
    "phone", ["+998901234567", "+77011234567", "+14155552671", "+442071838750", "+80012345678", "+18005551234"]
)
def test_usual_and_free_numbers_are_called(phone: str) -> None:
    assert uncallable(phone, None) is None
    assert normalize(phone, "UZ") == phone


@pytest.mark.parametrize(
    ("phone", "countries", "said"),
    [
        ("+998901234567", ["KZ", "UZ"], None),
        ("+77011234567", ["KZ", "UZ"], None),
        ("+79161234567", ["KZ", "UZ"], "only numbers of KZ, UZ are called"),
        ("+14165551234", ["US"], "only numbers of US are called"),
        ("+80012345678", ["US"], "only numbers of US are called"),
        ("+998901234567", [], "only numbers of no country are called"),
        ("+19005551234", ["US"], COSTLY),
    ],
)
def test_other_countries_than_the_allowed_ones_are_not_called(
    phone: str, countries: list[str], said: str | None
) -> None:
    assert uncallable(phone, countries) == said


@pytest.mark.parametrize("region", ["UZ", "KZ", "US"])
def test_fast_phones_keep_to_the_countries(region: str) -> None:
    read = normalizer(region, ["KZ"])
    assert read("+77011234567") == "+77011234567"
    for text in ("+998901234567", "90 123-45-67" if region == "UZ" else "+998 90 123-45-67"):
        with pytest.raises(FieldError, match="only numbers of KZ are called"):
            read(text)
