"""The fast path of profiles: whether a value keeps one, by functions generated on first use.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from fhir_server.fhirpath import Node
from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.demands import Child, Demand, Profile
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.source import emit_profile
from fhir_server.validation.profiles.teller import Teller
from fhir_server.validation.profiles.values import below, fits, same
from fhir_server.validation.profiles.walker import walk_child, walk_demand
from fhir_server.validation.rules import Kind

_NOBODY: Final = Teller("")
Check = Callable[[Any, Run], bool]


def _walk(child: Child, holder: Any, run: Run) -> bool:
    node = Node(holder, "Element")
    return not any(map(refused, walk_child(child, node, "", run, _NOBODY)))


def _value(demand: Demand, value: Any, kind: str, run: Run) -> bool:
    return not any(map(refused, walk_demand(demand, Node(value, kind), "", run, _NOBODY)))


def compile_check(profile: Profile) -> Check:
    """The function of a profile: asked of a value that keeps its base rules, it tells whether it keeps the profile."""
    if profile.type[0].islower():
        return lambda value, run: _value(profile.root, value, profile.type, run)
    source, name = emit_profile(profile)
    kind = Kind(profile.type, profile.type, primitive=False, targets=None, sibling=False)
    tests = source.tests(replace(profile.root, children=()), kind, "o")
    lines = [*source.lines, "def check(o, r):", *(f"    {line}" for line in tests)]
    lines.append(f"    return {name}(o, r)")
    namespace: dict[str, Any] = {
        "walk": _walk,
        "value": _value,
        "same": same,
        "fits": fits,
        "below": below,
        **source.constants,
    }
    code = compile("\n".join(lines), f"<profile {profile.url}>", "exec")
    exec(code, namespace)  # noqa: S102 - the source is generated from the profile's demands, texts by repr
    found: Check = namespace["check"]
    return found
