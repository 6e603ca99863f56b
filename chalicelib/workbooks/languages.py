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
    """Why a row was rejected, a file was not read, or what people are warned of, in a language."""
    for pattern, uz, ru in _REASONS:
        found = re.fullmatch(pattern, message)
        if found and language is not Language.EN:
            parts = [reason(part, language) for part in found.groups()]
            return (uz if language is Language.UZ else ru).format(*parts)
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
        "premium-rate and satellite numbers are not called",
        "pulli (premium) va sun'iy yo'ldosh raqamlariga qo'ng'iroq qilinmaydi",
        "на платные (премиум) и спутниковые номера не звонят",
    ),
    (
        r"only numbers of (.+) are called",
        "faqat quyidagi mamlakatlar raqamlariga qo'ng'iroq qilinadi: {}",
        "звонки разрешены только на номера стран: {}",
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
    (
        "letters were lost: .*",
        "harflar yo'qolgan: faylni .xlsx yoki CSV UTF-8 qilib saqlang",
        "буквы потеряны: сохраните файл как .xlsx или CSV UTF-8",
    ),
    (r"at most (\d+) KB", "ko'pi bilan {} KB", "не более {} КБ"),
    (
        r"the rows do not agree .* (\S+) were read as 3 April",
        "qatorlardan kun yoki oy oldin kelishi aniq emas: {} kabi sanalar 3-aprel deb o'qildi",
        "по строкам не ясно, день или месяц стоит первым: даты вида {} прочитаны как 3 апреля",
    ),
    (
        r"the rows do not agree .* (\S+) were read as 4 March",
        "qatorlardan kun yoki oy oldin kelishi aniq emas: {} kabi sanalar 4-mart deb o'qildi",
        "по строкам не ясно, день или месяц стоит первым: даты вида {} прочитаны как 4 марта",
    ),
    (
        r"Every row was rejected, most for the column (\w+): (.+)",
        "Hamma qatorlar rad etildi, ko'pchiligi {} ustuni sababli: {}",
        "Отклонены все строки, большинство из-за столбца {}: {}",
    ),
    ("The file is empty\\.", "Fayl bo'sh.", "Файл пуст."),
    (
        r"The file is damaged or was not sent completely\.",
        "Fayl shikastlangan yoki to'liq yuborilmagan.",
        "Файл повреждён или отправлен не полностью.",
    ),
    (
        "The file is damaged: its reader gave up.*",
        "Fayl shikastlangan: uni o'qib bo'lmadi. Excel yoki LibreOffice'da ochib, .xlsx qilib saqlang.",
        "Файл повреждён: прочитать его не удалось. Откройте его в Excel или LibreOffice и сохраните как .xlsx.",
    ),
    (
        r"The workbook is protected by a password\.",
        "Fayl parol bilan himoyalangan.",
        "Файл защищён паролем.",
    ),
    (
        r"The file is neither a workbook nor text\.",
        "Fayl jadval ham, matn ham emas.",
        "Файл — не таблица и не текст.",
    ),
    (
        "The file is a web page or XML.*",
        "Fayl veb-sahifa yoki XML, jadval emas: uni Excel'da ochib, .xlsx qilib saqlang.",
        "Файл — веб-страница или XML, а не таблица: откройте его в Excel и сохраните как .xlsx.",
    ),
    (
        "The file is in an old Excel format.*",
        "Fayl Excel'ning eski formatida: uni Excel yoki LibreOffice'da ochib, .xlsx qilib saqlang.",
        "Файл в старом формате Excel: откройте его в Excel или LibreOffice и сохраните как .xlsx.",
    ),
    (
        "The file is a binary workbook.*",
        "Fayl ikkilik jadval (.xlsb): uni Excel'da ochib, .xlsx qilib saqlang.",
        "Файл — двоичная книга (.xlsb): откройте его в Excel и сохраните как .xlsx.",
    ),
    (
        "The file was written by Apple Numbers.*",
        "Fayl Apple Numbers'da yozilgan: uni u yerda Excel (.xlsx) qilib eksport qiling.",
        "Файл создан в Apple Numbers: экспортируйте его там в Excel (.xlsx).",
    ),
    (
        "The file is a PDF.*",
        "Fayl PDF: ro'yxatni jadval (.xlsx) yoki .csv ko'rinishida so'rang.",
        "Файл — PDF: попросите список таблицей (.xlsx) или в .csv.",
    ),
    (
        "The file is a picture.*",
        "Fayl rasm: ro'yxatni jadval (.xlsx) yoki .csv ko'rinishida so'rang.",
        "Файл — изображение: попросите список таблицей (.xlsx) или в .csv.",
    ),
    (
        "The file is a document or a presentation.*",
        "Fayl hujjat yoki taqdimot: ro'yxatni Excel'ga ko'chirib, .xlsx qilib saqlang.",
        "Файл — документ или презентация: перенесите список в Excel и сохраните как .xlsx.",
    ),
    (
        "The file is an archive.*",
        "Fayl arxiv: uni oching va ichidagi jadvalni yuboring.",
        "Файл — архив: распакуйте его и отправьте таблицу из него.",
    ),
    (
        "It is not clear which encoding.*",
        "Fayldagi harflar qaysi kodlashda ekani aniq emas: uni .xlsx yoki CSV UTF-8 qilib saqlang.",
        "Не ясно, в какой кодировке буквы файла: сохраните его как .xlsx или CSV UTF-8.",
    ),
    (
        r"No header with a phone column in the first (\d+) rows .* Номер телефона\. (.+)",
        (
            "Hech bir varaqning dastlabki {} qatorida telefon ustunining sarlavhasi yo'q: phone, Telefon, Tel. raqami,"
            " Телефон yoki Номер телефона kabi sarlavha kutilgan. {}"
        ),
        (
            "В первых {} строках ни одного листа нет заголовка столбца с телефоном: ожидался, например, phone, Telefon,"
            " Tel. raqami, Телефон или Номер телефона. {}"
        ),
    ),
    (
        r"The list has a phone column, but no column of names.* or ФИО\. (.+)",
        (
            "Ro'yxatda telefon ustuni bor, lekin ismlar ustuni yo'q: firstName, Name, Ism, F.I.Sh., Имя yoki ФИО kabi"
            " sarlavha kutilgan. {}"
        ),
        (
            "В списке есть столбец с телефоном, но нет столбца с именами: ожидался, например, firstName, Name, Ism,"
            " F.I.Sh., Имя или ФИО. {}"
        ),
    ),
    (
        r"Columns of a text file are separated by .*",
        "Matnli faylda ustunlar vergul, nuqtali vergul, tabulyatsiya yoki | bilan ajratiladi.",
        "В текстовом файле столбцы разделяются запятой, точкой с запятой, табуляцией или |.",
    ),
    (
        r"Row (\d+): a quotation mark is not closed\.",
        "{}-qator: qo'shtirnoq yopilmagan.",
        "Строка {}: не закрыта кавычка.",
    ),
    (
        r"Unpacked, the workbook has ([\d,]+) MB in ([\d,]+) parts; at most ([\d,]+) MB in ([\d,]+) parts .*",
        "Ochilganda jadval {1} qismda {0} MB; ko'pi bilan {3} qismda {2} MB o'qiladi.",
        "В распакованном виде книга занимает {0} МБ в {1} частях; читается не более {2} МБ в {3} частях.",
    ),
    (
        r"The workbook could not be read in (\d+) seconds\. .*",
        "Jadvalni {} soniyada o'qib bo'lmadi. Uni kichikroq qismlarga bo'ling.",
        "Таблица не прочитана за {} секунд. Разделите её на несколько.",
    ),
    (
        r"The workbook takes more than (\d+) MB to read\. .*",
        (
            "Jadvalni o'qish uchun {} MB dan ko'p kerak. Ro'yxatdan uzoqdagi bo'sh qator va ustunlarni o'chiring yoki"
            " uni kichikroq qismlarga bo'ling."
        ),
        (
            "Для чтения таблицы нужно больше {} МБ. Удалите пустые строки и столбцы вдали от списка или разделите её на"
            " несколько."
        ),
    ),
    (
        r"The file was not uploaded within 24 hours\.",
        "Fayl 24 soat ichida yuklanmadi.",
        "Файл не загружен в течение 24 часов.",
    ),
    (
        r"The import made no progress for 30 minutes\.",
        "Import 30 daqiqa davomida oldinga siljimadi.",
        "Импорт не продвигался 30 минут.",
    ),
    (
        r"There is no such thing in this organization\.",
        "Yuklangan fayl topilmadi.",
        "Загруженный файл не найден.",
    ),
]
"""What readers of files, cells and phones say, as patterns, in Uzbek and Russian. A part may be a reason itself."""

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
