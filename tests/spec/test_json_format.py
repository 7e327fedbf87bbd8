"""Strict JSON in, the same JSON out (https://hl7.org/fhir/R4/json.html)."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec import json_format
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import (
    LONGEST_NUMBER,
    MAXIMUM_DEPTH,
    FhirDecimal,
    parse,
    parse_stored,
    prettify,
    serialise,
)


def refusal(body: bytes) -> str:
    with pytest.raises(FhirError) as caught:
        parse(body)
    assert caught.value.status == 400
    (issue,) = caught.value.issues
    assert issue.severity == "error"
    return issue.diagnostics


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_refused(body: bytes) -> None:
    assert "empty" in refusal(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        ('{"a":"é"}'.encode("latin-1"), "byte 6"),
        ('{"a":1}'.encode("utf-16"), "byte 0"),
        (b'{"a":"\xed\xa0\x80"}', "byte 6"),
        (b'{"a":"\xc0\x80"}', "byte 6"),
        (b'{"a":"\xf4\x90\x80\x80"}', "byte 6"),
        (b'{"a":1', "line 1, column 7"),
        (b'{"a":\n\n x}', "line 3, column 2"),
        (b'{"a":1,}', "line 1"),
        (b'{"a":1} {}', "Extra data"),
        (b'{"a":1}\x00', "Extra data"),
        (b"{'a':1}", "line 1"),
        (b'{"a":"\n"}', "control character"),
        (b'{"a":"\x00"}', "control character"),
        (b'{"a":"\\x"}', "escape"),
        (b'{"a":"\\u00g0"}', "escape"),
        (b'{"a":01}', "line 1"),
        (b'{"a":1.}', "line 1"),
        (b'{"a":.5}', "line 1"),
        (b'{"a":+1}', "line 1"),
        (b'{"a":True}', "line 1"),
        (b'{"a":undefined}', "line 1"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(body: bytes, told: str) -> None:
    assert told in refusal(body)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', '{"b":{"a":1,"c":2,"a":3}}', '[{"a":1,"a":2}]', '{"a":1,"\\u0061":2}']
)
def test_a_property_that_is_there_twice_is_named(text: str) -> None:
    assert "'a'" in refusal(text.encode())


def test_the_same_property_in_different_objects_is_no_duplicate() -> None:
    assert parse(b'[{"a":1},{"a":{"a":1}}]') == [{"a": 1}, {"a": {"a": 1}}]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(constant: str) -> None:
    assert constant in refusal(f'{{"a":{constant}}}'.encode())


@pytest.mark.parametrize(
    "text",
    [
        r'"\u0000"',
        r'"a\u0000b"',
        r'"\ud800"',
        r'"\udfff"',
        r'"\uD8Ff"',
        r'"\\\uDbFf"',
        r'"\ud800x"',
        r'"\udc00\ud800"',
    ],
)
@pytest.mark.parametrize("place", ["{%s:1}", '{"a":%s}', '{"a":[{"b":[%s]}]}', "[%s]", "%s"])
def test_nul_and_lone_surrogates_are_refused_wherever_they_are(text: str, place: str) -> None:
    assert "A string holds U+" in refusal((place % text).encode())


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse(rb'"\ud83d\ude00"') == "😀"
    assert serialise(parse(rb'"\ud83d\ude00"')) == '"😀"'.encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_allowed_up_to_the_limit_and_not_beyond(opening: str, closing: str) -> None:
    deep = opening * MAXIMUM_DEPTH + "1" + closing * MAXIMUM_DEPTH
    assert serialise(parse(deep.encode())) == deep.encode()
    assert "nested" in refusal((opening + deep + closing).encode())


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("levels", [10_000, 1_000_000])
def test_nesting_that_would_break_a_parser_is_refused(opening: str, levels: int) -> None:
    refusal((opening * levels).encode())


def test_many_brackets_side_by_side_are_not_deep() -> None:
    body = b"[" + b",".join([b"[{}]"] * 1000) + b"]"
    assert serialise(parse(body)) == body


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("form", ["{}", "0.{}", "1e{}", "{}.5"])
def test_a_number_of_too_many_characters_is_refused(sign: str, form: str) -> None:
    told = refusal((sign + form.format("9" * (LONGEST_NUMBER + 1))).encode())
    assert "number" in told.lower()


DECIMALS = ["0.0", "1.0", "1.00", "-0.0", "0.10e1", "1E5", "1e+5", "1e-5", "1E400", "-1E-400", "100.000",
            "12345678901234567890.123456789", "0.1000000000000000055511151231257827"]  # fmt: skip


@pytest.mark.parametrize("digits", DECIMALS)
def test_a_decimal_comes_out_as_it_was_written(digits: str) -> None:
    body = f'{{"value":{digits}}}'.encode()
    value = parse(body)["value"]
    assert isinstance(value, FhirDecimal)
    assert value == Decimal(digits)
    assert serialise(parse(body)) == body
    assert f'"value": {digits}'.encode() in prettify(body)


@pytest.mark.parametrize("digits", DECIMALS)
def test_a_copy_of_a_decimal_is_written_the_same(digits: str) -> None:
    value = parse(digits.encode())
    for made in (copy.copy(value), copy.deepcopy([value])[0], pickle.loads(pickle.dumps(value))):
        assert serialise(made) == digits.encode()


@pytest.mark.parametrize("digits", ["0", "-0", "1", "-1", "9007199254740993", "9" * LONGEST_NUMBER])
def test_a_whole_number_comes_out_as_it_was_written(digits: str) -> None:
    assert serialise(parse(digits.encode())) == digits.encode()


def test_white_space_in_strings_is_kept() -> None:
    body = rb'"tab\t line\n return\r"'
    assert parse(body) == "tab\t line\n return\r"
    assert serialise(parse(body)) == body


def test_properties_keep_their_order() -> None:
    body = b'{"b":1,"a":{"d":1,"c":2},"_b":null}'
    assert serialise(parse(body)) == body


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4).map(
        lambda n: FhirDecimal(str(n))
    )
    | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab_é\n", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_serialised_is_parsed_to_the_same(value: Any) -> None:
    body = serialise(value)
    assert parse(body) == value
    assert serialise(parse(body)) == body
    assert serialise(parse(prettify(body))) == body


@pytest.mark.parametrize(
    "numbers",
    ["0.50", "[0.50]", "[null,0.50]", "[null,null,-0,1]", "[1,0.50]", "123456789012345678901"],
)
def test_numbers_that_are_stored_keep_their_digits(numbers: str) -> None:
    body = b'{"precision":%s}' % numbers.encode()
    assert serialise(parse_stored(body)) == body


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    with suppress(FhirError):
        parse(body)


@given(st.text('{}[]",:\\u0d8e-+.123NaIfty ', max_size=40))
def test_anything_like_json_is_parsed_or_refused(text: str) -> None:
    try:
        value = parse(text.encode())
    except FhirError:
        return
    assert serialise(parse(serialise(value))) == serialise(value)


NUMBERS = st.sampled_from(
    ["0", "-0", "1", "-1.50", "1e3", "1E+99999999999999999999", "01", "9" * 18, "9" * 19, "1" * 101]
)
STRINGS = st.text("ab\u00e9\U0001f600", max_size=2).map(lambda text: f'"{text}"') | st.sampled_from(
    [r'"\u0041"', r'"\u0000"', r'"\u001f"', r'"\ud800"', r'"a\/b"', r'"\"\\\n\t"', '": "', '"\x7f"']
)
NAMES = st.sampled_from(['"a"', '"b"', '"c"', r'"\u0061"'])
LITERALS = st.sampled_from(["null", "true", "false", "NaN", "-Infinity", "tru"])


def written(blanks: str) -> st.SearchStrategy[str]:
    """JSON texts, some with faults, with those blanks after commas and colons."""

    def listed(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(items, max_size=3).map(lambda found: f",{blanks}".join(found))

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        properties = st.tuples(NAMES, inner).map(lambda pair: f"{pair[0]}:{blanks}{pair[1]}")
        nested = st.tuples(inner, st.sampled_from([95, 110, 300])).map(
            lambda pair: "[" * pair[1] + pair[0] + "]" * pair[1]
        )
        objects = listed(properties).map(lambda text: "{" + text + "}")
        return objects | objects | listed(inner).map(lambda text: f"[{text}]") | nested

    return st.recursive(NUMBERS | STRINGS | LITERALS, deeper, max_leaves=12)


def told(body: bytes) -> object:
    """The value of a body with the classes of its scalars, or what its refusal says."""

    def classed(value: Any) -> Any:
        match value:
            case dict():
                return [(name, classed(child)) for name, child in value.items()]
            case list():
                return [classed(child) for child in value]
        return type(value), serialise(value)

    try:
        return classed(parse(body))
    except FhirError as refused:
        return refused.status, refused.issues, getattr(refused, "remainder", None)


@given(
    st.sampled_from(["", " "]).flatmap(written),
    st.sampled_from(["", " ", "\n", "\v", "\ufeff", "x"]),
)
def test_compact_json_is_read_as_any_other(text: str, end: str) -> None:
    body = (text + end).encode()
    found = told(body)
    with pytest.MonkeyPatch.context() as general:
        general.setattr(json_format, "_may_be_compact", lambda _: False)
        assert told(body) == found


@pytest.mark.parametrize("levels", [1, MAXIMUM_DEPTH - 1, MAXIMUM_DEPTH, 254, 255, 2000])
def test_a_property_there_twice_is_told_at_any_depth(levels: int) -> None:
    body = b'{"a":' * levels + b'{"b":1,"b":1}' + b"}" * levels
    found = told(body)
    with pytest.MonkeyPatch.context() as general:
        general.setattr(json_format, "_may_be_compact", lambda _: False)
        assert told(body) == found
