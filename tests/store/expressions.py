"""Generated index entries, expressions and orders, small enough to meet often."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from fhir_server.search import entries as e
from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, SortKey

TYPES = ("Patient", "Slot", "Task")
IDS = ("a", "b", "c", "A", "12345")
TOKEN, STRING, REFERENCE, DATE, NUMBER, QUANTITY, URI, WORDS = range(1, 9)
_TWO = (0, 100)  # every kind has two parameters: its number, and that and a hundred

SYSTEMS = ("", "http://s", "http://t")
CODES = ("x", "X", "x y", "é", "123456789", "%", "_")
TEXTS = ("smith", "smithson", "smi", "ann lee", "50%", "5_0", "\\", "émile", "\U0001f600", "s" * 90)
URLS = (
    "http://a",
    "http://a/",
    "http://a/b",
    "http://a/b/c",
    "http://ab",
    "urn:x",
    "/",
    "http://a//b",
)
VERSIONS = ("", "1", "2")
WORDY = ("and", "and knee", "knee", "knee or 😀", "émile", "w" * 64)
FLOATS = (-1.5, 0.0, 0.25, 1.0, 1e300, -1e300, 1e-300)

codes, texts, urls = st.sampled_from(CODES), st.sampled_from(TEXTS), st.sampled_from(URLS)
versions, floats = st.sampled_from(VERSIONS), st.sampled_from(FLOATS)
moments = st.integers(-6, 6).map(lambda number: number * 1_000_000)


def _number(kind: int) -> st.SearchStrategy[int]:
    return st.sampled_from(_TWO).map(lambda more: kind + more)


def _numbers(kind: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(_number(kind), min_size=1, max_size=2, unique=True).map(tuple)


def _span(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(values, values).map(lambda pair: (min(pair), max(pair)))


def _target(kind: type[Any], *more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A reference to this server, or elsewhere."""
    types, ids = st.sampled_from(TYPES), st.sampled_from(IDS)
    return st.one_of(
        st.builds(kind, *more, types, ids, st.just(""), versions),
        st.builds(kind, *more, st.just(""), st.just(""), urls, versions),
    )


ENTRY = st.one_of(
    st.builds(e.TokenEntry, _number(TOKEN), st.sampled_from(SYSTEMS), codes),
    st.builds(e.StringEntry, _number(STRING), texts, texts.map(str.title)),
    _target(e.ReferenceEntry, _number(REFERENCE)),
    st.tuples(_number(DATE), _span(moments)).map(lambda made: e.DateEntry(made[0], *made[1])),
    st.tuples(_number(NUMBER), _span(floats)).map(lambda made: e.NumberEntry(made[0], *made[1])),
    st.tuples(
        _number(QUANTITY), _span(floats), st.sampled_from(SYSTEMS), codes | st.just(""), codes
    ).map(lambda made: e.QuantityEntry(made[0], *made[1], *made[2:])),
    st.builds(e.UriEntry, _number(URI), urls, versions),
    st.builds(e.WordsEntry, _number(WORDS), st.sampled_from(WORDY)),
)
ENTRIES = st.frozensets(ENTRY, max_size=8)


def _range(values: st.SearchStrategy[Any]) -> st.SearchStrategy[x.Range]:
    prefixes = st.sampled_from(get_args(x.Prefix))
    return st.tuples(prefixes, _span(values)).map(lambda made: x.Range(made[0], *made[1]))


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3).map(tuple)


_token = st.builds(x.Token, st.none() | st.sampled_from(SYSTEMS), st.none() | codes)
_quantity = st.builds(
    x.Quantity, _range(floats), st.none() | st.sampled_from(SYSTEMS), st.none() | codes
)
_tables = {"token": TOKEN, "string": STRING, "reference": REFERENCE, "date": DATE,
           "number": NUMBER, "quantity": QUANTITY, "uri": URI}  # fmt: skip

LEAF: st.SearchStrategy[Expression] = st.one_of(
    st.builds(x.IdIn, _some(st.sampled_from(IDS))),
    st.builds(x.LastUpdated, _some(_range(moments))),
    st.builds(x.TokenMatch, _numbers(TOKEN), _some(_token)),
    st.builds(
        x.StringMatch, _numbers(STRING), st.sampled_from(["starts", "contains"]), _some(texts)
    ),
    st.builds(x.StringMatch, _numbers(STRING), st.just("exact"), _some(texts.map(str.title))),
    st.builds(x.ReferenceMatch, _numbers(REFERENCE), _some(_target(x.Target))),
    st.builds(
        x.ReferenceMatch,
        _numbers(REFERENCE),
        _some(st.builds(x.Target, st.none(), st.sampled_from(IDS))),
    ),
    st.builds(x.DateMatch, _numbers(DATE), _some(_range(moments))),
    st.builds(x.NumberMatch, _numbers(NUMBER), _some(_range(floats))),
    st.builds(x.QuantityMatch, _numbers(QUANTITY), _some(_quantity)),
    st.builds(
        x.UriMatch,
        _numbers(URI),
        st.sampled_from(["exact", "below", "above"]),
        _some(urls),
        versions,
    ),
    st.builds(
        x.WordMatch,
        _numbers(WORDS),
        st.sets(
            st.sampled_from(["and", "kne", "knee", "or", "\U0001f600", "w" * 64]),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    st.builds(x.Present, st.just("words"), _numbers(WORDS)),
    st.sampled_from(sorted(_tables)).flatmap(
        lambda table: st.builds(x.Present, st.just(table), _numbers(_tables[table]))
    ),
)


def _deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    types = st.sampled_from(TYPES)
    return st.one_of(
        st.builds(x.And, _some(inner)),
        st.builds(x.Or, _some(inner)),
        st.builds(x.Not, inner),
        st.builds(x.Chain, _numbers(REFERENCE), types, inner),
        st.builds(x.Has, types, _numbers(REFERENCE), inner),
    )


EXPRESSION: st.SearchStrategy[Expression] = st.recursive(LEAF, _deeper, max_leaves=5)

SORT = st.lists(
    st.one_of(
        st.sampled_from(sorted(_tables)).flatmap(
            lambda table: st.builds(
                SortKey, st.just(table), _numbers(_tables[table]), st.booleans()
            )
        ),
        st.builds(SortKey, st.sampled_from(["last-updated", "id"]), st.just(()), st.booleans()),
    ),
    max_size=3,
).map(tuple)
SEARCHED = st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True).map(tuple)
