"""A PostgreSQL that goes away and comes back."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tools.serving import ServerProcess

PATIENT = {"resourceType": "Patient", "id": "kept"}


class Database:
    """A database of a cluster whose connections can be cut, as an outage cuts them."""

    def __init__(self, cluster):
        self.admin = make_url(cluster).set(drivername="postgresql")
        self.name = f"fhir_outage_{time.time_ns()}"
        self.url = make_url(cluster).set(database=self.name).render_as_string(hide_password=False)
        self._run(f"CREATE DATABASE {self.name} ENCODING 'UTF8' TEMPLATE template0")

    def _run(self, *statements):
        with psycopg.connect(
            self.admin.render_as_string(hide_password=False), autocommit=True
        ) as connection:
            for statement in statements:
                connection.execute(statement)

    def go(self):
        self._run(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        self.cut()

    def cut(self):
        self._run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'"
        )

    def come_back(self):
        self._run(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")


@pytest.fixture
def database(postgresql):
    return Database(postgresql)


def wait_for(status, ask, seconds=40):
    """Ask until the answer has the status; every other answer on the way must be 503."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer.status_code == status:
            return answer
        assert answer.status_code == 503
        time.sleep(0.2)
    raise AssertionError(answer.text)


def test_while_the_database_is_away_everything_is_503_and_afterwards_as_before(database):
    with ServerProcess(database.url) as server, httpx.Client(timeout=30) as client:
        base, beside = server.base, server.base.removesuffix("/fhir")
        kept = client.put(f"{base}/Patient/kept", json=PATIENT).json()
        database.go()
        asked = [
            lambda: client.get(f"{base}/Patient/kept"),
            lambda: client.get(f"{base}/Patient?active=true"),
            lambda: client.put(f"{base}/Patient/lost", json=PATIENT | {"id": "lost"}),
            lambda: client.get(f"{base}/_history"),
            lambda: client.get(f"{beside}/health/ready"),
        ]
        with ThreadPoolExecutor(len(asked)) as threads:
            answers = list(threads.map(lambda ask: ask(), asked))
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
        for answer in answers[:-1]:
            assert answer.json()["issue"][0]["code"] == "transient"
            assert database.name not in answer.text
        assert client.get(f"{beside}/health/live").status_code == 200
        assert client.get(f"{base}/metadata?_summary=true").status_code == 200
        database.come_back()
        assert wait_for(200, asked[0]).json() == kept
        assert wait_for(200, asked[-1]).json() == {"status": "ok"}
        assert client.get(f"{base}/Patient/lost").status_code == 404
        assert wait_for(201, asked[2]).headers["etag"] == 'W/"1"'


def test_connections_that_are_cut_are_replaced(database):
    with ServerProcess(database.url) as server, httpx.Client(timeout=30) as client:
        client.put(f"{server.base}/Patient/kept", json=PATIENT)
        for _ in range(3):
            database.cut()
            wait_for(200, lambda: client.put(f"{server.base}/Patient/kept", json=PATIENT))
            wait_for(200, lambda: client.get(f"{server.base}/Patient/kept"))
