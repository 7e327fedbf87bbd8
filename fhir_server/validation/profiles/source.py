"""A profile's demands -> the Python source of its fast path: one boolean function for each node that it looks into.

https://hl7.org/fhir/R4/profiling.html
The functions are asked of values that keep their base rules. What is rare (choices that are sliced, resliced, ordered,
values with only extensions) they leave to the walker.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_server.fhirpath.node import type_is
from fhir_server.spec.definitions import STRUCTURE
from fhir_server.validation.invariants import is_asked
from fhir_server.validation.profiles.demands import Child, Demand, Profile, Slice, Slicing, Test
from fhir_server.validation.rules import Kind, Rules
from fhir_server.validation.snapshot import rules_of

_SCALARS: Final = (str, bool)


@dataclass(slots=True)
class ProfileSource:
    """Source in the making: lines of functions D0 (the root), D1, ..., and the constants that they read."""

    lines: list[str] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    _functions: int = 0

    def constant(self, value: Any) -> str:
        """The name under which the source reads a value."""
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name

    def function(self, demand: Demand, rules: Rules | None) -> str:
        """The name of the function for what stands below a value; its source is added."""
        name = f"D{self._functions}"
        self._functions += 1
        body: list[str] = []
        for child in demand.children:
            body += self._child(child, rules)
        self.lines += [f"def {name}(o, r):", *(f"    {line}" for line in body), "    return True"]
        return name

    def _child(self, child: Child, rules: Rules | None) -> list[str]:
        kinds = child.element.kinds
        if rules is not None and _asks_of_extensions_only_where_they_are(child):
            # What stands below a primitive is in its sibling.
            alone = replace(child, each=replace(child.each, children=()))
            return [
                *self._one(alone, kinds[0]),
                f"if '_{kinds[0].name}' in o and not walk({self.constant(child)}, o, r): return False",
            ]
        if not _is_plain(child) or rules is None:
            return [f"if not walk({self.constant(child)}, o, r): return False"]
        if len(kinds) > 1:
            return self._choice(child)
        (kind,) = kinds
        if child.element.many:
            return self._many(child, kind)
        return self._one(child, kind)

    def _one(self, child: Child, kind: Kind) -> list[str]:
        lines = [f"v = o.get({kind.name!r})"]
        absent = f"v is None and '_{kind.name}' not in o" if kind.sibling else "v is None"
        if child.minimum:
            lines.append(f"if {absent}: return False")
        if child.maximum == 0:
            lines.append(f"if not ({absent}): return False")
            return lines
        tests = self.tests(child.each, kind, "v")
        if tests:
            if kind.sibling and (child.each.fixed is not None or child.each.pattern is not None):
                lines.append(f"if v is None and '_{kind.name}' in o: return False")
            lines += ["if v is not None:", *(f"    {line}" for line in tests)]
        return lines

    def _choice(self, child: Child) -> list[str]:
        kinds = child.element.kinds
        allowed = [kind for kind in kinds if _is_allowed(kind, child.each)]
        if child.maximum == 0:
            allowed = []
        others = [kind for kind in kinds if kind not in allowed]
        lines = []
        if child.minimum:
            names = " or ".join(f"{name!r} in o" for kind in allowed for name in _names(kind))
            lines.append(f"if not ({names or 'False'}): return False")
        elif others:
            names = self.constant(frozenset(name for kind in others for name in _names(kind)))
            lines.append(f"if not {names}.isdisjoint(o): return False")
        for kind in allowed:
            tests = self.tests(child.each, kind, "v")
            if not tests:
                continue
            if kind.sibling and (child.each.fixed is not None or child.each.pattern is not None):
                present = f"'_{kind.name}' in o and {kind.name!r} not in o"
                lines.append(f"if {present}: return False")
            lines += [
                f"v = o.get({kind.name!r})",
                "if v is not None:",
                *(f"    {line}" for line in tests),
            ]
        return lines

    def _many(self, child: Child, kind: Kind) -> list[str]:
        lines = [f"v = o.get({kind.name!r})"]
        if kind.sibling:
            count = f"len(v) if v is not None else len(o.get('_{kind.name}', ()))"
        else:
            count = "len(v) if v is not None else 0"
        if child.minimum or child.maximum is not None:
            lines.append(f"n = {count}")
            if child.minimum:
                lines.append(f"if n < {child.minimum}: return False")
            if child.maximum is not None:
                lines.append(f"if n > {child.maximum}: return False")
        tests = self.tests(child.each, kind, "x")
        slicing = child.slicing
        if slicing is not None:
            names = [f"c{number}" for number in range(len(slicing.slices))]
            if names:
                lines.append(f"{' = '.join(names)} = 0")
            tests += self._sliced(slicing, kind)
        if tests:
            lines += ["if v is not None:", "    for x in v:"]
            if kind.primitive:
                asked = child.each.fixed is not None or child.each.pattern is not None
                lines += [f"        if x is None: {'return False' if asked else 'continue'}"]
            lines += [f"        {line}" for line in tests]
        for number, item in enumerate(slicing.slices if slicing is not None else ()):
            if item.minimum:
                lines.append(f"if c{number} < {item.minimum}: return False")
            if item.maximum is not None:
                lines.append(f"if c{number} > {item.maximum}: return False")
        return lines

    def _sliced(self, slicing: Slicing, kind: Kind) -> list[str]:
        rules = rules_of(kind.type)
        lines = ["k = 0"]
        for number, item in enumerate(slicing.slices):
            if item.tests is None:
                continue
            asked = " and ".join(self._test(test, rules) for test in item.tests)
            lines += [f"if {asked}:", "    k += 1", f"    c{number} += 1"]
            lines += [f"    {line}" for line in self.tests(item.each, kind, "x")]
        if len(slicing.slices) > 1:
            lines.append("if k > 1: return False")
        if slicing.rules == "closed":
            lines.append("if k == 0: return False")
        return lines

    def _test(self, test: Test, rules: Rules) -> str:
        assert test.wanted is not None
        wanted = test.wanted.fixed if test.wanted.fixed is not None else test.wanted.pattern
        if test.path == "$this":
            return f"fits(x, {self.constant(wanted)})"
        return _along("x", test.path.split("."), rules, wanted)

    def tests(self, demand: Demand, kind: Kind, item: str) -> list[str]:
        """What is asked of a value that is there."""
        lines = []
        if demand.fixed is not None:
            if isinstance(demand.fixed, _SCALARS):
                lines.append(f"if {item} != {demand.fixed!r}: return False")
            else:
                lines.append(f"if not same({item}, {self.constant(demand.fixed)}): return False")
        if demand.pattern is not None:
            lines.append(f"if not fits({item}, {self.constant(demand.pattern)}): return False")
        if demand.low is not None:
            lines.append(f"if below({item}, {self.constant(demand.low)}): return False")
        if demand.high is not None:
            lines.append(f"if below({self.constant(demand.high)}, {item}): return False")
        if demand.longest is not None:
            lines.append(f"if len({item}) > {demand.longest}: return False")
        rest = _left_to_the_walker(demand)
        if rest is not None:
            asked = f"not value({self.constant(rest)}, {item}, {kind.type!r}, r)"
            url = _own_url(rest)
            if url is not None:
                # Every extension is held to its definition anyway.
                asked = f"{item}.get('url') != {url!r} and {asked}"
            lines.append(f"if {asked}: return False")
        if demand.children:
            name = self.function(demand, rules_of(kind.type))
            lines.append(f"if not {name}({item}, r): return False")
        return lines


def _own_url(demand: Demand) -> str | None:
    """The url of the one extension whose definition is all that is asked of a value."""
    urls = (demand.profiles or {}).get("Extension", ())
    if len(urls) == 1 and demand == Demand(demand.place, profiles=demand.profiles):
        return urls[0].partition("|")[0]
    return None


def _left_to_the_walker(demand: Demand) -> Demand | None:
    """The part of a demand that only the walker's functions can decide, if any of it can be an error."""
    binding = demand.binding
    if binding is not None and binding.strength != "required" and binding.maximum is None:
        binding = None
    invariants = tuple(
        item for item in demand.invariants if is_asked(item) and item.severity == "error"
    )
    rest = Demand(
        demand.place,
        binding=binding,
        invariants=invariants,
        profiles=demand.profiles,
        targets=demand.targets,
        aggregation=demand.aggregation,
        languages=demand.languages,
    )
    return None if rest.empty else rest


def _asks_of_extensions_only_where_they_are(child: Child) -> bool:
    """Whether a primitive with demands on what is below it needs nothing below it."""
    (kind, *others) = child.element.kinds or (None,)
    if kind is None or others or not (kind.primitive and kind.sibling and child.each.children):
        return False
    alone = replace(child, each=replace(child.each, children=()))
    return (
        not child.element.many
        and _is_plain(alone)
        and all(
            item.minimum == 0
            and (item.slicing is None or all(one.minimum == 0 for one in item.slicing.slices))
            for item in child.each.children
        )
    )


def _is_plain(child: Child) -> bool:
    """Whether the source can hold it: one type, values that are looked into as they are, slices told by texts."""
    if len(child.element.kinds) > 1:
        return _is_plain_choice(child)
    (kind,) = child.element.kinds
    if child.each.types is not None:
        return False
    if kind.type == "Resource" or (kind.primitive and (child.each.children or child.slicing)):
        return False
    if kind.primitive and kind.sibling and child.each.invariants:
        return False
    slicing = child.slicing
    if slicing is None:
        return True
    return (
        child.element.many
        and not slicing.ordered
        and slicing.rules != "openAtEnd"
        and slicing.default is None
        and all(_is_plain_slice(item, kind) for item in slicing.slices)
    )


def _is_plain_choice(child: Child) -> bool:
    """A choice that is not sliced, and whose values are not looked into unless there is one type of them."""
    if child.slicing is not None or child.element.many:
        return False
    allowed = [kind for kind in child.element.kinds if _is_allowed(kind, child.each)]
    if any(kind.primitive and kind.sibling for kind in allowed) and child.each.invariants:
        return False
    return not child.each.children or (len(allowed) == 1 and not allowed[0].primitive)


def _is_allowed(kind: Kind, demand: Demand) -> bool:
    return demand.types is None or any(
        type_is(kind.type, name.removeprefix(STRUCTURE)) for name in demand.types
    )


def _names(kind: Kind) -> tuple[str, ...]:
    return (kind.name, "_" + kind.name) if kind.sibling else (kind.name,)


def _is_plain_slice(item: Slice, kind: Kind) -> bool:
    return (
        item.slicing is None
        and item.each.types is None
        and item.tests is not None
        and all(_is_plain_test(test, kind) for test in item.tests)
    )


def _is_plain_test(test: Test, kind: Kind) -> bool:
    if test.type not in ("value", "pattern") or test.wanted is None:
        return False
    wanted = test.wanted
    value = wanted.fixed if wanted.fixed is not None else wanted.pattern
    if wanted != Demand(wanted.place, fixed=wanted.fixed, pattern=wanted.pattern) or value is None:
        return False
    if wanted.fixed is not None and wanted.pattern is not None:
        return False
    if test.path == "$this":
        return wanted.pattern is not None
    if not isinstance(value, str):
        return False
    rules = rules_of(kind.type)
    names = test.path.split(".")
    for name in names:
        found = next((item for item in rules.elements if item.name == name), None)
        if found is None or len(found.kinds) != 1 or found.kinds[0].type == "Resource":
            return False
        if name != names[-1]:
            if found.kinds[0].primitive:
                return False
            rules = rules_of(found.kinds[0].type)
        elif not found.kinds[0].primitive:
            return False
    return True


def _along(item: str, names: list[str], rules: Rules, wanted: str) -> str:
    """Whether some value along a path is the wanted text."""
    name, *rest = names
    element = next(one for one in rules.elements if one.name == name)
    (kind,) = element.kinds
    if not rest:
        if element.many:
            return f"{wanted!r} in {item}.get({name!r}, ())"
        return f"{item}.get({name!r}) == {wanted!r}"
    inner = rules_of(kind.type)
    below = f"{item}y"
    if element.many:
        return f"any({_along(below, rest, inner, wanted)} for {below} in {item}.get({name!r}, ()))"
    return _along(f"({item}.get({name!r}) or {{}})", rest, inner, wanted)


def emit_profile(profile: Profile) -> tuple[ProfileSource, str]:
    """The source of a profile, and the name of the function of its root."""
    source = ProfileSource()
    return source, source.function(profile.root, rules_of(profile.type))
