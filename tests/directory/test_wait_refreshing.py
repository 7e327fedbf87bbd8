"""What was written lately is looked at first, whatever else there is to do, and whatever the time of day does.

docs/referrals-directory.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from service_directory import WAIT, instant, value_of

from fhir_server.directory import following, refresh, wait_figures
from fhir_server.directory.refresh import REST_SECONDS, STEP_SECONDS, Refresher
from fhir_server.interactions.call import Conditions, Context, Policy, Update
from fhir_server.interactions.perform import perform
from fhir_server.interactions.write import Write
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import StoredVersion
from fhir_server.store.open import open_store


class Times:
    """The time of day, and a clock that runs on by itself."""

    def __init__(self) -> None:
        # A noon that has passed: no test crosses midnight by chance. Stores take their own time where it is later.
        today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        self.now = today - timedelta(days=1)
        self.seconds = 0.0
        self.each_look = 0.0

    def clock(self) -> float:
        self.seconds += self.each_look
        return self.seconds


class Practice:
    """A store with services and clinics, and refreshers of it."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        self.times = Times()
        ids = count(1)
        self.context = Context(
            Policy(),
            lambda: int(self.times.now.timestamp() * 1_000_000),
            lambda: f"made-{next(ids)}",
        )

    def put(self, resource: dict[str, Any]) -> None:
        call = Update(resource["resourceType"], resource["id"], resource, Conditions())
        self.store.write(lambda transaction: perform(call, self.context, transaction))

    def service(self, name: str) -> None:
        self.put({"resourceType": "HealthcareService", "id": name, "active": True})
        actor = [{"reference": f"HealthcareService/{name}"}]
        self.put({"resourceType": "Schedule", "id": name, "actor": actor})

    def slot(self, service: str, number: int, days: int = 3) -> None:
        start = self.times.now + timedelta(days=days, hours=number)
        self.put(
            {
                "resourceType": "Slot",
                "id": f"{service}-{number}",
                "schedule": {"reference": f"Schedule/{service}"},
                "status": "free",
                "start": instant(start),
                "end": instant(start + timedelta(minutes=20)),
            }
        )

    def refresher(self, together: int = 50) -> Refresher:
        return Refresher(self.store, self.context, clock=self.times.clock, together=together)

    def free(self, service: str) -> object:
        """How many free slots the service shows within seven days."""
        with self.store.read() as transaction:
            version = transaction.current("HealthcareService", service)
        assert version is not None
        for item in parse(version.body).get("extension", ()):
            if item["url"] == WAIT:
                return {each["url"]: value_of(each) for each in item["extension"]}[
                    "free-slots-7-days"
                ]
        return None

    def rest(self) -> None:
        self.times.seconds += REST_SECONDS


@pytest.fixture
def practice(new_database: Callable[[], str]) -> Iterator[Practice]:
    made = Practice(new_database())
    yield made
    made.store.close()


def test_what_was_written_goes_before_what_was_there_at_the_start(practice: Practice) -> None:
    practice.times.now -= timedelta(minutes=1)
    for number in range(30):
        practice.service(f"old-{number}")
    practice.times.now += timedelta(minutes=1)
    practice.service("new")
    refresher = practice.refresher(together=1)
    # A step has time for a look or two.
    practice.times.each_look = STEP_SECONDS / 8
    refresher.step()
    practice.slot("new", 1)
    # Some to read on, one to look.
    for _ in range(4):
        practice.rest()
        refresher.step()
    assert practice.free("new") == 1
    assert len(refresher.backlog) > 20


def test_a_clock_that_stands_or_goes_back_stops_nothing(practice: Practice) -> None:
    practice.service("s")
    refresher = practice.refresher()
    refresher.step()
    for number, back in enumerate((0, 3600), 1):
        practice.times.now -= timedelta(seconds=back)
        practice.slot("s", number)
        practice.rest()
        refresher.step()
        assert practice.free("s") == number


def test_at_midnight_one_process_computes_for_all(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.service("s")
    practice.slot("s", 1, days=8)
    first, second = practice.refresher(), practice.refresher()
    for refresher in (first, second):
        refresher.step()
    assert practice.free("s") == 0
    practice.times.now += timedelta(days=1)
    practice.rest()
    looked: list[str] = []
    figures = wait_figures.figures
    monkeypatch.setattr(
        wait_figures, "figures", lambda *given: looked.append("") or figures(*given)
    )
    assert (first.step(), len(looked)) == (1, 1)
    assert practice.free("s") == 1
    # The version that the first has written concerns no figure.
    assert (second.step(), len(looked)) == (0, 1)
    practice.times.now += timedelta(days=1)
    practice.rest()
    assert second.step() == 0
    assert len(looked) == 2


def test_a_midnight_that_comes_twice_is_seen_twice(practice: Practice) -> None:
    practice.service("s")
    practice.slot("s", 1, days=8)
    refresher = practice.refresher()
    for days, free in ((0, 0), (1, 1), (-1, 1), (1, 1)):
        practice.times.now += timedelta(days=days)
        practice.rest()
        refresher.step()
        assert practice.free("s") == free
        if days:
            assert refresher.due


def test_what_fails_is_tried_again(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    practice.service("s")
    refresher = practice.refresher()
    refresher.step()
    practice.slot("s", 1)
    practice.rest()

    def fail(*_: object) -> None:
        raise errors.invalid("Not now")

    with monkeypatch.context() as broken:
        broken.setattr(wait_figures, "figures", fail)
        assert refresher.step() == 0
    practice.rest()
    refresher.step()
    assert practice.free("s") == 1


def test_what_was_looked_at_is_not_looked_at_again_while_nothing_is_written(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.service("s")
    refresher = practice.refresher()
    practice.slot("s", 1)
    for _ in range(2):
        refresher.step()
        practice.rest()
    assert practice.free("s") == 1
    looked: list[str] = []
    figures = wait_figures.figures
    monkeypatch.setattr(
        wait_figures, "figures", lambda *given: looked.append("") or figures(*given)
    )
    for _ in range(3):
        refresher.step()
        practice.rest()
    assert looked == []


def test_what_was_there_at_the_start_is_not_read_as_written_since(practice: Practice) -> None:
    # Time stands still: all of it, before and after the start, has one moment where the store has one writer.
    for number in range(3):
        practice.service(f"s{number}")
        practice.slot(f"s{number}", 1)
    refresher = practice.refresher()
    refresher._follow(0)
    assert refresher.changed == {}
    practice.slot("s1", 2)
    refresher._follow(0)
    assert set(refresher.changed) == {"s1"}
    refresher.changed.clear()
    refresher._follow(0)
    assert refresher.changed == {}


def test_a_service_is_looked_at_once_for_what_was_written_in_one_span(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_PAGE", 2)
    practice.service("s")
    refresher = practice.refresher()
    refresher.step()
    practice.rest()
    for number in range(9):
        practice.slot("s", number)
    looked: list[str] = []
    figures = wait_figures.figures
    monkeypatch.setattr(
        wait_figures, "figures", lambda *given: looked.append("") or figures(*given)
    )

    def read_and_look(pages: int) -> None:
        for _ in range(pages):
            refresher._follow(until=-1)
            if refresher.changed:
                refresher._look(dict.fromkeys(refresher.changed))

    read_and_look(12)
    assert (practice.free("s"), looked) == (9, [""])
    # A write that comes after it is another matter.
    practice.slot("s", 10)
    read_and_look(6)
    assert (practice.free("s"), looked) == (10, ["", ""])


def test_a_service_without_slots_shows_that_none_is_free(practice: Practice) -> None:
    practice.service("s")
    practice.refresher().step()
    assert practice.free("s") == 0


def test_a_service_that_a_later_profile_refuses_does_not_keep_others_from_their_figures(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        practice.service(name)
        practice.slot(name, 1)
    append = refresh.append

    def refusing(write: Write, *given: Any) -> StoredVersion:
        if write.logical_id == "b":
            raise errors.unprocessable(Issue("error", "invariant", "Not as it is"))
        return append(write, *given)

    monkeypatch.setattr(refresh, "append", refusing)
    refresher = practice.refresher()
    assert refresher.step() == 2
    assert [practice.free(name) for name in ("a", "b", "c")] == [1, None, 1]
    assert not refresher.backlog


def test_a_service_that_is_written_meanwhile_is_looked_at_again_and_others_are_not(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        practice.service(name)
    refresher = practice.refresher()
    figures = wait_figures.figures

    def overtaken(*given: Any) -> object:
        found = figures(*given)
        practice.put({"resourceType": "HealthcareService", "id": "a", "name": "Meanwhile"})
        return found

    with monkeypatch.context() as racing:
        racing.setattr(wait_figures, "figures", overtaken)
        assert refresher.step() == 1
    assert (practice.free("a"), practice.free("b")) == (None, 0)
    assert set(refresher.backlog) == {"a"}
    practice.rest()
    refresher.step()
    assert practice.free("a") == 0
