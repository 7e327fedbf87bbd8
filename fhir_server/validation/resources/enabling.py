"""Whether a question is to be answered, by the answers to others.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.profiles.values import below, fits
from fhir_server.validation.resources.answers import value_of

Json = dict[str, Any]
# linkId -> the answers: (the type of the value, the value).
Answers = Mapping[str, list[tuple[str, Any]]]


def is_enabled(question: Json, answers: Answers) -> bool:
    """Whether the conditions of a question hold; a question without conditions is enabled."""
    conditions = [item for item in question.get("enableWhen", ()) if isinstance(item, dict)]
    if not conditions:
        return True
    held = [_holds(item, answers) for item in conditions]
    return all(held) if question.get("enableBehavior") == "all" else any(held)


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
