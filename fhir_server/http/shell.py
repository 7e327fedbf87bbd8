"""What stands around the FHIR base: a page for people, health, metrics, API documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from fhir_server import __version__
from fhir_server.http.metrics import exposition
from fhir_server.http.page import landing_page
from fhir_server.spec.json_format import serialise
from fhir_server.validation.schemas.documents import Schemas, own_profiles

_OPENAPI_NOTE = (
    "The FHIR base is /fhir: every R4 resource type over the RESTful API of https://hl7.org/fhir/R4/http.html."
    " /fhir/metadata tells everything that is offered."
)


def shell(ready: Callable[[], bool], base_url: str, schemas: Schemas) -> FastAPI:
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

    _offer_schemas(application, base_url.removesuffix("/fhir"), schemas)
    _describe(application, schemas)
    return application


def _offer_schemas(application: FastAPI, root: str, schemas: Schemas) -> None:
    known: dict[str, bytes] = {}

    @application.get("/schemas/{name}.json", tags=["schemas"])
    def schema(name: str) -> Response:
        """JSON Schema (2020-12) of a resource type, or of a profile of this server by its id; 404 for another name."""
        if name not in known:
            document = schemas.document(name, f"{root}/schemas/{name}.json")
            if document is None:
                return PlainTextResponse("There is no such type or profile", 404)
            known[name] = serialise(document)
        return Response(known[name], media_type="application/schema+json")


def _describe(application: FastAPI, schemas: Schemas) -> None:
    """Add what is served beside FastAPI to its OpenAPI document: the FHIR paths, and the schemas of our profiles."""
    made = application.openapi
    told: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        from fhir_server.http.openapi import components, fhir_paths

        if not told:
            document = made()
            document["paths"] |= fhir_paths()
            listed = document.setdefault("components", {}).setdefault("schemas", {})
            listed |= components(schemas.definitions(tuple(own_profiles())))
            told.update(document)
        return told

    application.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
