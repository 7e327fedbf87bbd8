"""One ElementDefinition of a differential over that of the base (https://hl7.org/fhir/R4/profiling.html#profiling)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.spec.definitions import STRUCTURE, is_a

Json = dict[str, Any]

# What the differential says stands for what the base said; the rest is inherited.
_REPLACED: Final = (
    "min", "max", "type", "binding", "maxLength", "mustSupport", "isModifier", "isSummary", "slicing",
    "sliceName", "sliceIsConstraining", "contentReference", "languages",
)  # fmt: skip
_VALUES: Final = ("fixed", "pattern", "minValue", "maxValue", "defaultValue")
_SYSTEM: Final = "http://hl7.org/fhirpath/"


def narrowed(base: Json, given: Json, source: str) -> Json:
    """The base element as the given one of a differential narrows it; source: the url of the profile."""
    made = dict(base)
    for name, value in given.items():
        if name.startswith(_VALUES):
            stem = next(item for item in _VALUES if name.startswith(item))
            for other in [key for key in made if key.startswith(stem)]:
                del made[other]
            made[name] = value
        elif name in _REPLACED:
            made[name] = value
    if "slicing" in given and "slicing" in base:
        # A differential may repeat the slicing in part.
        made["slicing"] = base["slicing"] | given["slicing"]
    if "type" in given:
        made["type"] = [_inherited(item, base.get("type", ())) for item in given["type"]]
        if "contentReference" not in given:
            made.pop("contentReference", None)
    if "constraint" in given:
        made["constraint"] = _constraints(base.get("constraint", []), given["constraint"], source)
    return made


def _inherited(item: Json, base: Any) -> Json:
    # The System types of ids, urls and values are written in several ways; the base knows the right one.
    if base and item["code"].startswith(_SYSTEM):
        found: Json = base[0]
        return found
    return item


def _constraints(base: list[Json], given: list[Json], source: str) -> list[Json]:
    keys = {item["key"] for item in given}
    own = [item if "source" in item else item | {"source": source} for item in given]
    return [item for item in base if item["key"] not in keys] + own


def contradictions(base: Json, given: Json, *, sliced: bool) -> Iterator[str]:
    """What a differential must not do to an element of its base, as sentences to follow the element's path.

    sliced: the given element is a slice, whose minimum may be below that of all items.
    """
    if not sliced and "min" in given and given["min"] < base.get("min", 0):
        yield f"has the minimum {given['min']}, but the base asks for {base['min']}; do not lower it"
    limit: str = base.get("max", "*")
    # R4's own codesystem-history slices an element that it forbids: such slices cannot be met, and do no harm.
    if "max" in given and _more(given["max"], limit) and not (sliced and limit == "0"):
        yield f"has the maximum {given['max']}, but the base allows {limit}; do not raise it"
    low = int(given.get("min", base.get("min", 0)) or 0)
    high: str = given.get("max", limit)
    if high != "*" and low > int(high):
        yield f"has the minimum {low} above its maximum {high}; correct one"
    if given.get("type") and base.get("type"):
        for item in given["type"]:
            if not any(is_narrower(item["code"], other["code"]) for other in base["type"]):
                yield f"has the type {item['code']}, which the base does not allow there"
    strength = base.get("binding", {}).get("strength")
    if strength is not None and "strength" in given.get("binding", {}):
        asked = given["binding"]["strength"]
        if strength == "required" and asked != "required":
            yield f"has a binding of strength {asked}, but the base requires one; keep it required"


def _more(one: str, other: str) -> bool:
    if other == "*":
        return False
    return one == "*" or int(one) > int(other)


def is_narrower(code: str, base: str) -> bool:
    """Whether a type may stand where the base has another: itself, or one that specializes it."""
    if code == base or base in ("Resource", "Element"):
        return True
    if base.startswith(_SYSTEM):
        return code[0].islower()
    return is_a(code.removeprefix(STRUCTURE), base)
