"""References between the entries of a transaction: a fullUrl becomes the identity that the entry has.

https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping

from fhir_server.interactions import call as calls
from fhir_server.interactions.bundle import RESTFUL, Entry, Identity
from fhir_server.interactions.call import Context
from fhir_server.interactions.conditional_references import by_criteria
from fhir_server.interactions.references import Link, Resolve, rewrite_call
from fhir_server.spec import errors
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import ReadTransaction

_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?")
_WITH_RESOURCE = (calls.Create, calls.Update)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Stands for the version that this transaction will make, which is known only inside it.
_NEW_VERSION = "of-this-transaction"


def with_links(entry: Entry, resolve: Resolve) -> Entry:
    """The entry with the links that resolve answers replaced."""
    return entry.changed(rewrite_call(entry.call, resolve), entry.identity)


def targets(parsed: Iterable[Entry]) -> dict[str, Identity]:
    """fullUrl -> the identity that the entry has, or that stands for it; FhirError 400 for one that is there twice."""
    found: dict[str, Identity] = {}
    for entry in parsed:
        if entry.full_url is None or entry.identity is None or entry.method == "DELETE":
            continue
        if entry.full_url in found:
            raise errors.invalid(
                "Another entry has this fullUrl; give each its own", f"{entry.place}.fullUrl"
            )
        found[entry.full_url] = entry.identity
    return found


class Links:
    """Rewrites links between entries, and notes the numbers of entries with links that need the database."""

    def __init__(self, found: Mapping[str, Identity], context: Context) -> None:
        self.targets = found
        self.context = context
        # What is to be resolved in a resource has one of these in it, "urn:" or "?", unless it refers relatively.
        self.named = {serialise(item)[1:-1] for item in found if not item.startswith("urn:")}
        self.by_criteria: set[int] = set()
        self.versioned: set[int] = set()

    def rewritten(self, entry: Entry) -> Entry:
        """The entry with its links rewritten; FhirError 400 for one to an entry that is not there."""
        restful = RESTFUL.fullmatch(entry.full_url or "")
        base = restful[1] if restful else None
        if base is None and isinstance(entry.call, _WITH_RESOURCE):
            body = serialise(entry.call.resource)
            if not (b"urn:" in body or b"?" in body or any(item in body for item in self.named)):
                return entry
        return with_links(entry, lambda link: self._resolve(link, entry.number, base))

    def _resolve(self, link: Link, number: int, base: str | None) -> str | None:
        text = link.text
        if base or "#" in text or "/_history/" in text:
            return self._resolve_parts(link, number, base)
        # Most are systems of codes and identifiers, and references to what is stored already.
        target = self.targets.get(text)
        if target is not None:
            return _written(target, "", link.kind)
        if link.kind == "Reference":
            self._look_elsewhere(link, text, number)
        return None

    def _resolve_parts(self, link: Link, number: int, base: str | None) -> str | None:
        stem, mark, anchor = link.text.partition("#")
        absolute = f"{base}/{stem}" if base and _RELATIVE.fullmatch(stem) else stem
        unversioned, _, version = absolute.partition("/_history/")
        target = self.targets.get(unversioned)
        if target is not None:
            if version:
                self.versioned.add(number)
                version = f"/_history/{_NEW_VERSION}"
            return _written(target, version + mark + anchor, link.kind)
        if link.kind == "Reference":
            self._look_elsewhere(link, stem, number)
        return None

    def _look_elsewhere(self, link: Link, stem: str, number: int) -> None:
        """Refuse a reference to an entry that is not there, note one by criteria."""
        if stem.startswith(("urn:uuid:", "urn:oid:")):
            raise errors.invalid(
                f"No entry has the fullUrl '{stem[:100]}' that this refers to", link.place
            )
        if "?" in link.text and by_criteria(link.text, self.context) is not None:
            self.by_criteria.add(number)


def _written(target: Identity, rest: str, kind: str) -> str | None:
    """The link to a resource in the form that its datatype can hold.

    A uuid or oid cannot hold Type/id: it names the id where that is a UUID (RFC 4122, ITU-T X.667), and stays as it
    is otherwise.
    """
    resource_type, logical_id = target
    if kind not in ("uuid", "oid"):
        return f"{resource_type}/{logical_id}{rest}"
    if not _UUID.fullmatch(logical_id):
        return None
    if kind == "uuid":
        return f"urn:uuid:{logical_id}"
    return f"urn:oid:2.25.{uuid.UUID(logical_id).int}"


class Moves:
    """Links to what stood for an entry follow to the resource that its criteria have found."""

    def __init__(self, moved: Mapping[Identity, Identity]) -> None:
        self.found = {
            kind: {
                before: after
                for old, new in moved.items()
                if (before := _written(old, "", kind)) and (after := _written(new, "", kind))
            }
            for kind in ("Reference", "uuid", "oid")
        }

    def resolve(self, link: Link) -> str | None:
        """The link to the resource found, or None."""
        stem, rest = link.text, ""
        for mark in ("/_history/", "#"):
            if mark in stem:
                stem, _, after = stem.partition(mark)
                rest = mark + after
                break
        target = self.found.get(link.kind, self.found["Reference"]).get(stem)
        return None if target is None else target + rest


class Versions:
    """A versioned link names the version that this transaction makes, or finds, of its target."""

    def __init__(self, changed: set[Identity], transaction: ReadTransaction) -> None:
        self.changed = changed
        self.transaction = transaction

    def resolve(self, link: Link) -> str | None:
        """The link with its version, or None for a link that waits for none."""
        stem, _, version = link.text.partition("/_history/")
        version, mark, anchor = version.partition("#")
        if version != _NEW_VERSION:
            return None
        resource_type, _, logical_id = stem.partition("/")
        current = self.transaction.current(resource_type, logical_id)
        number = current.version_id if current else 0
        if (resource_type, logical_id) in self.changed:
            number += 1
        return f"{stem}/_history/{number}{mark}{anchor}"
