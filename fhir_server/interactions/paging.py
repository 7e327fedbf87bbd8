"""Paging by an opaque signed cursor: the position after which the next page starts.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import orjson

from fhir_server.spec import errors

CURSOR = "_cursor"
_MAC = 12
_PLAIN_NAME = re.compile(r"[A-Za-z0-9:._$-]*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9:._$,|/-]*")


def _mac(key: bytes, payload: bytes, scope: str) -> bytes:
    signed = _hasher(key, _MAC, b"cursor").copy()
    signed.update(payload + b"\n" + scope.encode())
    return signed.digest()


@lru_cache(maxsize=16)
def _hasher(key: bytes, size: int, person: bytes) -> hashlib.blake2b:
    """To be copied: taking in the key costs more than most texts."""
    return hashlib.blake2b(key=key, digest_size=size, person=person)


def _hidden(payload: bytes, mac: bytes, key: bytes) -> bytes:
    """The payload under a stream that only the key can make: a position may hold a name or a date of birth."""
    stream, size = b"", len(payload)
    while len(stream) < size:
        block = _hasher(key, 64, b"stream").copy()
        block.update(mac + len(stream).to_bytes(4, "big"))
        stream += block.digest()
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stream[:size], "big")
    return masked.to_bytes(size, "big")


def write_cursor(position: tuple[Any, ...], scope: str, key: bytes) -> str:
    """A cursor that is good for one scope only: the search or history that it pages through."""
    payload = orjson.dumps(position)
    mac = _mac(key, payload, scope)
    return base64.urlsafe_b64encode(mac + _hidden(payload, mac, key)).decode().rstrip("=")


def read_cursor(text: str, scope: str, key: bytes) -> tuple[Any, ...]:
    """The position of a cursor; FhirError 400 when it was changed, or made for another search."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused() from None
    mac = raw[:_MAC]
    payload = _hidden(raw[_MAC:], mac, key)
    if not hmac.compare_digest(mac, _mac(key, payload, scope)):
        raise _refused()
    return tuple(orjson.loads(payload))


def _refused() -> errors.FhirError:
    return errors.invalid(
        "The page link is not one that this server gave for this search; start again"
    )


def write_query(parameters: Iterable[tuple[str, str]]) -> str:
    """A query string; the characters that FHIR values are made of stay readable."""
    return "&".join([_quoted(name, value) for name, value in parameters])


@lru_cache(maxsize=4096)
def _quoted(name: str, value: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and _PLAIN_VALUE.fullmatch(value):
        return f"{name}={value}"
    return f"{quote_plus(name, safe=':._-$')}={quote_plus(value, safe=':/,|._-$')}"


def take_cursor(
    parameters: tuple[tuple[str, str], ...],
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The parameters without the cursor, and the cursor."""
    found = [value for name, value in parameters if name == CURSOR]
    if not found:
        return parameters, None
    if len(found) > 1:
        raise errors.invalid(f"{CURSOR} is there twice; follow the link as it was given")
    return tuple([item for item in parameters if item[0] != CURSOR]), found[0]
