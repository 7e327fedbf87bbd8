"""Text of a print in lines, word by word (https://hl7.org/fhir/R4/documents.html)."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def lines(text: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """The lines of a text that are at most so wide; a word that is wider is broken."""
    blank = measure(" ")
    for written in text.split("\n"):
        line: list[str] = []
        used = 0.0
        for word in _words(written, width, measure):
            wide = measure(word)
            if line and used + blank + wide > width:
                yield " ".join(line)
                line, used = [], 0.0
            used += wide + (blank if line else 0.0)
            line.append(word)
        yield " ".join(line)


def _words(text: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    for word in text.split(" "):
        if measure(word) <= width:
            yield word
            continue
        start, used = 0, 0.0
        for place, letter in enumerate(word):
            wide = measure(letter)
            if place > start and used + wide > width:
                yield word[start:place]
                start, used = place, 0.0
            used += wide
        yield word[start:]
