"""A request that is sent again under its key gets the answer it got the first time, and has no second effect.

The key, the answer and what was done are committed together, so a crash between commit and answer changes nothing.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from fhir_server.interactions.call import Context, Result
from fhir_server.spec import errors
from fhir_server.store.contract import Transaction

KEPT_SECONDS = 24 * 3600


def once(work: Callable[[Context], Result], context: Context, transaction: Transaction) -> Result:
    """The result of the work, or that of the same request before.

    Raises FhirError 422 when the key was used for another request. A refusal is not kept: nothing came of it.
    """
    retry = context.retry
    plain = replace(context, retry=None)
    if retry is None:
        return work(plain)
    known = transaction.replies.begin(context.client, retry.key, retry.digest, context.now())
    if known is None:
        result = work(plain)
        transaction.replies.finish(context.client, retry.key, _write(result))
        return result
    if known.digest != retry.digest:
        raise errors.unprocessable(
            errors.Issue(
                "error",
                "business-rule",
                "This key was sent with another request before; send a new key with a new request",
            )
        )
    return _read(known.answer)


def _write(result: Result) -> bytes:
    return orjson.dumps(
        {
            "status": result.status,
            "body": None if result.body is None else result.body.decode(),
            "version_id": result.version_id,
            "last_updated": result.last_updated,
            "location": result.location,
            "etag": result.etag,
            "headers": dict(result.headers),
        }
    )


def _read(answer: bytes) -> Result:
    kept = orjson.loads(answer)
    body = kept.pop("body")
    return Result(body=None if body is None else body.encode(), **kept)
