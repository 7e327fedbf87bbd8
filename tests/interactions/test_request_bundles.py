"""What is around the resources of a request Bundle (https://hl7.org/fhir/R4/bundle.html)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions import bundle as bundles
from fhir_server.interactions.call import Context, Policy
from fhir_server.spec.errors import FhirError

CONTEXT = Context(Policy(), now=lambda: 0, new_id=lambda: "new")
ODD = st.sampled_from([None, "", " ", "a b", 1, True, [], {}, ["POST"], {"id": "x"}])
URLS = st.sampled_from(
    [
        "Patient",
        "Patient/1?a=b",
        "#a",
        "urn:uuid:00000000-0000-4000-8000-000000000001",
        "urn:uuid:A",
        "urn:oid:1.2",
        "urn:oid:x",
        "https://example.org/Patient/1",
        "https://example.org/Patient/1/_history/2",
        "https://example.org/\u00a0",
    ]
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "post"]) | ODD,
        "url": URLS | ODD,
        "ifMatch": st.just('W/"1"') | ODD,
        "_url": ODD,
        "other": ODD,
    },
)
PLAIN_REQUESTS = st.fixed_dictionaries({"method": st.sampled_from(["GET", "POST"]), "url": URLS})
ENTRIES = st.fixed_dictionaries(
    {"request": PLAIN_REQUESTS}, optional={"fullUrl": URLS, "resource": st.just({"a": 1})}
) | st.fixed_dictionaries(
    {},
    optional={
        "fullUrl": URLS | ODD,
        "_fullUrl": ODD,
        "resource": ODD,
        "request": REQUESTS | ODD,
        "other": ODD,
    },
)
BUNDLES = st.fixed_dictionaries(
    {
        "resourceType": st.just("Bundle"),
        "type": st.sampled_from(["batch", "transaction"]),
        "entry": st.lists(ENTRIES, max_size=3),
    },
    optional={"id": st.just("a") | ODD, "other": ODD},
)


def told(bundle):
    try:
        return bundles.entries(bundle, CONTEXT)
    except FhirError as refused:
        return refused.status, refused.issues


@given(BUNDLES | BUNDLES.map(lambda found: {**found, "entry": found["entry"][:1]}))
def test_a_bundle_of_plain_entries_is_held_to_the_same_shape_as_any(bundle):
    found = told(bundle)
    with pytest.MonkeyPatch.context() as general:
        general.setattr(bundles, "_PLAIN", frozenset())
        assert told(bundle) == found
