"""Operations in general and $validate (https://hl7.org/fhir/R4/operations.html)."""

import pytest
from bundles import basic, bundle, done, fresh, patient, post, put
from operating import issues, parameters, returned

# In general.


@pytest.mark.rule(313, "operations#executing")
@pytest.mark.parametrize("code", ["meta-add", "meta-delete"])
def test_get_of_an_operation_that_changes_state_is_405(client, code):
    name = fresh()
    done(client, put(patient(id=name)))
    answer = client.get(f"Patient/{name}/${code}")
    issues(answer, 405)
    assert answer.headers["Allow"] == "POST"


@pytest.mark.rule(313, "operations#executing")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_405(client, method):
    headers = {"Content-Type": "application/fhir+json"}
    answer = client.request(method, "Patient/$validate", json=parameters(), headers=headers)
    issues(answer, 405)
    assert "POST" in answer.headers["Allow"]


@pytest.mark.rule(313, "operations#executing")
def test_get_takes_primitive_parameters_and_head_answers_like_it(client):
    name = fresh()
    done(client, put(patient(id=name)))
    path = f"Patient/{name}/$everything"
    assert client.get(path, params={"_type": "Patient", "_count": "5"}).json()["total"] == 1
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.rule(313, "operations#executing")
def test_a_parameter_that_is_no_primitive_cannot_stand_in_the_url(client):
    name = fresh()
    done(client, put(patient(id=name)))
    answer = client.post(f"Patient/{name}/$meta-add?meta=x", json=parameters())
    issues(answer, 405)
    assert answer.headers["Allow"] == "POST"
    issues(client.get("Patient/$validate", params={"resource": "x"}), 405)


@pytest.mark.rule(314, "operations#response")
def test_a_single_resource_named_return_comes_bare_and_a_datatype_in_parameters(client):
    name = fresh()
    done(client, put(patient(id=name)))
    assert client.get(f"Patient/{name}/$everything").json()["resourceType"] == "Bundle"
    checked = client.post("Patient/$validate", json=patient())
    assert checked.json()["resourceType"] == "OperationOutcome"
    assert "versionId" in returned(client.get(f"Patient/{name}/$meta"))


@pytest.mark.rule(314, "operations#response")
def test_an_operation_is_asked_and_answered_in_xml(client):
    name = fresh()
    done(client, put(patient(id=name)))
    text = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="meta"/><valueMeta>'
        '<tag><code value="x"/></tag></valueMeta></parameter></Parameters>'
    )
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = client.post(f"Patient/{name}/$meta-add", content=text, headers=headers)
    assert answer.status_code == 200
    assert "<valueMeta>" in answer.text
    assert '<code value="x"/>' in answer.text


@pytest.mark.rule(315, 324, "operations#executing")
@pytest.mark.parametrize(
    "path",
    [
        "$nothing",
        "Patient/$nothing",
        "Patient/a/$nothing",
        "Patient/a/$Meta",
        "$everything",
        "Slot/a/$everything",
        "Encounter/$everything",
        "$meta-add",
        "Patient/$meta-add",
        "Nothing/$meta",
        "$validate",
        "$process-message",
    ],
)
def test_an_operation_that_is_not_there_is_404(client, path):
    issues(client.post(path, json=parameters()), 404)
    issues(client.get(path), 404)


@pytest.mark.rule(315, 324, "operations#executing")
def test_a_missing_parameter_is_400(client):
    name = fresh()
    done(client, put(patient(id=name)))
    for body in [parameters(), None]:
        found = issues(client.post(f"Patient/{name}/$meta-add", json=body), 400)
        assert "meta" in found[0]["diagnostics"] or body is None
    issues(client.post(f"Patient/{name}/$meta-add"), 400)


@pytest.mark.rule(315, 324, "operations#executing")
@pytest.mark.parametrize(
    ("body", "expression"),
    [
        (patient(), "Parameters"),
        ([], None),
        ("x", None),
        ({"resourceType": "Parameters", "parameter": {}}, "Parameters.parameter"),
        ({"resourceType": "Parameters", "parameter": [{"valueString": "x"}]}, None),
        ({"resourceType": "Parameters", "colour": "red"}, None),
        (parameters(colour=("valueString", "x")), "Parameters.parameter[0]"),
        (parameters(meta=("valueString", "x")), "Parameters.parameter[0]"),
        (parameters(meta=("valueMeta", {"colour": "x"})), "Parameters.parameter[0].value.ofType(Meta).colour"),
        (parameters(meta=patient()), "Parameters.parameter[0]"),
        ({"resourceType": "Parameters",
          "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "a"}]}}] * 2},
         "Parameters.parameter"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_input_of_the_operation_is_refused(client, body, expression):
    name = fresh()
    done(client, put(patient(id=name)))
    answer = client.post(f"Patient/{name}/$meta-add", json=body)
    assert answer.status_code in (400, 422), answer.text
    found = answer.json()["issue"]
    if expression is not None:
        assert found[0]["expression"] == [expression]
    assert client.get(f"Patient/{name}").json()["meta"]["versionId"] == "1"


@pytest.mark.rule(326, "async")
def test_respond_async_is_ignored(client):
    name = fresh()
    done(client, put(patient(id=name)))
    headers = {"Prefer": "respond-async"}
    assert client.get(f"Patient/{name}/$everything", headers=headers).status_code == 200
    assert client.get("Patient", headers=headers).status_code == 200
    answer = client.post("", json=bundle(post(patient())), headers=headers)
    assert answer.status_code == 200
    assert "Content-Location" not in answer.headers


def test_the_capability_statement_lists_the_operations_where_they_are(client):
    rest = client.get("metadata").json()["rest"][0]
    listed = {item["name"]: item["definition"] for item in rest["operation"]}
    base = "http://hl7.org/fhir/OperationDefinition/"
    assert listed["meta"] == f"{base}Resource-meta"
    assert listed["meta-add"] == f"{base}Resource-meta-add"
    types = {item["type"]: item for item in rest["resource"]}
    everything = [item for item in types["Patient"]["operation"] if item["name"] == "everything"]
    assert everything == [{"name": "everything", "definition": f"{base}Patient-everything"}]
    assert "process-message" not in listed


# $validate.


@pytest.mark.rule(316, 317, "resource-operation-validate")
def test_validate_answers_200_whether_the_resource_is_valid_or_not(client):
    name = fresh()
    done(client, put(patient(id=name)))
    right, wrong = patient(id=name), patient(id=name, gender="unheard of")
    for path in ["Patient/$validate", f"Patient/{name}/$validate"]:
        for sent in [lambda item: item, lambda item: parameters(resource=item)]:
            answer = client.post(path, json=sent(right))
            severities = {item["severity"] for item in answer.json()["issue"]}
            assert (answer.status_code, severities & {"error", "fatal"}) == (200, set())
            answer = client.post(path, json=sent(wrong))
            assert answer.status_code == 200
            errors = [item for item in answer.json()["issue"] if item["severity"] == "error"]
            assert errors[0]["expression"] == ["Patient.gender"]
    assert client.get(f"Patient/{name}/$validate").status_code == 200


@pytest.mark.rule(316, 317, "resource-operation-validate")
def test_validate_of_what_is_not_there_is_404_and_without_a_resource_400(client):
    issues(client.get("Patient/nobody/$validate"), 404)
    issues(client.post("Patient/$validate", json=parameters()), 400)
    issues(client.post("Patient/$validate", json=parameters(mode=("valueCode", "x"))), 400)


@pytest.mark.rule(318, "resource-operation-validate")
def test_an_unknown_profile_never_makes_valid(client):
    profile = "https://example.org/fhir/StructureDefinition/nobody-knows"
    body = parameters(resource=patient(), profile=("valueUri", profile))
    for answer in [
        client.post("Patient/$validate", json=body),
        client.post(f"Patient/$validate?profile={profile}", json=patient()),
    ]:
        assert answer.status_code in (200, 400, 404, 422)
        assert any(item["severity"] in ("error", "fatal") for item in answer.json()["issue"])


@pytest.mark.rule(319, "resource-operation-validate")
def test_the_modes_check_what_their_interactions_would(client):
    name = fresh()
    done(client, put(patient(id=name)))

    def errors(path, **given):
        answer = client.post(path, json=parameters(**given))
        assert answer.status_code == 200, answer.text
        return [item for item in answer.json()["issue"] if item["severity"] == "error"]

    create, update, delete = (("valueCode", mode) for mode in ("create", "update", "delete"))
    assert errors("Patient/$validate", mode=create, resource=patient()) == []
    wrong = patient(gender="x")
    assert errors("Patient/$validate", mode=create, resource=wrong)
    by_criteria = basic("Patient?identifier=1")
    assert errors("Basic/$validate", mode=create, resource=by_criteria)
    path = f"Patient/{name}/$validate"
    assert errors(path, mode=update, resource=patient(id=name)) == []
    assert errors(path, mode=update, resource=patient(id="another"))[0]["expression"] == [
        "Patient.id"
    ]
    subset = patient(id=name, meta={"tag": [{"code": "SUBSETTED"}]})
    assert errors(path, mode=update, resource=subset)
    assert errors(path, mode=delete) == []
    issues(client.post("Patient/nobody/$validate", json=parameters(mode=delete)), 404)
    assert client.get(f"Patient/{name}").json()["meta"]["versionId"] == "1"


@pytest.mark.rule(319, "resource-operation-validate")
def test_delete_mode_tells_of_what_refers_to_it_where_integrity_is_kept(serve):
    client = serve(referential_integrity="true")
    client.put("Patient/a", json=patient(id="a"))
    client.put("Basic/b", json=basic("Patient/a", id="b"))
    found = client.post("Patient/a/$validate", json=parameters(mode=("valueCode", "delete")))
    assert found.status_code == 200
    assert found.json()["issue"][0]["severity"] == "error"
    found = client.post("Basic/b/$validate", json=parameters(mode=("valueCode", "delete")))
    assert found.json()["issue"][0]["severity"] == "information"
    # The same rules in a transaction, where conditional deletes and patches count too.
    refused = client.post(
        "", json=bundle({"request": {"method": "DELETE", "url": "Patient?_id=a"}})
    )
    issues(refused, 409)
    refused = client.post("", json=bundle(post(patient()), post(basic("Patient/nobody"))))
    assert issues(refused, 422)[0]["expression"] == ["Bundle.entry[1].resource.subject.reference"]
    both = bundle(
        *({"request": {"method": "DELETE", "url": url}} for url in ("Patient/a", "Basic/b"))
    )
    assert client.post("", json=both).status_code == 200
