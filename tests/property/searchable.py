"""Resources and searches made at random from few values, so that they meet."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
NUMBER = 40
FAMILIES = ("Müller", "Muller", "O'Brien", "Smith-Jones", "van der Berg", "Ålund", "smith", "")
DATES = (
    "2026", "2026-03", "2026-03-29", "2026-03-29T00:30:00Z", "2026-10-25T01:30:00+01:00",
    "2026-10-25", "2025-12-31T23:59:59.999Z", "2026-03-29T02:30:00+01:00",
)  # fmt: skip
CODES = ("a", "b", "c", "A")
SYSTEMS = ("urn:one", "urn:two", "")
UNITS = (("mg", "mg"), ("g", "g"), ("kg", "kg"), ("mL", "mL"), ("", ""))
NUMBERS = ("0.5", "1", "1.0", "5.4", "5400", "1000", "-3")


def _coding(chance: random.Random) -> Json:
    system = chance.choice(SYSTEMS)
    coding: Json = {
        "code": chance.choice(CODES),
        "display": f"The {chance.choice(FAMILIES) or 'x'} one",
    }
    return coding | ({"system": system} if system else {})


def _identifier(chance: random.Random) -> Json:
    system = chance.choice(SYSTEMS)
    found: Json = {"value": str(chance.randrange(6)), "type": {"coding": [_coding(chance)]}}
    return found | ({"system": system} if system else {})


def _reference(chance: random.Random, kind: str) -> Json:
    match chance.randrange(5):
        case 0:
            return {"identifier": _identifier(chance)}
        case 1:
            return {"reference": f"{kind}/{chance.randrange(NUMBER)}/_history/1", "display": "x"}
        case 2:
            return {"reference": f"https://elsewhere.example.org/{kind}/{chance.randrange(3)}"}
    return {"reference": f"{kind}/{chance.randrange(NUMBER)}"}


def _quantity(chance: random.Random) -> Json:
    unit, code = chance.choice(UNITS)
    found: Json = {"value": Decimal(chance.choice(NUMBERS))}
    return found | ({"unit": unit, "code": code, "system": UCUM} if unit else {})


def _period(chance: random.Random) -> Json:
    start, end = sorted(chance.sample(("2026-01-01", "2026-03-29", "2026-06-01", "2026-10-25"), 2))
    return chance.choice(({"start": start}, {"end": end}, {"start": start, "end": end}))


def _some(chance: random.Random, **content: Any) -> Json:
    """Each element is there or not."""
    return {name: value for name, value in content.items() if chance.random() < 0.7}


def resources(seed: int) -> Iterator[Json]:
    """Patients, observations, appointments, slots, schedules and locations, without ids."""
    chance = random.Random(seed)
    for number in range(NUMBER):
        yield {"resourceType": "Patient", "id": str(number)} | _some(
            chance,
            name=[
                {
                    "family": chance.choice(FAMILIES) or "x",
                    "given": [chance.choice(FAMILIES) or "y"],
                }
                for _ in range(chance.randrange(1, 3))
            ],
            gender=chance.choice(("male", "female")),
            birthDate=chance.choice(("2026", "1990-03-29", "1990-04", "2000-02-29")),
            identifier=[_identifier(chance)],
            active=chance.choice((True, False)),
            generalPractitioner=[_reference(chance, "Practitioner")],
        )
        yield {
            "resourceType": "Observation",
            "id": str(number),
            "code": {"coding": [_coding(chance)]},
        } | _some(
            chance,
            subject=_reference(chance, "Patient"),
            effectiveDateTime=chance.choice(DATES),
            valueQuantity=_quantity(chance),
            component=[
                {"code": {"coding": [_coding(chance)]}, "valueQuantity": _quantity(chance)}
                for _ in range(chance.randrange(3))
            ],
        )
        yield {"resourceType": "Schedule", "id": str(number)} | _some(
            chance,
            actor=[_reference(chance, "Patient"), _reference(chance, "Location")],
            planningHorizon=_period(chance),
            active=True,
        )
        yield {"resourceType": "Slot", "id": str(number)} | _some(
            chance,
            schedule=_reference(chance, "Schedule"),
            status=chance.choice(("free", "busy")),
            start=chance.choice(DATES[3:5]),
            serviceType=[{"coding": [_coding(chance), _coding(chance)]}],
        )
        yield {"resourceType": "Location", "id": str(number)} | _some(
            chance,
            position={
                "latitude": chance.randrange(-90, 91),
                "longitude": chance.randrange(-180, 181),
            },
            name=chance.choice(FAMILIES) or "z",
            partOf=_reference(chance, "Location"),
        )
        yield {"resourceType": "RiskAssessment", "id": str(number)} | _some(
            chance,
            subject=_reference(chance, "Patient"),
            prediction=[{"probabilityDecimal": _quantity(chance)["value"]}],
            occurrencePeriod=_period(chance),
        )


PREFIXES = st.sampled_from(("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))
_DATE = st.tuples(PREFIXES, st.sampled_from((*DATES, "2026-03-28", "2027"))).map("".join)
_TOKEN = st.tuples(st.sampled_from(("", "|", "urn:one|", "urn:two|")), st.sampled_from(CODES)).map(
    "".join
)
_STRING = st.sampled_from(("mul", "Müller", "smith", "BERG", "o'b", "jones", "x", "a"))
_ID = st.integers(0, NUMBER).map(str)
_NUMBER = st.tuples(PREFIXES, st.sampled_from(NUMBERS)).map("".join)
_QUANTITY = st.tuples(
    _NUMBER, st.sampled_from(("", f"|{UCUM}|mg", f"|{UCUM}|g", "||mg", "||kg"))
).map("".join)


def _joined(*parts: object) -> st.SearchStrategy[str]:
    """Texts one after the other: a tuple is one of them, a strategy any of its."""
    drawn = [
        st.sampled_from(part) if isinstance(part, tuple)
        else st.just(part) if isinstance(part, str) else part
        for part in parts
    ]  # fmt: skip
    return st.tuples(*drawn).map("".join)


_DIGIT = tuple("012345")


def _pair(name: str, value: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    listed = st.lists(value, min_size=1, max_size=3).map(",".join)
    return st.tuples(st.just(name), listed)


def _missing(*names: str) -> st.SearchStrategy[tuple[str, str]]:
    named = st.sampled_from([f"{name}:missing" for name in names])
    return st.tuples(named, st.sampled_from(("true", "false")))


_PATIENT = st.one_of(
    _pair("family", _STRING), _pair("name:contains", _STRING), _pair("family:exact", st.sampled_from(FAMILIES[:-1])),
    _pair("gender", st.sampled_from(("male", "female"))), _pair("gender:not", st.sampled_from(("male", "female"))),
    _pair("birthdate", _DATE), _pair("_id", _ID), _pair("identifier", _joined(("", "|", "urn:one|"), _DIGIT)),
    _pair("identifier:of-type", _joined("urn:one|", CODES, "|", _DIGIT)),
    _pair("active", st.sampled_from(("true", "false"))),
    _missing("family", "gender", "birthdate", "identifier", "general-practitioner"),
)  # fmt: skip
_OBSERVATION = st.one_of(
    _pair("code", _TOKEN), _pair("code:not", _TOKEN), _pair("code:text", _STRING), _pair("date", _DATE),
    _pair("value-quantity", _QUANTITY), _pair("subject", _ID.map("Patient/{}".format)), _pair("subject:Patient", _ID),
    _pair("component-code-value-quantity", _joined(_TOKEN, "$", _QUANTITY)),
    _pair("combo-code-value-quantity", _joined(_TOKEN, "$", _QUANTITY)),
    _pair("subject:identifier", _joined("urn:one|", _DIGIT)),
    _missing("date", "value-quantity", "subject", "component-code-value-quantity"),
    _pair("code:in", st.just("http://hl7.org/fhir/ValueSet/administrative-gender")),
)  # fmt: skip
_SLOT = st.one_of(
    _pair("status", st.sampled_from(("free", "busy", "urn:x|free"))),
    _pair("start", _DATE), _pair("start", _DATE),
    _pair("schedule", _joined("Schedule/", _ID)), _pair("service-type", _TOKEN), _pair("service-type:text", _STRING),
    _missing("status", "start", "schedule", "service-type"),
)  # fmt: skip
_SCHEDULE = st.one_of(
    _pair("date", _DATE),
    _pair("active", st.just("true")),
    _pair("actor", _ID.map("Location/{}".format)),
)
_DISTANCE = ("", "|10|km", "|1000|km", "|5000|", "|25000000|m")
_LOCATION = st.one_of(
    _pair("near", _joined(st.integers(-90, 90).map(str), "|", st.integers(-180, 180).map(str), _DISTANCE)),
    _pair("name", _STRING), _missing("near", "partof"),
)  # fmt: skip
_RISK = st.one_of(
    _pair("probability", _NUMBER), _pair("date", _DATE), _missing("probability", "date")
)

PLAIN = {
    "Patient": _PATIENT, "Observation": _OBSERVATION, "Slot": _SLOT, "Schedule": _SCHEDULE, "Location": _LOCATION,
    "RiskAssessment": _RISK,
}  # fmt: skip


def _below(prefix: str, kind: str) -> st.SearchStrategy[tuple[str, str]]:
    return PLAIN[kind].map(lambda pair: (f"{prefix}{pair[0]}", pair[1]))


_FILTER = st.recursive(
    st.sampled_from(
        ('family co "mul"', "gender eq male", "gender ne male", "birthdate ge 1990", "family pr true",
         'family ew "son"', 'given eq "muller"', 'identifier eq "urn:one|1"', "birthdate po 1990")
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from((" and ", " or ")), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map("not ({})".format),
    ),
    max_leaves=4,
)  # fmt: skip

_FOLLOWED = {
    "Patient": st.one_of(
        _below("_has:Observation:subject:", "Observation"),
        _below("_has:RiskAssessment:subject:", "RiskAssessment"),
        st.tuples(st.just("_filter"), _FILTER),
    ),
    "Observation": st.one_of(
        _below("subject:Patient.", "Patient"),
        _below("subject:Patient._has:RiskAssessment:subject:", "RiskAssessment"),
    ),
    "Slot": st.one_of(
        _below("schedule.", "Schedule"),
        _below("schedule.actor:Patient.", "Patient"),
        _below("schedule.actor:Location.", "Location"),
    ),
    "Schedule": st.one_of(
        _below("_has:Slot:schedule:", "Slot"), _below("actor:Location.", "Location")
    ),
    "Location": st.one_of(
        _below("partof.", "Location"), _below("_has:Schedule:actor:", "Schedule")
    ),
    "RiskAssessment": _below("subject:Patient.", "Patient"),
}
_SORTS = {
    "Patient": (
        "family",
        "-family",
        "birthdate",
        "-birthdate,gender",
        "_id",
        "-_id",
        "-_lastUpdated",
        "gender",
    ),
    "Observation": ("date", "-date", "code", "value-quantity", "-value-quantity", "subject"),
    "Slot": ("start", "-start", "schedule", "-service-type,start"),
    "Schedule": ("date", "-date", "actor"),
    "Location": ("name", "-name", "partof"),
    "RiskAssessment": ("probability", "-probability", "-date"),
}


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A type and the parameters of a search."""
    kind = draw(st.sampled_from(sorted(PLAIN)))
    criteria = draw(st.lists(st.one_of(PLAIN[kind], PLAIN[kind], _FOLLOWED[kind]), max_size=4))
    sort = draw(st.one_of(st.none(), st.sampled_from(_SORTS[kind])))
    return kind, (*criteria, *([("_sort", sort)] if sort else []))
