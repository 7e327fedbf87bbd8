"""The searches of a transaction: a page, what is kept of its bodies, a count.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from fhir_server.search.expression import Expression, Query, SortKey, Table
from fhir_server.search.narrower import kept
from fhir_server.store import search_sql
from fhir_server.store.contract import Hit, Match
from fhir_server.store.driver import Driver
from fhir_server.store.links_sql import SqlLinks
from fhir_server.store.page_rows import owned_rows, page_rows, plain
from fhir_server.store.rows import Row
from fhir_server.store.schema import INDEX_COLUMNS
from fhir_server.store.search_chains import (
    NOBODY,
    Guess,
    answer_of,
    guessed,
    is_chained,
    resolved,
)
from fhir_server.store.search_plan import Plan, plan
from fhir_server.store.sql_parts import chunks, marks, stored

# The last column of a sorted page's row is the value that it is sorted by, the first the key.
_BY_VALUE = itemgetter(-1, 0)
T = TypeVar("T")
# Function -> number of a version -> what it made of its body; of so many versions, a nation's services.
Derived = dict[Callable[[bytes], Any], dict[int, Any]]
_KEPT = 65_536


class SqlPages(SqlLinks):
    """The part of a Transaction that searches.

    derived: what the store keeps of committed versions; None for one that writes.
    """

    def __init__(self, driver: Driver, derived: Derived | None) -> None:
        super().__init__(driver)
        self._derived = derived

    def search(self, query: Query) -> list[Hit]:
        """A page of matches."""
        found = self._found(query, search_sql.WHOLE)
        return [Hit(stored(row), (*row[8:], row[0])) for row in found]

    def page(
        self, query: Query, follow: frozenset[int] = NOBODY, *, last: bool = False
    ) -> list[Match]:
        """A page to be shown; when the chain of a search leads where it did last time, it is one question."""
        if not follow:
            return page_rows(self._found(query, search_sql.SHOWN))
        # A view that writes may see what is no longer so when it has written.
        if query.after is None and self._derived is not None:
            guess = guessed(query.where, follow)
            found = None if guess is None else self._as_guessed(query, follow, guess, last=last)
            if found is not None:
                return found
        planned = self._plan(query.resource_types, query.where, query.sort, follow)
        owner = search_sql.owner_told(query, planned, follow)
        rows = self._planned(query, planned, search_sql.SHOWN, owner)
        return page_rows(rows) if owner is None else owned_rows(rows) or page_rows(plain(rows))

    def _as_guessed(
        self, query: Query, follow: frozenset[int], guess: Guess, *, last: bool
    ) -> list[Match] | None:
        """None when the chain leads elsewhere now, or more than the page has to be asked."""
        planned = plan(query.resource_types, guess.where, query.sort, self._driver.fetch)
        owner = search_sql.owner_told(query, planned, follow)
        if owner is None:
            return None
        self._driver.alone = last
        statement = search_sql.with_question(
            query.sort, query.limit, planned, owner, guess.question
        )
        rows = self._driver.fetch(statement.text, statement.values)
        # No row of a page lacks the value that it is sorted by.
        met = [row for row in rows if row[7] is None]
        page = [row for row in rows if row[7] is not None]
        found = owned_rows(page) if answer_of(met) == guess.answer else None
        if found is None:
            # What comes next has to be of one view.
            self._driver.alone = False
            return None
        found.sort(key=_BY_VALUE, reverse=query.sort[0].descending)
        self._meet(met)
        return found

    def derived(self, query: Query, make: Callable[[bytes], T]) -> list[T]:
        """The bodies of those only of which nothing is kept."""
        if self._derived is None:
            # A version that is not committed may leave its number to another.
            return [make(item.body) for item in self.page(query)]
        kept = self._derived.setdefault(make, {})
        self._driver.alone = False
        planned = self._plan(query.resource_types, query.where, query.sort)
        statement = search_sql.numbers(query, planned)
        seqs = [row[0] for row in self._driver.fetch(statement.text, statement.values)]
        try:
            return [kept[seq] for seq in seqs]
        except KeyError:
            # Another thread may be clearing it.
            found = {seq: item for seq in seqs if (item := kept.get(seq)) is not None}
        missing = [seq for seq in seqs if seq not in found]
        for part in chunks(missing):
            text = f"SELECT v.seq, v.body FROM version v WHERE v.seq IN ({marks(part)})"
            found.update((seq, make(bytes(body))) for seq, body in self._driver.fetch(text, part))
        if len(kept) + len(missing) > _KEPT:
            kept.clear()
        kept.update((seq, found[seq]) for seq in missing)
        return [found[seq] for seq in seqs]

    def _found(self, query: Query, columns: str) -> list[Row]:
        """The rows of a page, in the query's order."""
        planned = self._plan(query.resource_types, query.where, query.sort)
        return self._planned(query, planned, columns)

    def _planned(
        self, query: Query, planned: Plan, columns: str, owner: int | None = None
    ) -> list[Row]:
        fetch = self._driver.fetch
        statements = search_sql.statements(query, planned, columns, owner)
        if len(statements) > 1:
            self._driver.alone = False
        found: list[Row] = []
        for statement in statements:
            found += fetch(statement.text, (*statement.values[:-1], query.limit - len(found)))
            if len(found) >= query.limit:
                break
        if search_sql.unordered(query, planned):
            found.sort(key=_BY_VALUE, reverse=query.sort[0].descending)
            return found
        return found[::-1] if query.backward else found

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches."""
        statement = search_sql.count(self._plan(resource_types, where, None))
        return int(self._driver.fetch(statement.text, statement.values)[0][0])

    def _plan(
        self,
        resource_types: tuple[str, ...],
        where: Expression,
        sort: tuple[SortKey, ...] | None,
        follow: frozenset[int] = NOBODY,
    ) -> Plan:
        fetch = self._driver.fetch
        if is_chained(where):
            # What they lead to is looked up first.
            self._driver.alone = False
            where, met = resolved(where, fetch, follow)
            if self._derived is not None:
                self._meet(met)
        return plan(resource_types, where, sort, fetch)

    def examples(self, table: Table, parameters: Sequence[int], limit: int) -> list[int]:
        """The keys of one resource for each different value."""
        value = ", ".join(item for item in INDEX_COLUMNS[table] if item != "key")
        numbers = kept(parameters)
        text = (
            f"SELECT MIN(key) FROM {table} WHERE parameter IN ({marks(numbers)})"
            f" GROUP BY {value} LIMIT ?"
        )
        return [row[0] for row in self._driver.fetch(text, (*numbers, limit))]
