"""What is made of the bodies of matches, which a store keeps for the versions that it has committed.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import pytest
from writing import put, write

from fhir_server.search.expression import And, IdIn, Query
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.store import pages_sql
from fhir_server.store.contract import Store, Transaction

MADE: list[bytes] = []


def make(body: bytes) -> bytes:
    MADE.append(body)
    return b"made of " + body


def derived(store: Store, limit: int = 100) -> list[bytes]:
    with store.read() as view:
        return view.derived(Query(("Patient",), And(()), limit=limit), make)


def test_it_is_that_of_the_current_versions_in_the_order_of_a_page(store: Store) -> None:
    for name in ("b", "a", "c"):
        write(store, f"Patient/{name}", body=name.encode())
    assert derived(store) == [b"made of b", b"made of a", b"made of c"]
    assert derived(store, 2) == [b"made of b", b"made of a"]
    write(store, "Patient/b", body=b"b2")
    write(store, "Patient/a", method="DELETE")
    assert derived(store) == [b"made of b2", b"made of c"]
    with store.read() as view:
        assert view.derived(Query(("Patient",), IdIn(("c",))), make) == [b"made of c"]


def test_each_version_is_made_something_of_once(store: Store) -> None:
    if type(store).__name__ == "MemoryStore":
        pytest.skip("nothing is kept in memory")
    for name in ("a", "b"):
        write(store, f"Patient/{name}", body=name.encode())
    derived(store)
    write(store, "Patient/b", body=b"b2")
    MADE.clear()
    assert derived(store) == [b"made of a", b"made of b2"]
    assert MADE == [b"b2"]


def test_nothing_is_kept_of_what_is_undone(store: Store) -> None:
    def undone(transaction: Transaction) -> None:
        put(transaction, "Patient/a", body=b"never")
        query = Query(("Patient",), And(()), limit=10)
        assert transaction.derived(query, make) == [b"made of never"]
        raise errors.invalid("Not this")

    with pytest.raises(FhirError):
        store.write(undone)
    # The number of the version that was undone is free again, on some stores.
    write(store, "Patient/a", body=b"this")
    assert derived(store) == [b"made of this"]


def test_only_so_many_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_sql, "_KEPT", 2)
    for number in range(5):
        write(store, f"Patient/p{number}", body=b"%d" % number)
        assert derived(store) == [b"made of %d" % item for item in range(number + 1)]
