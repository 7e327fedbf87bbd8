"""Where references and canonical urls lead; conditions that are expressions; models, guides and narratives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from profiles_under_test import BASE, OURS, Known, element, profile

from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.guides import with_global_profiles
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import Packages, add
from fhir_server.validation.validator import Validator

Json = dict[str, Any]


def errors(resource: Json, *known: Json, **how: Any) -> list[tuple[str, str]]:
    """The errors by code and place; both forms agree on whether there is one."""
    checker = Validator(Library((CoreDefinitions(), Known(*known))), **how)
    found = [issue for issue in checker.explain(resource) if refused(issue)]
    assert (checker.validate(resource) == ()) == (not found)
    return [(issue.code, issue.expression[0]) for issue in found]


RESPONSE = {"resourceType": "QuestionnaireResponse", "status": "completed"}


@pytest.mark.parametrize("url", ["Questionnaire/1", "http://hl7.org/fhir/ValueSet/item-type"])
def test_a_canonical_url_is_absolute_and_of_what_its_element_is_for(url: str) -> None:
    resource = {**RESPONSE, "questionnaire": url}
    place = ("invalid", "QuestionnaireResponse.questionnaire")
    assert place in errors(resource, strict=True)
    assert errors(resource) == []


def test_a_canonical_url_of_what_is_not_known_is_kept() -> None:
    resource = {**RESPONSE, "questionnaire": "https://example.org/q|1"}
    assert errors(resource, strict=True) == []


def test_a_literal_reference_names_a_type_and_an_id() -> None:
    listed = {"resourceType": "List", "status": "current", "mode": "working"}
    wrong = {**listed, "entry": [{"item": {"reference": "17"}}]}
    assert errors(wrong, strict=True) == [("invalid", "List.entry[0].item")]
    assert errors(wrong) == []
    good = {**listed, "entry": [{"item": {"reference": "Patient/17"}}]}
    assert errors(good, strict=True) == []


def parameters(beneficiary: str) -> Json:
    coverage = {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": beneficiary},
        "payor": [{"display": "x"}],
    }
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "a", "resource": {"resourceType": "Patient", "id": "1"}},
            {"name": "b", "part": [{"name": "c", "resource": coverage}]},
        ],
    }


def test_what_is_referred_to_in_closed_parameters_is_in_them() -> None:
    place = "Parameters.parameter[1].part[0].resource.beneficiary"
    assert errors(parameters("Patient/2"), strict=True, closed=True) == [("structure", place)]
    assert errors(parameters("Patient/1"), strict=True, closed=True) == []
    assert errors(parameters("Patient/2"), strict=True) == []
    assert errors(parameters("https://example.org/Patient/2"), strict=True, closed=True) == []


def test_a_reference_inside_parameters_is_followed_to_its_target_profile() -> None:
    named = profile("named", "Patient", element("Patient.name", min=1))
    covered = profile(
        "covered",
        "Coverage",
        element("Coverage.beneficiary", type=[{"code": "Reference", "targetProfile": [OURS + "named"]}]),
    )  # fmt: skip
    resource = parameters("Patient/1")
    resource["parameter"][1]["part"][0]["resource"]["meta"] = {"profile": [OURS + "covered"]}
    place = "Parameters.parameter[1].part[0].resource.beneficiary"
    assert errors(resource, named, covered) == [("structure", place)]
    resource["parameter"][0]["resource"]["name"] = [{"text": "Jo"}]
    assert errors(resource, named, covered) == []


def test_a_target_whose_profile_is_not_known_is_an_error_when_strict() -> None:
    covered = profile(
        "covered",
        "Coverage",
        element("Coverage.beneficiary", type=[{"code": "Reference", "targetProfile": [OURS + "nobody"]}]),
    )  # fmt: skip
    resource = parameters("Patient/1")
    resource["parameter"][1]["part"][0]["resource"]["meta"] = {"profile": [OURS + "covered"]}
    place = "Parameters.parameter[1].part[0].resource.beneficiary"
    assert errors(resource, covered) == []
    assert errors(resource, covered, strict=True) == [("not-found", place)]


QUESTION = {"linkId": "smokes", "type": "boolean"}
EXPRESSION = {
    "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
    "valueExpression": {
        "language": "text/fhirpath",
        "expression": "%resource.descendants().where(linkId = 'smokes').answer.value = true",
    },
}


def asked(expression: Json, **more: Any) -> Json:
    dependent = {"linkId": "packs", "type": "integer", "extension": [expression], **more}
    return {
        "resourceType": "Questionnaire",
        "url": OURS + "q",
        "status": "active",
        "item": [QUESTION, dependent],
    }


def answered(smokes: bool, *, packs: int | None) -> Json:
    items: list[Json] = [{"linkId": "smokes", "answer": [{"valueBoolean": smokes}]}]
    if packs is not None:
        items.append({"linkId": "packs", "answer": [{"valueInteger": packs}]})
    return {**RESPONSE, "questionnaire": OURS + "q", "item": items}


def test_a_question_is_enabled_by_the_truth_of_its_expression() -> None:
    questionnaire = asked(EXPRESSION, required=True)
    assert errors(answered(True, packs=1), questionnaire) == []
    assert errors(answered(False, packs=None), questionnaire) == []
    assert errors(answered(False, packs=1), questionnaire) == [
        ("invalid", "QuestionnaireResponse.item[1]")
    ]
    assert errors(answered(True, packs=None), questionnaire) == [
        ("required", "QuestionnaireResponse")
    ]


def test_an_expression_that_cannot_be_evaluated_stands_in_nobodys_way() -> None:
    broken = {**EXPRESSION, "valueExpression": {"language": "text/fhirpath", "expression": "(("}}
    assert errors(answered(False, packs=1), asked(broken)) == []


def test_a_text_is_one_of_the_codes_that_its_question_offers() -> None:
    question = {
        "linkId": "a",
        "type": "string",
        "answerValueSet": "http://hl7.org/fhir/ValueSet/jurisdiction",
    }
    questionnaire = {**asked(EXPRESSION), "item": [question]}

    def answer(text: str) -> Json:
        items = [{"linkId": "a", "answer": [{"valueString": text}]}]
        return {**RESPONSE, "questionnaire": OURS + "q", "item": items}

    assert errors(answer("GB"), questionnaire) == []
    assert errors(answer("GB-SCT"), questionnaire) == []
    place = "QuestionnaireResponse.item[0].answer[0].value.ofType(string)"
    assert errors(answer("Scotland"), questionnaire) == [("invariant", place)]


def test_rules_of_a_type_are_told_beside_faults_of_shape() -> None:
    system = {"resourceType": "CodeSystem", "url": "https://example.org/s", "status": "active",
              "content": "complete", "count": 3, "concept": [{"code": "a"}], "publisher": 1}  # fmt: skip
    assert errors(system) == [("value", "CodeSystem.publisher"), ("invalid", "CodeSystem.count")]


def test_a_composite_parameter_has_components() -> None:
    parameter = {
        "resourceType": "SearchParameter",
        "url": "https://example.org/p",
        "name": "P",
        "status": "active",
        "description": "x",
        "code": "p",
        "base": ["Patient"],
        "type": "composite",
        "expression": "Patient",
    }
    assert errors(parameter) == [("business-rule", "SearchParameter")]
    parts = [{"definition": "https://example.org/a", "expression": "id"}] * 2
    assert errors({**parameter, "component": parts}) == []


def model(kind: str, path: str) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": "https://example.org/Model",
        "name": "Model",
        "status": "active",
        "kind": "logical",
        "abstract": False,
        "type": kind,
        "baseDefinition": BASE + "Element",
        "derivation": "specialization",
        "differential": {"element": [{"id": path, "path": path}]},
    }


def test_a_logical_model_is_of_the_type_that_its_url_names() -> None:
    assert errors(model("https://example.org/Model", "Model"), strict=True) == []
    wrong = errors(model("Model", "Model"), strict=True)
    assert wrong == [("invalid", "StructureDefinition.type")]
    other = errors(model("https://example.org/Model", "Other"), strict=True)
    assert other == [("not-found", "StructureDefinition.differential.element[0]")]
    assert errors(model("Model", "Model")) == []
    odd = errors(model("http://[Model", "[Model"), strict=True)
    assert ("invalid", "StructureDefinition.type") in odd


def test_a_type_is_given_profiles_of_its_own() -> None:
    wrong = profile(
        "counted",
        "Observation",
        element(
            "Observation.valueQuantity", type=[{"code": "Quantity", "profile": [BASE + "Count"]}]
        ),
    )
    place = "StructureDefinition.differential.element[1].type[0].profile[0]"
    assert errors(wrong, strict=True) == [("not-found", place)]


def test_obligations_are_inherited_from_profiles_of_the_same_base() -> None:
    inherit = BASE + "inherit-obligations"
    one, other = profile("one", "Patient"), profile("other", "Organization")
    heir = profile(
        "heir",
        "Patient",
        extension=[
            {"url": inherit, "valueCanonical": OURS + "one"},
            {"url": inherit, "valueCanonical": OURS + "other"},
        ],
    )
    assert errors(heir, one, other, strict=True) == [
        ("invalid", "StructureDefinition.extension[1]")
    ]


def test_a_document_holds_the_style_sheets_that_it_links_to() -> None:
    composition = {"resourceType": "Composition", "id": "1", "status": "final", "type": {"text": "x"}, "date": "2026",
                   "title": "x", "author": [{"display": "Jo"}]}  # fmt: skip
    sheet = {"resourceType": "Binary", "id": "css", "contentType": "text/css"}
    document = {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "https://example.org", "value": "1"},
        "timestamp": "2026-01-01T00:00:00Z",
        "link": [{"relation": "stylesheet", "url": "Binary/css"}],
        "entry": [
            {"fullUrl": "https://example.org/fhir/Composition/1", "resource": composition},
            {"fullUrl": "https://example.org/fhir/Binary/css", "resource": sheet},
        ],
    }
    assert errors(document) == []
    document["link"].append({"relation": "stylesheet", "url": "Binary/other"})  # type: ignore[attr-defined] # a list
    assert errors(document) == [("not-found", "Bundle.link[1].url")]


RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/v2-0131"
CONTAINING = profile(
    "containing",
    "Patient",
    element("Patient.contact.relationship", binding={"strength": "required", "valueSet": "#set"}),
    contained=[
        {
            "resourceType": "ValueSet",
            "id": "set",
            "status": "active",
            "compose": {
                "include": [{"system": RELATIONSHIP, "concept": [{"code": "C", "display": "Call first"}]}]
            },
        }
    ],
)  # fmt: skip


def contact(code: str, display: str) -> Json:
    relationship = {"coding": [{"system": RELATIONSHIP, "code": code, "display": display}]}
    return {
        "resourceType": "Patient",
        "meta": {"profile": [OURS + "containing"]},
        "contact": [{"relationship": [relationship], "name": {"text": "Jo"}}],
    }


def test_a_profile_may_contain_the_value_sets_of_its_bindings() -> None:
    place = "Patient.contact[0].relationship[0]"
    assert errors(contact("C", "Emergency Contact"), CONTAINING) == []
    assert errors(contact("N", "Next-of-Kin"), CONTAINING) == [("code-invalid", place)]


def test_a_value_set_may_call_its_codes_otherwise_than_their_system() -> None:
    assert errors(contact("C", "Call first"), CONTAINING, strict=True) == []
    wrong = errors(contact("C", "Call last"), CONTAINING, strict=True)
    assert wrong == [("invalid", "Patient.contact[0].relationship[0].coding[0].display")]


@pytest.mark.parametrize(
    ("control", "languages", "good"),
    [
        ("_no", ("en", "cy"), False),
        ("_no", (), True),
        ("_yes", ("cy",), True),
        ("_yes", (), False),
        ("_resource", ("en", "cy"), True),
        ("_resource", ("cy",), False),
        ("cy", ("en", "cy"), True),
        ("cy", ("en",), False),
    ],
)
def test_a_profile_may_ask_for_sections_by_language(
    control: str, languages: tuple[str, ...], good: bool
) -> None:
    asked = {"url": BASE + "narrative-language-control", "valueCode": control}
    told = profile("told", "Patient", element("Patient.text", extension=[asked]))
    inside = "".join(f'<div lang="{item}" xml:lang="{item}">x</div>' for item in languages) or "x"
    patient = {
        "resourceType": "Patient",
        "language": "en",
        "meta": {"profile": [OURS + "told"]},
        "text": {
            "status": "additional",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>',
        },
    }
    expected = [] if good else [("business-rule", "Patient.text")]
    assert errors(patient, told) == expected


GUIDE = {
    "resourceType": "ImplementationGuide",
    "url": "https://example.org/guide",
    "name": "Guide",
    "status": "active",
    "packageId": "example.guide",
    "fhirVersion": ["4.0.1"],
    "global": [{"type": "Patient", "profile": OURS + "named"}],
}


def test_a_guide_applies_its_global_profiles_to_every_resource_of_a_type() -> None:
    named = profile("named", "Patient", element("Patient.name", min=1))
    defaults = with_global_profiles([GUIDE, GUIDE], {"Patient": (OURS + "other",)})
    assert defaults == {"Patient": (OURS + "other", OURS + "named")}
    assert errors({"resourceType": "Patient"}, named, defaults=defaults) == [
        ("required", "Patient.name")
    ]


def test_packages_tell_their_guides(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "guide.json").write_text(str(GUIDE).replace("'", '"'))
    add(tmp_path / "kept", source)
    assert Packages(tmp_path / "kept").guides() == [GUIDE]
