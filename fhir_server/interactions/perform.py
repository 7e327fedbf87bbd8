"""The one function through which every door goes: perform(call, context, transaction) -> Result.

prepare does what needs no database (validation, planning a transaction); perform does the rest inside one store
transaction; execute does both with a transaction of its own. https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from fhir_server.interactions import call as calls
from fhir_server.interactions import transaction as transactions
from fhir_server.interactions.attribution import attribute, check_provenance
from fhir_server.interactions.bundle import (
    entries,
    parse_entry,
    placed,
    refusal_entry,
    response_bundle,
    response_entry,
)
from fhir_server.interactions.call import Call, Context, Result
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.change import (
    conditional_delete,
    conditional_update,
    create,
    delete,
    update,
)
from fhir_server.interactions.contention import told
from fhir_server.interactions.history import history
from fhir_server.interactions.operation import offered
from fhir_server.interactions.patch import conditional_patch, patch
from fhir_server.interactions.read import read, read_version
from fhir_server.interactions.replay import once
from fhir_server.interactions.search import search
from fhir_server.interactions.seen import seen, seen_writable
from fhir_server.interactions.write import check, refuse_criteria, refuse_subset
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import ReadTransaction, Store, Transaction


@dataclass(frozen=True, slots=True)
class Planned:
    """A transaction Bundle that was prepared."""

    plan: transactions.Plan


Prepared = Call | Planned
_CHANGING = (*get_args(calls.WriteCall), calls.Batch, calls.Transaction)


def changes(call: Call, context: Context) -> bool:
    """Whether the call may change what is stored; FhirError for an operation that is not offered."""
    if isinstance(call, calls.Operation):
        return offered(call, context).affects_state
    return isinstance(call, _CHANGING)


def prepare(call: Call, context: Context) -> Prepared:
    """Everything that can be refused or worked out without the database."""
    match call:
        case calls.Create():
            check(call.resource, call.resource_type, context)
            refuse_criteria(call.resource)
        case calls.Update() | calls.ConditionalUpdate():
            check(call.resource, call.resource_type, context)
            refuse_criteria(call.resource)
            refuse_subset(call.resource)
        case calls.Attributed():
            prepare(call.change, context)
            check_provenance(call, context)
        case calls.Transaction():
            return Planned(transactions.plan(call.bundle, context))
    return call


def perform(
    call: Prepared, context: Context, transaction: Transaction, *, with_body: bool = True
) -> Result:
    """Do a prepared call that changes something, or any read, inside a store transaction."""
    if context.retry is not None:
        return once(
            lambda plain: perform(call, plain, transaction, with_body=with_body),
            context,
            transaction,
        )
    if context.caller is not None:
        transaction = seen_writable(transaction, context)
    match call:
        case calls.Create():
            return create(call, context, transaction)
        case calls.Update():
            return update(call, context, transaction)
        case calls.ConditionalUpdate():
            return conditional_update(call, context, transaction)
        case calls.Patch():
            return patch(call, context, transaction)
        case calls.ConditionalPatch():
            return conditional_patch(call, context, transaction)
        case calls.Delete():
            return delete(call, context, transaction)
        case calls.ConditionalDelete():
            return conditional_delete(call, context, transaction)
        case calls.Attributed():
            result = perform(call.change, context, transaction)
            attribute(call, result, context, transaction)
            return result
        case Planned():
            return transactions.run(
                call.plan, context, transaction, perform=perform, with_body=with_body
            )
        case calls.Operation():
            return operate(call, context, transaction)
        case calls.Batch() | calls.Transaction():
            raise errors.not_supported("A Bundle cannot be run inside a Bundle")
        case _:
            return look(call, context, transaction)


def look(call: Prepared, context: Context, transaction: ReadTransaction) -> Result:
    """Do a call that changes nothing."""
    if context.caller is not None:
        transaction = seen(transaction, context)
    match call:
        case calls.Read():
            return read(call, transaction)
        case calls.VersionRead():
            return read_version(call, transaction)
        case calls.History():
            return history(call, context, transaction)
        case calls.Search():
            return search(call, context, transaction)
        case calls.Capabilities():
            return capabilities(call, context)
        case calls.Operation():
            return operate(call, context, transaction)
    raise AssertionError(call)


def operate(call: calls.Operation, context: Context, transaction: ReadTransaction) -> Result:
    """Do an operation that the caller may invoke."""
    found = offered(call, context)
    if context.caller is not None and context.permissions is not None:
        context.permissions.check_operation(call, context)
    return found.answer(call, context, transaction)


def execute(call: Call, context: Context, store: Store, *, with_body: bool = True) -> Result:
    """Prepare and perform a call in a store transaction of its own; a batch has one for each entry.

    Raises FhirError.
    """
    if isinstance(call, calls.Batch):
        return batch(call, context, store, with_body=with_body)
    if isinstance(call, calls.Capabilities):
        return capabilities(call, context)  # told without a database, also when that is away
    prepared = prepare(call, context)
    if changes(call, context):
        return store.write(
            lambda transaction: perform(prepared, context, transaction, with_body=with_body)
        )
    with store.read() as transaction:
        return look(call, context, transaction)


def _of_entry(context: Context, number: int) -> Context:
    """Each entry of a batch is done once under the batch's key."""
    if context.retry is None:
        return context
    return replace(context, retry=replace(context.retry, key=f"{context.retry.key} {number}"))


def batch(call: calls.Batch, context: Context, store: Store, *, with_body: bool = True) -> Result:
    """200 with the answer of each entry in its place, errors too (https://hl7.org/fhir/R4/http.html#brules)."""
    shown = []
    for number, source in enumerate(entries(call.bundle, context)):
        try:
            entry = parse_entry(source, number, context)
        except FhirError as refusal:
            shown.append(refusal_entry(refusal))
            continue
        try:
            if isinstance(entry.call, calls.Batch | calls.Transaction):
                raise errors.not_supported("A Bundle cannot be run inside a Bundle")
            result = execute(entry.call, _of_entry(context, number), store)
        except FhirError as refusal:
            shown.append(refusal_entry(placed(told(refusal, entry.call, context), number)))
        else:
            shown.append(response_entry(entry, result, context, with_body=with_body))
    return response_bundle("batch-response", shown, context)
