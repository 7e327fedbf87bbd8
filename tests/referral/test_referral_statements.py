"""An act on a referral that fails at any statement leaves the store as it was (http.html#transactional-integrity)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from referral_acts import ACTS, Act, Direct
from referral_desk import UBRN, Desk, refused

from fhir_server.store.postgresql import PostgresqlDriver
from fhir_server.store.sqlite_driver import SqliteDriver

DRIVERS = (SqliteDriver, PostgresqlDriver)
CHANGES = ("change", "change_many", "add_rows", "add_later", "remove_rows", "flush")


class Broken(Exception):
    """The statement that fails."""


class Fuse:
    """Lets so many statements that change something pass, then none: a store that tries again fails again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.blown = False
        for driver in DRIVERS:
            for name in CHANGES:
                monkeypatch.setattr(driver, name, self._counted(getattr(driver, name)))

    def _counted(self, method):
        def counted(driver, *given):
            if self.left == 0:
                self.blown = True
                raise Broken
            if self.left is not None:
                self.left -= 1
            return method(driver, *given)

        return counted


@pytest.fixture
def direct(new_database: Callable[[], str]) -> Iterator[Direct]:
    made = Direct(new_database())
    yield made
    made.store.close()


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_an_act_happens_or_does_not(
    direct: Direct, monkeypatch: pytest.MonkeyPatch, act: Callable[[Desk], Act]
) -> None:
    fuse = Fuse(monkeypatch)
    run = act(Desk(direct))
    before = direct.everything()
    broken = 0
    while True:
        fuse.left, fuse.blown = broken, False
        try:
            answer = run()
        except Broken:
            fuse.left = None
            assert direct.everything() == before
            broken += 1
            continue
        finally:
            fuse.left = None
        assert not fuse.blown, "the failure was swallowed"
        break
    assert answer.status_code in (200, 201), answer.text
    assert broken > 3
    assert direct.everything() != before
    assert direct.faults() == []


def test_what_a_referral_names_is_asked_for_at_once(
    direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(direct)
    sent = desk.referral_to(desk.service(), desk.service())
    closed = desk.referral_to(desk.service(), desk.service(active=False))
    asked: list[str] = []
    # PostgreSQL's fetch looks, too.
    for driver, names in ((SqliteDriver, ("fetch", "look")), (PostgresqlDriver, ("look",))):
        for name in names:
            monkeypatch.setattr(driver, name, _noted(getattr(driver, name), asked))
    sent["identifier"] = [{"system": UBRN, "value": "123456789012"}]
    assert desk.post(sent).status_code == 201
    assert len([text for text in asked if "FROM resource" in text]) == 1
    refused(desk.post(closed), 422, "business-rule", "SERVICE_UNAVAILABLE", "performer[1]")


def _noted(fetch, asked):
    def noted(driver, text, values):
        asked.append(text)
        return fetch(driver, text, values)

    return noted
