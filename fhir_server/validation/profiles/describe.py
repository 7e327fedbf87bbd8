"""A compiled profile as text: what it asks beyond the base, to be read and compared.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.demands import Child, Demand, Profile, Slice, Slicing, Test

_INDENT = "  "


def describe(profile: Profile) -> str:
    """One line for each element that the profile says something about, indented by depth."""
    lines = [f"{profile.label} on {profile.type}{' (abstract)' if profile.abstract else ''}"]
    lines += [_INDENT + line for line in _below(profile.root)]
    return "\n".join(lines) + "\n"


def _below(demand: Demand) -> Iterator[str]:
    for invariant in demand.invariants:
        yield f"{invariant.key} ({invariant.severity}): {invariant.expression}"
    for child in demand.children:
        yield from _child(child)


def _child(child: Child) -> Iterator[str]:
    yield f"{child.element.label} {_range(child.minimum, child.maximum)}{_asked(child.each)}"
    yield from (_INDENT + line for line in _below(child.each))
    if child.slicing is not None:
        yield from (_INDENT + line for line in _slicing(child.slicing))


def _slicing(slicing: Slicing) -> Iterator[str]:
    yield f"sliced, {slicing.rules}{', in order' if slicing.ordered else ''}"
    for item in slicing.slices:
        yield from _slice(item)
    if slicing.default is not None:
        yield f"any other:{_asked(slicing.default)}"
        yield from (_INDENT + line for line in _below(slicing.default))


def _slice(item: Slice) -> Iterator[str]:
    told = " and ".join(map(_test, item.tests or ())) or "cannot be told"
    yield f":{item.name} {_range(item.minimum, item.maximum)} where {told}{_asked(item.each)}"
    yield from (_INDENT + line for line in _below(item.each))
    if item.slicing is not None:
        yield from (_INDENT + line for line in _slicing(item.slicing))


def _test(test: Test) -> str:
    match test.type:
        case "exists":
            return f"{test.path} {'exists' if test.exists else 'is absent'}"
        case "type":
            return f"{test.path} is {' or '.join(test.names)}"
        case "profile":
            return f"{test.path} conforms to {' or '.join(test.names)}"
    assert test.wanted is not None
    return f"{test.path}{_asked(test.wanted) or ' is as its elements ask'}"


def _asked(demand: Demand) -> str:
    said = []
    if demand.types is not None:
        said.append(f"of type {' or '.join(sorted(demand.types))}")
    for word, value in (
        ("=", demand.fixed), ("fits", demand.pattern), (">=", demand.low), ("<=", demand.high),
    ):  # fmt: skip
        if value is not None:
            said.append(f"{word} {value if isinstance(value, (dict, list)) else shown(value)}")
    if demand.longest is not None:
        said.append(f"at most {demand.longest} characters")
    if demand.binding is not None:
        said.append(f"{demand.binding.strength} {demand.binding.value_set}")
        if demand.binding.maximum is not None:
            said.append(f"at most {demand.binding.maximum}")
    for code, urls in (demand.profiles or {}).items():
        said.append(f"{code} conforming to {' or '.join(urls)}")
    if demand.targets:
        said.append(f"leading to {' or '.join(demand.targets)}")
    if demand.aggregation:
        said.append(f"leading to what is {' or '.join(sorted(demand.aggregation))}")
    if demand.languages:
        said.append(f"with sections by language {' and '.join(demand.languages)}")
    return " " + ", ".join(said) if said else ""


def _range(minimum: int, maximum: int | None) -> str:
    return f"{minimum}..{'*' if maximum is None else maximum}"
