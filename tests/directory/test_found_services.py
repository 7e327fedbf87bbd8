"""What $find-for-referral finds is what a plain look at every service finds, in that order, whatever is kept of them.

docs/referrals-directory.md
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_directory import OURS, SPECIALTY, WAIT, instant

from fhir_server.directory import search
from fhir_server.directory.find import FindForReferral
from fhir_server.interactions.call import Conditions, Context, Operation, Policy, Update
from fhir_server.interactions.perform import perform
from fhir_server.spec.json_format import parse
from fhir_server.store.open import open_store

Json = dict[str, Any]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ELIGIBILITY = f"{OURS}/StructureDefinition/service-eligibility"
HERE = (53.4, -2.0)
RADIUS = 6371.0088


class Country:
    """A store with Locations at known places, and services that are written again and again."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        ids = count(1)
        moment = int(NOW.timestamp() * 1_000_000)
        policy = Policy(cursor_key=b"k" * 32)
        self.context = Context(policy, lambda: moment, lambda: f"made-{next(ids)}")
        self.examples = count(1)
        self.places = {f"place-{number}": (50.5 + number, -2.0) for number in range(5)}
        for name, (latitude, longitude) in self.places.items():
            position = {"latitude": latitude, "longitude": longitude}
            self.put({"resourceType": "Location", "id": name, "position": position})
        self.put({"resourceType": "Location", "id": "nowhere"})

    def put(self, *resources: Json) -> None:
        def work(transaction: Any) -> None:
            for resource in resources:
                # As it comes over the wire: a decimal is not a float.
                read = parse(orjson.dumps(resource))
                call = Update(read["resourceType"], read["id"], read, Conditions())
                perform(call, self.context, transaction)

        self.store.write(work)

    def find(self, **asked: str) -> Iterator[Json]:
        """The matches, page after page."""
        named = {"count": "_count", "max_wait_days": "max-wait-days"}
        parameters = tuple((named.get(name, name), value) for name, value in asked.items())
        while parameters:
            call = Operation(
                "find-for-referral", "GET", "HealthcareService", None, tuple(parameters), None
            )
            with self.store.read() as transaction:
                answer = FindForReferral().answer(call, self.context, transaction)
            found = orjson.loads(answer.body)
            yield from (
                item for item in found.get("entry", ()) if item["search"]["mode"] == "match"
            )
            links = {item["relation"]: item["url"] for item in found["link"]}
            parameters = tuple(parse_qsl(urlsplit(links.get("next", "")).query))


@pytest.fixture
def country(new_database: Callable[[], str]) -> Iterator[Country]:
    made = Country(new_database())
    yield made
    made.store.close()


SERVICE = st.fixed_dictionaries(
    {
        "active": st.sampled_from([True, True, True, False]),
        "places": st.lists(
            st.sampled_from([*(f"place-{number}" for number in range(5)), "nowhere", "missing"]),
            max_size=2,
        ),
        "first": st.one_of(st.none(), st.integers(-3, 6)),
        "median": st.one_of(st.none(), st.integers(0, 6)),
        "ages": st.one_of(st.none(), st.tuples(st.integers(0, 60), st.integers(20, 90))),
    }
)  # fmt: skip
ASKED = st.fixed_dictionaries(
    {"sort": st.sampled_from(["wait", "distance"]), "count": st.sampled_from(["2", "5", "50"])},
    optional={
        "distance": st.sampled_from(["100", "250"]),
        "max_wait_days": st.sampled_from(["0", "2.5"]),
        "age": st.sampled_from(["10", "50"]),
    },
)


def resource(name: str, specialty: str, drawn: Json) -> Json:
    """As a HealthcareService; first and median are days."""
    shown: list[Json] = []
    if drawn["first"] is not None:
        start = instant(NOW + timedelta(days=drawn["first"]))
        shown.append({"url": "first-free-slot-routine", "valueInstant": start})
    if drawn["median"] is not None:
        shown.append({"url": "median-wait", "valueDecimal": drawn["median"]})
    made: Json = {
        "resourceType": "HealthcareService",
        "id": name,
        "active": drawn["active"],
        "specialty": [{"coding": [{"system": SPECIALTY, "code": specialty}]}],
        "location": [{"reference": f"Location/{item}"} for item in drawn["places"]],
        "extension": [{"url": WAIT, "extension": shown}],
    }
    if drawn["ages"] is not None:
        names = ("minimum-age", "maximum-age")
        limits = [
            {"url": url, "valueUnsignedInt": value}
            for url, value in zip(names, drawn["ages"], strict=True)
        ]
        made["eligibility"] = [{"extension": [{"url": ELIGIBILITY, "extension": limits}]}]
    return {name: value for name, value in made.items() if value != []}


def kilometres(latitude: float, longitude: float) -> float:
    """https://en.wikipedia.org/wiki/Haversine_formula"""
    one, other = math.radians(HERE[0]), math.radians(latitude)
    turn = math.radians(longitude - HERE[1])
    half = math.sin((one - other) / 2) ** 2
    half += math.cos(one) * math.cos(other) * math.sin(turn / 2) ** 2
    return 2 * RADIUS * math.asin(math.sqrt(half))


def plainly(
    services: dict[str, Json], asked: Json, places: dict[str, tuple[float, float]]
) -> list[str]:
    """The ids in their order."""
    found = []
    for name, drawn in services.items():
        at = [kilometres(*places[item]) for item in drawn["places"] if item in places]
        distance = min(at, default=None)
        wait = drawn["median"] if drawn["first"] is None else max(0, drawn["first"])
        value = distance if asked["sort"] == "distance" else wait
        ages = drawn["ages"]
        suits = (
            drawn["active"]
            and ("age" not in asked or ages is None or ages[0] <= int(asked["age"]) <= ages[1])
            and (
                "distance" not in asked
                or (distance is not None and distance <= float(asked["distance"]))
            )
            and (
                "max_wait_days" not in asked
                or (wait is not None and wait <= float(asked["max_wait_days"]))
            )
        )
        if suits:
            found.append((math.inf if value is None else round(value, 6), name))
    return [name for _, name in sorted(found)]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    drawn=st.lists(SERVICE, min_size=1, max_size=12),
    later=st.lists(SERVICE, max_size=4),
    asked=st.lists(ASKED, min_size=1, max_size=4),
    few=st.sampled_from([3, 300]),
)
def test_they_are_those_of_a_plain_look_before_and_after_they_are_written_again(
    country: Country, drawn: list[Json], later: list[Json], asked: list[Json], few: int
) -> None:
    specialty = f"s{next(country.examples)}"
    services: dict[str, Json] = {}
    for written in (drawn, later):
        fresh = {f"{specialty}-{number}": item for number, item in enumerate(written)}
        services |= fresh
        country.put(*(resource(name, specialty, item) for name, item in fresh.items()))
        with patch.object(search, "FEW", few):
            for each in asked:
                near = f"{HERE[0]}|{HERE[1]}"
                found = list(country.find(specialty=specialty, near=near, **each))
                ids = [item["resource"]["id"] for item in found]
                expected = plainly(services, each, country.places)
                if each["sort"] == "distance" and few == 3 and "distance" not in each:
                    # In rings, those without a place are told of, and not listed.
                    placed = {
                        name
                        for name, item in services.items()
                        if set(item["places"]) & set(country.places)
                    }
                    number = sum(item["active"] for item in services.values())
                    if number > few:
                        expected = [name for name in expected if name in placed]
                assert ids == expected
                shown = {
                    item["resource"]["id"]: item["resource"].get("extension") for item in found
                }
                for name, extension in shown.items():
                    assert extension == resource(name, specialty, services[name]).get("extension")
