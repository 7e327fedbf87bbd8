"""Appointment/$book: book, change or cancel an appointment (IHE ITI-117, Argonaut).

https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import acts, answers, appointments, refusals
from fhir_server.booking.hold import wanted_appointment
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Create, Operation, Result
from fhir_server.interactions.change import create
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.paging import write_query
from fhir_server.interactions.write import check
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
KNOWN = frozenset(
    {
        "appointment-reference",
        "appointment-resource",
        "patient-resource",
        "patient-reference",
        "comment",
        "cancelled-appt-id",
    }
)


@dataclass(frozen=True)
class Book:
    """$book at the type and instance level."""

    code: str = "book"
    definition: str = f"{OURS}/OperationDefinition/Appointment-book"
    levels: frozenset[Level] = frozenset({"type", "instance"})
    resource_types: frozenset[str] = frozenset({"Appointment"})
    affects_state: bool = True
    brief: bool = True
    refused = staticmethod(answers.refused)

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the booked (or cancelled) Appointment; 404, 409 or 422 with a Bundle that holds the outcome."""
        inputs = read_inputs(call, KNOWN, "appointment-resource")
        writing = writable(transaction)
        return answers.in_bundle(lambda: _book(call, inputs, context, writing), context)


def _book(call: Operation, inputs: Inputs, context: Context, transaction: Transaction) -> Result:
    sent = inputs.resources("appointment-resource", "Appointment")
    cancels = any(item.get("status") == "cancelled" for item in sent)
    status = "cancelled" if cancels else "booked"
    wanted = wanted_appointment(call, inputs, status, context, transaction)
    comment = inputs.text("comment")
    if comment is not None:
        wanted = wanted | {"comment": comment}
    item = wanted.get("id")
    changes: dict[str, Json | None] = {item: wanted} if item else {}
    replaced = inputs.text("cancelled-appt-id")
    if replaced is not None:
        replaced = acts.logical_id(replaced, context)
        changes[replaced] = None
    if not item:
        changes[""] = wanted
    patients = [] if cancels else _patients(inputs, context, transaction)
    acts.lock_all(changes, context, transaction)
    before = acts.stored(item, transaction) if item else None
    if before is not None and not sent:
        # It may have changed between the first look and the lock.
        wanted = before | {name: wanted[name] for name in ("status", "comment") if name in wanted}
    if appointments.lapsed(before) and not cancels:
        raise refusals.hold_expired("Appointment.status")
    if item is None and cancels:
        acts.stored(call.logical_id or "", transaction)  # 404: only what is stored can be cancelled
    if replaced is not None:
        old = acts.cancelled(acts.stored(replaced, transaction), None, None)
        acts.write(old, context, transaction)
    if not cancels:
        wanted = _with_patients(wanted, patients)
    if item is not None and wanted == before:
        result = acts.unchanged(item, transaction)
    else:
        result = acts.write(wanted, context, transaction)
    return answers.appointment(result, context, {})


def _patients(inputs: Inputs, context: Context, transaction: Transaction) -> list[str]:
    """References to the patients that were named or sent; those sent are stored where they are not yet."""
    references = [
        text if "/" in text else f"Patient/{text}" for text in inputs.texts("patient-reference")
    ]
    return references + [
        _stored_patient(patient, context, transaction)
        for patient in inputs.resources("patient-resource", "Patient")
    ]


def _with_patients(appointment: Json, references: list[str]) -> Json:
    """The patients take part, and whoever was asked has accepted."""
    listed: list[Json] = []
    for item in appointment.get("participant", []):
        actor = item.get("actor", {}).get("reference")
        unknown = item.get("actor") == {"display": "Unknown"}
        if actor in references or (unknown and references):
            continue
        asked = item.get("status") == "needs-action"
        listed.append(item | {"status": "accepted"} if asked else item)
    listed += [{"actor": {"reference": text}, "status": "accepted"} for text in references]
    return appointment | {"participant": listed}


def _stored_patient(patient: Json, context: Context, transaction: Transaction) -> str:
    """The reference to a patient that was sent: the one with that id or identifier, else a new one."""
    item = patient.get("id")
    if isinstance(item, str):
        version = transaction.current("Patient", item)
        if version is not None and not version.deleted:
            return f"Patient/{item}"
    check(patient, "Patient", context)
    criteria = None
    for identifier in patient.get("identifier", ()):
        if identifier.get("system") and identifier.get("value"):
            value = f"{identifier['system']}|{identifier['value']}"
            criteria = write_query([("identifier", value)])
            break
    plain = {name: value for name, value in patient.items() if name != "id"}
    made = create(Create("Patient", plain, criteria), context, transaction)
    assert made.location is not None
    return "/".join(made.location.split("/")[:2])
