"""From query text to a search (https://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.expression import And, CompositeMatch, IdIn, Near, SortKey
from fhir_server.search.parameters import by_number, parameter, parameters
from fhir_server.search.query import Search, SearchSettings, parse_criteria, parse_search
from fhir_server.spec.definitions import resource_types
from fhir_server.spec.errors import FhirError

LENIENT = SearchSettings()
STRICT = SearchSettings(handling="strict")


def search(resource_type: str, *parameters: tuple[str, str], strict: bool = False) -> Search:
    settings = STRICT if strict else LENIENT
    return parse_search((resource_type,), parameters, settings=settings)


def refusal(resource_type: str, *parameters: tuple[str, str], strict: bool = False) -> FhirError:
    with pytest.raises(FhirError) as caught:
        search(resource_type, *parameters, strict=strict)
    return caught.value


def test_numbers_are_places_in_the_sorted_pairs_of_type_and_code() -> None:
    pairs = [(n, item.code) for n in resource_types() for item in parameters(n)]
    assert pairs == sorted(pairs)
    for place, (name, code) in enumerate(pairs):
        found = by_number(place)
        assert (found.number, found.resource_type, found.code) == (place, name, code)


def test_a_parameter_has_only_the_branches_and_targets_of_its_type() -> None:
    found = parameter("ServiceRequest", "patient")
    assert found is not None
    assert found.expression == "ServiceRequest.subject.where(resolve() is Patient)"
    assert found.targets == ("Patient",)
    assert parameter("Slot", "end") is None


def test_an_unknown_parameter_warns_when_lenient_and_is_left_out_of_applied() -> None:
    found = search("Slot", ("statsu", "free"), ("status", "free"))
    assert found.applied == (("status", "free"), ("_count", "20"))
    assert [(w.severity, w.code) for w in found.warnings] == [("warning", "not-supported")]
    assert "'statsu'" in found.warnings[0].diagnostics
    assert "status" in found.warnings[0].diagnostics


@pytest.mark.parametrize(
    "name",
    ["foo", "Status", "_content", "_containedType", "_type", "_sort"],
)
def test_what_is_not_understood_is_400_when_strict_and_a_warning_when_lenient(name: str) -> None:
    assert refusal("Slot", (name, "x"), strict=True).status == 400
    assert search("Slot", (name, "x")).warnings


def test_composite_and_special_parameters_are_read_by_the_rules_of_their_parts() -> None:
    found = search("Observation", ("code-value-quantity", "s|a$gt1")).query.where
    assert isinstance(found, CompositeMatch)
    assert [type(part).__name__ for part in found.parts] == ["TokenMatch", "QuantityMatch"]
    assert isinstance(search("Location", ("near", "1|2|3")).query.where, Near)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status:exact", "x"),
        ("foo:bar", "x"),
        ("start:text", "x"),
        ("status:in", "x"),
        ("status:NOT", "x"),
        ("start:contains", "x"),
        ("_include:recurse", "Slot:schedule"),
        ("_sort", "start:asc"),
        ("_count:exact", "1"),
        ("_query", "name"),
    ],
)
def test_an_unsupported_modifier_is_400_even_when_lenient(name: str, value: str) -> None:
    assert refusal("Slot", (name, value)).status == 400


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("_text:exact", ":missing"),
        ("_id:exact", ":missing, :not"),
        ("status:exact", ":missing, :not, "),
    ],
)
def test_a_refused_modifier_is_told_with_those_that_there_are(name: str, offered: str) -> None:
    (issue,) = refusal("Slot", (name, "x")).issues
    told = issue.diagnostics.partition(" has ")[2]
    assert told.startswith(offered)
    assert ":exact" not in told


@pytest.mark.parametrize("value", ["", ",", ",,"])
def test_an_empty_value_is_ignored(value: str) -> None:
    found = search("Slot", ("status", value), strict=True)
    assert found.query.where == And(())
    assert found.applied == (("_count", "20"),)


def test_count_is_limited_and_zero_asks_for_the_total_only() -> None:
    assert search("Slot", ("_count", "5000")).applied == (("_count", "1000"),)
    assert search("Slot", ("_count", "0")).count == 0
    found = search("Slot", ("_summary", "count"))
    assert (found.count, found.applied) == (0, (("_summary", "count"),))


@pytest.mark.parametrize(
    ("name", "value"),
    [("_count", "-1"), ("_count", "abc"), ("_total", "x"), ("_summary", "yes"), ("_count", "٣")],
)
def test_a_malformed_result_parameter_is_400(name: str, value: str) -> None:
    assert refusal("Slot", (name, value)).status == 400


def test_sort_keys_are_read_in_order_and_unknown_ones_left_out() -> None:
    found = search("Slot", ("_sort", "-start,foo,_id"))
    start = parameter("Slot", "start")
    assert start is not None
    assert found.query.sort == (
        SortKey("date", (start.number,), True),
        SortKey("id", (), False),
    )
    assert ("_sort", "-start,_id") in found.applied
    assert "foo" in found.warnings[0].diagnostics


def test_includes_carry_type_parameter_target_and_iterate() -> None:
    found = search(
        "Appointment",
        ("_include", "Appointment:actor:Location"),
        ("_include:iterate", "Schedule:actor"),
        ("_revinclude", "Task:focus"),
    )
    first, second = found.includes
    assert (first.source_type, first.target_type, first.iterate) == (
        "Appointment",
        "Location",
        False,
    )
    assert second.iterate
    assert found.revincludes[0].reverse
    assert search("Slot", ("_include", "*")).includes[0].source_type is None
    assert search("Slot", ("_revinclude", "*")).revincludes[0].source_type is None


@pytest.mark.parametrize(
    "value", ["Slot", "Foo:x", "Slot:foo", "Slot:status", "Slot:schedule:Slot"]
)
def test_an_unknown_include_is_400_when_strict_and_a_warning_when_lenient(value: str) -> None:
    assert refusal("Slot", ("_include", value), strict=True).status == 400
    found = search("Slot", ("_include", value))
    assert found.warnings
    assert not found.includes


def test_summary_text_cannot_be_mixed_with_includes() -> None:
    error = refusal("Slot", ("_summary", "text"), ("_include", "Slot:schedule"))
    assert error.status == 400


def test_a_search_of_several_types_takes_common_parameters_only() -> None:
    types = ("Slot", "Schedule")
    found = parse_search(types, (("identifier", "1"), ("_id", "x")), settings=STRICT)
    assert isinstance(found.query.where, And)
    with pytest.raises(FhirError) as caught:
        parse_search(types, (("start", "2026"),), settings=LENIENT)
    assert caught.value.status == 400


def test_chains_and_values_are_bounded() -> None:
    deep = "subject:Patient." + "link:Patient." * 9 + "name"
    assert search("ServiceRequest", (deep, "x"), strict=True).applied[0][0] == deep
    deep = "subject:Patient." + "link:Patient." * 10 + "name"
    assert refusal("ServiceRequest", (deep, "x")).status == 403
    assert refusal("Slot", ("status", ",".join("a" * 501))).status == 403
    assert refusal("Slot", *[("status", "a")] * 101).status == 403
    assert refusal("Task", ("focus.status", "x")).status == 400


@pytest.mark.parametrize(
    "name",
    ["_has", "_has:Slot", "_has:Foo:slot:status", "_has:Appointment:status:_id",
     "_has:Appointment:patient:status"],
)  # fmt: skip
def test_a_malformed_has_is_400(name: str) -> None:
    assert refusal("Slot", (name, "x")).status == 400


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        (("identifier", ""),),
        (("identifier", "1"), ("status", "")),
        (("foo", "1"),),
        (("identifier", "1"), ("_count", "1")),
        (("_format", "json"),),
    ],
)
def test_criteria_fail_closed(parameters: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(FhirError) as caught:
        parse_criteria("Slot", parameters, settings=LENIENT)
    assert caught.value.status == 400


def test_criteria_select() -> None:
    found = parse_criteria("Slot", (("_id", "1"), ("_format", "json")), settings=LENIENT)
    assert found == IdIn(("1",))


@given(
    st.sampled_from(resource_types()),
    st.lists(
        st.tuples(
            st.text(alphabet="_abcdehist:.-,|", max_size=12)
            | st.sampled_from(["code", "date", "subject", "url", "_has:Slot:schedule:status",
                               "subject.name", "_sort", "_include", "_count", "_elements",
                               "subject:Patient", "identifier:of-type", "value-quantity"]),
            st.text(alphabet="abPatient/|,$\\:-0123456789.e+ T", max_size=16),
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_no_text_raises_anything_but_a_refusal(
    resource_type: str, pairs: list[tuple[str, str]]
) -> None:
    with suppress(FhirError):
        parse_search((resource_type,), pairs, settings=LENIENT)


class Overdue:
    """A query of a deployment's own."""

    name = "overdue"

    def expression(self, resource_types: tuple[str, ...]) -> IdIn:  # noqa: ARG002 - the protocol's
        return IdIn(("1",))


def test_a_named_query_of_the_deployment_is_a_criterion_like_others() -> None:
    settings = SearchSettings(handling="strict", queries=(Overdue(),))
    found = parse_search(
        ("Task",), (("_query", "overdue"), ("status", "requested")), settings=settings
    )
    assert isinstance(found.query.where, And)
    assert found.query.where.parts[0] == IdIn(("1",))
    assert refusal("Task", ("_query", "overdue")).status == 400
