"""A client that asks too much is told when to go on (I29; RFC 6585 4)."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from fhir_server.http.rates import Rates
from fhir_server.spec.errors import FhirError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_sends_a_burst_and_then_as_many_as_its_rate() -> None:
    clock = Clock()
    rates = Rates(2.0, 3, clock)
    for _ in range(3):
        rates.check(b"a")
    with pytest.raises(FhirError) as refused:
        rates.check(b"a")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    rates.check(b"b")
    clock.now = 0.5
    rates.check(b"a")
    with pytest.raises(FhirError):
        rates.check(b"a")
    clock.now = 1000.0
    for _ in range(3):
        rates.check(b"a")
    with pytest.raises(FhirError):
        rates.check(b"a")


def test_retry_after_is_the_time_until_there_is_one_more() -> None:
    clock = Clock()
    rates = Rates(0.1, 1, clock)
    rates.check(b"a")
    clock.now = 3.0
    with pytest.raises(FhirError) as refused:
        rates.check(b"a")
    assert refused.value.headers["Retry-After"] == "7"


def test_clients_without_end_are_not_remembered_without_end() -> None:
    clock = Clock()
    rates = Rates(1.0, 1, clock)
    for number in range(10_000):
        rates.check(str(number).encode())
    clock.now = 0.5
    rates.check(b"one more")
    assert len(rates._left) == 1
    clock.now = 0.6
    for number in range(9_999):
        rates.check(str(number).encode())
    clock.now = 1.55
    rates.check(b"another")
    with pytest.raises(FhirError):
        rates.check(b"0")
    assert len(rates._left) == 10_000


def test_too_many_requests_are_429_for_that_client(serve: Callable[..., httpx.Client]) -> None:
    client = serve(maximum_rate="0.01", maximum_burst="3")
    header = "NHSD-End-User-Organisation"
    answers = [client.get("Patient", headers={header: "A"}) for _ in range(4)]
    assert [item.status_code for item in answers] == [200, 200, 200, 429]
    last = answers[-1]
    assert 0 < int(last.headers["Retry-After"]) <= 100
    (issue,) = last.json()["issue"]
    assert issue["code"] == "throttled"
    codes = [item["code"] for item in issue["details"]["coding"]]
    assert codes == ["REC_TOO_MANY_REQUESTS", "TOO_MANY_REQUESTS"]
    assert client.get("Patient", headers={header: "B"}).status_code == 200
    # Who waited for the server to be ready has asked once, without a name as well.
    assert [client.get("metadata").status_code for _ in range(3)] == [200, 200, 429]


def test_with_a_gateway_each_organisation_has_its_own(serve: Callable[..., httpx.Client]) -> None:
    client = serve(maximum_rate="0.01", maximum_burst="1", role_header="Role")
    organisation = "NHSD-End-User-Organisation-ODS"
    for name in ("A", "B"):
        told = {"Role": "referrer", organisation: name}
        assert client.get("Slot", headers=told).status_code == 200
        assert client.get("Slot", headers=told).status_code == 429
