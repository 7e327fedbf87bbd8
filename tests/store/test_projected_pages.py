"""Pages of a search that a projection answers, over several of its values (https://hl7.org/fhir/R4/http.html#paging)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from writing import current, put

from fhir_server.booking import facts
from fhir_server.interactions.call import Context, Policy
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.write import index
from fhir_server.search.expression import Query
from fhir_server.search.parameters import parameter
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.store.contract import Match, Recoded, Store, Transaction
from fhir_server.store.window import Referrers, Window

CONTEXT = Context(Policy(), lambda: 0, lambda: "new")
WEEK = "start=ge2026-03-02&start=lt2026-03-09"
# id, schedule, status, day: in the order in which they are written.
SLOTS = [
    (f"{schedule}{day}{status}", schedule, status, day)
    for day in (6, 3, 9, 4, 2)
    for schedule in ("c", "a", "b", "d")
    for status in ("free", "busy", "entered-in-error")
]


@pytest.fixture
def filled(store: Store) -> Store:
    def fill(transaction: Transaction) -> None:
        for logical_id, schedule, status, day in SLOTS:
            slot = {
                "resourceType": "Slot",
                "id": logical_id,
                "schedule": {"reference": f"Schedule/{schedule}"},
                "status": status,
                "start": f"2026-03-{day:02}T09:00:00Z",
                "end": f"2026-03-{day:02}T09:20:00Z",
            }
            put(transaction, f"Slot/{logical_id}", index(slot, CONTEXT))

    store.write(fill)
    return store


def query(schedules: str, statuses: str, sort: str) -> Query:
    named = ",".join(f"Schedule/{item}" for item in schedules)
    text = f"schedule={named}&status={statuses}&{WEEK}&_sort={sort}"
    return parse_search(("Slot",), parse_query(text), settings=SearchSettings()).query


def ids(page: list[Match]) -> list[str]:
    return [item.logical_id for item in page]


@pytest.mark.parametrize("sort", ["start", "-start"])
@pytest.mark.parametrize(
    ("schedules", "statuses"),
    [("ac", "free"), ("abcd", "free,busy"), ("abcd", "free,busy,entered-in-error")],
)
def test_pages_go_through_all_values_in_the_order_of_the_date(
    filled: Store, schedules: str, statuses: str, sort: str
) -> None:
    expected = [
        logical_id
        for logical_id, schedule, status, day in sorted(SLOTS, key=lambda item: item[3])
        if schedule in schedules and status in statuses.split(",") and day < 9
    ]
    if sort == "-start":
        expected.reverse()
    asked = query(schedules, statuses, sort)
    with filled.read() as view:
        assert ids(view.page(replace(asked, limit=100))) == expected
        pages = [view.page(replace(asked, limit=3))]
        while len(page := view.page(replace(asked, limit=3, after=pages[-1][-1].position))):
            pages.append(page)
        assert [item for page in pages for item in ids(page)] == expected
        for before, page in pairwise(pages):
            back = replace(asked, limit=3, after=page[0].position, backward=True)
            assert view.page(back) == before
        assert view.count(asked.resource_types, asked.where) == len(expected)


def number(code: str) -> int:
    found = parameter("Slot", code)
    assert found is not None
    return found.number


def window(schedules: str | None, low: str, high: str, limit: int = 10) -> Window:
    owners = None if schedules is None else ("Schedule", tuple(schedules))
    return Window(
        "Slot", number("start"), facts.moment(low), facts.moment(high), number("status"), "free",
        number("schedule"), owners, limit,
    )  # fmt: skip


@pytest.mark.parametrize("schedules", ["a", "ca", "x", None])
@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"),
        # Both ends on the second of a start, which lies within the one and begins with the other.
        ("2026-03-03T09:00:00.5Z", "2026-03-06T09:00:00Z"),
        ("2026-03-03T09:00:00.999999Z", "2026-03-06T09:00:00.001Z"),
        ("2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z"),
    ],
)
def test_a_window_is_the_same_as_the_search_that_it_stands_for(
    filled: Store, schedules: str | None, low: str, high: str
) -> None:
    wanted = window(schedules, low, high)
    with filled.read() as view:
        found, total = view.window(wanted)
        assert found == view.page(wanted.query())
        assert total == view.count(("Slot",), wanted.where())
        # One after the other, and beyond the last.
        after, paged = None, []
        while True:
            page, told = view.window(wanted._replace(limit=1, after=after))
            assert told == total
            if not page:
                break
            paged += page
            after = page[0].position
        assert paged[:10] == found
        assert len(paged) == total


def test_a_window_of_more_owners_than_a_statement_takes(filled: Store) -> None:
    wanted = window("ab", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z")
    many = tuple(f"no-{item}" for item in range(600))
    with filled.read() as view:
        found = view.window(wanted)
        assert found[1] == 8
        assert view.window(wanted._replace(owners=("Schedule", ("a", *many, "b")))) == found


def test_the_window_of_who_refers_is_the_same_in_one_step_as_in_two(filled: Store) -> None:
    actor, practitioner = (
        parameter("Schedule", "actor"),
        parameter("PractitionerRole", "practitioner"),
    )
    assert actor is not None
    assert practitioner is not None

    def fill(transaction: Transaction) -> None:
        for schedule, who in (
            ("a", "Practitioner/p"), ("b", "PractitionerRole/r"), ("c", "Practitioner/p"), ("d", "Practitioner/q"),
            ("none", "Practitioner/free"),
        ):  # fmt: skip
            made = {"resourceType": "Schedule", "id": schedule, "actor": [{"reference": who}]}
            put(transaction, f"Schedule/{schedule}", index(made, CONTEXT))
        role = {
            "resourceType": "PractitionerRole",
            "id": "r",
            "practitioner": {"reference": "Practitioner/p"},
        }
        put(transaction, "PractitionerRole/r", index(role, CONTEXT))
        # Of another type with the id of a schedule.
        stray = {
            "resourceType": "Slot",
            "id": "stray",
            "status": "free",
            "schedule": {"reference": "Group/a"},
        }
        stray |= {"start": "2026-03-03T08:00:00Z", "end": "2026-03-03T08:20:00Z"}
        put(transaction, "Slot/stray", index(stray, CONTEXT))

    filled.write(fill)
    through = ("PractitionerRole", practitioner.number)
    wanted = window("", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z", 3)
    both = (("Practitioner", "p"), ("PractitionerRole", "r"))
    with filled.read() as view:
        for targets, between, expected in (
            (("p",), through, "abc"), (("p",), None, "ac"), (("p", "q", "x"), through, "abcd"),
            (("free",), through, ""), (("nobody",), through, ""),
        ):  # fmt: skip
            by = Referrers(tuple(("Practitioner", item) for item in targets), actor.number, between)
            owners, page, total = view.owned_window(wanted, by, 10)
            assert owners == view.referrers(by, 10)
            assert total == 4 * len(expected)
            if expected:
                assert (page, total) == view.window(
                    wanted._replace(owners=("Schedule", tuple(expected)))
                )
                # From there to beyond the last.
                for position in (page[-1].position, (page[-1].position[0] + 8 * 86_400_000_000, 0)):
                    later = wanted._replace(after=position)
                    owned = later._replace(owners=("Schedule", tuple(expected)))
                    assert view.owned_window(later, by, 10) == (owners, *view.window(owned))
        assert (
            len(
                view.owned_window(
                    wanted, Referrers((("Practitioner", "p"),), actor.number, through), 1
                )[0]
            )
            == 1
        )
        assert view.owned_window(wanted, Referrers(both, actor.number), 10)[2] == 12


def test_another_code_moves_a_resource_in_every_projection_that_has_it(filled: Store) -> None:
    before = current(filled, "Slot/a4free")
    assert before is not None

    def recode(transaction: Transaction) -> None:
        transaction.put(
            resource_type="Slot", logical_id="a4free", previous=before, method="PUT", created=False,
            last_updated=max(before.last_updated, transaction.floor), body=b"{}",
            entries=Recoded(number("status"), "free", "busy"),
        )  # fmt: skip

    filled.write(recode)
    with filled.read() as view:
        for schedules in ("a", None):
            wanted = window(schedules, "2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z", 20)
            free, busy = view.window(wanted)[0], view.window(wanted._replace(code="busy"))[0]
            assert "a4free" not in ids(free)
            assert {"a4free", "a4busy"} <= set(ids(busy))
        found = ids(view.page(query("a", "busy", "start")))
        assert found[2:4] == ["a4free", "a4busy"]
        assert "a4free" not in ids(view.page(query("a", "free", "start")))
