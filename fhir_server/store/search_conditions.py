"""The leaves of a search expression as conditions on a row of an index table.

https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Range
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit, system_number


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text with one mark (?) for each value."""

    text: str
    values: tuple[Any, ...] = ()


def join(parts: list[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty)
    if len(parts) == 1:
        return parts[0]
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.values))


def is_in(column: str, values: tuple[Any, ...]) -> Sql:
    if len(values) == 1:
        return Sql(f"{column} = ?", values)
    if not values:
        return Sql("1 = 0")
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", values)


def leaf(expression: Expression, alias: str) -> tuple[str, Sql] | None:
    """The index table of a leaf and the condition on its row, or None for what is not one."""
    match expression:
        case x.TokenMatch(parameters, tokens):
            return "token", _conditions(alias, parameters, _tokens(alias, tokens))
        case x.StringMatch(parameters, mode, values):
            found = join([_string(alias, mode, value) for value in values], " OR ", "1 = 0")
            return "string", _conditions(alias, parameters, found)
        case x.ReferenceMatch(parameters, targets):
            found = join([_target(alias, item) for item in targets], " OR ", "1 = 0")
            return "reference", _conditions(alias, parameters, found)
        case x.DateMatch(parameters, ranges):
            found = join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "date", _conditions(alias, parameters, found)
        case x.NumberMatch(parameters, ranges):
            found = join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "number", _conditions(alias, parameters, found)
        case x.QuantityMatch(parameters, quantities):
            found = join([_quantity(alias, item) for item in quantities], " OR ", "1 = 0")
            return "quantity", _conditions(alias, parameters, found)
        case x.UriMatch(parameters, mode, values, version):
            found = join([_uri(alias, mode, value) for value in values], " OR ", "1 = 0")
            if version:
                found = join([found, Sql(f"{alias}.version = ?", (fit(version),))], " AND ", "")
            return "uri", _conditions(alias, parameters, found)
        case x.Present(table, parameters):
            return table, is_in(f"{alias}.parameter", parameters)
    return None


def _conditions(alias: str, parameters: tuple[int, ...], found: Sql) -> Sql:
    return join([is_in(f"{alias}.parameter", parameters), found], " AND ", "")


def _tokens(alias: str, tokens: tuple[x.Token, ...]) -> Sql:
    """One IN for all codes of any system, one for each system's codes: a list of hundreds stays one index scan."""
    by_system: dict[str | None, list[str]] = {}
    whole: list[Sql] = []
    for token in tokens:
        if token.code is not None:
            by_system.setdefault(token.system, []).append(fit(token.code))
        elif token.system is None:
            whole.append(Sql("1 = 1"))
        else:
            whole.append(Sql(f"{alias}.system = ?", (system_number(token.system),)))
    for system, codes in by_system.items():
        found = is_in(f"{alias}.code", tuple(codes))
        if system is not None:
            named = Sql(f"{alias}.system = ?", (system_number(system),))
            found = join([found, named], " AND ", "")
        whole.append(found)
    return join(whole, " OR ", "1 = 0")


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _string(alias: str, mode: str, value: str) -> Sql:
    match mode:
        case "exact":
            return Sql(f"{alias}.value = ?", (fit(value),))
        case "contains":
            return Sql(f"{alias}.folded LIKE ? ESCAPE '\\'", (f"%{_like(value)}%",))
    return _prefixed(f"{alias}.folded", value)


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
    return join(parts, " AND ", "")


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


def _quantity(alias: str, item: x.Quantity) -> Sql:
    parts = [compare(alias, item.range)]
    if item.system is not None:
        parts.append(Sql(f"{alias}.system = ?", (system_number(item.system),)))
    if item.code is not None:
        code = fit(item.code)
        if item.system is None:
            parts.append(Sql(f"({alias}.code = ? OR {alias}.unit = ?)", (code, code)))
        else:
            parts.append(Sql(f"{alias}.code = ?", (code,)))
    return join(parts, " AND ", "")


def _uri(alias: str, mode: str, value: str) -> Sql:
    column = f"{alias}.value"
    exact = Sql(f"{column} = ?", (fit(value),))
    if mode == "below":
        return join([exact, _prefixed(column, value.rstrip("/") + "/")], " OR ", "")
    if mode == "above":
        parents = [value[:place] for place, character in enumerate(value) if character == "/"]
        candidates = dict.fromkeys([value, *parents, *(f"{item}/" for item in parents)])
        return is_in(column, tuple(fit(item) for item in candidates if item))
    return exact
