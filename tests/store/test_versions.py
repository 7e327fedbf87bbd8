"""Versions of a resource, on every store (https://hl7.org/fhir/R4/http.html#versioning)."""

from __future__ import annotations

import pytest
from writing import NOON, current, put, write

from fhir_server.search.entries import DateEntry, NumberEntry, StringEntry, TokenEntry
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import Store, StoredVersion, Transaction


def test_what_was_put_is_what_is_read(store: Store) -> None:
    made = write(store, "Patient/a", method="POST", body=b'{"x":1.10}')
    assert made == StoredVersion(
        made.key, "Patient", "a", 1, made.last_updated, "POST", True, b'{"x":1.10}'
    )
    assert current(store, "Patient/a") == made


def test_an_id_never_used_is_none(store: Store) -> None:
    write(store, "Patient/a")
    with store.read() as view:
        assert view.current("Patient", "b") is None
        assert view.current("Practitioner", "a") is None
        assert view.version("Patient", "b", 1) is None
        assert view.version("Patient", "a", 2) is None
        assert view.version("Patient", "a", 0) is None


def test_every_version_stays_and_the_newest_is_current(store: Store) -> None:
    versions = [write(store, "Patient/a", body=b"v%d" % number) for number in range(1, 6)]
    assert [item.version_id for item in versions] == [1, 2, 3, 4, 5]
    assert len({item.key for item in versions}) == 1
    with store.read() as view:
        assert [view.version("Patient", "a", number) for number in range(1, 6)] == versions
        assert view.current("Patient", "a") == versions[-1]


def test_a_deletion_is_a_version_without_a_body_and_can_be_followed(store: Store) -> None:
    write(store, "Patient/a")
    deleted = write(store, "Patient/a", method="DELETE")
    assert (deleted.deleted, deleted.body, deleted.version_id) == (True, b"", 2)
    assert current(store, "Patient/a") == deleted
    with store.read() as view:
        assert view.many([("Patient", "a")]) == {}
        assert view.by_key([deleted.key]) == {}
    again = write(store, "Patient/a")
    assert (again.version_id, again.created, again.key) == (3, True, deleted.key)


def test_ids_differ_by_case_and_by_type(store: Store) -> None:
    made = {name: write(store, name) for name in ("Patient/a", "Patient/A", "Person/a")}
    assert len({item.key for item in made.values()}) == 3
    assert all(current(store, name) == item for name, item in made.items())


def test_a_body_of_a_megabyte_and_any_bytes_comes_back(store: Store) -> None:
    body = bytes(range(256)) * 4096
    write(store, "Binary/a", body=body)
    found = current(store, "Binary/a")
    assert found is not None
    assert found.body == body


def test_a_put_after_a_stale_version_is_a_conflict_and_503_in_the_end(store: Store) -> None:
    first = write(store, "Patient/a")
    write(store, "Patient/a")
    runs = []

    def stale(transaction: Transaction) -> StoredVersion:
        runs.append(1)
        return put(transaction, "Patient/a", previous=first)

    with pytest.raises(FhirError) as refusal:
        store.write(stale)
    assert refusal.value.status == 503
    assert "Retry-After" in refusal.value.headers
    assert len(runs) == 4
    found = current(store, "Patient/a")
    assert found is not None
    assert found.version_id == 2


def test_creating_an_id_that_exists_is_a_conflict(store: Store) -> None:
    made = write(store, "Patient/a")
    with pytest.raises(FhirError):
        write(store, "Patient/a", previous=None)
    assert current(store, "Patient/a") == made


def test_many_and_by_key_leave_out_what_is_not_there(store: Store) -> None:
    kept = [write(store, f"Patient/p{number}") for number in range(3)]
    gone = write(store, "Patient/gone")
    write(store, "Patient/gone", method="DELETE")
    asked = [("Patient", "p0"), ("Patient", "gone"), ("Practitioner", "p1"), ("Patient", "p2")]
    with store.read() as view:
        assert view.many(asked) == {("Patient", "p0"): kept[0], ("Patient", "p2"): kept[2]}
        assert view.many([]) == {}
        keys = [item.key for item in kept]
        assert view.by_key([*keys, gone.key, 10**9]) == dict(zip(keys, kept, strict=True))


@pytest.mark.parametrize("each", [1, 2, 3, 200])
def test_many_of_several_types_are_found_whatever_their_number(store: Store, each: int) -> None:
    kinds = ("Patient", "Practitioner", "Person")
    asked = [(kind, f"p{number}") for number in range(each) for kind in kinds]

    def work(transaction: Transaction) -> dict[tuple[str, str], StoredVersion]:
        return {(kind, name): put(transaction, f"{kind}/{name}") for kind, name in asked[:-1]}

    made = store.write(work)
    del made["Patient", "p0"]
    write(store, "Patient/p0", method="DELETE")
    with store.read() as view:
        assert view.many(asked) == view.many([*asked, *asked]) == made


def test_more_identities_than_a_statement_has_marks_are_found(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        for number in range(1100):
            put(transaction, f"Patient/p{number}")

    store.write(work)
    with store.read() as view:
        found = view.many([("Patient", f"p{number}") for number in range(1100)])
        assert len(found) == 1100
        assert len(view.by_key([item.key for item in found.values()])) == 1100


def test_keys_are_pages_of_current_resources_in_ascending_order(store: Store) -> None:
    patients = [write(store, f"Patient/p{number}").key for number in range(5)]
    other = write(store, "Slot/s").key
    write(store, "Patient/p1", method="DELETE")
    left = [key for key in patients if key != patients[1]]
    assert store.keys() == [*left, other]
    assert store.keys("Patient") == left
    assert store.keys("Patient", after=left[1], limit=1) == [left[2]]
    assert store.keys("Slot", after=other) == []


ENTRIES = [
    TokenEntry(1, "http://a", "x"),
    TokenEntry(1, "", "x"),
    StringEntry(2, "smith", "Smith"),
    DateEntry(3, 5, 9),
    NumberEntry(4, 0.5, 1.5),
]


def test_the_index_follows_every_version(store: Store) -> None:
    key = write(store, "Patient/a", ENTRIES[:3]).key
    for entries in (ENTRIES[:3], ENTRIES[2:], ENTRIES, []):
        write(store, "Patient/a", entries)
        with store.read() as view:
            assert view.index_difference(key, frozenset(entries)) == (0, 0)
    write(store, "Patient/a", ENTRIES)
    write(store, "Patient/a", method="DELETE")
    with store.read() as view:
        assert view.index_difference(key, frozenset()) == (0, 0)
        assert view.index_difference(key, frozenset(ENTRIES)) == (5, 0)


def test_any_text_and_number_is_indexed_as_it_is(store: Store) -> None:
    texts = ('"', "\\", '\\"', "{a,b}", "NULL", "null", " a ", "a,b", "'", "%s", "?", "é\n\t", "$1")
    entries = frozenset(
        {
            *(TokenEntry(1, "", text or "-") for text in texts),
            *(StringEntry(2, text, text) for text in texts),
            *(NumberEntry(3, low, 1e300) for low in (-1e300, 5e-324, 0.1, 1 / 3, -0.0)),
            DateEntry(4, -(2**62), 2**62),
        }
    )
    version = write(store, "Patient/a", entries)
    with store.read() as view:
        assert view.index_difference(version.key, entries) == (0, 0)


def test_index_difference_counts_missing_and_surplus_rows(store: Store) -> None:
    key = write(store, "Patient/a", ENTRIES[:3]).key
    with store.read() as view:
        assert view.index_difference(key, frozenset(ENTRIES[1:])) == (2, 1)


def test_previous_entries_that_are_known_give_the_same_index(store: Store) -> None:
    first = write(store, "Patient/a", ENTRIES[:3])

    def work(transaction: Transaction) -> None:
        transaction.put(
            resource_type="Patient",
            logical_id="a",
            previous=first,
            last_updated=NOON * 2,
            method="PUT",
            created=False,
            body=b"2",
            entries=frozenset(ENTRIES[2:]),
            previous_entries=frozenset(ENTRIES[:3]),
        )

    store.write(work)
    with store.read() as view:
        assert view.index_difference(first.key, frozenset(ENTRIES[2:])) == (0, 0)


def test_values_longer_than_an_index_key_are_kept_apart(store: Store) -> None:
    long = "x" * 5000
    entries = [StringEntry(2, long, long + end) for end in "ab"] + [TokenEntry(1, long, long)]
    key = write(store, "Patient/a", entries).key
    with store.read() as view:
        assert view.index_difference(key, frozenset(entries)) == (0, 0)
        assert view.index_difference(key, frozenset(entries[1:])) == (0, 1)


def test_a_secret_is_made_once_for_a_name(store: Store) -> None:
    found = store.secret("cursor")
    assert len(found) == 32
    assert store.secret("cursor") == found
    assert store.secret("other") != found


def test_a_store_is_ready(store: Store) -> None:
    assert store.ready()
