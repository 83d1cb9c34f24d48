"""A4 PDF with an embedded, subset Chinese font; tables break across pages with their header repeated.

About half a second for five pages, most of it reading the font: call it through `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fpdf import FPDF
from fpdf.fonts import TTFFont

from yaosu.errors import YaosuError
from yaosu.papers import fonts, wrap
from yaosu.papers.model import Block, Heading, PageBreak, Paper, Signatures, Table, Text, clean

FAMILY = "paper"
MARGIN = 18.0
"""Millimetres on the left and right."""
TOP = 18.0
BOTTOM = 18.0
LINE = 1.5
"""Line height as a multiple of the letter height."""
PAD = 1.6
"""Millimetres between a cell's border and its text."""
_POINT = 0.352778
_HEADINGS = {1: 13.0, 2: 11.5, 3: 10.5}
GREY = 140
SHADE = 240


class _Sheet(FPDF):
    """The page under way. All texts pass `put`, so a character without a glyph cannot get in unseen."""

    def __init__(self, paper: Paper) -> None:
        super().__init__(orientation="landscape" if paper.landscape else "portrait", unit="mm", format="A4")
        self.paper = paper
        self.add_font(FAMILY, "", fonts.path(fonts.REGULAR))
        self.add_font(FAMILY, "B", fonts.path(fonts.BOLD))
        self.set_margins(MARGIN, TOP, MARGIN)
        self.set_auto_page_break(False)
        self.set_title(clean(paper.title))
        self.set_creator("Yaosu")
        self.set_lang("zh-CN" if paper.lang.startswith("zh") else "en")
        self.set_draw_color(GREY)
        self.set_line_width(0.2)
        self.bold = False
        self.points = 10.5
        self.widths: dict[tuple[bool, str], float] = {}
        self.begin()

    @property
    def room(self) -> float:
        """Width of the text area in millimetres."""
        return self.w - 2 * MARGIN

    @property
    def end(self) -> float:
        """Lowest point that text may reach."""
        return self.h - BOTTOM - 4

    def begin(self) -> None:
        """A new page."""
        self.add_page()
        self.set_y(TOP)

    def style(self, points: float, bold: bool = False) -> None:
        """Letters of what follows."""
        self.points, self.bold = points, bold
        self.set_font(FAMILY, "B" if bold else "", points)

    def line_height(self) -> float:
        """Millimetres from line to line."""
        return self.points * _POINT * LINE

    def width(self, text: str) -> float:
        """Millimetres of `text`; widths of characters are remembered, a table asks for the same ones often."""
        known = self.widths
        total = 0.0
        for character in text:
            size = known.get((self.bold, character))
            if size is None:
                size = self._advance(character)
                known[self.bold, character] = size
            total += size
        return total * self.points * _POINT / 1000

    def _advance(self, character: str) -> float:
        font = self.fonts[FAMILY + ("B" if self.bold else "")]
        assert isinstance(font, TTFFont)
        if ord(character) not in font.cmap:
            raise YaosuError("paper_character", {"character": character, "point": f"U+{ord(character):04X}"})
        return float(font.cw[ord(character)])

    def fold(self, text: str, room: float) -> list[str]:
        """`text` in lines of at most `room` millimetres."""
        return wrap.lines(clean(text), room, self.width)

    def put(self, x: float, y: float, text: str) -> None:
        """One line of text whose line box starts at `y`."""
        if text:
            self.text(x, y + self.points * _POINT * 1.12, text)

    def paragraph(self, text: str, align: str = "L", indent: float = 0.0) -> None:
        """Lines over the width of the page, going on over the page's end."""
        for line in self.fold(text, self.room - indent):
            if self.get_y() + self.line_height() > self.end:
                self.begin()
            x = MARGIN + indent
            if align == "C":
                x = MARGIN + (self.room - self.width(line)) / 2
            elif align == "R":
                x = MARGIN + self.room - self.width(line)
            self.put(x, self.get_y(), line)
            self.set_y(self.get_y() + self.line_height())

    def gap(self, millimetres: float) -> None:
        """Blank space."""
        self.set_y(self.get_y() + millimetres)


def _row(
    sheet: _Sheet,
    cells: Sequence[Sequence[str]],
    widths: Sequence[float],
    centred: bool = False,
    shade: bool = False,
) -> None:
    """Bordered cells side by side; the caller has made sure that they fit on the page."""
    height = max(len(lines) for lines in cells) * sheet.line_height() + 2 * PAD * 0.6
    x, y = MARGIN, sheet.get_y()
    for lines, width in zip(cells, widths, strict=True):
        if shade:
            sheet.set_fill_color(SHADE)
        sheet.rect(x, y, width, height, style="DF" if shade else "D")
        for index, line in enumerate(lines):
            left = x + (width - sheet.width(line)) / 2 if centred else x + PAD
            sheet.put(left, y + PAD * 0.6 + index * sheet.line_height(), line)
        x += width
    sheet.set_y(y + height)


def _height(sheet: _Sheet, cells: Sequence[Sequence[str]]) -> float:
    return max(len(lines) for lines in cells) * sheet.line_height() + 2 * PAD * 0.6


def _table(sheet: _Sheet, table: Table) -> None:
    widths = [share * sheet.room for share in table.shares()]
    columns = list(table.columns)

    def fold(row: Sequence[str]) -> list[list[str]]:
        return [sheet.fold(cell, width - 2 * PAD) for cell, width in zip(row, widths, strict=True)]

    def head() -> None:
        sheet.style(9.5, bold=True)
        _row(sheet, fold(columns), widths, centred=True, shade=True)
        sheet.style(9.5)

    sheet.style(9.5, bold=True)
    head_height = _height(sheet, fold(columns))
    if table.title:
        sheet.style(10.5, bold=True)
        # a title and a header alone at the foot of a page help nobody
        if sheet.get_y() + sheet.line_height() + head_height + 12 > sheet.end:
            sheet.begin()
        sheet.paragraph(table.title)
        sheet.gap(0.8)
    elif sheet.get_y() + head_height + 8 > sheet.end:
        sheet.begin()
    head()
    for row in table.rows:
        cells = fold(row)
        while any(cells):
            left = sheet.end - sheet.get_y()
            whole = _height(sheet, cells)
            if whole <= left:
                _row(sheet, cells, widths)
                break
            fresh = sheet.end - TOP - head_height
            fits = int((left - 2 * PAD * 0.6) / sheet.line_height())
            if whole > fresh and fits >= 3:
                # taller than any page: as much as fits goes here, the rest goes on over the page
                _row(sheet, [lines[:fits] or [""] for lines in cells], widths)
                cells = [lines[fits:] for lines in cells]
                if not any(cells):
                    break
                cells = [lines or [""] for lines in cells]
            sheet.begin()
            head()
    sheet.gap(3)


def _facts(sheet: _Sheet, facts: Sequence[tuple[str, str]]) -> None:
    """Label and value, two pairs in a row; a long value has a row to itself."""
    sheet.style(9.5)
    pairs = [(clean(label), clean(value)) for label, value in facts]
    labels = max((sheet.width(label) for label, _ in pairs), default=0.0) + 2 * PAD
    labels = min(max(labels, 22.0), 46.0)
    half = sheet.room / 2
    index = 0
    while index < len(pairs):
        taken = [pairs[index]]
        following = pairs[index + 1] if index + 1 < len(pairs) else None
        narrow = half - labels - 2 * PAD
        if following is not None and all(
            "\n" not in value and sheet.width(value) <= narrow for _, value in (taken[0], following)
        ):
            taken.append(following)
        index += len(taken)
        widths = [labels, half - labels] * 2 if len(taken) == 2 else [labels, sheet.room - labels]
        cells = [
            sheet.fold(text, width - 2 * PAD)
            for text, width in zip([part for pair in taken for part in pair], widths, strict=True)
        ]
        if sheet.get_y() + _height(sheet, cells) > sheet.end:
            sheet.begin()
        _row(sheet, cells, widths)
    sheet.gap(4)


def _signatures(sheet: _Sheet, labels: Sequence[str]) -> None:
    sheet.style(10.5)
    sheet.gap(4)
    half = sheet.room / 2
    for start in range(0, len(labels), 2):
        if sheet.get_y() + 14 > sheet.end:
            sheet.begin()
        y = sheet.get_y()
        for place, label in enumerate(labels[start : start + 2]):
            text = clean(label) + "：" if sheet.paper.lang.startswith("zh") else clean(label) + ":"
            x = MARGIN + place * half
            lines = sheet.fold(text, half * 0.6)
            for index, line in enumerate(lines):
                sheet.put(x, y + index * sheet.line_height(), line)
            begin = x + max(sheet.width(line) for line in lines) + 1
            sheet.line(begin, y + sheet.line_height(), x + half - 8, y + sheet.line_height())
        sheet.set_y(y + 13)


def _block(sheet: _Sheet, block: Block) -> None:
    match block:
        case Heading(text, level):
            sheet.style(_HEADINGS.get(level, 10.5), bold=True)
            if sheet.get_y() > TOP:
                sheet.gap(3 if level == 1 else 1.5)
            if sheet.get_y() + 2.5 * sheet.line_height() > sheet.end:
                sheet.begin()
            sheet.paragraph(text)
            sheet.gap(0.8)
        case Text(text):
            sheet.style(10.5)
            sheet.paragraph(text)
            sheet.gap(1.2)
        case Table():
            _table(sheet, block)
        case Signatures(labels):
            _signatures(sheet, labels)
        case PageBreak():
            sheet.begin()


def _feet(sheet: _Sheet) -> None:
    """Page numbers and the footer, once it is known how many pages there are."""
    total = sheet.page
    chinese = sheet.paper.lang.startswith("zh")
    for number in range(1, total + 1):
        sheet.page = number
        # each page's content is a stream of its own: the letters have to be set anew in it
        sheet.font_style, sheet.font_size_pt = "", 0
        sheet.style(8.5)
        text = f"第 {number} 页 共 {total} 页" if chinese else f"Page {number} of {total}"
        y = sheet.h - BOTTOM + 2
        sheet.put(MARGIN + sheet.room - sheet.width(text), y, text)
        if sheet.paper.footer:
            line = sheet.fold(sheet.paper.footer.replace("\n", " "), sheet.room * 0.75)
            sheet.put(MARGIN, y, line[0])
            if len(line) > 1:
                sheet.put(MARGIN, y + sheet.line_height(), line[1])
    sheet.page = total


def render(paper: Paper) -> bytes:
    """The PDF. Raises `paper_font_missing`, and `paper_character` for a character that the font lacks."""
    sheet = _Sheet(paper)
    if paper.number:
        sheet.style(9.5)
        sheet.paragraph(paper.number, align="R")
        sheet.gap(1)
    sheet.style(16, bold=True)
    sheet.paragraph(paper.title, align="C")
    if paper.subtitle:
        sheet.style(10.5)
        sheet.paragraph(paper.subtitle, align="C")
    sheet.gap(4)
    if paper.facts:
        _facts(sheet, paper.facts)
    for block in paper.blocks:
        _block(sheet, block)
    _feet(sheet)
    return bytes(sheet.output())
