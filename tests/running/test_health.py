"""Health, readiness and metrics, beside the FHIR base."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

import httpx
import pytest

from tools.serving import ServerProcess


def beside(client, path):
    """A URL of the server outside of its FHIR base."""
    return urljoin(str(client.base_url), path)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_server_that_runs_is_alive_and_ready(client, path):
    answer = client.get(beside(client, path))
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_first_who_ask_beside_the_base_are_all_answered(new_database):
    server = ServerProcess(new_database())
    server.start()
    try:
        server.wait_until_ready()
        paths = ["/health/live", "/health/ready", "/", "/metrics"] * 2
        with ThreadPoolExecutor(len(paths)) as threads:
            answers = list(threads.map(httpx.get, [urljoin(server.base, path) for path in paths]))
    finally:
        server.stop()
    assert [answer.status_code for answer in answers] == [200] * len(paths)


def counted(client):
    """Requests by (interaction, status), as /metrics tells."""
    text = client.get(beside(client, "/metrics")).text
    found = re.findall(r'fhir_requests_total\{interaction="(\w+)",status="(\d+)"\} (\S+)', text)
    return {(interaction, status): float(number) for interaction, status, number in found}


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_count_every_request_of_every_worker(serve, workers):
    client = serve(workers=workers)
    before = counted(client)

    def requests(_):
        # A connection of its own each time, so that every worker gets some.
        headers = {"Connection": "close"}
        client.get("Patient/nobody", headers=headers)
        client.post("Patient", json={"resourceType": "Patient"}, headers=headers)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(requests, range(20)))
    for _ in range(5):  # whichever worker answers
        after = counted(client)
        assert after["Read", "404"] - before.get(("Read", "404"), 0) == 20
        assert after["Create", "201"] - before.get(("Create", "201"), 0) == 20


def test_metrics_tell_how_long_requests_took_and_what_the_process_uses_and_no_resource(client):
    client.put("Patient/marker-id", json={"resourceType": "Patient", "id": "marker-id"})
    client.get("Patient?name=marker-name")
    client.get("marker-type/1")
    answer = client.get(beside(client, "/metrics"))
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'fhir_request_seconds_bucket{interaction="Update",le="+Inf"}' in answer.text
    assert "process_resident_memory_bytes" in answer.text
    assert "marker" not in answer.text
