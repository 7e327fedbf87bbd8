"""A paper as a web page, and its sections as narratives: text of resources is escaped, nothing of a page runs or loads.

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING

from fhir_server.directory import words
from fhir_server.directory.paper import Paper, Section
from fhir_server.spec.instants import write_instant

if TYPE_CHECKING:
    from jinja2 import Environment

MEDIA_TYPE = "text/html"
_STYLE = (
    "body{font-family:Arial,sans-serif;line-height:1.5;margin:2rem auto;max-width:48rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{border-bottom:1px solid #768692;padding:.3rem .5rem;text-align:left;vertical-align:top}"
    ".written{color:#425563}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Only the page's own style is taken; no script, no image, no form, no frame, and nothing from anywhere else.
SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; sandbox"
)


@cache
def _environment() -> Environment:
    # Loaded with the first paper, to start the sooner.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("fhir_server.directory"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(paper: Paper) -> bytes:
    """The whole document as HTML."""
    template = _environment().get_template("page.html.j2")
    made = template.render(paper=paper, written=written(paper), style=_STYLE)
    return made.encode()


def narrative(section: Section) -> str:
    """A section as the XHTML div of a narrative."""
    return _environment().get_template("section.html.j2").render(section=section).strip()


def written(paper: Paper) -> str:
    """When the paper was made, for people."""
    return words.moment(write_instant(paper.written), paper.context.policy.zone)
