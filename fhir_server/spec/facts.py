"""What is kept of a StructureDefinition: the facts that constrain instances, no prose.

https://hl7.org/fhir/R4/structuredefinition.html
The archive of R4's own definitions and the profiles of packages have this one form.
"""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

_URL: Final = "http://hl7.org/fhir/StructureDefinition/"
_REGEX: Final = _URL + "regex"
_FHIR_TYPE: Final = _URL + "structuredefinition-fhir-type"
_MAX_VALUE_SET: Final = _URL + "elementdefinition-maxValueSet"
_PROFILE_ELEMENT: Final = _URL + "elementdefinition-profile-element"
_BEST_PRACTICE: Final = _URL + "elementdefinition-bestpractice"
_LANGUAGES: Final = _URL + "narrative-language-control"
_HEAD: Final = (
    "id", "url", "version", "name", "status", "kind", "abstract", "type", "baseDefinition", "derivation",
    "context", "contextInvariant",
)  # fmt: skip
_ELEMENT: Final = (
    "id", "path", "representation", "sliceName", "sliceIsConstraining", "min", "max", "contentReference",
    "maxLength", "mustSupport", "isModifier", "isSummary",
)  # fmt: skip
_VALUES: Final = ("fixed", "pattern", "minValue", "maxValue", "defaultValue")


def structure_facts(source: Json) -> Json:
    """The facts of a StructureDefinition: its head, and `snapshot` and `differential` as lists where it has them."""
    kept = only(source, *_HEAD)
    for view in ("snapshot", "differential"):
        if view in source:
            kept[view] = [element_facts(item) for item in source[view].get("element", ())]
    return kept


def element_facts(source: Json) -> Json:
    """One ElementDefinition as facts (https://hl7.org/fhir/R4/elementdefinition.html)."""
    kept = only(source, *_ELEMENT)
    for name, value in source.items():
        if name.startswith(_VALUES):
            kept[name] = value
    if "base" in source:
        kept["base"] = only(source["base"], "path", "min", "max")
    if "slicing" in source:
        kept["slicing"] = only(source["slicing"], "discriminator", "ordered", "rules")
    if "type" in source:
        kept["type"] = [_type(item) for item in source["type"]]
    if "binding" in source:
        binding = only(source["binding"], "strength", "valueSet")
        maximum = extension(source["binding"], _MAX_VALUE_SET)
        if maximum:
            binding["maxValueSet"] = maximum
        kept["binding"] = binding
    languages = [
        item["valueCode"]
        for item in source.get("extension", ())
        if item.get("url") == _LANGUAGES and "valueCode" in item
    ]
    if languages:
        kept["languages"] = languages
    if "constraint" in source:
        kept["constraint"] = [_constraint(item) for item in source["constraint"]]
    return kept


def extension(holder: Json, url: str) -> Any:
    """The value of the first extension with that url, or None."""
    for item in holder.get("extension", ()):
        if item.get("url") == url:
            return next((value for key, value in item.items() if key.startswith("value")), None)
    return None


def only(source: Json, *names: str) -> Json:
    """The named properties that are present."""
    return {name: source[name] for name in names if name in source}


def _type(source: Json) -> Json:
    kept = only(source, "code", "profile", "targetProfile", "aggregation", "versioning")
    for name, url in (("regex", _REGEX), ("fhirType", _FHIR_TYPE)):
        value = extension(source, url)
        if value is not None:
            kept[name] = value
    for item in source.get("_profile") or ():
        value = extension(item, _PROFILE_ELEMENT) if isinstance(item, dict) else None
        if value is not None:
            kept["profileElement"] = value
    return kept


def _constraint(source: Json) -> Json:
    kept = only(source, "key", "severity", "expression", "source")
    if extension(source, _BEST_PRACTICE):
        kept["bestPractice"] = True
    return kept
