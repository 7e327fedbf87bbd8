"""What resources refer to, and who refers to them (https://hl7.org/fhir/R4/references.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from fhir_server.search.narrower import answered
from fhir_server.store.contract import Found, Link, Match, Reference, StoredVersion
from fhir_server.store.driver import Driver, Identity
from fhir_server.store.page_rows import Target, owners, page_row
from fhir_server.store.rows import Row, type_names, type_numbers
from fhir_server.store.search_leaves import numbered
from fhir_server.store.sql_parts import COLUMNS, LIVE, by_type, chunks, marks, stored
from fhir_server.store.window import Referrers

# So few ids are asked for at once, whatever their types: for more there would be too many questions to keep prepared.
_TOGETHER = 8


@lru_cache(maxsize=1024)
def _referred(keys: int, parameters: int, types: int) -> str:
    """The question what so many resources refer to."""
    return (
        f"SELECT f.parameter, f.target_type, f.target_id, f.version, {COLUMNS}"
        " FROM (SELECT DISTINCT parameter, target_type, target_id, version FROM reference"
        f" WHERE key IN ({marks(range(keys))}) AND parameter IN ({marks(range(parameters))})"
        f" AND target_type {f'IN ({marks(range(types))})' if types else '> 0'}) f"
        " LEFT JOIN resource r ON f.version = '' AND r.type = f.target_type"
        " AND r.logical_id = f.target_id AND r.deleted = 0 LEFT JOIN version v ON v.seq = r.seq"
    )


@lru_cache(maxsize=1024)
def _current(ids: tuple[int, ...]) -> str:
    """The question for the current versions of so many ids each of several types."""
    return " UNION ALL ".join(
        f"{LIVE} AND r.type = ? AND r.logical_id IN ({marks(range(count))})" for count in ids
    )


def referrers_question(by: Referrers) -> tuple[str, list[int | str]]:
    """The question who refers to targets of one type, or to what does, and its values; last comes the limit."""
    ids = [logical_id for _, logical_id in by.targets]
    number = type_numbers().get(by.targets[0][0], -1)
    values: list[int | str] = [*ids, number]
    if by.through is None:
        return _referrers(len(ids), by.parameter, None), values
    kind = type_numbers()[by.through[0]]
    values += [kind, *ids, number, kind]
    return _referrers(len(ids), by.parameter, by.through[1]), values


def referrers_found(rows: Iterable[Row]) -> list[Match]:
    """What the question finds."""
    names = type_names()
    return [Match(row[0], names[row[1]], row[2], row[3], (row[0],)) for row in rows]


@lru_cache(maxsize=256)
def _referrers(targets: int, parameter: int, between: int | None) -> str:
    named = f"target_id IN ({marks(range(targets))}) AND target_type = ?"
    by = numbered("parameter", (parameter,)).text
    keys = f"SELECT key FROM reference WHERE {by} AND {named}"
    if between is not None:
        others = (
            f"SELECT key FROM reference WHERE {numbered('parameter', (between,)).text} AND {named}"
        )
        # As a list of ids, so that no planner begins with all that have the parameter.
        keys += (
            f" UNION ALL SELECT key FROM reference WHERE {by} AND target_type = ? AND target_id IN"
            f" (SELECT w.logical_id FROM resource w WHERE w.key IN ({others}) AND +w.type = ?)"
        )
    return (
        "SELECT v.key, v.type, v.logical_id, v.body FROM resource r JOIN version v ON v.seq = r.seq"
        f" WHERE r.key IN ({keys}) ORDER BY r.key LIMIT ?"
    )


class SqlLinks:
    """The part of a Transaction that follows references."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        # What the last search of this view has met on its way (key, type's number, id, body) and may be asked for next.
        self.met: dict[Target, Row] = {}
        # What this transaction itself has put, or knows that it is not there.
        self.own: dict[Identity, StoredVersion | None] = {}

    def _meet(self, rows: Iterable[Row]) -> None:
        self.met = {(row[1], row[2]): row for row in rows}

    def links_from(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Link]:
        """The references that those resources make."""
        found, asked = [], answered(tuple(parameters))
        for part in chunks(keys):
            text = (
                "SELECT key, parameter, target_type, target_id, version FROM reference"
                f" WHERE key IN ({marks(part)}) AND parameter IN ({marks(asked)}) AND target_type > 0"
            )
            found += self._driver.fetch(text, (*part, *asked))
        return [
            Link(row[0], number, type_names()[row[2]], row[3], row[4])
            for row in found
            for number in asked[row[1]]
        ]

    def references(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Reference]:
        """What those resources refer to, each once."""
        names, found, asked = type_names(), set(), answered(tuple(parameters))
        for part in chunks(keys):
            text = (
                "SELECT DISTINCT parameter, target_type, target_id, version FROM reference"
                f" WHERE key IN ({marks(part)}) AND parameter IN ({marks(asked)}) AND target_type > 0"
            )
            found.update(self._driver.fetch(text, (*part, *asked)))
        made = {
            Reference(number, names[row[1]], row[2], row[3])
            for row in found
            for number in asked[row[0]]
        }
        return list(made)

    def referred(
        self,
        resources: Sequence[Found],
        parameters: Sequence[int],
        types: Sequence[str] = (),
    ) -> dict[Reference, Found | None]:
        """What those resources refer to, with its current version."""
        targets = owners(resources, parameters[0]) if len(parameters) == 1 else None
        if targets is not None:
            return self._there(targets, parameters[0], types)
        names, numbers = type_names(), [type_numbers()[name] for name in types]
        asked = answered(tuple(parameters))
        found: dict[Reference, Found | None] = {}
        for part in chunks([item.key for item in resources]):
            text = _referred(len(part), len(asked), len(numbers))
            for row in self._driver.fetch(text, (*part, *asked, *numbers)):
                there = None if row[4] is None else stored(row[4:])
                for number in asked[row[0]]:
                    found[Reference(number, names[row[1]], row[2], row[3])] = there
        return found

    def _there(
        self, targets: Iterable[Target], parameter: int, types: Sequence[str]
    ) -> dict[Reference, Found | None]:
        """The same when the targets are known."""
        names = type_names()
        found: dict[Reference, Found | None] = {}
        missing = []
        for target in targets:
            name = names[target[0]]
            if types and name not in types:
                continue
            met = self.met.get(target)
            if met is None:
                missing.append((name, target[1]))
            else:
                found[Reference(parameter, name, target[1], "")] = page_row(met)
        if missing:
            there = self.many(missing)
            for name, logical_id in missing:
                found[Reference(parameter, name, logical_id, "")] = there.get((name, logical_id))
        return found

    def many(self, identities: Sequence[Identity]) -> dict[Identity, StoredVersion]:
        """The current, not deleted versions of those."""
        found: dict[Identity, StoredVersion] = {}
        asked = []
        for identity in identities:
            if identity not in self.own:
                asked.append(identity)
            elif (version := self.own[identity]) is not None and not version.deleted:
                found[identity] = version
        if not asked:
            return found
        listed = by_type(asked)
        if len(asked) <= _TOGETHER:
            self._find(listed, found)
            return found
        for name, ids in listed.items():
            for part in chunks(ids):
                self._find({name: part}, found)
        return found

    def _find(
        self, listed: Mapping[str, Sequence[str]], found: dict[Identity, StoredVersion]
    ) -> None:
        """Ask one question for ids by their types, and add what there is."""
        numbers = type_numbers()
        values: list[int | str] = []
        for name, ids in listed.items():
            values.append(numbers[name])
            values += ids
        text = _current(tuple(map(len, listed.values())))
        for row in self._driver.look(text, values):
            version = stored(row)
            found[version.resource_type, version.logical_id] = version

    def links_to(
        self, targets: Sequence[Identity], parameters: Sequence[int], limit: int
    ) -> list[Link]:
        """References to those resources, in the order of the resources that make them."""
        found: list[Link] = []
        asked = answered(tuple(parameters))
        for resource_type, ids in by_type(targets).items():
            for part in chunks(ids):
                text = (
                    "SELECT key, parameter, target_type, target_id, version FROM reference"
                    f" WHERE parameter IN ({marks(asked)}) AND target_id IN ({marks(part)})"
                    " AND target_type = ? ORDER BY key, parameter LIMIT ?"
                )
                kind = type_numbers()[resource_type]
                found += [
                    Link(row[0], number, resource_type, row[3], row[4])
                    for row in self._driver.fetch(text, (*asked, *part, kind, limit))
                    for number in asked[row[1]]
                ]
        return sorted(found)[:limit]

    def referrers(self, by: Referrers, limit: int) -> list[Match]:
        """Who refers to those, or to what does, in the order of their keys."""
        found: set[Row] = set()
        for resource_type, ids in by_type(by.targets).items():
            for part in chunks(ids):
                some = by._replace(targets=tuple([(resource_type, item) for item in part]))
                text, values = referrers_question(some)
                found.update(self._driver.fetch(text, (*values, limit)))
        return referrers_found(sorted(found)[:limit])
