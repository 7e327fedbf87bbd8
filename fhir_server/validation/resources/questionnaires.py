"""Questionnaires: items that depend on others (https://hl7.org/fhir/R4/questionnaire.html#enableWhen)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]


def items_of(holder: Json, path: str) -> Iterator[tuple[Json, str]]:
    """Every item below a Questionnaire or an item of one, with its path, in order."""
    listed = holder.get("item")
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, dict):
            place = f"{path}.item[{index}]"
            yield item, place
            yield from items_of(item, place)


def questionnaire_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Conditions that name a question that is not there, or the item itself."""
    del run
    known = {item.get("linkId") for item, _ in items_of(resource, path)}
    for item, place in items_of(resource, path):
        for condition in item.get("enableWhen", ()):
            question = condition.get("question")
            if question == item.get("linkId"):
                yield fault(
                    "business-rule",
                    f"{place} is enabled by its own answer; name another question",
                    place,
                )
            elif any(below.get("linkId") == question for below, _ in items_of(item, place)):
                yield fault(
                    "business-rule",
                    f"{place} is enabled by a question inside it, which can never be answered",
                    place,
                )
            elif question is not None and question not in known:
                yield fault(
                    "business-rule",
                    f"{place} is enabled by the question {shown(question)}, which is not there",
                    place,
                )
