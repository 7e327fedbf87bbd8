"""HealthcareService/$find-for-referral: the services that a patient can be referred to, nearest or soonest first.

docs/referrals-directory.md, https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.directory import bundles
from fhir_server.directory.asked import KNOWN, Asked, Reader
from fhir_server.directory.names import DISTANCE
from fhir_server.directory.search import Finder
from fhir_server.directory.suiting import Match
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.interactions.paging import read_cursor, take_cursor
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_TYPE = "HealthcareService"
_UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True)
class FindForReferral:
    """$find-for-referral at the type level, by GET and POST."""

    code: str = "find-for-referral"
    definition: str = f"{OURS}/OperationDefinition/HealthcareService-find-for-referral"
    levels: frozenset[Level] = frozenset({"type"})
    resource_types: frozenset[str] = frozenset({_TYPE})
    affects_state: bool = False

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a searchset, scored and with distances; its outcome says what left services out.

        FhirError 400 for what cannot be read, 403 when too much is asked for, 422 for a postcode or patient that is
        not known.
        """
        parameters, cursor = take_cursor(call.parameters)
        plain = call if cursor is None else call._replace(parameters=parameters)
        inputs = read_inputs(plain, KNOWN)
        asked = Reader(inputs, context, transaction).read()
        scope = bundles.scope_of("HealthcareService/$find-for-referral", inputs)
        after = None
        if cursor is not None:
            value, logical_id = read_cursor(cursor, scope, context.policy.cursor_key)
            after = (float(value), str(logical_id))
        found = Finder(asked, context, transaction).page(after)
        return bundles.searchset(
            [_entry(*item, asked, context) for item in _with_bodies(found.page, transaction)],
            scope,
            context,
            total=found.total,
            following=found.page[-1].order if found.more and found.page else None,
            issues=found.notes,
        )


def _with_bodies(page: list[Match], transaction: ReadTransaction) -> list[tuple[Match, bytes]]:
    found = transaction.many([(_TYPE, item.service_id) for item in page])
    return [(item, found[_TYPE, item.service_id].body) for item in page]


def _entry(match: Match, body: bytes, asked: Asked, context: Context) -> Json:
    search: Json = {"mode": "match", "score": match.score(asked)}
    if match.distance is not None:
        distance = {
            "value": round(match.distance, 3),
            "unit": "km",
            "system": _UCUM,
            "code": "km",
        }
        search = {"extension": [{"url": DISTANCE, "valueDistance": distance}], **search}
    return bundles.entry(_TYPE, match.service_id, body, search, context)
