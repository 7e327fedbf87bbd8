"""ServiceRequest/[id]/$document: a referral as a clinical summary or as the letter to its patient.

docs/referrals-directory.md, https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.directory import html
from fhir_server.directory.composition import document
from fhir_server.directory.gathered import Gathered, gather
from fhir_server.directory.letter import letter
from fhir_server.directory.paper import Paper
from fhir_server.directory.summary import summary
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction

_PDF = "application/pdf"
_KINDS: dict[str, Callable[[Gathered], Paper]] = {"summary": summary, "patient-letter": letter}


@dataclass(frozen=True)
class Document:
    """$document at the instance level, by GET and POST."""

    code: str = "document"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-document"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = False
    media_types: tuple[str, ...] = (html.MEDIA_TYPE, _PDF)

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a document Bundle, a page or a PDF; FhirError 404, 410, or 422 where there is no such document."""
        inputs = read_inputs(call, frozenset({"type"}))
        kind = inputs.text("type") or "summary"
        if kind not in _KINDS:
            raise errors.invalid(f"type is one of {', '.join(_KINDS)}", "Parameters.parameter")
        gathered = gather(call.logical_id or "", context, transaction)
        paper = _KINDS[kind](gathered)
        if call.media_type == html.MEDIA_TYPE:
            headers = {
                "Content-Security-Policy": html.SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            }
            return Result(200, html.page(paper), headers=headers, media_type=html.MEDIA_TYPE)
        if call.media_type == _PDF:
            from fhir_server.directory.pdf import pdf

            headers = {"Content-Disposition": f'inline; filename="{paper.name}.pdf"'}
            return Result(200, pdf(paper), headers=headers, media_type=_PDF)
        return Result(200, document(paper, gathered))
