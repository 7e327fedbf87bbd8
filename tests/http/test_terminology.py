"""The terminology service over HTTP (https://hl7.org/fhir/R4/terminology-service.html)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from elsewhere_server import Elsewhere

Json = dict[str, Any]
GENDER = "http://hl7.org/fhir/administrative-gender"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def created(client: httpx.Client, resource: Json) -> Json:
    answer = client.post(resource["resourceType"], json=resource)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def ask(client: httpx.Client, path: str, status: int = 200, **query: str) -> Json:
    answer = client.get(path, params={name.replace("_", "-"): v for name, v in query.items()})
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


def send(client: httpx.Client, path: str, *listed: Json, status: int = 200) -> Json:
    answer = client.post(path, json={"resourceType": "Parameters", "parameter": list(listed)})
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


def values(answer: Json) -> Json:
    """name -> value of the simple parameters."""
    assert answer["resourceType"] == "Parameters"
    return {
        item["name"]: next(value for name, value in item.items() if name.startswith("value"))
        for item in answer["parameter"]
        if "part" not in item
    }


def issue(answer: Json) -> str:
    assert answer["resourceType"] == "OperationOutcome"
    found: str = answer["issue"][0]["code"]
    return found


def codes(answer: Json) -> list[str]:
    return [item["code"] for item in answer["expansion"].get("contains", [])]


@pytest.fixture
def colours(client: httpx.Client) -> Json:
    """A stored code system with a hierarchy, a value set and a concept map of it, all with urls of their own."""
    base = f"http://example.org/{uuid4()}"
    system = {
        "resourceType": "CodeSystem",
        "url": f"{base}/colours",
        "version": "1.0",
        "name": "Colours",
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        "property": [{"code": "warm", "type": "boolean"}, {"code": "notSelectable", "type": "boolean"}],
        "concept": [
            {
                "code": "any",
                "display": "Any colour",
                "property": [{"code": "notSelectable", "valueBoolean": True}],
                "concept": [
                    {
                        "code": "red",
                        "display": "Red",
                        "definition": "The colour of blood",
                        "designation": [{"language": "cy", "value": "Coch"}],
                        "property": [{"code": "warm", "valueBoolean": True}],
                    },
                    {"code": "blue", "display": "Blue", "concept": [{"code": "navy", "display": "Navy blue"}]},
                ],
            }
        ],
    }  # fmt: skip
    value_set = {
        "resourceType": "ValueSet",
        "url": f"{base}/palette",
        "version": "3",
        "name": "Palette",
        "status": "active",
        "description": "Colours to choose from",
        "compose": {"include": [{"system": system["url"]}]},
    }
    concept_map = {
        "resourceType": "ConceptMap",
        "url": f"{base}/map",
        "status": "active",
        "sourceUri": value_set["url"],
        "targetUri": GENDERS,
        "group": [
            {
                "source": system["url"],
                "target": GENDER,
                "element": [
                    {"code": "blue", "target": [{"code": "male", "equivalence": "wider"}]},
                    {"code": "red", "target": [{"equivalence": "unmatched"}]},
                ],
                "unmapped": {"mode": "fixed", "code": "unknown"},
            }
        ],
    }
    return {
        "system": created(client, system),
        "set": created(client, value_set),
        "map": created(client, concept_map),
    }


# $expand


@pytest.mark.rule(314, "operations#response")
def test_expand_by_url_and_by_id_and_inline_is_the_same(
    client: httpx.Client, colours: Json
) -> None:
    stored = colours["set"]
    by_url = ask(client, "ValueSet/$expand", url=stored["url"])
    assert by_url["resourceType"] == "ValueSet"
    assert by_url["expansion"]["total"] == 4
    assert by_url["expansion"]["identifier"].startswith("urn:uuid:")
    assert codes(by_url) == ["any", "red", "blue", "navy"]
    assert by_url["expansion"]["contains"][0] == {
        "system": colours["system"]["url"],
        "abstract": True,
        "version": "1.0",
        "code": "any",
        "display": "Any colour",
    }
    assert codes(ask(client, f"ValueSet/{stored['id']}/$expand")) == codes(by_url)
    inline = send(client, "ValueSet/$expand", {"name": "valueSet", "resource": stored})
    assert codes(inline) == codes(by_url)
    bare = client.post("ValueSet/$expand", json=stored)
    assert codes(bare.json()) == codes(by_url)
    assert codes(ask(client, "ValueSet/$expand", url=stored["url"] + "|3")) == codes(by_url)
    assert codes(ask(client, "ValueSet/$expand", url=stored["url"], valueSetVersion="3")) == codes(
        by_url
    )
    assert issue(ask(client, "ValueSet/$expand", 404, url=stored["url"] + "|4")) == "not-found"


def test_a_change_of_the_code_system_takes_effect_at_once(
    client: httpx.Client, colours: Json
) -> None:
    system = colours["system"]
    system["concept"].append({"code": "green"})
    assert client.put(f"CodeSystem/{system['id']}", json=system).status_code == 200
    assert "green" in codes(ask(client, "ValueSet/$expand", url=colours["set"]["url"]))


def test_expand_page_by_page(client: httpx.Client, colours: Json) -> None:
    url = colours["set"]["url"]
    page = ask(client, "ValueSet/$expand", url=url, count="2")
    assert (page["expansion"]["total"], page["expansion"]["offset"]) == (4, 0)
    assert codes(page) == ["any", "red"]
    rest = ask(client, "ValueSet/$expand", url=url, count="2", offset="2")
    assert codes(rest) == ["blue", "navy"]
    nothing = ask(client, "ValueSet/$expand", url=url, count="0")
    assert nothing["expansion"]["total"] == 4
    assert "contains" not in nothing["expansion"]
    assert codes(ask(client, "ValueSet/$expand", url=url, offset="9")) == []
    assert issue(ask(client, "ValueSet/$expand", 400, url=url, count="-1")) == "invalid"
    assert issue(ask(client, "ValueSet/$expand", 400, url=url, count="x")) == "value"


def test_expand_with_a_filter_text(client: httpx.Client, colours: Json) -> None:
    url = colours["set"]["url"]
    assert codes(ask(client, "ValueSet/$expand", url=url, filter="BLU")) == ["blue", "navy"]
    assert codes(ask(client, "ValueSet/$expand", url=url, filter="blu nav")) == ["navy"]
    assert codes(ask(client, "ValueSet/$expand", url=url, filter="coch")) == ["red"]
    assert codes(ask(client, "ValueSet/$expand", url=url, filter="pink")) == []


def test_expand_as_a_tree(client: httpx.Client, colours: Json) -> None:
    answer = ask(client, "ValueSet/$expand", url=colours["set"]["url"], excludeNested="false")
    (top,) = answer["expansion"]["contains"]
    assert [item["code"] for item in top["contains"]] == ["red", "blue"]
    assert top["contains"][1]["contains"][0]["code"] == "navy"
    assert answer["expansion"]["total"] == 4
    # Pages are of lists only.
    paged = ask(
        client, "ValueSet/$expand", url=colours["set"]["url"], excludeNested="false", count="2"
    )
    assert codes(paged) == ["any", "red"]


def test_expand_tells_designations_definition_and_languages_when_asked(
    client: httpx.Client, colours: Json
) -> None:
    url = colours["set"]["url"]
    plain = ask(client, "ValueSet/$expand", url=url)
    assert "compose" not in plain
    assert "designation" not in plain["expansion"]["contains"][1]
    whole = ask(
        client, "ValueSet/$expand", url=url, includeDefinition="true", includeDesignations="true"
    )
    assert whole["compose"] == colours["set"]["compose"]
    assert whole["expansion"]["contains"][1]["designation"] == [{"language": "cy", "value": "Coch"}]
    welsh = ask(client, "ValueSet/$expand", url=url, displayLanguage="cy")
    assert welsh["expansion"]["contains"][1]["display"] == "Coch"
    one = ask(client, "ValueSet/$expand", url=url, designation="urn:ietf:bcp:47|de")
    assert "designation" not in one["expansion"]["contains"][1]
    told = {item["name"] for item in welsh["expansion"]["parameter"]}
    assert told == {"displayLanguage", "version"}


def test_expand_leaves_out_what_is_not_wanted(client: httpx.Client, colours: Json) -> None:
    url, system = colours["set"]["url"], colours["system"]
    assert "any" not in codes(ask(client, "ValueSet/$expand", url=url, excludeNotForUI="true"))
    assert codes(ask(client, "ValueSet/$expand", url=url, exclude_system=system["url"])) == []
    system["concept"][0]["concept"][0]["property"].append(
        {"code": "inactive", "valueBoolean": True}
    )
    client.put(f"CodeSystem/{system['id']}", json=system)
    assert "red" in codes(ask(client, "ValueSet/$expand", url=url))
    assert "red" not in codes(ask(client, "ValueSet/$expand", url=url, activeOnly="true"))


def test_expand_uses_the_versions_asked_for(client: httpx.Client, colours: Json) -> None:
    system, url = colours["system"], colours["set"]["url"]
    newer = {name: value for name, value in system.items() if name not in ("id", "meta")}
    created(client, newer | {"version": "2.0", "concept": [{"code": "mauve"}]})
    assert codes(ask(client, "ValueSet/$expand", url=url)) == ["mauve"]  # the newest
    pinned = ask(client, "ValueSet/$expand", url=url, system_version=system["url"] + "|1.0")
    assert len(codes(pinned)) == 4
    forced = ask(client, "ValueSet/$expand", url=url, force_system_version=system["url"] + "|2.0")
    assert codes(forced) == ["mauve"]
    missing = ask(
        client, "ValueSet/$expand", 422, url=url, force_system_version=system["url"] + "|9"
    )
    assert issue(missing) == "not-found"
    assert (
        issue(ask(client, "ValueSet/$expand", 400, url=url, system_version=system["url"]))
        == "invalid"
    )


def test_expand_by_the_context_of_a_binding(client: httpx.Client) -> None:
    for context in (
        "Patient.gender",
        "http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender",
    ):
        answer = ask(client, "ValueSet/$expand", context=context, contextDirection="incoming")
        assert "female" in codes(answer)
    assert issue(ask(client, "ValueSet/$expand", 404, context="Patient.colour")) == "not-found"


@pytest.mark.rule(324, "operations")
def test_what_cannot_be_expanded_is_told_with_its_code(client: httpx.Client, colours: Json) -> None:
    assert issue(ask(client, "ValueSet/$expand", 400)) == "required"
    assert issue(ask(client, "ValueSet/$expand", 404, url="http://nobody.example/x")) == "not-found"
    mime_types = "http://hl7.org/fhir/ValueSet/mimetypes"
    assert issue(ask(client, "ValueSet/$expand", 403, url=mime_types)) == "too-costly"
    snomed = ask(client, "ValueSet/$expand", 422, url="http://hl7.org/fhir/ValueSet/procedure-code")
    assert issue(snomed) == "not-found"
    assert "http://snomed.info/sct" in snomed["issue"][0]["diagnostics"]
    both = {"name": "url", "valueUri": GENDERS}, {"name": "valueSet", "resource": colours["set"]}
    assert issue(send(client, "ValueSet/$expand", *both, status=400)) == "invalid"
    assert issue(ask(client, "ValueSet/nobody/$expand", 404)) == "not-found"
    assert issue(ask(client, "ValueSet/$expand", 400, url=GENDERS, colour="red")) == "not-supported"
    client.delete(f"ValueSet/{colours['set']['id']}")
    assert issue(ask(client, f"ValueSet/{colours['set']['id']}/$expand", 410)) == "deleted"


def test_an_inline_definition_that_is_not_valid_is_refused(client: httpx.Client) -> None:
    wrong = {
        "resourceType": "ValueSet",
        "status": "active",
        "compose": {"include": [{"concept": [{}]}]},
    }
    answer = client.post("ValueSet/$expand", json=wrong)
    assert answer.status_code == 400
    assert "ValueSet.compose.include[0].concept[0]" in answer.json()["issue"][0]["expression"]
    nameless = {
        "_name": {"extension": [{"url": "http://x.example", "valueString": "x"}]},
        "valueUri": GENDERS,
    }
    assert issue(send(client, "ValueSet/$expand", nameless, status=400)) == "required"


def test_absent_codes_and_urls_are_passed_over(client: httpx.Client, colours: Json) -> None:
    absent = {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                "valueCode": "unknown",
            }
        ]
    }
    system = {
        "resourceType": "CodeSystem",
        "url": f"http://example.org/{uuid4()}",
        "status": "active",
        "content": "complete",
        "concept": [
            {
                "_code": absent,
                "concept": [{"code": "a", "designation": [{"language": "cy", "_value": absent}]}],
            },
            {"code": "b", "property": [{"_code": absent, "valueCode": "x"}]},
        ],
    }
    created(client, system)
    source = {
        "resourceType": "ValueSet",
        "status": "active",
        "compose": {
            "include": [
                {"system": system["url"]},
                {
                    "system": colours["system"]["url"],
                    "concept": [{"_code": absent}, {"code": "red"}],
                },
                {"_system": absent, "valueSet": [None], "_valueSet": [absent]},
            ],
        },
    }
    answer = client.post("ValueSet/$expand", params={"displayLanguage": "cy"}, json=source)
    assert answer.status_code == 200, answer.text
    assert codes(answer.json()) == ["a", "b", "red"]
    found = send(
        client,
        "ValueSet/$validate-code",
        {"name": "valueSet", "resource": source},
        {"name": "coding", "valueCoding": {"system": system["url"], "_code": absent}},
    )
    assert values(found)["result"] is False


def test_an_expansion_is_valid_and_comes_in_xml_too(client: httpx.Client, colours: Json) -> None:
    found = ask(
        client,
        "ValueSet/$expand",
        url=colours["set"]["url"],
        includeDesignations="true",
        excludeNested="false",
    )
    outcome = client.post("ValueSet/$validate", json=found).json()
    assert [item["severity"] for item in outcome["issue"]] == ["information"]
    answer = client.get(
        "ValueSet/$expand", params={"url": GENDERS}, headers={"Accept": "application/fhir+xml"}
    )
    assert answer.text.count("<contains>") == 4


# $validate-code of ValueSet


def validated(client: httpx.Client, path: str, *listed: Json) -> Json:
    return values(send(client, path, *listed))


def test_a_code_of_a_value_set_is_told_with_its_display(
    client: httpx.Client, colours: Json
) -> None:
    url, system = colours["set"]["url"], colours["system"]["url"]
    path = "ValueSet/$validate-code"
    good = values(ask(client, path, url=url, system=system, code="red"))
    assert good == {"result": True, "display": "Red"}
    bad = values(ask(client, path, url=url, system=system, code="pink"))
    assert bad["result"] is False
    assert "pink" in bad["message"]
    instance = f"ValueSet/{colours['set']['id']}/$validate-code"
    assert values(ask(client, instance, system=system, code="red"))["result"] is True
    assert (
        values(ask(client, path, url=url, system=system, code="red", systemVersion="1.0"))["result"]
        is True
    )
    context = values(ask(client, path, context="Patient.gender", code="male"))
    assert context["result"] is True
    other = values(ask(client, path, url=url, system=GENDER, code="male"))
    assert other["result"] is False


def test_codings_and_concepts_are_validated(client: httpx.Client, colours: Json) -> None:
    url, system = colours["set"]["url"], colours["system"]["url"]
    path, of_set = "ValueSet/$validate-code", {"name": "url", "valueUri": url}
    red, pink = {"system": system, "code": "red"}, {"system": system, "code": "pink"}
    assert validated(client, path, of_set, {"name": "coding", "valueCoding": red})["result"] is True
    assert (
        validated(client, path, of_set, {"name": "coding", "valueCoding": pink})["result"] is False
    )
    for codings, result in (([pink, red], True), ([pink], False), ([], False)):
        concept = {"text": "a colour", "coding": codings} if codings else {"text": "a colour"}
        found = validated(
            client, path, of_set, {"name": "codeableConcept", "valueCodeableConcept": concept}
        )
        assert found["result"] is result
        assert result or found["message"]
    inline = {"name": "valueSet", "resource": colours["set"]}
    assert validated(client, path, inline, {"name": "coding", "valueCoding": red})["result"] is True


def test_displays_and_abstract_codes_are_judged(client: httpx.Client, colours: Json) -> None:
    query = {"url": colours["set"]["url"], "system": colours["system"]["url"]}
    path = "ValueSet/$validate-code"
    for display, result in (("Red", True), ("red ", True), ("Coch", True), ("Blue", False)):
        found = values(ask(client, path, code="red", display=display, **query))
        assert found["result"] is result
        assert found["display"] == "Red"
    assert values(ask(client, path, code="any", **query))["result"] is False
    assert values(ask(client, path, code="any", abstract="true", **query))["result"] is True


def test_validate_code_refuses_what_it_cannot_understand(client: httpx.Client) -> None:
    path = "ValueSet/$validate-code"
    assert issue(ask(client, path, 400, url=GENDERS)) == "required"
    assert issue(ask(client, path, 400, url=GENDERS, code="male")) == "required"
    assert issue(ask(client, path, 400, code="male", system=GENDER)) == "required"
    assert (
        issue(ask(client, path, 404, url="http://nobody.example", code="male", system=GENDER))
        == "not-found"
    )
    coding = {"name": "coding", "valueCoding": {"system": GENDER, "code": "male"}}
    both = send(
        client,
        path,
        {"name": "url", "valueUri": GENDERS},
        coding,
        {"name": "code", "valueCode": "x"},
        status=400,
    )
    assert issue(both) == "required"
    unknown = values(
        ask(
            client,
            path,
            url="http://hl7.org/fhir/ValueSet/procedure-code",
            code="1",
            system="http://snomed.info/sct",
        )
    )
    assert unknown["result"] is False
    assert "not known here" in unknown["message"]


def test_codes_of_a_grammar_are_validated(client: httpx.Client) -> None:
    for value_set, system, good, bad in (
        ("mimetypes", "urn:ietf:bcp:13", "text/plain", "text"),
        ("all-languages", "urn:ietf:bcp:47", "en-GB", "en_GB"),
        ("currencies", "urn:iso:std:iso:4217", "GBP", "GPB"),
        ("ucum-units", "http://unitsofmeasure.org", "mg/dL", "mgs"),
    ):
        for code, result in ((good, True), (bad, False)):
            url = f"http://hl7.org/fhir/ValueSet/{value_set}"
            found = values(
                ask(client, "ValueSet/$validate-code", url=url, system=system, code=code)
            )
            assert found["result"] is result, code


# CodeSystem


def test_code_system_validate_code(client: httpx.Client, colours: Json) -> None:
    system = colours["system"]
    path = "CodeSystem/$validate-code"
    assert values(ask(client, path, url=system["url"], code="red"))["result"] is True
    assert values(ask(client, path, url=system["url"], code="red", version="1.0"))["result"] is True
    assert values(ask(client, path, url=system["url"], code="pink"))["result"] is False
    assert (
        values(ask(client, f"CodeSystem/{system['id']}/$validate-code", code="red"))["result"]
        is True
    )
    red = {"system": system["url"], "code": "red", "display": "Blue"}
    wrong = validated(client, path, {"name": "coding", "valueCoding": red})
    assert (wrong["result"], wrong["display"]) == (False, "Red")
    inline = {"name": "codeSystem", "resource": system}
    assert validated(client, path, inline, {"name": "code", "valueCode": "navy"})["result"] is True
    concept = {
        "coding": [{"system": GENDER, "code": "male"}, {"system": system["url"], "code": "red"}]
    }
    both = validated(
        client,
        path,
        {"name": "url", "valueUri": system["url"]},
        {"name": "codeableConcept", "valueCodeableConcept": concept},
    )
    assert both["result"] is True
    assert issue(ask(client, path, 404, url="http://nobody.example", code="x")) == "not-found"
    assert issue(ask(client, path, 404, url=system["url"], code="red", version="7")) == "not-found"
    assert issue(ask(client, path, 400, code="x")) == "required"


def test_a_fragment_cannot_tell_that_a_code_is_wrong(client: httpx.Client, colours: Json) -> None:
    system = colours["system"] | {"content": "fragment"}
    client.put(f"CodeSystem/{system['id']}", json=system)
    found = values(ask(client, "CodeSystem/$validate-code", url=system["url"], code="pink"))
    assert found["result"] is True
    assert "part" in found["message"]


def test_lookup_tells_what_is_known_of_a_code(client: httpx.Client, colours: Json) -> None:
    url = colours["system"]["url"]
    answer = ask(client, "CodeSystem/$lookup", system=url, code="red")
    assert values(answer) == {"name": "Colours", "version": "1.0", "display": "Red"}
    found = {}
    for item in answer["parameter"]:
        if item["name"] == "property":
            code, value = item["part"]
            found[code["valueCode"]] = next(
                told for name, told in value.items() if name.startswith("value")
            )
    assert found == {
        "definition": "The colour of blood",
        "inactive": False,
        "parent": "any",
        "warm": True,
    }
    (designation,) = [item for item in answer["parameter"] if item["name"] == "designation"]
    assert designation["part"][1] == {"name": "value", "valueString": "Coch"}
    some = ask(client, "CodeSystem/$lookup", system=url, code="red", property="warm")
    assert [item["part"][0]["valueCode"] for item in some["parameter"] if "part" in item] == [
        "warm"
    ]
    welsh = ask(client, "CodeSystem/$lookup", system=url, code="red", displayLanguage="cy")
    assert values(welsh)["display"] == "Coch"
    coding = send(
        client,
        "CodeSystem/$lookup",
        {"name": "coding", "valueCoding": {"system": GENDER, "code": "male"}},
    )
    assert values(coding)["display"] == "Male"
    outcome = client.post("Parameters/$validate", json=answer).json()
    assert [item["severity"] for item in outcome["issue"]] == ["information"]


def test_lookup_of_what_is_not_known_is_404(client: httpx.Client, colours: Json) -> None:
    path = "CodeSystem/$lookup"
    assert (
        issue(ask(client, path, 404, system=colours["system"]["url"], code="pink")) == "not-found"
    )
    assert issue(ask(client, path, 404, system="http://nobody.example", code="pink")) == "not-found"
    assert issue(ask(client, path, 400, code="pink")) == "required"
    assert issue(ask(client, path, 400)) == "required"


def test_subsumes_tells_how_two_codes_relate(client: httpx.Client, colours: Json) -> None:
    system = colours["system"]
    path = "CodeSystem/$subsumes"
    for one, other, outcome in (
        ("red", "red", "equivalent"),
        ("any", "navy", "subsumes"),
        ("navy", "blue", "subsumed-by"),
        ("red", "blue", "not-subsumed"),
    ):
        by_type = ask(client, path, system=system["url"], codeA=one, codeB=other)
        assert values(by_type) == {"outcome": outcome}
        by_instance = ask(client, f"CodeSystem/{system['id']}/$subsumes", codeA=one, codeB=other)
        assert by_instance == by_type
    codings = [
        {"name": name, "valueCoding": {"system": ACT_CODE, "code": code}}
        for name, code in (("codingA", "V"), ("codingB", "CC"))
    ]
    assert values(send(client, path, *codings)) == {"outcome": "subsumed-by"}
    assert (
        issue(ask(client, path, 404, system=system["url"], codeA="red", codeB="pink"))
        == "not-found"
    )
    assert issue(ask(client, path, 400, codeA="red", codeB="blue")) == "required"
    assert issue(ask(client, path, 400, system=system["url"], codeA="red")) == "required"


# ConceptMap


def matches(answer: Json) -> list[tuple[str, str | None]]:
    found = []
    for item in answer["parameter"]:
        if item["name"] == "match":
            parts = {part["name"]: part for part in item["part"]}
            coding = parts.get("concept", {}).get("valueCoding", {})
            found.append((parts["equivalence"]["valueCode"], coding.get("code")))
    return found


def test_translate_by_map_by_value_sets_and_backwards(client: httpx.Client, colours: Json) -> None:
    concept_map, system = colours["map"], colours["system"]["url"]
    path = "ConceptMap/$translate"
    answer = ask(client, path, url=concept_map["url"], system=system, code="blue")
    assert values(answer)["result"] is True
    assert matches(answer) == [("wider", "male")]
    instance = f"ConceptMap/{concept_map['id']}/$translate"
    assert matches(ask(client, instance, system=system, code="blue")) == [("wider", "male")]
    by_sets = ask(
        client, path, source=colours["set"]["url"], target=GENDERS, system=system, code="blue"
    )
    assert matches(by_sets) == [("wider", "male")]
    none = ask(client, path, url=concept_map["url"], system=system, code="red")
    assert (values(none)["result"], matches(none)) == (False, [("unmatched", None)])
    fixed = ask(client, path, url=concept_map["url"], system=system, code="navy")
    assert matches(fixed) == [("inexact", "unknown")]
    back = ask(client, path, url=concept_map["url"], system=GENDER, code="male", reverse="true")
    assert matches(back) == [("narrower", "blue")]
    elsewhere = ask(
        client,
        path,
        url=concept_map["url"],
        system=system,
        code="blue",
        targetsystem="http://other.example",
    )
    assert values(elsewhere)["result"] is False
    concept = {"coding": [{"system": system, "code": "red"}, {"system": system, "code": "blue"}]}
    whole = send(
        client,
        path,
        {"name": "url", "valueUri": concept_map["url"]},
        {"name": "codeableConcept", "valueCodeableConcept": concept},
    )
    assert values(whole)["result"] is True


def test_translate_by_r4s_own_maps(client: httpx.Client) -> None:
    url = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3"
    answer = ask(client, "ConceptMap/$translate", url=url, system=GENDER, code="male")
    assert matches(answer) == [("equal", "M")]
    assert (
        issue(
            ask(
                client,
                "ConceptMap/$translate",
                404,
                url="http://nobody.example",
                system=GENDER,
                code="male",
            )
        )
        == "not-found"
    )
    assert issue(ask(client, "ConceptMap/$translate", 400, url=url, code="male")) == "required"
    nowhere = ask(
        client,
        "ConceptMap/$translate",
        source=GENDERS,
        target="http://nobody.example",
        system=GENDER,
        code="male",
    )
    assert values(nowhere)["result"] is False


# Around


def test_operations_are_declared_and_not_offered_elsewhere(client: httpx.Client) -> None:
    resources = {item["type"]: item for item in ask(client, "metadata")["rest"][0]["resource"]}
    assert {item["name"] for item in resources["ValueSet"]["operation"]} >= {
        "expand",
        "validate-code",
    }
    assert {item["name"] for item in resources["CodeSystem"]["operation"]} >= {
        "lookup",
        "validate-code",
        "subsumes",
    }
    assert {item["name"] for item in resources["ConceptMap"]["operation"]} >= {"translate"}
    assert issue(ask(client, "Patient/$expand", 404)) == "not-supported"
    assert issue(ask(client, "CodeSystem/x/$lookup", 404, code="a")) == "not-supported"


@pytest.mark.rule(263, "http#capabilities")
def test_the_terminology_capabilities_are_told_and_valid(client: httpx.Client) -> None:
    found = ask(client, "metadata", mode="terminology")
    assert found["resourceType"] == "TerminologyCapabilities"
    assert {"uri": "http://unitsofmeasure.org"} in found["codeSystem"]
    assert "filter" in {item["name"] for item in found["expansion"]["parameter"]}
    outcome = client.post("TerminologyCapabilities/$validate", json=found).json()
    assert [item["severity"] for item in outcome["issue"]] == ["information"]


def test_terminology_operations_run_in_a_batch(client: httpx.Client) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"ValueSet/$expand?url={GENDERS}"}}],
    }
    (entry,) = client.post("", json=bundle).json()["entry"]
    assert entry["response"]["status"].startswith("200")
    assert len(codes(entry["resource"])) == 4


def test_a_remote_server_that_is_down_is_503_here(serve: Any) -> None:
    servers = [
        {"url": "http://127.0.0.1:9/fhir", "systems": ["http://snomed.info/sct"], "timeout": 0.5}
    ]
    client = serve(terminology_servers=json.dumps(servers))
    answer = client.get(
        "CodeSystem/$lookup", params={"system": "http://snomed.info/sct", "code": "1"}
    )
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert issue(answer.json()) == "transient"
    assert (
        client.get("CodeSystem/$lookup", params={"system": GENDER, "code": "male"}).status_code
        == 200
    )


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


def test_what_a_remote_server_knows_is_answered_here(serve: Any, elsewhere: Elsewhere) -> None:
    snomed = "http://snomed.info/sct"
    servers = [{"url": elsewhere.url + "/fhir", "systems": [snomed, "https://maps.example/"]}]
    client = serve(terminology_servers=json.dumps(servers))

    def told(**given: Any) -> Json:
        listed = [
            {"name": name, "valueBoolean" if isinstance(value, bool) else "valueString": value}
            for name, value in given.items()
        ]
        return {"resourceType": "Parameters", "parameter": listed}

    elsewhere.answers["CodeSystem/$lookup"] = (200, told(name="SNOMED CT", display="Asthma"))
    found = values(ask(client, "CodeSystem/$lookup", system=snomed, code="195967001"))
    assert found["display"] == "Asthma"
    valid = values(
        ask(client, "CodeSystem/$validate-code", url=snomed, code="195967001", display="asthma")
    )
    assert valid == {"result": True, "display": "Asthma"}
    elsewhere.answers["ValueSet/$validate-code"] = (200, told(result=True, display="Asthma"))
    url = "http://hl7.org/fhir/ValueSet/condition-code"
    assert (
        values(ask(client, "ValueSet/$validate-code", url=url, system=snomed, code="1"))["result"]
        is True
    )
    elsewhere.answers["CodeSystem/$subsumes"] = (200, told(outcome="subsumes"))
    query = {"system": snomed, "codeA": "1", "codeB": "2"}
    assert values(ask(client, "CodeSystem/$subsumes", **query)) == {"outcome": "subsumes"}
    elsewhere.answers["ConceptMap/$translate"] = (200, told(result=True))
    for query in ({"url": "https://maps.example/m"}, {}):
        answer = ask(client, "ConceptMap/$translate", system=snomed, code="1", **query)
        assert values(answer) == {"result": True}
    # What is known here is not asked there.
    before = len(elsewhere.asked)
    assert (
        values(ask(client, "CodeSystem/$lookup", system=GENDER, code="male"))["display"] == "Male"
    )
    assert len(elsewhere.asked) == before


def test_a_mapping_that_depends_on_another_element_needs_it(client: httpx.Client) -> None:
    url = f"http://example.org/{uuid4()}"
    depending = {
        "code": "left",
        "equivalence": "equal",
        "dependsOn": [
            {
                "property": "http://example.org/side",
                "system": "http://example.org/sides",
                "value": "L",
            }
        ],
    }
    concept_map = {
        "resourceType": "ConceptMap",
        "url": url,
        "name": "Sides",
        "status": "active",
        "group": [
            {
                "source": "http://example.org/eyes",
                "target": "http://example.org/left-eyes",
                "element": [{"code": "eye", "target": [depending]}],
            }
        ],
    }
    created(client, concept_map)
    path = "ConceptMap/$translate"
    asked = [
        {"name": "url", "valueUri": url},
        {"name": "coding", "valueCoding": {"system": "http://example.org/eyes", "code": "eye"}},
    ]

    def side(code: str) -> Json:
        concept = {"coding": [{"system": "http://example.org/sides", "code": code}]}
        element = {"name": "element", "valueUri": "http://example.org/side"}
        return {
            "name": "dependency",
            "part": [element, {"name": "concept", "valueCodeableConcept": concept}],
        }

    assert values(send(client, path, *asked))["result"] is False
    assert values(send(client, path, *asked, side("R")))["result"] is False
    assert matches(send(client, path, *asked, side("L"))) == [("equal", "left")]
    half = {
        "name": "dependency",
        "part": [{"name": "element", "valueUri": "http://example.org/side"}],
    }
    assert issue(send(client, path, *asked, half, status=400)) == "required"
    bare = {"name": "dependency", "valueString": "L"}
    assert issue(send(client, path, *asked, bare, status=400)) == "invalid"
