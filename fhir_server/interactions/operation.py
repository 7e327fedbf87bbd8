"""How an operation is offered and found (https://hl7.org/fhir/R4/operations.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, cast

from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context, Operation, Result

Level = Literal["system", "type", "instance"]


class Offered(Protocol):
    """One operation: what the CapabilityStatement says of it, and what it does."""

    @property
    def code(self) -> str:
        """Its name without the $."""

    @property
    def definition(self) -> str:
        """The canonical url of its OperationDefinition."""

    @property
    def levels(self) -> frozenset[Level]:
        """Where it can be invoked."""

    @property
    def resource_types(self) -> frozenset[str]:
        """The types that have it; empty: every type."""

    @property
    def affects_state(self) -> bool:
        """Whether it may change what is stored."""

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """The result; the transaction can be written to (it is a store Transaction) when affects_state is set."""


class Operations:
    """What a deployment offers, found by name. Two are the same only if they are one."""

    def __init__(self, offered: Iterable[Offered] = ()) -> None:
        self._listed = tuple(offered)

    def __iter__(self) -> Iterator[Offered]:
        return iter(self._listed)

    @cached_property
    def _by_code(self) -> dict[str, list[Offered]]:
        found: dict[str, list[Offered]] = {}
        for item in self._listed:
            found.setdefault(item.code, []).append(item)
        return found

    def named(self, code: str) -> Sequence[Offered]:
        """Those of that name."""
        return self._by_code.get(code, ())


@lru_cache(maxsize=1024)
def media_types(code: str, operations: Operations) -> tuple[str, ...]:
    """The media types beside FHIR's that operations of that name answer in; they tell them as media_types."""
    return tuple(
        [
            media_type
            for item in operations.named(code)
            for media_type in getattr(item, "media_types", ())
        ]
    )


def writable(transaction: ReadTransaction) -> Transaction:
    """The transaction of an operation that affects state."""
    return cast("Transaction", transaction)


def level(call: Operation) -> Level:
    """Where the operation was invoked."""
    if call.resource_type is None:
        return "system"
    return "type" if call.logical_id is None else "instance"


def offered(call: Operation, context: Context) -> Offered:
    """The operation that a call names.

    Raises FhirError 404 when there is none at that place, 405 when GET would change state.
    """
    item = _at(context.operations, call.code, level(call), call.resource_type)
    if item is not None:
        if item.affects_state and call.method != "POST":
            raise errors.method_not_allowed(f"${call.code} changes state; use POST", "POST")
        return item
    raise errors.not_supported(
        f"There is no operation ${call.code[:64]} at this place; the CapabilityStatement lists those offered",
        status=404,
    )


@lru_cache(maxsize=1024)
def _at(
    operations: Operations, code: str, where: Level, resource_type: str | None
) -> Offered | None:
    for item in operations.named(code):
        if where in item.levels and (
            not item.resource_types or resource_type in item.resource_types
        ):
            return item
    return None


def changed_by(call: Operation, context: Context) -> tuple[str, str] | None:
    """The (type, id) of the resource that an operation at the instance level may change, or None.

    Raises FhirError as offered does.
    """
    if offered(call, context).affects_state and call.resource_type and call.logical_id:
        return call.resource_type, call.logical_id
    return None


def is_brief(call: Operation, context: Context) -> bool:
    """Whether the operation says, always or of that call, that it takes no longer than most reads or writes."""
    brief = getattr(offered(call, context), "brief", False)
    return bool(brief(call) if callable(brief) else brief)
