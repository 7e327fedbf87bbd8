"""A paper as PDF, in a font that has the letters of Europe: a name is not to lose its own.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from fpdf import FPDF
from fpdf.fonts import FontFace

from fhir_server.directory.html import written
from fhir_server.directory.paper import Block, Paper, Paragraphs
from fhir_server.directory.paper import Table as Rows
from fhir_server.spec.instants import SECOND

MEDIA_TYPE = "application/pdf"
_FONT = "Roboto"
_FACES = {"": "Roboto-Regular.ttf", "B": "Roboto-Bold.ttf"}
_MARGIN = 20
_MISSING = "Characters that this print cannot show stand as ?; the page in HTML shows them."
# Word by word a line is filled; what has no place in one is broken, so a word must not be a book.
_LONGEST_WORD = re.compile(r"\S{60}")


class Sheets(FPDF):
    """Pages with their numbers."""

    def footer(self) -> None:
        """The number of the page."""
        self.set_y(-15)
        self.set_font(_FONT, size=9)
        self.cell(0, 10, f"Page {self.page_no()} of {{nb}}", align="R")


def pdf(paper: Paper) -> bytes:
    """The whole document; what the font does not have is shown as ?, and a line says so."""
    sheets = _sheets(paper)
    shown = Shown(sheets)
    sheets.set_font(_FONT, "B", 18)
    sheets.multi_cell(0, 9, shown.text(paper.title), new_x="LMARGIN", new_y="NEXT")
    sheets.set_font(_FONT, size=10)
    sheets.multi_cell(0, 6, shown.text(written(paper)), new_x="LMARGIN", new_y="NEXT")
    for section in paper.sections:
        sheets.ln(4)
        sheets.set_font(_FONT, "B", 13)
        sheets.multi_cell(0, 8, shown.text(section.title), new_x="LMARGIN", new_y="NEXT")
        sheets.set_font(_FONT, size=10)
        for block in section.blocks:
            shown.block(block)
    if shown.missing:
        sheets.ln(4)
        sheets.multi_cell(0, 6, _MISSING, new_x="LMARGIN", new_y="NEXT")
    return bytes(sheets.output())


def _sheets(paper: Paper) -> Sheets:
    sheets = Sheets(format="A4")
    for style, name in _FACES.items():
        sheets.add_font(_FONT, style, str(files("font_roboto") / "files" / name))
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

    def text(self, text: str) -> str:
        """The text in letters that the font has."""
        known = _letters()
        kept = "".join(item if ord(item) in known or item == "\n" else "?" for item in text)
        self.missing = self.missing or kept != text
        return _LONGEST_WORD.sub(r"\g<0> ", kept)

    def block(self, block: Block) -> None:
        """One block of a section."""
        if isinstance(block, Paragraphs):
            for item in block.items:
                self.sheets.multi_cell(0, 6, self.text(item), new_x="LMARGIN", new_y="NEXT")
                self.sheets.ln(1)
            return
        headed = isinstance(block, Rows)
        bold = FontFace(emphasis="BOLD")
        widths = (1,) * len(block.headings) if isinstance(block, Rows) else (1, 3)
        with self.sheets.table(
            borders_layout="HORIZONTAL_LINES",
            col_widths=widths,
            first_row_as_headings=headed,
            headings_style=bold,
            line_height=6,
            text_align="LEFT",
        ) as table:
            if isinstance(block, Rows):
                table.row([self.text(item) for item in block.headings])
            for cells in block.rows:
                row = table.row()
                for place, cell in enumerate(cells):
                    face = bold if place == 0 and not headed else None
                    row.cell(self.text(cell), style=face)


@cache
def _letters() -> frozenset[int]:
    """The characters of the font: both faces have the same."""
    from fontTools.ttLib import TTFont

    with TTFont(str(files("font_roboto") / "files" / _FACES[""])) as font:
        return frozenset(font.getBestCmap())
