"""Tables as files people open in a spreadsheet: CSV and XLSX.

CSV carries a byte-order mark, without which Excel shows Chinese as noise. A text that a spreadsheet would run
as a formula is written with an apostrophe before it (CSV injection); codes are text in XLSX, so that twenty
digits stay twenty digits.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from starlette.responses import Response

Format = Literal["csv", "xlsx"]
Value = str | int | None

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
DIGITS_SAFE_MAX = 11
"""Digits that a spreadsheet shows as they are; a longer number in a CSV is written as a formula of text."""


def safe(value: Value) -> Value:
    """`value` so that no spreadsheet runs it and no long number is rounded."""
    if not isinstance(value, str):
        return value
    text = _ILLEGAL.sub("", value)
    if text.startswith(_DANGEROUS):
        return "'" + text
    return text


def _csv_cell(value: Value) -> str:
    made = safe(value)
    if made is None:
        return ""
    # a tab keeps Excel from reading 20 digits as a number; it is trimmed by every reader of codes of ours
    if isinstance(made, str) and len(made) > DIGITS_SAFE_MAX and made.isascii() and made.isdigit():
        return made + "\t"
    return str(made)


def to_csv(head: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """UTF-8 with byte-order mark, CRLF, RFC 4180 quoting."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_csv_cell(h) for h in head])
    writer.writerows([_csv_cell(v) for v in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def to_xlsx(title: str, head: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """A workbook of one sheet; the first row stays in sight."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", title)[:31] or "1")
    sheet.freeze_panes = "A2"
    heading = []
    for text in head:
        cell = WriteOnlyCell(sheet, value=safe(text))
        cell.font = Font(bold=True)
        heading.append(cell)
    sheet.append(heading)
    for row in rows:
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value=safe(value))
            if isinstance(value, str):
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def download(
    kind: Format, name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[Value]]
) -> Response:
    """The table as a download; `name` is ASCII, without extension."""
    body = to_csv(head, rows) if kind == "csv" else to_xlsx(title, head, rows)
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60] or "export"
    headers = {"content-disposition": f'attachment; filename="{plain}.{kind}"'}
    return Response(body, media_type=_MEDIA[kind], headers=headers)
