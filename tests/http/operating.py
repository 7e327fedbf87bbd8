"""Inputs of operations, and what comes back."""


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
