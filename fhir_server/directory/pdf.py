"""A paper as PDF: a name is not to lose its letters.

Where Latin-1 has them all, the print is in a font that every reader of PDFs has; else in one that has the letters of
Europe, of which the print carries what it uses: that takes twenty times as long.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import zip_longest

from fpdf import FPDF

from fhir_server.directory.html import written
from fhir_server.directory.lines import lines
from fhir_server.directory.paper import Block, Paper, Paragraphs
from fhir_server.directory.paper import Table as Rows
from fhir_server.spec.instants import SECOND

MEDIA_TYPE = "application/pdf"
_PLAIN = "Helvetica"
_EMBEDDED = "Roboto"
_FACES = {"": "Roboto-Regular.ttf", "B": "Roboto-Bold.ttf"}
_MARGIN = 20
_LINE = 6
_MISSING = "Characters that this print cannot show stand as ?; the page in HTML shows them."


class Sheets(FPDF):
    """Pages with their numbers."""

    def footer(self) -> None:
        """The number of the page."""
        self.set_y(-15)
        self.set_font(size=9)
        self.cell(0, 10, f"Page {self.page_no()} of {{nb}}", align="R")


def pdf(paper: Paper) -> bytes:
    """The whole document; what no font of ours has is shown as ?, and a line says so."""
    family = _PLAIN if all(map(_is_latin_1, _texts(paper))) else _EMBEDDED
    sheets = _sheets(paper, family)
    shown = Shown(sheets)
    sheets.set_font(family, "B", 18)
    shown.text(paper.title, 9)
    sheets.set_font(family, size=10)
    shown.text(written(paper))
    for section in paper.sections:
        sheets.ln(4)
        sheets.set_font(family, "B", 13)
        shown.text(section.title, 8)
        sheets.set_font(family, size=10)
        for block in section.blocks:
            shown.block(block)
    if shown.missing:
        sheets.ln(4)
        shown.text(_MISSING)
    return bytes(sheets.output())


def _texts(paper: Paper) -> Iterator[str]:
    """Every text of the paper."""
    yield paper.title
    for section in paper.sections:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Paragraphs):
                yield from block.items
                continue
            if isinstance(block, Rows):
                yield from block.headings
            for cells in block.rows:
                yield from cells


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _sheets(paper: Paper, family: str) -> Sheets:
    sheets = Sheets(format="A4")
    if family == _EMBEDDED:
        for style, name in _FACES.items():
            sheets.add_font(family, style, str(files("font_roboto") / "files" / name))
    sheets.set_margin(_MARGIN)
    sheets.set_auto_page_break(auto=True, margin=_MARGIN)
    # Metadata are read by search engines and previews: they name the kind of document, never whom it is about.
    sheets.set_title(paper.title)
    sheets.set_lang("en-GB")
    sheets.set_creation_date(datetime.fromtimestamp(paper.written / SECOND, UTC))
    sheets.add_page()
    return sheets


class Shown:
    """What is put on the sheets; missing: something could not be shown."""

    def __init__(self, sheets: Sheets) -> None:
        self.sheets = sheets
        self.missing = False
        self.widths: dict[tuple[str, float], _Widths] = {}

    def text(self, text: str, height: float = _LINE) -> None:
        """Lines over the whole width in the font that is set."""
        sheets = self.sheets
        for line in self._lines(text, sheets.epw):
            if sheets.will_page_break(height):
                sheets.add_page()
            self._put(sheets.l_margin, line, height)
            sheets.ln(height)

    def block(self, block: Block) -> None:
        """One block of a section."""
        if isinstance(block, Paragraphs):
            for item in block.items:
                self.text(item)
                self.sheets.ln(1)
            return
        if isinstance(block, Rows):
            shares = [1] * len(block.headings)
            self._row(block.headings, shares, ["B"] * len(shares))
            faces = [""] * len(shares)
        else:
            shares, faces = [1, 3], ["B", ""]
        for cells in block.rows:
            self._row(cells, shares, faces)

    def _row(self, cells: Sequence[str], shares: Sequence[int], faces: Sequence[str]) -> None:
        """Cells side by side with a line below; one that is long goes on over the page."""
        sheets = self.sheets
        widths = [sheets.epw * share / sum(shares) for share in shares]
        columns = []
        for cell, width, face in zip(cells, widths, faces, strict=True):
            self._face(face)
            columns.append(list(self._lines(cell, width)))
        for texts in zip_longest(*columns, fillvalue=""):
            if sheets.will_page_break(_LINE):
                sheets.add_page()
            left = sheets.l_margin
            for text, width, face in zip(texts, widths, faces, strict=True):
                self._face(face)
                self._put(left, text, _LINE)
                left += width
            sheets.ln(_LINE)
        self._face("")
        sheets.line(sheets.l_margin, sheets.y, sheets.l_margin + sheets.epw, sheets.y)

    def _face(self, style: str) -> None:
        if self.sheets.font_style != style:
            self.sheets.set_font(style=style)

    def _put(self, left: float, text: str, height: float) -> None:
        """A text where a cell of that height would have it; FPDF.cell does more, in five times as long."""
        sheets = self.sheets
        if text:
            baseline = sheets.y + 0.5 * height + 0.3 * sheets.font_size
            sheets.text(left + sheets.c_margin, baseline, text)

    def _lines(self, text: str, width: float) -> Iterator[str]:
        sheets, known = self.sheets, _letters()
        if not known.issuperset(text):
            text = "".join(item if item in known else "?" for item in text)
            self.missing = True
        face = (sheets.font_style, sheets.font_size_pt)
        widths = self.widths.get(face)
        if widths is None:
            widths = self.widths[face] = _Widths(sheets)
        return lines(text, width - 2 * sheets.c_margin, widths.__getitem__)


class _Widths(dict[str, float]):
    """Word -> its width in the font that is set now; each is measured once."""

    def __init__(self, sheets: Sheets) -> None:
        super().__init__()
        assert sheets.current_font is not None
        self.font, self.size, self.scale = sheets.current_font, sheets.font_size_pt, sheets.k

    def __missing__(self, word: str) -> float:
        _, points = self.font.get_text_width(word, self.size, None)
        found = self[word] = points / self.scale
        return found


@cache
def _letters() -> frozenset[str]:
    """The characters of the font, and the end of a line: both faces have the same."""
    from fontTools.ttLib import TTFont

    with TTFont(str(files("font_roboto") / "files" / _FACES[""])) as font:
        return frozenset(map(chr, font.getBestCmap())) | {"\n"}
