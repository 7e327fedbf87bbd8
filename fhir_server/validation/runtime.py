"""What the generated source calls: resources inside resources, `_x` siblings, local references.

https://hl7.org/fhir/R4/references.html#contained, https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.spec import definitions
from fhir_server.spec.json_format import FhirDecimal
from fhir_server.spec.narrative import narrative_faults
from fhir_server.validation.primitives import PRIMITIVES, is_string, quick_instant
from fhir_server.validation.references import target_fault

Json = dict[str, Any]
Namespace = dict[str, Any]
RESOURCE_TYPES: Final = frozenset(definitions.resource_types())
Siblings = Mapping[str, tuple[str, bool, tuple[str, ...]]]


class Scope:
    """The contained resources of one container, and the local references seen so far."""

    __slots__ = ("types", "used")

    def __init__(self, types: dict[str, str]) -> None:
        self.types = types
        self.used: set[str] = set()

    def all_used(self) -> bool:
        """dom-3: every contained resource is referred to."""
        return self.used >= self.types.keys()


def scope_of(contained: object) -> Scope | None:
    """The scope of a `contained` value: each with a type and an id of its own; None when that is not so."""
    if type(contained) is not list or not contained:
        return None
    types = {}
    for item in contained:
        if type(item) is not dict:
            return None
        name, identifier = item.get("resourceType"), item.get("id")
        if type(name) is not str or type(identifier) is not str:
            return None
        types["#" + identifier] = name
    return Scope(types) if len(types) == len(contained) else None


def _refers(reference: Json, scope: Scope | None, targets: frozenset[str]) -> bool:
    text = reference.get("reference")
    types: dict[str, str] = {}
    if scope is not None:
        types = scope.types
    if text is not None and text[0] == "#":
        if text != "#" and text not in types:
            return False
        if scope is not None:
            scope.used.add(text)
    return target_fault(reference, targets, types) is None


def _unlabelled(meta: object) -> bool:
    """dom-4 and dom-5 for the meta of a contained resource."""
    return type(meta) is not dict or not (
        "versionId" in meta
        or "_versionId" in meta
        or "lastUpdated" in meta
        or "_lastUpdated" in meta
        or "security" in meta
    )


def _is_narrative(value: object) -> bool:
    return type(value) is str and value != "" and not narrative_faults(value)


def _distinct(values: list[str]) -> bool:
    return len(set(values)) == len(values)


def _single(values: list[Any]) -> Any:
    """The one value of a path, None when there is none or there are several."""
    return values[0] if len(values) == 1 else None


class Seen(threading.local):
    """What the functions met in the resource that a thread checks: extensions are looked for until all are found.

    extensions: how many; within: identity of a resource -> how many are in it, and in the resources inside it.
    """

    def __init__(self) -> None:
        self.extensions = 0
        self.within: dict[int, int] = {}


class Runtime:
    """The functions behind the generated ones; function_of gives the function of a resource type or datatype."""

    def __init__(self, function_of: Callable[[str], Callable[..., bool]]) -> None:
        self._function_of = function_of
        self.seen = Seen()

    def resource(self, value: object, scope: Scope | None) -> bool:
        """Whether it is a faultless resource of the type that it names."""
        if type(value) is not dict:
            return False
        name = value.get("resourceType")
        if type(name) is not str or name not in RESOURCE_TYPES:
            return False
        seen = self.seen
        before = seen.extensions
        if not self._function_of(name)(value, scope):
            return False
        if seen.extensions != before:
            seen.within[id(value)] = seen.extensions - before
        return True

    def contained(self, items: list[Json], scope: Scope) -> bool:
        """Whether the contained resources are faultless; notes those that refer to their container."""
        for item in items:
            scope.used.discard("#")
            if not _unlabelled(item.get("meta")) or not self.resource(item, scope):
                return False
            if "#" in scope.used:
                scope.used.add("#" + item["id"])
        return True

    def siblings(self, value: Json, count: int, known: Siblings, scope: Scope | None) -> bool:
        """Whether the `_x` properties are faultless and, with count others, all that there are."""
        for name, item in value.items():
            if name not in known:
                continue
            plain, many, others = known[name]
            if any(other in value or "_" + other in value for other in others):
                return False
            present = value.get(plain)
            if many:
                if not self._aligned(item, present, scope):
                    return False
            elif not self._element(item, scope, valued=present is not None):
                return False
            count += 1
        return count == len(value)

    def _aligned(self, value: object, present: Any, scope: Scope | None) -> bool:
        if type(value) is not list or not value:
            return False
        if present is not None and len(present) != len(value):
            return False
        for index, item in enumerate(value):
            valued = present is not None and present[index] is not None
            if not (valued if item is None else self._element(item, scope, valued=valued)):
                return False
        return True

    def _element(self, value: object, scope: Scope | None, *, valued: bool) -> bool:
        if type(value) is not dict or not value:
            return False
        found = 0
        if "id" in value:
            if not is_string(value["id"]):
                return False
            found = 1
        if "extension" in value:
            items = value["extension"]
            check = self._function_of("Extension")
            if (
                type(items) is not list
                or not items
                or not all(check(item, scope) for item in items)
            ):
                return False
            found += 1
        elif not valued:
            return False
        return found == len(value)

    def globals(self) -> Namespace:
        """The globals that the generated functions start with."""
        made: Namespace = {
            "ALL": RESOURCE_TYPES,
            "FhirDecimal": FhirDecimal,
            "quick_instant": quick_instant,
            "resource": self.resource,
            "contained": self.contained,
            "siblings": self.siblings,
            "scope_of": scope_of,
            "refers": _refers,
            "seen": self.seen,
        }
        made |= {
            "is_narrative": _is_narrative,
            "distinct": _distinct,
            "single": _single,
        }
        made |= {f"is_{name}": primitive.test for name, primitive in PRIMITIVES.items()}
        made |= {f"value_{name}": _checker(name) for name in PRIMITIVES}
        made["G"] = made
        return made


def _checker(name: str) -> Callable[[object, Scope | None], bool]:
    test = PRIMITIVES[name].test
    if name not in ("uri", "canonical", "url"):
        return lambda value, _: test(value)

    def uri(value: object, scope: Scope | None) -> bool:
        if not test(value):
            return False
        if scope is not None and isinstance(value, str) and value[0] == "#":
            scope.used.add(value)
        return True

    return uri
