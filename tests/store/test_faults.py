"""A full disk, a file that cannot be written, a lock that is not let go: clear answers, no acknowledged write lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from writing import current, plain, put, write

from fhir_server.spec.errors import FhirError
from fhir_server.store import sqlite
from fhir_server.store.contract import Store, Transaction
from fhir_server.store.open import open_store
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite_driver import connect
from fhir_server.store.statements import SqlTransaction

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sqlite_store(empty_database: Callable[[str], str]) -> SqliteStore:
    store = open_store(empty_database("sqlite"))
    assert isinstance(store, SqliteStore)
    yield store
    store.close()


def refusal_of(store: Store, identity: str, **options: object) -> FhirError:
    with pytest.raises(FhirError) as refusal:
        write(store, identity, **options)
    return refusal.value


def test_a_full_disk_is_507_and_what_was_stored_stays(sqlite_store: SqliteStore) -> None:
    made = write(sqlite_store, "Patient/a")
    pages = sqlite_store._writer._connection.execute("PRAGMA page_count").fetchone()[0]
    sqlite_store._writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    refusal = refusal_of(sqlite_store, "Patient/big", body=b"x" * 100_000)
    assert (refusal.status, refusal.issues[0].code) == (507, "no-store")
    assert current(sqlite_store, "Patient/big") is None
    assert current(sqlite_store, "Patient/a") == made
    assert sqlite_store.ready()
    # There is room again: the store goes on without a restart.
    sqlite_store._writer._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert write(sqlite_store, "Patient/big", body=b"x" * 100_000).version_id == 1


def test_a_full_disk_in_the_middle_of_a_group_loses_nothing_that_was_acknowledged(
    sqlite_store: SqliteStore,
) -> None:
    """Whatever SQLite takes back by itself, a future with a result is stored and one with an error is not."""
    pages = sqlite_store._writer._connection.execute("PRAGMA page_count").fetchone()[0]
    sqlite_store._writer._connection.execute(f"PRAGMA max_page_count = {pages + 60}")
    # A small cache makes SQLite write, and fail, before the commit.
    sqlite_store._writer._connection.execute("PRAGMA cache_size = 10")
    let_go = threading.Event()
    sqlite_store.submit(lambda _: let_go.wait(5))

    def work(number: int, transaction: Transaction) -> int:
        body = b"x" * (150_000 if number % 4 == 1 else 200)
        return put(transaction, f"Patient/p{number}", body=body).version_id

    futures = [sqlite_store.submit(lambda t, n=n: work(n, t)) for n in range(40)]
    let_go.set()
    outcomes = [future.exception(10) for future in futures]
    with sqlite_store.read() as view:
        there = {name for _, name in view.many([("Patient", f"p{n}") for n in range(40)])}
    assert there == {f"p{n}" for n, error in enumerate(outcomes) if error is None}
    assert {error.status for error in outcomes if isinstance(error, FhirError)} == {507}
    assert 0 < len(there) < 40
    assert sqlite_store._writer._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


_LIMITED = """
import json, resource, sys
from fhir_server.spec.errors import FhirError
from fhir_server.store.open import open_store
sys.path.insert(0, "tests/store")
from writing import current, write
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
told, acknowledged = [], []
for number in range(60):
    try:
        write(store, f"Patient/p{number}", body=b"x" * 20_000)
        acknowledged.append(f"Patient/p{number}")
    except FhirError as refusal:
        told.append(refusal.status)
readable = all(current(store, item) for item in acknowledged)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write(store, "Patient/after")
store.close()
print(json.dumps([told, acknowledged, readable]))
"""


def test_files_that_cannot_grow_refuse_and_recover(empty_database: Callable[[str], str]) -> None:
    url = empty_database("sqlite")
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told, acknowledged, readable = json.loads(ended.stdout)
    assert told
    assert set(told) <= {503, 507}
    assert readable
    store = open_store(url)
    assert all(current(store, identity) for identity in [*acknowledged, "Patient/after"])
    assert len(store.keys()) == len(acknowledged) + 1
    store.close()


def test_a_file_that_became_read_only_is_503_and_readable(sqlite_store: SqliteStore) -> None:
    made = write(sqlite_store, "Patient/a")
    sqlite_store._writer._connection.execute("PRAGMA query_only = 1")
    refusal = refusal_of(sqlite_store, "Patient/b")
    assert refusal.status == 503
    assert "only be read" in refusal.issues[0].diagnostics
    assert current(sqlite_store, "Patient/a") == made
    sqlite_store._writer._connection.execute("PRAGMA query_only = 0")
    write(sqlite_store, "Patient/b")


# The superuser may write everything, so the process becomes somebody else when it has read the project.
_OPEN = """
import os, sys
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import prepare_database
if os.geteuid() == 0:
    os.setuid(65534)
try:
    prepare_database(sys.argv[1])
except UnsafeDatabase as refusal:
    print(refusal)
"""


def test_a_file_that_may_not_be_written_is_refused_at_the_start(migrated_sqlite: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fhir.sqlite"
        shutil.copy(migrated_sqlite, path)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        ended = subprocess.run(
            [sys.executable, "-c", _OPEN, f"sqlite:///{path}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        Path(folder).chmod(0o755)
    assert "cannot be opened for writing" in ended.stdout, ended.stderr


def test_a_lock_of_another_process_is_503_and_nothing_hangs(
    sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write(sqlite_store, "Patient/a")
    sqlite_store._writer._connection.set_busy_timeout(50)
    other = connect(sqlite_store.path)
    other.execute("BEGIN IMMEDIATE")
    futures = [sqlite_store.submit(lambda t, n=n: put(t, f"Patient/p{n}")) for n in range(5)]
    for future in futures:
        error = future.exception(10)
        assert isinstance(error, FhirError)
        assert error.status == 503
        assert "Retry-After" in error.headers
    assert current(sqlite_store, "Patient/a") == made
    other.execute("ROLLBACK")
    other.close()
    assert write(sqlite_store, "Patient/p0").version_id == 1


@pytest.mark.parametrize("depth", [500, 5000])
def test_a_statement_that_sqlite_finds_too_deep_is_too_costly(
    sqlite_store: SqliteStore, depth: int
) -> None:
    text = "SELECT 1 WHERE " + "EXISTS (SELECT 1 WHERE " * depth + "1" + ")" * depth

    def ask() -> None:
        with sqlite_store.read() as view:
            assert isinstance(view, SqlTransaction)
            view._driver.fetch(text, ())

    with pytest.raises(FhirError) as refused:
        ask()
    assert refused.value.status == 403
    assert refused.value.issues[0].code == "too-costly"


def test_a_damaged_file_is_500_and_says_so(empty_database: Callable[[str], str]) -> None:
    url = empty_database("sqlite")
    store = open_store(url)
    for number in range(200):
        write(store, f"Patient/p{number}", body=b"x" * 2000)
    store.close()
    path = Path(url.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    half = len(content) // 2 // 4096 * 4096
    content[half:] = b"\xff" * (len(content) - half)
    path.write_bytes(content)
    damaged = sqlite.SqliteStore(str(path))

    def read_all() -> None:
        for number in range(200):
            current(damaged, f"Patient/p{number}")

    with pytest.raises(FhirError) as refusal:
        read_all()
    assert (refusal.value.status, refusal.value.issues[0].code) == (500, "incomplete")
    damaged.close()


def test_connections_that_the_server_ends_are_replaced(
    empty_database: Callable[[str], str],
) -> None:
    url = empty_database("postgresql")
    store = open_store(url)
    made = write(store, "Patient/a")
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for _ in range(20):
        try:
            found = current(store, "Patient/a")
        except FhirError as refusal:
            assert refusal.status == 503  # noqa: PT017 - a refusal is allowed, another error is not
        else:
            assert found == made
            break
    assert write(store, "Patient/b").version_id == 1
    assert store.ready()
    store.close()


def test_a_lock_that_is_not_let_go_is_503(empty_database: Callable[[str], str]) -> None:
    store = open_store(empty_database("postgresql"), lock_timeout=0.1)
    held, let_go = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        transaction.lock([("Patient", "a")])
        held.set()
        let_go.wait(10)

    holding = store.submit(hold)
    assert held.wait(5)
    with pytest.raises(FhirError) as refusal:
        store.write(lambda transaction: transaction.lock([("Patient", "a")]))
    assert refusal.value.status == 503
    let_go.set()
    holding.result()
    store.close()


def test_a_database_that_may_only_be_read_is_503(empty_database: Callable[[str], str]) -> None:
    store = open_store(empty_database("postgresql"))
    with pytest.raises(FhirError) as refusal:
        store.write(
            lambda transaction: (
                transaction._driver.cursor.execute("SET TRANSACTION READ ONLY")  # type: ignore[attr-defined] # of SQL only
                and put(transaction, "Patient/a")
            )
        )
    assert refusal.value.status == 503
    assert "only be read" in refusal.value.issues[0].diagnostics
    store.close()


@pytest.mark.slow
def test_a_full_disk_of_postgresql_is_507_and_recovers(
    empty_database: Callable[[str], str],
) -> None:
    """A tablespace of a few megabytes; only the superuser can make one."""
    url = empty_database("postgresql")
    with psycopg.connect(plain(url), autocommit=True) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    owner = Path(str(row[0])).stat().st_uid if Path(str(row[0])).exists() else -1
    # Where another user may go, too: PostgreSQL does not run as the superuser of the machine.
    disk = Path(tempfile.mkdtemp(prefix="fhir-disk-"))
    mounted = os.geteuid() == 0 and owner >= 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=2m,uid={owner},mode=700", "none", str(disk)],
        capture_output=True, check=False,
    ).returncode  # fmt: skip
    if not mounted:
        disk.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    try:
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            connection.execute("ALTER TABLE version SET TABLESPACE small")
        store = open_store(url)
        acknowledged, refusals = [], []
        for number in range(60):
            try:
                write(store, f"Patient/p{number}", body=os.urandom(100_000))
                acknowledged.append(f"Patient/p{number}")
            except FhirError as refusal:
                refusals.append(refusal.status)
        assert acknowledged
        assert set(refusals) == {507}
        assert all(current(store, identity) for identity in acknowledged)
        assert len(store.keys()) == len(acknowledged)
        store.close()
    finally:
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute("ALTER TABLE version SET TABLESPACE pg_default")
            connection.execute("DROP TABLESPACE small")
        subprocess.run(["umount", str(disk)], check=False)
        disk.rmdir()
