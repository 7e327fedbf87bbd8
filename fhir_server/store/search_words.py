"""The words of a text in SQL: SQLite's full-text index finds them, a row of the table words tells of one resource.

https://www.sqlite.org/fts5.html, https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.search_leaves import Sql, like

# What has one of some words; PostgreSQL's driver has its own way to ask, by an index of arrays.
FOUND = "words_found(?)"


def asked_words(expression: Expression) -> tuple[str, ...] | None:
    """The words, as rows.py writes them, of which a resource has to have one; None for what asks for no words."""
    match expression:
        case x.WordMatch(parameters, word):
            return tuple(f"{number}:{word}" for number in parameters)
        case x.Present("words", parameters):
            return tuple(f"{number}:" for number in parameters)
    return None


def word_keys(words: tuple[str, ...]) -> Sql:
    """The keys of the resources that have one of the words; a folded word has no quotes."""
    return Sql(f"SELECT rowid FROM {FOUND}", ('"' + '" OR "'.join(words) + '"',))


def has_words(words: tuple[str, ...], row: str, alias: str, end: str) -> Sql:
    """Whether the resource row has one of them: of many, as of many types, they are looked up together."""
    if len(words) != 1:
        keys = word_keys(words)
        return Sql(f"{row}.key IN ({keys.text})", keys.values)
    return Sql(
        f"EXISTS (SELECT 1 FROM words {alias} WHERE {alias}.key = {row}.key"
        f" AND ' ' || {alias}.listed || ' ' LIKE ? ESCAPE '\\'{end}",
        (f"% {like(words[0])} %",),
    )
