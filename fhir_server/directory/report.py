"""The figures of a waiting list as a MeasureReport (https://hl7.org/fhir/R4/measurereport.html)."""

from __future__ import annotations

from typing import Any

from fhir_server.directory import statistics
from fhir_server.directory.names import WAITING_FIGURES, WAITING_MEASURE
from fhir_server.directory.statistics import written
from fhir_server.directory.waiting import Waiter
from fhir_server.interactions.call import Context
from fhir_server.spec.dates import DAY
from fhir_server.spec.instants import write_instant

Json = dict[str, Any]
_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_UCUM = "http://unitsofmeasure.org"
_WEEK = 7 * DAY


def report(waiters: list[Waiter], as_of: int, organisation: str | None, context: Context) -> Json:
    """How many wait, how many of them no longer than 18 and longer than 52 weeks, and median and 92nd percentile.

    Without anybody who waits there is no share and no percentile.
    """
    number = len(waiters)
    within_18 = sum(item.waited <= 18 * _WEEK for item in waiters)
    over_52 = sum(item.waited > 52 * _WEEK for item in waiters)
    weeks = sorted(item.weeks for item in waiters)
    share = None if not number else _quantity(100 * within_18 / number, "%", "%")
    groups = [
        _group("within-18-weeks", number, within_18, share),
        _group("over-52-weeks", number, over_52, None),
        _group("median-weeks", number, None, _weeks(statistics.median, weeks)),
        _group("percentile-92-weeks", number, None, _weeks(statistics.percentile_92, weeks)),
    ]
    made: Json = {
        "resourceType": "MeasureReport",
        "id": context.new_id(),
        "status": "complete",
        "type": "summary",
        "measure": WAITING_MEASURE,
        "date": write_instant(context.now()),
    }
    if organisation is not None:
        made["reporter"] = {"reference": organisation}
    moment = write_instant(as_of)
    return made | {"period": {"start": moment, "end": moment}, "group": groups}


def _group(code: str, number: int, counted: int | None, score: Json | None) -> Json:
    populations = [_population("initial-population", number)]
    if counted is not None:
        populations += [_population("denominator", number), _population("numerator", counted)]
    made: Json = {
        "code": {"coding": [{"system": WAITING_FIGURES, "code": code}]},
        "population": populations,
    }
    return made if score is None else made | {"measureScore": score}


def _population(code: str, count: int) -> Json:
    return {"code": {"coding": [{"system": _POPULATION, "code": code}]}, "count": count}


def _weeks(of: Any, weeks: list[float]) -> Json | None:
    return _quantity(of(weeks), "weeks", "wk") if weeks else None


def _quantity(value: float, unit: str, code: str) -> Json:
    return {"value": written(value), "unit": unit, "system": _UCUM, "code": code}
