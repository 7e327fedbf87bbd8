"""Requests byte by byte, where a well-behaved client is in the way."""

import json
import socket

CREATE = (
    b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Connection:
    """A connection to a port of this machine."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The next answer: its status, headers and body."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers.get("content-length", 0)))

    def is_closed(self):
        """Whether the server closes the connection without another word."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def begin_create(self, resource):
        """Send a create but for the second half of its body, which is returned.

        On return the server works on the request: it has asked for the body.
        """
        body = json.dumps(resource).encode()
        head = CREATE % len(body)
        self.send(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert self.answer()[0] == 100
        half = len(body) // 2
        self.send(body[:half])
        return body[half:]


def outcome(body):
    """The first issue of an OperationOutcome."""
    resource = json.loads(body)
    assert resource["resourceType"] == "OperationOutcome"
    return resource["issue"][0]
