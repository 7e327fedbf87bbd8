"""A search expression as sets of keys and as tests of one resource.

A conjunction starts from its most selective part and tests the others, through the indexes by key. Text is composed
per search, as composing takes some 10 µs and compiling an SQLAlchemy tree a few hundred; values are always bound.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Range
from fhir_server.store.rows import type_numbers
from fhir_server.store.search_leaves import Sql, compare, join, leaf, numbered, one_of
from fhir_server.store.search_words import asked_words, has_words, word_keys

NEVER = 1000
BROAD = 50
_SEVERAL = 20
# A mark that PostgreSQL's driver makes a barrier of: its planner must not turn the test into a join of whole tables.
EACH = "/*each*/"
# What a statement begins with when its best plan depends on the values, and not only on what is asked for.
VARIES = "/*varies*/ "

_RANKS: dict[type[Expression], int] = {
    x.IdIn: 0, x.ReferenceMatch: 2, x.UriMatch: 5, x.CompositeMatch: 10, x.Near: 12, x.NumberMatch: 30,
    x.QuantityMatch: 30, x.Present: 85,
}  # fmt: skip


def rank(expression: Expression) -> int:
    """How few resources an expression is likely to leave: small is few, NEVER cannot be started from."""
    match expression:
        case x.TokenMatch(_, tokens):
            found = max((_token_rank(token) for token in tokens), default=0)
            # Each may be rare, and all together common.
            return found if len(tokens) <= _SEVERAL else max(found, BROAD - 10)
        case x.WordMatch(_, words):
            return min(map(_code_rank, words))
        case x.StringMatch(_, mode):
            return {"exact": 5, "equals": 5, "starts": 6}.get(mode, 60)
        case x.DateMatch(_, ranges):
            return 20 if all(item.prefix == "eq" for item in ranges) else BROAD
        case x.DateWindow(_, ranges):
            return 20 if _bounded(ranges) else BROAD
        case x.Chain(_, _, inner) | x.Has(_, _, inner) | x.LogicalChain(_, _, _, inner):
            return min(NEVER, rank(inner) + 8)
        case x.And(parts):
            return min((rank(part) for part in parts), default=NEVER)
        case x.Or(parts):
            return max((rank(part) for part in parts), default=0)
    return _RANKS.get(type(expression), NEVER)


def _bounded(ranges: tuple[Range, ...]) -> bool:
    """Whether the ranges have both a beginning and an end."""
    prefixes = {item.prefix for item in ranges}
    return bool(prefixes & {"eq", "ap"}) or (
        bool(prefixes & {"gt", "ge", "sa"}) and bool(prefixes & {"lt", "le", "eb"})
    )


def _token_rank(token: x.Token) -> int:
    return 80 if token.code is None else _code_rank(token.code)


def _code_rank(code: str) -> int:
    digits = sum(character.isdigit() for character in code)
    return 4 if digits >= 5 or len(code) > 24 else BROAD - 10


class Composer:
    """Composes one statement; aliases are numbered so that nested tests do not meet.

    each: tests are made resource by resource, as a page that stops at its limit wants it, and not for all at once.
    """

    def __init__(self, *, each: bool = False) -> None:
        self.number = 0
        self.end = f" {EACH})" if each else ")"

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
            found_rows = f"SELECT 1 FROM {table} {alias} WHERE {alias}.key = {row}.key AND {tested}"
            text = f"EXISTS ({found_rows}{self.end}"
            return Sql(text, condition.values)
        words = asked_words(expression)
        if words is not None:
            return has_words(words, row, alias, self.end)
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
            case x.OfType(resource_types):
                return one_of(f"{row}.type", tuple(type_numbers()[name] for name in resource_types))
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
        named = numbered(f"{alias}.parameter", chain.parameters, (chain.target_type,))
        number = type_numbers().get(chain.target_type, -1)
        # The + 0 keeps a planner without statistics from reading the whole type for each row.
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {target} ON {target}.type = ?"
            f" AND {target}.logical_id = {alias}.target_id AND {target}.deleted + 0 = 0"
            f" WHERE {alias}.key = {row}.key AND {named.text} AND {alias}.target_type = ? AND {inner.text}{self.end}",
            (number, *named.values, number, *inner.values),
        )

    def _logical_test(self, chain: x.LogicalChain, row: str, alias: str) -> Sql:
        known, target = self.alias(), self.alias()
        inner = self.test(chain.inner, target)
        named = numbered(f"{alias}.parameter", chain.parameters)
        identified = numbered(f"{known}.parameter", chain.identifiers)
        return Sql(
            f"EXISTS (SELECT 1 FROM token {alias} JOIN token {known} ON {identified.text}"
            f" AND {known}.code = {alias}.code AND {known}.system = {alias}.system"
            f" JOIN resource {target} ON {target}.key = {known}.key AND {target}.deleted = 0"
            f" WHERE {alias}.key = {row}.key AND {named.text} AND {alias}.system <> 0 AND {inner.text}{self.end}",
            (*identified.values, *named.values, *inner.values),
        )

    def _logical_keys(self, chain: x.LogicalChain, alias: str) -> Sql:
        known = self.alias()
        keys = self.typed_keys(chain.inner, chain.target_type)
        named = numbered(f"{alias}.parameter", chain.parameters)
        identified = numbered(f"{known}.parameter", chain.identifiers)
        return Sql(
            f"SELECT {alias}.key FROM token {known} JOIN token {alias} ON {named.text}"
            f" AND {alias}.code = {known}.code AND {alias}.system = {known}.system"
            f" WHERE {known}.key IN ({keys.text}) AND {identified.text} AND {known}.system <> 0",
            (*named.values, *keys.values, *identified.values),
        )

    def typed_keys(self, expression: Expression, resource_type: str) -> Sql:
        """The keys of the current resources of a type for which the expression holds."""
        alias = self.alias()
        number = type_numbers().get(resource_type, -1)
        keys = self.keys(expression, (number,))
        return Sql(
            f"SELECT {alias}.key FROM resource {alias} WHERE {alias}.key IN ({keys.text})"
            f" AND +{alias}.type = ? AND {alias}.deleted = 0",
            (*keys.values, number),
        )

    def _has_test(self, has: x.Has, row: str, alias: str) -> Sql:
        source = self.alias()
        inner = self.test(has.inner, source)
        named = numbered(f"{alias}.parameter", has.parameters)
        return Sql(
            f"EXISTS (SELECT 1 FROM reference {alias} JOIN resource {source} ON {source}.key = {alias}.key"
            f" AND {source}.deleted = 0 WHERE {named.text} AND {alias}.target_id = {row}.logical_id"
            f" AND {alias}.target_type = {row}.type AND {inner.text}{self.end}",
            (*named.values, *inner.values),
        )

    def keys(self, expression: Expression, types: tuple[int, ...]) -> Sql:
        """The keys of resources for which the expression holds, those of the types (numbers) at least.

        The expression's rank is below NEVER.
        """
        alias = self.alias()
        found = leaf(expression, alias)
        if found is not None:
            table, condition = found
            return Sql(
                f"SELECT {alias}.key FROM {table} {alias} WHERE {condition.text}", condition.values
            )
        words = asked_words(expression)
        if words is not None:
            return word_keys(words)
        match expression:
            case x.Or(parts):
                return _union([self.keys(part, types) for part in parts])
            case x.And(parts):
                return self._conjunction(parts, types, alias)
            case x.IdIn(ids):
                named = [one_of(f"{alias}.type", types), one_of(f"{alias}.logical_id", ids)]
                condition = join(named, " AND ", "")
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

    def _conjunction(
        self, parts: tuple[Expression, ...], types: tuple[int, ...], alias: str
    ) -> Sql:
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
        named = numbered(f"{alias}.parameter", chain.parameters, (chain.target_type,))
        number = type_numbers().get(chain.target_type, -1)
        keys = self.keys(chain.inner, (number,))
        inner = Sql(
            f"SELECT {target}.logical_id FROM resource {target} WHERE {target}.key IN ({keys.text})"
            f" AND +{target}.type = ? AND {target}.deleted = 0",
            (*keys.values, number),
        )
        return Sql(
            f"SELECT {alias}.key FROM reference {alias} WHERE {named.text} AND {alias}.target_type = ?"
            f" AND {alias}.target_id IN ({inner.text})",
            (*named.values, number, *inner.values),
        )

    def _has_keys(self, has: x.Has, alias: str) -> Sql:
        target, source = self.alias(), self.alias()
        named = numbered(f"{alias}.parameter", has.parameters)
        number = type_numbers().get(has.source_type, -1)
        keys = self.keys(has.inner, (number,))
        return Sql(
            f"SELECT {target}.key FROM resource {source} JOIN reference {alias} ON {alias}.key = {source}.key"
            f" JOIN resource {target} ON {target}.type = {alias}.target_type"
            f" AND {target}.logical_id = {alias}.target_id"
            f" WHERE {source}.key IN ({keys.text}) AND {source}.deleted = 0 AND +{source}.type = ? AND {named.text}",
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
