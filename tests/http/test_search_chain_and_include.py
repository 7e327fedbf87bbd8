"""A chain and an _include of what it leads to: right, however often the same is asked, whatever changes in between.

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from uuid import uuid4

import pytest

DAY = "2031-03-03"


class Diary:
    """Schedules of a service of its own, with their slots."""

    def __init__(self, client):
        self.client = client
        self.service = f"HealthcareService/{uuid4()}"
        self.slots = 0
        self.put(self.service, {"active": True})

    def put(self, identity, resource):
        """The version that was stored."""
        resource_type, logical_id = identity.split("/")
        sent = {"resourceType": resource_type, "id": logical_id, **resource}
        answer = self.client.put(identity, json=sent)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def schedule(self, identity="", service="", **more):
        """A Schedule of the service, or of another one."""
        identity = identity or f"Schedule/{uuid4()}"
        self.put(identity, {"actor": [{"reference": service or self.service}], **more})
        return identity

    def slot(self, schedule, status="free"):
        """A Slot, later than those made before it."""
        self.slots += 1
        minute = f"{9 + self.slots // 60:02}:{self.slots % 60:02}"
        identity = f"Slot/{uuid4()}"
        times = {"start": f"{DAY}T{minute}:00Z", "end": f"{DAY}T{minute}:30Z"}
        self.put(identity, {"schedule": {"reference": schedule}, "status": status, **times})
        return identity

    def asked(self, include="Slot:schedule", **more):
        """The ids of the slots in their order, and of what is included, each with its version."""
        query = {
            "schedule.actor": self.service, "status": "free", "_sort": "start", "_include": include, **more,
            "start": [f"ge{DAY}", "lt2031-03-10"],
        }  # fmt: skip
        answer = self.client.get("Slot", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def identities(bundle, mode):
    """What is in a Bundle."""
    resources = [e["resource"] for e in bundle.get("entry", []) if e["search"]["mode"] == mode]
    return [f"{item['resourceType']}/{item['id']}" for item in resources]


def versions(bundle):
    """Included resource -> its version."""
    return {
        item["resource"]["id"]: item["resource"]["meta"]["versionId"]
        for item in bundle.get("entry", [])
        if item["search"]["mode"] == "include"
    }


@pytest.fixture
def diary(client):
    return Diary(client)


def test_the_same_search_asked_again_tells_the_same(diary):
    schedules = [diary.schedule(), diary.schedule()]
    slots = [diary.slot(schedules[number % 2]) for number in range(5)]
    for _ in range(3):
        found = diary.asked()
        assert identities(found, "match") == slots
        assert sorted(identities(found, "include")) == sorted(schedules)
        assert found["total"] == 5


def test_only_what_the_matches_shown_refer_to_is_included(diary):
    first, second = diary.schedule(), diary.schedule()
    slots = [diary.slot(first), diary.slot(first), diary.slot(second)]
    for _ in range(3):
        page = diary.asked(_count=2)
        assert (identities(page, "match"), identities(page, "include")) == (slots[:2], [first])
        following = next(item["url"] for item in page["link"] if item["relation"] == "next")
        rest = diary.client.get(following).json()
        assert (identities(rest, "match"), identities(rest, "include")) == (slots[2:], [second])


def test_a_schedule_that_comes_to_a_service_is_seen_by_a_search_asked_before(diary):
    slots = [diary.slot(diary.schedule())]
    assert identities(diary.asked(), "match") == slots
    slots.append(diary.slot(diary.schedule()))
    for _ in range(2):
        assert identities(diary.asked(), "match") == slots


def test_a_schedule_that_leaves_a_service_is_no_longer_seen(diary):
    stays, leaves = diary.schedule(), diary.schedule()
    slots = [diary.slot(stays), diary.slot(leaves)]
    assert identities(diary.asked(), "match") == slots
    diary.schedule(leaves, service=f"HealthcareService/{uuid4()}")
    for _ in range(2):
        found = diary.asked()
        assert (identities(found, "match"), identities(found, "include")) == (slots[:1], [stays])


def test_a_service_without_schedules_gets_one(diary):
    for _ in range(2):
        assert identities(diary.asked(), "match") == []
    slot = diary.slot(diary.schedule())
    for _ in range(2):
        assert identities(diary.asked(), "match") == [slot]


def test_a_schedule_that_changes_is_included_as_it_is_now(diary):
    schedule = diary.schedule()
    diary.slot(schedule)
    logical_id = schedule.partition("/")[2]
    for version in "12345":
        assert versions(diary.asked()) == {logical_id: version}
        diary.schedule(schedule, comment=f"version {version} is over")


def test_a_slot_that_is_taken_is_gone_at_once(diary):
    schedule = diary.schedule()
    slots = [diary.slot(schedule), diary.slot(schedule)]
    assert identities(diary.asked(), "match") == slots
    taken = diary.client.get(slots[0]).json() | {"status": "busy-unavailable"}
    assert diary.client.put(slots[0], json=taken).status_code == 200
    assert identities(diary.asked(), "match") == slots[1:]


def test_a_reference_that_names_a_version_includes_that_version(diary):
    schedule = diary.schedule()
    plain = diary.slot(schedule)
    assert identities(diary.asked(), "match") == [plain]
    versioned = diary.slot(f"{schedule}/_history/1")
    diary.schedule(schedule, comment="another version")
    for _ in range(3):
        found = diary.asked()
        assert identities(found, "match") == [plain, versioned]
        included = [item for item in found["entry"] if item["search"]["mode"] == "include"]
        told = sorted(item["resource"]["meta"]["versionId"] for item in included)
        # Each resource is included once: whichever was met first.
        assert told in (["1"], ["2"])
        assert [item for item in found["entry"] if item["search"]["mode"] == "outcome"]


def test_a_version_that_is_all_that_is_named_is_what_is_included(diary):
    schedule = diary.schedule()
    slot = diary.slot(f"{schedule}/_history/1")
    diary.schedule(schedule, comment="another version")
    for _ in range(3):
        found = diary.asked()
        assert identities(found, "match") == [slot]
        assert versions(found) == {schedule.partition("/")[2]: "1"}


@pytest.mark.parametrize("sort", ["start", "-start"])
def test_the_order_is_that_of_the_sort(diary, sort):
    schedules = [diary.schedule() for _ in range(3)]
    slots = [diary.slot(schedules[number % 3]) for number in range(7)]
    for _ in range(3):
        found = identities(diary.asked(_sort=sort), "match")
        assert found == (slots if sort == "start" else slots[::-1])


def test_includes_that_go_on_from_what_is_included_are_followed(diary):
    schedule = diary.schedule()
    diary.slot(schedule)
    for _ in range(2):
        found = diary.asked(include=["Slot:schedule", "Schedule:actor"])
        assert identities(found, "include") == [schedule]
        query = {
            "schedule.actor": diary.service, "status": "free", "_sort": "start", "start": f"ge{DAY}",
            "_include": "Slot:schedule", "_include:iterate": "Schedule:actor",
        }  # fmt: skip
        found = diary.client.get("Slot", params=query).json()
        assert sorted(identities(found, "include")) == sorted([schedule, diary.service])
