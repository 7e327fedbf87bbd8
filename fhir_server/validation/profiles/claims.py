"""The profiles that a resource is held to, and the resources inside it, each with its own.

https://hl7.org/fhir/R4/profiling.html#using
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.fhirpath import Node
from fhir_server.spec.definitions import is_a, is_resource_type
from fhir_server.spec.errors import Issue
from fhir_server.terminology import united_kingdom
from fhir_server.terminology.faults import UNREADABLE
from fhir_server.validation.issues import refused, shown
from fhir_server.validation.profiles.demands import Profile
from fhir_server.validation.profiles.extensions import (
    Found,
    extension_issues,
    extensions_in,
    has_its_parts,
    looks_at_the_instance,
    place_issues,
)
from fhir_server.validation.profiles.fast import Check, compile_check
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.profiles.run import HOLDERS, Holder, Run
from fhir_server.validation.profiles.walker import walk_profile
from fhir_server.validation.resources import RULES
from fhir_server.validation.resources.addresses import address_issues
from fhir_server.validation.resources.codings import coding_issues, extensible_issues
from fhir_server.validation.resources.narrative_text import narrative_issues

Json = dict[str, Any]
# Where extensions stand is remembered for so many combinations; resources of other shapes are looked at anew.
_MOST_PLACES: Final = 10_000
Defaults = Mapping[str, tuple[str, ...]]


def claimed(resource: Json) -> list[str]:
    """The canonical urls in meta.profile."""
    meta = resource.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return [url for url in profiles if isinstance(url, str)] if isinstance(profiles, list) else []


@dataclass(frozen=True, slots=True)
class Inner:
    """A resource inside another; place follows the outer resource's path."""

    resource: Json
    place: str
    contained: bool
    full_url: str | None = None


def inside(resource: Json) -> Iterator[Inner]:
    """The resources directly inside: contained, in the entries of a Bundle, in Parameters."""
    for index, item in enumerate(_list(resource, "contained")):
        if _is_resource(item):
            yield Inner(item, f".contained[{index}]", contained=True)
    for name in ("entry", "parameter"):
        yield from _held(resource, name, "")


def _held(holder: Json, name: str, place: str) -> Iterator[Inner]:
    for index, item in enumerate(_list(holder, name)):
        if not isinstance(item, dict):
            continue
        where = f"{place}.{name}[{index}]"
        below = item.get("resource")
        if isinstance(below, dict) and _is_resource(below):
            yield Inner(below, f"{where}.resource", contained=False, full_url=item.get("fullUrl"))
        if "part" in item:
            yield from _held(item, "part", where)


def _list(value: Json, name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _is_resource(value: object) -> bool:
    return isinstance(value, dict) and is_resource_type(str(value.get("resourceType")))


class Claims:
    """Holds resources to profiles and their extensions to their definitions, in both forms."""

    def __init__(
        self, library: Library, defaults: Defaults, *, strict: bool = False, closed: bool = False
    ) -> None:
        self._strict = strict
        self._closed = closed
        self._library = library
        self._defaults = defaults
        self._checks: dict[str, Check] = {}
        self._placed: dict[tuple[str, bool, str | None, frozenset[str]], bool] = {}

    def concerns(self, resource: Json, extensions: Mapping[int, int]) -> bool:
        """Whether there is anything to check in a resource that keeps its base rules."""
        return (
            bool(extensions)
            or self._strict
            or "contained" in resource
            or "entry" in resource
            or "parameter" in resource
            or bool(claimed(resource))
            or resource["resourceType"] in self._defaults
            or resource["resourceType"] in RULES
        )

    def faultless(self, resource: Json, extensions: Mapping[int, int]) -> bool:
        """Whether a resource that keeps its base rules keeps its profiles and the definitions of its extensions.

        extensions: identity of a resource -> how many there are in it, and in the resources inside it.
        """
        return self._kept(self._run(resource), resource, extensions)

    def _run(self, resource: Json) -> Run:
        node = Node(resource, resource["resourceType"])
        return Run(self._library, node, node, strict=self._strict, closed=self._closed)

    def _kept(self, run: Run, resource: Json, extensions: Mapping[int, int]) -> bool:
        for url in self._profiles(resource, ()):
            profile = self._library.profile(url)
            if profile is not None and not self._is_kept(profile, resource, run):
                return False
        rule = RULES.get(resource["resourceType"])
        if rule is not None and any(map(refused, rule(resource, "", run))):
            return False
        if self._strict and any(map(refused, self._quality(resource, "", run))):
            return False
        left = extensions.get(id(resource), 0)
        for item, holder in self._inside(resource, run):
            left -= extensions.get(id(item.resource), 0)
            inner = run.inside(item.resource, contained=item.contained, holder=holder)
            if not self._kept(inner, item.resource, extensions):
                return False
        if left:
            for found in extensions_in(resource):
                if not self._is_extension_kept(found, run):
                    return False
                left -= 1
                if not left:
                    break
        return True

    @staticmethod
    def _inside(resource: Json, run: Run) -> Iterator[tuple[Inner, Holder | None]]:
        for item in inside(resource):
            bundled = resource["resourceType"] in HOLDERS and not item.contained
            if bundled:
                yield item, Holder(run.entries_of(resource), item.full_url)
            else:
                yield item, run.holder

    def _is_kept(self, profile: Profile, resource: Json, run: Run) -> bool:
        if not is_a(resource["resourceType"], profile.type):
            return False
        return self._check(profile)(resource, run)

    def _check(self, profile: Profile) -> Check:
        check = self._checks.get(profile.label)
        if check is None:
            check = self._checks[profile.label] = compile_check(profile)
        return check

    def _is_extension_kept(self, found: Found, run: Run) -> bool:
        url: str = found.extension["url"]
        if ":" not in url:
            return True
        profile = self._library.profile(url)
        if profile is None or profile.type != "Extension":
            return not self._strict or not any(map(refused, extension_issues(found, "", run)))
        place = (url, found.modifier, found.above, found.names)
        placed = self._placed.get(place)
        if placed is None:
            structure = self._library.structure(url)
            assert structure is not None
            placed = not any(map(refused, place_issues(structure, profile, found, "", run)))
            if not looks_at_the_instance(structure) and len(self._placed) < _MOST_PLACES:
                self._placed[place] = placed
        return (
            placed and self._check(profile)(found.extension, run) and has_its_parts(found, profile)
        )

    def _profiles(self, resource: Json, asked: Iterable[str]) -> list[str]:
        listed = [*asked, *claimed(resource), *self._defaults.get(resource["resourceType"], ())]
        return list(dict.fromkeys(listed))

    def issues(
        self, resource: Json, path: str, asked: Iterable[str] = (), *, hints: bool = True
    ) -> Iterator[Issue]:
        """The issues of a resource by its profiles (and those asked for), its extensions, and inside it.

        hints: whether what can only be a warning is looked for.
        """
        yield from self._issues(self._run(resource), resource, path, tuple(asked), hints=hints)
        if hints:
            yield from united_kingdom.warnings(resource)

    def rule_issues(self, resource: Json) -> Iterator[Issue]:
        """The issues of a resource by the rules of its type, although it has not the shape that these expect."""
        name = resource.get("resourceType")
        rule = RULES.get(name) if isinstance(name, str) else None
        if rule is not None:
            try:
                yield from rule(resource, str(name), self._run(resource))
            except UNREADABLE:
                return  # the shape, which was told

    def _issues(
        self, run: Run, resource: Json, path: str, asked: tuple[str, ...], *, hints: bool
    ) -> Iterator[Issue]:
        for url in self._profiles(resource, asked):
            yield from self._profile_issues(url, run, path, asked=url in asked)
        rule = RULES.get(resource["resourceType"])
        if rule is not None:
            yield from rule(resource, path, run)
        if hints or self._strict:
            yield from self._quality(resource, path, run)
        if hints:
            yield from extensible_issues(resource, path, run)
        for found in extensions_in(resource):
            yield from extension_issues(found, path, run)
        for item, holder in self._inside(resource, run):
            inner = run.inside(item.resource, contained=item.contained, holder=holder)
            yield from self._issues(inner, item.resource, path + item.place, (), hints=hints)

    @staticmethod
    def _quality(resource: Json, path: str, run: Run) -> Iterator[Issue]:
        yield from coding_issues(resource, path, run)
        yield from narrative_issues(resource, path, run)
        yield from address_issues(resource, path, run)

    def _profile_issues(self, url: str, run: Run, path: str, *, asked: bool) -> Iterator[Issue]:
        profile = self._library.profile(url)
        if profile is not None:
            if profile.abstract:
                told = f"{path}: the profile {profile.label} is abstract; claim one that is based on it"
                yield Issue("warning", "business-rule", told, (path,), profile=profile.label)
            yield from walk_profile(profile, run.resource, path, run)
            return
        says = f"The profile {shown(url)} is not known here, so {path} was not checked against it"
        yield Issue(
            "error" if asked else "warning",
            "not-found",
            says + ("; load it, or correct its url" if asked else ""),
            (path,),
            profile=url,
        )
