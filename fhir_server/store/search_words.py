"""The words of a text in SQL: SQLite's full-text index finds them, a row of the table words tells of one resource.

https://www.sqlite.org/fts5.html, https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.search_leaves import Sql, join, like

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
    either = [" AND ".join(f'"{word}"' for word in words) for words in asked]
    return Sql(FOUND, (" OR ".join(either),))


def has_words(asked: list[tuple[str, ...]], row: str, alias: str, end: str) -> Sql:
    """Whether the resource row has them."""
    has = f"' ' || {alias}.listed || ' ' LIKE ? ESCAPE '\\'"
    either = [
        join([Sql(has, (f"% {like(word)} %",)) for word in words], " AND ", "") for words in asked
    ]
    found = join(either, " OR ", "1 = 0")
    text = (
        f"EXISTS (SELECT 1 FROM words {alias} WHERE {alias}.key = {row}.key AND {found.text}{end}"
    )
    return Sql(text, found.values)
