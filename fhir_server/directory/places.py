"""Where a patient and a service are: coordinates, postcodes, and the distance between two places.

Postcodes are found among the Locations of this server, so nothing is asked elsewhere.
https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from fhir_server.booking import queries
from fhir_server.search import literals
from fhir_server.search.expression import Expression, Near, Query, StringMatch
from fhir_server.search.parameters import parameter
from fhir_server.search.positions import RADIUS_KM, chord, point
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, StoredVersion

Json = dict[str, Any]
Vector = tuple[float, float, float]
HALF_AROUND_KM = math.pi * RADIUS_KM
_POSTCODE = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?)(?: ?([0-9][A-Z]{2}))?", re.ASCII)
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A point of the unit sphere. of: the place was given, is that of the postcode, or of its outward part only."""

    vector: Vector
    of: Literal["coordinates", "postcode", "outward code"]


def kilometres(one: Vector, other: Vector) -> float:
    """The way along the surface between two points of the unit sphere."""
    straight = math.dist(one, other)
    return 2 * math.asin(min(1.0, straight / 2)) * RADIUS_KM


def position_of(location: Json) -> Vector | None:
    """The point of a Location, or None."""
    position = location.get("position", {})
    if "latitude" not in position or "longitude" not in position:
        return None
    latitude, longitude = float(position["latitude"]), float(position["longitude"])
    # R4 does not limit them; what is beyond the earth is no place.
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return point(latitude, longitude)


@lru_cache(maxsize=16_384)
def read_position(body: bytes) -> Vector | None:
    """The point of the Location with that JSON; the same ones are looked at call after call."""
    return position_of(parse_stored(body))


def near(text: str) -> tuple[Place, float | None]:
    """latitude|longitude[|distance[|unit]] as a place and kilometres (None: no limit); FhirError 400."""
    try:
        latitude, longitude, distance = literals.near(text)
    except ValueError as fault:
        raise errors.invalid(f"near cannot be read: {fault}", "Parameters.parameter") from None
    limited = bool(text.split("|")[2:3] and text.split("|")[2])
    return Place(point(latitude, longitude), "coordinates"), distance if limited else None


def of_postcode(text: str, transaction: ReadTransaction) -> Place:
    """The middle of the Locations with that postcode, else of those with its outward code.

    Raises FhirError 400 for what is no postcode, 422 when no Location with a position has it.
    """
    match = _POSTCODE.fullmatch(" ".join(text.upper().split()))
    if match is None:
        raise errors.invalid(
            "postcode is not a UK postcode; write one as SW1A 1AA, or its first half",
            "Parameters.parameter",
        )
    outward, inward = match.groups()
    if inward is not None:
        whole = f"{outward} {inward}".lower()
        found = _middle(_matching("equals", whole, whole.replace(" ", "")), transaction)
        if found is not None:
            return Place(found, "postcode")
    found = _middle(_matching("starts", f"{outward.lower()} "), transaction)
    if found is not None:
        return Place(found, "outward code")
    told = (
        "No Location of this server with a position has that postcode or its first half;"
        " send near with latitude|longitude"
    )
    raise errors.unprocessable(Issue("error", "not-found", told, ("Parameters.parameter",)))


def _matching(mode: Literal["equals", "starts"], *values: str) -> Expression:
    found = parameter("Location", "address-postalcode")
    assert found is not None
    return StringMatch((found.number,), mode, values)


def _middle(where: Expression, transaction: ReadTransaction) -> Vector | None:
    located = queries.found("Location", where, transaction, _MOST)
    return middle(found for item in located if (found := read_position(item.body)) is not None)


def middle(vectors: Iterable[Vector]) -> Vector | None:
    """The point in the middle of some, on the sphere: right across the antimeridian and at the poles, too."""
    listed = list(vectors)
    sums = [math.fsum(axis) for axis in zip(*listed, strict=True)]
    length = math.hypot(*sums)
    # Of points that lie around the whole earth there is no middle: any is as good.
    if not listed or length < 1e-9:
        return listed[0] if listed else None
    x, y, z = (axis / length for axis in sums)
    return x, y, z


def around(
    place: Place, radius: float, transaction: ReadTransaction, limit: int
) -> list[StoredVersion]:
    """At most so many Locations within so many kilometres, in no order."""
    found = parameter("Location", "near")
    assert found is not None
    where = Near((found.number,), *place.vector, chord(radius))
    hits = transaction.search(Query(("Location",), where, limit=limit))
    return [hit.version for hit in hits]
