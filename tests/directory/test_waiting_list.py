"""ServiceRequest/$waiting-list: the figures are those of the list, at every moment.

https://hl7.org/fhir/R4/measurereport.html
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import pytest
from service_directory import (
    FHIR,
    OURS,
    SPECIALTY,
    Directory,
    ids,
    instant,
    parameters,
    started,
    told,
)

PATH = "ServiceRequest/$waiting-list"
STOP = f"{OURS}/StructureDefinition/referral-clock-stop"
PAUSE = f"{OURS}/StructureDefinition/referral-clock-pause"


def waiting(directory: Directory, status: int = 200, **asked: object) -> dict:
    named = {name.replace("_", "-"): value for name, value in asked.items()}
    if "count" in named:
        named["_count"] = named.pop("count")
    answer = directory.client.get(PATH, params={"specialty": directory.specialty} | named)
    assert answer.status_code == status, answer.text
    return answer.json()


def report_of(bundle: dict) -> dict:
    (found,) = (
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "MeasureReport"
    )
    return found


def figures(bundle: dict) -> dict:
    """Figure -> (counts by population, score)."""
    return {
        group["code"]["coding"][0]["code"]: (
            {item["code"]["coding"][0]["code"]: item["count"] for item in group["population"]},
            group.get("measureScore", {}).get("value"),
        )
        for group in report_of(bundle)["group"]
    }


def weeks(directory: Directory, bundle: dict) -> list[float]:
    """The weeks waited of every referral on all pages."""
    found = []
    while True:
        found += [
            entry["search"]["extension"][0]["valueDecimal"]
            for entry in bundle["entry"]
            if entry["search"]["mode"] == "match"
        ]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return found
        bundle = directory.client.get(following[0]).json()


def check(directory: Directory, **asked: object) -> list[float]:
    """The figures are those of the list; the list."""
    bundle = waiting(directory, **asked)
    listed, shown = weeks(directory, bundle), figures(bundle)
    assert listed == sorted(listed, reverse=True)
    assert bundle["total"] == len(listed)
    for counts, _ in shown.values():
        assert counts["initial-population"] == len(listed)
    within = sum(item <= 18 for item in listed)
    assert shown["within-18-weeks"][0]["numerator"] == within
    assert shown["over-52-weeks"][0]["numerator"] == sum(item > 52 for item in listed)
    if len(listed) > 1:
        assert shown["within-18-weeks"][1] == pytest.approx(100 * within / len(listed), abs=0.06)
        assert shown["median-weeks"][1] == pytest.approx(statistics.median(listed), abs=0.11)
        expected = statistics.quantiles(listed, n=100, method="inclusive")[91]
        assert shown["percentile-92-weeks"][1] == pytest.approx(expected, abs=0.11)
    return listed


def ago(directory: Directory, weeks_ago: float) -> dict:
    return started(directory.now - timedelta(weeks=weeks_ago))


def test_figures_add_up_with_the_list_at_every_step(directory):
    assert check(directory) == []
    made = []
    for weeks_ago in (3, 17.5, 18.5, 30, 51.5, 52.5, 60):
        made.append(directory.referral(**ago(directory, weeks_ago)))
        assert len(check(directory, count=3)) == len(made)
    directory.put(made[0] | {"status": "completed"})
    assert len(check(directory)) == 6
    directory.put(made[1] | {"status": "revoked"})
    assert directory.client.delete(f"ServiceRequest/{made[2]['id']}").status_code == 204
    assert check(directory, count=2) == pytest.approx([60, 52.5, 51.5, 30], abs=0.06)


def test_the_clock_stops_and_pauses(directory):
    period = {
        "start": instant(directory.now - timedelta(weeks=10)),
        "end": instant(directory.now - timedelta(weeks=6)),
    }
    paused = ago(directory, 20)
    paused["extension"].append(
        {
            "url": PAUSE,
            "extension": [
                {"url": "period", "valuePeriod": period},
                {"url": "reason", "valueCodeableConcept": {"text": "Away"}},
            ],
        }
    )
    directory.referral(**paused)
    stopped = ago(directory, 20)
    stopped["extension"].append(
        {
            "url": STOP,
            "extension": [
                {"url": "instant", "valueInstant": instant(directory.now - timedelta(weeks=1))},
                {"url": "reason", "valueCodeableConcept": {"text": "Treated"}},
            ],
        }
    )
    directory.referral(**stopped)
    assert check(directory) == pytest.approx([16], abs=0.06)
    before = instant(directory.now - timedelta(weeks=2))
    # The versions are younger than that moment: nobody waited then, as far as was known.
    assert check(directory, as_of=before) == []


def test_an_organisations_list_is_that_of_its_services(directory):
    organisation = f"Organization/trust-{directory.number}"
    mine = directory.service(providedBy={"reference": organisation})
    other = directory.service(providedBy={"reference": "Organization/another"})
    wanted = directory.referral(mine, **ago(directory, 5))
    directory.referral(other, **ago(directory, 5))
    directory.referral(**ago(directory, 5))
    bundle = waiting(directory, organisation=organisation)
    assert ids(bundle) == [wanted["id"]]
    assert report_of(bundle)["reporter"] == {"reference": organisation}
    assert waiting(directory, organisation="nobody")["total"] == 0
    assert waiting(directory)["total"] == 3


def test_a_specialty_is_asked_for_with_or_without_its_system(directory):
    directory.referral(**ago(directory, 5))
    for specialty, number in (
        (directory.specialty, 1),
        (f"{SPECIALTY}|{directory.specialty}", 1),
        (f"https://example.org/other|{directory.specialty}", 0),
    ):
        assert waiting(directory, specialty=specialty)["total"] == number
    coding = {"system": SPECIALTY, "code": directory.specialty}
    asked = parameters(specialty=("valueCoding", coding))
    answer = directory.client.post(PATH, json=asked, headers=FHIR)
    assert answer.json()["total"] == 1


def test_the_past_is_answered_from_the_versions_of_then(directory):
    first = directory.referral(**ago(directory, 5))
    second = directory.referral(**ago(directory, 30))
    time.sleep(0.05)
    then = instant(datetime.now(UTC))
    time.sleep(0.05)
    directory.put(first | {"status": "completed"})
    assert directory.client.delete(f"ServiceRequest/{second['id']}").status_code == 204
    directory.referral(**ago(directory, 60))
    assert check(directory) == pytest.approx([60], abs=0.06)
    assert check(directory, as_of=then, count=1) == pytest.approx([30, 5], abs=0.06)
    bundle = waiting(directory, as_of=then)
    assert ids(bundle) == [second["id"], first["id"]]
    assert report_of(bundle)["period"] == {"start": then, "end": then}


def test_pages_stay_those_of_the_first_ones_moment(directory):
    made = [directory.referral(**ago(directory, number)) for number in range(1, 6)]
    bundle = waiting(directory, count=2)
    directory.put(made[0] | {"status": "revoked"})
    directory.referral(**ago(directory, 2.5))
    assert weeks(directory, bundle) == pytest.approx([5, 4, 3, 2, 1], abs=0.06)


def test_a_referral_that_does_not_tell_its_start_counts_from_when_it_was_written(directory):
    written = (directory.now - timedelta(weeks=9)).date().isoformat()
    directory.referral(authoredOn=written)
    directory.referral()
    bundle = waiting(directory)
    assert bundle["total"] == 1
    assert any("authoredOn" in item for item in told(bundle))
    assert any("are not counted" in item for item in told(bundle))


def test_the_report_is_valid_r4_and_comes_alone_for_count_0(directory):
    directory.referral(**ago(directory, 5))
    bundle = waiting(directory, count=0)
    assert bundle["total"] == 1
    assert ids(bundle) == []
    answer = directory.client.post("MeasureReport/$validate", json=report_of(bundle), headers=FHIR)
    assert {item["severity"] for item in answer.json()["issue"]} <= {"information"}
    answer = directory.client.post("Bundle/$validate", json=waiting(directory), headers=FHIR)
    assert {item["severity"] for item in answer.json()["issue"]} <= {"information", "warning"}


def test_a_moment_after_the_last_write_has_passed_too(directory):
    assert waiting(directory, as_of=instant(datetime.now(UTC)))["type"] == "searchset"


def test_a_moment_to_come_is_422(directory):
    tomorrow = instant(directory.now + timedelta(days=1))
    (issue,) = waiting(directory, 422, as_of=tomorrow)["issue"]
    assert "as-of" in issue["diagnostics"]


@pytest.mark.parametrize(
    "asked", [{"as_of": "yesterday"}, {"specialty": "a|b|c"}, {"count": -1}, {"colour": "blue"}]
)
def test_what_cannot_be_read_is_400(directory, asked):
    waiting(directory, 400, **asked)
