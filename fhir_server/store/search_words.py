"""The words of a text in SQL: SQLite's full-text index finds them, a row of the table words tells of one resource.

https://www.sqlite.org/fts5.html, https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.search_leaves import Sql, like

# The keys of what has the words; PostgreSQL's driver has its own way to ask, by an index of arrays.
FOUND = "SELECT rowid FROM words_found(?)"


def asked_words(expression: Expression) -> list[tuple[str, ...]] | None:
    """For each parameter the words that a resource has to have, as rows.py writes them.

    None for what asks for no words.
    """
    match expression:
        case x.WordMatch(parameters, words):
            return [tuple(f"{number}:{word}" for word in words) for number in parameters]
        case x.Present("words", parameters):
            return [(f"{number}:",) for number in parameters]
    return None


def word_keys(asked: list[tuple[str, ...]]) -> Sql:
    """The keys of the resources that have them; a folded word has no quotes."""
    values = tuple('"' + '" AND "'.join(words) + '"' for words in asked)
    return Sql(" UNION ".join([FOUND] * len(values)), values)


def has_words(asked: list[tuple[str, ...]], row: str, alias: str, end: str) -> Sql:
    """Whether the resource row has them: where they may be of several parameters, all that do are looked up."""
    if len(asked) != 1:
        keys = word_keys(asked)
        return Sql(f"{row}.key IN ({keys.text})", keys.values)
    each = f" AND ' ' || {alias}.listed || ' ' LIKE ? ESCAPE '\\'" * len(asked[0])
    return Sql(
        f"EXISTS (SELECT 1 FROM words {alias} WHERE {alias}.key = {row}.key{each}{end}",
        tuple(f"% {like(word)} %" for word in asked[0]),
    )
