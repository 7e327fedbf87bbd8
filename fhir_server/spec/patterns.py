"""Regular expressions that come from outside, matched in linear time (https://github.com/google/re2/wiki/Syntax).

R4 wants PCRE for FHIRPath and `regex` filters; RE2 has all of it but look-around and back references, which are what
makes an expression run away.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 2000
LONGEST_SUBJECT = 1_048_576


class BadPattern(ValueError):
    """A regular expression that cannot be read; the message says why."""


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Any:
    """An object with search, fullmatch and sub, as in re; a dot matches line ends too. Raises BadPattern."""
    import re2  # only expressions and filters that match need it

    if len(text) > LONGEST_PATTERN:
        raise BadPattern(f"it has more than {LONGEST_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(text, options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        shown = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise BadPattern(shown) from None
