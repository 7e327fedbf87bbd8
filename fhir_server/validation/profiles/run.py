"""One validation of one resource against profiles: where references lead, and what was found out already.

https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fhir_server.fhirpath import Environment, Node
from fhir_server.terminology.subsumption import subsumes
from fhir_server.validation.issues import refused

if TYPE_CHECKING:
    from fhir_server.validation.profiles.library import Library

Json = dict[str, Any]
# What carries other resources that refer to each other.
HOLDERS: Final = frozenset({"Bundle", "Parameters"})


class Entries:
    """The resources of a Bundle or Parameters by fullUrl and by type and id, looked up in constant time."""

    def __init__(self, bundle: Json) -> None:
        self.by_url: dict[str, Json] = {}
        self.by_type_and_id: dict[str, Json] = {}
        self.by_contained_id: dict[str, list[Json]] = {}
        self.url_of: dict[int, str | None] = {}
        for entry in (*_list(bundle, "entry"), *_parameters(bundle, "parameter")):
            url, resource = entry.get("fullUrl"), entry.get("resource")
            if not isinstance(resource, dict):
                continue
            plain = url if isinstance(url, str) else None
            self.url_of[id(resource)] = plain
            if plain is not None:
                self.by_url.setdefault(plain, resource)
            identity = f"{resource.get('resourceType')}/{resource.get('id')}"
            self.by_type_and_id.setdefault(identity, resource)
            for item in _list(resource, "contained"):
                if isinstance(item.get("id"), str):
                    self.by_contained_id.setdefault(item["id"], []).append(item)


@dataclass(frozen=True, slots=True)
class Holder:
    """The Bundle that a resource is in, and the fullUrl of the resource's entry there."""

    entries: Entries
    full_url: str | None

    def find(self, reference: str) -> Json | None:
        """The resource that a reference means inside the Bundle."""
        wanted = reference.partition("/_history/")[0]
        if ":" not in wanted.partition("/")[0]:
            if self.full_url is None:
                return self.entries.by_type_and_id.get(wanted)
            # Relative references mean something beside a RESTful fullUrl only.
            root = _root_of(self.full_url)
            if root is None:
                return None
            wanted = root + wanted
        return self.entries.by_url.get(wanted)


def _parameters(holder: Json, name: str) -> Iterator[Json]:
    """The parameters of Parameters, and the parts of these."""
    for item in _list(holder, name):
        yield item
        yield from _parameters(item, "part")


def _list(holder: Json, name: str) -> list[Json]:
    found = holder.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _root_of(full_url: str) -> str | None:
    """The base of a RESTful fullUrl, with its slash; None when it is none."""
    if not full_url.startswith(("http://", "https://")):
        return None
    segments = full_url.split("/")
    return "/".join(segments[:-2]) + "/" if len(segments) > 4 else None


@dataclass(slots=True)
class Run:
    """What the checks of one resource share.

    strict: whether what is not known (extensions, profiles of types, codes) is an error rather than a warning.
    closed: whether nothing is to be found elsewhere that a reference inside a Bundle or Parameters leads to.
    resource: the resource at hand; root: the one that contains it, or itself. conformed: (profile, identity of a
    value) -> whether it conforms, None while that is being found out; without a profile, to R4's own rules. bound:
    identity of a Coding -> the value sets that it is a code of.
    """

    library: Library
    resource: Node
    root: Node
    holder: Holder | None = None
    strict: bool = False
    closed: bool = False
    conformed: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    bundles: dict[int, Entries] = field(default_factory=dict)
    bound: dict[int, list[str]] = field(default_factory=dict)
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
                subsumes=subsumes(self.library.terminology),
                conforms_to=self._conforms_to,
            )
        return self._environment

    def inside(self, resource: Json, *, contained: bool, holder: Holder | None) -> Run:
        """The run of a resource inside this one."""
        node = Node(resource, str(resource.get("resourceType")))
        if holder is None and self.resource.type in HOLDERS and not contained:
            entries = self.entries_of(self.resource.value)
            holder = Holder(entries, entries.url_of.get(id(resource)))
        # One for every entry of a Bundle: dataclasses.replace takes thrice as long.
        return Run(
            self.library,
            node,
            self.root if contained else node,
            self.holder if holder is None else holder,
            self.strict,
            self.closed,
            self.conformed,
            self.bundles,
            self.bound,
        )

    def find(self, reference: str) -> Json | None:
        """The resource that a reference leads to: contained, or in the same Bundle; None beyond."""
        if reference.startswith("#"):
            if reference == "#":
                value: Json = self.root.value
                return value
            for item in _list(self.root.value, "contained"):
                if item.get("id") == reference[1:]:
                    return item
            return self._contained_in_entry(reference[1:])
        holder = self.holder
        if holder is None and self.root.type in HOLDERS:
            holder = Holder(self.entries_of(self.root.value), None)
        return None if holder is None else holder.find(reference)

    def entries_of(self, bundle: Json) -> Entries:
        """The entries of a Bundle, read once for a run."""
        found = self.bundles.get(id(bundle))
        if found is None:
            found = self.bundles[id(bundle)] = Entries(bundle)
        return found

    def _contained_in_entry(self, identifier: str) -> Json | None:
        """What a Bundle's own rules mean by a local reference: the one resource contained in an entry with that id."""
        if self.root.type != "Bundle":
            return None
        found = self.entries_of(self.root.value).by_contained_id.get(identifier, ())
        return found[0] if len(found) == 1 else None

    def _member_of(self, node: Node, value_set: str) -> bool | None:
        from fhir_server.validation.profiles.codes import is_member

        return is_member(node.value, node.type, value_set, self.library.terminology)

    def _conforms_to(self, node: Node, profile: str) -> bool | None:
        from fhir_server.validation.profiles.walker import conforms
        from fhir_server.validation.walker import walk

        if isinstance(node.value, dict) and "resourceType" in node.value:
            asked = ("", id(node.value))
            if asked not in self.conformed:
                self.conformed[asked] = not any(map(refused, walk(node.value)))
            if not self.conformed[asked]:
                return False
        return conforms(node, profile, self)
