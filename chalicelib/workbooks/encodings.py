"""The encoding of a text without a mark, by evidence: which of them turns its words into words of our languages.

Names are short and few, and detectors that weigh whole texts guess at them (`docs/decisions/0029`). Here each word
speaks for itself: its letters' frequency, whether its capitals stand where capitals stand, whether it mixes alphabets,
and whether headers use it.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable
from pathlib import Path

from chalicelib.workbooks import headers, refusals
from chalicelib.workbooks.refusals import Refused

ENCODINGS = {"cp1251": 8, "cp866": 3, "koi8-r": 1, "mac-cyrillic": 1, "cp1254": 4, "cp1252": 2}
"""Encodings of Russian, Uzbek and Turkish lists, and how much oftener each is met than the rarest."""

ENOUGH = math.log(20)
"""How much more likely than by the next encoding the words must be."""

PLAUSIBLE = math.log(0.001)
"""How likely a letter must be on average, capitals aside: less are words of another language, or no words."""

WORDS_KEPT = 2_000
BLOCK = 1 << 20

_FREQUENCY = {
    "о": 90, "а": 100, "е": 75, "и": 80, "н": 67, "т": 55, "с": 50, "р": 50, "в": 45, "л": 45, "к": 35, "м": 35,
    "д": 30, "п": 20, "у": 26, "я": 20, "ы": 12, "ь": 14, "г": 17, "з": 16, "б": 18, "ч": 12, "й": 12, "х": 14,
    "ж": 9, "ш": 14, "ю": 6, "ц": 4, "щ": 2, "э": 3, "ф": 8, "ъ": 0.5, "ё": 4, "ў": 4, "қ": 4, "ғ": 3, "ҳ": 4, "і": 0.5,
    "ş": 12, "ı": 12, "ö": 12, "ü": 14, "ç": 10, "ğ": 10, "i̇": 4, "â": 3, "î": 2, "û": 2, "é": 8, "è": 3, "á": 4,
    "à": 2, "ä": 5, "ó": 3, "ñ": 3, "í": 4, "ô": 2, "ê": 2, "ë": 2, "ú": 2, "ß": 2, "å": 2, "ø": 2, "ã": 2, "õ": 1,
    "š": 3, "ž": 3, "ý": 0.5, "ï": 1, "ð": 0.05, "þ": 0.05, "æ": 1,
}  # fmt: skip
"""Per mille of a name's letters, Russian and Uzbek in Cyrillic; of a Latin name's marked letters, much less exactly."""

_APOSTROPHES = set("‘’´\xa0")
_SIGNS = set("«»“”„‚–—…№°§©®™•·±") | _APOSTROPHES
"""Signs that every list may have, those first that stand inside words."""

_FOREIGN = 1e-7
"""How likely a sign is that no word of ours has."""

_SIGN, _SIGN_IN_A_WORD = math.log(0.02), math.log(0.0005)
_CAPITAL, _CAPITALS, _SMALL, _ODD = (math.log(part) for part in (0.7, 0.25, 0.05, 0.003))
"""Names that begin with a capital, are all capitals, have none, or have them anywhere."""

_MIXED, _ALL_MARKED, _KNOWN = math.log(0.0005), math.log(0.001), math.log(1000)
"""Two alphabets in a word; a Latin word of marked letters only; a word that headers use."""

_ENDING, _ENDINGS = (
    math.log(6),
    re.compile(
        "(?:[оеё]ва?|ина?|ий|ая|[оеи]ч|[вьлнртсшзм]н?а|ия|ья|[еоа]й|ко|ян|ид|[аеиоу]р|бек|жон|[аеио]н|[аои]д|[аиу]л|ор)$"
    ),
)
"""How names in Cyrillic end, and how much oftener those do than other words."""

_WORD = re.compile(rb"[A-Za-z'\x80-\xff]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_VOCABULARY = {word for name in headers.FIELDS for word in name.split() if not word.isascii()}


def of(path: Path, start: bytes) -> str:
    """The encoding of a text file that begins with `start`. Raises Refused for what is no text, or unclear."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        return _utf_16(start)
    return "utf-8-sig" if _is_utf_8(path) else by_words(_words(path))


def _utf_16(start: bytes) -> str:
    """UTF-16 without its mark: what is ASCII in it has its zeros all in even or all in odd places."""
    high, low = start[::2].count(0), start[1::2].count(0)
    for encoding, most, fewest in (("utf-16-le", low, high), ("utf-16-be", high, low)):
        if most * 8 >= len(start) / 2 and fewest * 20 <= most:
            return encoding
    raise Refused(refusals.NEITHER)


def _is_utf_8(path: Path) -> bool:
    """Whether more of a file is UTF-8 than is not."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    letters = bad = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            letters += len(text) - len(text.encode("ascii", "ignore"))
            bad += text.count("\ufffd")
    return 2 * bad <= letters


def _words(path: Path) -> Iterable[bytes]:
    """A file's first different words that are not all ASCII."""
    found: dict[bytes, None] = {}
    with path.open("rb") as file:
        while len(found) < WORDS_KEPT and (block := file.read(BLOCK)):
            found.update(dict.fromkeys(word for word in _WORD.findall(block) if not word.isascii()))
    return list(found)[:WORDS_KEPT]


def by_words(words: Iterable[bytes]) -> str:
    """The encoding in which words are most likely. Raises Refused when the next one is about as likely, or none is."""
    words = list(words)
    letters = sum(byte > 0x7F for word in words for byte in word)
    texts = {name: [_text(word, name) for word in words] for name in ENCODINGS}
    plain = {name: sum(map(_likelihood, texts[name])) for name in ENCODINGS}
    likely = {
        name: plain[name] + math.log(often) + sum(map(_as_a_name, texts[name])) for name, often in ENCODINGS.items()
    }
    best = max(likely, key=lambda name: likely[name])
    second = max((likely[name] for name in ENCODINGS if texts[name] != texts[best]), default=-math.inf)
    odd = sum(map(_has_odd_capitals, texts[best]))
    if plain[best] < letters * PLAUSIBLE or odd * 3 > len(words) or likely[best] - second < ENOUGH:
        raise Refused(refusals.ENCODING)
    return best


def _text(word: bytes, encoding: str) -> str:
    return word.decode(encoding, "replace")


def _likelihood(word: str) -> float:
    """The logarithm of how likely a word is, as far as what is not ASCII in it tells."""
    parts = [part for part in _LETTERS.findall(word) if not part.isascii()]
    in_a_word = any(map(str.isalpha, word))
    signs = sum(_of_sign(sign, in_a_word=in_a_word) for sign in word if not sign.isascii())
    return signs + sum(map(_of_part, parts))


def _of_sign(sign: str, *, in_a_word: bool) -> float:
    if sign in _SIGNS:
        return _SIGN_IN_A_WORD if in_a_word and sign not in _APOSTROPHES else _SIGN
    return math.log(_FREQUENCY[sign.lower()] / 1000 if sign.lower() in _FREQUENCY else _FOREIGN)


def _of_part(part: str) -> float:
    """What a run of letters says beside each letter's frequency."""
    if part.lower() in _VOCABULARY:
        return _KNOWN
    cyrillic = sum("Ѐ" <= letter <= "ӿ" for letter in part)
    if cyrillic and cyrillic < len(part):
        return _MIXED
    return _ALL_MARKED if not cyrillic and len(part) > 2 and not re.search("[A-Za-z]", part) else 0.0


def _as_a_name(word: str) -> float:
    """What a word's capitals and its end say."""
    parts = [part for part in _LETTERS.findall(word) if not part.isascii()]
    return sum(_of_capitals(part) + (_ENDING if _ENDINGS.search(part.lower()) else 0.0) for part in parts)


def _has_odd_capitals(word: str) -> bool:
    return any(_of_capitals(part) == _ODD for part in _LETTERS.findall(word))


def _of_capitals(part: str) -> float:
    if part[0].isupper() and (part[1:].islower() or len(part) == 1):
        return _CAPITAL
    return _CAPITALS if part.isupper() else _SMALL if part.islower() else _ODD
