"""One validation of one resource against profiles: where references lead, and what was found out already.

https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath import Environment, Node

if TYPE_CHECKING:
    from fhir_server.validation.profiles.library import Library

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Holder:
    """A Bundle that a resource is in, and the fullUrl of the resource's entry there."""

    bundle: Json
    full_url: str | None

    def find(self, reference: str) -> Json | None:
        """The resource that a reference means inside the Bundle."""
        wanted = _without_version(reference)
        if ":" not in wanted.partition("/")[0]:
            if self.full_url is None:
                return _by_type_and_id(self.bundle, wanted)
            # Relative references mean something beside a RESTful fullUrl only.
            root = _root_of(self.full_url)
            if root is None:
                return None
            wanted = root + wanted
        for entry in _entries(self.bundle):
            if entry.get("fullUrl") == wanted and isinstance(entry.get("resource"), dict):
                found: Json = entry["resource"]
                return found
        return None


def _entries(bundle: Json) -> Iterator[Json]:
    entries = bundle.get("entry")
    return (
        (item for item in entries if isinstance(item, dict))
        if isinstance(entries, list)
        else iter(())
    )


def _full_url(bundle: Json, resource: Json) -> str | None:
    for entry in _entries(bundle):
        if entry.get("resource") is resource:
            url = entry.get("fullUrl")
            return url if isinstance(url, str) else None
    return None


def _contained(resource: object) -> Iterator[Json]:
    listed = resource.get("contained") if isinstance(resource, dict) else None
    return (
        (item for item in listed if isinstance(item, dict))
        if isinstance(listed, list)
        else iter(())
    )


def _without_version(reference: str) -> str:
    return reference.partition("/_history/")[0]


def _root_of(full_url: str | None) -> str | None:
    """The base of a RESTful fullUrl, with its slash; None when it is none."""
    if full_url is None or not full_url.startswith(("http://", "https://")):
        return None
    segments = full_url.split("/")
    return "/".join(segments[:-2]) + "/" if len(segments) > 4 else None


def _by_type_and_id(bundle: Json, wanted: str) -> Json | None:
    for entry in _entries(bundle):
        resource = entry.get("resource")
        if (
            isinstance(resource, dict)
            and f"{resource.get('resourceType')}/{resource.get('id')}" == wanted
        ):
            return resource
    return None


@dataclass(slots=True)
class Run:
    """What the checks of one resource share.

    strict: whether what is not known (extensions, profiles of types, codes) is an error rather than a warning.
    resource: the resource at hand; root: the one that contains it, or itself. conformed: (profile, identity of a
    value) -> whether it conforms, None while that is being found out. told: the claims that were checked.
    """

    library: Library
    resource: Node
    root: Node
    holder: Holder | None = None
    strict: bool = False
    conformed: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    _environment: Environment | None = None

    @property
    def environment(self) -> Environment:
        """What invariants and discriminators see."""
        if self._environment is None:
            self._environment = Environment(
                resource=self.resource,
                root_resource=self.root,
                resolve=self.find,
                member_of=self._member_of,
                conforms_to=self._conforms_to,
            )
        return self._environment

    def inside(self, resource: Json, *, contained: bool, holder: Holder | None) -> Run:
        """The run of a resource inside this one."""
        node = Node(resource, str(resource.get("resourceType")))
        if holder is None and self.resource.type == "Bundle" and not contained:
            holder = Holder(self.resource.value, _full_url(self.resource.value, resource))
        return replace(
            self,
            resource=node,
            root=self.root if contained else node,
            holder=self.holder if holder is None else holder,
            _environment=None,
        )

    def find(self, reference: str) -> Json | None:
        """The resource that a reference leads to: contained, or in the same Bundle; None beyond."""
        if reference.startswith("#"):
            if reference == "#":
                value: Json = self.root.value
                return value
            contained = self.root.value.get("contained")
            for item in contained if isinstance(contained, list) else ():
                if isinstance(item, dict) and item.get("id") == reference[1:]:
                    return item
            return self._contained_in_entry(reference[1:])
        holder = self.holder
        if holder is None and self.root.type == "Bundle":
            holder = Holder(self.root.value, None)
        return None if holder is None else holder.find(reference)

    def _contained_in_entry(self, identifier: str) -> Json | None:
        """What a Bundle's own rules mean by a local reference: the one resource contained in an entry with that id."""
        found = [
            item
            for entry in (_entries(self.root.value) if self.root.type == "Bundle" else ())
            for item in _contained(entry.get("resource"))
            if item.get("id") == identifier
        ]
        return found[0] if len(found) == 1 else None

    def _member_of(self, node: Node, value_set: str) -> bool | None:
        from fhir_server.validation.profiles.codes import is_member

        return is_member(node.value, node.type, value_set, self.library.terminology)

    def _conforms_to(self, node: Node, profile: str) -> bool | None:
        from fhir_server.validation.profiles.walker import conforms

        return conforms(node, profile, self)
