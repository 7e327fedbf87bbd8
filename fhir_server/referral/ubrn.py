"""The unique booking reference number: eleven digits drawn by chance and a check digit.

The check digit is that of ISO/IEC 7064 MOD 11,10: it finds every wrong digit and nearly every swap of neighbours, and
is itself a digit. Numbers that come from elsewhere are taken as they are, if they have twelve digits.
https://hl7.org/fhir/R4/datatypes.html#Identifier
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.referral import refusals
from fhir_server.referral.definitions import system
from fhir_server.referral.kinds import Kind, kind_of, ubrn_of
from fhir_server.search.expression import And, Query, Token, TokenMatch
from fhir_server.search.parameters import parameter
from fhir_server.spec.errors import unavailable
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
_DIGITS = re.compile(r"[0-9]{12}")
_DRAWS = 20


def check_digit(digits: str) -> str:
    """The digit that follows those (ISO/IEC 7064 MOD 11,10)."""
    rest = 10
    for digit in digits:
        rest = (rest + int(digit)) % 10 or 10
        rest = rest * 2 % 11
    return str((11 - rest) % 10)


def is_valid(number: str) -> bool:
    """Whether this server could have issued it."""
    return _DIGITS.fullmatch(number) is not None and check_digit(number[:-1]) == number[-1]


def with_number(
    resource: Json, before: Json | None, context: Context, transaction: Transaction
) -> Json:
    """The resource with its number: its own, the one that it had, or a new one; FhirError 422 for a wrong one."""
    sent = ubrn_of(resource)
    kept = ubrn_of(before) if before is not None else None
    if sent is None:
        number = kept or issue(context, transaction)
        item = {"use": "official", "system": system("ubrn"), "value": number}
        return resource | {"identifier": [item, *resource.get("identifier", ())]}
    if kept is not None and sent != kept:
        raise refusals.state_is_derived(
            f"The UBRN of a referral stays {kept}; leave it as it is", "ServiceRequest.identifier"
        )
    if _DIGITS.fullmatch(sent) is None:
        raise refusals.invalid_value(
            "A UBRN has twelve digits; leave it out, and the server issues one",
            "ServiceRequest.identifier",
        )
    return resource


def issue(context: Context, transaction: Transaction) -> str:
    """A number that no resource has; it stays this transaction's until its end."""
    for _ in range(_DRAWS):
        drawn = hashlib.blake2b(context.new_id().encode(), digest_size=8).digest()
        digits = f"{int.from_bytes(drawn, 'big') % 10**11:011d}"
        number = digits + check_digit(digits)
        # Whoever else draws it waits here until this one is stored, and then sees it.
        transaction.lock([("UBRN", number)])
        if not kinds_with(number, transaction):
            return number
    raise unavailable("No free UBRN was found; try again")


def kinds_with(number: str, transaction: ReadTransaction) -> set[Kind | None]:
    """The kinds of the resources that have the number: at most one of each."""
    identifier = parameter("ServiceRequest", "identifier")
    assert identifier is not None
    where = And((TokenMatch((identifier.number,), (Token(system("ubrn"), number),)),))
    hits = transaction.search(Query(("ServiceRequest",), where, limit=2))
    return {kind_of(parse_stored(hit.version.body)) for hit in hits}


def unique(resource: Json) -> tuple[tuple[str, str], ...]:
    """The number together with the kind: a request for advice and the referral made of it share one."""
    number = ubrn_of(resource)
    # What has a number is one of the two.
    return () if number is None else ((system("ubrn"), f"{number} {kind_of(resource)}"),)
