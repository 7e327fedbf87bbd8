"""Reference parameters whose values all are values of another one too, as `patient` is a part of `subject`.

What such a reference is found by is kept once, under the narrower parameter; who searches by the wider one asks for
both. https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from fhir_server.search.parameters import CUSTOM, IDENTIFIER, by_number, parameters
from fhir_server.search.paths import Path, Step, paths

_NONE: dict[str, int] = {}


@cache
def narrower(number: int) -> dict[str, int]:
    """Type of the target -> the parameter that has all references of this parameter to that type; mostly empty.

    Also of what :identifier and :text find references by, which have numbers of their own.
    """
    if number >= CUSTOM:
        return _NONE
    offset = number // IDENTIFIER * IDENTIFIER
    wide = by_number(number - offset)
    if wide.type != "reference":
        return _NONE
    listed = set(paths(wide) or ())
    found: dict[str, int] = {}
    for item in parameters(wide.resource_type) if listed else ():
        if item.type != "reference" or item is wide:
            continue
        chosen = [_chosen(path) for path in paths(item) or ()]
        kinds = {kind for kind, _ in chosen}
        if len(kinds) == 1 and {path for _, path in chosen} == listed and "" not in kinds:
            found.setdefault(kinds.pop(), item.number + offset)
    return found


def _chosen(path: Path) -> tuple[str, Path]:
    """The type of target that the end of a path chooses, "" where it does not, and the path without that choice."""
    *first, last = path.steps
    condition = last.condition
    if condition is None or condition.kind != "target":
        return "", path
    return condition.name, Path((*first, Step(last.property)), path.type)


def kept(numbers: Iterable[int], kinds: Iterable[str] = ()) -> tuple[int, ...]:
    """The parameters that the entries of those are kept under; kinds: the types of targets, if that is all known."""
    wanted = set(kinds)
    found: dict[int, None] = {}
    for number in numbers:
        inner = narrower(number)
        if not wanted or not wanted <= inner.keys():
            found[number] = None
        found.update((item, None) for kind, item in inner.items() if not wanted or kind in wanted)
    return tuple(found)


@lru_cache(maxsize=256)
def answered(numbers: tuple[int, ...]) -> dict[int, list[int]]:
    """Parameter that entries are kept under -> those of the numbers that such an entry is one of."""
    found: dict[int, list[int]] = {}
    for number in numbers:
        for item in kept((number,)):
            found.setdefault(item, []).append(number)
    return found
