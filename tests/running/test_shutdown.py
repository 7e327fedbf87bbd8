"""SIGTERM ends the server, but no request that it has begun."""

import signal
import time

import httpx
import pytest

from tests.running.raw import Connection
from tools.serving import ServerProcess

PATIENT = {"resourceType": "Patient", "id": "late", "name": [{"family": "Late"}]}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_running_request_is_finished_and_its_write_kept(new_database, workers):
    database = new_database()
    with ServerProcess(database, workers=workers) as server:
        assert server.process is not None
        with Connection(server.port) as connection, httpx.Client() as idle:
            idle.get(f"{server.base}/metadata?_summary=true")  # its connection stays open
            rest = connection.begin_create(PATIENT)
            server.process.send_signal(signal.SIGTERM)
            while _accepts(server.port):
                time.sleep(0.01)
            connection.send(rest)
            status, headers, _ = connection.answer()
        assert status == 201
        assert server.stop() == 0
        location = headers["location"].partition("/fhir/")[2]
    with ServerProcess(database) as server:
        assert httpx.get(f"{server.base}/{location}").json()["name"] == PATIENT["name"]


def _accepts(port):
    """Of several processes the first keeps the socket until the others have ended: nobody answers there."""
    url = f"http://127.0.0.1:{port}/fhir/metadata?_elements=status"
    try:
        httpx.get(url, headers={"Connection": "close"}, timeout=1, verify=False)
    except httpx.HTTPError:
        return False
    return True
