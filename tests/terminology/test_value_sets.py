"""What a value set is made of (https://hl7.org/fhir/R4/valueset.html#compositions)."""

from __future__ import annotations

from typing import Any

import pytest
from animals import ANIMALS, Given, code_system, filtered, terminology, value_set

from fhir_server.spec import definitions
from fhir_server.terminology import (
    NotEnumerable,
    Terminology,
    TerminologyFault,
    TooCostly,
    Unknown,
    Unusable,
)
from fhir_server.terminology.value_sets import Versions

ALL = ["mammal", "cat", "tiger", "unicorn", "bird", "bat"]


def codes(source: dict[str, Any], *known: dict[str, Any]) -> list[str]:
    return [member.concept.code for member in terminology(*known).enumerate(source)]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"system": ANIMALS}, ALL),
        (filtered("is-a", "cat"), ["cat", "tiger"]),
        (filtered("is-a", "mammal"), ["mammal", "cat", "tiger", "unicorn", "bat"]),
        (filtered("descendent-of", "mammal"), ["cat", "tiger", "unicorn", "bat"]),
        (filtered("is-not-a", "mammal"), ["bird"]),
        (filtered("generalizes", "tiger"), ["mammal", "cat", "tiger"]),
        (filtered("=", "4", "legs"), ["cat"]),
        (filtered("in", "2, 4", "legs"), ["cat", "bird"]),
        (filtered("not-in", "2,4", "legs"), ["mammal", "tiger", "unicorn", "bat"]),
        (filtered("exists", "true", "legs"), ["cat", "bird"]),
        (filtered("exists", "false", "legs"), ["mammal", "tiger", "unicorn", "bat"]),
        (filtered("regex", "b.*", "code"), ["bird", "bat"]),
        (filtered("regex", "[A-C]a.", "display"), ["cat", "bat"]),
        (filtered("=", "mammal", "parent"), ["cat", "unicorn", "bat"]),
        (filtered("=", "tiger", "child"), ["cat"]),
        (filtered("=", "true", "notSelectable"), ["mammal"]),
        (filtered("=", "true", "inactive"), ["unicorn"]),
        ({"system": ANIMALS, "concept": [{"code": "bat"}, {"code": "cat"}]}, ["bat", "cat"]),
        ({"system": "http://elsewhere.example", "concept": [{"code": "x"}]}, ["x"]),
    ],
)  # fmt: skip
def test_an_include_has_these_codes(part: dict[str, Any], expected: list[str]) -> None:
    source = value_set(part)
    assert codes(source) == expected
    # Asking for one code gives the same as listing all.
    found = terminology()
    for code in ALL:
        member = found.member(source, part["system"], code)
        assert (member is not None) == (code in expected)


def test_filters_are_all_asked_and_excludes_take_away() -> None:
    both = {
        "system": ANIMALS,
        "filter": filtered("is-a", "mammal")["filter"]
        + filtered("exists", "true", "legs")["filter"],
    }
    assert codes(value_set(both)) == ["cat"]
    source = value_set({"system": ANIMALS}, exclude=[filtered("is-a", "mammal")])
    assert codes(source) == ["bird"]
    assert terminology().member(source, ANIMALS, "cat") is None


def test_imports_are_intersected_with_each_other_and_with_the_system() -> None:
    one = value_set(filtered("is-a", "cat"), url="http://example.org/ValueSet/cats")
    two = value_set(
        {"system": ANIMALS, "concept": [{"code": "tiger"}, {"code": "bird"}]},
        url="http://example.org/ValueSet/two",
    )
    both = value_set({"valueSet": [one["url"], two["url"]]})
    assert codes(both, one, two) == ["tiger"]
    assert codes(value_set({"valueSet": [one["url"]]}, {"valueSet": [two["url"]]}), one, two) == [
        "cat",
        "tiger",
        "bird",
    ]
    mixed = value_set({"system": ANIMALS, "concept": [{"code": "bird"}], "valueSet": [two["url"]]})
    assert codes(mixed, two) == ["bird"]
    assert terminology(one, two).member(both, ANIMALS, "cat") is None
    assert terminology(one, two).member(both, None, "tiger") is not None


def test_displays_and_designations_of_the_value_set_win() -> None:
    source = value_set(
        {"system": ANIMALS, "concept": [{"code": "cat", "display": "Puss"}, {"code": "bat"}]}
    )
    shown = [(item.concept.display, item.version) for item in terminology().enumerate(source)]
    assert shown == [("Puss", "2"), ("Bat", "2")]


def test_inactive_codes_are_left_out_when_the_value_set_says_so() -> None:
    source = value_set({"system": ANIMALS})
    source["compose"]["inactive"] = False
    assert "unicorn" not in codes(source)
    assert terminology().member(source, ANIMALS, "unicorn") is None


def test_a_stored_expansion_stands_for_a_value_set_without_compose() -> None:
    source = {
        "resourceType": "ValueSet",
        "url": "http://example.org/ValueSet/expanded",
        "expansion": {
            "contains": [
                {"system": ANIMALS, "code": "a", "contains": [{"system": ANIMALS, "code": "b"}]},
                {"display": "group", "contains": [{"system": ANIMALS, "code": "c"}]},
            ]
        },
    }
    assert codes(source) == ["a", "b", "c"]
    assert terminology().member(source, ANIMALS, "c") is not None


def test_a_carried_expansion_stands_for_a_system_that_is_not_here() -> None:
    contains = [{"system": "http://snomed.info/sct", "code": "1", "display": "One"}]
    source = value_set({"system": "http://snomed.info/sct"}, expansion={"contains": contains})
    assert codes(source) == ["1"]
    assert terminology().member(source, "http://snomed.info/sct", "1") is not None
    assert terminology().member(source, "http://snomed.info/sct", "2") is None
    source["expansion"]["total"] = 2  # a page of it says little
    with pytest.raises(Unknown):
        codes(source)
    known_here = value_set({"system": ANIMALS}, expansion={"contains": contains})
    assert codes(known_here) == ALL


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (value_set({"system": "http://nobody.example"}), Unknown),
        (value_set({"system": ANIMALS, "version": "1"}), Unknown),
        (value_set({"valueSet": ["http://nobody.example"]}), Unknown),
        (value_set({"valueSet": ["http://example.org/ValueSet/some"]}), Unusable),
        (value_set({"system": "urn:ietf:bcp:13"}), NotEnumerable),
        (value_set(filtered("is-a", "dragon")), Unusable),
        (value_set(filtered("regex", "(", "code")), Unusable),
        (value_set(filtered("like", "x")), Unusable),
        (value_set(filtered("is-a", "cat", "legs")), Unusable),
        ({"resourceType": "ValueSet", "url": "http://x.example"}, Unusable),
    ],
)
def test_what_cannot_be_followed_is_told(
    source: dict[str, Any], fault: type[TerminologyFault]
) -> None:
    itself = value_set({"valueSet": ["http://example.org/ValueSet/some"]})
    with pytest.raises(fault):
        terminology(itself).enumerate(source)


def test_too_many_codes_are_refused() -> None:
    many = code_system(
        "http://example.org/many", concept=[{"code": str(at)} for at in range(50_001)]
    )
    with pytest.raises(TooCostly):
        codes(value_set({"system": many["url"]}), many)


def test_imports_of_imports_cannot_take_time() -> None:
    url = "http://example.org/ValueSet/{}".format
    chain = [value_set(*[{"valueSet": [url(at + 1)]}] * 50, url=url(at)) for at in range(8)] + [
        value_set({"system": ANIMALS}, url=url(8))
    ]
    assert codes(chain[0], *chain) == ALL
    circle = [value_set(*[{"valueSet": [url(at ^ 1)]}] * 50, url=url(at)) for at in range(2)]
    for ask in (
        lambda: codes(circle[0], *circle),
        lambda: terminology(*circle).member(circle[0], ANIMALS, "cat"),
    ):
        with pytest.raises(Unusable):
            ask()
    repeated = value_set(*[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode"}] * 5000)
    with pytest.raises(TooCostly):
        codes(repeated)
    assert terminology(*chain).member(chain[0], ANIMALS, "dragon") is None
    broken = [*chain[:-1], value_set({"system": "http://nobody.example"}, url=url(8))]
    with pytest.raises(Unknown):
        terminology(*broken).member(broken[0], "http://nobody.example", "dragon")


def test_versions_asked_for_are_used_and_checked() -> None:
    old = code_system(version="1", concept=[{"code": "dodo"}])
    known = terminology(old)
    source = value_set({"system": ANIMALS})
    pinned = value_set({"system": ANIMALS, "version": "2"})
    assert len(known.enumerate(source)) == len(ALL)
    assert [m.concept.code for m in known.enumerate(source, Versions(default={ANIMALS: "1"}))] == [
        "dodo"
    ]
    assert len(known.enumerate(pinned, Versions(default={ANIMALS: "1"}))) == len(ALL)
    assert [m.concept.code for m in known.enumerate(pinned, Versions(force={ANIMALS: "1"}))] == [
        "dodo"
    ]
    with pytest.raises(Unusable):
        known.enumerate(pinned, Versions(check={ANIMALS: "1"}))


def test_case_does_not_matter_where_the_code_system_says_so() -> None:
    loose = code_system("http://example.org/loose", caseSensitive=False)
    known = terminology(loose)
    assert known.defines(loose["url"], "CAT") is True
    assert known.defines(ANIMALS, "CAT") is False
    assert known.member(value_set({"system": loose["url"]}), loose["url"], "Tiger") is not None


def test_circles_in_a_hierarchy_end() -> None:
    circle = code_system(
        "http://example.org/circle",
        concept=[
            {"code": "a", "property": [{"code": "parent", "valueCode": "b"}]},
            {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]},
        ],
    )
    assert terminology(circle).below(circle["url"], "a") == {
        (circle["url"], "a"),
        (circle["url"], "b"),
    }


def test_hierarchies_that_are_no_kinds_do_not_subsume() -> None:
    parts = code_system("http://example.org/parts", hierarchyMeaning="part-of")
    assert terminology(parts).below(parts["url"], "cat") == {(parts["url"], "cat")}


def test_members_and_relatives_for_search_and_validation() -> None:
    sets = value_set(filtered("is-a", "cat"))
    known = terminology(sets)
    assert known.members(sets["url"]) == {(ANIMALS, "cat"), (ANIMALS, "tiger")}
    assert known.members("http://nobody.example") is None
    assert known.below(ANIMALS, "cat") == {(ANIMALS, "cat"), (ANIMALS, "tiger")}
    assert known.above(ANIMALS, "tiger") == {
        (ANIMALS, "mammal"),
        (ANIMALS, "cat"),
        (ANIMALS, "tiger"),
    }
    assert known.above(ANIMALS, "dragon") is None
    assert known.contains(sets["url"], None, "tiger") is True
    assert known.contains(sets["url"], ANIMALS, "bird") is False
    assert known.contains("http://nobody.example", ANIMALS, "bird") is None
    assert known.defines("http://snomed.info/sct", "1") is None


def test_a_fragment_does_not_know_what_it_has_not() -> None:
    part = code_system("http://example.org/part", content="fragment")
    assert terminology(part).defines(part["url"], "cat") is True
    assert terminology(part).defines(part["url"], "dragon") is None


def test_most_value_sets_of_r4_can_be_listed() -> None:
    known = Terminology()
    urls = definitions.terminology_urls("ValueSet")
    listed = [url for url in urls if known.members(url) is not None]
    assert len(urls) == 1316
    assert len(listed) >= 1218


def test_the_value_sets_of_r4s_required_bindings_are_known() -> None:
    known = Terminology()
    missing = set()
    for name in definitions.resource_types():
        for element in definitions.structure_by_id(name)["snapshot"]:
            binding = element.get("binding", {})
            required = binding.get("strength") == "required"
            if required and known.find("ValueSet", binding["valueSet"]) is None:
                missing.add(binding["valueSet"])
    assert missing == {"http://loinc.org/vs/LL379-9|4.0.1"}
    v3 = "http://terminology.hl7.org/ValueSet/v3-NullFlavor"
    assert known.find("ValueSet", v3 + "|4.0.1") is not None
    assert known.find("ValueSet", v3 + "|3") is None


def test_what_nobody_knows_is_not_kept() -> None:
    known = Terminology()
    for number in range(50):
        known.contains(f"http://nobody.example/{number}", None, "a")
        known.contains(f"http://hl7.org/fhir/ValueSet/administrative-gender#{number}", None, "male")
        known.defines(f"http://nobody.example/{number}", "a")
    assert (len(known._sets), len(known._systems), len(known._codes)) == (1, 1, 1)


def test_what_is_asked_again_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.terminology.service._MOST_REMEMBERED", 5)
    source = Given(code_system(), value_set({"system": "urn:ietf:bcp:47"}))
    known = Terminology((source,))
    url = "http://example.org/ValueSet/some"
    for _ in range(2):
        for code, expected in (("en", True), ("cy", True), ("not a language", False)):
            assert known.contains(url, "urn:ietf:bcp:47", code) is expected
            assert known.contains(url, ANIMALS, code) is False
    assert known.contains("http://nobody.example/x", "urn:ietf:bcp:47", "en") is None
    assert known.contains(url, "urn:ietf:bcp:47", "x" * 1000) is False
    assert 0 < len(known._members) <= 5
