"""What a change does with a clock that cannot be trusted (https://hl7.org/fhir/R4/resource.html#Meta)."""

from __future__ import annotations

import itertools
import json

import pytest

from fhir_server.interactions.call import Conditions, Context, Delete, Policy, Update
from fhir_server.interactions.perform import execute
from fhir_server.store.memory import MemoryStore

SECOND = 1_000_000


@pytest.mark.rule(109, "resource#meta")
@pytest.mark.parametrize(
    "moments",
    [
        [10 * SECOND, 5 * SECOND, 0, 7 * SECOND],  # set back
        [10 * SECOND] * 4,  # standing still
        [10 * SECOND, 10 * SECOND + 1, 10 * SECOND + 2, 10 * SECOND + 999],  # within a millisecond
    ],
)
def test_last_updated_grows_with_every_version_whatever_the_clock_says(moments):
    clock = itertools.chain(moments, itertools.repeat(moments[-1]))
    context = Context(Policy(), lambda: next(clock), lambda: "new")
    store = MemoryStore()
    resource = {"resourceType": "Patient", "id": "a"}
    seen = []
    for number in range(4):
        change = (
            Delete("Patient", "a", Conditions())
            if number == 2
            else Update("Patient", "a", resource, Conditions())
        )
        result = execute(change, context, store)
        seen.append(result.last_updated)
        if result.body is not None:
            assert json.loads(result.body)["meta"]["versionId"] == str(number + 1)
    assert sorted(set(seen)) == seen
    milliseconds = {moment // 1000 for moment in seen}
    assert len(milliseconds) == len(seen), "as instants, to the millisecond, they differ too"
