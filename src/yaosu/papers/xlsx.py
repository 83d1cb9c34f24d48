"""The same document as a workbook of one sheet, ready to print on A4.

Every cell is text: a cell that starts like a formula stays what was written, and twenty digits stay twenty digits.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.pagebreak import Break
from openpyxl.worksheet.properties import PageSetupProperties

from yaosu.errors import YaosuError
from yaosu.papers.model import Heading, PageBreak, Paper, Signatures, Table, Text, breadth, clean

LIMIT = 1_048_576
"""Rows of a sheet (ECMA-376)."""
_CELL = 32_767
"""Characters of a cell."""
_FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")
_THIN = Side(style="thin", color="999999")
_BORDER = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)
_SHADE = PatternFill("solid", fgColor="F0F0F0")
_WRAP = Alignment(wrap_text=True, vertical="top")
_CENTRE = Alignment(wrap_text=True, vertical="center", horizontal="center")
_HEI = "黑体"
_SONG = "宋体"
_PLAIN = Font(name=_SONG, size=10)
_BOLD = Font(name=_HEI, size=10, bold=True)


class _Sheet:
    """Rows appended one after the other."""

    def __init__(self, sheet: Any, span: int) -> None:
        self.sheet = sheet
        self.span = span
        self.row = 0

    def put(self, row: int, column: int, text: str, font: Font, alignment: Alignment = _WRAP) -> Any:
        """One cell of text."""
        value = clean(text)
        if len(value) > _CELL:
            raise YaosuError("paper_cell_too_long", {"characters": len(value), "limit": _CELL})
        cell = self.sheet.cell(row, column)
        cell.value = value or None
        if value:
            cell.data_type = "s"
        if value.startswith(_FORMULA):
            # shown with the apostrophe of a text, so that saving it as another format does not revive a formula
            cell.quotePrefix = True
        cell.font = font
        cell.alignment = alignment
        return cell

    def line(self, text: str, font: Font = _PLAIN, alignment: Alignment = _WRAP) -> None:
        """A text over the whole width."""
        self.row += 1
        self.put(self.row, 1, text, font, alignment)
        if self.span > 1:
            self.sheet.merge_cells(start_row=self.row, end_row=self.row, start_column=1, end_column=self.span)
        # a merged cell does not grow with its text by itself
        lines = sum(-(-max(breadth(part), 1) // (self.span * 16)) for part in clean(text).split("\n"))
        self.sheet.row_dimensions[self.row].height = max(1, lines) * font.size * 1.45

    def cells(self, texts: Sequence[str], font: Font = _PLAIN, head: bool = False) -> None:
        """A bordered row."""
        self.row += 1
        for column, text in enumerate(texts, 1):
            cell = self.put(self.row, column, text, font, _CENTRE if head else _WRAP)
            cell.border = _BORDER
            if head:
                cell.fill = _SHADE

    def skip(self) -> None:
        """An empty row."""
        self.row += 1


def _rows(paper: Paper) -> int:
    tables = sum(len(block.rows) + 3 for block in paper.blocks if isinstance(block, Table))
    return tables + len(paper.blocks) * 2 + len(paper.facts) + 8


def render(paper: Paper) -> bytes:
    """The workbook. Raises `paper_too_long` or `paper_cell_too_long` beyond what a sheet can hold."""
    if _rows(paper) > LIMIT:
        raise YaosuError("paper_too_long", {"rows": _rows(paper), "limit": LIMIT})
    book = Workbook()
    sheet: Any = book.active
    sheet.title = re.sub(r"[\[\]:*?/\\']", " ", clean(paper.title)).strip()[:31] or "1"
    tables = [block for block in paper.blocks if isinstance(block, Table)]
    span = max([len(table.columns) for table in tables] + [2])
    out = _Sheet(sheet, span)
    chinese = paper.lang.startswith("zh")

    if paper.number:
        out.line(paper.number, _PLAIN, Alignment(horizontal="right"))
    out.line(paper.title, Font(name=_HEI, size=16, bold=True), _CENTRE)
    if paper.subtitle:
        out.line(paper.subtitle, _PLAIN, _CENTRE)
    for label, value in paper.facts:
        out.cells([label, value])
        if span > 2:
            sheet.merge_cells(start_row=out.row, end_row=out.row, start_column=2, end_column=span)
    out.skip()
    for block in paper.blocks:
        match block:
            case Heading(text, level):
                out.line(text, Font(name=_HEI, size=13 if level == 1 else 11, bold=True))
            case Text(text):
                out.line(text)
            case Table(columns, rows, _, title):
                if title:
                    out.line(title, _BOLD)
                out.cells(columns, _BOLD, head=True)
                if len(tables) == 1:
                    sheet.print_title_rows = f"{out.row}:{out.row}"
                for row in rows:
                    out.cells(row)
                out.skip()
            case Signatures(labels):
                for label in labels:
                    out.line(f"{label}：________________" if chinese else f"{label}: ________________")
            case PageBreak():
                sheet.row_breaks.append(Break(id=max(out.row, 1)))
    _layout(sheet, paper, tables, span, chinese)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _layout(sheet: Any, paper: Paper, tables: Sequence[Table], span: int, chinese: bool) -> None:
    """Widths and printing."""
    widths = [12.0] * span
    for table in tables:
        for index, share in enumerate(table.shares()):
            widths[index] = max(widths[index], share * span * 16)
    for index, width in enumerate(widths):
        sheet.column_dimensions[get_column_letter(index + 1)].width = min(width, 60)
    sheet.page_setup.paperSize = 9  # A4 (ECMA-376, 18.3.1.63)
    sheet.page_setup.orientation = "landscape" if paper.landscape else "portrait"
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    # an ampersand begins a field in a footer
    foot = clean(paper.footer).replace("\n", " ").replace("&", "&&")[:120]
    sheet.oddFooter.left.text = foot or None
    sheet.oddFooter.right.text = "第 &P 页 共 &N 页" if chinese else "Page &P of &N"
