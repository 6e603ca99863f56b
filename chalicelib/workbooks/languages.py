"""What people read in an import's workbooks, in their language: Uzbek, Russian or English."""

from __future__ import annotations

import re
from enum import StrEnum


class Language(StrEnum):
    """The language of an import's reports."""

    EN = "en"
    UZ = "uz"
    RU = "ru"


def of(accept_language: str) -> Language:
    """The language an Accept-Language header (RFC 9110 §12.5.4) prefers; English when it names none of ours."""
    wanted = []
    for n, each in enumerate(accept_language.lower().split(",")):
        tag, _, parameters = each.partition(";")
        weight = re.search(r"q\s*=\s*([01](?:\.\d*)?)", parameters)
        wanted.append((-float(weight[1]) if weight else -1.0, n, tag.strip().partition("-")[0]))
    known = [tag for weight, _, tag in sorted(wanted) if weight and tag in set(Language)]
    return Language(known[0]) if known else Language.EN


def reason(message: str, language: Language) -> str:
    """Why a row was rejected, in a language."""
    for pattern, uz, ru in _REASONS:
        found = re.fullmatch(pattern, message)
        if found and language is not Language.EN:
            return (uz if language is Language.UZ else ru).format(*found.groups())
    return message


_REASONS = [
    ("required", "to'ldirilishi shart", "обязательное поле"),
    (
        r"expected a phone number such as (\S+)",
        "telefon raqami kutilgan, masalan {}",
        "ожидался номер телефона, например {}",
    ),
    (
        r"there is no such phone number; expected one such as (\S+)",
        "bunday telefon raqami yo'q; masalan {} kutilgan",
        "такого номера телефона нет; ожидался, например, {}",
    ),
    (
        r"digits were lost: .*",
        "raqamlar yo'qolgan: ustunni matn formatiga o'tkazib, raqamni qayta yozing",
        "цифры потеряны: задайте столбцу текстовый формат и введите номер заново",
    ),
    (
        r"expected a date such as (\S+) or (\S+)",
        "sana kutilgan, masalan {} yoki {}",
        "ожидалась дата, например {} или {}",
    ),
    (
        r"expected an IANA time zone such as (\S+)",
        "IANA vaqt mintaqasi kutilgan, masalan {}",
        "ожидался часовой пояс IANA, например {}",
    ),
    (
        r"expected a JSON object such as (.+)",
        "JSON obyekti kutilgan, masalan {}",
        "ожидался объект JSON, например {}",
    ),
    (r"expected one of (.+)", "quyidagilardan biri kutilgan: {}", "ожидалось одно из: {}"),
    (r"at most (\d+) characters", "ko'pi bilan {} ta belgi", "не более {} символов"),
    (r"at most (\d+) KB", "ko'pi bilan {} KB", "не более {} КБ"),
]
"""What the readers of cells and phones say, as patterns, in Uzbek and Russian."""

COLUMN_NOTES: dict[str, tuple[str, str, str]] = {
    "firstName": (
        "Required. At most 100 characters.",
        "To'ldirilishi shart. Ko'pi bilan 100 ta belgi.",
        "Обязательно. Не более 100 символов.",
    ),
    "lastName": ("At most 100 characters.", "Ko'pi bilan 100 ta belgi.", "Не более 100 символов."),
    "phone": (
        "Required. Text, for example +998901234567 or 90 123-45-67.",
        "To'ldirilishi shart. Matn, masalan +998901234567 yoki 90 123-45-67.",
        "Обязательно. Текст, например +998901234567 или 90 123-45-67.",
    ),
    "dateOfBirth": (
        "A date, for example 1985-03-15 or 15.03.1985.",
        "Sana, masalan 1985-03-15 yoki 15.03.1985.",
        "Дата, например 1985-03-15 или 15.03.1985.",
    ),
    "customData": (
        "A JSON object. Any further column of your own is kept under its name as well.",
        "JSON obyekti. O'zingiz qo'shgan har qanday boshqa ustun ham o'z nomi bilan saqlanadi.",
        "Объект JSON. Любой ваш дополнительный столбец тоже сохраняется под своим именем.",
    ),
    "notes": ("At most 10,000 characters.", "Ko'pi bilan 10 000 ta belgi.", "Не более 10 000 символов."),
}
"""Of each column of the template: in English, Uzbek, Russian."""

SHEETS = {
    Language.EN: ("Contacts", "Examples"),
    Language.UZ: ("Kontaktlar", "Misollar"),
    Language.RU: ("Контакты", "Примеры"),
}
"""The template's sheets: the list to be filled in, and examples."""


def note(column: str, language: Language) -> str:
    """What belongs into a column of the template."""
    en, uz, ru = COLUMN_NOTES[column]
    return {Language.EN: en, Language.UZ: uz, Language.RU: ru}[language]
