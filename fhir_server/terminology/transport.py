"""HTTP to a terminology server: one POST at a time, bounded in time and size, with a token where one is wanted."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from fhir_server.terminology.faults import Refused, TransportError

Json = dict[str, Any]
LARGEST_ANSWER = 20_000_000
_CHUNK = 65_536
_JSON = "application/fhir+json"
# A token is renewed this many seconds before it expires.
_EARLY = 30


class _NoRedirects(HTTPRedirectHandler):
    """A terminology server is asked where the settings say, and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs


def _is_answer(found: Json) -> bool:
    """Whether it has the shape of what terminology operations answer."""
    match found.get("resourceType"):
        case "Parameters":
            listed = found.get("parameter", [])
            return _are_objects(listed) and all(
                _are_objects(item.get("part", [])) and "name" in item for item in listed
            )
        case "ValueSet":
            expansion = found.get("expansion", {})
            total = expansion.get("total", 0) if isinstance(expansion, dict) else None
            return isinstance(total, int) and _are_objects(expansion.get("contains", []))
    return False


def _are_objects(listed: Any) -> bool:
    return isinstance(listed, list) and all(isinstance(item, dict) for item in listed)


class Transport:
    """Posts Parameters to operations below a FHIR base; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        token_url: str = "",
        client_id: str = "",
        client_secret: str = "",
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._token_url = token_url
        self._client = (client_id, client_secret)
        self._token = ("", 0.0)
        self._lock = threading.Lock()
        self._opener = build_opener(_NoRedirects())

    def post(self, operation: str, body: bytes) -> Json:
        """The resource that the operation answers. Raises Refused and TransportError."""
        headers = {"Content-Type": _JSON, "Accept": _JSON}
        if self._token_url:
            headers["Authorization"] = f"Bearer {self._valid_token()}"
        try:
            found = self._send(f"{self.url}/{operation}", body, headers)
        except HTTPError as error:
            error.close()
            if error.code in (400, 404, 422):
                raise Refused(str(error.code)) from None
            if error.code == 401:
                self._token = ("", 0.0)
            raise TransportError(f"status {error.code}") from None
        if not isinstance(found, dict) or not _is_answer(found):
            raise TransportError("the answer is neither Parameters nor a ValueSet")
        return found

    def _valid_token(self) -> str:
        with self._lock:
            token, expires = self._token
            if token and time.monotonic() < expires:
                return token
            client_id, client_secret = self._client
            form = urlencode(
                {
                    "grant_type": "client_credentials",
                    "client_id": client_id,
                    "client_secret": client_secret,
                }
            ).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            try:
                found = self._send(self._token_url, form, headers)
            except HTTPError as error:
                error.close()
                raise TransportError(f"no token, status {error.code}") from None
            if not isinstance(found, dict) or not isinstance(found.get("access_token"), str):
                raise TransportError("no token in the answer")
            seconds = found.get("expires_in", 300)
            lasts = seconds if isinstance(seconds, int) else 300
            self._token = (found["access_token"], time.monotonic() + max(0, lasts - _EARLY))
            return self._token[0]

    def _send(self, url: str, body: bytes, headers: dict[str, str]) -> Any:
        if not url.startswith(("http://", "https://")):
            raise TransportError("the URL is not HTTP")
        request = Request(url, body, headers, method="POST")  # noqa: S310 - checked above
        end = time.monotonic() + self.timeout
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                content = bytearray()
                while chunk := answer.read1(_CHUNK):
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        raise TransportError("the answer is too large")
                    if time.monotonic() > end:
                        raise TransportError("it takes too long")
            return json.loads(content)
        except HTTPError:
            raise
        except TimeoutError:
            raise TransportError("it takes too long") from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            told = "it takes too long" if isinstance(reason, TimeoutError) else "no connection"
            raise TransportError(told) from None
        except ValueError:
            raise TransportError("the answer is no JSON") from None
