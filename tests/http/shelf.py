"""Resources of one test on the shared server: each has the test's own tag, and searches ask for it."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

Json = dict[str, Any]


class Shelf:
    """Puts resources under short labels and finds them again, without meeting those of other tests."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.mark = f"t{uuid.uuid4().hex[:12]}"

    def id(self, label: str) -> str:
        """The logical id behind a label."""
        return f"{self.mark}-{label}"

    def put(self, kind: str, label: str, **content: Any) -> str:
        """Store a resource; returns "Type/id"."""
        meta = content.pop("meta", {})
        meta = {**meta, "tag": [*meta.get("tag", []), {"system": "urn:test", "code": self.mark}]}
        body = {"resourceType": kind, "id": self.id(label), "meta": meta, **content}
        answer = self.client.put(f"{kind}/{self.id(label)}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return f"{kind}/{self.id(label)}"

    def ask(self, path: str, **headers: str) -> httpx.Response:
        """A search by "Type?query"; # in it stands for the beginning of this test's ids."""
        kind, _, query = path.partition("?")
        query = query.replace("#", self.mark + "-")
        wanted = f"{kind}?_tag=urn:test|{self.mark}" + (f"&{query}" if query else "")
        return self.client.get(wanted, headers=headers)

    def bundle(self, path: str) -> Json:
        """The Bundle of a search that must succeed."""
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def find(self, path: str) -> list[str]:
        """The labels of the matches in their order; every parameter must have been understood."""
        bundle = self.bundle(path)
        assert not outcomes(bundle), outcomes(bundle)
        return self.labels(bundle)

    def labels(self, bundle: Json, mode: str = "match") -> list[str]:
        """The labels of a Bundle's entries of that mode."""
        return [item["id"].removeprefix(self.mark + "-") for item in resources(bundle, mode)]


def resources(bundle: Json, mode: str = "match") -> list[Json]:
    """The resources of a Bundle's entries of that mode."""
    return [item["resource"] for item in bundle.get("entry", []) if item["search"]["mode"] == mode]


def outcomes(bundle: Json) -> list[Json]:
    """The issues of the OperationOutcomes inside a Bundle."""
    return [issue for item in resources(bundle, "outcome") for issue in item["issue"]]


def link(bundle: Json, relation: str) -> str | None:
    """The url of a link."""
    return next((item["url"] for item in bundle["link"] if item["relation"] == relation), None)


def refusal(answer: httpx.Response, status: int = 400) -> Json:
    """The first issue of a bare OperationOutcome with that status."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    issue: Json = body["issue"][0]
    assert issue["severity"] == "error"
    return issue
