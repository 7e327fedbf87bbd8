"""The two forms of the rules agree: the fast path says yes exactly when the walker finds no error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
import random_resources
import uk_resources
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.spec import definitions
from fhir_server.validation.fast import FastPath
from fhir_server.validation.issues import refused
from fhir_server.validation.walker import walk

FAST = FastPath()


def agree(value: Any) -> bool:
    errors = [issue for issue in walk(value) if refused(issue)]
    accepted = FAST.faultless(value)
    assert accepted == (not errors), (value, errors)
    return accepted


@pytest.mark.parametrize("resource", uk_resources.FAULTLESS, ids=lambda item: item["resourceType"])
def test_faultless_resources_pass_both_forms(resource: Any) -> None:
    assert agree(resource)


@pytest.mark.parametrize("resource_type", definitions.resource_types())
def test_generated_resources_get_one_answer_from_both_forms(resource_type: str) -> None:
    random = Random(resource_type)
    for _ in range(6):
        resource = random_resources.resource(resource_type, random)
        agree(resource)
        for _ in range(6):
            agree(random_resources.damage(resource, random))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_damaged_examples_get_one_answer_from_both_forms(seed: int) -> None:
    random = Random(seed)
    resource = random_resources.damage(random.choice(uk_resources.FAULTLESS), random)
    for _ in range(random.randrange(3)):
        resource = random_resources.damage(resource, random)
    agree(resource)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text() | st.sampled_from(["resourceType", "id"]), inner)
        ),
    )
)
def test_any_json_value_gets_one_answer_from_both_forms(value: Any) -> None:
    agree(value)


def test_first_uses_in_many_threads_give_the_same_answers() -> None:
    for _ in range(5):
        fresh = FastPath()
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(fresh.faultless, [*uk_resources.FAULTLESS] * 8))
