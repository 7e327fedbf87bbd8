"""Invariants that are code rather than FHIRPath, and rules of R4's prose that no invariant states.

https://hl7.org/fhir/R4/conformance-rules.html#constraints, https://hl7.org/fhir/R4/bundle.html#bundle-unique
Both forms call these functions, with values that have the shape of their type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.spec import definitions
from fhir_server.spec.dates import interval
from fhir_server.validation.definitional import DEFINITIONAL, differential_is_of_its_type

Json = dict[str, Any]
Holds = Callable[[Json], bool]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match

_UCUM: Final = "http://unitsofmeasure.org"
_MEALS: Final = frozenset({"C", "CM", "CD", "CV"})

# ele-1, ext-1, ref-1 and dom-2 to dom-5 are part of the structure, txt-1 and txt-2 of the narrative's type.
STRUCTURAL: Final = frozenset(
    {"ele-1", "ext-1", "ref-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2"}
)


def not_after(first: str, second: str) -> bool:
    """Whether a date, dateTime or instant can be at or before another, whatever their precisions."""
    if len(first) == len(second) and first[19:] == second[19:]:
        return first <= second
    return interval(first)[0] < interval(second)[1]


def _in_order(value: Json, first: str, second: str) -> bool:
    earlier, later = value.get(first), value.get(second)
    return earlier is None or later is None or not_after(earlier, later)


def _per_1(period: Json) -> bool:
    return _in_order(period, "start", "end")


def _task_inv_1(task: Json) -> bool:
    return _in_order(task, "authoredOn", "lastModified")


def _mdd_1(dispense: Json) -> bool:
    return _in_order(dispense, "whenPrepared", "whenHandedOver")


def _rng_2(given: Json) -> bool:
    # Amounts in different units are not compared: nothing shows that they are in the wrong order.
    low, high = given.get("low"), given.get("high")
    if low is None or high is None or "value" not in low or "value" not in high:
        return True
    same = all(low.get(name) == high.get(name) for name in ("system", "code", "unit"))
    return not same or bool(low["value"] <= high["value"])


def _bdl_7(bundle: Json) -> bool:
    if bundle.get("type") == "history":
        return True
    seen = set()
    for entry in bundle.get("entry", ()):
        url = entry.get("fullUrl")
        if url is not None:
            identity = (url, entry.get("resource", {}).get("meta", {}).get("versionId"))
            if identity in seen:
                return False
            seen.add(identity)
    return True


def _nested(value: Json, name: str) -> Iterator[Json]:
    pending = list(value.get(name, ()))
    while pending:
        item = pending.pop()
        yield item
        pending.extend(item.get(name, ()))


def _all_differ(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def _que_2(questionnaire: Json) -> bool:
    return _all_differ([i["linkId"] for i in _nested(questionnaire, "item") if "linkId" in i])


def _csd_1(code_system: Json) -> bool:
    return _all_differ([c["code"] for c in _nested(code_system, "concept") if "code" in c])


def _cnt_3(given: Json) -> bool:
    value = given.get("value")
    return (
        ("code" in given or "value" not in given)
        and given.get("system", _UCUM) == _UCUM
        and given.get("code", "1") == "1"
        and (value is None or "." not in getattr(value, "text", str(value)))
    )


def _tim_9(repeat: Json) -> bool:
    return "offset" not in repeat or (
        "when" in repeat and _MEALS.isdisjoint(item for item in repeat["when"] if item is not None)
    )


def _obs_7(observation: Json) -> bool:
    if not any(name.removeprefix("_").startswith("value") for name in observation):
        return True
    own = {_identity(item) for item in observation.get("code", {}).get("coding", ())}
    return not any(
        _identity(item) in own
        for component in observation.get("component", ())
        for item in component.get("code", {}).get("coding", ())
    )


def _identity(coding: Json) -> str:
    """A text that equal codings share, so that many are compared in linear time."""
    return repr(sorted(coding.items()))


def _ras_2(prediction: Json) -> bool:
    return bool(prediction.get("probabilityDecimal", 0) <= 100)


# By the path that states the invariant and its key: inv-1 is the key of several.
INVARIANTS: Final[Mapping[tuple[str, str], Holds]] = {
    **DEFINITIONAL,
    ("Bundle", "bdl-7"): _bdl_7,
    ("CodeSystem", "csd-1"): _csd_1,
    ("Count", "cnt-3"): _cnt_3,
    ("MedicationDispense", "mdd-1"): _mdd_1,
    ("Observation", "obs-7"): _obs_7,
    ("Period", "per-1"): _per_1,
    ("Questionnaire", "que-2"): _que_2,
    ("Range", "rng-2"): _rng_2,
    ("RiskAssessment.prediction", "ras-2"): _ras_2,
    ("Task", "inv-1"): _task_inv_1,
    ("Timing.repeat", "tim-9"): _tim_9,
}


@dataclass(frozen=True, slots=True)
class NativeRule:
    """A rule without a key. says: what to change, after the path."""

    name: str
    holds: Holds
    says: str


def _full_url_is_absolute(entry: Json) -> bool:
    url = entry.get("fullUrl")
    return url is None or _SCHEME(url) is not None


def _full_url_agrees(entry: Json) -> bool:
    """A RESTful fullUrl ends in the type and the id of its resource; other urls name it in their own way."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if url is None or type(resource) is not dict or not url.startswith(("http://", "https://")):
        return True
    _, _, rest = url.partition("://")
    segments = rest.split("/")
    if len(segments) < 3 or not definitions.is_resource_type(segments[-2]):
        return True
    if segments[-2] != resource.get("resourceType"):
        return False
    identifier = resource.get("id")
    return identifier is None or identifier == segments[-1]


PROSE: Final[Mapping[str, tuple[NativeRule, ...]]] = {
    "Bundle.entry": (
        NativeRule(
            "full_url_is_absolute",
            _full_url_is_absolute,
            "has a relative fullUrl; write the absolute URL of its resource, or urn:uuid: and a UUID",
        ),
        NativeRule(
            "full_url_agrees",
            _full_url_agrees,
            "has a fullUrl that disagrees with the type or the id of its resource; make them agree",
        ),
    ),
    "StructureDefinition": (
        NativeRule(
            "differential_is_of_its_type",
            differential_is_of_its_type,
            "has a differential whose first path does not begin with its type (sdf-8a)",
        ),
    ),
}
