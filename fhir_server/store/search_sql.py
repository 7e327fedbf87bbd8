"""A search expression as SQL text with bound values, for SQLite and PostgreSQL alike.

Two forms of every expression: a set (SELECT key ...), which a statement can start from, and a test of one resource.
A conjunction starts from its most selective part and tests the others, through the indexes by key. Text is composed
per search, as composing takes some 10 µs and compiling an SQLAlchemy tree a few hundred; values are always bound.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from typing import TypeGuard

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Position, Query, Range, SortKey
from fhir_server.store.rows import type_numbers
from fhir_server.store.search_conditions import Sql, compare, is_in, join, leaf

NEVER = 1000
_BROAD = 50
Numbers = tuple[int, ...]


def rank(expression: Expression) -> int:
    """How few resources an expression is likely to leave: small is few, NEVER cannot be started from."""
    match expression:
        case x.IdIn():
            return 0
        case x.ReferenceMatch():
            return 2
        case x.TokenMatch(_, tokens):
            return max((_token_rank(token) for token in tokens), default=0)
        case x.StringMatch(_, mode):
            return {"exact": 5, "starts": 6, "contains": 60}[mode]
        case x.UriMatch():
            return 5
        case x.DateMatch(_, ranges):
            return 20 if all(item.prefix == "eq" for item in ranges) else _BROAD
        case x.NumberMatch() | x.QuantityMatch():
            return 30
        case x.Chain(_, _, inner) | x.Has(_, _, inner):
            return min(NEVER, rank(inner) + 8)
        case x.And(parts):
            return min((rank(part) for part in parts), default=NEVER)
        case x.Or(parts):
            return max((rank(part) for part in parts), default=0)
    return NEVER


def _token_rank(token: x.Token) -> int:
    if token.code is None:
        return 80
    digits = sum(character.isdigit() for character in token.code)
    return 4 if digits >= 5 or len(token.code) > 24 else _BROAD - 10


class Composer:
    """Composes one statement; aliases are numbered so that nested tests do not meet."""

    def __init__(self) -> None:
        self.number = 0

    def alias(self) -> str:
        """A fresh table alias."""
        self.number += 1
        return f"t{self.number}"

    def test(self, expression: Expression, row: str) -> Sql:
        """Whether the expression holds of the resource row with that alias."""
        alias = self.alias()
        found = leaf(expression, alias)
        if found is not None:
            table, condition = found
            # The + keeps a planner without statistics from walking the value's index instead of the key's.
            tested = condition.text.replace(f"{alias}.parameter", f"+{alias}.parameter", 1)
            text = (
                f"EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.key = {row}.key AND {tested})"
            )
            return Sql(text, condition.values)
        match expression:
            case x.And(parts):
                return join([self.test(part, row) for part in parts], " AND ", "1 = 1")
            case x.Or(parts):
                return join([self.test(part, row) for part in parts], " OR ", "1 = 0")
            case x.Not(part):
                inner = self.test(part, row)
                return Sql(f"NOT ({inner.text})", inner.values)
            case x.IdIn(ids):
                return is_in(f"{row}.logical_id", ids)
            case x.LastUpdated(ranges):
                tests = [_moment(row, item) for item in ranges]
                return join(tests, " OR ", "1 = 0")
            case x.Chain():
                return self._chain_test(expression, row, alias)
            case x.Has():
                return self._has_test(expression, row, alias)
        raise AssertionError(expression)

    def _chain_test(self, chain: x.Chain, row: str, alias: str) -> Sql:
        target = self.alias()
        inner = self.test(chain.inner, target)
        named = is_in(f"{alias}.parameter", chain.parameters)
        number = type_numbers().get(chain.target_type, -1)
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {target} ON {target}.type = ?"
            f" AND {target}.logical_id = {alias}.target_id AND {target}.deleted = 0"
            f" WHERE {alias}.key = {row}.key AND {named.text} AND {alias}.target_type = ? AND {inner.text})",
            (number, *named.values, number, *inner.values),
        )

    def _has_test(self, has: x.Has, row: str, alias: str) -> Sql:
        source = self.alias()
        inner = self.test(has.inner, source)
        named = is_in(f"{alias}.parameter", has.parameters)
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {source} ON {source}.key = {alias}.key"
            f" AND {source}.deleted = 0 AND {source}.type = ?"
            f" WHERE {named.text} AND {alias}.target_id = {row}.logical_id"
            f" AND {alias}.target_type = {row}.type AND {inner.text})",
            (type_numbers().get(has.source_type, -1), *named.values, *inner.values),
        )

    def keys(self, expression: Expression, types: Numbers) -> Sql:
        """The keys of the resources for which the expression holds; the expression's rank is below NEVER.

        types are those that are looked for; keys of others may be among them.
        """
        alias = self.alias()
        found = leaf(expression, alias)
        if found is not None:
            table, condition = found
            return Sql(
                f"SELECT {alias}.key FROM {table} {alias} WHERE {condition.text}", condition.values
            )
        match expression:
            case x.Or(parts):
                return _union([self.keys(part, types) for part in parts])
            case x.And(parts):
                return self._conjunction(parts, types, alias)
            case x.IdIn(ids):
                condition = join(
                    [is_in(f"{alias}.type", types), is_in(f"{alias}.logical_id", ids)], " AND ", ""
                )
                return Sql(
                    f"SELECT {alias}.key FROM resource {alias} WHERE {condition.text}",
                    condition.values,
                )
            case x.Chain():
                return self._chain_keys(expression, alias)
            case x.Has():
                return self._has_keys(expression, alias)
        raise AssertionError(expression)

    def _conjunction(self, parts: tuple[Expression, ...], types: Numbers, alias: str) -> Sql:
        start = min(parts, key=rank)
        first = self.keys(start, types)
        rest = [self.test(part, alias) for part in parts if part is not start]
        if not rest:
            return first
        tests = join(rest, " AND ", "")
        return Sql(
            f"SELECT {alias}.key FROM resource {alias} WHERE {alias}.key IN ({first.text}) AND {tests.text}",
            (*first.values, *tests.values),
        )

    def _chain_keys(self, chain: x.Chain, alias: str) -> Sql:
        target = self.alias()
        named = is_in(f"{alias}.parameter", chain.parameters)
        number = type_numbers().get(chain.target_type, -1)
        keys = self.keys(chain.inner, (number,))
        inner = Sql(
            f"SELECT {target}.logical_id FROM resource {target} WHERE {target}.key IN ({keys.text})"
            f" AND {target}.type = ? AND {target}.deleted = 0",
            (*keys.values, number),
        )
        return Sql(
            f"SELECT {alias}.key FROM reference {alias} WHERE {named.text} AND {alias}.target_type = ?"
            f" AND {alias}.target_id IN ({inner.text})",
            (*named.values, number, *inner.values),
        )

    def _has_keys(self, has: x.Has, alias: str) -> Sql:
        target, source = self.alias(), self.alias()
        named = is_in(f"{alias}.parameter", has.parameters)
        number = type_numbers().get(has.source_type, -1)
        keys = self.keys(has.inner, (number,))
        return Sql(
            f"SELECT {target}.key FROM resource {source} JOIN reference {alias} ON {alias}.key = {source}.key"
            f" JOIN resource {target} ON {target}.type = {alias}.target_type"
            f" AND {target}.logical_id = {alias}.target_id"
            f" WHERE {source}.key IN ({keys.text}) AND {source}.deleted = 0 AND {source}.type = ? AND {named.text}",
            (*keys.values, number, *named.values),
        )


def _moment(row: str, wanted: Range) -> Sql:
    """A comparison of lastUpdated, which covers the microsecond that it names."""
    return compare(row, wanted, "last_updated", "last_updated + 1")


def _union(parts: list[Sql]) -> Sql:
    if not parts:
        return Sql("SELECT key FROM resource WHERE 1 = 0")
    text = " UNION ".join(part.text for part in parts)
    return Sql(text, tuple(value for part in parts for value in part.values))


_VERSION = "v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body"
_SORT_COLUMNS = {
    "token": ("code", "code"),
    "string": ("folded", "folded"),
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("low", "high"),
    "uri": ("value", "value"),
}


def where(query_types: tuple[str, ...], expression: Expression) -> Sql:
    """The condition on resource r, started from the most selective part where there is one."""
    composer, numbers = Composer(), _numbers(query_types)
    parts = _parts(expression)
    start = min(parts, key=rank, default=None)
    if start is None or rank(start) >= NEVER:
        return _filter(composer, numbers, parts)
    keys = composer.keys(start, numbers)
    rest = tuple(part for part in parts if part is not start)
    started = Sql(f"r.key IN ({keys.text})", keys.values)
    return join([started, _filter(composer, numbers, rest, started=True)], " AND ", "")


def _filter(
    composer: Composer, numbers: Numbers, parts: tuple[Expression, ...], *, started: bool = False
) -> Sql:
    """Current, of the types, and passing the tests; the + keeps a started statement off the index by type."""
    column = "+r.type" if started and len(numbers) == 1 else "r.type"
    tests = [composer.test(part, "r") for part in parts]
    return join([Sql("r.deleted = 0"), is_in(column, numbers), *tests], " AND ", "")


def _streamed(query: Query) -> tuple[Sql, str]:
    """The tables and condition of a page that stops at its limit, and the column of the keys it is in the order of.

    A broad part would give many keys to gather first. One code is read from its index instead, where its resources
    are in that order; anything else broad is a test of one resource after the other.
    """
    parts = _parts(query.where)
    if min(map(rank, parts), default=NEVER) < _BROAD - 10:
        return _prefixed("resource r", where(query.resource_types, query.where)), "r.key"
    composer, numbers = Composer(), _numbers(query.resource_types)
    codes = [part for part in parts if _is_one_code(part)]
    if not codes:
        return _prefixed("resource r", _filter(composer, numbers, parts)), "r.key"
    start = min(codes, key=rank)
    found = leaf(start, "l")
    assert found is not None
    # A resource may have the code in several systems: the first of them stands for it.
    only = Sql(
        "NOT EXISTS (SELECT 1 FROM token d WHERE d.parameter = l.parameter AND d.code = l.code"
        " AND d.key = l.key AND d.system < l.system)"
    )
    rest = tuple(part for part in parts if part is not start)
    condition = [found[1], _filter(composer, numbers, rest, started=True)]
    if start.tokens[0].system is None:
        condition.insert(1, only)
    tables = "token l JOIN resource r ON r.key = l.key"
    return _prefixed(tables, join(condition, " AND ", "")), "l.key"


def _prefixed(tables: str, condition: Sql) -> Sql:
    return Sql(f"{tables} JOIN version v ON v.seq = r.seq WHERE {condition.text}", condition.values)


def _is_one_code(part: Expression) -> TypeGuard[x.TokenMatch]:
    return (
        isinstance(part, x.TokenMatch)
        and len(part.parameters) == len(part.tokens) == 1
        and part.tokens[0].code is not None
    )


def _parts(expression: Expression) -> tuple[Expression, ...]:
    return expression.parts if isinstance(expression, x.And) else (expression,)


def _numbers(query_types: tuple[str, ...]) -> Numbers:
    return tuple(type_numbers()[name] for name in dict.fromkeys(query_types))


def _sort_expression(item: SortKey) -> Sql:
    if item.table == "last-updated":
        return Sql("r.last_updated")
    if item.table == "id":
        return Sql("r.logical_id")
    named = is_in("s.parameter", item.parameters)
    function = "MAX" if item.descending else "MIN"
    if item.table == "reference":
        column = "CASE WHEN s.url <> '' THEN s.url ELSE s.target_id END"
    else:
        column = "s." + _SORT_COLUMNS[item.table][item.descending]
    return Sql(
        f"(SELECT {function}({column}) FROM {item.table} s WHERE s.key = r.key AND {named.text})",
        named.values,
    )


def search(query: Query) -> Sql:
    """The statement of a page: the version's columns, then a column for each sort key."""
    if not query.sort:
        found, key = _streamed(query)
        after = Sql("") if query.after is None else Sql(f" AND {key} > ?", (query.after[-1],))
        return Sql(
            f"SELECT {_VERSION} FROM {found.text}{after.text} ORDER BY {key} LIMIT ?",
            (*found.values, *after.values, query.limit),
        )
    condition = where(query.resource_types, query.where)
    sorts = [_sort_expression(item) for item in query.sort]
    columns = ", ".join(f"{item.text} AS s{number}" for number, item in enumerate(sorts))
    after = Sql("") if query.after is None else _after(query.sort, query.after)
    order = f"{_order(query.sort)}, q.key"
    # The page is found by keys alone: what is sorted and left out again never carries a body.
    page = (
        f"SELECT q.* FROM (SELECT r.key, r.seq, {columns} FROM resource r WHERE {condition.text}) q"
        f"{after.text} ORDER BY {order} LIMIT ?"
    )
    return Sql(
        f"SELECT {_VERSION}, {', '.join(f'q.s{number}' for number in range(len(sorts)))}"
        f" FROM ({page}) q JOIN version v ON v.seq = q.seq ORDER BY {order}",
        (
            *(value for item in sorts for value in item.values),
            *condition.values,
            *after.values,
            query.limit,
        ),
    )


def _order(sort: tuple[SortKey, ...]) -> str:
    """Missing values last, whichever the direction."""
    return ", ".join(
        f"(q.s{number} IS NULL), q.s{number}{' DESC' if item.descending else ''}"
        for number, item in enumerate(sort)
    )


def _after(sort: tuple[SortKey, ...], position: Position) -> Sql:
    """Rows that come after a position: equal in the first keys, later in the next one."""
    alternatives: list[Sql] = []
    equal: list[Sql] = []
    for number, item in enumerate(sort):
        column, value = f"q.s{number}", position[number]
        if value is None:
            equal.append(Sql(f"{column} IS NULL"))
            continue
        sign = "<" if item.descending else ">"
        later = Sql(f"({column} {sign} ? OR {column} IS NULL)", (value,))
        alternatives.append(join([*equal, later], " AND ", ""))
        equal.append(Sql(f"{column} = ?", (value,)))
    alternatives.append(join([*equal, Sql("q.key > ?", (position[-1],))], " AND ", ""))
    found = join(alternatives, " OR ", "")
    return Sql(f" WHERE {found.text}", found.values)


def count(resource_types: tuple[str, ...], expression: Expression) -> Sql:
    """The statement that counts."""
    condition = where(resource_types, expression)
    return Sql(f"SELECT COUNT(*) FROM resource r WHERE {condition.text}", condition.values)
