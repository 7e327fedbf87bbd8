"""Appointment/$find: proposals made of free slots (IHE ITI-115, Argonaut), read only.

Kinds of parameters must all hold, repeats of one kind are alternatives. https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.booking import actors, answers, facts, proposals, queries, runs
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.booking.proposals import Slots
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.matching import criteria_of
from fhir_server.interactions.operation import Level
from fhir_server.interactions.paging import (
    CURSOR,
    read_cursor,
    take_cursor,
    write_cursor,
    write_query,
)
from fhir_server.search.expression import And, Expression
from fhir_server.spec import errors
from fhir_server.spec.dates import DAY
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.store.contract import Match, ReadTransaction, StoredVersion
from fhir_server.store.window import Window

Json = dict[str, Any]
KNOWN = frozenset(
    {
        "start", "end", "specialty", "visit-type", "practitioner", "organization", "location-string",
        "location-reference", "patient-reference", "patient-resource", "reason", "referral-identifier",
        "timing", "insurance-reference", "duration", "window", "_count",
    }
)  # fmt: skip
_UNUSED = ("reason", "insurance-reference")
_TOGETHER = frozenset({"duration", "window", "timing", "patient-reference", "patient-id"})
_MOST_SLOTS = 2000
_LOCAL_PERIOD = 28 * DAY


@dataclass(frozen=True)
class Find:
    """$find at the type level, by GET and POST."""

    code: str = "find"
    definition: str = f"{OURS}/OperationDefinition/Appointment-find"
    levels: frozenset[Level] = frozenset({"type"})
    resource_types: frozenset[str] = frozenset({"Appointment"})
    affects_state: bool = False

    def brief(self, call: Operation) -> bool:
        """Whether single slots are looked for, a page of them; what is put together needs all there are."""
        return call.body is None and _TOGETHER.isdisjoint([name for name, _ in call.parameters])

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a searchset of proposed Appointments, soonest first; FhirError 400 for what cannot be read."""
        parameters, cursor = take_cursor(call.parameters)
        plain = call if cursor is None else call._replace(parameters=parameters)
        inputs = read_inputs(plain, KNOWN)
        wanted = _Wanted(inputs, context, transaction)
        scope = f"Appointment/$find?{write_query(_flat(inputs))}"
        after = read_cursor(cursor, scope, context.policy.cursor_key) if cursor else None
        page, following, total = wanted.page(after, transaction)
        entries = wanted.entries(page, transaction)
        links = [{"relation": "self", "url": f"{context.base_url}/{scope}".rstrip("?")}]
        if following is not None:
            token = write_cursor(following, scope, context.policy.cursor_key)
            mark = "" if scope.endswith("?") else "&"
            url = f"{context.base_url}/{scope}{mark}{CURSOR}={token}"
            links.append({"relation": "next", "url": url})
        return answers.searchset(entries, context, total=total, links=links, issues=wanted.notes)


class _Wanted:
    """What one $find asks for."""

    def __init__(self, inputs: Inputs, context: Context, transaction: ReadTransaction) -> None:
        self.context = context
        self.keys: dict[str, int] = {}
        self.notes: list[Issue] = [
            Issue("information", "informational", f"{name} does not choose among slots here")
            for name in _UNUSED
            if inputs.all(name)
        ]
        self.low, self.high = self._period(inputs)
        self.count = inputs.number("_count", 0, 10_000)
        if self.count is None:
            self.count = context.policy.default_count
        self.count = min(self.count, context.policy.maximum_count)
        self.shape = runs.read_shape(inputs, context)
        self.patients = tuple(self._patients(inputs))
        named = actors.referrals_named(inputs, context, transaction)
        self.referrals = _open(named or ())
        self.where = self._where(inputs)
        self.kinds: list[set[str]] = []
        self.bodies: dict[tuple[str, str], bytes] = {}
        # Most questions are about a practitioner's single slots, and then the schedules come with them.
        single = self.shape.plain and not self.patients and self.where is None
        self.owners = actors.alone(inputs) if single else None
        if self.owners is None:
            self.kinds, self.bodies = actors.schedules_of(inputs, named, context, transaction)

    def _period(self, inputs: Inputs) -> tuple[int, int]:
        start, end = inputs.moment("start"), inputs.moment("end")
        if start is None and end is None and self.context.handling != "strict":
            self.notes.append(
                Issue(
                    "information",
                    "informational",
                    "Neither start nor end is sent; the next 28 days are searched",
                )
            )
            return self.context.now(), self.context.now() + _LOCAL_PERIOD
        if start is None or end is None:
            raise errors.required("$find needs start and end", "Parameters.parameter")
        if end[0] <= start[0]:
            raise errors.invalid("end must be after start", "Parameters.parameter")
        return max(start[0], self.context.now() + 1), end[0]

    def _patients(self, inputs: Inputs) -> list[str]:
        found = [
            text if "/" in text else f"Patient/{text}" for text in inputs.texts("patient-reference")
        ]
        sent = inputs.resources("patient-resource", "Patient")
        return found + [
            f"Patient/{patient['id']}" for patient in sent if isinstance(patient.get("id"), str)
        ]

    def _where(self, inputs: Inputs) -> Expression | None:
        """What else than a window of time is asked for."""
        parts = [
            criteria_of("Slot", ((code, ",".join(inputs.texts(name))),), self.context)
            for name, code in (("specialty", "specialty"), ("visit-type", "appointment-type"))
            if inputs.all(name)
        ]
        return And(tuple(parts)) if parts else None

    def _window(self, limit: int, after: tuple[Any, ...] | None) -> Window:
        """Free slots of the schedules in question, as many as asked for and one more."""
        number = queries.number
        listed = tuple(sorted(set().union(*self.kinds)))
        owned = self.kinds or self.owners is not None
        return Window(
            "Slot", number("Slot", "start"), self.low, self.high, number("Slot", "status"), "free",
            number("Slot", "schedule"), ("Schedule", listed) if owned else None, limit + 1, after,
        )  # fmt: skip

    def _hits(
        self, limit: int, after: tuple[Any, ...] | None, transaction: ReadTransaction
    ) -> tuple[list[Match], int]:
        """A page of slots and one more, and how many there are in all."""
        window = self._window(limit, after)
        if self.owners is not None:
            if self.context.caller is None:
                transaction.alone()
            owners, hits, total = transaction.owned_window(window, self.owners, actors.MOST)
            self.bodies = {("Schedule", item.logical_id): item.body for item in owners}
        elif self.where is None:
            hits, total = transaction.window(window)
        else:
            query = window.query()
            query = replace(query, where=And((query.where, self.where)))
            hits, total = transaction.page(query), limit
            if len(hits) > limit or after is not None:
                total = transaction.count(query.resource_types, query.where)
        self.keys.update([(hit.logical_id, hit.key) for hit in hits])
        return hits, total

    @property
    def plain(self) -> bool:
        """Whether every free slot is a proposal by itself."""
        together = set.intersection(*self.kinds) if self.kinds else set()
        return (
            self.shape.plain
            and not self.patients
            and (not self.kinds or together == set().union(*self.kinds))
        )

    def page(
        self, after: tuple[Any, ...] | None, transaction: ReadTransaction
    ) -> tuple[list[Slots], tuple[Any, ...] | None, int]:
        """The proposals of a page, where the next page starts, and how many there are in all."""
        assert self.count is not None
        if self.kinds and not all(self.kinds):
            return [], None, 0
        if self.plain:
            return self._plain_page(after, transaction)
        slots = self._slots(_MOST_SLOTS, transaction)
        engaged = runs.engaged(self.patients, self.low, self.high, self.context, transaction)
        found = runs.proposals(slots, self.shape, self.kinds, engaged, self.context)
        begin = int(after[0]) if after else 0
        page = found[begin : begin + self.count]
        following = begin + len(page)
        more = (following,) if page and following < len(found) else None
        return page, more, len(found)

    def _plain_page(
        self, after: tuple[Any, ...] | None, transaction: ReadTransaction
    ) -> tuple[list[Slots], tuple[Any, ...] | None, int]:
        assert self.count is not None
        hits, total = self._hits(self.count, after, transaction)
        page: list[Slots] = [(slot,) for slot in self._within(hits[: self.count])]
        if len(hits) <= self.count and after is None:
            return page, None, len(page)
        more = hits[self.count - 1].position if len(hits) > self.count > 0 else None
        return page, more, total

    def _slots(self, limit: int, transaction: ReadTransaction) -> list[Json]:
        hits, _ = self._hits(limit, None, transaction)
        if len(hits) > limit:
            told = f"Only the first {limit} free slots are looked at; ask for a shorter period"
            self.notes.append(Issue("information", "incomplete", told))
        return self._within(hits[:limit])

    def _within(self, hits: Iterable[Match]) -> list[Json]:
        """Those slots that end in time."""
        slots = [proposals.offered(hit.body) for hit in hits]
        return [slot for slot in slots if facts.moment(slot["end"]) <= self.high]

    def schedules(
        self, slots: Iterable[Json], transaction: ReadTransaction
    ) -> dict[tuple[str, str], Json]:
        """Their schedules; those whose bodies are there are not read again."""
        named = [slot.get("schedule", {}) for slot in slots]
        wanted = {target for _, target in facts.targets(named, self.context)}
        missing = wanted - self.bodies.keys()
        found = {target: parse_stored(self.bodies[target]) for target in wanted - missing}
        return found | facts.resources(missing, self.context, transaction) if missing else found

    def entries(self, page: list[Slots], transaction: ReadTransaction) -> list[str]:
        """Each proposal of a page as an Appointment, in its entry."""
        if not page:
            return []
        context = self.context
        # Most slots of a page are of the same schedule.
        places = [
            facts.schedule_of(slots[0])
            if len(slots) == 1
            else "\n".join(map(facts.schedule_of, slots))
            for slots in page
        ]
        different = dict(zip(places, page, strict=True))
        known = self.schedules(
            [slot for slots in different.values() for slot in slots], transaction
        )
        based_on = proposals.based_on(list(self.referrals))
        shared = {}
        for place, slots in different.items():
            who = proposals.participants(slots, self.patients, "proposed", known, context)
            shared[place] = proposals.around("proposed", based_on, who)
        keys = [[self.keys[slot["id"]] for slot in slots] for slots in page]
        about = self.keys_about(transaction)
        ids = proposals.proposal_ids(keys, about, context.policy.cursor_key)
        begin, end = answers.around(context)
        found = []
        for place, slots, named in zip(places, page, ids, strict=True):
            logical_id = named or context.new_id()
            before, after = shared[place]
            found.append(
                f'{begin}{logical_id}","resource":{{"resourceType":"Appointment","id":"{logical_id}",'
                f"{before}{proposals.times(slots)}{after}{end}"
            )
        return found

    def keys_about(self, transaction: ReadTransaction) -> list[int]:
        """The internal keys of the patients that are stored, and of the referral."""
        if not self.patients:
            return list(self.referrals.values())
        named = [{"reference": text} for text in self.patients]
        wanted = [target for _, target in facts.targets(named, self.context)]
        found = transaction.many(wanted)
        keys = [found[item].key for item in wanted if item in found]
        return keys + list(self.referrals.values())


def _open(named: Sequence[StoredVersion]) -> dict[str, int]:
    """The referral that an appointment will be based on, with its key: the only one that is open."""
    found = {
        version.logical_id: version.key
        for version in named
        if parse_stored(version.body).get("status") == "active"
    }
    return found if len(found) == 1 else {}


def _flat(inputs: Inputs) -> list[tuple[str, str]]:
    """The parameters as a query: links are followed by GET; a patient that was sent is named by its id."""
    found = []
    for name, values in inputs.values.items():
        for value in values:
            if isinstance(value, dict) and value.get("resourceType") == "Patient":
                if isinstance(value.get("id"), str):
                    found.append(("patient-reference", f"Patient/{value['id']}"))
            elif isinstance(value, dict) and "reference" in value:
                found.append((name, str(value["reference"])))
            elif isinstance(value, dict):
                found.append((name, serialise(value).decode()))
            else:
                found.append((name, str(value)))
    return found
