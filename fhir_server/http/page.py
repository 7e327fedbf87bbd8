"""The page that a person sees at /."""

from __future__ import annotations

from html import escape

from fhir_server import __version__

_STYLE = """
:root { color-scheme: light dark; --ink: #17202a; --paper: #fdfdfb; --line: #d8dcdf; --accent: #005eb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaec; --paper: #14181c; --line: #353c43; --accent: #6cb2f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.6 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 4rem 1.5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.02em; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .5rem; }
p { margin: 0 0 1rem; }
a { color: var(--accent); }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto; margin: .5rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: 14px; }
"""


def landing_page(base_url: str) -> str:
    """HTML that says what this is and where to go from here."""
    base = escape(base_url)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>FHIR R4 server</title><style>{_STYLE}</style></head><body><main>
<h1>FHIR R4 server for referrals and appointments</h1>
<p>Referrals, appointments and slots as validated FHIR R4 (4.0.1) resources, over a plain RESTful API.
Every resource type, JSON and XML, transactions, history, search.</p>
<dl>
<dt>FHIR base</dt><dd><code>{base}</code></dd>
<dt>What it offers</dt><dd><a href="/fhir/metadata?_pretty=true">CapabilityStatement</a></dd>
<dt>API documentation</dt><dd><a href="/docs">interactive</a>, <a href="/openapi.json">OpenAPI</a></dd>
<dt>Operations</dt><dd><a href="/health/ready">readiness</a>, <a href="/metrics">metrics</a></dd>
</dl>
<h2>Try it</h2>
<pre>curl '{base}/Slot?status=free&amp;_count=3&amp;_pretty=true'</pre>
<pre>curl '{base}/ServiceRequest?status=active&amp;_include=ServiceRequest:patient&amp;_count=2&amp;_pretty=true'</pre>
<pre>curl -H 'Content-Type: application/fhir+json' '{base}/Patient?_pretty=true' \\
  -d '{{"resourceType": "Patient", "name": [{{"family": "Example"}}]}}'</pre>
<footer>fhir-server {escape(__version__)} &middot; <a href="https://hl7.org/fhir/R4/">FHIR R4</a></footer>
</main></body></html>
"""
