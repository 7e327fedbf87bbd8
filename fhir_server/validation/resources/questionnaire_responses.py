"""Answers held to their Questionnaire (https://hl7.org/fhir/R4/questionnaireresponse.html#notes)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.fhirpath import FhirPathError, Node, compile_expression
from fhir_server.spec.errors import Issue
from fhir_server.terminology.faults import UNREADABLE
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.resources.answers import TYPES, answer_issues, value_of
from fhir_server.validation.resources.enabling import is_enabled
from fhir_server.validation.resources.questionnaires import items_of

Json = dict[str, Any]

# Only these say that nothing is to come.
_DONE: Final = frozenset({"completed", "amended"})
# Each may look through the whole response.
_MOST_EXPRESSIONS: Final = 100
_MAX_OCCURS: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-maxOccurs"


def response_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """What the Questionnaire, when it is at hand, does not allow or does not find."""
    canonical = resource.get("questionnaire")
    if not isinstance(canonical, str):
        return
    if canonical.startswith("#"):
        questionnaire = run.find(canonical)
    else:
        questionnaire = run.library.resource("Questionnaire", canonical)
    if questionnaire is None or questionnaire.get("resourceType") != "Questionnaire":
        told = f"{path}.questionnaire is {shown(canonical)}, which is not known here; the answers were not checked"
        yield Issue("warning", "not-found", told, (f"{path}.questionnaire",))
        return
    try:
        yield from _Response(questionnaire, resource, run).issues(path)
    except UNREADABLE:
        # The questionnaire of a package is taken as it comes.
        told = f"{path}.questionnaire is {shown(canonical)}, which is not readable as one"
        yield Issue("warning", "not-found", told, (f"{path}.questionnaire",))


class _Response:
    def __init__(self, questionnaire: Json, response: Json, run: Run) -> None:
        self._questions: Mapping[str, Json] = {
            item["linkId"]: item for item, _ in items_of(questionnaire, "") if "linkId" in item
        }
        self._answers: dict[str, list[tuple[str, Any]]] = {}
        self._collect(response)
        self._questionnaire = questionnaire
        self._response = response
        self._run = run
        self._decided: dict[str, bool] = {}
        self._done = response.get("status") in _DONE

    def _collect(self, holder: Json) -> None:
        """linkId -> its answers anywhere, for the conditions of other items."""
        for item in _list(holder, "item"):
            answers = self._answers.setdefault(str(item.get("linkId")), [])
            for answer in _list(item, "answer"):
                found = value_of(answer)
                if found is not None:
                    answers.append(found)
                self._collect(answer)
            self._collect(item)

    def _is_true(self, expression: str) -> bool:
        """Whether a condition holds of the response; one that cannot be evaluated stands in nobody's way."""
        if expression not in self._decided:
            if len(self._decided) == _MOST_EXPRESSIONS:
                return True
            node = Node(self._response, "QuestionnaireResponse")
            asked = Node(self._questionnaire, "Questionnaire")
            environment = replace(self._run.environment, variables={"questionnaire": [asked]})
            try:
                found = compile_expression(expression).is_true(node, environment)
            except FhirPathError:
                found = True
            self._decided[expression] = found
        return self._decided[expression]

    def issues(self, path: str) -> Iterator[Issue]:
        yield from self._level(_list(self._questionnaire, "item"), self._response, path)

    def _level(self, asked: list[Json], holder: Json, path: str) -> Iterator[Issue]:
        """The items of one level, held to the questions of that level."""
        known = {item.get("linkId"): number for number, item in enumerate(asked)}
        given: dict[Any, list[tuple[Json, str]]] = {}
        last = -1
        for index, item in enumerate(_list(holder, "item")):
            place = f"{path}.item[{index}]"
            link = item.get("linkId")
            if link not in known:
                yield self._misplaced(link, place, path)
                continue
            if known[link] < last:
                yield fault(
                    "invalid",
                    f"{place} comes after items that follow it in the questionnaire; keep its order",
                    place,
                )
            last = max(last, known[link])
            given.setdefault(link, []).append((item, place))
        for question in asked:
            yield from self._question(question, given.get(question.get("linkId"), []), path)

    def _misplaced(self, link: Any, place: str, path: str) -> Issue:
        if link in self._questions:
            return fault(
                "invalid",
                f"{place} answers {shown(link)}, which is asked elsewhere; move it",
                place,
            )
        return fault("not-found", f"{place} answers {shown(link)}, which nobody asks", path)

    def _question(
        self, question: Json, given: list[tuple[Json, str]], path: str
    ) -> Iterator[Issue]:
        link = question.get("linkId")
        if not is_enabled(question, self._answers, self._is_true):
            for _, place in given:
                yield fault(
                    "invalid",
                    f"{place} answers {shown(link)}, which is not enabled; remove it",
                    place,
                )
            return
        kind = question.get("type")
        if kind == "display":
            for _, place in given:
                yield fault("invalid", f"{place} is of a display, which takes no answer", place)
            return
        if question.get("required") and self._done and not self._is_answered(question, given):
            yield fault(
                "required", f"{path} has no answer to {shown(link)}, which is required", path
            )
        if len(given) > 1 and not (question.get("repeats") and kind == "group"):
            yield fault(
                "invalid", f"{given[1][1]} answers {shown(link)} again; keep one item", given[1][1]
            )
        for item, place in given:
            yield from self._item(question, item, place)

    @staticmethod
    def _is_answered(question: Json, given: list[tuple[Json, str]]) -> bool:
        if question.get("type") == "group":
            return bool(given)
        return any(_list(item, "answer") for item, _ in given)

    def _item(self, question: Json, item: Json, place: str) -> Iterator[Issue]:
        kind = question.get("type")
        below = _list(question, "item")
        answers = _list(item, "answer")
        if kind == "group":
            if answers:
                yield fault("invalid", f"{place} is a group; it takes items, no answers", place)
            yield from self._level(below, item, place)
            return
        if kind not in TYPES:
            yield fault("invalid", f"{place} answers a question of the abstract type {kind}", place)
            return
        yield from self._count(question, answers, place)
        yield from answer_issues(question, answers, place, self._run)
        for index, answer in enumerate(answers):
            yield from self._level(below, answer, f"{place}.answer[{index}]")

    @staticmethod
    def _count(question: Json, answers: list[Json], place: str) -> Iterator[Issue]:
        if len(answers) > 1 and not question.get("repeats"):
            yield fault("invalid", f"{place} has {len(answers)} answers; one is asked for", place)
        for item in _list(question, "extension"):
            most = item.get("valueInteger")
            if item.get("url") == _MAX_OCCURS and isinstance(most, int) and len(answers) > most:
                yield fault(
                    "invalid", f"{place} has {len(answers)} answers; {most} are asked for", place
                )


def _list(holder: Json, name: str) -> list[Json]:
    found = holder.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
