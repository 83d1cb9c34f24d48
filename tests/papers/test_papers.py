"""Documents read back: what was put in is in the file, on every page where it belongs (R-E2, R-E5)."""

from __future__ import annotations

import io
import re
import zipfile

import docx as python_docx
import openpyxl
import pypdf
import pytest

from yaosu.errors import YaosuError
from yaosu.papers import docx, fonts, pdf, wrap, xlsx
from yaosu.papers.model import Heading, PageBreak, Paper, Signatures, Table, Text


def letter(rows: int = 3, **changes: object) -> Paper:
    """A recall letter with a table of `rows` lines."""
    values: dict[str, object] = {
        "title": "药品召回通知函",
        "subtitle": "一级召回",
        "number": "召〔2026〕3号",
        "facts": [("药品名称", "复方甘草片"), ("批号", "20260101"), ("召回原因", "含量测定不合格，" * 12)],
        "blocks": [
            Heading("一、召回范围"),
            Text("自本函发布之日起，立即停止销售和使用。\n请于24小时内书面反馈。"),
            Table(
                ["序号", "单位名称", "追溯码", "数量"],
                [[str(n), f"第{n}大药房", f"{n:020d}", "10"] for n in range(1, rows + 1)],
                title="持有单位",
            ),
            Signatures(["召回负责人", "质量负责人", "日期"]),
        ],
        "footer": "药溯 · 内部文件",
    }
    return Paper(**{**values, **changes})  # type: ignore[arg-type]


def pages(content: bytes) -> list[str]:
    """Text of each page, without blanks: a PDF places glyphs, not words."""
    reader = pypdf.PdfReader(io.BytesIO(content))
    return ["".join(page.extract_text().split()) for page in reader.pages]


def test_a_pdf_holds_title_facts_text_table_signatures_and_page_numbers() -> None:
    """What was put in can be read and copied out of the PDF as text."""
    text = pages(pdf.render(letter()))
    assert len(text) == 1
    for part in (
        "药品召回通知函",
        "召〔2026〕3号",
        "复方甘草片",
        "一、召回范围",
        "第2大药房",
        "质量负责人",
        "第1页共1页",
    ):
        assert part in text[0]
    assert "药溯·内部文件" in text[0]


def test_a_long_table_breaks_and_repeats_its_header_on_every_page() -> None:
    """Every row is there once; every page has the header and its number of the total."""
    text = pages(pdf.render(letter(rows=200)))
    assert len(text) > 4
    for number, page in enumerate(text, 1):
        assert "单位名称" in page
        assert f"第{number}页共{len(text)}页" in page
    whole = "".join(text)
    for row in range(1, 201):
        assert whole.count(f"第{row}大药房") == 1


def test_a_cell_taller_than_a_page_goes_on_over_pages_and_loses_nothing() -> None:
    """No row is too tall: its text continues."""
    long = "".join(f"第{n}句话说明原因。" for n in range(400))
    blocks = [Table(["项目", "说明"], [["差异", long], ["末行", "完"]], widths=[1, 2])]
    parts = pages(pdf.render(letter(blocks=blocks, facts=[], footer="")))
    whole = "".join(re.sub("^项目说明|第[0-9]页共[0-9]页$", "", part) for part in parts)
    for n in range(400):
        assert whole.count(f"第{n}句") == 1
    assert "末行" in whole


def test_pages_are_a4_upright_or_lying() -> None:
    """210 × 297 mm."""
    upright = pypdf.PdfReader(io.BytesIO(pdf.render(letter()))).pages[0].mediabox
    assert (round(upright.width), round(upright.height)) == (595, 842)
    lying = pypdf.PdfReader(io.BytesIO(pdf.render(letter(landscape=True)))).pages[0].mediabox
    assert (round(lying.width), round(lying.height)) == (842, 595)


def test_the_font_is_embedded_as_a_subset() -> None:
    """A letter is some tens of kilobytes, not the font's ten megabytes."""
    made = pdf.render(letter())
    assert len(made) < 120_000
    assert b"FontFile2" in made


def test_a_character_that_the_font_lacks_is_named_and_never_drawn_as_a_box() -> None:
    """𠮷 (U+20BB7) is in a name; the error says which character it is."""
    with pytest.raises(YaosuError) as refused:
        pdf.render(letter(blocks=[Text("联系人：𠮷田")]))
    assert refused.value.code == "paper_character"
    assert refused.value.params == {"character": "𠮷", "point": "U+20BB7"}
    assert "𠮷" in "".join(
        p.text
        for p in python_docx.Document(io.BytesIO(docx.render(letter(blocks=[Text("𠮷田")])))).paragraphs
    )


def test_without_the_font_file_no_pdf_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A clear error instead of a page of boxes."""
    monkeypatch.setattr(fonts, "FOLDER", tmp_path)
    with pytest.raises(YaosuError) as refused:
        pdf.render(letter())
    assert refused.value.code == "paper_font_missing"
    assert refused.value.http == 503


def test_english_papers_number_their_pages_in_english() -> None:
    """The language of the page number follows the document's."""
    assert "Page1of1" in pages(pdf.render(letter(lang="en")))[0]


def test_a_docx_holds_the_same_with_chinese_fonts_repeated_header_and_page_fields() -> None:
    """宋体 for text, 黑体 for headings, the header row marked to repeat."""
    made = docx.render(letter(rows=30))
    document = python_docx.Document(io.BytesIO(made))
    text = [p.text for p in document.paragraphs]
    assert "药品召回通知函" in text
    assert "一、召回范围" in text
    assert any("质量负责人" in line for line in text)
    grid = document.tables[1]
    assert [cell.text for cell in grid.rows[0].cells] == ["序号", "单位名称", "追溯码", "数量"]
    assert grid.rows[30].cells[2].text == f"{30:020d}"
    xml = zipfile.ZipFile(io.BytesIO(made)).read("word/document.xml").decode()
    assert 'w:eastAsia="宋体"' in xml
    assert 'w:eastAsia="黑体"' in xml
    assert xml.count("<w:tblHeader/>") == 1
    foot = zipfile.ZipFile(io.BytesIO(made)).read("word/footer1.xml").decode()
    assert "NUMPAGES" in foot
    assert "PAGE" in foot


def test_a_workbook_holds_text_only_and_runs_no_formula() -> None:
    """Cells that start with = + - @ are text; twenty digits stay twenty digits."""
    hostile = ['=HYPERLINK("x")', "+1+1", "-2", "@SUM(A1)"]
    paper = letter(
        title="=1+1",
        blocks=[Table(["甲", "乙", "丙", "丁"], [hostile, ["81234567890123456789", "a", "b", ""]])],
    )
    sheet = openpyxl.load_workbook(io.BytesIO(xlsx.render(paper))).active
    assert sheet is not None
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert all(cell.data_type == "s" for cell in cells)
    values = [cell.value for cell in cells]
    for text in [*hostile, "81234567890123456789", "=1+1", "复方甘草片"]:
        assert text in values
    assert all(cell.quotePrefix for cell in cells if str(cell.value).startswith(("=", "+", "-", "@")))


def test_control_characters_do_not_break_any_format() -> None:
    """What a scanner or a paste brings along becomes a blank."""
    paper = letter(blocks=[Text("甲\x0b乙\x00丙\u202e丁"), PageBreak(), Text("末")])
    assert len(pages(pdf.render(paper))) == 2
    assert "甲 乙 丙 丁" in [p.text for p in python_docx.Document(io.BytesIO(docx.render(paper))).paragraphs]
    xlsx.render(paper)


def test_a_row_of_another_length_is_the_callers_mistake() -> None:
    """Nothing is cut silently."""
    with pytest.raises(ValueError, match="row 0"):
        Table(["甲", "乙"], [["一"]])


def test_lines_do_not_start_with_a_comma_and_do_not_split_codes() -> None:
    """Closing punctuation stays with its word; a code moves whole unless it is wider than the line."""
    made = wrap.lines("甲乙丙丁，戊己（庚", 4, lambda text: float(len(text)))
    assert "".join(made) == "甲乙丙丁，戊己（庚"
    assert not any(line.startswith("，") or line.endswith("（") for line in made)
    assert wrap.lines("码 12345", 6, lambda text: float(len(text))) == ["码", "12345"]
    assert wrap.lines("123456789", 4, lambda text: float(len(text))) == ["1234", "5678", "9"]
    assert wrap.lines("", 4, lambda text: float(len(text))) == [""]
