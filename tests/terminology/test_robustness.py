"""Damaged but valid definitions and odd questions are answered or refused: nothing else is raised."""

from __future__ import annotations

import copy
from contextlib import suppress
from random import Random
from typing import Any

from animals import ANIMALS, code_system, filtered, terminology, value_set

from fhir_server.interactions.call import Context, Operation, Policy
from fhir_server.operations import OPERATIONS
from fhir_server.operations.terminology import TerminologyOperation
from fhir_server.spec.errors import FhirError
from fhir_server.store.open import open_store

Json = dict[str, Any]
ABSENT = {"extension": [{"url": "http://x.example", "valueString": "?"}]}
CONCEPT_MAP = {
    "resourceType": "ConceptMap",
    "url": "http://example.org/map",
    "status": "active",
    "group": [
        {
            "source": ANIMALS,
            "target": ANIMALS,
            "element": [
                {
                    "code": "cat",
                    "target": [
                        {
                            "code": "bat",
                            "equivalence": "wider",
                            "product": [{"property": "http://x.example", "value": "v"}],
                        }
                    ],
                }
            ],
            "unmapped": {"mode": "other-map", "url": "http://example.org/map"},
        }
    ],
}  # fmt: skip
INLINE = {
    "ValueSet-expand": "valueSet",
    "ValueSet-validate-code": "valueSet",
    "CodeSystem-validate-code": "codeSystem",
    "ConceptMap-translate": "conceptMap",
}
VALUES: tuple[Any, ...] = (
    "", "cat", "x" * 300, ANIMALS, "http://example.org/map", "http://example.org/ValueSet/some|1", "urn:ietf:bcp:13",
    "http://unitsofmeasure.org", "|", "#", -1, 0, 99999999, True, False, "is-a", "regex", "(", "exists", "true",
)  # fmt: skip


def damaged(resource: Json, random: Random) -> Json:
    made = copy.deepcopy(resource)
    for _ in range(random.randrange(4)):
        holders: list[Any] = []
        pending: list[Any] = [made]
        while pending:
            item = pending.pop()
            if isinstance(item, dict):
                holders.append(item)
                pending += item.values()
            elif isinstance(item, list):
                pending += item
        holder = random.choice(holders)
        name = random.choice([*holder, "code", "system", "value"])
        match random.randrange(4):
            case 0:
                holder.pop(name, None)
            case 1:
                holder.pop(name, None)
                holder["_" + name] = copy.deepcopy(ABSENT)
            case 2 if name != "resourceType":
                holder[name] = random.choice(VALUES)
            case _ if isinstance(holder.get(name), list):
                holder[name] = holder[name] * random.randrange(3)
    return made


BY_TYPE: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False),
    "integer": (0, 1, 99999999, -1),
    "code": ("cat", "tiger", "en", "x" * 300),
    "uri": (ANIMALS, "http://example.org/map", "urn:ietf:bcp:13", "|", "#"),
    "canonical": (ANIMALS + "|2", ANIMALS, "|"),
    "dateTime": ("2026", "x"),
}
CODING = {"system": ANIMALS, "code": "cat", "display": "Cat", "version": "2"}


def question(operation: TerminologyOperation, random: Random) -> Json:
    """The definition inline or by url and a code to ask of, some other inputs, and some damage."""
    listed: list[Json] = []
    named = INLINE.get(operation.identifier)
    sources = {
        "valueSet": value_set(
            {"system": ANIMALS}, filtered("is-a", "cat"), exclude=[filtered("=", "4", "legs")]
        ),
        "codeSystem": code_system(),
        "conceptMap": CONCEPT_MAP,
    }
    if named is not None:
        listed.append({"name": named, "resource": damaged(sources[named], random)})
    known = {item.name: item for item in operation.defined.inputs}
    if "coding" in known:
        listed.append({"name": "coding", "valueCoding": damaged(CODING, random)})
    elif "codingA" in known:
        listed += [{"name": f"coding{end}", "valueCoding": damaged(CODING, random)} for end in "AB"]
    rest = [item for item in known.values() if item.primitive]
    for item in random.sample(rest, random.randrange(3)):
        value = random.choice(BY_TYPE.get(item.type, ("blu", "2")))
        listed.append({"name": item.name, f"value{item.type[0].upper()}{item.type[1:]}": value})
    body = {"resourceType": "Parameters", "parameter": listed}
    return damaged(body, random) if random.random() < 0.3 else body


def test_any_question_is_answered_or_refused() -> None:
    random = Random(7)  # the same questions in every run
    store = open_store("memory://")
    context = Context(
        Policy(), now=lambda: 0, new_id=lambda: "id", terminology=terminology(CONCEPT_MAP)
    )
    answered = 0
    offered = [item for item in OPERATIONS if isinstance(item, TerminologyOperation)]
    with store.read() as transaction:
        for number in range(3000):
            operation = offered[number % len(offered)]
            (kind,) = operation.resource_types
            body = question(operation, random)
            call = Operation(operation.code, "POST", kind, None, (), body)
            with suppress(FhirError):
                answered += operation.answer(call, context, transaction).status == 200
    assert answered > 300
