"""What a search of the directory asks for, read from its parameters (docs/referrals-directory.md)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from math import isfinite
from typing import Any, Literal

from fhir_server.booking import facts, queries
from fhir_server.booking.inputs import Inputs
from fhir_server.directory import places
from fhir_server.directory.names import FLOW_TYPE
from fhir_server.directory.places import Place
from fhir_server.interactions.call import Context
from fhir_server.interactions.coded import refusal
from fhir_server.interactions.matching import criteria_of
from fhir_server.search.escaping import escape
from fhir_server.search.expression import Expression, IdIn
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.instants import SECOND
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Sort = Literal["distance", "wait"]
KNOWN = frozenset(
    {
        "specialty", "code", "type", "priority", "patient", "age", "sex", "age-sex-appropriate", "near", "postcode",
        "distance", "max-wait-days", "named-clinician", "organisation", "commissioning-org", "sort", "_count",
    }
)  # fmt: skip
_FLOWS = {"appointment": "BOOKABLE", "triage": "REVIEW", "advice": "ADVICE_AND_GUIDANCE"}
_PRIORITIES = {
    "routine": "routine", "urgent": "urgent", "asap": "two-week-wait", "two-week-wait": "two-week-wait",
    "two_week_wait": "two-week-wait", "2ww": "two-week-wait", "stat": "two-week-wait",
}  # fmt: skip
_SEXES = ("male", "female", "other", "unknown")
_PLACE = "Parameters.parameter"


@dataclass(frozen=True, slots=True)
class Asked:
    """criteria: name -> what an index answers; the rest is looked at service by service.

    distance: kilometres; maximum_wait: days; commissioner: an Organization/id; notes: what the caller should know.
    """

    criteria: tuple[tuple[str, Expression], ...]
    place: Place | None
    distance: float | None
    priority: str
    maximum_wait: float | None
    commissioner: str | None
    age: int | None
    sex: str | None
    sort: Sort
    count: int
    notes: tuple[Issue, ...] = ()


def note(diagnostics: str) -> Issue:
    """Something to know about the answer."""
    return Issue("information", "informational", diagnostics, (_PLACE,))


@dataclass
class Reader:
    """Reads the parameters of one call."""

    inputs: Inputs
    context: Context
    transaction: ReadTransaction
    notes: list[Issue] = field(default_factory=list)

    def read(self) -> Asked:
        """What is asked for; FhirError 400 or 422, so that no criterion is left out in silence."""
        place, distance = self._place()
        sort = self._one_of("sort", ("distance", "wait"))
        if sort == "distance" and place is None:
            raise errors.required("sort=distance needs near or postcode", _PLACE)
        if sort is None:
            sort = "wait" if place is None else "distance"
        age, sex = self._person()
        count = self.inputs.number("_count", 1, 10_000)
        policy = self.context.policy
        asked = Asked(
            criteria=tuple(self._criteria()),
            place=place,
            distance=distance,
            priority=self._priority(),
            maximum_wait=self._number("max-wait-days"),
            commissioner=self._organisation("commissioning-org"),
            age=age,
            sex=sex,
            sort="distance" if sort == "distance" else "wait",
            count=min(count or policy.default_count, policy.maximum_count),
        )
        return replace(asked, notes=tuple(self.notes))

    def _criteria(self) -> list[tuple[str, Expression]]:
        found: list[tuple[str, Expression]] = []
        for name, code in (("specialty", "specialty"), ("code", "service-type")):
            values = [token(value, name) for value in self.inputs.all(name)]
            if values:
                criteria = ((code, ",".join(values)),)
                found.append((name, criteria_of("HealthcareService", criteria, self.context)))
        kind = self._one_of("type", tuple(_FLOWS))
        if kind is not None:
            criteria = (("characteristic", f"{FLOW_TYPE}|{_FLOWS[kind]}"),)
            found.append(("type", criteria_of("HealthcareService", criteria, self.context)))
        organisation = self._organisation("organisation")
        if organisation is not None:
            refers = queries.referring("HealthcareService", "organization", [organisation])
            found.append(("organisation", refers))
        if self.inputs.all("named-clinician"):
            found.append(("named-clinician", IdIn(tuple(self._services_of_clinician()))))
        return found

    def _services_of_clinician(self) -> list[str]:
        """The services that the roles of the clinician name, or one role."""
        text = self.inputs.text("named-clinician") or ""
        named = text if "/" in text else f"Practitioner/{text}"
        where = (
            IdIn((named.rpartition("/")[2],))
            if named.startswith("PractitionerRole/")
            else queries.referring("PractitionerRole", "practitioner", [named])
        )
        services = []
        for version in queries.found("PractitionerRole", where, self.transaction, 1000):
            role = parse_stored(version.body)
            if role.get("active", True):
                listed = role.get("healthcareService", ())
                services += [target[1] for _, target in facts.targets(listed, self.context)]
        return sorted(set(services))

    def _organisation(self, name: str) -> str | None:
        text = self.inputs.text(name)
        return text if text is None or "/" in text else f"Organization/{text}"

    def _place(self) -> tuple[Place | None, float | None]:
        text, postcode = self.inputs.text("near"), self.inputs.text("postcode")
        distance = self._number("distance")
        if text is not None and postcode is not None:
            raise errors.invalid("Send near or postcode, not both", _PLACE)
        if text is not None:
            place, within = places.near(text)
            if within is not None and distance is not None:
                raise errors.invalid("near holds a distance already; leave one out", _PLACE)
            return place, within if distance is None else distance
        if postcode is None:
            if distance is not None:
                raise errors.required("distance needs near or postcode", _PLACE)
            return None, None
        place = places.of_postcode(postcode, self.transaction)
        if place.of == "outward code":
            told = "The postcode is not known; distances are from the middle of its first half"
            self.notes.append(note(told))
        return place, distance

    def _priority(self) -> str:
        value = self.inputs.one("priority")
        if isinstance(value, dict):
            value = _code_of(value)
        if value is None:
            return "routine"
        if not isinstance(value, str) or value.lower() not in _PRIORITIES:
            raise errors.invalid("priority is routine, urgent, asap or two-week-wait", _PLACE)
        return _PRIORITIES[value.lower()]

    def _one_of(self, name: str, values: tuple[str, ...]) -> str | None:
        value = self.inputs.text(name)
        if value is not None and value not in values:
            raise errors.invalid(f"{name} is one of {', '.join(values)}", _PLACE)
        return value

    def _number(self, name: str) -> float | None:
        value = self.inputs.one(name)
        if value is None:
            return None
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError):
            found = -1.0
        if isinstance(value, bool) or not isfinite(found) or found < 0:
            raise errors.invalid(f"{name} must be a number from 0", _PLACE)
        return found

    def _person(self) -> tuple[int | None, str | None]:
        age = self.inputs.number("age", 0, 150)
        sex = self._one_of("sex", _SEXES)
        reference = self.inputs.text("patient")
        if reference is not None:
            born, stated = self._patient(reference)
            age = age if age is not None else born
            sex = sex or stated
        wanted = self.inputs.one("age-sex-appropriate")
        if wanted in (False, "false"):
            self.notes.append(note("Age and sex are not looked at, as age-sex-appropriate=false"))
            return None, None
        if wanted not in (None, True, "true"):
            raise errors.invalid("age-sex-appropriate is true or false", _PLACE)
        asked = reference is not None or wanted is not None
        for name, value in (("age", age), ("sex", sex)):
            if asked and value is None:
                told = f"The patient's {name} is not known, so services are not left out for it"
                self.notes.append(note(told))
        return age, sex

    def _patient(self, reference: str) -> tuple[int | None, str | None]:
        named = reference if "/" in reference else f"Patient/{reference}"
        targets = [item for _, item in facts.targets([{"reference": named}], self.context)]
        patient = (
            facts.resource(targets[0], self.context, self.transaction)
            if targets and targets[0][0] == "Patient"
            else None
        )
        if patient is None:
            told = "patient names no Patient of this server"
            raise refusal(422, "not-found", "REFERENCE_NOT_FOUND", told, _PLACE)
        return self._age(patient.get("birthDate")), patient.get("gender")

    def _age(self, birth_date: Any) -> int | None:
        if not isinstance(birth_date, str) or len(birth_date) < 10:
            return None
        born = date.fromisoformat(birth_date)
        today = datetime.fromtimestamp(self.context.now() / SECOND, self.context.policy.zone)
        before = (today.month, today.day) < (born.month, born.day)
        return max(0, today.year - born.year - before)


def token(value: Any, name: str) -> str:
    """A code as a search writes it: code or system|code, also from a Coding or CodeableConcept."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, dict):
        coding = next(iter(value.get("coding", ())), value)
        code = coding.get("code")
        if isinstance(code, str):
            system = coding.get("system")
            return f"{escape(system)}|{escape(code)}" if system else escape(code)
    raise errors.invalid(f"{name} must be a code, system|code or a Coding", _PLACE)


def _code_of(value: Json) -> Any:
    return next(iter(value.get("coding", ())), value).get("code")
