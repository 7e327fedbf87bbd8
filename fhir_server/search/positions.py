"""Places on the earth, and how far they are from each other (https://hl7.org/fhir/R4/location.html#positional).

A place is a point of the unit sphere: two places are nearer than a distance when their points are nearer than its
chord, which needs no trigonometry in a database.
"""

from __future__ import annotations

import math

RADIUS_KM = 6371.0088
# Kilometres in the units of length that are asked for, by their UCUM codes.
UNITS = {
    "km": 1.0,
    "m": 0.001,
    "[mi_i]": 1.609344,
    "[mi_us]": 1.609347,
    "[ft_i]": 0.0003048,
    "[nmi_i]": 1.852,
}


def point(latitude: float, longitude: float) -> tuple[float, float, float]:
    """x, y and z of a place in degrees."""
    phi, theta = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


def chord(kilometres: float) -> float:
    """The straight distance on the unit sphere of two places that far apart; 2 for half around the earth and more."""
    angle = kilometres / RADIUS_KM
    return 2.0 if angle >= math.pi else 2 * math.sin(angle / 2)
