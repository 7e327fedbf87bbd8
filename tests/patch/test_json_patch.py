"""JSON Patch, RFC 6902 (https://hl7.org/fhir/R4/http.html#patch)."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpatch import JsonPatch, JsonPatchException, make_patch
from jsonpointer import JsonPointerException
from third_party import DATA

from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import FhirDecimal, parse, serialise
from fhir_server.spec.json_patch import MAXIMUM_OPERATIONS, apply_json_patch

SUITE = DATA / "patch" / "json-patch-tests.json"
DOCUMENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "a/b": 1,
    "m~n": 2,
    "name": [{"family": "F", "given": ["G", "H"]}, {"family": "O"}],
    "n": FhirDecimal("1.00"),
}


def patched(*operations: Any) -> dict[str, Any]:
    return apply_json_patch(DOCUMENT, list(operations))


def refusal(status: int, operations: Any, document: dict[str, Any] = DOCUMENT) -> str:
    with pytest.raises(FhirError) as caught:
        apply_json_patch(document, operations)
    assert caught.value.status == status
    return caught.value.issues[0].diagnostics


@pytest.mark.skipif(not SUITE.exists(), reason="the suite is not here")
def test_the_suite_passes() -> None:
    cases = json.loads(SUITE.read_text(), strict=False)
    assert len(cases) == 16
    for case in cases:
        if "error" in case:
            assert "[0]" in refusal(422, case["patch"], case["doc"]), case["comment"]
        else:
            assert apply_json_patch(case["doc"], case["patch"]) == case["expected"], case["comment"]


def test_each_operation_does_what_it_says() -> None:
    result = patched(
        {"op": "test", "path": "/a~1b", "value": 1},
        {"op": "replace", "path": "/m~0n", "value": 3},
        {"op": "remove", "path": "/a~1b"},
        {"op": "add", "path": "/name/1", "value": {"family": "X"}},
        {"op": "add", "path": "/name/0/given/-", "value": "I"},
        {"op": "move", "from": "/name/0", "path": "/name/2"},
        {"op": "copy", "from": "/name/2/given/0", "path": "/first"},
        {"op": "replace", "path": "/name/0/family", "value": "Y"},
    )
    assert result == {
        "resourceType": "Patient",
        "active": True,
        "m~n": 3,
        "name": [{"family": "Y"}, {"family": "O"}, {"family": "F", "given": ["G", "H", "I"]}],
        "n": FhirDecimal("1.00"),
        "first": "G",
    }


def test_a_move_to_where_the_value_is_changes_nothing_not_even_the_order() -> None:
    for path in ("/active", "/name", "/name/1", "/name/0/given"):
        moved = apply_json_patch(DOCUMENT, [{"op": "move", "from": path, "path": path}])
        assert json.dumps(moved, default=str) == json.dumps(DOCUMENT, default=str)
    for path in ("/gender", "/name/2", "/name/-"):
        assert "[0]" in refusal(422, [{"op": "move", "from": path, "path": path}])


def test_neither_resource_nor_operations_change() -> None:
    operations = [
        {"op": "add", "path": "/x", "value": {"list": []}},
        {"op": "add", "path": "/x/list/-", "value": 1},
        {"op": "remove", "path": "/name/0/given/0"},
        {"op": "copy", "from": "/name", "path": "/y"},
        {"op": "remove", "path": "/y/1"},
    ]
    before = copy.deepcopy(DOCUMENT)
    given = copy.deepcopy(operations)
    result = apply_json_patch(DOCUMENT, operations)
    assert before == DOCUMENT
    assert given == operations
    assert len(result["name"]) == 2
    assert apply_json_patch(DOCUMENT, operations) == result


def test_decimals_keep_their_digits() -> None:
    operations = parse(
        b'[{"op":"add","path":"/m","value":2.50},{"op":"move","from":"/n","path":"/k"}]'
    )
    assert serialise(apply_json_patch(DOCUMENT, operations)).endswith(b'"m":2.50,"k":1.00}')


@pytest.mark.parametrize(
    ("path", "value", "holds"),
    [
        ("/n", 1, True),
        ("/n", FhirDecimal("1.000"), True),
        ("/n", True, False),
        ("/active", 1, False),
        ("/active", True, True),
        ("/n", "1.00", False),
        ("/name/1", {"family": "O"}, True),
        ("/name/0", {"given": ["G", "H"], "family": "F"}, True),
        ("/name/0/given", ["H", "G"], False),
        ("/name/1", {"family": "O", "given": None}, False),
        ("", DOCUMENT, True),
    ],
)
def test_a_test_compares_values_as_json_does(path: str, value: Any, holds: bool) -> None:
    operation = {"op": "test", "path": path, "value": value}
    if holds:
        assert patched(operation) == DOCUMENT
    else:
        assert "another" in refusal(422, [operation])


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        ({"op": "remove", "path": "/n"}, "list of operations"),
        (None, "list of operations"),
        ([None], "[0]"),
        ([{"op": "test", "path": "/n", "value": 1}, {}], "[1]"),
        ([{"op": "merge", "path": "/n"}], "add, remove, replace, move, copy, test"),
        ([{"op": ["add"], "path": "/n"}], "'op'"),
        ([{"op": "remove"}], "'path'"),
        ([{"op": "remove", "path": 5}], "'path'"),
        ([{"op": "remove", "path": "n"}], "does not begin with /"),
        ([{"op": "remove", "path": "/~2"}], "~0"),
        ([{"op": "remove", "path": "/a~"}], "~0"),
        ([{"op": "add", "path": "/n"}], "'value'"),
        ([{"op": "move", "path": "/n"}], "'from'"),
        ([{"op": "copy", "path": "/n", "from": "n"}], "'from'"),
        ([{"op": "remove", "path": "/n"}] * (MAXIMUM_OPERATIONS + 1), "1001 operations"),
    ],
)
def test_a_malformed_document_is_400_and_names_the_operation(operations: Any, said: str) -> None:
    assert said in refusal(400, operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/gender"},
        {"op": "replace", "path": "/gender", "value": 1},
        {"op": "add", "path": "/gender/x", "value": 1},
        {"op": "add", "path": "/active/x", "value": 1},
        {"op": "add", "path": "/name/3", "value": {}},
        {"op": "add", "path": "/name/x", "value": {}},
        {"op": "add", "path": "/name/01", "value": {}},
        {"op": "add", "path": "/name/-1", "value": {}},
        {"op": "add", "path": "/name/\u0661", "value": {}},
        {"op": "remove", "path": "/name/2"},
        {"op": "remove", "path": "/name/-"},
        {"op": "remove", "path": "/name/" + "9" * 5000},
        {"op": "remove", "path": "/name/"},
        {"op": "move", "from": "/gender", "path": "/n"},
        {"op": "copy", "from": "/gender", "path": "/n"},
        {"op": "move", "from": "/name", "path": "/name/0"},
        {"op": "move", "from": "", "path": "/n"},
        {"op": "test", "path": "/gender", "value": None},
        {"op": "replace", "path": "", "value": {"resourceType": "Patient"}},
        {"op": "add", "path": "", "value": {}},
        {"op": "remove", "path": ""},
        {"op": "copy", "from": "/name", "path": ""},
    ],
)
def test_an_operation_that_fails_is_422_and_is_named(operation: Any) -> None:
    first = {"op": "test", "path": "/n", "value": 1}
    assert refusal(422, [first, operation]).startswith(f"Operation [1] ({operation['op']} ")


def test_copies_of_copies_are_bounded() -> None:
    doubling = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 500
    begin = time.perf_counter()
    assert "copies more than" in refusal(422, doubling)
    assert time.perf_counter() - begin < 2


def test_depth_is_bounded_however_it_is_made() -> None:
    def deep(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = {"x": value}
        return value

    document = {"resourceType": "Basic", **{f"p{index}": deep(90) for index in range(100)}}
    operations = [
        {"op": "move", "from": f"/p{index}", "path": f"/p{index + 1}" + "/x" * 90}
        for index in range(99)
    ]
    assert "deeper" in refusal(422, operations, document)
    doubling = [{"op": "copy", "from": "/p0", "path": "/p0" + "/x" * 90}] * 50
    assert "deeper" in refusal(422, doubling, document)
    assert "deeper" in refusal(422, [{"op": "add", "path": "/q", "value": deep(100_000)}], document)


def test_a_long_patch_on_a_long_list_is_fast() -> None:
    document = {"resourceType": "Basic", "list": list(range(100_000))}
    operations = [{"op": "add", "path": "/list/0", "value": 1}] * MAXIMUM_OPERATIONS
    begin = time.perf_counter()
    assert len(apply_json_patch(document, operations)["list"]) == 100_000 + MAXIMUM_OPERATIONS
    assert time.perf_counter() - begin < 2


NAMES = st.sampled_from(["a", "b", "/", "~", "~1", "0", ""])
LEAVES = (
    st.none() | st.integers(-2, 2) | st.sampled_from(["x", "y"])
)  # no booleans: the reference takes true for 1
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=4)
PATHS = st.lists(st.sampled_from(["a", "b", "~1", "~01", "0", "1", "-", ""]), min_size=1).map(
    lambda steps: "".join("/" + step for step in steps)
)


@given(OBJECTS, OBJECTS)
def test_the_difference_of_two_documents_makes_the_other_of_the_one(one: Any, other: Any) -> None:
    operations = [item for item in make_patch(one, other).patch if item["path"]]
    reference = JsonPatch(operations).apply(one)
    assert json.dumps(apply_json_patch(one, operations)) == json.dumps(reference)


@given(
    OBJECTS,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
                "path": PATHS,
                "from": PATHS,
                "value": JSON,
            }
        ),
        max_size=4,
    ),
)
def test_any_patch_does_what_the_reference_does(document: Any, operations: Any) -> None:
    try:
        expected = json.dumps(JsonPatch(operations).apply(document))
    except (JsonPatchException, JsonPointerException, TypeError):
        expected = None
    try:
        result = json.dumps(apply_json_patch(document, operations))
    except FhirError:
        result = None
    assert result == expected
