"""FHIRPath's operators and functions, each with what R4 and N1 say of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhirpath import Environment, FhirPathError, Node, check, compile_expression, root
from fhir_server.spec import definitions
from fhir_server.spec.json_format import parse

PATIENT = parse(
    b"""{"resourceType": "Patient", "id": "p", "active": true, "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://example.org/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
             {"use": "usual", "given": ["Jim", null], "_given": [null, {"extension": [{"url": "http://x.org/y"}]}]}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "One"}],
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "Organization/2"}],
    "modifierExtension": [{"url": "http://example.org/modifier", "valueBoolean": true}]}"""
)
NOW = datetime(2026, 3, 5, 10, 30, 15, 250_000, UTC)


def evaluate(text: str, resource: Any = PATIENT, **hooks: Any) -> list[Node]:
    focus = root(resource)
    return compile_expression(text).evaluate(
        focus, Environment(resource=focus, root_resource=focus, now=NOW, **hooks)
    )


def values(text: str, **hooks: Any) -> list[Any]:
    return [node.value for node in evaluate(text, **hooks)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # paths, indexes and special names
        ("Patient.name.given", ["Peter", "James", "Jim", None]),
        ("name[1].given.first()", ["Jim"]),
        ("name.where($index = 1).use", ["usual"]),
        ("name.select($this.given.count())", [2, 2]),
        ("%resource.id | %rootResource.id | %context.id", ["p"]),
        ("Observation.status", []),
        # existence
        ("name.exists(use = 'official')", [True]),
        ("name.all(given.exists()) and name.family.isDistinct()", [True]),
        ("name.given.select(hasValue())", [True, True, True, False]),
        ("birthDate.extension('http://example.org/time').value is dateTime", [True]),
        ("name.given.getValue()", []),
        ("id.getValue()", ["p"]),
        ("(true | false).anyTrue() and (false).allFalse() and (true | false).anyFalse()", [True]),
        # subsets and combination
        ("(1 | 2 | 3).tail().skip(1)", [3]),
        ("(1 | 2).combine(2 | 3)", [1, 2, 2, 3]),
        ("(1 | 2).intersect(2 | 3)", [2]),
        ("1.combine(2).combine(2).exclude(2)", [1]),
        ("(1 | 2).subsetOf(1 | 2 | 3) and (1 | 2 | 3).supersetOf(2)", [True]),
        ("(3 | 1 | 2).sort()", [1, 2, 3]),
        ("name.sort(-use).use", ["usual", "official"]),
        ("name.repeat(given)", ["Peter", "James", "Jim", None]),
        ("(1 | 2 | 3).aggregate($this + $total, 10)", [16]),
        # types
        ("name.ofType(HumanName).use.first() is code", [True]),
        ("name.first().use.is(string) and 1.is(System.Integer)", [True]),
        ("active.type().name | active.type().namespace", ["boolean", "FHIR"]),
        ("contact.type().name", []),
        # three-valued logic
        ("({} and false) = false and (true or {}) and ({} implies true)", [True]),
        ("{} and true", []),
        ("false implies {}", [True]),
        ("true xor {}", []),
        # strings
        ("'abc'.substring(1, 1) + 'x' & {}", ["bx"]),
        ("'a,b'.split(',').join(';') + 'A'.lower() + 'a'.upper()", ["a;baA"]),
        ("'abc'.indexOf('c') + 'abcb'.lastIndexOf('b')", [5]),
        ("'2026-03-05'.replaceMatches('(\\\\d+)-(\\\\d+)-(\\\\d+)', '$3/${2}')", ["05/03"]),
        ("'abc'.matches('b') and 'abc'.matchesFull('b').not()", [True]),
        ("'<a>'.escape('html').unescape('html')", ["<a>"]),
        ("'x y'.encode('base64').decode('base64')", ["x y"]),
        ("'\\ud83d\\ude00'.length() | '\\\\ud800'.unescape('json').length()", [1, 6]),
        # numbers
        ("7 div 2 + 7 mod 2 - 1", [3]),
        ("1 / 0", []),
        ("10.log(10) + 2.power(3) + 4.sqrt()", [Decimal(11)]),
        ("3.14159.round(3) | (-1.5).truncate() | 1.2.ceiling() | 1.8.floor()", [Decimal("3.142"), -1, 2, 1]),
        ("9223372036854775807 + 1", []),
        ("1.587.lowBoundary() | 1.587.highBoundary(2)", [Decimal("1.5865"), Decimal("1.59")]),
        ("1.587.lowBoundary(99)", []),
        # conversions
        ("'yes'.toBoolean() and 'T'.toBoolean() and '0.0'.toBoolean().not()", [True]),
        ("'12'.toInteger() + '1.5'.toDecimal()", [Decimal("13.5")]),
        ("1.50.toString() + true.toString()", ["1.50true"]),
        ("'2026-03-05T10:00'.toDate() | '10:00'.toTime()", ["2026-03-05", "10:00"]),
        ("'2026-13'.convertsToDate() or 'x'.convertsToInteger() or '25:00'.convertsToTime()", [False]),
        ("5 'mg'.toString() | 1 day.toString()", ["5 'mg'", "1 day"]),
        ("'4 \\'kg\\''.toQuantity('g') = 4000 'g'", [True]),
        # quantities
        ("1 'kg' = 1000 'g' and 1 'm' < 1 'km' and 1 '[lb_av]' ~ 454 'g'", [True]),
        ("1 'm' = 1 's'", []),
        ("1 'm' < 1 's'", []),
        ("37 'Cel' = 310.15 'K'", [True]),
        ("1 year = 1 'a'", []),
        ("1 year ~ 1 'a' and 1 year = 12 months and 7 days = 1 'wk'", [True]),
        ("(2 'm' * 3 'm') = 6 'm2' and (6 'm2' / 2 'm') = 3 'm'", [True]),
        ("(1 'kg' + 1 'g') = 1001 'g' and (-1 'g').abs() = 1 'g'", [True]),
        ("1 'kg' + 1 's'", []),
        ("1 'cm'.comparable(1 '[in_i]') and 1 'cm'.comparable(1 's').not()", [True]),
        # dates and times
        ("@2024-01-31 + 1 month", ["2024-02-29"]),
        ("@2024-02-29 + 1 year", ["2025-02-28"]),
        ("@2014 + 24 months", ["2016"]),
        ("@2014 - 1 day", ["2014"]),
        ("@2019-03-01 - 1 day", ["2019-02-28"]),
        ("@T23:30 + 1 hour", ["00:30"]),
        ("@2026-03-05T23:59:59.900Z + 0.2 seconds", ["2026-03-06T00:00:00.100Z"]),
        ("@2026-03-05T10:00:00+01:00 = @2026-03-05T09:00:00Z", [True]),
        ("@2026-03 = @2026-03-05", []),
        ("@2026-03 < @2026-04-05", [True]),
        ("@2026-03-05T10:00Z < @2026-03-05T10:00", []),
        ("@2026-02.highBoundary()", ["2026-02-28"]),
        ("@2026-02-03T04:05.lowBoundary()", ["2026-02-03T04:05:00.000+14:00"]),
        ("@2026-02.precision() + @T10:30.precision() + 1.50.precision()", [12]),
        ("today() | timeOfDay()", ["2026-03-05", "10:30:15.250"]),
        ("now() > birthDate", [True]),
        # references
        ("managingOrganization.resolve().name", ["One"]),
        ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/1"]),
        ("%sct | %ucum", ["http://snomed.info/sct", "http://unitsofmeasure.org"]),
        ("%`vs-administrative-gender`", ["http://hl7.org/fhir/ValueSet/administrative-gender"]),
        ("checkModifiers('http://example.org/modifier').id", ["p"]),
    ],
)  # fmt: skip
def test_expression_gives(text: str, expected: list[Any]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "1 +", "name.", "(1", "'a", "a b", "name[", "1 2", "/* open", "@2026-13-01", "@T25:00", "@2026-02-30",
        "name.nothing()", "name.where()", "name.single()", "-'a'", "'a' - 'b'", "1 > 'a'", "(1 | 2) + 1",
        "@2026-01-01 + 1 'a'", "@2026-01-01 + 1 'cm'", "@2026-01-01 + 1", "@T10:00 + 1 day", "@T10:00 < @2026-01-01",
        "('a' | 'b').iif(true, 1)", "name.is(Nonsense)", "1.is(Other.Type)", "%unknown", "'a'.decode('hex')",
        "'a'.encode('rot13')", "(true | 'a').allTrue()", "'a'.matches('(?=b)')", "'a'.matches('(')",
        "'a'.replaceMatches('a', '$9')", "active.memberOf('http://x')", "conformsTo('http://x')",
        "checkModifiers()", "'a'.lowBoundary()", "1.round(-1)", "``", "name.``", "'\\ud800'", "'\\ud800'.matches('a')",
    ],
)  # fmt: skip
def test_expression_is_refused(text: str) -> None:
    with pytest.raises(FhirPathError):
        evaluate(text)


def test_hooks_answer_what_needs_more_than_the_resource() -> None:
    hooks = {
        "member_of": lambda node, value_set: node.value == "p" and value_set.endswith("/ok"),
        "conforms_to": lambda _, profile: profile.endswith("/Patient"),
        "subsumes": lambda one, other: one.value < other.value,
        "resolve": lambda reference: {"resourceType": "Organization", "name": reference},
        "variables": {"mine": [Node(5, "System.Integer")]},
    }
    assert values("id.memberOf('http://x/ok') and id.memberOf('http://x/no').not()", **hooks) == [
        True
    ]
    assert values("conformsTo('http://x/Patient')", **hooks) == [True]
    assert values("'a'.subsumes('b') and 'b'.subsumedBy('a')", **hooks) == [True]
    assert values("generalPractitioner[1].resolve().name", **hooks) == ["Organization/2"]
    assert values("%mine + 1", **hooks) == [6]


def test_quantities_of_resources_count_in_calendar_units() -> None:
    resource = {
        "resourceType": "Observation",
        "valueQuantity": {
            "value": 2,
            "system": "http://unitsofmeasure.org",
            "code": "a",
            "unit": "yr",
        },
    }
    assert evaluate("value = 2 years and value = 24 months", resource)[0].value is True
    assert evaluate("@2024 + value", resource)[0].value == "2026"
    compared = {"resourceType": "Observation", "valueQuantity": {"value": 2, "comparator": "<"}}
    assert evaluate("value > 1", compared) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name.given1", "HumanName has no element 'given1'"),
        ("Encounter.status", "Encounter is not what"),
        ("name.where(useful = 'a')", "has no element 'useful'"),
        ("(deceased as boolean).start", "boolean has no element 'start'"),
        ("deceasedBoolean", "has no element 'deceasedBoolean'"),
        ("iif('a', 1, 2)", "no boolean"),
    ],
)
def test_strict_mode_refuses(text: str, sentence: str) -> None:
    with pytest.raises(FhirPathError, match=sentence):
        check(compile_expression(text), "Patient")


def test_strict_mode_accepts_every_invariant_of_r4_but_the_one_that_is_wrong() -> None:
    wrong = set()
    for name in definitions.resource_types():
        for element in definitions.structure_by_id(name)["snapshot"]:
            types = [item["code"] for item in element.get("type", ())]
            path = element["path"]
            if "." in path and types[:1] not in (["BackboneElement"], ["Element"]):
                path = types[0] if len(types) == 1 and not types[0].startswith("http") else None
            for constraint in element.get("constraint", ()) if path else ():
                try:
                    check(compile_expression(constraint["expression"]), path)
                except FhirPathError:
                    wrong.add(constraint["key"])
    assert wrong == {"cid-0"}  # ChargeItemDefinition has no name
