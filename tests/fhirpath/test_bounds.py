"""FHIRPath from outside cannot take the server's time or memory, nor raise anything but FhirPathError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath import Environment, FhirPathError, check, compile_expression, root

RESOURCE = {
    "resourceType": "Questionnaire",
    "date": "2026-03-05T10:00:00Z",
    "title": "a" * 5000,
    "item": [
        {"linkId": str(number), "maxLength": number, "item": [{"linkId": f"{number}.1"}]}
        for number in range(200)
    ],
}


def evaluate(text: str) -> None:
    focus = root(RESOURCE)
    environment = Environment(resource=focus, root_resource=focus)
    compile_expression(text).evaluate(focus, environment)


TEN = "(1|2|3|4|5|6|7|8|9|10)"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "1" + ")" * 500,
        "-" * 500 + "1",
        "a" + ".a" * 9000,
        "1" + "+1" * 9000,
        "a" + "[0]" * 6000,
        "not(" * 400 + "true" + ")" * 400,
        "'" + "x" * 30_000 + "'",
        # doubled again and again
        f"{TEN}.select({TEN}).select({TEN}).aggregate($total + $total, 'abcdefgh')",
        f"{TEN}.select({TEN}).aggregate($total.combine($total), item)",
        f"{TEN}.select({TEN}).aggregate($total.replace('a', $total), 'aa')",
        f"{TEN}.select({TEN}).aggregate($total.split('').combine($total.split('')).join('ab'), 'ab')",
        # loops in loops
        "descendants().select(%resource.descendants().select(%resource.descendants().count()))",
        "item.select(%resource.item.select(%resource.item.select(%resource.item.linkId)))",
        "descendants().repeat($this.toString() + 'a')",
        "1.repeat($this + 1)",
        "descendants().combine(descendants()) ~ descendants().combine(descendants()).combine(1).tail()",
        # look-around and repeated repetition
        "title.matches('(?=a)')",
        "title.matches('(a{1000}){1000}')",
        "title.matches('\\\\1')",
    ],
)  # fmt: skip
def test_an_attack_is_refused(text: str) -> None:
    with pytest.raises(FhirPathError):
        evaluate(text)


@pytest.mark.parametrize(
    "text",
    [
        "title.matches('(a+)+$')",
        "title.matches('(a|a)*b')",
        "title.matches('(a*)*(a*)*(a*)*x')",
        "title.matches('.*.*.*.*.*.*=.*')",
        "title.replaceMatches('(a|aa)+$', 'b')",
        "title.matches('^(([a-z])+.)+[A-Z]([a-z])+$')",
    ],
)
def test_a_regular_expression_cannot_run_away(text: str) -> None:
    evaluate(text)


_ATOMS = st.sampled_from(
    ["1", "0", "-1", "1.5", "1e", "'a'", "''", "true", "{}", "$this", "$index", "$total", "%resource",
     "%context", "item", "linkId", "Questionnaire", "@2026", "@2026-03-05T10:00Z", "@T10:00", "1 'kg'", "2 days",
     "3 'm2'", "title", "date", "9223372036854775807", "0.0000000001", "`item`", "1 year", "@9999-12-31",
     "@0001-01-01", "'2026'", "'1 \\'g\\''"]
)  # fmt: skip
_OPERATORS = st.sampled_from(
    ["+", "-", "*", "/", "div", "mod", "&", "|", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "and", "or", "xor",
     "implies", "in", "contains"]
)  # fmt: skip
_FUNCTIONS = st.sampled_from(
    ["where", "select", "exists", "all", "repeat", "iif", "aggregate", "trace", "empty", "not", "count", "first",
     "last", "tail", "single", "skip", "take", "distinct", "isDistinct", "allTrue", "subsetOf", "supersetOf",
     "union", "combine", "intersect", "exclude", "children", "descendants", "hasValue", "extension", "resolve",
     "type", "sort", "matches", "replaceMatches", "substring", "split", "join", "toString", "toInteger",
     "toDecimal", "toQuantity", "toDate", "toDateTime", "toTime", "toBoolean", "convertsToQuantity", "round",
     "sqrt", "power", "ln", "log", "exp", "abs", "ceiling", "truncate", "lowBoundary", "highBoundary",
     "precision", "comparable", "encode", "decode", "escape", "unescape", "indexOf", "length", "upper",
     "htmlChecks", "is", "as", "ofType", "checkModifiers", "memberOf"]
)  # fmt: skip


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, _OPERATORS, inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, _FUNCTIONS, st.lists(inner, max_size=2)).map(
            lambda parts: f"{parts[0]}.{parts[1]}({', '.join(parts[2])})"
        ),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        inner.map(lambda part: f"-{part}"),
        inner.map(lambda part: f"({part} is Quantity)"),
    )


EXPRESSIONS = st.recursive(_ATOMS, _grow, max_leaves=12)


@settings(max_examples=600, deadline=None)
@given(EXPRESSIONS)
@example("@9999-12-31 + 1 day")
@example("@0001-01-01 - 1 day")
@example("1 'kg' * 9223372036854775807")
@example("'a'.toChars().aggregate($total.power($this))")
def test_any_expression_is_evaluated_or_refused(text: str) -> None:
    with suppress(FhirPathError):
        check(compile_expression(text), "Questionnaire")
    with suppress(FhirPathError):
        evaluate(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aA1.'\"`()[]{}@%$|&=~<>!+-*/\\ \n\u00e9T:,", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(FhirPathError):
        evaluate(text)
