"""The leaves of a search expression as conditions on a row of an index table.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Range
from fhir_server.search.extent import width
from fhir_server.search.narrower import kept
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit, system_number


class Sql(NamedTuple):
    """SQL text with one mark (?) for each value."""

    text: str
    values: tuple[Any, ...] = ()


def join(parts: list[Sql], word: str, empty: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Sql(empty)
    values: list[Any] = []
    for part in parts:
        values += part.values
    return Sql(f"({word.join([part.text for part in parts])})", tuple(values))


def one_of(column: str, values: tuple[Any, ...]) -> Sql:
    if len(values) == 1:
        return Sql(f"{column} = ?", values)
    if not values:
        return Sql("1 = 0")
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", values)


def numbered(column: str, parameters: tuple[int, ...], kinds: Collection[str] = ()) -> Sql:
    """An entry of one of those parameters; kinds: the types of targets, if only references to those are looked for.

    The numbers are in the text, as a plan that is kept has to go by which they are.
    """
    numbers = kept(parameters, kinds)
    if len(numbers) == 1:
        return Sql(f"{column} = {int(numbers[0])}")
    if not numbers:
        return Sql("1 = 0")
    return Sql(f"{column} IN ({', '.join([str(int(item)) for item in numbers])})")


def leaf(expression: Expression, alias: str) -> tuple[str, Sql] | None:
    """The index table of a leaf and the condition on its row, or None for what is not one."""
    match expression:
        case x.TokenMatch(parameters, tokens):
            return "token", _conditions(
                alias, parameters, _tokens(tokens, f"{alias}.code", f"{alias}.system")
            )
        case x.StringMatch(parameters, mode, values):
            columns = (f"{alias}.folded", f"{alias}.value")
            found = join([_string(*columns, mode, value) for value in values], " OR ", "1 = 0")
            return "string", _conditions(alias, parameters, found)
        case x.ReferenceMatch(parameters, targets):
            named = numbered(f"{alias}.parameter", parameters, _kinds(targets))
            return "reference", join([named, _targets(alias, targets)], " AND ", "")
        case x.DateMatch(parameters, ranges):
            found = join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "date", _conditions(alias, parameters, found)
        case x.DateWindow(parameters, ranges):
            most = max((width(number) or 0 for number in parameters), default=0)
            conditions = [compare(alias, item) for item in ranges]
            if most:
                conditions = [
                    condition for item in ranges for condition in within(alias, item, most)
                ] + conditions
            return "date", _conditions(alias, parameters, join(conditions, " AND ", "1 = 1"))
        case x.NumberMatch(parameters, ranges):
            found = join([compare(alias, item) for item in ranges], " OR ", "1 = 0")
            return "number", _conditions(alias, parameters, found)
        case x.QuantityMatch(parameters, quantities):
            found = join([_quantity(alias, item) for item in quantities], " OR ", "1 = 0")
            return "quantity", _conditions(alias, parameters, found)
        case x.UriMatch(parameters, mode, values, version):
            found = join([_uri(f"{alias}.value", mode, value) for value in values], " OR ", "1 = 0")
            if version:
                found = join([found, Sql(f"{alias}.version = ?", (fit(version),))], " AND ", "")
            return "uri", _conditions(alias, parameters, found)
        case x.Near(parameters):
            return "position", _conditions(alias, parameters, _near(alias, expression))
        case x.CompositeMatch(parameters, parts):
            found = join(
                [_part(alias, place, part) for place, part in enumerate(parts, 1)], " AND ", ""
            )
            return "composite", _conditions(alias, parameters, found)
        case x.Other(inner):
            found_leaf = leaf(inner, alias)
            assert found_leaf is not None
            table, passed = found_leaf
            failed = Sql(f"NOT ({passed.text})", passed.values)
            return table, _conditions(alias, inner.parameters, failed)
        case x.Present(table, parameters) if table != "words":
            return table, numbered(f"{alias}.parameter", parameters)
    return None


def _conditions(alias: str, parameters: tuple[int, ...], found: Sql) -> Sql:
    return join([numbered(f"{alias}.parameter", parameters), found], " AND ", "")


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
        found = one_of(code_column, tuple(codes))
        if system is not None:
            named = Sql(f"{system_column} = ?", (system_number(system),))
            found = join([found, named], " AND ", "")
        whole.append(found)
    return join(whole, " OR ", "1 = 0")


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
            return join([_string(text, text, mode, value) for value in values], " OR ", "1 = 0")
        case x.ReferenceMatch(_, targets):
            return join(
                [_composite_target(text, system, item) for item in targets], " OR ", "1 = 0"
            )
        case x.DateMatch(_, ranges) | x.NumberMatch(_, ranges):
            return join([compare(alias, item, low, high) for item in ranges], " OR ", "1 = 0")
        case x.QuantityMatch(_, quantities):
            columns = (low, high, text, system, f"{alias}.unit{place}")
            return join([_quantity(alias, item, *columns) for item in quantities], " OR ", "1 = 0")
        case x.UriMatch(_, mode, values):
            return join([_uri(text, mode, value) for value in values], " OR ", "1 = 0")
    raise AssertionError(part)


def _composite_target(text: str, system: str, target: x.Target) -> Sql:
    if target.url:
        return Sql(f"({text} = ? AND {system} = -1)", (fit(target.url),))
    if target.target_type is None:
        return Sql(f"({text} = ? AND {system} >= 0)", (target.target_id,))
    number = type_numbers().get(target.target_type, -2)
    return Sql(f"({text} = ? AND {system} = ?)", (target.target_id, number))


def like(text: str) -> str:
    """The text as part of the pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _string(folded: str, written: str, mode: str, value: str) -> Sql:
    match mode:
        case "exact":
            return Sql(f"{written} = ?", (fit(value),))
        case "equals":
            return Sql(f"{folded} = ?", (fit(value),))
        case "contains":
            return Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"%{like(value)}%",))
        case "ends":
            return Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"%{like(value)}",))
        case "words":
            inside = Sql(f"{folded} LIKE ? ESCAPE '\\'", (f"% {like(value)}%",))
            return join([_prefixed(folded, value), inside], " OR ", "")
    return _prefixed(folded, value)


def _prefixed(column: str, value: str) -> Sql:
    """Starts-with as a range that the index serves."""
    return Sql(f"({column} >= ? AND {column} < ?)", (value, value + "\U0010ffff"))


def _kinds(targets: tuple[x.Target, ...]) -> Collection[str]:
    """The types that the targets name, if each of them does."""
    found = {target.target_type or "" for target in targets}
    return () if "" in found else found


def _targets(alias: str, targets: tuple[x.Target, ...]) -> Sql:
    """One IN for the ids of each type: a list of hundreds stays one index scan."""
    by_type: dict[str | None, list[str]] = {}
    found: list[Sql] = []
    for target in targets:
        if target.url or target.version:
            found.append(_target(alias, target))
        elif not target.target_id:
            number = type_numbers().get(target.target_type or "", -1)
            found.append(Sql(f"{alias}.url = '' AND {alias}.target_type = ?", (number,)))
        else:
            by_type.setdefault(target.target_type, []).append(target.target_id)
    for name, ids in by_type.items():
        parts = [one_of(f"{alias}.target_id", tuple(ids)), Sql(f"{alias}.url = ''")]
        if name is not None:
            parts.append(Sql(f"{alias}.target_type = ?", (type_numbers().get(name, -1),)))
        found.append(join(parts, " AND ", ""))
    return join(found, " OR ", "1 = 0")


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


def within(alias: str, wanted: Range, most: int) -> list[Sql]:
    """Bounds of the low end that follow from a comparison and the most that a value covers, for an index by low."""
    low, first, last = f"{alias}.low", wanted.low, wanted.high
    match wanted.prefix:
        case "eq":
            return [Sql(f"{low} >= ? AND {low} <= ?", (first, last))]
        case "gt":
            return [Sql(f"{low} > ?", (last - most,))]
        case "ge":
            return [Sql(f"{low} >= ?", (min(first, last - most),))]
        case "sa":
            return [Sql(f"{low} >= ?", (last,))]
        case "lt" | "eb":
            return [Sql(f"{low} <= ?", (first,))]
        case "le":
            return [Sql(f"{low} <= ?", (last,))]
        case "ap":
            return [Sql(f"{low} < ? AND {low} > ?", (last, first - most))]
    return []


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
    return join(parts, " AND ", "")


def _uri(column: str, mode: str, value: str) -> Sql:
    exact = Sql(f"{column} = ?", (fit(value),))
    if mode == "below":
        return join([exact, _prefixed(column, value.rstrip("/") + "/")], " OR ", "")
    if mode == "above":
        parents = [value[:place] for place, character in enumerate(value) if character == "/"]
        candidates = dict.fromkeys([value, *parents, *(f"{item}/" for item in parents)])
        return one_of(column, tuple(fit(item) for item in candidates if item))
    return exact
