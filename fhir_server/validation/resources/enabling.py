"""Whether a question is to be answered, by the answers to others.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.spec.facts import extension
from fhir_server.validation.profiles.values import below, fits
from fhir_server.validation.resources.answers import value_of

Json = dict[str, Any]
# Of Structured Data Capture, and one that was in use before it.
_EXPRESSIONS: Final = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
    "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen",
)
# linkId -> the answers: (the type of the value, the value).
Answers = Mapping[str, list[tuple[str, Any]]]


def is_enabled(question: Json, answers: Answers, is_true: Callable[[str], bool]) -> bool:
    """Whether the conditions of a question hold; a question without conditions is enabled.

    is_true: decides a FHIRPath expression, which stands for the conditions where there is one.
    """
    expression = _expression(question)
    if expression is not None:
        return is_true(expression)
    conditions = [item for item in question.get("enableWhen", ()) if isinstance(item, dict)]
    if not conditions:
        return True
    held = [_holds(item, answers) for item in conditions]
    return all(held) if question.get("enableBehavior") == "all" else any(held)


def _expression(question: Json) -> str | None:
    for url in _EXPRESSIONS:
        found = extension(question, url)
        if isinstance(found, dict) and found.get("language") == "text/fhirpath":
            found = found.get("expression")
        if isinstance(found, str):
            return found
    return None


def _holds(condition: Json, answers: Answers) -> bool:
    given = answers.get(str(condition.get("question")), [])
    operator = condition.get("operator")
    asked = value_of(condition, "answer")
    if operator == "exists":
        return bool(given) == (asked is not None and asked[1] is True)
    if asked is None or not given:
        return operator == "!=" and asked is not None
    if operator == "!=":
        return not any(_compares("=", value, asked[1]) for _, value in given)
    return any(_compares(str(operator), value, asked[1]) for _, value in given)


def _compares(operator: str, value: Any, asked: Any) -> bool:
    match operator:
        case "=":
            return fits(_identity(value), _identity(asked))
        case ">":
            return below(asked, value)
        case "<":
            return below(value, asked)
        case ">=":
            return not below(value, asked)
        case "<=":
            return not below(asked, value)
    return False


def _identity(value: Any) -> Any:
    """What makes a Coding the same as another."""
    if isinstance(value, dict) and "code" in value and "value" not in value:
        return {name: value[name] for name in ("system", "code") if name in value}
    return value
