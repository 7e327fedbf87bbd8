"""References by criteria (Patient?identifier=...), resolved inside a transaction, last.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fhir_server.interactions import call as calls
from fhir_server.interactions.bundle import Entry, Identity
from fhir_server.interactions.call import Context, Parameters
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.matching import criteria_of, matches
from fhir_server.interactions.references import Link
from fhir_server.interactions.write import index
from fhir_server.search.matcher import Candidate
from fhir_server.search.matcher import matches as holds
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.store.contract import ReadTransaction

_BY_CRITERIA = re.compile(r"([A-Za-z]+)\?(.*)", re.DOTALL)


def by_criteria(text: str, context: Context) -> tuple[str, str] | None:
    """The type and the query of a reference by criteria on this server, or None."""
    match = _BY_CRITERIA.fullmatch(text.removeprefix(context.base_url + "/"))
    return None if match is None else (match[1], match[2])


class Selection:
    """What references by criteria select: what is stored, and what this transaction is about to write or delete."""

    def __init__(
        self,
        writing: Iterable[Entry],
        deleted: Iterable[Identity],
        context: Context,
        transaction: ReadTransaction,
    ) -> None:
        self.context = context
        self.transaction = transaction
        self.selected: dict[tuple[str, str], set[str]] = {}
        self.pending: dict[str, dict[str, Candidate]] = {}
        # The stored versions of what this transaction writes or deletes are not what is referred to.
        self.superseded: dict[str, set[str]] = {}
        for resource_type, logical_id in deleted:
            self.superseded.setdefault(resource_type, set()).add(logical_id)
        for entry in writing:
            if isinstance(entry.call, calls.Create | calls.Update) and entry.identity is not None:
                self._expect(entry.identity, entry.call.resource)

    def _expect(self, identity: Identity, resource: dict[str, Any]) -> None:
        resource_type, logical_id = identity
        listed = self.pending.setdefault(resource_type, {})
        indexed = index(resource | {"id": logical_id}, self.context)
        listed[logical_id] = Candidate(len(listed), *identity, self.context.now(), indexed)
        self.superseded.setdefault(resource_type, set()).add(logical_id)

    def resolve(self, link: Link) -> str | None:
        """Type/id for a reference by criteria, None for another link.

        Raises FhirError 400 for criteria that cannot be read, 412 when they select none or several.
        """
        named = by_criteria(link.text, self.context) if link.kind == "Reference" else None
        if named is None:
            return None
        resource_type, query = named
        if not is_resource_type(resource_type):
            raise errors.invalid(
                f"R4 has no resource type '{resource_type[:64]}' to select by criteria", link.place
            )
        if named not in self.selected:
            try:
                self.selected[named] = self._select(resource_type, parse_query(query))
            except FhirError as refusal:
                raise _named(refusal, link) from None
        found = self.selected[named]
        if len(found) != 1:
            told = "more than one" if found else "no"
            code = "multiple-matches" if found else "not-found"
            text = f"The reference by criteria matches {told} {resource_type}; it must match one"
            raise FhirError(412, (Issue("error", code, text, (link.place,)),))
        return f"{resource_type}/{next(iter(found))}"

    def _select(self, resource_type: str, criteria: Parameters) -> set[str]:
        where = criteria_of(resource_type, criteria, self.context, self.transaction)
        superseded = self.superseded.get(resource_type, set())
        limit = 2 + len(superseded)
        stored = matches(resource_type, criteria, self.context, self.transaction, limit)
        found = {item.logical_id for item in stored} - superseded
        found.update(
            item.logical_id for item in self.candidates(resource_type) if holds(where, item, self)
        )
        return found

    def candidates(self, resource_type: str) -> Iterable[Candidate]:
        """The resources of a type that this transaction is about to write."""
        return self.pending.get(resource_type, {}).values()

    def candidate(self, resource_type: str, logical_id: str) -> Candidate | None:
        """One of them."""
        return self.pending.get(resource_type, {}).get(logical_id)


def _named(refusal: FhirError, link: Link) -> FhirError:
    """The refusal of criteria, at the reference that holds them."""
    issues = tuple(
        Issue(issue.severity, issue.code, issue.diagnostics, (link.place,), issue.details)
        for issue in refusal.issues
    )
    return FhirError(refusal.status, issues)
