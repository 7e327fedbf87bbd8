"""References in both directions, on every store (https://hl7.org/fhir/R4/search.html#include)."""

from __future__ import annotations

import pytest
from writing import write

from fhir_server.search.entries import ReferenceEntry
from fhir_server.store.contract import Link, Reference, Store
from fhir_server.store.window import Referrers

SUBJECT, FOCUS = 11, 12


def to(parameter: int, resource_type: str, logical_id: str, version: str = "") -> ReferenceEntry:
    return ReferenceEntry(parameter, resource_type, logical_id, "", version)


@pytest.fixture
def keys(store: Store) -> dict[str, int]:
    made = {}
    for identity, entries in (
        ("Patient/a", []),
        ("Task/1", [to(SUBJECT, "Patient", "a"), to(FOCUS, "ServiceRequest", "r", "3")]),
        ("Task/2", [to(SUBJECT, "Patient", "b"), ReferenceEntry(FOCUS, "", "", "http://x/y", "")]),
        ("Task/3", [to(SUBJECT, "Group", "a"), to(FOCUS, "Patient", "a")]),
    ):
        made[identity] = write(store, identity, entries).key
    return made


def test_links_from_resources_by_some_parameters(store: Store, keys: dict[str, int]) -> None:
    first, second = keys["Task/1"], keys["Task/2"]
    with store.read() as view:
        assert set(view.links_from([first, second, 10**9], [SUBJECT])) == {
            Link(first, SUBJECT, "Patient", "a", ""),
            Link(second, SUBJECT, "Patient", "b", ""),
        }
        assert view.links_from([first], [FOCUS]) == [Link(first, FOCUS, "ServiceRequest", "r", "3")]


def test_references_of_several_resources_are_each_told_once(
    store: Store, keys: dict[str, int]
) -> None:
    fourth = write(store, "Task/4", [to(SUBJECT, "Patient", "a")]).key
    with store.read() as view:
        found = view.references([keys["Task/1"], fourth], [SUBJECT, FOCUS])
        assert sorted(found) == [
            Reference(SUBJECT, "Patient", "a", ""),
            Reference(FOCUS, "ServiceRequest", "r", "3"),
        ]
        assert view.references([keys["Task/2"]], [FOCUS]) == []


def test_what_is_referred_to_comes_with_its_current_version(
    store: Store, keys: dict[str, int]
) -> None:
    first, third = keys["Task/1"], keys["Task/3"]
    gone = write(store, "Task/4", [to(SUBJECT, "Patient", "gone")]).key
    write(store, "Patient/gone")
    write(store, "Patient/gone", method="DELETE")
    patient = write(store, "Patient/a", body=b"now")
    write(store, "ServiceRequest/r")
    with store.read() as view:
        listed = list(view.by_key([first, third, gone]).values())
        assert view.referred(listed, [SUBJECT, FOCUS]) == {
            Reference(SUBJECT, "Patient", "a", ""): patient,
            Reference(FOCUS, "ServiceRequest", "r", "3"): None,
            Reference(SUBJECT, "Group", "a", ""): None,
            Reference(FOCUS, "Patient", "a", ""): patient,
            Reference(SUBJECT, "Patient", "gone", ""): None,
        }
        assert view.referred(listed[:2], [SUBJECT], ["Patient"]) == {
            Reference(SUBJECT, "Patient", "a", ""): patient
        }


def test_references_elsewhere_are_no_links(store: Store, keys: dict[str, int]) -> None:
    with store.read() as view:
        assert view.links_from([keys["Task/2"]], [FOCUS]) == []


def test_links_to_resources_tell_types_apart(store: Store, keys: dict[str, int]) -> None:
    with store.read() as view:
        assert view.links_to([("Patient", "a")], [SUBJECT, FOCUS], 10) == [
            Link(keys["Task/1"], SUBJECT, "Patient", "a", ""),
            Link(keys["Task/3"], FOCUS, "Patient", "a", ""),
        ]
        assert view.links_to([("Patient", "a")], [SUBJECT], 10) == [
            Link(keys["Task/1"], SUBJECT, "Patient", "a", "")
        ]
        assert view.links_to([("Patient", "a"), ("Group", "a")], [SUBJECT], 10) == [
            Link(keys["Task/1"], SUBJECT, "Patient", "a", ""),
            Link(keys["Task/3"], SUBJECT, "Group", "a", ""),
        ]


def test_links_to_are_limited_in_the_order_of_the_resources(
    store: Store, keys: dict[str, int]
) -> None:
    with store.read() as view:
        found = view.links_to([("Group", "a"), ("Patient", "b"), ("Patient", "a")], [SUBJECT], 2)
    assert [link.source_key for link in found] == [keys["Task/1"], keys["Task/2"]]


def test_a_deleted_resource_and_an_older_version_link_nothing(
    store: Store, keys: dict[str, int]
) -> None:
    write(store, "Task/1", method="DELETE")
    write(store, "Task/3", [to(SUBJECT, "Patient", "z")])
    with store.read() as view:
        assert view.links_to([("Patient", "a"), ("Group", "a")], [SUBJECT, FOCUS], 10) == []
        assert view.links_from([keys["Task/1"]], [SUBJECT, FOCUS]) == []


def test_links_to_more_targets_than_a_statement_has_marks(store: Store) -> None:
    for number in range(3):
        write(store, f"Task/{number}", [to(SUBJECT, "Patient", f"p{number * 500}")])
    targets = [("Patient", f"p{number}") for number in range(1200)]
    with store.read() as view:
        found = view.links_to(targets, [SUBJECT], 10)
        assert [link.target_id for link in found] == ["p0", "p500", "p1000"]
        assert len(view.links_to(targets, [SUBJECT], 2)) == 2


def test_who_refers_to_some_resources_directly_or_through_others(
    store: Store, keys: dict[str, int]
) -> None:
    role = write(store, "PractitionerRole/role", [to(SUBJECT, "Patient", "a")])
    write(store, "Task/gone", [to(FOCUS, "PractitionerRole", "role")])
    write(store, "Task/gone", method="DELETE")
    mine = write(store, "Task/4", [to(FOCUS, "PractitionerRole", "role")])
    twice = write(
        store, "Task/5", [to(FOCUS, "PractitionerRole", "role"), to(FOCUS, "Patient", "a")]
    )
    # That has the id of a role, and is none.
    write(store, "Group/other", [to(SUBJECT, "Patient", "a")])
    write(store, "Task/6", [to(FOCUS, "PractitionerRole", "other")])
    patient = (("Patient", "a"),)
    targets = (*patient, ("Patient", "nobody"), ("Nonsense", "a"))
    through = ("PractitionerRole", SUBJECT)
    with store.read() as view:
        direct = view.referrers(Referrers(targets, FOCUS), 10)
        assert [item.key for item in direct] == [keys["Task/3"], twice.key]
        found = view.referrers(Referrers(targets, FOCUS, through), 10)
        assert [item.key for item in found] == [keys["Task/3"], mine.key, twice.key]
        assert [(item.logical_id, item.body) for item in found[1:]] == [
            ("4", mine.body),
            ("5", twice.body),
        ]
        assert view.referrers(Referrers(targets, FOCUS, through), 1) == found[:1]
        assert view.referrers(Referrers(patient, SUBJECT, through), 10) == view.referrers(
            Referrers(patient, SUBJECT), 10
        )
        assert role.key in [item.key for item in view.referrers(Referrers(targets, SUBJECT), 10)]
