"""A small terminology server on a port of its own."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from answering_server import answering

Json = dict[str, Any]


class Elsewhere:
    """A small terminology server on a port of its own; answers: operation -> (status, resource) or a function."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Json, dict[str, str]]] = []
        self.answers: dict[str, Any] = {}
        self.tokens = 0
        self.server = answering(self.answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/token":
            form = parse_qs(body.decode())
            good = form.get("client_id") == ["us"] and form.get("client_secret") == ["secret"]
            self.tokens += 1
            self.send(
                handler,
                200 if good else 401,
                {"access_token": f"t{self.tokens}", "expires_in": 300},
            )
            return
        operation = handler.path.removeprefix("/fhir/")
        self.asked.append((operation, json.loads(body), dict(handler.headers)))
        found = self.answers.get(operation, (404, {"resourceType": "OperationOutcome"}))
        status, resource = found() if callable(found) else found
        self.send(handler, status, resource)

    def send(self, handler: BaseHTTPRequestHandler, status: int, resource: Any) -> None:
        content = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
