"""The answers to one question: their types, the options, and the limits that extensions of R4 set.

https://hl7.org/fhir/R4/codesystem-item-type.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.fhirpath import FhirPathError, Node, compile_expression
from fhir_server.spec.errors import Issue
from fhir_server.spec.facts import extension
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.profiles.codes import is_member
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.values import below, fits, number

Json = dict[str, Any]

_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"
_SDC: Final = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
# The type of a question -> the types that its answers may have.
TYPES: Final[Mapping[str, frozenset[str]]] = {
    "attachment": frozenset({"Attachment"}),
    "boolean": frozenset({"boolean"}),
    "choice": frozenset({"Coding", "date", "integer", "string", "time", "Reference"}),
    "date": frozenset({"date"}),
    "dateTime": frozenset({"dateTime"}),
    "decimal": frozenset({"decimal"}),
    "integer": frozenset({"integer"}),
    "open-choice": frozenset({"Coding", "date", "integer", "string", "time", "Reference"}),
    "quantity": frozenset({"Quantity"}),
    "reference": frozenset({"Reference"}),
    "string": frozenset({"string"}),
    "text": frozenset({"string"}),
    "time": frozenset({"time"}),
    "url": frozenset({"uri"}),
}
_LIMITS: Final = (
    (_CORE + "minValue", "least"),
    (_SDC + "minQuantity", "least"),
    (_CORE + "maxValue", "most"),
    (_SDC + "maxQuantity", "most"),
)


def value_of(holder: Json, stem: str = "value") -> tuple[str, Any] | None:
    """The type and the value of a choice element such as value[x]."""
    for name, value in holder.items():
        if name.startswith(stem) and name != stem:
            kind = name[len(stem) :]
            complex_type = isinstance(value, dict)
            return (kind if complex_type else kind[0].lower() + kind[1:]), value
    return None


def answer_issues(question: Json, answers: list[Json], place: str, run: Run) -> Iterator[Issue]:
    """What is wrong with each answer."""
    allowed = TYPES[question["type"]]
    for index, answer in enumerate(answers):
        found = value_of(answer)
        if found is None:
            continue
        kind, value = found
        where = f"{place}.answer[{index}]"
        at = f"{where}.value.ofType({kind})"
        if kind not in allowed:
            yield fault(
                "invariant",
                f"{at} is a {kind}; a question of type {question['type']} takes {' or '.join(sorted(allowed))}",
                at,
            )
            continue
        yield from _options(question, kind, value, where, at, run)
        yield from _limits(question, kind, value, at)
        if kind == "Attachment":
            yield from _attachment(question, value, where)
    yield from _exclusive(question, answers, place)


def _options(
    question: Json, kind: str, value: Any, where: str, at: str, run: Run
) -> Iterator[Issue]:
    open_text = question["type"] == "open-choice" and kind == "string"
    options = question.get("answerOption")
    if isinstance(options, list) and not open_text:
        listed = [found for item in options if (found := value_of(item)) is not None]
        if not any(known == kind and fits(_core(value), _core(option)) for known, option in listed):
            yield fault("invariant", f"{at} is none of the answers that the question offers", at)
    canonical = question.get("answerValueSet")
    if isinstance(canonical, str) and not open_text and kind in ("Coding", "string"):
        member = _is_member(canonical, kind, value, run)
        if member is False:
            code, here = ("code-invalid", where) if kind == "Coding" else ("invariant", at)
            yield fault(code, f"{at} is no code of {canonical}", here)


def _is_member(canonical: str, kind: str, value: Any, run: Run) -> bool | None:
    if canonical.startswith("#"):
        return None
    return is_member(value, kind, canonical, run.library.terminology)


def _core(value: Any) -> Any:
    """What makes a Coding the one that was offered: display and the rest may differ."""
    if isinstance(value, dict) and "code" in value:
        return {name: value[name] for name in ("system", "code") if name in value}
    return value


def _limits(question: Json, kind: str, value: Any, at: str) -> Iterator[Issue]:
    for url, which in _LIMITS:
        limit = extension(question, url)
        if limit is None:
            continue
        beyond = below(value, limit) if which == "least" else below(limit, value)
        if beyond:
            yield fault("invariant", f"{at} is beyond the {which} allowed, {shown(limit)}", at)
    longest = question.get("maxLength")
    if isinstance(longest, int) and isinstance(value, str) and len(value) > longest:
        yield fault("invariant", f"{at} has {len(value)} characters; {longest} are allowed", at)
    places = extension(question, _CORE + "maxDecimalPlaces")
    if isinstance(places, int) and kind == "decimal" and _decimal_places(value) > places:
        yield fault("invariant", f"{at} has more than {places} decimal places", at)
    pattern = extension(question, _CORE + "regex")
    if isinstance(pattern, str) and isinstance(value, str) and not _matches(value, pattern):
        yield fault("invariant", f"{at} has not the form that the question asks for", at)
    if kind == "Reference" and " " in str(value.get("reference", "")):
        yield fault("invariant", f"{at} has a reference that is no URL", at)


def _decimal_places(value: Any) -> int:
    text = str(number(value) if not hasattr(value, "text") else value.text)
    return len(text.partition(".")[2].partition("e")[0].partition("E")[0])


def _matches(value: str, pattern: str) -> bool:
    """By FHIRPath's matches(), whose work is bounded; a pattern that cannot be read is kept by all."""
    quoted = pattern.replace("\\", "\\\\").replace("'", "\\'")
    try:
        return compile_expression(f"$this.matches('{quoted}')").is_true(Node(value, "string"))
    except FhirPathError:
        return True


def _attachment(question: Json, value: Json, where: str) -> Iterator[Issue]:
    wanted = [
        item.get("valueCode")
        for item in question.get("extension", ())
        if item.get("url") == _CORE + "mimeType"
    ]
    if wanted and value.get("contentType") not in wanted:
        yield fault(
            "business-rule",
            f"{where} is of the media type {shown(value.get('contentType'))}; use {' or '.join(map(str, wanted))}",
            where,
        )


def _exclusive(question: Json, answers: list[Json], place: str) -> Iterator[Issue]:
    """An option that excludes others is chosen alone."""
    alone = [
        found
        for item in question.get("answerOption", ())
        if extension(item, _CORE + "questionnaire-optionExclusive") is True
        and (found := value_of(item)) is not None
    ]
    for index, answer in enumerate(answers if len(answers) > 1 else ()):
        found = value_of(answer)
        if found is not None and any(
            known == found[0] and fits(_core(found[1]), _core(option)) for known, option in alone
        ):
            where = f"{place}.answer[{index}]"
            yield fault("invariant", f"{where} excludes other answers; choose it alone", where)
