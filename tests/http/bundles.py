"""Request Bundles for tests: entries by method, and what came of them."""

import base64
import itertools
import json
import uuid

SYSTEM = "https://example.org/fhir/test"
_NUMBERS = itertools.count(1)
_RUN = uuid.uuid4().hex[:12]


def fresh(stem="n"):
    """A value that no other test uses: an id or an identifier's value."""
    return f"{stem}-{_RUN}-{next(_NUMBERS)}"


def urn():
    """A fullUrl that no other entry has."""
    return f"urn:uuid:{uuid.uuid4()}"


def patient(value=None, **elements):
    identified = {"identifier": [{"system": SYSTEM, "value": value}]} if value else {}
    return {"resourceType": "Patient", **identified, **elements}


def basic(subject=None, **elements):
    """A resource of few rules that refers to a Patient."""
    referring = {"subject": {"reference": subject}} if subject else {}
    return {"resourceType": "Basic", "code": {"text": "test"}, **referring, **elements}


def entry(method, url, resource=None, full_url=None, **request):
    made = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def post(resource, full_url=None, **request):
    return entry("POST", resource["resourceType"], resource, full_url, **request)


def put(resource, full_url=None, **request):
    url = f"{resource['resourceType']}/{resource['id']}"
    return entry("PUT", url, resource, full_url, **request)


def bundle(*entries, kind="transaction", **elements):
    listed = {"entry": list(entries)} if entries else {}
    return {"resourceType": "Bundle", "type": kind, **elements, **listed}


def send(client, *entries, kind="transaction", headers=None):
    return client.post("", json=bundle(*entries, kind=kind), headers=headers)


def done(client, *entries, kind="transaction", headers=None):
    """The entries of the answer, which must be 200."""
    answer = send(client, *entries, kind=kind, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == f"{kind}-response"
    return answer.json().get("entry", [])


def refused(client, *entries, status=400):
    """The issues of the refusal; every expression names a place."""
    answer = send(client, *entries)
    assert answer.status_code == status, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"]


def location(shown):
    """Type/id of what a response entry is about."""
    parts = shown["response"]["location"].split("/")
    return "/".join(parts[-4:-2])


def count(client, value, resource_type="Patient"):
    """How many resources have that identifier."""
    found = client.get(
        resource_type, params={"identifier": f"{SYSTEM}|{value}", "_summary": "count"}
    )
    assert found.status_code == 200, found.text
    return found.json()["total"]


def by(value):
    """The criteria that select what has that identifier."""
    return f"identifier={SYSTEM}|{value}"


def labels(code):
    """The input of $meta-add for one tag."""
    meta = {"tag": [{"system": SYSTEM, "code": code}]}
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def patch_in_binary(content, content_type="application/json-patch+json"):
    """A JSON Patch, or the bytes of an XML Patch, as an entry carries it."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {
        "resourceType": "Binary",
        "contentType": content_type,
        "data": base64.b64encode(data).decode(),
    }


def parameters():
    """A FHIRPath Patch that adds a gender."""
    value = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "gender"},
        {"name": "value", "valueCode": "other"},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": value}]}


def everywhere(target):
    """A resource that refers to a target wherever R4 has it rewritten, and in a canonical."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{target}">a</a><img src="{target}" alt="b"/></div>'
    return {
        "resourceType": "ServiceRequest",
        "text": {"status": "additional", "div": div},
        "contained": [
            {
                "resourceType": "Basic",
                "id": "c",
                "code": {"text": target},
                "subject": {"reference": target},
            }
        ],
        "extension": [
            {"url": "https://example.org/a", "valueReference": {"reference": target}},
            {"url": "https://example.org/b", "valueUri": target},
            {"url": "https://example.org/c", "valueUrl": target},
            {"url": "https://example.org/d", "valueCanonical": target},
            {"url": "https://example.org/e", "valueString": target},
        ],
        "instantiatesCanonical": [target],
        "instantiatesUri": [target],
        "status": "active",
        "intent": "order",
        "subject": {"reference": target, "display": target},
        "supportingInfo": [{"reference": "#c"}],
    }
