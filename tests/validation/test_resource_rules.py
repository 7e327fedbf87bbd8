"""Rules that R4 states in prose: Questionnaires and answers, Bundles, value sets, search parameters, codes, links."""

from __future__ import annotations

from typing import Any

import pytest
from profiles_under_test import Known, element, profile, validator

from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.validator import Validator

Json = dict[str, Any]
URL = "https://example.org/Questionnaire/q"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def errors(resource: Json, *known: Json, strict: bool = False) -> list[tuple[str, str]]:
    """The errors by code and place; both forms agree on whether there is one."""
    checker = Validator(Library((CoreDefinitions(), Known(*known))), strict=strict)
    found = [issue for issue in checker.explain(resource) if refused(issue)]
    assert checker._is_faultless(resource, None) == (not found)
    assert (checker.validate(resource) == ()) == (not found)
    return [(issue.code, issue.expression[0]) for issue in found]


def asked(*items: Json) -> Json:
    return {"resourceType": "Questionnaire", "url": URL, "status": "active", "item": list(items)}


def answered(*items: Json, status: str = "completed") -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": URL,
        "status": status,
        "item": list(items),
    }


def item(link: str, *answers: Any, kind: str = "String") -> Json:
    return {"linkId": link, "answer": [{f"value{kind}": value} for value in answers]}


A = {"linkId": "a", "type": "string"}
NUMBER = {"linkId": "a", "type": "integer"}
CODE = {"system": "https://example.org/c", "code": "x"}
WHEN = {"question": "a", "operator": "=", "answerString": "yes"}
B = {"linkId": "b", "type": "string", "required": True, "enableWhen": [WHEN]}
R = "QuestionnaireResponse"


@pytest.mark.parametrize(
    ("questions", "response", "expected"),
    [
        ([A], answered(item("a", "x")), []),
        ([A], answered(item("z", "x")), [("not-found", R)]),
        ([A], answered(item("a", "x", "y")), [("invalid", f"{R}.item[0]")]),
        ([{**A, "repeats": True}], answered(item("a", "x", "y")), []),
        ([A], answered(item("a", 1, kind="Integer")), [("invariant", f"{R}.item[0].answer[0].value.ofType(integer)")]),
        ([{**A, "required": True}], answered(), [("required", R)]),
        ([{**A, "required": True}], answered(status="in-progress"), []),
        ([{**A, "maxLength": 2}], answered(item("a", "xyz")),
         [("invariant", f"{R}.item[0].answer[0].value.ofType(string)")]),
        ([A, B], answered(item("a", "no")), []),
        ([A, B], answered(item("a", "yes")), [("required", R)]),
        ([A, B], answered(item("a", "no"), item("b", "x")), [("invalid", f"{R}.item[1]")]),
        ([A, B], answered(item("a", "yes"), item("b", "x")), []),
        ([{**A, "type": "question"}], answered(item("a", "x")), [("invalid", f"{R}.item[0]")]),
        ([A, {**A, "linkId": "c"}], answered(item("c", "x"), item("a", "x")), [("invalid", f"{R}.item[1]")]),
        ([{"linkId": "g", "type": "group", "item": [A]}], answered({"linkId": "g", "item": [item("a", "x")]}), []),
        ([{"linkId": "g", "type": "group", "item": [A]}], answered(item("a", "x")), [("invalid", f"{R}.item[0]")]),
        ([{**A, "answerOption": [{"valueString": "x"}]}], answered(item("a", "y")),
         [("invariant", f"{R}.item[0].answer[0].value.ofType(string)")]),
        ([{"linkId": "a", "type": "choice", "answerOption": [{"valueCoding": {**CODE, "display": "X"}}]}],
         answered(item("a", CODE, kind="Coding")), []),
        ([{**NUMBER, "extension": [{"url": CORE + "maxValue", "valueInteger": 3}]}],
         answered(item("a", 4, kind="Integer")), [("invariant", f"{R}.item[0].answer[0].value.ofType(integer)")]),
        ([{**A, "extension": [{"url": CORE + "regex", "valueString": "^[0-9]+$"}]}], answered(item("a", "12")), []),
        ([{**A, "extension": [{"url": CORE + "regex", "valueString": "^[0-9]+$"}]}], answered(item("a", "x")),
         [("invariant", f"{R}.item[0].answer[0].value.ofType(string)")]),
    ],
)  # fmt: skip
def test_answers_are_held_to_their_questions(
    questions: list[Json], response: Json, expected: list[tuple[str, str]]
) -> None:
    if not response["item"]:
        del response["item"]
    assert errors(response, asked(*questions)) == expected


def test_answers_to_an_unknown_questionnaire_are_a_warning() -> None:
    assert errors(answered(item("z", "x"))) == []


def test_a_condition_names_another_question_outside_the_item() -> None:
    own = {**A, "enableWhen": [WHEN]}
    assert errors(asked(own)) == [("business-rule", "Questionnaire.item[0]")]
    inside = {"linkId": "g", "type": "group", "enableWhen": [WHEN], "item": [A]}
    assert errors(asked(inside)) == [("business-rule", "Questionnaire.item[0]")]
    assert errors(asked({**B, "enableWhen": [{**WHEN, "question": "z"}]})) == [
        ("business-rule", "Questionnaire.item[0]")
    ]
    assert errors(asked(A, B)) == []


def document(*entries: Json, **more: Any) -> Json:
    composition = {"resourceType": "Composition", "id": "1", "status": "final", "type": {"text": "x"},
                   "date": "2026", "title": "x", "author": [{"reference": "Organization/1"}]}  # fmt: skip
    first = {"fullUrl": "https://e.org/fhir/Composition/1", "resource": composition}
    return {
        "resourceType": "Bundle",
        "type": "document",
        "timestamp": "2026-03-05T09:00:00Z",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"},
        "entry": [first, *entries],
        **more,
    }


def organization(identifier: str, **more: Any) -> Json:
    held = {"resourceType": "Organization", "id": identifier, "name": "x", **more}
    return {"fullUrl": f"https://e.org/fhir/Organization/{identifier}", "resource": held}


def test_a_document_holds_what_its_composition_refers_to_and_nothing_unreached() -> None:
    assert errors(document(organization("1"))) == []
    assert errors(document()) == [("not-found", "Bundle.entry[0].resource.author[0]")]
    assert errors(document(organization("1"), organization("2"))) == [
        ("business-rule", "Bundle.entry[2]")
    ]
    leading = organization("1", partOf={"reference": "Organization/2"})
    assert errors(document(leading, organization("2"))) == []


def test_a_restful_full_url_in_a_document_is_that_of_a_resource_with_an_id() -> None:
    nameless = organization("1")
    del nameless["resource"]["id"]
    assert ("invalid", "Bundle.entry[1]") in errors(document(nameless))


def test_a_page_has_one_link_of_a_relation() -> None:
    link = {"relation": "self", "url": "https://e.org"}
    page = {"resourceType": "Bundle", "type": "searchset", "link": [link, link]}
    assert errors(page) == [("invalid", "Bundle.link[1]")]


SYSTEM = {"resourceType": "CodeSystem", "url": "https://e.org/cs", "status": "active", "content": "complete",
          "property": [{"code": "size", "type": "string"}],
          "concept": [{"code": "a", "display": "First"}, {"code": "b"}]}  # fmt: skip


def value_set(**include: Any) -> Json:
    return {
        "resourceType": "ValueSet",
        "url": "https://e.org/vs",
        "status": "active",
        "compose": {"include": [include]},
    }


def test_a_value_set_names_systems_and_properties_that_are_there() -> None:
    filtered = {"property": "size", "op": "=", "value": "1"}
    assert errors(value_set(system="https://e.org/cs", filter=[filtered]), SYSTEM) == []
    wrong = {**filtered, "property": "weight"}
    assert errors(value_set(system="https://e.org/cs", filter=[wrong]), SYSTEM) == [
        ("invalid", "ValueSet.compose.include[0].filter[0]")
    ]
    assert errors(value_set(system="#cs")) == [("invalid", "ValueSet.compose.include[0]")]


def test_a_code_system_counts_its_concepts_and_types_its_properties() -> None:
    assert errors({**SYSTEM, "count": 2}) == []
    assert errors({**SYSTEM, "count": 3}) == [("invalid", "CodeSystem.count")]
    typed = {
        **SYSTEM,
        "concept": [{"code": "a", "property": [{"code": "size", "valueInteger": 1}]}],
    }
    assert errors(typed) == [("invalid", "CodeSystem.concept[0].property[0]")]


def test_a_property_of_all_code_systems_has_its_own_type() -> None:
    order = {"code": "o", "uri": "http://hl7.org/fhir/concept-properties#order"}
    assert errors({**SYSTEM, "property": [{**order, "type": "integer"}]}) == []
    assert errors({**SYSTEM, "property": [{**order, "type": "decimal"}]}) == [
        ("business-rule", "CodeSystem.property[0]")
    ]
    assert errors({**SYSTEM, "property": [{"code": "order", "type": "decimal"}]}) == []


def test_a_concept_map_is_about_the_codes_of_its_value_sets() -> None:
    made = {"resourceType": "ConceptMap", "status": "active", "sourceCanonical": "https://e.org/vs",
            "group": [{"source": "https://e.org/cs", "element": [{"code": "a"}, {"code": "z"}]}]}  # fmt: skip
    assert errors(made, SYSTEM, value_set(system="https://e.org/cs")) == [
        ("required", "ConceptMap.group[0].element[1].code")
    ]


def test_a_search_parameter_has_the_type_of_what_it_is_derived_from() -> None:
    made = {"resourceType": "SearchParameter", "url": "https://e.org/sp", "name": "X", "status": "active",
            "description": "x", "code": "name", "base": ["Organization"], "type": "string",
            "expression": "Organization.name",
            "derivedFrom": "http://hl7.org/fhir/SearchParameter/Organization-name"}  # fmt: skip
    assert errors(made) == []
    assert errors({**made, "type": "token"}) == [("business-rule", "SearchParameter")]


def test_a_statement_offers_parameters_as_they_are_defined() -> None:
    offered = {
        "name": "name",
        "definition": "http://hl7.org/fhir/SearchParameter/Organization-name",
        "type": "date",
    }
    made = {"resourceType": "CapabilityStatement", "status": "active", "date": "2026", "kind": "instance",
            "implementation": {"description": "x"}, "fhirVersion": "4.0.1", "format": ["json"],
            "rest": [{"mode": "server", "resource": [{"type": "Organization", "searchParam": [offered]}]}]}  # fmt: skip
    assert errors(made) == [("invalid", "CapabilityStatement.rest[0].resource[0].searchParam[0]")]


def coded(code: str, **more: Any) -> Json:
    return {
        "resourceType": "Basic",
        "code": {"coding": [{"system": "https://e.org/cs", "code": code, **more}]},
    }


def test_unknown_codes_and_wrong_displays_are_warnings_and_errors_when_strict() -> None:
    place = "Basic.code.coding[0]"
    assert errors(coded("z"), SYSTEM) == []
    assert errors(coded("z"), SYSTEM, strict=True) == [("code-invalid", f"{place}.code")]
    assert errors(coded("a", display="Second"), SYSTEM) == []
    assert errors(coded("a", display="Second"), SYSTEM, strict=True) == [
        ("invalid", f"{place}.display")
    ]
    assert errors(coded("a", display="first"), SYSTEM, strict=True) == []
    warned = Validator(Library((CoreDefinitions(), Known(SYSTEM)))).explain(coded("z"))
    assert [(issue.severity, issue.code) for issue in warned if issue.code == "code-invalid"] == [
        ("warning", "code-invalid")
    ]


def test_a_link_that_leads_nowhere_is_an_error_when_strict() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><a href="#x">x</a></div>'
    made = {
        "resourceType": "Basic",
        "code": {"text": "x"},
        "text": {"status": "generated", "div": div},
    }
    assert errors(made) == []
    assert errors(made, strict=True) == [("invalid", "Basic.text.div")]
    assert errors({**made, "id": "x"}, strict=True) == []


def test_a_named_entity_of_html_is_an_error_when_strict() -> None:
    def made(text: str) -> Json:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'
        text_of = {"status": "generated", "div": div}
        return {"resourceType": "Basic", "code": {"text": "x"}, "text": text_of}

    assert errors(made("a&nbsp;b")) == []
    assert errors(made("a&nbsp;b"), strict=True) == [("invalid", "Basic.text.div")]
    assert errors(made("a &amp; &#160;"), strict=True) == []


def test_a_resource_that_breaks_the_rules_of_its_type_does_not_conform_to_it() -> None:
    rule = {
        "key": "x-1",
        "severity": "error",
        "human": "x",
        "expression": f"conformsTo('{CORE}Basic')",
    }
    asks = profile("basic", "Basic", element("Basic", constraint=[rule]))
    made = {"resourceType": "Basic", "meta": {"profile": [asks["url"]]}, "code": {"text": "x"}}
    assert errors(made, asks) == []
    assert errors({**made, "created": "2026", "language": "x x"}, asks) == [
        ("code-invalid", "Basic.language"),
        ("invariant", "Basic"),
    ]


def test_a_rule_may_ask_what_a_code_subsumes() -> None:
    tree = {**SYSTEM, "concept": [{"code": "a", "concept": [{"code": "b"}]}, {"code": "c"}]}
    rule = {
        "key": "x-1",
        "severity": "error",
        "human": "x",
        "expression": "code.coding[0].subsumes(code.coding[1])",
    }
    asks = profile("basic", "Basic", element("Basic", constraint=[rule]))

    def made(*codes: Any) -> Json:
        coding = [{"system": SYSTEM["url"], "code": code} for code in codes]
        return {
            "resourceType": "Basic",
            "meta": {"profile": [asks["url"]]},
            "code": {"coding": coding},
        }

    assert errors(made("a", "b"), asks, tree) == []
    assert errors(made("a", "c"), asks, tree) == [("invariant", "Basic")]
    assert errors(made("a", ["b"]), asks, tree) == [("value", "Basic.code.coding[1].code")]


def test_unknown_extensions_are_errors_when_strict() -> None:
    made = {"resourceType": "Basic", "code": {"text": "x"},
            "extension": [{"url": "https://unknown.org/e", "valueString": "x"}]}  # fmt: skip
    assert errors(made) == []
    assert errors(made, strict=True) == [("extension", "Basic.extension[0]")]


def test_extensible_bindings_of_r4_are_warnings() -> None:
    security = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "NONE",
    }
    made = {"resourceType": "Basic", "code": {"text": "x"}, "meta": {"security": [security]}}
    assert errors(made) == []
    places = [i.expression[0] for i in validator().explain(made) if i.severity == "warning"]
    assert "Basic.meta.security[0]" in places


def test_a_profile_that_cannot_be_is_an_error_of_its_definition() -> None:
    made = profile("bad", "Patient", element("Patient.nothing", min=1))
    assert errors(made) == [("business-rule", "StructureDefinition.differential.element[1]")]


def test_a_structure_definition_that_lacks_what_r4_requires_is_refused_by_that_alone() -> None:
    broken = {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/StructureDefinition/x",
        "name": "X",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "min": 0}]},
    }
    place = "StructureDefinition.differential.element[0]"
    assert errors(broken) == [("required", f"{place}.path"), ("invariant", place)]


def test_a_structure_definition_with_an_empty_type_is_refused_by_that_alone() -> None:
    broken = profile("x", "Patient", element("Patient.deceased[x]", type=[{"code": ""}]))
    place = "StructureDefinition.differential.element[1].type[0].code"
    assert errors(broken) == [("value", place)]
