"""Profiles that use every kind of constraint, and a source that has them."""

from __future__ import annotations

from typing import Any

from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.validator import Validator

Json = dict[str, Any]

BASE = "http://hl7.org/fhir/StructureDefinition/"
OURS = "http://example.org/StructureDefinition/"
NHS = "https://fhir.nhs.uk/Id/nhs-number"


class Known:
    """A source of what it was given."""

    def __init__(self, *resources: Json) -> None:
        self.resources = {(item["resourceType"], item["url"]): item for item in resources}

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        del version
        return self.resources.get((resource_type, url))


def validator(*resources: Json, defaults: dict[str, tuple[str, ...]] | None = None) -> Validator:
    return Validator(Library((CoreDefinitions(), Known(*resources))), defaults)


def profile(name: str, of: str, *elements: Json, base: str | None = None, **head: Any) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": OURS + name,
        "name": name,
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": of,
        "baseDefinition": base or BASE + of,
        "derivation": "constraint",
        "differential": {"element": [{"id": of, "path": of}, *elements]},
        **head,
    }


def element(identifier: str, **facts: Any) -> Json:
    """An ElementDefinition by its id."""
    path = ".".join(step.partition(":")[0] for step in identifier.split("."))
    last = identifier.rpartition(".")[2].partition(":")[2]
    return {"id": identifier, "path": path, **({"sliceName": last} if last else {}), **facts}


def slicing(kind: str, *paths: str, rules: str = "open", ordered: bool = False) -> Json:
    listed = [{"type": kind, "path": path} for path in paths]
    return {"slicing": {"discriminator": listed, "rules": rules, "ordered": ordered}}


def extension(name: str, of: str, *elements: Json, context: str = "Element", **head: Any) -> Json:
    return profile(
        name,
        "Extension",
        *(elements or (element("Extension.value[x]", min=1, type=[{"code": of}]),)),
        element("Extension.url", fixedUri=OURS + name),
        context=[{"type": "element", "expression": context}],
        kind="complex-type",
        **head,
    )


PATIENT = profile(
    "patient",
    "Patient",
    element("Patient.extension:rank", min=1, max="1",
            type=[{"code": "Extension", "profile": [OURS + "rank"]}]),
    element("Patient.identifier", min=1, **slicing("value", "system", rules="openAtEnd")),
    element("Patient.identifier:nhs", min=1, max="1"),
    element("Patient.identifier:nhs.system", min=1, fixedUri=NHS),
    element("Patient.identifier:nhs.value", min=1, maxLength=10),
    element("Patient.name", max="2", **slicing("value", "use", rules="closed", ordered=True)),
    element("Patient.name:official", min=1),
    element("Patient.name:official.use", min=1, patternCode="official"),
    element("Patient.name:official.family", min=1),
    element("Patient.name:usual"),
    element("Patient.name:usual.use", min=1, fixedCode="usual"),
    element("Patient.birthDate", minValueDate="1900-01-01", maxValueDate="2100-01-01"),
    element("Patient.deceased[x]", type=[{"code": "dateTime"}]),
    element("Patient.contact.gender", max="0"),
    element("Patient.maritalStatus", patternCodeableConcept={
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]}),
    element("Patient.managingOrganization",
            type=[{"code": "Reference", "targetProfile": [OURS + "organization"]}]),
    element("Patient.communication.language", binding={
        "strength": "required", "valueSet": "http://example.org/ValueSet/languages"}),
    element("Patient.multipleBirth[x]", **slicing("type", "$this")),
    element("Patient.multipleBirth[x]:multipleBirthInteger", type=[{"code": "integer"}],
            maxValueInteger=3),
)  # fmt: skip
PATIENT["differential"]["element"][0]["constraint"] = [
    {
        "key": "x-1",
        "severity": "error",
        "human": "x",
        "expression": "active.exists() or gender.exists()",
    },
    {"key": "x-2", "severity": "warning", "human": "x", "expression": "photo.exists()"},
]
ORGANIZATION = profile("organization", "Organization", element("Organization.name", min=1))
RANK = extension("rank", "positiveInt", context="Patient")
PARTS = extension(
    "parts", "",
    element("Extension.extension:one", min=1, max="1"),
    element("Extension.extension:one.url", fixedUri="one"),
    element("Extension.extension:one.value[x]", min=1, type=[{"code": "string"}]),
    element("Extension.extension:two"),
    element("Extension.extension:two.url", fixedUri="two"),
    element("Extension.value[x]", max="0"),
)  # fmt: skip
LANGUAGES = {
    "resourceType": "ValueSet",
    "url": "http://example.org/ValueSet/languages",
    "status": "active",
    "compose": {
        "include": [{"system": "urn:ietf:bcp:47", "concept": [{"code": "en"}, {"code": "cy"}]}]
    },
}
OBSERVATION = profile(
    "observation",
    "Observation",
    element("Observation.component", **slicing("pattern", "code")),
    element("Observation.component:systolic", min=1, max="1"),
    element("Observation.component:systolic.code", patternCodeableConcept={
        "coding": [{"system": "http://loinc.org", "code": "8480-6"}]}),
    element("Observation.component:systolic.valueQuantity", min=1),
    element("Observation.component:systolic.valueQuantity.code", min=1, fixedCode="mm[Hg]"),
    element("Observation.performer", **slicing("profile", "resolve()")),
    element("Observation.performer:org", max="1",
            type=[{"code": "Reference", "targetProfile": [OURS + "organization"]}]),
    element("Observation.hasMember", **slicing("type", "resolve()")),
    element("Observation.hasMember:observation", max="1",
            type=[{"code": "Reference", "targetProfile": [BASE + "Observation"]}]),
    element("Observation.category", **slicing("exists", "text")),
    element("Observation.category:worded", max="1"),
    element("Observation.category:worded.text", min=1),
    element("Observation.category:coded"),
    element("Observation.category:coded.text", max="0"),
    element("Observation.category:coded.coding", min=1),
    element("Observation.referenceRange.low", type=[{"code": "Quantity", "profile": [OURS + "metres"]}]),
    element("Observation.subject", type=[{"code": "Reference", "targetProfile": [BASE + "Patient"],
                                          "aggregation": ["contained", "bundled"]}]),
)  # fmt: skip
METRES = profile(
    "metres",
    "Quantity",
    element("Quantity.code", min=1, fixedCode="m"),
    kind="complex-type",
)
ALL = (PATIENT, ORGANIZATION, RANK, PARTS, LANGUAGES, OBSERVATION, METRES)

GOOD_PATIENT: Json = {
    "resourceType": "Patient",
    "meta": {"profile": [OURS + "patient"]},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Ward"}],
    "extension": [
        {"url": OURS + "rank", "valuePositiveInt": 1},
        {"url": OURS + "parts", "extension": [{"url": "one", "valueString": "x"}]},
    ],
    "identifier": [
        {"system": NHS, "value": "9000000009"},
        {"system": "http://x.org", "value": "1"},
    ],
    "active": True,
    "name": [{"use": "official", "family": "Smith"}, {"use": "usual", "text": "Jo"}],
    "birthDate": "1980-02-03",
    "deceasedDateTime": "2020",
    "maritalStatus": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                "code": "M",
                "display": "Married",
            }
        ]
    },
    "multipleBirthInteger": 2,
    "contact": [{"name": {"text": "Sam"}}],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
    "managingOrganization": {"reference": "#o"},
}
GOOD_OBSERVATION: Json = {
    "resourceType": "Observation",
    "meta": {"profile": [OURS + "observation"]},
    "contained": [
        {"resourceType": "Patient", "id": "p", "active": True},
        {"resourceType": "Organization", "id": "o", "name": "Ward"},
    ],
    "status": "final",
    "category": [{"text": "x"}, {"coding": [{"code": "a"}]}],
    "code": {"text": "Blood pressure"},
    "subject": {"reference": "#p"},
    "performer": [{"reference": "#o"}, {"reference": "Practitioner/1"}],
    "hasMember": [{"reference": "Observation/1"}, {"reference": "QuestionnaireResponse/1"}],
    "referenceRange": [{"low": {"value": 1, "code": "m", "system": "http://unitsofmeasure.org"}}],
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
            "valueQuantity": {
                "value": 120,
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        },
        {"code": {"text": "other"}, "valueString": "x"},
    ],
}
GOOD = (GOOD_PATIENT, GOOD_OBSERVATION)
