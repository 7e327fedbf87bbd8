"""Snapshots: the differentials of R4's own profiles give the snapshots that R4 publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.spec import definitions
from fhir_server.spec.snapshots import Snapshots

Json = dict[str, Any]
CONSTRAINTS = [
    item["id"]
    for item in definitions.structures().values()
    if item.get("derivation") == "constraint"
]
# Slices without slicing: published under the slice's name, here said of the element itself.
UNSLICED = {"catalog", "familymemberhistory-genetic"}
# Published with the inside of an extension, which the profile of its type says already.
WALKED_IN = {"elementdefinition-de"}
# What its differential says of all agents is missing from the published slice.
ALL_AGENTS = {"provenance-relevant-history"}


def resolve(url: str) -> Json | None:
    head = definitions.structures().get(url.partition("|")[0])
    return definitions.structure_by_id(head["id"]) if head else None


def constraining(element: Json) -> Json:
    """What an element says about instances, in one order."""
    values = ("fixed", "pattern", "minValue", "maxValue")
    said = {name: value for name, value in element.items() if name.startswith(values)}
    for name in ("min", "max", "maxLength", "contentReference", "binding"):
        said[name] = element.get(name)
    said["isModifier"] = element.get("isModifier", False)
    said["keys"] = sorted(item["key"] for item in element.get("constraint", ()))
    said["types"] = sorted(
        (item["code"], *(sorted(item.get(name, ())) for name in ("profile", "targetProfile")))
        for item in element.get("type", ())
    )
    slicing = element.get("slicing")
    if slicing is not None:
        said["slicing"] = {"ordered": False, **slicing}
    return said


def of(elements: list[Json]) -> dict[str, Json]:
    return {item["id"]: constraining(item) for item in elements}


@pytest.mark.parametrize("identifier", [*CONSTRAINTS])
def test_r4s_own_profiles_get_the_snapshot_that_r4_publishes(identifier: str) -> None:
    structure = definitions.structure_by_id(identifier)
    snapshots = Snapshots(resolve)
    made, published = of(snapshots.of(structure)), of(structure["snapshot"])
    assert snapshots.faults == []
    if identifier in UNSLICED:
        published = {re.sub(":[A-Z][^.]*", "", name): said for name, said in published.items()}
        made = {re.sub(":[A-Z][^.]*", "", name): said for name, said in made.items()}
    if identifier in WALKED_IN:
        inside = re.compile(r"ElementDefinition\.extension:\w+\.").match
        published = {name: said for name, said in published.items() if not inside(name)}
    if identifier in ALL_AGENTS:
        assert {name for name, said in made.items() if said != published[name]} == {
            "Provenance.agent:Author.type",
            "Provenance.entity.agent",
        }
        return
    assert made == published


def profile(*elements: Json, of: str = "Patient", base: str | None = None) -> Json:
    return {
        "url": "http://example.org/p",
        "type": of,
        "baseDefinition": base or definitions.STRUCTURE + of,
        "derivation": "constraint",
        "differential": [{"path": of}, *elements],
    }


def test_without_ids_the_order_tells_in_which_slice_an_element_is() -> None:
    made = of(
        Snapshots(resolve).of(
            profile(
                {"path": "Patient.identifier", "slicing": {"rules": "open", "discriminator": []}},
                {"path": "Patient.identifier", "sliceName": "one", "min": 1},
                {"path": "Patient.identifier.system", "fixedUri": "http://one.org"},
                {"path": "Patient.identifier", "sliceName": "two"},
                {"path": "Patient.identifier.system", "fixedUri": "http://two.org"},
            )
        )
    )
    assert made["Patient.identifier:one.system"]["fixedUri"] == "http://one.org"
    assert made["Patient.identifier:two.system"]["fixedUri"] == "http://two.org"
    assert made["Patient.identifier:two"]["min"] == 0


def test_a_reslice_stands_below_its_slice() -> None:
    slicing = {"rules": "open", "discriminator": [{"type": "value", "path": "system"}]}
    made = Snapshots(resolve).of(
        profile(
            {"path": "Patient.identifier", "slicing": slicing},
            {"path": "Patient.identifier", "sliceName": "nhs", "slicing": slicing, "max": "3"},
            {"path": "Patient.identifier", "sliceName": "nhs/new", "max": "1"},
        )
    )
    assert [item["id"] for item in made if item["path"] == "Patient.identifier"] == [
        "Patient.identifier",
        "Patient.identifier:nhs",
        "Patient.identifier:nhs/new",
    ]


def test_what_is_said_of_all_items_holds_in_the_slices() -> None:
    made = of(
        Snapshots(resolve).of(
            profile(
                {"path": "Patient.name", "slicing": {"rules": "open", "discriminator": []}},
                {"path": "Patient.name.family", "min": 1},
                {"path": "Patient.name", "sliceName": "official"},
                {"path": "Patient.name.use", "fixedCode": "official"},
            )
        )
    )
    assert made["Patient.name:official.family"]["min"] == 1


def test_two_shorthands_leave_the_other_types_of_a_choice() -> None:
    made = of(
        Snapshots(resolve).of(
            profile(
                {"path": "Observation.valueQuantity.code", "min": 1},
                {"path": "Observation.valueString", "maxLength": 5},
                of="Observation",
            )
        )
    )
    assert len(made["Observation.value[x]"]["types"]) == 11
    assert made["Observation.value[x]:valueString"]["types"] == [("string", [], [])]
    assert made["Observation.value[x]:valueQuantity.code"]["min"] == 1


def wrong() -> Iterator[tuple[Json, str, str]]:
    yield profile({"path": "Patient.nme"}), "Patient.nme", "no element of the base"
    yield profile({"path": "Patient.birthDate", "max": "2"}), "Patient.birthDate", "do not raise"
    yield profile({"path": "Patient.link.other", "min": 0}), "Patient.link.other", "do not lower"
    yield (
        profile({"path": "Patient.name", "min": 3, "max": "2"}),
        "Patient.name",
        "above its maximum",
    )
    yield (
        profile({"path": "Patient.gender", "type": [{"code": "string"}]}),
        "Patient.gender",
        "type string",
    )
    yield (
        profile({"path": "Patient.gender", "binding": {"strength": "example"}}),
        "Patient.gender",
        "keep it required",
    )
    yield profile(base="http://example.org/none"), "Patient", "not known here"
    yield profile(base=definitions.STRUCTURE + "Slot"), "Patient", "its base is of Slot"
    yield (
        profile(
            {"path": "Patient.name", "sliceName": "a"}, {"path": "Patient.name", "sliceName": "b"}
        ),
        "Patient.name",
        "told apart",
    )


@pytest.mark.parametrize(("structure", "path", "says"), [*wrong()])
def test_a_profile_that_cannot_be_is_told_with_the_path(
    structure: Json, path: str, says: str
) -> None:
    snapshots = Snapshots(resolve)
    snapshots.of(structure)
    assert [fault.path for fault in snapshots.faults] == [path]
    assert says in snapshots.faults[0].says
