"""Why a terminology cannot answer: each has the code of an issue (https://hl7.org/fhir/R4/valueset-issue-type.html)."""

from __future__ import annotations

from typing import Final


class TerminologyFault(Exception):
    """code: the IssueType that tells it; the message says what to change."""

    code = "processing"


class Unknown(TerminologyFault):
    """A code system, value set, concept map or code that nobody here knows."""

    code = "not-found"


class Unusable(TerminologyFault):
    """A definition that cannot be followed: a filter that is not understood, a set that includes itself."""

    code = "invalid"


class NotEnumerable(TerminologyFault):
    """A code system whose codes are made by a grammar: they can be tested, not listed."""

    code = "too-costly"


class TooCostly(TerminologyFault):
    """More codes than are worked on for one question."""

    code = "too-costly"


class Unavailable(TerminologyFault):
    """The remote terminology server does not answer."""

    code = "transient"


class TransportError(Exception):
    """No answer, or none that can be used; the message has no details of what was asked."""


class Refused(Exception):
    """The remote server answered that it cannot: 400, 404, 422."""


# What reading a definition raises that is not of the form that R4 gives it: packages are taken as they come.
UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)
