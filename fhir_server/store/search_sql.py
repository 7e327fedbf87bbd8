"""A search expression as SQL text with bound values, for SQLite and PostgreSQL alike.

Two forms of every expression: a set (SELECT key ...), which a statement can start from, and a test of one resource.
A conjunction starts from its most selective part and tests the others, through the indexes by key. Text is composed
per search, as composing takes some 10 µs and compiling an SQLAlchemy tree a few hundred; values are always bound.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Position, Query, Range, SortKey
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit, system_number

NEVER = 1000
_BROAD = 50


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text with one mark (?) for each value."""

    text: str
    values: tuple[Any, ...] = ()


def _join(parts: list[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty)
    if len(parts) == 1:
        return parts[0]
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.values))


def _in(column: str, values: tuple[Any, ...]) -> Sql:
    if len(values) == 1:
        return Sql(f"{column} = ?", values)
    if not values:
        return Sql("1 = 0")
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", values)


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


def leaf(expression: Expression, alias: str) -> tuple[str, Sql] | None:
    """The index table of a leaf and the condition on its row, or None for what is not one."""
    match expression:
        case x.TokenMatch(parameters, tokens):
            return "token", _conditions(
                alias, parameters, _tokens(tokens, f"{alias}.code", f"{alias}.system")
            )
        case x.StringMatch(parameters, mode, values):
            columns = (f"{alias}.folded", f"{alias}.value")
            found = _join([_string(*columns, mode, value) for value in values], " OR ", "1 = 0")
            return "string", _conditions(alias, parameters, found)
        case x.ReferenceMatch(parameters, targets):
            found = _join([_target(alias, item) for item in targets], " OR ", "1 = 0")
            return "reference", _conditions(alias, parameters, found)
        case x.DateMatch(parameters, ranges):
            found = _join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "date", _conditions(alias, parameters, found)
        case x.NumberMatch(parameters, ranges):
            found = _join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "number", _conditions(alias, parameters, found)
        case x.QuantityMatch(parameters, quantities):
            found = _join([_quantity(alias, item) for item in quantities], " OR ", "1 = 0")
            return "quantity", _conditions(alias, parameters, found)
        case x.UriMatch(parameters, mode, values, version):
            found = _join(
                [_uri(f"{alias}.value", mode, value) for value in values], " OR ", "1 = 0"
            )
            if version:
                found = _join([found, Sql(f"{alias}.version = ?", (fit(version),))], " AND ", "")
            return "uri", _conditions(alias, parameters, found)
        case x.Near(parameters):
            return "position", _conditions(alias, parameters, _near(alias, expression))
        case x.CompositeMatch(parameters, parts):
            found = _join(
                [_part(alias, place, part) for place, part in enumerate(parts, 1)], " AND ", ""
            )
            return "composite", _conditions(alias, parameters, found)
        case x.Other(inner):
            found_leaf = leaf(inner, alias)
            assert found_leaf is not None
            table, passed = found_leaf
            failed = Sql(f"NOT ({passed.text})", passed.values)
            return table, _conditions(alias, inner.parameters, failed)
        case x.Present(table, parameters):
            return table, _in(f"{alias}.parameter", parameters)
    return None


def _conditions(alias: str, parameters: tuple[int, ...], found: Sql) -> Sql:
    return _join([_in(f"{alias}.parameter", parameters), found], " AND ", "")


def _tokens(tokens: tuple[x.Token, ...], code_column: str, system_column: str) -> Sql:
    """One IN for all codes of any system, one for each system's codes: a list of hundreds stays one index scan."""
    by_system: dict[str | None, list[str]] = {}
    whole: list[Sql] = []
    for token in tokens:
        if token.code is not None:
            by_system.setdefault(token.system, []).append(fit(token.code))
        elif token.system is None:
            whole.append(Sql("1 = 1"))
        else:
            whole.append(Sql(f"{system_column} = ?", (system_number(token.system),)))
    for system, codes in by_system.items():
        found = _in(code_column, tuple(codes))
        if system is not None:
            named = Sql(f"{system_column} = ?", (system_number(system),))
            found = _join([found, named], " AND ", "")
        whole.append(found)
    return _join(whole, " OR ", "1 = 0")


def _near(alias: str, near: x.Near) -> Sql:
    """A box that an index serves by its height, then the distance itself."""
    box = " AND ".join(f"{alias}.{axis} BETWEEN ? AND ?" for axis in "zxy")
    distance = " + ".join(f"({alias}.{axis} - ?) * ({alias}.{axis} - ?)" for axis in "xyz")
    reach = near.chord
    values = [value for axis in (near.z, near.x, near.y) for value in (axis - reach, axis + reach)]
    values += [axis for axis in (near.x, near.y, near.z) for _ in range(2)]
    return Sql(f"({box} AND {distance} <= ?)", (*values, reach * reach))


def _part(alias: str, place: int, part: x.Leaf) -> Sql:
    """The condition on the columns of one part of a composite row (see rows.py)."""
    text, system = f"{alias}.text{place}", f"{alias}.system{place}"
    low, high = f"low{place}", f"high{place}"
    match part:
        case x.TokenMatch(_, tokens):
            return _tokens(tokens, text, system)
        case x.StringMatch(_, mode, values):
            return _join([_string(text, text, mode, value) for value in values], " OR ", "1 = 0")
        case x.ReferenceMatch(_, targets):
            return _join(
                [_composite_target(text, system, item) for item in targets], " OR ", "1 = 0"
            )
        case x.DateMatch(_, ranges) | x.NumberMatch(_, ranges):
            return _join([compare(alias, item, low, high) for item in ranges], " OR ", "1 = 0")
        case x.QuantityMatch(_, quantities):
            columns = (low, high, text, system, f"{alias}.unit{place}")
            return _join([_quantity(alias, item, *columns) for item in quantities], " OR ", "1 = 0")
        case x.UriMatch(_, mode, values):
            return _join([_uri(text, mode, value) for value in values], " OR ", "1 = 0")
    raise AssertionError(part)


def _composite_target(text: str, system: str, target: x.Target) -> Sql:
    if target.url:
        return Sql(f"({text} = ? AND {system} = -1)", (fit(target.url),))
    if target.target_type is None:
        return Sql(f"({text} = ? AND {system} >= 0)", (target.target_id,))
    number = type_numbers().get(target.target_type, -2)
    return Sql(f"({text} = ? AND {system} = ?)", (target.target_id, number))


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _string(folded: str, written: str, mode: str, value: str) -> Sql:
    match mode:
        case "exact":
            return Sql(f"{written} = ?", (fit(value),))
        case "equals":
            return Sql(f"{folded} = ?", (fit(value),))
        case "contains":
            return Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"%{_like(value)}%",))
        case "ends":
            return Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"%{_like(value)}",))
        case "words":
            inside = Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"% {_like(value)}%",))
            return _join([_prefixed(folded, value), inside], " OR ", "")
    return _prefixed(folded, value)


def _prefixed(column: str, value: str) -> Sql:
    """Starts-with as a range that the index serves."""
    return Sql(f"({column} >= ? AND {column} < ?)", (value, value + "\U0010ffff"))


def _target(alias: str, target: x.Target) -> Sql:
    if target.url:
        parts = [Sql(f"{alias}.target_id = '' AND {alias}.url = ?", (fit(target.url),))]
    else:
        parts = [Sql(f"{alias}.target_id = ?", (target.target_id,)), Sql(f"{alias}.url = ''")]
        if target.target_type is not None:
            number = type_numbers().get(target.target_type, -1)
            parts.append(Sql(f"{alias}.target_type = ?", (number,)))
    if target.version:
        parts.append(Sql(f"{alias}.version = ?", (fit(target.version),)))
    return _join(parts, " AND ", "")


def compare(alias: str, wanted: Range, low: str = "low", high: str = "high") -> Sql:
    """A comparison of ranges; each has a first condition on one column that an index serves."""
    lo, hi = f"{alias}.{low}", f"{alias}.{high}"
    first, last = wanted.low, wanted.high
    match wanted.prefix:
        case "eq":
            return Sql(f"({lo} >= ? AND {lo} <= ? AND {hi} <= ?)", (first, last, last))
        case "ne":
            return Sql(f"({lo} < ? OR {hi} > ?)", (first, last))
        case "gt":
            return Sql(f"{hi} > ?", (last,))
        case "lt":
            return Sql(f"{lo} < ?", (first,))
        case "ge":
            return Sql(f"({hi} >= ? AND ({hi} > ? OR {lo} >= ?))", (first, last, first))
        case "le":
            return Sql(f"({lo} <= ? AND ({lo} < ? OR {hi} <= ?))", (last, first, last))
        case "sa":
            return Sql(f"{lo} >= ?", (last,))
        case "eb":
            return Sql(f"{hi} <= ?", (first,))
        case "ap":
            return Sql(f"({lo} < ? AND {hi} > ?)", (last, first))


def _quantity(
    alias: str,
    item: x.Quantity,
    low: str = "low",
    high: str = "high",
    code_column: str = "",
    system_column: str = "",
    unit_column: str = "",
) -> Sql:
    code_column, system_column = code_column or f"{alias}.code", system_column or f"{alias}.system"
    unit_column = unit_column or f"{alias}.unit"
    parts = [compare(alias, item.range, low, high)]
    if item.system is not None:
        parts.append(Sql(f"{system_column} = ?", (system_number(item.system),)))
    if item.code is not None:
        code = fit(item.code)
        if item.system is None:
            parts.append(Sql(f"({code_column} = ? OR {unit_column} = ?)", (code, code)))
        else:
            parts.append(Sql(f"{code_column} = ?", (code,)))
    return _join(parts, " AND ", "")


def _uri(column: str, mode: str, value: str) -> Sql:
    exact = Sql(f"{column} = ?", (fit(value),))
    if mode == "below":
        return _join([exact, _prefixed(column, value.rstrip("/") + "/")], " OR ", "")
    if mode == "above":
        parents = [value[:place] for place, character in enumerate(value) if character == "/"]
        candidates = dict.fromkeys([value, *parents, *(f"{item}/" for item in parents)])
        return _in(column, tuple(fit(item) for item in candidates if item))
    return exact


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
                return _join([self.test(part, row) for part in parts], " AND ", "1 = 1")
            case x.Or(parts):
                return _join([self.test(part, row) for part in parts], " OR ", "1 = 0")
            case x.Not(part):
                inner = self.test(part, row)
                return Sql(f"NOT ({inner.text})", inner.values)
            case x.IdIn(ids):
                return _in(f"{row}.logical_id", ids)
            case x.LastUpdated(ranges):
                tests = [_moment(row, item) for item in ranges]
                return _join(tests, " OR ", "1 = 0")
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
        named = _in(f"{alias}.parameter", chain.parameters)
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
        named = _in(f"{alias}.parameter", chain.parameters)
        identified = _in(f"{known}.parameter", chain.identifiers)
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
        named = _in(f"{alias}.parameter", chain.parameters)
        identified = _in(f"{known}.parameter", chain.identifiers)
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
        named = _in(f"{alias}.parameter", has.parameters)
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
                condition = _in(f"{alias}.logical_id", ids)
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
        tests = _join(rest, " AND ", "")
        return Sql(
            f"SELECT {alias}.key FROM resource {alias} WHERE {alias}.key IN ({first.text}) AND {tests.text}",
            (*first.values, *tests.values),
        )

    def _chain_keys(self, chain: x.Chain, alias: str) -> Sql:
        target = self.alias()
        named = _in(f"{alias}.parameter", chain.parameters)
        number = type_numbers().get(chain.target_type, -1)
        if isinstance(chain.inner, x.IdIn):
            ids = _in(f"{alias}.target_id", chain.inner.ids)
            inner = Sql(
                f"SELECT {target}.logical_id FROM resource {target} WHERE {target}.type = ? AND {target}.deleted = 0"
                f" AND {_in(f'{target}.logical_id', chain.inner.ids).text}",
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
        named = _in(f"{alias}.parameter", has.parameters)
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


def where(query_types: tuple[str, ...], expression: Expression, *, streaming: bool) -> Sql:
    """The condition on resource r: started from the most selective part where there is one.

    A streaming statement reads resources in the order of their keys and stops at its limit, so it does not gather
    the many keys of a broad part first.
    """
    composer = Composer()
    numbers = tuple(type_numbers()[name] for name in dict.fromkeys(query_types))
    parts = expression.parts if isinstance(expression, x.And) else (expression,)
    start = min(parts, key=rank, default=None)
    conditions = [Sql("r.deleted = 0")]
    if start is not None and rank(start) < (_BROAD - 10 if streaming else NEVER):
        keys = composer.keys(start)
        conditions.append(Sql(f"r.key IN ({keys.text})", keys.values))
        types = _in("+r.type" if len(numbers) == 1 else "r.type", numbers)
        parts = tuple(part for part in parts if part is not start)
    else:
        types = _in("r.type", numbers)
    conditions.append(types)
    conditions += [composer.test(part, "r") for part in parts]
    return _join(conditions, " AND ", "")


def _sort_expression(item: SortKey) -> Sql:
    if item.table == "last-updated":
        return Sql("r.last_updated")
    if item.table == "id":
        return Sql("r.logical_id")
    named = _in("s.parameter", item.parameters)
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
    condition = where(query.resource_types, query.where, streaming=not query.sort)
    if not query.sort:
        after = Sql("") if query.after is None else Sql(" AND r.key > ?", (query.after[-1],))
        return Sql(
            f"SELECT {_VERSION} FROM resource r JOIN version v ON v.seq = r.seq"
            f" WHERE {condition.text}{after.text} ORDER BY r.key LIMIT ?",
            (*condition.values, *after.values, query.limit),
        )
    sorts = [_sort_expression(item) for item in query.sort]
    columns = ", ".join(f"{item.text} AS s{number}" for number, item in enumerate(sorts))
    order = ", ".join(
        f"(q.s{number} IS NULL), q.s{number}{' DESC' if item.descending else ''}"
        for number, item in enumerate(query.sort)
    )
    after = Sql("") if query.after is None else _after(query.sort, query.after)
    return Sql(
        f"SELECT {_VERSION}, {', '.join(f'q.s{number}' for number in range(len(sorts)))}"
        f" FROM (SELECT r.key, r.seq, {columns} FROM resource r WHERE {condition.text}) q"
        f" JOIN version v ON v.seq = q.seq{after.text} ORDER BY {order}, q.key LIMIT ?",
        (
            *(value for item in sorts for value in item.values),
            *condition.values,
            *after.values,
            query.limit,
        ),
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
        alternatives.append(_join([*equal, later], " AND ", ""))
        equal.append(Sql(f"{column} = ?", (value,)))
    alternatives.append(_join([*equal, Sql("q.key > ?", (position[-1],))], " AND ", ""))
    found = _join(alternatives, " OR ", "")
    return Sql(f" WHERE {found.text}", found.values)


def count(resource_types: tuple[str, ...], expression: Expression) -> Sql:
    """The statement that counts."""
    condition = where(resource_types, expression, streaming=False)
    return Sql(f"SELECT COUNT(*) FROM resource r WHERE {condition.text}", condition.values)
