"""What the operations of referrals have in common: the case under its locks, calls under the rules, one Provenance.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.interactions.call import Conditions, Context, Create, Result, Update
from fhir_server.interactions.change import create, update
from fhir_server.interactions.rule_sets import RuleSets
from fhir_server.interactions.rules import Rules, lock
from fhir_server.interactions.write import check, written
from fhir_server.referral.act import Ledger
from fhir_server.referral.case import Case, load
from fhir_server.referral.kinds import Kind
from fhir_server.referral.refusals import invalid_state
from fhir_server.referral.rules import ReferralRules
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction, VersionConflict

Json = dict[str, Any]
Identity = tuple[str, str]


def found(
    logical_id: str | None, kind: Kind, context: Context, transaction: ReadTransaction
) -> Case:
    """The case of an instance; FhirError 404 or 410, 422 when it is of the other kind."""
    version = transaction.current("ServiceRequest", logical_id or "")
    if version is None:
        raise errors.not_found("There is no such ServiceRequest")
    if version.deleted:
        raise errors.gone("The ServiceRequest was deleted")
    case = load(version.logical_id, context, transaction)
    if case is None or case.kind != kind:
        what = "referral" if kind == "referral" else "request for advice"
        raise invalid_state(422, f"The ServiceRequest is no {what}", "ServiceRequest")
    return case


class Doing:
    """One operation about one case. booking: the rules of seats."""

    def __init__(self, booking: Rules, context: Context, transaction: Transaction) -> None:
        self.ledger = Ledger()
        rules = RuleSets(booking, ReferralRules(booking, self.ledger))
        self.context = replace(context, rules=rules)
        self.transaction = transaction

    def case(self, logical_id: str | None, kind: Kind) -> Case:
        """The case with everything locked that an operation about it may change; FhirError as found()."""
        seen = _wanted(found(logical_id, kind, self.context, self.transaction))
        lock(seen, dict.fromkeys(seen), self.context, self.transaction)
        case = found(logical_id, kind, self.context, self.transaction)
        if not _wanted(case) <= seen:
            raise VersionConflict("others have changed the referral meanwhile")
        return case

    def create(self, resource: Json) -> Json:
        """Create a resource as POST does; as it was stored."""
        name = resource["resourceType"]
        check(resource, name, self.context)
        return _stored(create(Create(name, resource), self.context, self.transaction))

    def update(self, resource: Json) -> Json:
        """Update a resource as PUT does; as it was stored."""
        name, logical_id = resource["resourceType"], resource["id"]
        check(resource, name, self.context)
        call = Update(name, logical_id, resource, Conditions(if_match="*"))
        return _stored(update(call, self.context, self.transaction))

    def stored(self, resource_type: str, logical_id: str) -> Json:
        """A resource as it is by now."""
        version = self.transaction.current(resource_type, logical_id)
        assert version is not None
        resource: Json = parse_stored(version.body)
        return resource

    def answer(self, resource_type: str, logical_id: str, status: int = 200) -> Result:
        """The resource as the operation leaves it; all that was written is told by one Provenance."""
        self.ledger.record(self.context, self.transaction)
        version = self.transaction.current(resource_type, logical_id)
        assert version is not None
        return written(version)._replace(status=status)


def _wanted(case: Case) -> set[Identity]:
    tasks: set[Identity] = {("Task", item) for item, _, _ in case.open_tasks()}
    return {("ServiceRequest", case.logical_id), *tasks}


def _stored(result: Result) -> Json:
    assert result.body is not None
    resource: Json = parse_stored(result.body)
    return resource


def noted(resource: Json, text: str | None) -> Json:
    """The resource with one note more."""
    if text is None:
        return resource
    return resource | {"note": [*resource.get("note", ()), {"text": text}]}
