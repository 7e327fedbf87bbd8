"""The CapabilityStatement, and that what it declares is so (https://hl7.org/fhir/R4/http.html#capabilities)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from random import Random
from urllib.parse import quote
from uuid import uuid4

import pytest

from fhir_server.search.parameters import parameters
from fhir_server.spec.definitions import member, resource_types
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.published import own_definitions
from fhir_server.validation import validate
from tests.validation import random_resources

STRICT = {"Prefer": "handling=strict"}
JSON = {"Content-Type": "application/fhir+json"}
LEGAL = {
    "token": "true",
    "string": "x",
    "date": "ge2026-03-01",
    "number": "gt1.5",
    "quantity": "le1.5||g",
    "uri": "http://example.org/x",
    "reference": "x",
}
# Parameters that are special, with a use that is legal for every type that declares them.
SPECIAL = {
    "_filter": "_filter=_id eq x",
    "_list": "_list=x",
    "_content": "_content=x",
    "_text": "_text=x",
    "near": "near=51.5|-0.1|10|km",
}
GENDER = "http://hl7.org/fhir/administrative-gender"
VALUE_SET = "http://hl7.org/fhir/ValueSet/administrative-gender"
MAP = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2"


@cache
def definitions():
    """The search parameters of R4 and of this server by canonical url."""
    own = own_definitions().values()
    return {item["url"]: item for item in (*own, *member("search-parameters.json"))}


def legal(parameter, item):
    """A legal use of a parameter that is declared for a type: name=value."""
    name = parameter["name"]
    if name == "_has":
        return f"_has:{item['searchRevInclude'][0]}:_id=x"
    if name in SPECIAL:
        return SPECIAL[name]
    if parameter["type"] == "composite":
        parts = definitions()[parameter["definition"]]["component"]
        values = [LEGAL[definitions()[part["definition"]]["type"]] for part in parts]
        return f"{name}={'$'.join(values)}"
    return f"{name}={LEGAL[parameter['type']]}"


@pytest.fixture(scope="module")
def statement(client):
    """The CapabilityStatement."""
    return client.get("metadata").raise_for_status().json()


@pytest.fixture(scope="module")
def declared(statement):
    """What it declares of each type."""
    return {item["type"]: item for item in statement["rest"][0]["resource"]}


def issues(answer):
    severe = ("error", "fatal")
    return [issue for issue in answer.json()["issue"] if issue["severity"] in severe]


@pytest.mark.rule(262, "http#capabilities")
def test_metadata_is_there(client):
    answer = client.get("metadata")
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "CapabilityStatement"


@pytest.mark.rule(262, "http#capabilities")
def test_metadata_is_there_in_xml(client):
    answer = client.get("metadata", params={"_format": "xml"})
    assert '<CapabilityStatement xmlns="http://hl7.org/fhir">' in answer.text[:200]


@pytest.mark.rule(263, "http#capabilities")
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("full", "CapabilityStatement"),
        ("normative", "CapabilityStatement"),
        ("terminology", "TerminologyCapabilities"),
    ],
)
def test_each_mode_gives_its_statement(client, mode, kind):
    answer = client.get("metadata", params={"mode": mode})
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == kind
    assert issues(client.post(f"{kind}/$validate", json=answer.json())) == []


@pytest.mark.rule(263, "http#capabilities")
def test_an_unknown_mode_is_400(client):
    assert client.get("metadata", params={"mode": "brief"}).status_code == 400


@pytest.mark.rule(264, "http#capabilities")
def test_metadata_needs_no_token(client):
    assert "authorization" not in client.headers
    assert client.get("metadata").status_code == 200


@pytest.mark.rule(265, "http#capabilities")
def test_the_etag_stays_as_long_as_the_content_and_answers_304(client):
    first = client.get("metadata")
    again = client.get("metadata", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get("metadata", headers={"If-None-Match": 'W/"old"'}).content == first.content


@pytest.mark.rule(265, "http#capabilities")
def test_the_etag_changes_with_the_content(client, serve):
    other = serve(update_create="false").get("metadata")
    assert other.headers["etag"] != client.get("metadata").headers["etag"]


@pytest.mark.rule(266, "capabilitystatement#invs")
def test_it_is_the_statement_of_this_instance(client, statement, server):
    assert statement["kind"] == "instance"
    assert statement["implementation"]["url"] == server.base
    assert statement["implementation"]["description"]
    assert (statement["fhirVersion"], statement["status"]) == ("4.0.1", "active")
    assert statement["date"]
    assert {"json", "xml"} <= set(statement["format"])
    assert issues(client.post("CapabilityStatement/$validate", json=statement)) == []


@pytest.mark.rule(267, "capabilitystatement#invs")
def test_every_type_is_there_once_and_every_parameter_as_it_is_defined(statement, declared):
    assert list(declared) == list(resource_types())
    assert len(statement["rest"][0]["resource"]) == len(declared)
    common = statement["rest"][0]["searchParam"]
    for item in declared.values():
        own = [*item.get("searchParam", ()), *common]
        assert max(Counter(parameter["name"] for parameter in own).values()) == 1
        for parameter in own:
            if "definition" in parameter:
                assert parameter["type"] == definitions()[parameter["definition"]]["type"]
            else:
                assert (parameter["name"], parameter["type"]) in {
                    (name, "special") for name in ("_has", *SPECIAL)
                }


# Everything that is declared works


# Random values do not satisfy the rules of these by chance.
CHOSEN = {
    "StructureDefinition": {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/StructureDefinition/example",
        "name": "Example",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    },
    "Subscription": {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Example",
        "criteria": "Observation?code=x",
        "channel": {"type": "rest-hook", "endpoint": "https://example.org/hook"},
    },
}


class Sparse(Random):
    """Random choices of values, never of an element that is optional."""

    getrandbits = Random.getrandbits

    def random(self):
        return 1.0


@cache
def example(resource_type):
    """A valid resource of that type, with little more than it must have."""
    if resource_type in CHOSEN:
        return CHOSEN[resource_type]
    for seed in count():
        # Some invariants ask for an element that is optional.
        random = Sparse(seed) if seed < 4 else Random(seed)
        made = parse(serialise(random_resources.resource(resource_type, random, 1)))
        made.pop("id", None)
        text = serialise(made)
        if b"?a=b" not in text and b'"#' not in text and not validate(made):
            return made
    raise AssertionError


def lives(client, resource_type, interactions):
    """Go through the life of one resource; yields the interactions that did not do what they are for."""
    done = []

    def expect(interaction, status, answer):
        done.append(interaction)
        if answer.status_code != status:
            yield f"{resource_type} {interaction}: {answer.status_code} {answer.text[:300]}"

    def send(method, path, resource=None, media_type="application/fhir+json", **headers):
        content = None if resource is None else serialise(resource)
        if content is not None:
            headers["Content-Type"] = media_type
        return client.request(method, path, content=content, headers=headers)

    made = example(resource_type)
    answer = send("POST", resource_type, made)
    yield from expect("create", 201, answer)
    logical_id = answer.json().get("id")
    path, criteria = f"{resource_type}/{logical_id}", f"_id={logical_id}"
    tag = [{"op": "add", "path": "/meta/tag", "value": [{"code": "patched"}]}]
    answer = send("GET", path)
    yield from expect("read", 200, answer)
    same = {"If-None-Match": answer.headers["etag"]}
    yield from expect("conditionalRead", 304, send("GET", path, **same))
    since = {"If-Modified-Since": answer.headers["last-modified"]}
    yield from expect("conditionalRead", 304, send("GET", path, **since))
    exists = {"If-None-Exist": criteria}
    yield from expect("conditionalCreate", 200, send("POST", resource_type, made, **exists))
    yield from expect("update", 200, send("PUT", path, made | {"id": logical_id}))
    yield from expect("conditionalUpdate", 200, send("PUT", f"{resource_type}?{criteria}", made))
    if "patch" in interactions:
        answer = send("PATCH", path, tag, "application/json-patch+json")
        yield from expect("patch", 200, answer)
    yield from expect("vread", 200, send("GET", f"{path}/_history/1"))
    yield from expect("history-instance", 200, send("GET", f"{path}/_history"))
    yield from expect("history-type", 200, send("GET", f"{resource_type}/_history?_count=1"))
    found = send("GET", f"{resource_type}?{criteria}")
    yield from expect("search-type", 200, found)
    if found.json().get("total") != 1:
        yield f"{resource_type} search-type finds {found.json().get('total')}"
    yield from expect("delete", 204, send("DELETE", path))
    new_id = uuid4().hex
    answer = send("PUT", f"{resource_type}/{new_id}", made | {"id": new_id})
    yield from expect("updateCreate", 201, answer)
    answer = send("DELETE", f"{resource_type}?_id={new_id}")
    yield from expect("conditionalDelete", 204, answer)
    missing = set(interactions) - set(done)
    if missing:
        yield f"{resource_type} declares {missing}, which is not tried here"


@pytest.mark.rule(268, "http#capabilities")
@pytest.mark.rule(269, "http#capabilities")
def test_every_declared_interaction_of_every_type_works(client, declared):
    def faults(item):
        assert item["versioning"] == "versioned"
        assert item["readHistory"] is item["updateCreate"] is True
        assert item["conditionalCreate"] is item["conditionalUpdate"] is True
        assert (item["conditionalRead"], item["conditionalDelete"]) == ("full-support", "multiple")
        interactions = [stated["code"] for stated in item["interaction"]]
        return list(lives(client, item["type"], interactions))

    with ThreadPoolExecutor(6) as threads:
        found = [fault for listed in threads.map(faults, declared.values()) for fault in listed]
    assert found == []


def batch(client, urls, **headers):
    """Send GETs as batches; the entries of the answers."""
    found = []
    for start in range(0, len(urls), 500):
        entry = [{"request": {"method": "GET", "url": url}} for url in urls[start : start + 500]]
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entry}
        answer = client.post("", json=bundle, headers=headers, timeout=120)
        found += answer.raise_for_status().json()["entry"]
    return found


def shown(entry):
    """Whether a search was done, and what its self link says was used."""
    if not entry["response"]["status"].startswith("200"):
        return str(entry["response"])[:500]
    return next(link["url"] for link in entry["resource"]["link"] if link["relation"] == "self")


@pytest.mark.rule(268, "http#capabilities")
def test_every_declared_search_parameter_of_every_type_takes_a_legal_value(
    client, statement, declared
):
    common = statement["rest"][0]["searchParam"]
    urls = [
        f"{item['type']}?{quote(legal(parameter, item), safe=':=')}"
        for item in declared.values()
        for parameter in (*item.get("searchParam", ()), *common)
        if parameter["name"] != "_has" or "searchRevInclude" in item
    ]
    answers = batch(client, urls, **STRICT)
    assert len(answers) == len(urls) > 2000
    unused = [
        (url, shown(answer))
        for url, answer in zip(urls, answers, strict=True)
        if f"{url.partition('=')[0].partition('?')[2]}=" not in shown(answer)
    ]
    assert unused == []


def chunks(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


@pytest.mark.rule(268, "http#capabilities")
@pytest.mark.parametrize(
    ("name", "member_name"),
    [("_include", "searchInclude"), ("_revinclude", "searchRevInclude")],
)
def test_every_declared_include_of_every_type_works(client, declared, name, member_name):
    urls = []
    for resource_type, item in declared.items():
        made = client.post(resource_type, content=serialise(example(resource_type)), headers=JSON)
        logical_id = made.json()["id"]
        for values in chunks(item.get(member_name, []), 20):
            listed = "&".join(f"{name}={value}" for value in values)
            urls.append(f"{resource_type}?_id={logical_id}&{listed}")
    unused = []
    for url, answer in zip(urls, batch(client, urls, **STRICT), strict=True):
        used = shown(answer)
        unused += [
            (url.partition("&")[0], asked, used[:300])
            for asked in url.split("&")[1:]
            if asked not in used.split("&")
        ]
    assert unused == []


@pytest.mark.rule(268, "http#capabilities")
def test_every_declared_operation_works(client, statement, declared):
    patient = client.post("Patient", json={"resourceType": "Patient"}).json()
    encounter = client.post("Encounter", content=serialise(example("Encounter")), headers=JSON)
    path = f"Patient/{patient['id']}"
    meta = {"name": "meta", "valueMeta": {"tag": [{"system": "http://example.org", "code": "x"}]}}
    parameters = {"resourceType": "Parameters", "parameter": [meta]}
    calls = {
        "validate": [
            ("POST", "Patient/$validate", patient),
            ("POST", f"{path}/$validate", patient),
        ],
        "versions": [("GET", "$versions", None), ("POST", "$versions", None)],
        "meta": [("GET", each, None) for each in ("$meta", "Patient/$meta", f"{path}/$meta")],
        "meta-add": [("POST", f"{path}/$meta-add", parameters)],
        "meta-delete": [("POST", f"{path}/$meta-delete", parameters)],
        "everything": [
            ("GET", f"{path}/$everything", None),
            ("GET", f"Encounter/{encounter.json()['id']}/$everything", None),
        ],
        "expand": [("GET", f"ValueSet/$expand?url={VALUE_SET}", None)],
        "validate-code": [
            ("GET", f"ValueSet/$validate-code?url={VALUE_SET}&system={GENDER}&code=male", None),
            ("GET", f"CodeSystem/$validate-code?url={GENDER}&code=male", None),
        ],
        "lookup": [("GET", f"CodeSystem/$lookup?system={GENDER}&code=male", None)],
        "subsumes": [("GET", f"CodeSystem/$subsumes?system={GENDER}&codeA=male&codeB=male", None)],
        "translate": [
            ("GET", f"ConceptMap/$translate?url={MAP}&system={GENDER}&code=male", None),
        ],
        "closure": [
            (
                "POST",
                "$closure",
                {"resourceType": "Parameters", "parameter": [{"name": "name", "valueString": "x"}]},
            )
        ],
        "reindex": [("POST", "$reindex", None)],
        "reindex-status": [("GET", "$reindex-status", None)],
    }
    listed = {item["name"] for item in statement["rest"][0]["operation"]}
    listed |= {o["name"] for item in declared.values() for o in item.get("operation", ())}
    # Those of booking are tried in tests/booking.
    listed -= {"find", "hold", "book", "cancel", "rebook", "publish", "generate", "cancel-clinic"}
    # Those of the life-cycle in tests/referral.
    listed -= {
        "defer", "send-for-triage", "record-outcome", "convert-advice", "available-actions",
    }  # fmt: skip
    # Those of the directory in tests/directory.
    listed -= {"find-for-referral", "waiting-list", "document"}
    assert listed <= calls.keys(), "declared, but not tried here"
    for name in calls.keys() & listed:
        for method, url, body in calls[name]:
            answer = client.request(method, url, json=body)
            assert answer.status_code in (200, 202), (url, answer.text)


@pytest.mark.rule(268, "http#capabilities")
def test_every_declared_system_interaction_works(client, statement):
    stated = [item["code"] for item in statement["rest"][0]["interaction"]]
    assert sorted(stated) == ["batch", "history-system", "search-system", "transaction"]
    assert client.get("", params={"_type": "Patient,Slot"}).status_code == 200
    assert client.get("_history").status_code == 200
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind}
        assert client.post("", json=bundle).json()["type"] == f"{kind}-response"


@pytest.mark.rule(268, "http#capabilities")
def test_every_declared_format_is_answered(client, statement):
    for name in statement["format"]:
        answer = client.get("metadata", params={"_format": name, "_summary": "true"})
        assert answer.status_code == 200
        assert ("xml" if "xml" in name else "json") in answer.headers["content-type"]


# What is not declared does not work in silence


@pytest.mark.rule(268, "http#capabilities")
def test_a_parameter_of_r4_that_is_not_declared_is_refused_when_strict_and_told_when_lenient(
    client, statement, declared
):
    common = {item["name"] for item in statement["rest"][0]["searchParam"]}
    urls = []
    for resource_type, item in declared.items():
        stated = common | {parameter["name"] for parameter in item.get("searchParam", ())}
        defined = {parameter.code for parameter in parameters(resource_type)}
        urls += [f"{resource_type}?{code}=x" for code in sorted(defined - stated)]
    for url, answer in zip(urls, batch(client, urls, **STRICT), strict=True):
        assert answer["response"]["status"].startswith("400"), url
    for url, answer in zip(urls, batch(client, urls), strict=True):
        if answer["response"]["status"].startswith("200"):
            name = url.partition("?")[2]
            assert name not in shown(answer)
            told = [
                entry
                for entry in answer["resource"]["entry"]
                if entry["search"]["mode"] == "outcome"
            ]
            assert told, url


@pytest.mark.rule(268, "http#capabilities")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "Patient/$everything-else"),
        ("GET", "$unknown"),
        ("POST", "Patient/1/$unknown"),
        ("POST", "$validate"),
        ("GET", "Patient/$versions"),
    ],
)
def test_an_operation_that_is_not_declared_is_404(client, method, path):
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-supported"


@pytest.mark.rule(269, "http#capabilities")
def test_the_statement_follows_the_settings(serve):
    client = serve(update_create="false", conditional_delete="single", referential_integrity="true")
    for item in client.get("metadata").json()["rest"][0]["resource"]:
        assert item["updateCreate"] is False
        assert item["conditionalDelete"] == "single"
        assert "enforced" in item["referencePolicy"]
    unused = {"resourceType": "Patient", "id": "unused"}
    assert client.put("Patient/unused", json=unused).status_code == 405
    dangling = {
        "resourceType": "Basic",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/9"},
    }
    assert client.post("Basic", json=dangling).status_code == 422


@pytest.mark.rule(269, "http#capabilities")
def test_a_conditional_delete_that_is_not_offered_is_not_declared(serve):
    listed = serve(conditional_delete="not-supported").get("metadata").json()["rest"][0]["resource"]
    assert {item["conditionalDelete"] for item in listed} == {"not-supported"}


@pytest.mark.rule(270, "http#capabilities")
def test_summary_and_elements_cut_the_statement(client, statement):
    summary = client.get("metadata", params={"_summary": "true"}).json()
    assert summary["fhirVersion"] == "4.0.1"
    assert {tag["code"] for tag in summary["meta"]["tag"]} == {"SUBSETTED"}
    assert len(str(summary)) < len(str(statement)) / 2
    elements = client.get("metadata", params={"_elements": "software"}).json()
    assert elements["software"] == statement["software"]
    assert "rest" not in elements
    # What is mandatory stays.
    assert elements["fhirVersion"] == "4.0.1"


@pytest.mark.rule(270, "http#capabilities")
def test_versions_tells_that_this_is_r4(client):
    answer = client.get("$versions")
    assert answer.status_code == 200
    listed = [(item["name"], item["valueCode"]) for item in answer.json()["parameter"]]
    assert listed == [("version", "4.0"), ("default", "4.0")]
