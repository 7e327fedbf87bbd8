"""Operations (https://hl7.org/fhir/R4/operations.html)."""

import pytest
from bundles import SYSTEM, basic, bundle, done, fresh, location, patient, post, put


def parameters(**values):
    """Parameters with one item for each: a keyword is the name, its value ("valueCode", "x") or a resource."""
    listed = []
    for name, value in values.items():
        shown = {value[0]: value[1]} if isinstance(value, tuple) else {"resource": value}
        listed.append({"name": name, **shown})
    return {"resourceType": "Parameters", **({"parameter": listed} if listed else {})}


def issues(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    return answer.json()["issue"]


def returned(answer):
    """The Meta of a $meta operation's answer."""
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["resourceType"] == "Parameters"
    assert [item["name"] for item in found["parameter"]] == ["return"]
    return found["parameter"][0]["valueMeta"]


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


# $meta.


@pytest.mark.rule(320, "resource-operation-meta")
def test_meta_of_an_instance_is_its_meta(client):
    name = fresh()
    meta = {
        "profile": ["https://example.org/p"],
        "security": [{"system": SYSTEM, "code": "s"}],
        "tag": [{"system": SYSTEM, "code": "t", "display": "T"}],
    }
    done(client, put(patient(id=name, meta=meta)))
    for answer in [
        client.get(f"Patient/{name}/$meta"),
        client.post(f"Patient/{name}/$meta"),
        client.post(f"Patient/{name}/$meta", json=parameters()),
    ]:
        assert returned(answer) == client.get(f"Patient/{name}").json()["meta"]
        assert answer.headers["ETag"] == 'W/"1"'
    issues(client.get("Patient/nobody/$meta"), 404)
    client.delete(f"Patient/{name}")
    issues(client.get(f"Patient/{name}/$meta"), 410)


@pytest.mark.rule(320, "resource-operation-meta")
def test_meta_of_a_type_and_of_the_system_is_what_is_in_use_there(client):
    code, other, profile = fresh(), fresh(), f"https://example.org/{fresh()}"
    tag = {"system": SYSTEM, "code": code, "display": "Shown"}
    label = {"system": SYSTEM, "code": other}
    shown = done(
        client,
        post(patient(meta={"tag": [tag], "profile": [profile]})),
        post(patient(meta={"tag": [tag]})),
        post(basic(meta={"security": [label]})),
    )
    patients, basics, system = (
        returned(client.get(path)) for path in ("Patient/$meta", "Basic/$meta", "$meta")
    )
    assert [item for item in patients["tag"] if item["code"] == code] == [tag]
    assert profile in patients["profile"]
    assert label not in patients.get("security", [])
    assert label in basics["security"]
    assert tag in system["tag"]
    assert label in system["security"]
    assert profile in system["profile"]
    client.delete(location(shown[2]))
    assert label not in returned(client.get("$meta")).get("security", [])


@pytest.mark.rule(320, "resource-operation-meta-add")
def test_meta_add_adds_what_is_not_there_and_meta_delete_takes_it_out(client):
    name = fresh()
    first = {"system": SYSTEM, "code": "first", "display": "First"}
    resource = patient(id=name, gender="female", meta={"tag": [first]})
    done(client, put(resource))
    given = {
        "tag": [{"system": SYSTEM, "code": "first"}, {"system": SYSTEM, "code": "second"}],
        "security": [{"system": SYSTEM, "code": "s"}],
        "profile": ["https://example.org/p"],
        "versionId": "17",
    }
    path = f"Patient/{name}/$meta-add"
    answer = client.post(path, json=parameters(meta=("valueMeta", given)))
    meta = returned(answer)
    assert meta["tag"] == [first, {"system": SYSTEM, "code": "second"}]
    assert meta["security"] == given["security"]
    assert meta["profile"] == given["profile"]
    assert (meta["versionId"], answer.headers["ETag"]) == ("2", 'W/"2"')
    stored = client.get(f"Patient/{name}").json()
    assert stored == resource | {"meta": meta}
    again = returned(client.post(path, json=parameters(meta=("valueMeta", given))))
    assert again["versionId"] == "2"
    found = client.get("Patient", params={"_id": name, "_tag": f"{SYSTEM}|second"}).json()
    assert found["total"] == 1

    path = f"Patient/{name}/$meta-delete"
    gone = {"tag": [{"system": SYSTEM, "code": "second"}, {"code": "never there"}]}
    meta = returned(client.post(path, json=parameters(meta=("valueMeta", gone))))
    assert meta["tag"] == [first]
    rest = {"tag": [first], "security": given["security"], "profile": given["profile"]}
    meta = returned(client.post(path, json=parameters(meta=("valueMeta", rest))))
    assert meta.keys() == {"versionId", "lastUpdated"}
    found = client.get("Patient", params={"_id": name, "_tag": f"{SYSTEM}|second"}).json()
    assert found["total"] == 0
    for code in ("meta-add", "meta-delete"):
        body = parameters(meta=("valueMeta", gone))
        issues(client.post(f"Patient/nobody/${code}", json=body), 404)


# Patient/$everything.


@pytest.fixture(scope="module")
def record(client):
    """A patient with a practitioner, an organization, an encounter, an observation and a booking; and another."""
    name = fresh("everything")
    me = f"Patient/{name}"

    def dated(number, day, subject=me):
        return {
            "resourceType": "Observation",
            "id": f"{name}-o{number}",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": subject},
            "effectiveDateTime": day,
            "performer": [{"reference": f"Practitioner/{name}-p"}],
        }

    done(
        client,
        put({"resourceType": "Organization", "id": f"{name}-org", "name": "Org"}),
        put({"resourceType": "Practitioner", "id": f"{name}-p"}),
        put(patient(id=name, managingOrganization={"reference": f"Organization/{name}-org"})),
        put(patient(id=f"{name}-other")),
        put(
            {
                "resourceType": "Encounter",
                "id": f"{name}-e",
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": {"reference": me},
                "period": {"start": "2024-03-01", "end": "2024-03-03"},
            }
        ),
        put(dated(1, "2024-01-15")),
        put(dated(2, "2024-03-02T10:00:00Z")),
        put(dated(3, "2024-06-01")),
        put(dated(4, "2024-06-01", f"Patient/{name}-other")),
        put(
            {
                "resourceType": "Coverage",
                "id": f"{name}-c",
                "status": "active",
                "beneficiary": {"reference": me},
                "payor": [{"reference": me}],
            }
        ),
    )
    return name


def walk(client, path, **params):
    """All pages: the entries as Type/id, by search mode, and the number of pages."""
    url, found, pages = client.build_request("GET", path, params=params).url, {}, 0
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["type"] == "searchset"
        for item in page.get("entry", []):
            resource = item["resource"]
            assert item["fullUrl"].endswith(f"{resource['resourceType']}/{resource['id']}")
            named = f"{resource['resourceType']}/{resource['id']}"
            found.setdefault(item["search"]["mode"], []).append(named)
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        pages += 1
    return found, pages


def members(name, *suffixes):
    types = {"e": "Encounter", "o": "Observation", "c": "Coverage", "p": "Practitioner"}
    return {f"{types[item[0]]}/{name}-{item}" for item in suffixes}


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_is_the_patient_the_compartment_and_what_they_refer_to(client, record):
    found, pages = walk(client, f"Patient/{record}/$everything")
    assert pages == 1
    assert found["match"][0] == f"Patient/{record}"
    assert set(found["match"][1:]) == members(record, "e", "o1", "o2", "o3", "c")
    assert len(found["match"]) == 6
    assert set(found["include"]) == {f"Organization/{record}-org", *members(record, "p")}
    posted = client.post(f"Patient/{record}/$everything")
    assert len(posted.json()["entry"]) == 8
    assert posted.json()["total"] == 6


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_is_paged(client, record):
    whole, _ = walk(client, f"Patient/{record}/$everything")
    for size in (1, 2, 4, 5):
        found, pages = walk(client, f"Patient/{record}/$everything", _count=size)
        assert found["match"] == whole["match"]
        assert pages == -(-6 // size)
    body = parameters(_count=("valueInteger", 2))
    page = client.post(f"Patient/{record}/$everything", json=body).json()
    following = next(item["url"] for item in page["link"] if item["relation"] == "next")
    assert len(client.get(following).json()["entry"]) >= 2
    issues(client.get(following.replace(f"{record}/", f"{record}-other/")), 400)
    issues(client.get(following + "x"), 400)


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_within_dates_of_care(client, record):
    def seen(**params):
        found, _ = walk(client, f"Patient/{record}/$everything", **params)
        return set(found["match"]) - {f"Patient/{record}"}

    assert seen(start="2024-03-03") == members(record, "e", "o3", "c")
    assert seen(start="2024-03-04") == members(record, "o3", "c")
    assert seen(end="2024-02") == members(record, "o1", "c")
    assert seen(start="2024-02-01", end="2024-03-02") == members(record, "e", "o2", "c")


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_since_and_of_types(client, record):
    path = f"Patient/{record}/$everything"
    found, _ = walk(client, path, _type="Observation,Encounter")
    assert set(found["match"]) == members(record, "e", "o1", "o2", "o3")
    assert "include" not in found
    found, _ = walk(client, path, _type="Practitioner", _count=2)
    assert found == {"include": [f"Practitioner/{record}-p"] * len(found["include"])}
    found, _ = walk(client, path, _type=["Patient", "Organization"])
    assert found == {"match": [f"Patient/{record}"], "include": [f"Organization/{record}-org"]}
    assert walk(client, path, _since="2999-01-01T00:00:00Z")[0] == {}
    found, _ = walk(client, path, _since="2001-01-01T00:00:00Z")
    assert len(found["match"]) == 6


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_of_all_patients(client, record):
    found, _ = walk(client, "Patient/$everything", _count=500)
    wanted = {f"Patient/{record}", f"Patient/{record}-other"}
    wanted |= members(record, "e", "o1", "o2", "o3", "o4", "c")
    assert wanted <= set(found["match"])
    assert len(found["match"]) == len(set(found["match"]))
    assert f"Practitioner/{record}-p" in found["include"]
    assert f"Practitioner/{record}-p" not in found["match"]
    small, _ = walk(client, "Patient/$everything", _count=7, _type="Observation")
    assert members(record, "o1", "o2", "o3", "o4") <= set(small["match"])


@pytest.mark.rule(321, "patient-operation-everything")
@pytest.mark.parametrize(
    "query",
    [
        "_count=0",
        "_count=-1",
        "_count=x",
        "_since=yesterday",
        "start=2026-13-45",
        "_type=Nothing",
        "colour=red",
        "start=2024&start=2025",
        "_cursor=x",
    ],
)
def test_inputs_of_everything_that_cannot_be_read_are_refused(client, record, query):
    issues(client.get(f"Patient/{record}/$everything?{query}"), 400)


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_of_a_patient_that_is_not_there(client):
    name = fresh()
    issues(client.get(f"Patient/{name}/$everything"), 404)
    done(client, put(patient(id=name)))
    client.delete(f"Patient/{name}")
    issues(client.get(f"Patient/{name}/$everything"), 410)


def test_everything_of_an_encounter(client, record):
    found, _ = walk(client, f"Encounter/{record}-e/$everything")
    assert found["match"] == [f"Encounter/{record}-e"]
    assert found["include"] == [f"Patient/{record}"]
