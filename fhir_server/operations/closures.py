"""$closure: which of the codes that a client has met are kinds of which.

https://hl7.org/fhir/R4/terminology-service.html#closure
A closure table is a ConceptMap that is stored here like any other: its versions are those that the client may ask to
hear again, and its transaction is the operation's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from fhir_server.interactions.call import Context, Operation
from fhir_server.interactions.conformance import Stored
from fhir_server.interactions.write import Write, check, store, version_of
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.standard import Output
from fhir_server.operations.terminology import refusal
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import StoredVersion, Transaction
from fhir_server.terminology import Terminology, TerminologyFault

Json = dict[str, Any]
# (system, code) -> the codes above it, of those that the client has met.
Entries = dict[tuple[str, str], frozenset[str]]

_KIND: Final = "ConceptMap"
# What tells a closure table from other concept maps.
_SYSTEM: Final = "https://fhir-server.example.org/closure"
_PLACE: Final = "Parameters.parameter"
_MOST_CONCEPTS: Final = 10_000
_MOST_AT_ONCE: Final = 500


def is_closure(concept_map: Json) -> bool:
    """Whether a ConceptMap is a closure table, which translates nothing."""
    identifier = concept_map.get("identifier")
    return isinstance(identifier, dict) and identifier.get("system") == _SYSTEM


def closure(call: Operation, inputs: Inputs, context: Context, transaction: Transaction) -> Output:
    """Begin a table (a name alone), add concepts to it, or tell again what came after a version of it."""
    del call
    (name,) = inputs["name"]
    concepts, versions = inputs["concept"], inputs["version"]
    if concepts and versions:
        raise errors.invalid("Send concepts, or the version to begin from, not both", _PLACE)
    if len(concepts) > _MOST_AT_ONCE:
        raise errors.too_costly(f"Send at most {_MOST_AT_ONCE} concepts at once")
    logical_id = "closure-" + hashlib.sha256(name.encode()).hexdigest()[:40]
    transaction.lock([(_KIND, logical_id)])
    table = _Table(name, logical_id, context, transaction)
    if versions:
        return table.since(versions[0])
    return table.with_concepts(concepts) if concepts else table.begun()


class _Table:
    def __init__(
        self, name: str, logical_id: str, context: Context, transaction: Transaction
    ) -> None:
        self._name = name
        self._logical_id = logical_id
        self._context = context
        self._transaction = transaction
        self._version = transaction.current(_KIND, logical_id)

    def begun(self) -> Output:
        """An empty table, whatever it was before."""
        return self._told({}, self._stored({}))

    def with_concepts(self, concepts: Iterable[Json]) -> Output:
        """The table with the concepts that it had not; what is told is what they add."""
        version = self._existing()
        before = _entries(parse_stored(version.body))
        after = self._extended(before, concepts)
        if after != before:
            version = self._stored(after)
        return self._told(_difference(after, before), version)

    def since(self, version_id: str) -> Output:
        """What was added after a version."""
        version = self._existing()
        found = None
        if version_id.isdecimal() and len(version_id) < 10:
            found = self._transaction.version(_KIND, self._logical_id, int(version_id))
        if found is None or found.deleted:
            raise errors.not_found(
                f"The closure table '{self._name[:64]}' has no version '{version_id[:32]}'; begin it anew"
            )
        now = _entries(parse_stored(version.body))
        return self._told(_difference(now, _entries(parse_stored(found.body))), version)

    def _existing(self) -> StoredVersion:
        if self._version is None or self._version.deleted:
            raise errors.not_found(
                f"There is no closure table '{self._name[:64]}'; begin it by sending its name alone"
            )
        return self._version

    def _extended(self, before: Entries, concepts: Iterable[Json]) -> Entries:
        stored = Stored(self._transaction)
        terminology = self._context.terminology.over(stored)
        after = dict(before)
        met = {key for item in concepts if (key := _key(item)) not in before}
        if len(before) + len(met) > _MOST_CONCEPTS:
            raise errors.too_costly(f"A closure table has at most {_MOST_CONCEPTS} concepts")
        try:
            for system in sorted({system for system, _ in met}):
                known = {code for where, code in (*before, *met) if where == system}
                fresh = {code for where, code in met if where == system}
                for code in known:
                    above = _above(terminology, system, code, fresh)
                    told = after.get((system, code), frozenset())
                    wanted = known if code in fresh else fresh
                    after[system, code] = told | ((above & wanted) - {code})
        except TerminologyFault as fault:
            raise refusal(fault) from None
        return after

    def _stored(self, entries: Entries) -> StoredVersion:
        resource = {**self._head(), "group": _groups(entries)}
        if not entries:
            del resource["group"]
        check(resource, _KIND, self._context)
        write = Write("PUT", _KIND, self._logical_id, self._version)
        return version_of(store(write, resource, self._context, self._transaction))

    def _head(self) -> Json:
        return {
            "resourceType": _KIND,
            "id": self._logical_id,
            "identifier": {"system": _SYSTEM, "value": self._name},
            "name": self._name,
            "status": "active",
        }

    def _told(self, entries: Entries, version: StoredVersion) -> Output:
        shown = {**self._head(), "version": str(version.version_id)}
        groups = _groups({key: above for key, above in entries.items() if above})
        return Output({**shown, "group": groups} if groups else shown)


def _key(coding: Json) -> tuple[str, str]:
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        raise errors.required("A concept has a system and a code", _PLACE)
    return system, code


def _above(terminology: Terminology, system: str, code: str, fresh: set[str]) -> frozenset[str]:
    """The codes above one; raises a TerminologyFault, and FhirError 422 for a code of the request that is none."""
    if terminology.remote(system) is not None:
        told = f"{system[:300]} is known to another terminology server only; ask that for $closure"
        raise errors.unprocessable(Issue("error", "not-supported", told, (_PLACE,)))
    found = terminology.system(system)
    if found.find(code) is None:
        if code not in fresh:
            return frozenset()  # it was one when it came
        told = f"{system[:300]} has no code '{code[:100]}'; leave it out"
        raise errors.unprocessable(Issue("error", "code-invalid", told, (_PLACE,)))
    return found.above(code)


def _entries(table: Json) -> Entries:
    return {
        (group["source"], element["code"]): frozenset(
            target["code"] for target in element.get("target", ()) if "code" in target
        )
        for group in table.get("group", ())
        for element in group["element"]
        if "source" in group and "code" in element  # anybody may have written the ConceptMap anew
    }


def _difference(after: Entries, before: Entries) -> Entries:
    return {key: above - before.get(key, frozenset()) for key, above in after.items()}


def _groups(entries: Entries) -> list[Json]:
    """A group for each system: the element is a kind of its targets, which subsume it."""
    groups: dict[str, list[Json]] = {}
    for (system, code), above in sorted(entries.items()):
        targets = [{"code": item, "equivalence": "subsumes"} for item in sorted(above)]
        element = {"code": code, "target": targets} if targets else {"code": code}
        groups.setdefault(system, []).append(element)
    return [
        {"source": system, "target": system, "element": listed}
        for system, listed in sorted(groups.items())
    ]
