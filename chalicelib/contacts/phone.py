"""Phone numbers: people write them in many ways, rows keep E.164."""

import functools
import hmac
import re
from collections.abc import Sequence

from chalicelib.errors import FieldError

EXPECTED = "expected a phone number such as +998901234567"

SECOND_NUMBER = 7
"""Digits of an extension that is none, but another number."""

PHONES_KEPT = 10_000
"""Phones of which it is remembered where they are: finding the time zones of an American number takes 0.4 ms."""

COSTLY = "premium-rate and satellite numbers are not called"
NO_COUNTRY, FREEPHONE = "001", 800
"""What libphonenumber calls the country of a number that is of none: satellites (870, 881, 882, 883), premium rate
(979), shared cost (808) and others, and international freephone, which costs nothing."""

LONGEST_WITHOUT_PLUS = 13
"""Digits of a number whose plus was lost. One more, and it is as likely a PINFL or another id of 14 digits."""

_OLD_PREFIXES = {
    "UZ": (re.compile(r"8[\s()~-]*10(?=\D*[1-9])|8(?=\D*998(?:\D*\d){9}$)"), re.compile(r"8(?=(?:\D*\d){9}$)"))
}
"""What people still dial before international and before national numbers, though their region has given it up."""

_DIGITS = re.compile(r"\d(?:.*\d)?", re.DOTALL)
"""From the first digit to the last."""

_LETTER = re.compile(r"[^\W\d_]")
_GROUPS = re.compile(r"[\d\s.()~‐-―-]+")
_LISTED = re.compile(r"[,;][\W\d]*$")


def normalize(text: str, region: str, countries: Sequence[str] | None = None, *, field: str = "phone") -> str:
    """The E.164 form of a phone as people write it; `region` (ISO 3166) is assumed where no country code is given.

    A remark without digits behind it is ignored. Raises FieldError for text that is no phone number or cannot be one
    (libphonenumber's validity), where it is not clear which of its digits are the number, and for one that is
    `uncallable`.
    """
    phone = _e164(text, region, field)
    if said := uncallable(phone, countries):
        raise FieldError(field, said)
    return phone


def uncallable(phone: str, countries: Sequence[str] | None) -> str | None:
    """Why nobody is called at a phone (E.164), whoever wants it; None where that may be.

    Those are numbers whose calls cost the caller much more than others, by which stolen accounts are turned into money;
    and those of other countries than `countries` (ISO 3166), where they are given.
    """
    country, costly = _about(phone)
    if costly:
        return COSTLY
    if countries is not None and country not in countries:
        return f"only numbers of {', '.join(countries) or 'no country'} are called"
    return None


@functools.lru_cache(maxsize=PHONES_KEPT)
def _about(phone: str) -> tuple[str, bool]:
    """The country (ISO 3166) of a phone, `001` for one of none, and whether its calls are costly."""
    import phonenumbers

    number = phonenumbers.parse(phone)
    premium = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.PREMIUM_RATE
    country = phonenumbers.region_code_for_number(number) or NO_COUNTRY
    return country, premium or (country == NO_COUNTRY and number.country_code != FREEPHONE)


def _e164(text: str, region: str, field: str) -> str:
    import phonenumbers

    written = _DIGITS.search(text)
    core = written[0] if written else ""
    if written and _LETTER.search(text, written.end()):
        text = text[: written.end()]
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise FieldError(field, EXPECTED) from None
    extension = number.extension or ""
    if _LISTED.search(core) or len(extension) >= SECOND_NUMBER or (_LETTER.search(core) and not extension):
        raise FieldError(field, EXPECTED)
    if not phonenumbers.is_valid_number(number):
        international = None if text.lstrip().startswith("+") else _otherwise(core, region)
        if international is None:
            raise FieldError(field, "there is no such phone number; expected one such as +998901234567")
        return international
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _otherwise(core: str, region: str) -> str | None:
    """`8 90 123-45-67` and `8-10-998 …` read without their old prefix; others as if their plus was lost.

    `93 771-23-45/67` and `93 771-23-45 (67)` are none: their last digits are those of another number.
    """
    if not _GROUPS.fullmatch(core) or core.rfind("(") > core.rfind(")"):
        return None
    abroad, at_home = _OLD_PREFIXES.get(region, (None, None))
    if abroad and abroad.match(core):
        return _valid("+" + abroad.sub("", core, count=1), region)
    if at_home and at_home.match(core):
        return _valid(at_home.sub("", core, count=1), region)
    digits = "".join(filter(str.isdigit, core))
    if len(digits) < 11 or (len(digits) > LONGEST_WITHOUT_PLUS and not digits.startswith("00")):
        return None
    return _valid("+" + digits.removeprefix("00"), region)


def _valid(text: str, region: str) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def national(phone: str) -> str:
    """The digits of a phone (E.164) as they are written at home."""
    import phonenumbers

    return phonenumbers.national_significant_number(phonenumbers.parse(phone))


def digest(phone: str, organization_id: str, key: str) -> str:
    """What a phone of an organization is known by to whom has the key, and by nobody else."""
    return hmac.digest(key.encode(), f"{organization_id}\n{phone}".encode(), "sha256").hex()


def masked(phone: str) -> str:
    """`+99890*****67`: a phone as logs may show it."""
    return phone[:6] + "*" * max(len(phone) - 8, 0) + phone[-2:] if len(phone) > 8 else "*" * len(phone)


@functools.lru_cache(maxsize=PHONES_KEPT)
def zones(phone: str) -> tuple[str, ...]:
    """The IANA time zones a phone (E.164) may be in; none when nobody knows."""
    import phonenumbers
    from phonenumbers import timezone

    number = phonenumbers.parse(phone)
    known = [zone for zone in timezone.time_zones_for_number(number) if zone != timezone.UNKNOWN_TIMEZONE]
    own = _zones_of(phonenumbers.region_code_for_number(number) or "") if len(known) > 1 else None
    return tuple(zone for zone in known if own is None or zone in own) or tuple(known)


@functools.cache
def _zones_of(region: str) -> frozenset[str] | None:
    """The time zones of a region that shares its calling code: a mobile of Kazakhstan rings nowhere in Russia.

    None for a region whose prefixes libphonenumber does not tell from the others of its code.
    """
    import phonenumbers
    from phonenumbers.tzdata import TIMEZONE_DATA

    about = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if about is None or about.leading_digits is None:
        return None
    own = re.compile(f"{about.country_code}(?:{about.leading_digits})")
    return frozenset(zone for prefix, zones in TIMEZONE_DATA.items() if own.match(prefix) for zone in zones)
