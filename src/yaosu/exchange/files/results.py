"""Results and templates as tables: every line with its verdict, as CSV or XLSX that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill

from yaosu.exchange.files.answers import Line
from yaosu.exchange.files.columns import COLUMNS, EXAMPLE_MARK
from yaosu.registry.sheets import safe
from yaosu.rules.bill_types import submittable

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"

_HEADS = {
    "zh": ("行", "列", "单据编号", "单据类型", "内容", "结果", "判定", "说明", "下一步"),
    "en": ("Line", "Column", "Bill", "Type", "Content", "Result", "Verdict", "Reason", "Next step"),
}
_OUTCOMES = {
    "zh": {"accepted": "已受理", "refused": "未受理", "ignored": "未处理（非单据内容）"},
    "en": {"accepted": "accepted", "refused": "refused", "ignored": "ignored"},
}


def heads(lang: str) -> Sequence[str]:
    """Headings of a result."""
    return _HEADS["zh" if lang.startswith("zh") else "en"]


def outcome(name: str, lang: str) -> str:
    """An outcome in words."""
    return _OUTCOMES["zh" if lang.startswith("zh") else "en"][name]


def row(bill_no: str, type_: int, line: Line, lang: str) -> list[str]:
    """One line of a result."""
    kind = submittable().get(type_)
    return [
        str(line.line) if line.line else "",
        line.column,
        bill_no,
        f"{type_} {kind.label(lang)}" if kind is not None else "",
        line.text,
        outcome(line.outcome, lang),
        line.code,
        line.reason(lang),
        line.next_step(lang),
    ]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; nothing is a formula."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([safe(cell) for cell in one] for one in rows)
    return out.getvalue()


async def as_csv(lines: AsyncIterator[tuple[str, int, int | None, Line]], lang: str) -> AsyncIterator[bytes]:
    """A result as CSV in pieces, UTF-8 with the mark that Chinese spreadsheet software needs."""
    yield b"\xef\xbb\xbf" + csv_text([heads(lang)]).encode()
    held: list[list[str]] = []
    async for bill_no, type_, _, line in lines:
        held.append(row(bill_no, type_, line, lang))
        if len(held) >= 2_000:
            yield csv_text(held).encode()
            held = []
    if held:
        yield csv_text(held).encode()


def book(sheets: Sequence[tuple[str, Sequence[str], Iterable[Sequence[object]]]], grey: int = 0) -> bytes:
    """An XLSX of text cells: (title, headings, rows) per sheet. `grey` rows after the heading are shown as examples."""
    made = Workbook(write_only=True)
    for title, headings, rows in sheets:
        sheet = made.create_sheet(title[:31])
        sheet.freeze_panes = "A2"
        for at, heading in enumerate(headings):
            letter = chr(65 + at) if at < 26 else "A" + chr(39 + at)
            sheet.column_dimensions[letter].width = max(12, min(44, 2 * len(heading) + 6))
            # the whole column is text, so that codes typed or pasted below keep their digits
            sheet.column_dimensions[letter].number_format = "@"
        sheet.append([_cell(sheet, h, bold=True) for h in headings])
        for n, one in enumerate(rows):
            sheet.append([_cell(sheet, v, grey=n < grey) for v in one])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def _cell(sheet: Any, value: object, bold: bool = False, grey: bool = False) -> Any:
    cell = WriteOnlyCell(sheet, value=safe(value))
    cell.data_type = "s"
    cell.number_format = "@"
    if bold:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="00E8EEF4")
    if grey:
        cell.font = Font(italic=True, color="00666666")
        cell.alignment = Alignment(vertical="top")
    return cell


def _example(lang: str) -> list[str]:
    values = [c.example for c in COLUMNS]
    values[0] = f"{EXAMPLE_MARK}-{values[0]}"
    return values


def template_xlsx(lang: str) -> bytes:
    """The template: headings, an example row that is left out when read, a sheet that explains every column."""
    zh = lang.startswith("zh")
    names = [c.zh if zh else c.en for c in COLUMNS]
    explained = [
        [c.zh, c.en, (c.note if zh else c.note_en) or "", "、".join(c.also), c.example] for c in COLUMNS
    ]
    titles = [
        "列",
        "Column",
        "说明" if zh else "Meaning",
        "也认的列名" if zh else "Other headings",
        "例" if zh else "Example",
    ]
    kinds = [[k.code, k.zh, k.en] for k in submittable().values()]
    return book(
        [
            ("单据" if zh else "Bills", names, [_example(lang)]),
            ("填写说明" if zh else "Explanations", titles, explained),
            ("单据类型说明" if zh else "Explanations of types", ["编号", "单据类型", "Bill type"], kinds),
        ],
        grey=1,
    )


def template_csv(lang: str) -> bytes:
    """The template as CSV: headings and the example row."""
    names = [c.zh if lang.startswith("zh") else c.en for c in COLUMNS]
    return b"\xef\xbb\xbf" + csv_text([names, _example(lang)]).encode()
