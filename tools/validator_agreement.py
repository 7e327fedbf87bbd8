"""Compare this validator with HL7's on the cases of HL7's validator test suite.

Usage: python tools/validator_agreement.py FOLDER [--all | NAME ...]

FOLDER holds manifest.json (a list of cases: name, file, supporting, profiles, profile, expected) and the files of the
cases. Printed are the agreement on the verdict (any error or none) and on the errors, by place, by place and code, and
by place and kind of code; then the cases that disagree (--all), or every issue of the named ones.

https://github.com/FHIR/fhir-test-cases
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import parse
from fhir_server.spec.xml_format import parse_xml
from fhir_server.validation import Validator
from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.guides import with_global_profiles
from fhir_server.validation.profiles.library import CoreDefinitions, Library

Json = dict[str, Any]
Told = tuple[str, str]

# https://hl7.org/fhir/R4/codesystem-issue-type.html: invalid is above structure, required, value and invariant, and
# processing above the others.
FAMILY = dict.fromkeys(("invalid", "structure", "required", "value", "invariant"), "invalid")
FAMILY |= dict.fromkeys(
    (
        "processing",
        "not-supported",
        "duplicate",
        "not-found",
        "too-long",
        "code-invalid",
        "extension",
        "business-rule",
    ),
    "processing",
)
# Comments name the resource, and the url of an extension beside its index.
COMMENT = re.compile(r"/\*.*?\*/|\[url='[^']*'\]")


class Cases:
    """A library's source: the conformance resources among the files of a case."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.known: dict[tuple[str, str], Json] = {}
        for name in names:
            for resource in _resources(folder / name):
                if isinstance(resource.get("url"), str):
                    self.known[resource["resourceType"], resource["url"]] = resource

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that url, of whatever version."""
        del version
        return self.known.get((resource_type, url))


def read(path: Path) -> Any:
    """A resource of a file; raises FhirError."""
    body = path.read_bytes()
    return parse_xml(body) if path.suffix == ".xml" else parse(body)


def _resources(path: Path) -> Iterator[Json]:
    try:
        found = read(path)
    except (FhirError, OSError):
        return
    if not isinstance(found, dict) or "resourceType" not in found:
        return
    yield found
    if found["resourceType"] == "Bundle":
        yield from (entry["resource"] for entry in found.get("entry", ()) if "resource" in entry)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one case: what HL7's validator says, and what ours says."""

    name: str
    expected: frozenset[Told]
    found: frozenset[Told]
    issues: tuple[Issue, ...]
    listed: list[Json]

    @property
    def agrees(self) -> bool:
        return bool(self.expected) == bool(self.found)


def _path(expression: str) -> str:
    return COMMENT.sub("", expression)


def _near(path: str, other: str) -> bool:
    """Whether two places are one, or one stands directly in the other: what is missing is told at either."""
    return (
        path == other or other in (_parent(path), _parent(_parent(path))) or path == _parent(other)
    )


def _parent(path: str) -> str:
    """The array of an item, else what holds the element."""
    return path.rpartition("[" if path.endswith("]") else ".")[0]


def outcome(folder: Path, case: Json, run: str) -> Outcome:
    """A run: base, or profile."""
    names = [*case.get("supporting", ()), *case.get("profiles", ())]
    profiles: list[str] = []
    if run == "profile":
        given = case["profile"]
        names += [*given.get("supporting", ()), given["source"]]
        profiles = [item["url"] for item in _resources(folder / given["source"]) if "url" in item][
            :1
        ]
    source = Cases(folder, names)
    guides = [item for (kind, _), item in source.known.items() if kind == "ImplementationGuide"]
    # HL7's runs do not allow what is not known.
    validator = Validator(
        Library((CoreDefinitions(), source)),
        with_global_profiles(guides, {}),
        strict=True,
        closed=case.get("validateReference") == "CHECK_EXISTS_AND_TYPE",
    )
    try:
        issues = validator.explain(read(folder / case["file"]), profiles=profiles)
    except FhirError as refusal:
        issues = refusal.issues
    listed = case["expected"][run]
    return Outcome(
        name=f"{case['name']} ({run})",
        expected=frozenset(
            (item["code"], _path(item.get("expression", [""])[0]))
            for item in listed
            if item["severity"] in ("error", "fatal")
        ),
        found=frozenset(
            (item.code, _path(item.expression[0] if item.expression else ""))
            for item in issues
            if refused(item)
        ),
        issues=issues,
        listed=listed,
    )


def report(outcomes: list[Outcome], title: str) -> None:
    """Print the agreement of some runs."""
    agreeing = sum(item.agrees for item in outcomes)
    alarms = sum(bool(item.found and not item.expected) for item in outcomes)
    print(
        f"{title}: {len(outcomes)} runs, verdict agrees in {agreeing} ({agreeing / len(outcomes):.1%}); "
        f"{alarms} refused only here, {len(outcomes) - agreeing - alarms} accepted only here"
    )
    count: Counter[str] = Counter()
    for item in outcomes:
        count["expected"] += len(item.expected)
        count["found"] += len(item.found)
        count["exact"] += len(item.expected & item.found)
        for code, path in item.expected:
            near = [found for found, place in item.found if _near(place, path)]
            count["place"] += bool(near)
            count["family"] += FAMILY.get(code, code) in {
                FAMILY.get(found, found) for found in near
            }
    expected = count["expected"] or 1
    print(
        f"  errors: {count['expected']} expected, {count['found']} found; of the expected "
        f"{count['exact']} match by code and place ({count['exact'] / expected:.1%}), {count['family']} by kind of "
        f"code and place ({count['family'] / expected:.1%}), {count['place']} by place "
        f"({count['place'] / expected:.1%})"
    )


def show(item: Outcome) -> None:
    """Print both sides of a run."""
    print(f"== {item.name}")
    for listed in item.listed:
        print(f"  HL7  {listed['severity']} {listed['code']} {listed.get('expression', [''])[0]}")
    for issue in item.issues:
        place = issue.expression[0] if issue.expression else ""
        print(f"  ours {issue.severity} {issue.code} {place} | {issue.diagnostics[:160]}")


def main(folder: Path, names: list[str]) -> None:
    """Run every case and print the agreement."""
    cases = json.loads((folder / "manifest.json").read_text("utf-8"))
    base = [outcome(folder, case, "base") for case in cases if "base" in case["expected"]]
    profiled = [outcome(folder, case, "profile") for case in cases if "profile" in case["expected"]]
    report(base, "base")
    report(profiled, "profile")
    for item in (*base, *profiled):
        if any(name in item.name for name in names) or ("--all" in names and not item.agrees):
            show(item)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
