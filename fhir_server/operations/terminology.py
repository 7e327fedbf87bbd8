"""What the operations of the terminology service have in common: inputs by definition, faults as outcomes.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.conformance import Stored
from fhir_server.interactions.operation import Level
from fhir_server.interactions.write import check
from fhir_server.operations.inputs import Inputs, read_inputs
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.spec.operations import OperationDefinition, operation_definition
from fhir_server.store.contract import ReadTransaction
from fhir_server.terminology import Terminology, TerminologyFault
from fhir_server.terminology.verdicts import Asked, Verdict, asked_of

Json = dict[str, Any]
_PLACE = "Parameters.parameter"
_RETRY_AFTER = 30
MOST_CODINGS = 100


@dataclass(frozen=True, slots=True)
class Question:
    """An invocation that has been read; terminology sees what is stored, then packages and R4's own."""

    call: Operation
    inputs: Inputs
    context: Context
    stored: Stored
    terminology: Terminology
    transaction: ReadTransaction

    def first(self, name: str) -> Any:
        """The value of an input, or None."""
        values = self.inputs[name]
        return values[0] if values else None

    def all(self, name: str) -> tuple[Any, ...]:
        """The values of an input that repeats."""
        return self.inputs[name]

    def instance(self) -> Json | None:
        """The resource that the operation was invoked on; raises FhirError 404 or 410 when there is none."""
        kind, logical_id = self.call.resource_type, self.call.logical_id
        if kind is None or logical_id is None:
            return None
        found = self.transaction.current(kind, logical_id)
        if found is None:
            raise errors.not_found(f"There is no {kind}/{logical_id}")
        if found.deleted:
            raise errors.gone(f"{kind}/{logical_id} was deleted")
        resource: Json = parse_stored(found.body)
        return resource

    def definition(self, name: str, url: str, version: str = "") -> Json | None:
        """The one resource that the instance, the inline resource or the canonical url names, or None.

        Raises FhirError 400 for more than one of them, 404 for a url that is not known.
        """
        instance, inline, canonical = self.instance(), self.first(name), self.first(url)
        given = [item for item in (instance, inline, canonical) if item is not None]
        if len(given) > 1:
            raise errors.invalid(f"Send one of {url} and {name}, and none to an instance", _PLACE)
        if canonical is None:
            found: Json | None = instance or inline
            return found
        asked = self.first(version) if version else None
        named = f"{canonical}|{asked}" if asked else canonical
        kind = self.call.resource_type or ""
        found = self.terminology.find(kind, named)
        if found is None and kind == "ValueSet":
            found = self.terminology.value_set(named)
        return found


Work = Callable[[Question], Json]


@dataclass(frozen=True, slots=True)
class TerminologyOperation:
    """An Offered that changes nothing: work gives the Parameters or the resource that is answered."""

    identifier: str
    work: Work
    affects_state: bool = False

    @property
    def defined(self) -> OperationDefinition:
        """What R4 says of it."""
        return operation_definition(self.identifier)

    @property
    def code(self) -> str:
        """Its name without the $."""
        return self.defined.code

    @property
    def definition(self) -> str:
        """The canonical url of its OperationDefinition."""
        return self.defined.url

    @property
    def levels(self) -> frozenset[Level]:
        """Where it can be invoked."""
        return self.defined.levels

    @property
    def resource_types(self) -> frozenset[str]:
        """The types that have it."""
        return self.defined.resource_types

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with what it found; 4xx with the reason when it cannot be told, 503 when a remote server fails."""
        inputs = read_inputs(call, self.defined, context)
        for item in self.defined.inputs:
            for value in inputs[item.name] if item.is_resource else ():
                check(value, item.type, context)
        stored = Stored(transaction)
        terminology = context.terminology.over(stored)
        question = Question(call, inputs, context, stored, terminology, transaction)
        try:
            return Result(200, serialise(self.work(question)))
        except TerminologyFault as fault:
            raise refusal(fault) from None


def refusal(fault: TerminologyFault) -> FhirError:
    """The HTTP answer to a question that cannot be answered."""
    match fault.code:
        case "not-found":
            return FhirError(404, (Issue("error", "not-found", str(fault)),))
        case "too-costly":
            return errors.too_costly(str(fault))
        case "transient":
            return errors.unavailable(str(fault), _RETRY_AFTER)
    return errors.unprocessable(Issue("error", fault.code, str(fault)))


def parameters(*listed: Json | None) -> Json:
    """A Parameters resource of those that are there."""
    return {"resourceType": "Parameters", "parameter": [item for item in listed if item]}


def of(name: str, kind: str, value: Any) -> Json | None:
    """A parameter with its value[x], or None for no value."""
    return None if value is None else {"name": name, f"value{kind}": value}


def told(verdict: Verdict) -> Json:
    """The answer of the two $validate-code."""
    return parameters(
        of("result", "Boolean", verdict.result),
        of("message", "String", verdict.message),
        of("display", "String", verdict.display),
    )


def codes_asked(question: Question, system: str | None, version: str | None) -> list[Asked]:
    """The codes of code, coding or codeableConcept; system and version are those of code.

    Raises FhirError 400 unless there is exactly one of the three.
    """
    code, coding = question.first("code"), question.first("coding")
    concept = question.first("codeableConcept")
    given = [item for item in (code, coding, concept) if item is not None]
    if len(given) != 1:
        raise errors.required("Send one of code, coding and codeableConcept", _PLACE)
    if code is not None:
        display = question.first("display") if "display" in question.inputs else None
        return [Asked(system, code, version, display)]
    codings = [coding] if coding is not None else concept.get("coding", [])
    if len(codings) > MOST_CODINGS:
        raise errors.too_costly(f"The concept has more than {MOST_CODINGS} codings")
    return [asked_of(item) for item in codings]
