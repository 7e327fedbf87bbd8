"""Profiles: each kind of constraint refuses what breaks it, at its place, in both forms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from profiles_under_test import (
    ALL,
    BASE,
    GOOD,
    GOOD_OBSERVATION,
    GOOD_PATIENT,
    NHS,
    OURS,
    element,
    extension,
    profile,
    slicing,
    validator,
)
from test_validate import drop, put

from fhir_server.spec import definitions
from fhir_server.validation import status
from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.describe import describe

Json = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden"
VALIDATOR = validator(*ALL)


def both(change: Callable[[Json], object], resource: Json) -> Json:
    made = copy.deepcopy(resource)
    change(made)
    return made


@pytest.mark.parametrize("resource", GOOD, ids=lambda item: item["resourceType"])
def test_a_resource_that_keeps_its_profile_has_no_errors(resource: Json) -> None:
    assert VALIDATOR.validate(resource) == ()
    assert [issue.diagnostics for issue in VALIDATOR.explain(resource) if refused(issue)] == []


P, O = GOOD_PATIENT, GOOD_OBSERVATION  # noqa: E741 - short names keep the table readable
NAME = "Patient.name[0]"
BROKEN = [
    (P, drop("identifier"), ["required", "required"], "Patient.identifier"),
    (P, put("identifier.0.system", "http://y.org"), "required", "Patient.identifier"),
    (P, lambda r: r["identifier"].insert(0, r["identifier"][0]), "structure", "Patient.identifier"),
    (P, lambda r: r["identifier"].reverse(), "structure", "Patient.identifier[0]"),
    (P, drop("identifier.0.value"), "required", "Patient.identifier[0].value"),
    (P, put("identifier.0.value", "90000000090"), "value", "Patient.identifier[0].value"),
    (P, lambda r: r["name"].reverse(), "structure", "Patient.name[1]"),
    (P, put("name.1.use", "old"), "structure", "Patient.name[1]"),
    (P, drop("name.0.family"), "required", "Patient.name[0].family"),
    (P, lambda r: r["name"].append(r["name"][1]), "structure", "Patient.name"),
    (P, put("birthDate", "1899-12-31"), "value", "Patient.birthDate"),
    (P, put("birthDate", "2100-01-02"), "value", "Patient.birthDate"),
    (P, put("birthDate", "1900"), None, ""),
    (P, lambda r: r.update(deceasedBoolean=True) or r.pop("deceasedDateTime"), "structure",
     "Patient.deceased.ofType(boolean)"),
    (P, put("contact.0.gender", "male"), "structure", "Patient.contact[0].gender"),
    (P, put("maritalStatus.coding.0.code", "S"), "value", "Patient.maritalStatus"),
    (P, put("maritalStatus.text", "married"), None, ""),
    (P, put("multipleBirthInteger", 4), "value", "Patient.multipleBirth.ofType(integer)"),
    (P, lambda r: r.update(multipleBirthBoolean=True) or r.pop("multipleBirthInteger"), None, ""),
    (P, drop("active"), "invariant", "Patient"),
    (P, lambda r: r["contained"][0].update(alias=[r["contained"][0].pop("name")], active=True,
                                           identifier=[{"value": "1"}]),
     "structure", "Patient.managingOrganization"),
    (P, put("managingOrganization.reference", "#"), ["invariant", "structure"], "Patient.managingOrganization"),
    (P, put("communication.0.language.coding.0.code", "de"), "code-invalid", "Patient.communication[0].language"),
    (P, drop("extension.0"), "required", "Patient.extension"),
    (P, lambda r: r["extension"].append(r["extension"][0]), "structure", "Patient.extension"),
    (P, lambda r: r["extension"][0].update(valueInteger=r["extension"][0].pop("valuePositiveInt")), "structure",
     "Patient.extension[0].value.ofType(integer)"),
    (P, put("name.0.extension", [{"url": OURS + "rank", "valuePositiveInt": 1}]), "extension",
     "Patient.name[0].extension[0]"),
    (P, put("modifierExtension", [{"url": OURS + "parts", "extension": [{"url": "one", "valueString": "x"}]}]),
     "extension", "Patient.modifierExtension[0]"),
    (P, put("extension.1.extension.0.url", "three"), ["required", "extension"], "Patient.extension[1].extension"),
    (P, put("extension.1.extension.0", {"url": "two", "valueString": "x"}), "required",
     "Patient.extension[1].extension"),
    (P, lambda r: r["extension"].append({"url": "http://unknown.org", "valueString": "x"}), None, ""),
    (P, put("_birthDate", {"extension": [{"url": BASE + "patient-birthTime", "valueString": "x"}]}), "structure",
     "Patient.birthDate.extension[0].value.ofType(string)"),
    (O, drop("component"), "required", "Observation.component"),
    (O, put("component.0.code.coding.0.code", "1"), "required", "Observation.component"),
    (O, lambda r: r["component"].append(r["component"][0]), "structure", "Observation.component"),
    (O, put("component.0.valueQuantity.code", "mm"), "value", "Observation.component[0].value.ofType(Quantity).code"),
    (O, lambda r: r["component"][0].update(valueString="1") or r["component"][0].pop("valueQuantity"),
     "structure", "Observation.component[0].value.ofType(string)"),
    (O, put("component.1.valueString", "y"), None, ""),
    (O, lambda r: r["performer"].append({"reference": "#o"}), "structure", "Observation.performer"),
    (O, lambda r: r["hasMember"].append({"reference": "Observation/2"}), "structure", "Observation.hasMember"),
    (O, lambda r: r["category"].append({"text": "y"}), "structure", "Observation.category"),
    (O, lambda r: r["category"].append({"id": "y", "coding": [{"code": "b"}]}), None, ""),
    (O, put("referenceRange.0.low.code", "cm"), "value", "Observation.referenceRange[0].low.code"),
    (O, lambda r: r.update(subject={"reference": "Patient/1"}) or r["performer"].append({"reference": "#p"}), None, ""),
    (O, put("subject.reference", "#o"), ["invalid", "invariant", "structure"], "Observation.subject"),
]  # fmt: skip


@pytest.mark.parametrize(("original", "change", "code", "place"), BROKEN)
def test_one_change_breaks_one_rule_of_the_profile(
    original: Json, change: Callable[[Json], object], code: Any, place: str
) -> None:
    resource = both(change, original)
    issues = VALIDATOR.validate(resource)
    codes = [] if code is None else code if isinstance(code, list) else [code]
    assert sorted(issue.code for issue in issues) == sorted(codes), issues
    if issues:
        assert place in {issue.expression[0] for issue in issues}
        assert status(issues) == 422
        assert all(issue.profile in issue.diagnostics for issue in issues if issue.profile)


def test_a_failed_slice_tells_the_candidates_and_why_each_failed() -> None:
    resource = both(put("identifier.0.system", "http://y.org"), P)
    (issue,) = VALIDATOR.validate(resource)
    assert f"system is 'http://y.org', not '{NHS}'" in issue.diagnostics
    assert "Patient.identifier[0] is none" in issue.diagnostics


def test_a_broken_invariant_tells_its_parts_with_their_values() -> None:
    (issue,) = VALIDATOR.validate(both(drop("active"), P))
    assert "active.exists() is false" in issue.diagnostics
    assert "gender is empty" in issue.diagnostics


def test_what_is_asked_to_be_in_the_same_bundle_is() -> None:
    observation = {**O, "subject": {"reference": "Patient/1"}, "contained": O["contained"][1:]}
    entries = [
        {"fullUrl": "https://e.org/fhir/Observation/1", "resource": {**observation, "id": "1"}}
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert [i.expression for i in VALIDATOR.validate(bundle)] == [
        ("Bundle.entry[0].resource.subject",)
    ]
    entries.append(
        {
            "fullUrl": "https://e.org/fhir/Patient/1",
            "resource": {"resourceType": "Patient", "id": "1"},
        }
    )
    assert VALIDATOR.validate(bundle) == ()


def test_an_unknown_profile_is_a_warning_unless_it_was_asked_for() -> None:
    resource = both(put("meta.profile", ["http://nowhere.org/p"]), P)
    assert VALIDATOR.validate(resource) == ()
    (issue,) = [i for i in VALIDATOR.explain(resource) if i.code == "not-found"]
    assert issue.severity == "warning"
    (issue,) = [i for i in VALIDATOR.explain(P, profiles=["http://nowhere.org/p"]) if refused(i)]
    assert issue.code == "not-found"


def test_an_abstract_profile_is_no_claim_but_its_rules_hold() -> None:
    checker = validator(
        profile("part", "Organization", element("Organization.name", min=1), abstract=True)
    )
    resource = {"resourceType": "Organization", "meta": {"profile": [OURS + "part"]}, "name": "x"}
    assert [i.severity for i in checker.explain(resource) if "abstract" in i.diagnostics] == [
        "warning"
    ]
    assert checker.validate(resource) == ()
    del resource["name"]
    assert checker.validate({**resource, "identifier": [{"value": "1"}]}) != ()


def test_unknown_extensions_are_kept_with_a_warning() -> None:
    resource = both(
        lambda r: r["extension"].append({"url": "http://unknown.org", "valueCode": "a"}), P
    )
    assert VALIDATOR.validate(resource) == ()
    assert [i.expression for i in VALIDATOR.explain(resource) if i.code == "extension"] == [
        ("Patient.extension[2]",)
    ]


def test_a_profile_of_another_type_is_refused() -> None:
    resource = both(put("meta.profile", [OURS + "observation"]), P)
    (issue,) = VALIDATOR.validate(resource)
    assert "is about Observation" in issue.diagnostics


def test_default_profiles_hold_for_every_resource_of_their_type() -> None:
    strict = validator(*ALL, defaults={"Organization": (OURS + "organization",)})
    nameless = {"resourceType": "Organization", "identifier": [{"value": "1"}]}
    assert [issue.expression for issue in strict.validate(nameless)] == [("Organization.name",)]
    assert VALIDATOR.validate(nameless) == ()


def test_resources_inside_are_held_to_the_profiles_that_they_claim() -> None:
    inside = {"resourceType": "Organization", "meta": {"profile": [OURS + "organization"]}, "alias": ["x"],
              "identifier": [{"value": "1"}]}  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inside}]}
    assert [i.expression for i in VALIDATOR.validate(bundle)] == [
        ("Bundle.entry[0].resource.name",)
    ]
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "part": [{"name": "b", "resource": inside}]}],
    }
    assert [i.expression for i in VALIDATOR.validate(parameters)] == [
        ("Parameters.parameter[0].part[0].resource.name",)
    ]


def test_references_inside_a_bundle_are_followed() -> None:
    patient = copy.deepcopy(P)
    patient.pop("contained")
    patient["managingOrganization"] = {"reference": "Organization/1"}
    organization = {"resourceType": "Organization", "id": "1", "identifier": [{"value": "1"}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "https://e.org/fhir/Patient/1", "resource": patient},
            {"fullUrl": "https://e.org/fhir/Organization/1", "resource": organization},
        ],
    }
    assert [i.expression for i in VALIDATOR.validate(bundle)] == [
        ("Bundle.entry[0].resource.managingOrganization",)
    ]
    organization["name"] = "Ward"
    assert VALIDATOR.validate(bundle) == ()


def test_reslices_and_default_slices_are_checked() -> None:
    made = profile(
        "reslices",
        "Patient",
        element("Patient.identifier", **slicing("value", "system")),
        element("Patient.identifier:nhs", max="2", **slicing("value", "use")),
        element("Patient.identifier:nhs.system", min=1, fixedUri=NHS),
        element("Patient.identifier:nhs/old", max="1"),
        element("Patient.identifier:nhs/old.use", min=1, fixedCode="old"),
        element("Patient.identifier:nhs/old.period", min=1),
        element("Patient.identifier:@default"),
        element("Patient.identifier:@default.assigner", min=1),
    )
    checker = validator(made)

    def issues(*identifiers: Json) -> list[str]:
        patient = {
            "resourceType": "Patient",
            "meta": {"profile": [OURS + "reslices"]},
            "identifier": identifiers,
        }
        found = checker.validate({**patient, "identifier": list(identifiers)})
        return [issue.expression[0] for issue in found]

    old = {"system": NHS, "use": "old", "value": "1"}
    assert issues({"system": NHS, "value": "1"}) == []
    assert issues(old) == ["Patient.identifier[0].period"]
    dated = {**old, "period": {"end": "2020"}}
    assert issues(dated, dated) == ["Patient.identifier"]
    assert issues({"system": "http://x.org", "value": "1"}) == ["Patient.identifier[0].assigner"]


def test_a_profile_that_is_based_on_itself_ends() -> None:
    one = profile("one", "Patient", base=OURS + "two")
    two = profile("two", "Patient", base=OURS + "one")
    checker = validator(one, two)
    resource = {"resourceType": "Patient", "meta": {"profile": [OURS + "one"]}}
    assert checker.validate(resource) == ()
    assert checker.library.problems(OURS + "one")


def test_profiles_that_lead_to_each_other_end() -> None:
    target = [{"code": "Reference", "targetProfile": [OURS + "circle"]}]
    circle = profile("circle", "Observation", element("Observation.hasMember", min=1, type=target))
    entry = {"resourceType": "Observation", "meta": {"profile": [OURS + "circle"]}, "status": "final",
             "code": {"text": "x"}}  # fmt: skip
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"https://e.org/fhir/Observation/{n}",
             "resource": {**entry, "id": str(n), "hasMember": [{"reference": f"Observation/{3 - n}"}]}}
            for n in (1, 2)
        ],
    }  # fmt: skip
    assert validator(circle).validate(bundle) == ()


def test_a_slice_is_told_by_a_profile_that_looks_along_references() -> None:
    patient = [{"code": "Reference", "targetProfile": [OURS + "identified"]}]
    composition = [{"code": "Composition", "profile": [OURS + "composition"]}]
    checker = validator(
        profile("identified", "Patient", element("Patient.identifier", min=1)),
        profile("composition", "Composition", element("Composition.subject", min=1, type=patient)),
        profile(
            "bundle",
            "Bundle",
            element("Bundle.entry", **slicing("profile", "resource")),
            element("Bundle.entry:composition", min=1, max="1"),
            element("Bundle.entry:composition.resource", min=1, type=composition),
        ),
    )
    subject: Json = {"resourceType": "Patient", "id": "1"}
    made = {"resourceType": "Composition", "id": "1", "status": "final", "type": {"text": "x"}, "date": "2026",
            "author": [{"reference": "Patient/1"}], "title": "x", "subject": {"reference": "Patient/1"}}  # fmt: skip
    bundle = {
        "resourceType": "Bundle",
        "meta": {"profile": [OURS + "bundle"]},
        "type": "collection",
        "entry": [
            {"fullUrl": "https://e.org/fhir/Composition/1", "resource": made},
            {"fullUrl": "https://e.org/fhir/Patient/1", "resource": subject},
        ],
    }
    assert [i.expression for i in checker.validate(bundle)] == [("Bundle.entry",)]
    subject["identifier"] = [{"value": "1"}]
    assert checker.validate(bundle) == ()


def test_an_extension_may_stand_where_an_expression_leads() -> None:
    made = extension("here", "string")
    made["context"] = [{"type": "fhirpath", "expression": "Patient.name.where(use = 'official')"}]
    checker = validator(made)
    name = {"text": "x", "extension": [{"url": OURS + "here", "valueString": "x"}]}
    good = {"resourceType": "Patient", "name": [{**name, "use": "official"}]}
    assert checker.validate(good) == ()
    bad = {"resourceType": "Patient", "name": [{**name, "use": "usual"}]}
    assert [i.expression for i in checker.validate(bad)] == [("Patient.name[0].extension[0]",)]


@pytest.mark.parametrize("name", ["patient", "observation", "parts"])
def test_a_compiled_profile_is_described_as_before(name: str) -> None:
    made = VALIDATOR.library.profile(OURS + name)
    assert made is not None
    assert describe(made) == (GOLDEN / f"{name}.txt").read_text()


def test_every_profile_of_r4_compiles() -> None:
    for url in definitions.structures():
        made = VALIDATOR.library.profile(url)
        assert made is not None
        assert describe(made).startswith(url)


@pytest.mark.parametrize(
    ("needed", "sibling", "expected"),
    [
        (0, None, []),
        (0, {"extension": [{"url": OURS + "rank", "valuePositiveInt": 1}]}, []),
        (0, {"extension": [{"url": OURS + "rank", "valuePositiveInt": 1}] * 2}, ["structure"]),
        (1, None, ["required", "required"]),
        (1, {"extension": [{"url": OURS + "rank", "valuePositiveInt": 1}]}, []),
    ],
)
def test_extensions_of_a_primitive_are_asked_for_where_they_are(
    needed: int, sibling: Json | None, expected: list[str]
) -> None:
    ranked = profile(
        "ranked",
        "Patient",
        element("Patient.birthDate.extension", min=needed, **slicing("value", "url")),
        element("Patient.birthDate.extension:rank", min=needed, max="1",
                type=[{"code": "Extension", "profile": [OURS + "rank"]}]),
    )  # fmt: skip
    checker = validator(ranked, extension("rank", "positiveInt"))
    patient = {
        "resourceType": "Patient",
        "meta": {"profile": [OURS + "ranked"]},
        "birthDate": "1980",
    }
    if sibling is not None:
        patient["_birthDate"] = sibling
    found = [issue.code for issue in checker.explain(patient) if refused(issue)]
    assert found == expected
    assert (checker.validate(patient) == ()) == (not expected)
