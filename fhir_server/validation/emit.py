"""Rules -> the Python source of the fast path: one boolean function for each node of a structure.

https://hl7.org/fhir/R4/validation.html
The functions answer only whether a value is faultless. The walker, which reads the same rules, says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

from fhir_server.validation.bindings import Codes, enforced
from fhir_server.validation.invariants import (
    item_conditions,
    node_conditions,
    resource_conditions,
)
from fhir_server.validation.native import PROSE
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.rules import Element, Kind, Rules
from fhir_server.validation.source import Source

_NOT_A_NAME = re.compile(r"\W", re.ASCII)
# Up to so many types a choice is read property by property; beyond, by a table over the properties present.
INLINE_CHOICE = 12


def function_name(key: str) -> str:
    """The name of the function of the node with that key; a profile's has a check sum, as its url is flattened."""
    name = _NOT_A_NAME.sub("_", key)
    return name if name == key.replace(".", "_") else f"{name}_{crc32(key.encode()):08x}"


def emit(structure: Mapping[str, Rules]) -> Source:
    """The source of all nodes of one structure."""
    (root, *_) = structure
    source = Source(function_name(root), structure)
    for rules in structure.values():
        _function(rules, source)
        if rules.resource:
            _whole(structure, source)
        source.add(1, "return own is None or own.all_used()" if rules.domain else "return True")
    return source


def _function(rules: Rules, source: Source) -> None:
    parameters = "o, s, T=ALL" if rules.type == "Reference" else "o, s"
    source.add(0, f"def {function_name(rules.key)}({parameters}):")
    if not rules.resource:
        source.add(1, "if type(o) is not dict: return False")
    source.add(1, f"n = {int(rules.resource)}")
    if rules.domain:
        _contained(source)
    for element in rules.elements:
        if element.name == "contained" and rules.domain:
            continue
        if _tabular(element):
            _table(element, rules, source)
        elif len(element.kinds) > 1:
            _choice(element, source)
        elif element.kinds:
            _single(element, element.kinds[0], source)
        if element.name == "id" and not rules.resource:
            source.add(1, "i = n")
    _ending(rules, source)


def _ending(rules: Rules, source: Source) -> None:
    siblings = source.constant("SIBLINGS", _siblings(rules), ("siblings", rules.key))
    source.add(1, f"if n != len(o) and not siblings(o, n, {siblings}, s): return False")
    if not rules.resource:
        # ele-1: an id alone is no content.
        source.add(1, "if len(o) == i: return False")
    if rules.type == "Reference":
        source.add(
            1,
            "v = o.get('reference')",
            "if ('type' in o or v is not None and v.partition('/')[0] not in T)"
            " and not refers(o, s, T): return False",
        )
    if rules.type == "Extension":
        # ext-1: beside id and url there is either an extension or a value.
        source.add(
            1,
            "if ('extension' in o) == (len(o) - i - ('extension' in o) > 1): return False",
            "seen.extensions += 1",
        )
    for condition in node_conditions(rules, source):
        source.add(1, f"if not {condition}: return False")
    for rule in PROSE.get(rules.key, ()):
        name = source.constant("PROSE", rule.holds, rule.name)
        source.add(1, f"if not {name}(o): return False")


def _whole(structure: Mapping[str, Rules], source: Source) -> None:
    for condition in resource_conditions(structure, source):
        source.add(1, f"if not {condition}: return False")


def _contained(source: Source) -> None:
    source.add(
        1,
        "own = None",
        "v = o.get('contained')",
        "if v is not None:",
        "    if s is not None: return False",
        "    s = own = scope_of(v)",
        "    if own is None or not contained(v, own): return False",
        "    n += 1",
    )


def _single(element: Element, kind: Kind, source: Source) -> None:
    source.add(1, f"v = o.get({kind.name!r})")
    if element.minimum:
        present = f"if '_{kind.name}' not in o: return False" if kind.sibling else "return False"
        source.add(1, "if v is None:", f"    {present}", "else:")
    else:
        source.add(1, "if v is not None:")
    _value(element, kind, source)
    source.add(2, "n += 1")


def _choice(element: Element, source: Source) -> None:
    source.add(1, "c = 0")
    for kind in element.kinds:
        source.add(1, f"v = o.get({kind.name!r})", "if v is not None:")
        _value(element, kind, source)
        source.add(2, "c += 1")
    source.add(1, "if c:", "    if c > 1: return False", "    n += 1")
    _required_choice(element, source)


def _required_choice(element: Element, source: Source) -> None:
    if element.minimum:
        present = " or ".join(f"'_{kind.name}' in o" for kind in element.kinds if kind.sibling)
        source.add(1, f"elif not ({present or 'False'}): return False")


def _tabular(element: Element) -> bool:
    return len(element.kinds) > INLINE_CHOICE and not any(
        kind.targets is not None or enforced(element.binding, element.path, kind.type)
        for kind in element.kinds
    )


def _table(element: Element, rules: Rules, source: Source) -> None:
    table = {}
    for kind in element.kinds:
        if kind.primitive:
            table[kind.name] = f"value_{kind.type}"
        else:
            source.calls.add(kind.type)
            table[kind.name] = function_name(kind.type)
    name = source.constant("TABLE", table, ("table", rules.key, element.path))
    source.add(
        1,
        "c = 0",
        "if n != len(o):",
        "    for k, v in o.items():",
        f"        f = {name}.get(k)",
        "        if f is not None:",
        "            if c or not G[f](v, s): return False",
        "            c = 1",
        "if c:",
        "    n += 1",
    )
    _required_choice(element, source)


def _value(element: Element, kind: Kind, source: Source) -> None:
    """The test of `v`, present, at depth 2."""
    codes = enforced(element.binding, element.path, kind.type)
    if not element.many:
        _item(element, kind, codes, source, "v", 2)
        return
    source.add(2, "if type(v) is not list or not v: return False")
    if element.minimum > 1:
        source.add(2, f"if len(v) < {element.minimum}: return False")
    if element.maximum is not None:
        source.add(2, f"if len(v) > {element.maximum}: return False")
    variable = "v" if kind.primitive else "x"
    source.add(2, f"for {variable} in v:")
    if kind.primitive and kind.sibling:
        source.add(3, "if v is None:", f"    if '_{kind.name}' not in o: return False", "else:")
        _item(element, kind, codes, source, variable, 4)
    else:
        _item(element, kind, codes, source, variable, 3)


def _item(
    element: Element, kind: Kind, codes: Codes | None, source: Source, variable: str, depth: int
) -> None:
    if kind.primitive:
        source.add(depth, f"if not ({_primitive(kind.type, codes, source)}): return False")
        for condition in item_conditions(element, kind, variable, source):
            source.add(depth, f"if not {condition}: return False")
        if kind.type in ("uri", "canonical", "url"):
            # dom-3: a contained resource may also be referred to by a canonical, uri or url.
            source.add(depth, "if s is not None and v[0] == '#': s.used.add(v)")
        return
    if kind.type == "Resource":
        source.add(depth, f"if not resource({variable}, None): return False")
        return
    source.calls.add(kind.type)
    arguments = f"{variable}, s"
    if kind.targets is not None:
        arguments += ", " + source.constant("TARGETS", kind.targets)
    source.add(depth, f"if not {function_name(kind.type)}({arguments}): return False")
    if codes is not None:
        bound = source.constant("BOUND", codes, ("bound", codes.value_set, element.path))
        method = "has_coding" if kind.type == "Coding" else "has_concept"
        source.add(depth, f"if not {bound}.{method}({variable}): return False")
    for condition in item_conditions(element, kind, variable, source):
        source.add(depth, f"if not {condition}: return False")


def _primitive(name: str, codes: Codes | None, source: Source) -> str:
    if codes is not None:
        if codes.grammar is None:
            return f"type(v) is str and v in {source.constant('CODES', codes.codes)}"
        bound = source.constant("BOUND", codes, ("bound", codes.value_set, len(codes.codes)))
        return f"{bound}.has_code(v)"
    if name == "xhtml":
        return "is_narrative(v)"
    quick = PRIMITIVES[name].quick
    exact = f"is_{name}(v)"
    return f"{quick} or {exact}" if quick else exact


def _siblings(rules: Rules) -> Mapping[str, tuple[str, bool, tuple[str, ...]]]:
    """`_name` -> (name, array, the other properties of its choice)."""
    return {
        f"_{kind.name}": (
            kind.name,
            element.many,
            tuple(other.name for other in element.kinds if other is not kind),
        )
        for element in rules.elements
        for kind in element.kinds
        if kind.sibling
    }
