"""What stands around the FHIR base: a page for people, health, metrics, API documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from fhir_server import __version__
from fhir_server.http.metrics import exposition
from fhir_server.http.page import landing_page

_OPENAPI_NOTE = (
    "The FHIR base is /fhir: every R4 resource type over the RESTful API of https://hl7.org/fhir/R4/http.html."
    " /fhir/metadata tells everything that is offered."
)


def shell(ready: Callable[[], bool], base_url: str) -> FastAPI:
    """The FastAPI application for everything that is not FHIR."""
    application = FastAPI(title="fhir-server", version=__version__, description=_OPENAPI_NOTE)

    @application.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(
            landing_page(base_url),
            headers={"content-security-policy": policy, "x-content-type-options": "nosniff"},
        )

    @application.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """200 while the process answers."""
        return {"status": "ok"}

    @application.get("/health/ready", tags=["health"])
    def readiness(response: Response) -> dict[str, str]:
        """200 when the database answers, else 503."""
        if ready():
            return {"status": "ok"}
        response.status_code = 503
        response.headers["retry-after"] = "1"
        return {"status": "the database does not answer"}

    @application.get("/metrics", response_class=PlainTextResponse, tags=["health"])
    def metrics() -> Response:
        """Prometheus metrics, of all workers together."""
        body, media_type = exposition()
        return Response(body, media_type=media_type)

    _describe(application)
    return application


def _describe(application: FastAPI) -> None:
    """Add the FHIR paths, which are served beside FastAPI, to its OpenAPI document."""
    made = application.openapi

    def openapi() -> dict[str, Any]:
        from fhir_server.http.openapi import fhir_paths

        document = made()
        document["paths"] |= fhir_paths()
        return document

    application.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
