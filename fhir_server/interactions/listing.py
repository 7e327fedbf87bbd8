"""The whole result of a search, page after page, for formats that list resources without a Bundle.

Each page is a view of its own that goes on where the one before ended, so what is written meanwhile may or may not be
in it; what does not change is there once. https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fhir_server.interactions.call import Context, Search
from fhir_server.interactions.include import included, referred
from fhir_server.interactions.search import Place, understood
from fhir_server.interactions.seen import seen
from fhir_server.spec import errors
from fhir_server.store.contract import Found, Match, ReadTransaction

_PAGE = 500
# Includes bring several resources a match.
_PAGE_WITH_INCLUDES = 100
_MOST_INCLUDED = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some matches in their order, and what the includes add to them."""

    matches: list[Match]
    included: list[Found]

    @property
    def all(self) -> list[Found]:
        """Both."""
        return [*self.matches, *self.included]


class Listing:
    """A search that is under way; done: there are no more pages.

    maximum: the most matches; a search that has more is refused with its first page, before anything was told.
    """

    def __init__(
        self, call: Search, context: Context, maximum: int, transaction: ReadTransaction
    ) -> None:
        self._context = context
        self.asked, cursor = understood(call, context, transaction)
        self.done = False
        self._maximum = maximum
        self._listed = 0
        wanted = self.asked.wanted
        if wanted.count == 0:
            raise errors.invalid("A count has no lines; ask for it as JSON or XML")
        if wanted.explain:
            raise errors.invalid("An explanation has no lines; ask for it as JSON or XML")
        place = Place.read(cursor, self.asked.scope, context)
        if place.backward:
            raise errors.invalid("A list goes forward; ask for it without the page link")
        self._including = bool(wanted.includes or wanted.revincludes)
        self._size = _PAGE_WITH_INCLUDES if self._including else _PAGE
        limit = self._size + 1
        self._query = replace(
            wanted.query, where=self.asked.where, limit=limit, after=place.position, backward=False
        )

    def page(self, transaction: ReadTransaction) -> Page:
        """The next page; FhirError 403 when the search has more matches than the maximum."""
        transaction = seen(transaction, self._context)
        hits = transaction.page(self._query)
        page = hits[: self._size]
        self.done = len(hits) <= self._size
        if not self.done:
            if not self._listed:
                self._check(transaction.count(self.asked.types, self.asked.where))
            self._query = replace(self._query, after=page[-1].position)
        self._listed += len(page)
        self._check(self._listed)
        if not self._including or not page:
            return Page(page, [])
        wanted = self.asked.wanted
        made = referred(wanted.includes, page, transaction)
        return Page(page, included(wanted, page, made, _MOST_INCLUDED, transaction))

    def _check(self, matches: int) -> None:
        if matches > self._maximum:
            raise errors.too_costly(
                f"The search has {matches} matches; at most {self._maximum} are listed at once. Narrow it,"
                " for example by _lastUpdated, or follow the pages of its Bundle"
            )
