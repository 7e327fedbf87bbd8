"""A referral with the Tasks and Appointments about it, as one transaction sees them under the referral's lock.

https://hl7.org/fhir/R4/request.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.referral import refusals
from fhir_server.referral.definitions import appointment_group, is_open
from fhir_server.referral.kinds import Kind, kind_of, stored_referral, task_code
from fhir_server.search.parameters import parameter
from fhir_server.spec.instants import MILLISECOND
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import HistoryQuery, ReadTransaction, StoredVersion

Json = dict[str, Any]
Identity = tuple[str, str]
_MOST = 1000


@dataclass
class Case:
    """tasks, appointments: by id; versions: of what is stored; fresh: what this transaction is changing."""

    logical_id: str
    referral: Json
    kind: Kind
    version: StoredVersion | None = None
    tasks: dict[str, Json] = field(default_factory=dict)
    appointments: dict[str, Json] = field(default_factory=dict)
    versions: dict[Identity, StoredVersion] = field(default_factory=dict)
    fresh: set[Identity] = field(default_factory=set)

    def put(self, resource_type: str, logical_id: str, resource: Json | None) -> None:
        """See a Task or an Appointment as it is going to be; None: it goes, or is no longer about the referral."""
        listed = self.tasks if resource_type == "Task" else self.appointments
        listed.pop(logical_id, None)
        if resource is not None:
            listed[logical_id] = resource
        self.fresh.add((resource_type, logical_id))

    def coded(self, *codes: str) -> Iterator[tuple[str, str, Json]]:
        """(id, code, Task) of those with one of the codes; of all without any."""
        for logical_id, task in self.tasks.items():
            code = task_code(task)
            if code is not None and (not codes or code in codes):
                yield logical_id, code, task

    def open_tasks(self, *codes: str) -> list[tuple[str, str, Json]]:
        """Those that still ask for something."""
        return [item for item in self.coded(*codes) if is_open(item[1], item[2]["status"])]

    def appointments_in(self, group: str) -> list[tuple[str, Json]]:
        """(id, Appointment) of those whose status is in the group."""
        wanted = appointment_group(group)
        return [item for item in self.appointments.items() if item[1]["status"] in wanted]


def load(
    logical_id: str, context: Context, transaction: ReadTransaction, only: Kind | None = None
) -> Case | None:
    """The case of a stored referral; None when there is no referral of that id, or of that kind only."""
    version = transaction.current("ServiceRequest", logical_id)
    referral = stored_referral(version, only)
    kind = kind_of(referral)
    if referral is None or kind is None:
        return None
    return related(Case(logical_id, referral, kind, version), context, transaction)


def check_there(logical_id: str, place: str, transaction: ReadTransaction) -> None:
    """Refuse (422) to write about a ServiceRequest that is not here."""
    version = transaction.current("ServiceRequest", logical_id)
    if version is None or version.deleted:
        raise refusals.reference_not_found(
            f"There is no ServiceRequest/{logical_id}; create it first, or in the same transaction",
            place,
        )


def related(case: Case, context: Context, transaction: ReadTransaction) -> Case:
    """The case with the stored Tasks and Appointments that refer to it."""
    target = ("ServiceRequest", case.logical_id)
    links = transaction.links_to([target], _parameters(), _MOST)
    for found in transaction.by_key([link.source_key for link in links]).values():
        resource = parse_stored(found.body)
        if not is_about(resource, case.logical_id, context):
            continue
        case.versions[found.resource_type, found.logical_id] = found
        listed = case.tasks if found.resource_type == "Task" else case.appointments
        listed[found.logical_id] = resource
    return case


@cache
def _parameters() -> list[int]:
    found = [parameter("Task", "focus"), parameter("Appointment", "based-on")]
    return [item.number for item in found if item is not None]


def referrals_of(resource: Json | None, context: Context) -> list[str]:
    """The ids of the ServiceRequests that a Task, Appointment, Communication or DocumentReference is about."""
    if resource is None:
        return []
    listed: Iterable[Json] = ()
    match resource.get("resourceType"):
        case "Task":
            listed = [resource.get("focus", {})]
        case "DocumentReference":
            listed = resource.get("context", {}).get("related", ())
        case "Appointment" | "Communication" | "ServiceRequest":
            listed = resource.get("basedOn", ())
    if not listed:
        return []
    found = facts.targets(listed, context)
    return [logical_id for _, (kind, logical_id) in found if kind == "ServiceRequest"]


def is_about(resource: Json, logical_id: str, context: Context) -> bool:
    """Whether a Task or an Appointment is about the referral of that id."""
    return logical_id in referrals_of(resource, context)


def expect(case: Case, context: Context) -> None:
    """See what the Bundle is going to create about the referral, too."""
    for (resource_type, logical_id), resource in context.pending.items():
        if (
            resource is not None
            and "status" in resource
            and resource_type in ("Task", "Appointment")
            and (resource_type, logical_id) not in case.versions
            and (resource_type, logical_id) not in case.fresh
            and is_about(resource, case.logical_id, context)
        ):
            case.put(resource_type, logical_id, resource)


def began(identity: Identity, context: Context, case: Case, transaction: ReadTransaction) -> int:
    """When a Task or an Appointment got the status that it has, in microseconds since 1970."""
    if identity in case.fresh:
        return _next(case.versions.get(identity), context)
    listed = case.tasks if identity[0] == "Task" else case.appointments
    status = listed[identity[1]]["status"]
    return _since(identity, lambda resource: resource.get("status") == status, transaction)


def shortlisted(case: Case, context: Context, transaction: ReadTransaction) -> int:
    """When the shortlist became what it is."""
    wanted = case.referral.get("performer")
    stored = stored_referral(case.version)
    if stored is None or stored.get("performer") != wanted:
        return _next(case.version, context)
    identity = ("ServiceRequest", case.logical_id)
    return _since(identity, lambda resource: resource.get("performer") == wanted, transaction)


def _next(previous: StoredVersion | None, context: Context) -> int:
    """When the version after that one, which this transaction is going to write, will have been written."""
    now = context.now() // MILLISECOND * MILLISECOND
    return now if previous is None else max(now, previous.last_updated + MILLISECOND)


def _since(identity: Identity, holds: Any, transaction: ReadTransaction) -> int:
    """The moment of the oldest version from which on something has held without a break."""
    moment = 0
    after = None
    while True:
        hits = transaction.history(HistoryQuery(*identity, limit=20, after=after))
        for hit in hits:
            if hit.version.deleted or not holds(parse_stored(hit.version.body)):
                return moment
            moment = hit.version.last_updated
        if len(hits) < 20:
            return moment
        after = hits[-1].position
