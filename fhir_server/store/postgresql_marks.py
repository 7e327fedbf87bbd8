"""Statements as PostgreSQL takes them; they are written as SQLite takes them.

https://www.postgresql.org/docs/current/gin.html
"""

from __future__ import annotations

import re
from functools import lru_cache

from fhir_server.store.search_composer import EACH, VARIES
from fhir_server.store.search_words import FOUND

_UNARY = re.compile(r"(?<=[ (])\+(?=[a-z])")
# The words are in a question of their own, and its answer in an array: how many have a word a planner guesses badly.
_KEYS = (
    "SELECT key AS rowid FROM unnest(string_to_array(?::text, ' OR ')) AS asked(listed), words"
    """ WHERE string_to_array(words.listed, ' ') @> string_to_array(btrim(asked.listed, '"'), '" AND "')"""
)


@lru_cache(maxsize=4096)
def marked(text: str) -> str:
    """The statement with PostgreSQL's marks and search for words, without the unary + that steers SQLite's planner."""
    text = _UNARY.sub("", text).replace(EACH, "OFFSET 0").removeprefix(VARIES)
    text = text.replace(f"IN ({FOUND})", f"= ANY (ARRAY({_KEYS}))").replace(FOUND, _KEYS)
    return text.replace("%", "%%").replace("?", "%s")
