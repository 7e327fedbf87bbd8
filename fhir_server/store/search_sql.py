"""A search expression as SQL text with bound values, for SQLite and PostgreSQL alike.

Two forms of every expression: a set (SELECT key ...), which a statement can start from, and a test of one resource.
A conjunction starts from its most selective part and tests the others, through the indexes by key. Text is composed
per search, as composing takes some 10 µs and compiling an SQLAlchemy tree a few hundred; values are always bound.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Query, Range, SortKey
from fhir_server.store.rows import type_numbers
from fhir_server.store.search_leaves import Sql, compare, join, leaf, one_of
from fhir_server.store.search_projected import Projected, plan

NEVER = 1000
_BROAD = 50


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
            return {"exact": 5, "equals": 5, "starts": 6}.get(mode, 60)
        case x.CompositeMatch():
            return 10
        case x.Near():
            return 12
        case x.UriMatch():
            return 5
        case x.DateMatch(_, ranges):
            return 20 if all(item.prefix == "eq" for item in ranges) else _BROAD
        case x.NumberMatch() | x.QuantityMatch():
            return 30
        case x.Chain(_, _, inner) | x.Has(_, _, inner) | x.LogicalChain(_, _, _, inner):
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
                return one_of(f"{row}.logical_id", ids)
            case x.LastUpdated(ranges):
                tests = [_moment(row, item) for item in ranges]
                return join(tests, " OR ", "1 = 0")
            case x.Chain():
                return self._chain_test(expression, row, alias)
            case x.LogicalChain():
                return self._logical_test(expression, row, alias)
            case x.Has():
                return self._has_test(expression, row, alias)
        raise AssertionError(expression)

    def _chain_test(self, chain: x.Chain, row: str, alias: str) -> Sql:
        target = self.alias()
        inner = self.test(chain.inner, target)
        named = one_of(f"{alias}.parameter", chain.parameters)
        number = type_numbers().get(chain.target_type, -1)
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {target} ON {target}.type = ?"
            f" AND {target}.logical_id = {alias}.target_id AND {target}.deleted = 0"
            f" WHERE {alias}.key = {row}.key AND {named.text} AND {alias}.target_type = ? AND {inner.text})",
            (number, *named.values, number, *inner.values),
        )

    def _logical_test(self, chain: x.LogicalChain, row: str, alias: str) -> Sql:
        known, target = self.alias(), self.alias()
        inner = self.test(chain.inner, target)
        named = one_of(f"{alias}.parameter", chain.parameters)
        identified = one_of(f"{known}.parameter", chain.identifiers)
        return Sql(
            f"EXISTS (SELECT 1 FROM token {alias} JOIN token {known} ON {identified.text}"
            f" AND {known}.code = {alias}.code AND {known}.system = {alias}.system"
            f" JOIN resource {target} ON {target}.key = {known}.key AND {target}.deleted = 0"
            f" WHERE {alias}.key = {row}.key AND {named.text} AND {alias}.system <> 0 AND {inner.text})",
            (*identified.values, *named.values, *inner.values),
        )

    def _logical_keys(self, chain: x.LogicalChain, alias: str) -> Sql:
        known = self.alias()
        keys = self.typed_keys(chain.inner, chain.target_type)
        named = one_of(f"{alias}.parameter", chain.parameters)
        identified = one_of(f"{known}.parameter", chain.identifiers)
        return Sql(
            f"SELECT {alias}.key FROM token {known} JOIN token {alias} ON {named.text}"
            f" AND {alias}.code = {known}.code AND {alias}.system = {known}.system"
            f" WHERE {known}.key IN ({keys.text}) AND {identified.text} AND {known}.system <> 0",
            (*named.values, *keys.values, *identified.values),
        )

    def typed_keys(self, expression: Expression, resource_type: str) -> Sql:
        """The keys of the current resources of a type for which the expression holds."""
        alias = self.alias()
        keys = self.keys(expression)
        return Sql(
            f"SELECT {alias}.key FROM resource {alias} WHERE {alias}.key IN ({keys.text})"
            f" AND {alias}.type = ? AND {alias}.deleted = 0",
            (*keys.values, type_numbers().get(resource_type, -1)),
        )

    def _has_test(self, has: x.Has, row: str, alias: str) -> Sql:
        source = self.alias()
        inner = self.test(has.inner, source)
        named = one_of(f"{alias}.parameter", has.parameters)
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {source} ON {source}.key = {alias}.key"
            f" AND {source}.deleted = 0 WHERE {named.text} AND {alias}.target_id = {row}.logical_id"
            f" AND {alias}.target_type = {row}.type AND {inner.text})",
            (*named.values, *inner.values),
        )

    def keys(self, expression: Expression) -> Sql:
        """The keys of the resources for which the expression holds; the expression's rank is below NEVER."""
        alias = self.alias()
        found = leaf(expression, alias)
        if found is not None:
            table, condition = found
            return Sql(
                f"SELECT {alias}.key FROM {table} {alias} WHERE {condition.text}", condition.values
            )
        match expression:
            case x.Or(parts):
                return _union([self.keys(part) for part in parts])
            case x.And(parts):
                return self._conjunction(parts, alias)
            case x.IdIn(ids):
                condition = one_of(f"{alias}.logical_id", ids)
                return Sql(
                    f"SELECT {alias}.key FROM resource {alias} WHERE {condition.text}",
                    condition.values,
                )
            case x.Chain():
                return self._chain_keys(expression, alias)
            case x.LogicalChain():
                return self._logical_keys(expression, alias)
            case x.Has():
                return self._has_keys(expression, alias)
        raise AssertionError(expression)

    def _conjunction(self, parts: tuple[Expression, ...], alias: str) -> Sql:
        start = min(parts, key=rank)
        first = self.keys(start)
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
        named = one_of(f"{alias}.parameter", chain.parameters)
        number = type_numbers().get(chain.target_type, -1)
        if isinstance(chain.inner, x.IdIn):
            ids = one_of(f"{alias}.target_id", chain.inner.ids)
            inner = Sql(
                f"SELECT {target}.logical_id FROM resource {target} WHERE {target}.type = ? AND {target}.deleted = 0"
                f" AND {one_of(f'{target}.logical_id', chain.inner.ids).text}",
                (number, *ids.values),
            )
        else:
            keys = self.keys(chain.inner)
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
        named = one_of(f"{alias}.parameter", has.parameters)
        keys = self.keys(has.inner)
        return Sql(
            f"SELECT {target}.key FROM resource {source} JOIN reference {alias} ON {alias}.key = {source}.key"
            f" JOIN resource {target} ON {target}.type = {alias}.target_type"
            f" AND {target}.logical_id = {alias}.target_id"
            f" WHERE {source}.key IN ({keys.text}) AND {source}.deleted = 0 AND {source}.type = ? AND {named.text}",
            (*keys.values, type_numbers().get(has.source_type, -1), *named.values),
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


def flattened(expression: Expression) -> tuple[Expression, ...]:
    """The parts of a conjunction, those of conjunctions inside it too."""
    if not isinstance(expression, x.And):
        return (expression,)
    return tuple(inner for part in expression.parts for inner in flattened(part))


def where(query_types: tuple[str, ...], expression: Expression, *, streaming: bool) -> Sql:
    """The condition on resource r: started from a projection, or the most selective part, where there is one.

    A streaming statement reads resources in the order of their keys and stops at its limit, so it does not gather
    the many keys of a broad part first.
    """
    composer = Composer()
    numbers = tuple(type_numbers()[name] for name in dict.fromkeys(query_types))
    parts = flattened(expression)
    start = min(parts, key=rank, default=None)
    conditions = [Sql("r.deleted = 0")]
    keys = None
    projected = plan(query_types, parts)
    if projected is not None:
        keys = Sql(
            f"SELECT p.key FROM projection p WHERE {projected.condition.text}",
            projected.condition.values,
        )
        parts = projected.rest
    elif start is not None and rank(start) < (_BROAD - 10 if streaming else NEVER):
        keys = composer.keys(start)
        parts = tuple(part for part in parts if part is not start)
    if keys is not None:
        conditions.append(Sql(f"r.key IN ({keys.text})", keys.values))
        types = one_of("+r.type" if len(numbers) == 1 else "r.type", numbers)
    else:
        types = one_of("r.type", numbers)
    conditions.append(types)
    conditions += [composer.test(part, "r") for part in parts]
    return join(conditions, " AND ", "")


def _sort_expression(item: SortKey) -> Sql:
    if item.table == "last-updated":
        return Sql("r.last_updated")
    if item.table == "id":
        return Sql("r.logical_id")
    named = one_of("s.parameter", item.parameters)
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
    projected = plan(query.resource_types, flattened(query.where)) if query.sort else None
    column = projected.sorts(query.sort) if projected is not None else None
    if projected is not None and column is not None:
        return _in_order(query, projected, column)
    condition = where(query.resource_types, query.where, streaming=not query.sort)
    if not query.sort:
        sign, direction = ("<", " DESC") if query.backward else (">", "")
        after = Sql("") if query.after is None else Sql(f" AND r.key {sign} ?", (query.after[-1],))
        return Sql(
            f"SELECT {_VERSION} FROM resource r JOIN version v ON v.seq = r.seq"
            f" WHERE {condition.text}{after.text} ORDER BY r.key{direction} LIMIT ?",
            (*condition.values, *after.values, query.limit),
        )
    sorts = [_sort_expression(item) for item in query.sort]
    columns = ", ".join(f"{item.text} AS s{number}" for number, item in enumerate(sorts))
    order = ", ".join(
        f"(q.s{number} IS NULL){_direction(query.backward)}, q.s{number}{_direction(item.descending != query.backward)}"
        for number, item in enumerate(query.sort)
    )
    after = Sql("") if query.after is None else _after(query)
    return Sql(
        f"SELECT {_VERSION}, {', '.join(f'q.s{number}' for number in range(len(sorts)))}"
        f" FROM (SELECT r.key, r.seq, {columns} FROM resource r WHERE {condition.text}) q"
        f" JOIN version v ON v.seq = q.seq{after.text} ORDER BY {order}, q.key{_direction(query.backward)} LIMIT ?",
        (
            *(value for item in sorts for value in item.values),
            *condition.values,
            *after.values,
            query.limit,
        ),
    )


def _in_order(query: Query, projected: Projected, column: str) -> Sql:
    """A page in the order of the projection's date: bodies are fetched for the rows of the page only."""
    composer = Composer()
    tests = [composer.test(part, "r") for part in projected.rest]
    tested = join(tests, " AND ", "1 = 1")
    distinct = "" if projected.single else "DISTINCT "
    joined = " JOIN resource r ON r.key = p.key" if tests else ""
    condition = join([projected.condition, tested], " AND ", "")
    after = Sql("") if query.after is None else _after(query)
    direction = _direction(query.sort[0].descending != query.backward)
    by_key = _direction(query.backward)
    return Sql(
        f"SELECT {_VERSION}, o.s0 FROM (SELECT q.s0, q.key FROM (SELECT {distinct}{column} AS s0, p.key AS key"
        f" FROM projection p{joined} WHERE {condition.text}) q{after.text}"
        f" ORDER BY q.s0{direction}, q.key{by_key} LIMIT ?) o"
        f" JOIN resource r ON r.key = o.key JOIN version v ON v.seq = r.seq ORDER BY o.s0{direction}, o.key{by_key}",
        (*condition.values, *after.values, query.limit),
    )


def _direction(descending: bool) -> str:
    return " DESC" if descending else ""


def _after(query: Query) -> Sql:
    """Rows that come after a position (before it, going backward): equal in the first keys, beyond it in the next."""
    assert query.after is not None
    alternatives: list[Sql] = []
    equal: list[Sql] = []
    for number, item in enumerate(query.sort):
        column, value = f"q.s{number}", query.after[number]
        if value is None:
            if query.backward:
                alternatives.append(join([*equal, Sql(f"{column} IS NOT NULL")], " AND ", ""))
            equal.append(Sql(f"{column} IS NULL"))
            continue
        sign = "<" if item.descending != query.backward else ">"
        missing = "" if query.backward else f" OR {column} IS NULL"
        beyond = Sql(f"({column} {sign} ?{missing})", (value,))
        alternatives.append(join([*equal, beyond], " AND ", ""))
        equal.append(Sql(f"{column} = ?", (value,)))
    sign = "<" if query.backward else ">"
    alternatives.append(join([*equal, Sql(f"q.key {sign} ?", (query.after[-1],))], " AND ", ""))
    found = join(alternatives, " OR ", "")
    return Sql(f" WHERE {found.text}", found.values)


def count(resource_types: tuple[str, ...], expression: Expression) -> Sql:
    """The statement that counts."""
    condition = where(resource_types, expression, streaming=False)
    return Sql(f"SELECT COUNT(*) FROM resource r WHERE {condition.text}", condition.values)
