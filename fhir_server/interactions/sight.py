"""What a caller may see, as search expressions: one for each type, said once in capability/access.json.

The same expression narrows every search, count, chain and include, and decides a single read.
https://hl7.org/fhir/R4/security.html#accesscontrol
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

import orjson

from fhir_server.interactions.call import Context, Policy
from fhir_server.interactions.caller import Caller, Role
from fhir_server.interactions.code_sets import CodesOutOfView
from fhir_server.interactions.matching import settings
from fhir_server.search import expression as x
from fhir_server.search.compartments import compartment_expression, compartment_types
from fhir_server.search.criteria import NotUnderstood, Reading, criterion, find
from fhir_server.search.custom import Catalogue
from fhir_server.search.escaping import escape
from fhir_server.search.expression import Expression, Query
from fhir_server.search.parameters import by_number, parameter, referring_numbers
from fhir_server.search.settings import SearchSettings
from fhir_server.spec.json_format import parse_stored
from fhir_server.spec.published import folder
from fhir_server.store.contract import ReadTransaction

_NOBODY = x.Or(())
_MOST = 10
Who = tuple[Role, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
Json = dict[str, Any]


@cache
def access() -> dict[str, Any]:
    """capability/access.json: who sees what, and who may do what."""
    found: dict[str, Any] = orjson.loads((folder("capability") / "access.json").read_bytes())
    return found


@cache
def _hanging() -> Mapping[str, tuple[int, ...]]:
    """Type -> the numbers of its parameters that may refer to what everything hangs on."""
    found: dict[str, tuple[int, ...]] = {}
    for number in referring_numbers(access()["root"]):
        name = by_number(number).resource_type
        found[name] = (*found.get(name, ()), number)
    return found


class Sight:
    """The expressions of one role at some organisations, or of some patients; ids: what {name} stands for."""

    def __init__(self, role: Role, ids: Mapping[str, tuple[str, ...]], by: SearchSettings) -> None:
        self.role = role
        self.ids = ids
        self.settings = by
        self.view = cache(self._view)
        self.writable = cache(self._writable)
        self.allowed = cache(self._allowed)
        self.narrowed = lru_cache(maxsize=512)(self._narrowed)

    def _view(self, resource_type: str) -> Expression | None:
        """What holds of the resources of a type that are seen; None: of all of them."""
        if resource_type in access()["unlisted"]:
            return _NOBODY
        named = access()["see"][self.role].get(resource_type)
        own = None if named is None else self._read(named, resource_type)
        compartment = access()["compartment"].get(self.role)
        if own is None and compartment and resource_type in compartment_types(compartment):
            ids = self.ids[compartment.lower()]
            own = x.Or(
                tuple(
                    compartment_expression(compartment, item.partition("/")[2], resource_type)
                    for item in ids
                )
            )
        if resource_type == access()["root"]:
            return own
        about = self._about(resource_type)
        if not about:
            return own
        through = tuple(part for part, _ in about)
        if own is None:
            # What is about nothing of the kind is not for these rules to hide.
            own = x.Not(x.Or(tuple(part for _, part in about)))
        return _any((*through, own))

    def _about(self, resource_type: str) -> list[tuple[Expression, Expression]]:
        """(it is about a referral that is seen, it is about any), for each way to be so."""
        root = access()["root"]
        found = []
        numbers = _hanging().get(resource_type)
        if numbers:
            found.append((self._chain(numbers, root, hidden=False), _refers(numbers, root)))
        for code, targets in access()["hang"].get(resource_type, {}).items():
            item = parameter(resource_type, code)
            assert item is not None
            for target in targets:
                through = self._chain((item.number,), target, hidden=False)
                found.append((through, _refers((item.number,), target)))
        source, _, code = access()["named"].get(resource_type, "").partition(":")
        naming = self.settings.catalogue.find(source, code) if source else None
        if naming is not None:
            numbers = (naming.parameter.number,)
            seen = x.Has(source, numbers, self.view(source) or x.And(()))
            found.append((seen, x.Has(source, numbers, x.And(()))))
        return found

    def _chain(self, numbers: tuple[int, ...], target: str, *, hidden: bool) -> Expression:
        view = self.view(target) or x.And(())
        return x.Chain(numbers, target, x.Not(view) if hidden else view)

    def _writable(self, resource_type: str) -> Expression | None:
        """What holds of what may be written: it is seen, and all that it hangs on is."""
        if resource_type in access()["unlisted"]:
            return None
        view = self.view(resource_type)
        root = access()["root"]
        numbers = _hanging().get(resource_type)
        if numbers is None or view is None or resource_type == root:
            return view
        return x.And((view, x.Not(self._chain(numbers, root, hidden=True))))

    def _allowed(self, what: str, resource_type: str) -> Expression | None:
        """What access.json says under that name of the role and the type; None when it says nothing."""
        named = access()[what].get(self.role, {}).get(resource_type)
        return None if named is None else self._read(named, resource_type)

    def _read(self, node: Any, resource_type: str) -> Expression:
        try:
            return self._node(node, resource_type)
        except NotUnderstood:
            return _NOBODY

    def _node(self, node: Any, resource_type: str) -> Expression:
        """The expression of a node: a criterion, @term, or {any|all|not|has..of|follow..to}."""
        match node:
            case str() if node.startswith("@"):
                return self._node(access()["terms"][node[1:]], resource_type)
            case str():
                return self._criterion(node, resource_type)
            case {"any": parts}:
                # One that is not searched by yet leaves less to be seen, never more.
                return _any(self._read(part, resource_type) for part in parts)
            case {"all": parts}:
                return _all(self._node(part, resource_type) for part in parts)
            case {"not": part}:
                return x.Not(self._node(part, resource_type))
            case {"has": place, "of": part}:
                source, _, code = place.partition(":")
                item = parameter(source, code)
                assert item is not None
                return x.Has(source, (item.number,), self._node(part, source))
            case {"follow": place, "to": part}:
                code, _, target = place.partition(":")
                (item,) = find((resource_type,), code, self.settings)
                return x.Chain((item.number,), target, self._node(part, target))
        raise AssertionError(node)

    def _criterion(self, text: str, resource_type: str) -> Expression:
        name, _, value = text.partition("=")
        for place, ids in self.ids.items():
            mark = f"{{{place}}}"
            if mark in value:
                if not ids:
                    return _NOBODY
                value = value.replace(mark, ",".join(ids))
        reading = Reading(self.settings, self.settings.maximum_expressions)
        return criterion((resource_type,), name, value, reading)

    def _narrowed(self, resource_types: tuple[str, ...], where: Expression) -> Expression:
        """What holds of the matches that are seen, by means of what is seen."""
        where = self._within(where, resource_types)
        if len(resource_types) == 1:
            view = self.view(resource_types[0])
            return where if view is None else _all((where, view))
        parts = [where]
        for name in resource_types:
            view = self.view(name)
            if view is not None:
                parts.append(_any((x.Not(x.OfType((name,))), view)))
        return _all(parts)

    def _within(self, where: Expression, resource_types: tuple[str, ...]) -> Expression:
        """The expression with every resource that it goes through one that is seen."""
        match where:
            case x.And(parts):
                return x.And(tuple([self._within(part, resource_types) for part in parts]))
            case x.Or(parts):
                return x.Or(tuple([self._within(part, resource_types) for part in parts]))
            case x.Not(part):
                return x.Not(self._within(part, resource_types))
            case x.Chain(parameters, target, inner):
                return x.Chain(parameters, target, self._narrowed((target,), inner))
            case x.LogicalChain(parameters, target, identifiers, inner):
                inner = self._narrowed((target,), inner)
                return x.LogicalChain(parameters, target, identifiers, inner)
            case x.Has(source, parameters, inner):
                hangs = {*parameters} <= {*_hanging().get(source, ())}
                if hangs and resource_types == (access()["root"],):
                    # What hangs on a referral that is seen is seen.
                    return x.Has(source, parameters, self._within(inner, (source,)))
                return x.Has(source, parameters, self._narrowed((source,), inner))
        return where


def _all(parts: Iterable[Expression]) -> Expression:
    """All of them, flat."""
    found: list[Expression] = []
    for part in parts:
        found += part.parts if isinstance(part, x.And) else (part,)
    return found[0] if len(found) == 1 else x.And(tuple(found))


def _any(parts: Iterable[Expression]) -> Expression:
    """At least one of them; flat, as a database reads only so many conditions within conditions."""
    found: list[Expression] = []
    for part in parts:
        found += part.parts if isinstance(part, x.Or) else (part,)
    return found[0] if len(found) == 1 else x.Or(tuple(found))


def _refers(numbers: tuple[int, ...], target: str) -> Expression:
    return x.ReferenceMatch(numbers, (x.Target(target, ""),))


def sight(context: Context, transaction: ReadTransaction) -> Sight | None:
    """What the caller sees; None: everything. transaction: sees everything itself."""
    caller = context.caller
    if caller is None or caller.role == "system":
        return None
    return _sight(_who(caller, transaction), context.policy, context.catalogue())


def _who(caller: Caller, transaction: ReadTransaction) -> Who:
    """The role, and what the caller's organisation, or the patient, is referred to by."""
    organisations = _stored("Organization", caller.organisation, transaction)
    patients = _stored("Patient", caller.patient, transaction)
    identifiers = {
        f"{escape(item['system'])}|{escape(item['value'])}": None
        for resource in organisations.values()
        for item in resource.get("identifier", ())
        if item.get("system") and item.get("value")
    }
    return caller.role, tuple(organisations), tuple(identifiers), tuple(patients)


def _stored(resource_type: str, named: str, transaction: ReadTransaction) -> dict[str, Json]:
    """Reference -> resource, of what a caller is told to be; several may have one identifier."""
    if not named:
        return {}
    if named.startswith(f"{resource_type}/"):
        version = transaction.current(resource_type, named.partition("/")[2])
        found = [] if version is None or version.deleted else [version.body]
    else:
        system, _, value = named.rpartition("|")
        item = parameter(resource_type, "identifier")
        assert item is not None
        where = x.TokenMatch((item.number,), (x.Token(system or None, value),))
        query = Query((resource_type,), where, limit=_MOST)
        found = [hit.body for hit in transaction.page(query)]
    resources = [parse_stored(body) for body in found]
    return {f"{resource_type}/{item['id']}": item for item in resources}


@lru_cache(maxsize=256)
def _sight(whose: Who, policy: Policy, catalogue: Catalogue) -> Sight:
    role, organisations, identifiers, patients = whose
    context = Context(policy, lambda: 0, str, "strict", catalogue=lambda: catalogue)
    ids = {"organisation": organisations, "identifier": identifiers, "patient": patients}
    return Sight(role, ids, settings(context, CodesOutOfView()))
