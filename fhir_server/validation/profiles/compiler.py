"""A profile's snapshot -> what it demands beyond the base: one small builder for each aspect of an ElementDefinition.

https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final, Protocol

from fhir_server.fhirpath import FhirPathError, compile_expression
from fhir_server.spec import definitions
from fhir_server.spec.definitions import STRUCTURE
from fhir_server.spec.parts import Part, tree
from fhir_server.spec.snapshots import Fault
from fhir_server.validation.errata import corrected
from fhir_server.validation.profiles.demands import Child, Demand, Profile, Slice, Slicing, Test
from fhir_server.validation.profiles.discriminators import tests_of
from fhir_server.validation.rules import Binding, Element, Invariant, Rules
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]

DEFAULT: Final = "@default"
_UNTOLD: Final = "cannot be told from other slices by its discriminator; constrain that"


class Structures(Protocol):
    """What compiling looks up."""

    def structure(self, canonical: str) -> Json | None:
        """The facts of a StructureDefinition, with a snapshot."""

    def expand(self, part: Part, path: str) -> None:
        """Give a part of a snapshot's tree the children of its type, when it has none."""


def compile_profile(structure: Json, structures: Structures, faults: list[Fault]) -> Profile:
    """The profile that a StructureDefinition with a snapshot is; faults gets what cannot be understood."""
    root = tree(structure["snapshot"])
    kind: str = structure["type"].removeprefix(STRUCTURE)
    compiler = _Compiler(structure["url"], structures, faults)
    return Profile(
        url=structure["url"],
        version=structure.get("version"),
        name=str(structure.get("name", structure["url"])),
        type=kind,
        abstract=bool(structure.get("abstract")),
        root=compiler.root(root, kind),
    )


class _Compiler:
    def __init__(self, url: str, structures: Structures, faults: list[Fault]) -> None:
        self._url = url
        self._structures = structures
        self._faults = faults

    def root(self, part: Part, kind: str) -> Demand:
        rules = _rules(kind)
        return self._demand(part, kind, rules, None)

    def _demand(self, part: Part, place: str, rules: Rules | None, base: Element | None) -> Demand:
        """What the part asks of one value; rules: the base rules of the value's type, when it has one type."""
        element = part.element
        fixed, pattern = (_value(element, name) for name in ("fixed", "pattern"))
        return Demand(
            place=place,
            types=_types(element, base),
            fixed=fixed,
            pattern=pattern,
            low=_value(element, "minValue"),
            high=_value(element, "maxValue"),
            longest=element.get("maxLength"),
            binding=_binding(element, base),
            invariants=self._invariants(element, place),
            profiles=_profiles(element, base),
            targets=_targets(element, base),
            aggregation=frozenset(
                mode for item in element.get("type", ()) for mode in item.get("aggregation", ())
            ),
            languages=tuple(element.get("languages", ())),
            children=tuple(self._children(part, place, rules)),
        )

    def _children(self, part: Part, place: str, rules: Rules | None) -> Iterator[Child]:
        if rules is None:
            return
        known = {element.name: element for element in rules.elements}
        for name, below in part.children.items():
            base = known.get(name.removesuffix("[x]"))
            if base is None:
                continue  # the value of a primitive, or what the snapshot has wrong
            child = self._child(below, f"{place}.{name}", base)
            if child is not None:
                yield child

    def _child(self, part: Part, place: str, base: Element) -> Child | None:
        minimum = int(part.element.get("min", 0))
        maximum = _maximum(part.element)
        each = self._demand(part, place, _below(part, base), base)
        slicing = self._slicing(part, place, base)
        narrower = minimum > base.minimum or (
            maximum is not None and (base.maximum is None or maximum < base.maximum)
        )
        if not narrower and each.empty and slicing is None:
            return None
        return Child(base, minimum, maximum, each, slicing)

    def _slicing(self, part: Part, place: str, base: Element) -> Slicing | None:
        given = part.element.get("slicing")
        if given is None or not (part.slices or given.get("rules") == "closed"):
            return None
        slices = []
        default = None
        for name, chosen in part.slices.items():
            label = f"{place}:{name}"
            each = self._demand(chosen, label, _below(chosen, base), base)
            if name == DEFAULT:
                default = each
                continue
            slices.append(
                Slice(
                    name=name,
                    minimum=int(chosen.element.get("min", 0)),
                    maximum=_maximum(chosen.element),
                    tests=self._tests(given, chosen, label),
                    each=each,
                    slicing=self._slicing(chosen, label, base),
                )
            )
        return Slicing(
            rules=given.get("rules", "open"),
            ordered=bool(given.get("ordered")),
            slices=tuple(self._told_apart(slices, place)),
            default=default,
        )

    def _told_apart(self, slices: list[Slice], place: str) -> Iterator[Slice]:
        """The slices; those whose tests are those of another one have none, as no value could be in one only."""
        asked = [
            [
                (test.type, test.path, test.exists, test.names, _core(test))
                for test in item.tests or ()
            ]
            for item in slices
        ]
        for item, tests in zip(slices, asked, strict=True):
            if tests and asked.count(tests) > 1:
                self._faults.append(
                    Fault(
                        f"{place}:{item.name}",
                        "has the discriminating values of another slice",
                        grave=False,
                    )
                )
                yield replace(item, tests=None)
            else:
                yield item

    def _tests(self, slicing: Json, part: Part, place: str) -> tuple[Test, ...] | None:
        def demand(target: Part, target_place: str, rules: Rules | None) -> Demand:
            return self._demand(target, target_place, rules, None)

        tests = tests_of(slicing, part, self._structures, demand, place)
        if not tests:
            self._faults.append(Fault(place, _UNTOLD, grave=False))
            return None
        return tests

    def _invariants(self, element: Json, place: str) -> tuple[Invariant, ...]:
        found = []
        for item in element.get("constraint", ()):
            if "expression" not in item or _is_base(element, item):
                continue
            invariant = Invariant(
                key=item["key"],
                severity=item.get("severity", "error"),
                expression=item["expression"],
                path=element["path"],
                best_practice=item.get("bestPractice", False),
            )
            try:
                compile_expression(invariant.expression)
            except FhirPathError as error:
                self._faults.append(
                    Fault(place, f"has the constraint {item['key']}, which cannot be read: {error}")
                )
                continue
            found.append(corrected(invariant))
        return tuple(found)


def _core(test: Test) -> Demand | None:
    """What a test asks, wherever it was said."""
    return None if test.wanted is None else replace(test.wanted, place="")


def _is_base(element: Json, constraint: Json) -> bool:
    """Whether a constraint comes from a base definition, whose rules ask it already."""
    head = definitions.structures().get(constraint.get("source", "").partition("|")[0])
    if head is not None and head.get("derivation") != "constraint":
        return True
    places = [element.get("base", element)["path"]]
    places += [item["code"] for item in element.get("type", ())]
    asked = (constraint["key"], constraint["expression"])
    return any(asked in _base_constraints(place) for place in places)


@cache
def _base_constraints(path: str) -> frozenset[tuple[str, str | None]]:
    """The key and expression of the constraints that R4 states at an element's path."""
    root = path.partition(".")[0]
    if STRUCTURE + root not in definitions.structures():
        return frozenset()
    element = definitions.element_definitions(root).get(path, {})
    return frozenset(
        (item["key"], item.get("expression")) for item in element.get("constraint", ())
    )


def _rules(key: str) -> Rules | None:
    try:
        return rules_of(key)
    except KeyError:
        return None


def _below(part: Part, base: Element) -> Rules | None:
    """The base rules of the values of a part, when they have one type."""
    if len(base.kinds) == 1 and base.kinds[0].type != "Resource":
        return _rules(base.kinds[0].type)
    codes = {item["code"] for item in part.element.get("type", ())}
    if len(codes) != 1:
        return _rules("Element")
    (code,) = codes
    for kind in base.kinds:
        if kind.type == code or kind.name.endswith(code[0].upper() + code[1:]):
            return _rules(kind.type)
    return _rules(code)


def _maximum(element: Json) -> int | None:
    maximum = element.get("max", "*")
    return None if maximum == "*" else int(maximum)


def _value(element: Json, stem: str) -> Any:
    return next((value for name, value in element.items() if name.startswith(stem)), None)


def _types(element: Json, base: Element | None) -> frozenset[str] | None:
    if base is None or "type" not in element:
        return None
    codes = frozenset(item["code"] for item in element["type"])
    if base.kinds and base.kinds[0].type == "Resource":
        return None if "Resource" in codes or not codes else codes
    if len(base.kinds) < 2 or len(codes) >= len(base.kinds):
        return None
    return codes


def _binding(element: Json, base: Element | None) -> Binding | None:
    given = element.get("binding")
    if given is None or "valueSet" not in given or given.get("strength") not in (
        "required", "extensible",
    ):  # fmt: skip
        return None
    maximum = given.get("maxValueSet")
    binding = Binding(given["strength"], given["valueSet"], maximum)
    known = base.binding if base is not None else None
    if known is not None and (
        known.value_set == binding.value_set.partition("|")[0]
        and known.strength == binding.strength
    ):
        return None
    return binding


def _profiles(element: Json, base: Element | None) -> Mapping[str, tuple[str, ...]] | None:
    found = {}
    for item in element.get("type", ()):
        if "profileElement" in item:
            continue  # what that element of the profile says is in the snapshot
        known = {kind.type for kind in base.kinds} if base is not None else set()
        profiles = [
            url for url in item.get("profile", ()) if url.removeprefix(STRUCTURE) not in known
        ]
        if profiles:
            found[item["code"]] = tuple(profiles)
    return found or None


def _targets(element: Json, base: Element | None) -> tuple[str, ...]:
    """The target profiles of a Reference, when the base does not allow the same."""
    profiles = tuple(
        url
        for item in element.get("type", ())
        if item["code"] == "Reference"
        for url in item.get("targetProfile", ())
    )
    if not profiles or STRUCTURE + "Resource" in profiles:
        return ()
    known: frozenset[str] = frozenset()
    for kind in base.kinds if base is not None else ():
        if kind.type == "Reference":
            known = kind.targets or frozenset()
    return () if frozenset(url.removeprefix(STRUCTURE) for url in profiles) == known else profiles
