"""A4 DOCX that people go on editing: 宋体 text, 黑体 headings, page numbers as fields, table headers that repeat.

Rows are built as XML in one go: python-docx looks a cell up by counting, which makes long tables quadratic.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt
from docx.text.paragraph import Paragraph

from yaosu.papers.model import Block, Heading, PageBreak, Paper, Signatures, Table, Text, clean

SONG = "宋体"
HEI = "黑体"
LATIN = "Times New Roman"
_SIDE = 20
"""Margin in millimetres."""
_TWIPS = 56.6929
"""Twentieths of a point in a millimetre."""
_LEVELS = {1: 14, 2: 12, 3: 11}


def _fonts(run_properties: Any, east: str, latin: str = LATIN) -> None:
    """Name the fonts for both scripts; without the East Asian one Word falls back to its own choice."""
    fonts = run_properties.get_or_add_rFonts()
    fonts.set(qn("w:ascii"), latin)
    fonts.set(qn("w:hAnsi"), latin)
    fonts.set(qn("w:eastAsia"), east)
    # a theme's font would win over a named one
    for theme in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        if fonts.get(qn(theme)) is not None:
            del fonts.attrib[qn(theme)]


def _field(paragraph: Paragraph, instruction: str) -> None:
    run = paragraph.add_run()
    for kind, text in (("begin", ""), ("", instruction), ("separate", ""), ("text", "1"), ("end", "")):
        if kind == "":
            element = OxmlElement("w:instrText")
            element.set(qn("xml:space"), "preserve")
            element.text = text
        elif kind == "text":
            element = OxmlElement("w:t")
            element.text = text
        else:
            element = OxmlElement("w:fldChar")
            element.set(qn("w:fldCharType"), kind)
        run._r.append(element)


def _made(tag: str, **attributes: str) -> Any:
    element = OxmlElement(tag)
    for name, value in attributes.items():
        element.set(qn(f"w:{name}"), value)
    return element


def _cell(text: str, twips: int, bold: bool, centred: bool) -> Any:
    cell = OxmlElement("w:tc")
    properties = OxmlElement("w:tcPr")
    properties.append(_made("w:tcW", w=str(twips), type="dxa"))
    if bold:
        properties.append(_made("w:shd", val="clear", color="auto", fill="F0F0F0"))
    cell.append(properties)
    for line in clean(text).split("\n"):
        paragraph = OxmlElement("w:p")
        shape = OxmlElement("w:pPr")
        shape.append(_made("w:spacing", before="40", after="40", line="260", lineRule="auto"))
        if centred:
            shape.append(_made("w:jc", val="center"))
        paragraph.append(shape)
        run = OxmlElement("w:r")
        letters = OxmlElement("w:rPr")
        letters.append(_made("w:rFonts", eastAsia=HEI if bold else SONG))
        if bold:
            letters.append(OxmlElement("w:b"))
        letters.append(_made("w:sz", val="19"))
        run.append(letters)
        content = OxmlElement("w:t")
        content.set(qn("xml:space"), "preserve")
        content.text = line
        run.append(content)
        paragraph.append(run)
        cell.append(paragraph)
    return cell


def _grid(
    document: Any, rows: Sequence[Sequence[str]], shares: Sequence[float], heads: int, room: float
) -> None:
    """A bordered table whose first `heads` rows repeat on every page."""
    table = document.add_table(rows=0, cols=0)
    table.style = "Table Grid"
    table.autofit = False
    element = table._tbl
    grid = element.tblGrid
    widths = [max(1, round(share * room * _TWIPS)) for share in shares]
    for width in widths:
        grid.append(_made("w:gridCol", w=str(width)))
    for number, row in enumerate(rows):
        line = OxmlElement("w:tr")
        properties = OxmlElement("w:trPr")
        properties.append(OxmlElement("w:cantSplit"))
        if number < heads:
            properties.append(OxmlElement("w:tblHeader"))
        line.append(properties)
        for text, width in zip(row, widths, strict=True):
            line.append(_cell(text, width, number < heads, number < heads))
        element.append(line)


def _paragraph(
    document: Any, text: str, points: float, bold: bool = False, align: WD_ALIGN_PARAGRAPH | None = None
) -> Paragraph:
    paragraph: Paragraph = document.add_paragraph()
    if align is not None:
        paragraph.alignment = align
    for index, line in enumerate(clean(text).split("\n")):
        run = paragraph.add_run()
        if index:
            run.add_break()
        run.add_text(line)
        run.font.size = Pt(points)
        run.bold = bold
        _fonts(run._r.get_or_add_rPr(), HEI if bold else SONG)
    paragraph.paragraph_format.space_after = Pt(4)
    return paragraph


def _block(document: Any, block: Block, room: float, chinese: bool) -> None:
    match block:
        case Heading(text, level):
            paragraph = document.add_heading(clean(text), level=min(max(level, 1), 3))
            for run in paragraph.runs:
                run.font.size = Pt(_LEVELS.get(level, 11))
                run.font.color.rgb = None
                _fonts(run._r.get_or_add_rPr(), HEI)
        case Text(text):
            _paragraph(document, text, 10.5)
        case Table(columns, rows, _, title):
            if title:
                _paragraph(document, title, 10.5, bold=True).paragraph_format.keep_with_next = True
            _grid(document, [list(columns), *rows], block.shares(), 1, room)
            document.add_paragraph().paragraph_format.space_after = Pt(2)
        case Signatures(labels):
            colon = "：" if chinese else ": "
            for start in range(0, len(labels), 2):
                pair = labels[start : start + 2]
                _paragraph(
                    document, "        ".join(f"{label}{colon}________________" for label in pair), 10.5
                )
        case PageBreak():
            document.add_page_break()


def render(paper: Paper) -> bytes:
    """The DOCX; any character can stand in it, since the reader's own fonts draw it."""
    document = Document()
    chinese = paper.lang.startswith("zh")
    section = document.sections[0]
    long, short = Mm(297), Mm(210)
    section.page_width, section.page_height = (long, short) if paper.landscape else (short, long)
    section.orientation = WD_ORIENT.LANDSCAPE if paper.landscape else WD_ORIENT.PORTRAIT
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(_SIDE)
    room = (297 if paper.landscape else 210) - 2 * _SIDE

    normal = document.styles["Normal"]
    normal.font.size = Pt(10.5)
    _fonts(normal.element.get_or_add_rPr(), SONG)
    for level in (1, 2, 3):
        style = document.styles[f"Heading {level}"]
        _fonts(style.element.get_or_add_rPr(), HEI)
        style.font.color.rgb = None
    document.core_properties.title = clean(paper.title)[:255]
    document.core_properties.author = "Yaosu"
    document.core_properties.language = "zh-CN" if chinese else "en"

    if paper.number:
        _paragraph(document, paper.number, 9.5, align=WD_ALIGN_PARAGRAPH.RIGHT)
    _paragraph(document, paper.title, 18, bold=True, align=WD_ALIGN_PARAGRAPH.CENTER)
    if paper.subtitle:
        _paragraph(document, paper.subtitle, 10.5, align=WD_ALIGN_PARAGRAPH.CENTER)
    if paper.facts:
        _grid(document, [list(fact) for fact in paper.facts], [0.24, 0.76], 0, room)
        document.add_paragraph().paragraph_format.space_after = Pt(2)
    for block in paper.blocks:
        _block(document, block, room, chinese)

    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    if paper.footer:
        foot.add_run(clean(paper.footer).replace("\n", " ") + "　　")
    first, middle, last = ("第 ", " 页 共 ", " 页") if chinese else ("Page ", " of ", "")
    foot.add_run(first)
    _field(foot, "PAGE")
    foot.add_run(middle)
    _field(foot, "NUMPAGES")
    foot.add_run(last)
    for run in foot.runs:
        run.font.size = Pt(9)
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()
