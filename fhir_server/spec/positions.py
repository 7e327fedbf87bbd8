"""Where in a file an element stands: the line and column of a FHIRPath such as "Patient.name[0].given[1]".

https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from xml.parsers import expat

Step = tuple[str, int]
Path = tuple[Step, ...]
# Line and column, both from 1.
Position = tuple[int, int]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_STEP = re.compile(r"([A-Za-z_]\w*)(?:\.ofType\((\w+)\))?(?:\[(\d+)\])?")
_SPACE: Final = "http://hl7.org/fhir"


def steps(expression: str) -> Path:
    """The steps below the root: an element without an index is its first; a choice is named with its type."""
    _, _, rest = expression.partition(".")
    found = []
    for match in _STEP.finditer(rest):
        name, kind, index = match.groups()
        found.append((name if kind is None else name + kind[0].upper() + kind[1:], int(index or 0)))
    return tuple(found)


class Positions:
    """The positions of the elements of one file."""

    def __init__(self, content: bytes, *, xml: bool) -> None:
        self._known = dict(_xml_positions(content) if xml else _json_positions(content.decode()))

    def of(self, expression: str) -> Position:
        """The position of an element, or of the nearest one that is there around it."""
        path = steps(expression)
        while path:
            found = self._known.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return self._known.get((), (1, 1))


def _json_positions(text: str) -> Iterator[tuple[Path, Position]]:
    starts = [0]
    starts += [match.end() for match in re.finditer("\n", text)]
    line = 0
    # Each open bracket: its path, and the name or the index that comes next.
    open_brackets: list[tuple[Path, str | None, int]] = []
    name: str | None = None
    path: Path = ()
    waiting_for_value = True
    for token in _TOKEN.finditer(text):
        while line + 1 < len(starts) and starts[line + 1] <= token.start():
            line += 1
        position = (line + 1, token.start() - starts[line] + 1)
        mark = token[0]
        if mark in "]}":
            if open_brackets:
                open_brackets.pop()
            waiting_for_value = False
        elif mark == ",":
            waiting_for_value = True
            if open_brackets and open_brackets[-1][1] is not None:
                above, held, index = open_brackets[-1]
                open_brackets[-1] = (above, held, index + 1)
        elif mark == ":":
            waiting_for_value = True
        elif (
            open_brackets and open_brackets[-1][1] is None and mark[0] == '"' and waiting_for_value
        ):
            if name is None:
                name = mark[1:-1].removeprefix("_")
                yield (*open_brackets[-1][0], (name, 0)), position
                continue
            name = None
        else:
            path, held = _here(open_brackets, name)
            if (
                name is None
            ):  # an item of an array, or the whole: a property's position is that of its name
                yield path, position
            if mark == "{":
                open_brackets.append((path, None, 0))
            elif mark == "[":
                above = open_brackets[-1][0] if open_brackets else ()
                open_brackets.append((above, held or "", 0))
            name = None
            waiting_for_value = mark in "{["


def _here(
    open_brackets: list[tuple[Path, str | None, int]], name: str | None
) -> tuple[Path, str | None]:
    if not open_brackets:
        return (), None
    above, held, index = open_brackets[-1]
    if held is not None:
        return (*above, (held, index)), held
    return (*above, (name or "", 0)), name


def _xml_positions(content: bytes) -> Iterator[tuple[Path, Position]]:
    found: list[tuple[Path, Position]] = []
    path: list[Path] = []
    counts: list[dict[str, int]] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, _: object) -> None:
        plain = name.removeprefix(_SPACE + " ")
        here: Path = path[-1] if path else ()
        # The resource inside `resource` or `contained` is no step of its own.
        if path and not plain[0].isupper():
            index = counts[-1].get(plain, 0)
            counts[-1][plain] = index + 1
            here = (*here, (plain, index))
        found.append((here, (parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)))
        path.append(here)
        counts.append({})

    def end(_: str) -> None:
        path.pop()
        counts.pop()

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    with suppress(expat.ExpatError):
        parser.Parse(content, True)
    seen: set[Path] = set()
    for here, position in found:
        if here not in seen:
            seen.add(here)
            yield here, position
