"""Resources sent as the very text, and read back as text, for tests of data types."""

JSON = "application/fhir+json"
XML = "application/fhir+xml"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def sent(client, text, resource_type="Basic", content_type=JSON):
    """The answer to a create with that very text."""
    body = text if isinstance(text, bytes) else text.encode()
    return client.post(resource_type, content=body, headers={"Content-Type": content_type})


def refused(answer, *statuses):
    assert answer.status_code in statuses, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"][0]


def stored(client, answer, accept=JSON):
    assert answer.status_code == 201, answer.text
    return client.get(answer.headers["Location"], headers={"Accept": accept}).text
