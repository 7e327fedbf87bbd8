"""$lookup, $validate-code and $subsumes of CodeSystem.

https://hl7.org/fhir/R4/codesystem-operations.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.operations.terminology import Question, codes_asked, of, parameters, told
from fhir_server.spec import errors
from fhir_server.terminology import Concept, Unknown
from fhir_server.terminology.code_systems import System, read_code_system, relation
from fhir_server.terminology.verdicts import Asked, Manner, Verdict, in_code_system, of_any

Json = dict[str, Any]
_PLACE = "Parameters.parameter"
_ALWAYS = frozenset({"name", "version", "display", "url", "code", "system"})


def lookup(question: Question) -> Json:
    """What a code system says of a code."""
    code, coding = question.first("code"), question.first("coding")
    if (code is None) == (coding is None):
        raise errors.required("Send code and system, or coding", _PLACE)
    url, version = question.first("system"), question.first("version")
    if coding is not None:
        code, url, version = coding.get("code"), coding.get("system"), coding.get("version")
    if not code or not url:
        raise errors.required("A code is looked up in a system; send both", _PLACE)
    system = question.terminology.system(url, version)
    concept = system.find(code)
    if concept is None:
        raise errors.not_found(f"The code system {url[:300]} has no code '{code[:100]}'")
    wanted = frozenset(question.all("property"))
    language = question.first("displayLanguage")
    listed: list[Json | None] = [
        of("name", "String", system.name),
        of("version", "String", system.version),
        of("display", "String", concept.display_in(language) or concept.code),
    ]
    if not wanted or "designation" in wanted or any(item.startswith("lang.") for item in wanted):
        listed += [_designation(item) for item in concept.designations if _speaks(item, wanted)]
    listed += [
        _property(name, value, kind)
        for name, kind, value in _properties(system, concept)
        if not wanted or name in wanted
    ]
    return parameters(*listed)


def _speaks(designation: Json, wanted: frozenset[str]) -> bool:
    languages = {item.removeprefix("lang.") for item in wanted if item.startswith("lang.")}
    return not languages or designation.get("language") in languages


def _designation(item: Json) -> Json:
    parts = (
        of("language", "Code", item.get("language")),
        of("use", "Coding", item.get("use")),
        of("value", "String", item.get("value")),
    )
    return {"name": "designation", "part": [part for part in parts if part]}


def _property(name: str, value: Any, kind: str) -> Json:
    return {
        "name": "property",
        "part": [of("code", "Code", name), {"name": "value", kind: value}],
    }


def _properties(system: System, concept: Concept) -> list[tuple[str, str, Any]]:
    """(code, value[x], value) of what is known of a concept, its place in the hierarchy included."""
    found: list[tuple[str, str, Any]] = []
    if concept.definition:
        found.append(("definition", "valueString", concept.definition))
    own = {str(item.get("code")) for item in concept.properties}
    if "inactive" not in own:
        found.append(("inactive", "valueBoolean", concept.inactive))
    if concept.abstract and "notSelectable" not in own:
        found.append(("notSelectable", "valueBoolean", True))
    found += [("parent", "valueCode", code) for code in concept.parents]
    children = getattr(system, "children", {})
    found += [("child", "valueCode", code) for code in children.get(concept.code, ())]
    for item in concept.properties:
        if item.get("code") not in ("parent", "child", "subsumedBy"):
            kind = next((name for name in item if name.startswith("value")), None)
            if kind is not None:
                found.append((str(item.get("code")), kind, item[kind]))
    return found


def validate_code(question: Question) -> Json:
    """Whether a code is in a code system."""
    system, url = _system(question)
    asked = codes_asked(question, url, question.first("version"))
    if system is None and url is None:
        if question.first("code") is not None:
            raise errors.required("A code needs its code system: send url or codeSystem", _PLACE)
        url = next((item.system for item in asked if item.system), None)
    manner = Manner(question.first("abstract") is True, question.first("displayLanguage"))

    def verdict(code: Asked) -> Verdict:
        if code.system is None:
            return Verdict(False, f"'{code.shown}' has no system")
        if system is not None and code.system not in (system.url, url):
            return Verdict(False, f"'{code.shown}' is of another code system than {system.url}")
        try:
            found = system or question.terminology.system(code.system, code.version)
        except Unknown as fault:
            return Verdict(False, f"It cannot be told: {fault}")
        return in_code_system(found, code, manner)

    return told(of_any(asked, verdict) if len(asked) != 1 else verdict(asked[0]))


def _system(question: Question) -> tuple[System | None, str | None]:
    """The code system of the instance, codeSystem or url, and its url."""
    instance, inline, url = question.instance(), question.first("codeSystem"), question.first("url")
    source = instance or inline
    if source is not None:
        return read_code_system(source), source.get("url") or ""
    if url is None:
        return None, None
    return question.terminology.system(url, question.first("version")), url


def subsumes(question: Question) -> Json:
    """How one code relates to another."""
    source = question.instance()
    one, other = question.first("codingA"), question.first("codingB")
    url, version = question.first("system"), question.first("version")
    codes = (question.first("codeA"), question.first("codeB"))
    if one is not None and other is not None:
        if one.get("system") != other.get("system"):
            raise errors.invalid("codingA and codingB are of two systems; send two of one", _PLACE)
        codes, url = (one.get("code"), other.get("code")), one.get("system")
        version = version or one.get("version") or other.get("version")
    if None in codes:
        raise errors.required("Send codeA and codeB with system, or codingA and codingB", _PLACE)
    if source is None and not url:
        raise errors.required("Send the system of the codes", _PLACE)
    system = read_code_system(source) if source else question.terminology.system(url, version)
    found = []
    for code in codes:
        concept = system.find(code)
        if concept is None:
            raise errors.not_found(f"The code system {system.url} has no code '{code[:100]}'")
        found.append(concept.code)
    server = question.terminology.remote(url) if source is None else None
    ask = relation if server is None else server.relation
    outcome = ask(system, found[0], found[1])
    return parameters(of("outcome", "Code", outcome))
