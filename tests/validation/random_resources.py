"""Random resources by the rules, and random damage to them."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from fhir_server.spec.json_format import FhirDecimal
from fhir_server.validation.bindings import enforced
from fhir_server.validation.rules import Element, Kind, Rules
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]

GOOD: dict[str, tuple[Any, ...]] = {
    "base64Binary": ("AAAA", "YQ==", "YW Jj\n"),
    "boolean": (True, False),
    "canonical": ("http://example.org/x|1", "#a"),
    "code": ("abc", "a b", "en"),
    "date": ("2026", "2026-02", "2024-02-29"),
    "dateTime": ("2026", "2026-03-31T10:00:60+14:00", "2026-03-05T10:00:00.12Z"),
    "decimal": (FhirDecimal("1.00"), 0, FhirDecimal("1E-7"), -5),
    "id": ("a", "A-1.b"),
    "instant": ("2026-03-31T10:00:60+14:00", "2026-03-05T10:00:00.123456789Z"),
    "integer": (-2147483648, 0, 7),
    "markdown": ("*x*\n\ny", " a "),
    "oid": ("urn:oid:1.2.840",),
    "positiveInt": (1, 2147483647),
    "string": ("x", "zwei Wörter", "a\u00a0b", "a\tb"),
    "time": ("23:59:60", "00:00:00.5"),
    "unsignedInt": (0, 3),
    "uri": ("http://example.org/a", "urn:oid:2.16", "#a", "x"),
    "url": ("https://example.org", "#a"),
    "uuid": ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520",),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">x</div>',),
}
BAD: tuple[Any, ...] = (
    None, "", " ", "\n", [], {}, [None], [[]], [{}], {"id": "x"}, {"foo": 1}, "open", "a  b", " a", "#nope",
    True, 0, -1, 2147483648, 1.5, FhirDecimal("-0"), "true", "2026-02-30", "2026-13-01", "0000-01-01",
    "2026-02-30T10:00:00Z", "2026-03-05T10:00Z", "2026-03-05T10:00:00", "2026-03-05T10:00:00+14:01", "24:00:00",
    "urn:uuid:C757873D-ec9a-4326-a141-556f43239520", "urn:oid:3.1", "a\u000bb", "====", "YQ=", "x" * 65,
    {"reference": "Binary/1"}, {"reference": "#"}, {"reference": "Nope/1", "type": "Patient"}, {"text": "x"},
    [{"url": "http://x.org", "valueString": "a", "valueCode": "b"}], [{"url": "http://x.org"}],
    {"coding": [{"system": "http://x.org", "code": "a"}]}, ["a", None], [None, None],
)  # fmt: skip


def _codes(element: Element, kind: Kind, random: Random) -> Any:
    codes = enforced(element.binding, element.path, kind.type)
    if codes is None:
        return None
    if codes.grammar is not None:
        code = {"urn:ietf:bcp:13": "text/plain", "urn:iso:std:iso:4217": "GBP"}.get(
            codes.grammar.system, "en"
        )
        coding = {"system": codes.grammar.system, "code": code}
    else:
        system, code = random.choice(sorted(codes.pairs))
        coding = {"system": system, "code": code}
    return code if kind.primitive else {"coding": [coding]}


def _value(element: Element, kind: Kind, random: Random, depth: int) -> Any:
    code = _codes(element, kind, random)
    if code is not None:
        return code
    if kind.primitive:
        return random.choice(GOOD[kind.type])
    if kind.type == "Resource":
        return resource(random.choice(("Slot", "Patient", "Basic", "Binary")), random, depth + 2)
    if kind.type == "Reference":
        target = random.choice(sorted(kind.targets)) if kind.targets else "Patient"
        text = random.choice((f"{target}/1", f"https://x.org/fhir/{target}/1", f"{target}?a=b"))
        return {"reference": "#a" if random.random() < 0.03 else text}
    return node(rules_of(kind.type), random, depth + 1)


def node(rules: Rules, random: Random, depth: int = 0) -> Json:
    """A value of that type, as good as the rules without the invariants can make it."""
    made: Json = {}
    for element in rules.elements:
        if not element.kinds or element.name == "contained":
            continue
        likely = 0.25 if depth < 2 else 0.03
        if not element.minimum and random.random() > likely:
            continue
        kind = random.choice(element.kinds)
        if element.name == "extension" and depth > 3:
            continue
        if element.many:
            count = max(element.minimum, random.randint(1, 2))
            made[kind.name] = [_value(element, kind, random, depth) for _ in range(count)]
        else:
            made[kind.name] = _value(element, kind, random, depth)
        if kind.sibling and random.random() < 0.15:
            _attach(made, kind, element.many, random)
    if rules.type == "Extension":
        made.pop("extension", None)
        if not any(name.startswith("value") for name in made):
            made["valueString"] = "x"
    if not made.keys() - {"id"}:
        made["extension"] = [{"url": "http://x.org", "valueCode": "a"}]
    return made


def _attach(made: Json, kind: Kind, many: bool, random: Random) -> None:
    sibling = {"extension": [{"url": "http://x.org", "valueString": "x"}]}
    if not many:
        made["_" + kind.name] = sibling
        if random.random() < 0.5:
            del made[kind.name]
    else:
        made["_" + kind.name] = [sibling for _ in made[kind.name]]
        made[kind.name][0] = None


def resource(resource_type: str, random: Random, depth: int = 0) -> Json:
    """A resource of that type; with a contained one sometimes."""
    made: Json = {"resourceType": resource_type, **node(rules_of(resource_type), random, depth)}
    if rules_of(resource_type).domain and random.random() < 0.3 and depth == 0:
        inside = resource("Basic", random, 2)
        inside["id"] = "a"
        inside.pop("meta", None)
        made["contained"] = [inside]
        if random.random() < 0.7:
            used = {"url": "http://x.org", "valueReference": {"reference": "#a"}}
            made.setdefault("extension", []).append(used)
    return made


def damage(value: Json, random: Random) -> Json:
    """A copy with one thing changed somewhere."""
    made = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []
    pending: list[Any] = [made]
    while pending:
        item = pending.pop()
        for key, child in list(item.items() if isinstance(item, dict) else enumerate(item)):
            places.append((item, key))
            if isinstance(child, (dict, list)):
                pending.append(child)
    parent, key = random.choice(places)
    match random.randrange(7):
        case 0:
            del parent[key]
        case 1:
            parent[key] = [parent[key]]
        case 2 if isinstance(parent[key], list) and parent[key]:
            parent[key] = parent[key][0]
        case 3 if isinstance(parent, dict):
            parent["_" + key] = random.choice(
                (
                    {"id": "x"},
                    {"extension": []},
                    [None],
                    {"extension": [{"url": "a", "valueCode": "a"}]},
                    {},
                )
            )
        case 4 if isinstance(parent, dict):
            _, other_key = random.choice(places)
            parent[other_key if isinstance(other_key, str) else "value"] = copy.deepcopy(
                parent[key]
            )
        case 5 if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        case _:
            parent[key] = copy.deepcopy(random.choice(BAD))
    return made
