"""$meta, $meta-add and $meta-delete: the profiles, tags and security labels of resources.

https://hl7.org/fhir/R4/resource-operation-meta.html
A change of them makes a version like every other change: the history tells who saw a resource with which labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.interactions.call import Context, Operation
from fhir_server.interactions.write import Write, check, refuse_subset, store, version_of
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.standard import Output
from fhir_server.search.expression import Table
from fhir_server.search.parameters import parameter
from fhir_server.spec import errors
from fhir_server.spec.definitions import resource_types
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]
# Meta's lists, with the search parameter and index table by which resources are found that have something in them.
_LISTS: tuple[tuple[str, str, Table], ...] = (
    ("profile", "_profile", "uri"),
    ("security", "_security", "token"),
    ("tag", "_tag", "token"),
)
_MOST = 1000


def meta(call: Operation, inputs: Inputs, context: Context, transaction: Transaction) -> Output:
    """The meta of a resource; of a type or the system every profile, label and tag that is in use there."""
    del inputs, context
    if call.resource_type is not None and call.logical_id is not None:
        version = _current(call, transaction)
        return Output(parse_stored(version.body)["meta"], version)
    types = resource_types() if call.resource_type is None else (call.resource_type,)
    found: Json = {}
    for name, code, table in _LISTS:
        numbers = [item.number for each in types if (item := parameter(each, code)) is not None]
        listed = _in_use(name, table, numbers, transaction)
        if listed:
            found[name] = listed
    return Output(found)


def _in_use(name: str, table: Table, numbers: list[int], transaction: ReadTransaction) -> list[Any]:
    """The different items of one of Meta's lists, read from one resource for each."""
    keys = transaction.examples(table, numbers, _MOST + 1)
    if len(keys) > _MOST:
        raise errors.too_costly(f"More than {_MOST} are in use; ask one type for its {name}")
    found: dict[object, Any] = {}
    for version in transaction.by_key(sorted(set(keys))).values():
        for item in parse_stored(version.body)["meta"].get(name, ()):
            found.setdefault(_identity(item), item)
    return [found[key] for key in sorted(found, key=repr)]


def meta_add(call: Operation, inputs: Inputs, context: Context, transaction: Transaction) -> Output:
    """The meta after what it lacked of the given profiles, labels and tags was added."""
    (given,) = inputs["meta"]

    def added(before: list[Any], name: str) -> list[Any]:
        known = {_identity(item) for item in before}
        fresh = {_identity(item): item for item in given.get(name, ())}
        return before + [item for key, item in fresh.items() if key not in known]

    return _change(call, added, context, transaction)


def meta_delete(
    call: Operation, inputs: Inputs, context: Context, transaction: Transaction
) -> Output:
    """The meta after the given profiles, labels and tags were taken out, those that it had."""
    (given,) = inputs["meta"]

    def kept(before: list[Any], name: str) -> list[Any]:
        gone = {_identity(item) for item in given.get(name, ())}
        return [item for item in before if _identity(item) not in gone]

    return _change(call, kept, context, transaction)


def _identity(item: Any) -> object:
    """What makes two of them the same: the canonical of a profile, system and code of a label or tag."""
    return (item.get("system", ""), item.get("code", "")) if isinstance(item, dict) else item


def _change(
    call: Operation,
    changed: Callable[[list[Any], str], list[Any]],
    context: Context,
    transaction: Transaction,
) -> Output:
    assert call.resource_type is not None
    assert call.logical_id is not None
    transaction.lock([(call.resource_type, call.logical_id)])
    version = _current(call, transaction)
    resource = parse_stored(version.body)
    before: Json = resource["meta"]
    after = _with_lists(
        before, ((name, changed(before.get(name, []), name)) for name, _, _ in _LISTS)
    )
    if after == before:
        return Output(before, version)
    resource["meta"] = after
    check(resource, call.resource_type, context)
    refuse_subset(resource)
    write = Write("PUT", call.resource_type, call.logical_id, version)
    stored = version_of(store(write, resource, context, transaction))
    return Output(parse_stored(stored.body)["meta"], stored)


def _with_lists(meta: Json, lists: Iterable[tuple[str, list[Any]]]) -> Json:
    after = dict(meta)
    for name, listed in lists:
        if listed == meta.get(name, []):
            continue
        # Extensions of single profiles stand in a list of their own, which would no longer be aligned.
        after.pop(f"_{name}", None)
        after[name] = listed
        if not listed:
            del after[name]
    return after


def _current(call: Operation, transaction: ReadTransaction) -> StoredVersion:
    assert call.resource_type is not None
    assert call.logical_id is not None
    version = transaction.current(call.resource_type, call.logical_id)
    if version is None:
        raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    if version.deleted:
        raise errors.gone(f"{call.resource_type}/{call.logical_id} was deleted")
    return version
