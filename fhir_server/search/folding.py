"""Strings as searches compare them: no case, no accents, no punctuation, single blanks.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Letters whose stroke or ligature is part of the letter, so that Unicode does not decompose them.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
_PARTS = " \t\r\n\f\v-/,;:_()[]{}|"
_ASCII = {
    chr(code): chr(code).lower() for code in range(128) if chr(code).isalnum()
} | dict.fromkeys(_PARTS, " ")
_TABLE = bytes(ord(_ASCII.get(chr(code), " ")) for code in range(256))
_DROPPED = bytes(code for code in range(128) if chr(code) not in _ASCII)


# What is displayed is often the same: names of services, of codes, of the people in one resource.
_REMEMBERED = 4096
_LONGEST_REMEMBERED = 120


def fold(text: str) -> str:
    """The folded form; "" when nothing but blanks and punctuation is there.

    What separates words (blanks, hyphens, commas, slashes, brackets) becomes one blank; other punctuation goes.
    """
    return _folded(text) if len(text) > _LONGEST_REMEMBERED else _remembered(text)


def _folded(text: str) -> str:
    if text.isascii():
        return b" ".join(text.encode().translate(_TABLE, _DROPPED).split()).decode()
    # Decomposed before the case is folded (mathematical letters have none themselves), and again after it.
    decomposed = unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS)
    kept = map(_kept, unicodedata.normalize("NFKD", decomposed))
    return " ".join("".join(kept).split())


_remembered = lru_cache(maxsize=_REMEMBERED)(_folded)


@lru_cache(maxsize=4096)
def _kept(character: str) -> str:
    if character.isascii():
        return _ASCII.get(character, "")
    category = unicodedata.category(character)
    if category[0] == "Z" or category in ("Pd", "Po", "Ps", "Pe"):
        return "" if character in "’·՚" else " "
    return "" if category[0] in "MPC" else character
