"""What each invariant asks for, in words that tell the caller what to change.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
A sentence follows the element's path: "Appointment.participant[0] needs a type or an actor (app-1)".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.validation.rules import Invariant

_SENTENCES: Final[Mapping[str, str]] = {
    "age-1": "needs a UCUM code when it has a value, and a value above zero",
    "app-1": "needs a type or an actor",
    "app-2": "has only one of start and end; give both or neither",
    "app-3": "needs start and end unless its status is proposed, cancelled or waitlist",
    "app-4": "has a cancelationReason; that goes with the status cancelled or noshow only",
    "apr-1": "needs a participantType or an actor",
    "ait-1": "needs a clinicalStatus unless its verificationStatus is entered-in-error",
    "ait-2": "was entered in error; remove its clinicalStatus",
    "att-1": "has data; say what they are in contentType",
    "bdl-1": "has a total; that goes with the type searchset or history only",
    "bdl-2": "has entries with search; that goes with the type searchset only",
    "bdl-3": "needs a request in every entry of a batch, transaction or history, and in no other type",
    "bdl-4": "needs a response in every entry of a batch-response, transaction-response or history, "
    "and in no other type",
    "bdl-5": "needs a resource, a request or a response",
    "bdl-7": "has two entries with the same fullUrl and version; keep one",
    "bdl-8": "has a fullUrl of one version; remove /_history/ and what follows",
    "bdl-9": "is a document; give its identifier a system and a value",
    "bdl-10": "is a document; give it a timestamp",
    "bdl-11": "is a document; put a Composition into its first entry",
    "bdl-12": "is a message; put a MessageHeader into its first entry",
    "cnt-3": "must be a whole number with the UCUM code 1",
    "con-1": "needs a summary or an assessment",
    "con-2": "needs a code or a detail",
    "con-3": "needs a clinicalStatus, as a problem list item that was not entered in error",
    "con-4": "has an abatement; set clinicalStatus to resolved, remission or inactive",
    "con-5": "was entered in error; remove its clinicalStatus",
    "cmp-1": "needs text, entries or sections",
    "cmp-2": "has entries and an emptyReason; keep one",
    "cpl-3": "has a detail and a reference; keep one",
    "cpt-2": "has a value; say what it is in system",
    "csd-1": "has two concepts with the same code; keep one",
    "ctm-1": "acts on behalf of an organization; its member must be a Practitioner",
    "dis-1": "needs a UCUM code of a length when it has a value",
    "dom-6": "has no narrative; a text helps readers without software for this type",
    "drt-1": "needs a UCUM code of time when it has a value",
    "exp-1": "needs an expression or a reference",
    "fhs-1": "has age and born; keep one",
    "fhs-2": "has estimatedAge without age; add the age",
    "gol-1": "has a detail; say of which measure",
    "grp-1": "has members; set actual to true",
    "ipn-1": "needs an identifier or a name",
    "lst-1": "has entries and an emptyReason; keep one",
    "lst-2": "has deleted entries; set mode to changes",
    "lst-3": "has dated entries; set mode to working",
    "lnk-1": "needs at least two items",
    "mad-1": "needs a dose or a rate",
    "mdd-1": "is handed over before it is prepared; correct whenHandedOver or whenPrepared",
    "nsd-2": "has two preferred identifiers of one type; keep one",
    "obs-3": "needs low, high or text",
    "obs-6": "has a value and a dataAbsentReason; keep one",
    "obs-7": "has a component with its own code and both have values; remove one value",
    "org-1": "needs an identifier or a name",
    "org-2": "is of use home; an organization has no home address",
    "org-3": "is of use home; an organization has no home contact",
    "pat-1": "needs a name, a telecom, an address or an organization",
    "per-1": "ends before it starts; correct start or end",
    "ppc-1": "needs a policy or a policyRule",
    "prr-1": "has an orderDetail; add the code that it details",
    "qrs-1": "has answers and items; nest the items in the answers",
    "qty-3": "has a code; say of which system",
    "que-1": "must have items when it is a group and none when it is a display",
    "que-2": "has two items with the same linkId; give each its own",
    "que-3": "is a display; remove its code",
    "que-4": "has answerOption and answerValueSet; keep one",
    "que-5": "has answer options, but its type takes none",
    "que-6": "is a display; remove required and repeats",
    "que-7": "asks whether an answer exists; make the answer a boolean",
    "que-8": "is a group or a display; remove its initial value",
    "que-9": "is a display; remove readOnly",
    "que-10": "has a maxLength, but its type has no length",
    "que-11": "has answerOption and initial; use initialSelected",
    "que-12": "has several enableWhen; say with enableBehavior how they join",
    "que-13": "has several initial values; set repeats to true",
    "ras-1": "must be percentages, with the UCUM code %",
    "ras-2": "must be at most 100",
    "rat-1": "needs both a numerator and a denominator, or neither and an extension",
    "ref-1": "refers to a contained resource that is not there",
    "rng-2": "has a low above its high; correct one",
    "rqg-1": "needs either a resource or actions",
    "sev-1": "has a name and a query; keep one",
    "spd-1": "has an xpath; add xpathUsage",
    "spd-2": "has a chain; only reference parameters have",
    "sqty-1": "has a comparator; remove it",
    "tim-1": "has a duration; add durationUnit",
    "tim-2": "has a period; add periodUnit",
    "tim-4": "has a duration below zero",
    "tim-5": "has a period below zero",
    "tim-6": "has a periodMax; add period",
    "tim-7": "has a durationMax; add duration",
    "tim-8": "has a countMax; add count",
    "tim-9": "has an offset; add a when other than C, CM, CD and CV",
    "tim-10": "has timeOfDay and when; keep one",
    "trd-1": "has data and timing; keep one",
    "trd-2": "has a condition; add the data that it looks at",
    "trd-3": "needs a name, a timing or data, as its type says",
    "txt-1": "may hold only the formatting of R4's narrative",
    "txt-2": "must say something",
    "vsd-1": "needs a valueSet or a system",
    "vsd-2": "has concepts or filters; say of which system",
    "vsd-3": "has concepts and filters; keep one",
    "vsd-6": "needs a code or a display",
    "vsd-9": "needs a code unless it is abstract",
    "vsd-10": "has a code; say of which system",
}
# Published under one key with three meanings.
_BY_PATH: Final[Mapping[tuple[str, str], str]] = {
    ("Parameters.parameter", "inv-1"): "needs exactly one of a value, a resource and parts",
    ("Task", "inv-1"): "has a lastModified before its authoredOn; correct one",
}
_NAME: Final = "should have a name that a program can use: a capital, then letters, digits and _"


def sentence(invariant: Invariant, path: str) -> str:
    """What is wrong with the element at a path that breaks an invariant."""
    says = _BY_PATH.get((invariant.path, invariant.key)) or _SENTENCES.get(invariant.key)
    if says is None and invariant.key.endswith("-0"):
        says = _NAME
    if says is None:
        says = f"breaks a rule of {invariant.path}: {invariant.expression}"
    return f"{path} {says} ({invariant.key})"
