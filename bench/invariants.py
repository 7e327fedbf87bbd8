"""Print what each invariant of R4 costs in the FHIRPath engine: python -m bench.invariants [--all]."""

from __future__ import annotations

import statistics
import sys
import time
import timeit
from typing import Any

from rich.console import Console
from rich.table import Table

from fhir_server.fhirpath import Environment, Expression, FhirPathError, Node, compile_expression
from fhir_server.spec import definitions

AIM = 5.0
VALUES: dict[str, Any] = {
    "boolean": True,
    "integer": 3,
    "positiveInt": 3,
    "unsignedInt": 3,
    "decimal": 3,
    "date": "2026-03-05",
    "dateTime": "2026-03-05T10:00:00Z",
    "instant": "2026-03-05T10:00:00Z",
    "time": "10:00:00",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Text</p></div>',
}


def sample(kind: str, depth: int = 0) -> Any:
    """A value of a type with each of its elements once, two levels deep."""
    if kind[0].islower() and "." not in kind:
        return VALUES.get(kind, "example")
    made: dict[str, Any] = {}
    if definitions.is_resource_type(kind):
        made["resourceType"] = kind
    chosen = set()
    for name, item in definitions.node_type(kind).properties.items():
        deep = depth > 1 and not item.primitive
        if deep or item.element in chosen or item.element in ("extension", "modifierExtension"):
            continue
        if item.type in ("Resource", "Extension"):
            continue
        chosen.add(item.element)
        value = sample(item.type, depth + 1)
        made[name] = [value] if item.many else value
    return made


def invariants() -> dict[tuple[str, str], str | None]:
    """(key, expression) -> a type that it stands on, None for a choice, for every invariant of R4's definitions."""
    found: dict[tuple[str, str], str | None] = {}
    for head in definitions.structures().values():
        for element in definitions.structure_by_id(head["id"])["snapshot"]:
            for constraint in element.get("constraint", ()):
                key = (constraint["key"], constraint["expression"])
                kind = _type_of(element)
                if found.get(key) in (None, "Extension"):
                    found[key] = kind
    return found


def _type_of(element: dict[str, Any]) -> str | None:
    path: str = element["path"]
    types = [item["code"] for item in element.get("type", ())]
    if "." not in path or types[:1] in (["BackboneElement"], ["Element"]):
        return path
    return types[0] if len(types) == 1 and not types[0].startswith("http") else None


def cost(expression: Expression, node: Node) -> float | None:
    """The least microseconds of an evaluation among several runs; None for one that needs what is not at hand."""
    environment = Environment(resource=node, root_resource=node)
    try:
        expression.evaluate(node, environment)
    except FhirPathError:
        return None
    timer = timeit.Timer(lambda: expression.evaluate(node, environment), timer=time.process_time)
    count = max(1, int(0.004 / max(timer.timeit(10) / 10, 1e-6)))
    return min(timer.repeat(5, count)) / count * 1e6


def main() -> None:
    """Measure and print: the summary, and every invariant (or those beyond the aim)."""
    console = Console()
    rows = []
    for (key, text), kind in sorted(invariants().items()):
        expression = compile_expression(text)
        micro = cost(expression, Node(sample(kind), kind)) if kind else None
        rows.append((key, kind, text, micro))
    costs = [cost for *_, cost in rows if cost is not None]
    table = Table("invariant", "on", "µs", "expression")
    for key, kind, text, micro in sorted(rows, key=lambda row: -(row[3] or 0)):
        if "--all" in sys.argv or (micro or 0) > AIM:
            table.add_row(key, kind, "-" if micro is None else f"{micro:.1f}", text[:80])
    console.print(table)
    within = sum(item <= AIM for item in costs)
    console.print(
        f"{len(rows)} invariants compile; {len(costs)} measured: median "
        f"{statistics.median(costs):.2f} µs, mean {statistics.mean(costs):.2f} µs, "
        f"{within} within {AIM:.0f} µs"
    )


if __name__ == "__main__":
    main()
