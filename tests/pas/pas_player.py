"""A small PAS on a port of its own that answers as a test wants it to."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from answering_server import answering

Json = dict[str, Any]


class Pas:
    """says: "yes" (with the Appointment), "minimal" (an empty 200), "no", "silent", "error", "garbage", "redirect",
    "drop" or "other" (an Appointment with another status); told: what it was sent, with its headers."""

    def __init__(self) -> None:
        self.says = "yes"
        self.seconds = 0.0
        self.told: list[tuple[str, Json, dict[str, str]]] = []
        self.most_at_once = self._at_once = 0
        self.doubles = 0
        self._asked_now: list[str] = []
        self._lock = threading.Lock()
        self.server = answering(self.answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/fhir"

    def answer(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        body = json.loads(content)
        with self._lock:
            self.told.append(
                (handler.path, body, {k.lower(): v for k, v in handler.headers.items()})
            )
            self.doubles += handler.path in self._asked_now
            self._asked_now.append(handler.path)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            says = self.says
            time.sleep(self.seconds)
            while says == self.says == "silent":
                time.sleep(0.02)
            self._send(handler, says, body)
        finally:
            with self._lock:
                self._asked_now.remove(handler.path)
                self._at_once -= 1

    def _send(self, handler: BaseHTTPRequestHandler, says: str, body: Json) -> None:
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "conflict"}],
        }
        if says in ("drop", "silent"):
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        status, content = {
            "yes": (201, json.dumps(body).encode()),
            "minimal": (200, b""),
            "no": (409, json.dumps(outcome).encode()),
            "error": (500, json.dumps(outcome).encode()),
            "garbage": (200, b"<html>"),
            "deep": (200, b"[" * 100_000),
            "other": (200, json.dumps(body | {"status": "pending"}).encode()),
            "redirect": (307, b""),
        }[says]
        handler.send_response(status)
        if says == "redirect":
            handler.send_header("Location", f"{self.url}/elsewhere")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def about(self, logical_id: str) -> list[tuple[Json, dict[str, str]]]:
        """What it was told about an appointment."""
        path = f"/fhir/Appointment/{logical_id}"
        return [(body, headers) for where, body, headers in self.told if where == path]

    def was_told(self, appointment: Json) -> bool:
        """Whether it was told about an appointment with that identifier."""
        wanted = appointment["identifier"]
        return any(body.get("identifier") == wanted for _, body, _ in self.told)

    def close(self) -> None:
        self.says = "drop"
        self.server.shutdown()
        self.server.server_close()
