"""Compare this validator with HL7's on the cases of HL7's validator test suite.

Usage: python tools/validator_agreement.py FOLDER [--all | NAME ...]

FOLDER holds manifest.json (a list of cases: name, file, supporting, profiles, profile, expected) and the files of the
cases. Printed are the agreement on the verdict (any error or none) and on the errors: by code and place as they are, by
what the code means and the place or one directly beside it, and by place; then the cases that disagree (--all), or
every issue of the named ones.

https://github.com/FHIR/fhir-test-cases
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
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

# A code of HL7's validator -> what ours may say of the same. R4 defines "required" (an element is missing), "extension"
# (one that is not acceptable) and "code-invalid" (a code that is not understood) for what HL7 tells as structure,
# invalid or not-found; "invalid" is above structure, required, value and invariant, and the finer word is as good. What
# leads nowhere is told as invalid or as not-found there.
# https://hl7.org/fhir/R4/codesystem-issue-type.html
SAME: Mapping[str, frozenset[str]] = {
    "structure": frozenset({"required", "extension", "invariant", "not-found", "invalid"}),
    "invalid": frozenset({"structure", "required", "value", "invariant", "extension", "not-found"}),
    "not-found": frozenset({"code-invalid"}),
    "exception": frozenset({"business-rule", "not-found", "invariant"}),
    "informational": frozenset({"business-rule", "structure"}),
}
# Comments name the resource, and the url of an extension beside its index; a choice may be told by its name or with the
# type.
COMMENT = re.compile(r"/\*.*?\*/|\[url='[^']*'\]|\.ofType\(\w+\)|\[x\]")
STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")


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
    return COMMENT.sub("", expression).removeprefix("/f:").replace("/f:", ".")


def _place(expression: str, resource: Any) -> str:
    """Where HL7's validator means: some of its messages count from one, as a place that is not there shows."""
    path = _from_root(_path(expression), resource)
    counted = re.sub(r"\[(\d+)\]", lambda found: f"[{max(int(found[1]) - 1, 0)}]", path)
    return counted if not _is_there(path, resource) and _is_there(counted, resource) else path


def _from_root(path: str, resource: Any) -> str:
    """A fault of XML is told from the resource that it is in: the same from the root."""
    kind, dot, rest = path.partition(".")
    if isinstance(resource, dict) and resource.get("resourceType") == "Bundle" != kind:
        for index, entry in enumerate(resource.get("entry", ())):
            if entry.get("resource", {}).get("resourceType") == kind:
                return f"Bundle.entry[{index}].resource{dot}{rest}"
    return path


def _is_there(path: str, resource: Any) -> bool:
    """Whether each index of a path is one of its array."""
    node = resource
    for step in path.split(".")[1:]:
        found = STEP.fullmatch(step)
        if found is None or not isinstance(node, dict):
            return True
        node = node.get(found[1])
        if found[2] is not None:
            listed = node if isinstance(node, list) else [] if node is None else [node]
            if int(found[2]) >= len(listed):
                return False
            node = listed[int(found[2])]
    return True


def _near(path: str, other: str) -> bool:
    """Whether two places are one, or one stands directly in the other: what is missing is told at either."""
    above, above_other = _parent(path), _parent(other)
    return path == other or (
        other in (above, _parent(above)) or path in (above_other, _parent(above_other))
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
    resource = None
    try:
        resource = read(folder / case["file"])
        issues = validator.explain(resource, profiles=profiles)
    except FhirError as refusal:
        resource = getattr(refusal, "remainder", None)
        issues = validator.explain_unreadable(refusal, profiles=profiles)
    listed = case["expected"][run]
    return Outcome(
        name=f"{case['name']} ({run})",
        expected=frozenset(
            (item["code"], _place(item.get("expression", [""])[0], resource))
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
            count["same"] += not {code, *SAME.get(code, ())}.isdisjoint(near)
    expected = count["expected"] or 1
    print(
        f"  errors: {count['expected']} expected, {count['found']} found; of the expected "
        f"{count['exact']} match by code and place ({count['exact'] / expected:.1%}), {count['same']} by what the "
        f"code means and place ({count['same'] / expected:.1%}), {count['place']} by place "
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
