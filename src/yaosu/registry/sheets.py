"""Tables from files: XLSX and CSV (UTF-8 or GB18030) read within limits, and written so that they cannot hurt.

A spreadsheet is hostile until shown otherwise: its size is checked before it is unpacked, document types and
entities are refused, formulas are never evaluated. Text that a spreadsheet would run as a formula is written
with a leading apostrophe, which reading takes off again.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font

from yaosu.errors import YaosuError

ROWS_MAX = 100_000
COLUMNS_MAX = 60
CELL_MAX = 4_000
FILE_MB_MAX = 32
UNPACKED_MB_MAX = 256
RATIO_MAX = 200
"""Largest ratio of unpacked to packed size of one part; real sheets stay below 50."""
PARTS_MAX = 500
EXACT_MAX = 10**15
"""Whole numbers of more than 15 digits are rounded by spreadsheet software."""

_RISKY = ("=", "+", "-", "@", "\t", "\r")

Row = tuple[int, list[str]]
"""Number of the line in the file, counted from 1, and its cells as text."""


def read(data: bytes, name: str) -> list[Row]:
    """The non-empty rows of the first sheet. Refused: `import_file_unreadable`, `import_too_large`."""
    if len(data) > FILE_MB_MAX << 20:
        raise _large("文件 file", f"{FILE_MB_MAX} MB")
    rows = _xlsx(data) if data[:4] == b"PK\x03\x04" else _csv(data)
    while rows and not any(rows[-1][1]):
        rows.pop()
    return [row for row in rows if any(row[1])]


def _large(what: str, limit: object) -> YaosuError:
    return YaosuError("import_too_large", {"what": what, "max": limit})


def _unreadable(reason: str) -> YaosuError:
    return YaosuError("import_file_unreadable", {"reason": reason})


def _take(rows: list[Row], number: int, cells: list[str]) -> None:
    if number > ROWS_MAX + 1:
        raise _large("行数 rows", ROWS_MAX)
    while cells and not cells[-1]:
        cells.pop()
    if len(cells) > COLUMNS_MAX:
        raise _large("列数 columns", COLUMNS_MAX)
    if any(len(cell) > CELL_MAX for cell in cells):
        raise _large(f"第 {number} 行的单元格 a cell of row {number}", CELL_MAX)
    rows.append((number, cells))


def _check_parts(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        parts = packed.infolist()
        if len(parts) > PARTS_MAX:
            raise _large("压缩包内文件数 parts", PARTS_MAX)
        if sum(p.file_size for p in parts) > UNPACKED_MB_MAX << 20:
            raise _large("解压后大小 unpacked size", f"{UNPACKED_MB_MAX} MB")
        for part in parts:
            if part.file_size > 1 << 20 and part.file_size > RATIO_MAX * max(part.compress_size, 1):
                raise _large("压缩比 compression ratio", RATIO_MAX)
            if part.filename.endswith((".xml", ".rels")):
                with packed.open(part) as opened:
                    head = opened.read(4096).lstrip(b"\xef\xbb\xbf").replace(b"\0", b"").upper()
                if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                    raise _unreadable("DOCTYPE/ENTITY")


def _xlsx(data: bytes) -> list[Row]:
    rows: list[Row] = []
    try:
        _check_parts(data)
        values = _open(data, True)
        formulas = _open(data, False) if _has_formulas(data) else None
        try:
            for number, cells in enumerate(_rows(values, formulas), 1):
                _take(rows, number, [_text(cell) for cell in cells])
        finally:
            values.close()
            if formulas is not None:
                formulas.close()
    except YaosuError:
        raise
    except Exception as error:  # the reader fails with whatever its parsers raise on a broken file
        raise _unreadable(type(error).__name__) from error
    return rows


def _has_formulas(data: bytes) -> bool:
    """Whether any sheet has a formula; only then the file is read a second time."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for part in packed.infolist():
            if not part.filename.startswith("xl/worksheets/"):
                continue
            with packed.open(part) as opened:
                tail = b""
                while chunk := opened.read(1 << 20):
                    seen = tail + chunk
                    if b"<f>" in seen or b"<f " in seen or b":f>" in seen:
                        return True
                    tail = seen[-3:]
    return False


def _rows(values: Workbook, formulas: Workbook | None) -> Iterable[Sequence[Any]]:
    if formulas is None:
        yield from _cells(values)
        return
    for cells, written in zip(_cells(values), _cells(formulas), strict=True):
        # a formula that was never calculated shows as itself rather than vanishing
        yield [w if c is None else c for c, w in zip(cells, written, strict=True)]


def _open(data: bytes, data_only: bool) -> Workbook:
    return load_workbook(io.BytesIO(data), read_only=True, data_only=data_only, keep_links=False)


def _cells(book: Workbook) -> Iterable[tuple[Any, ...]]:
    sheet: Any = book.worksheets[0]
    # the sheet's own claim of its size is not to be trusted: rows are counted as they come
    sheet.reset_dimensions()
    found: Iterable[tuple[Any, ...]] = sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX + 1)
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_MAX:
        return str(int(value))
    if isinstance(value, int | float):
        # shown as rounded, so that the check of the column says so instead of taking a wrong number
        return str(value) if abs(value) < EXACT_MAX else f"{value:.5E}"
    return _plain(str(value))


def _plain(value: str) -> str:
    text = value.replace("_x000D_", "").strip()
    return text[1:] if text[:1] == "'" and text[1:2] in _RISKY else text


def _csv(data: bytes) -> list[Row]:
    text = None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None or "\0" in text:
        raise _unreadable("encoding")
    first = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=first.count)
    rows: list[Row] = []
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), 1):
            _take(rows, number, [_plain(cell) for cell in cells])
    except csv.Error as error:
        raise _unreadable(str(error)) from error
    return rows


def safe(value: object) -> str:
    """Text of a cell that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_RISKY) else text


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV in UTF-8 with byte order mark, which Chinese spreadsheet software needs to see the encoding."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe(h) for h in headings])
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def write_xlsx(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], notes: Sequence[str] = ()
) -> bytes:
    """An XLSX of text cells: long numbers keep their digits, nothing is a formula. `notes` go below the heading."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "A2"
    for index in range(len(headings)):
        sheet.column_dimensions[_column(index)].width = max(12, min(40, 2 * len(headings[index]) + 4))

    def cells(values: Sequence[object], bold: bool = False, grey: bool = False) -> list[Any]:
        made = []
        for value in values:
            cell = WriteOnlyCell(sheet, value=safe(value))
            cell.data_type = "s"
            cell.number_format = "@"
            if bold:
                cell.font = Font(bold=True)
            if grey:
                cell.font = Font(italic=True, color="00666666")
                cell.alignment = Alignment(wrap_text=True, vertical="top")
            made.append(cell)
        return made

    sheet.append(cells(headings, bold=True))
    if notes:
        sheet.append(cells(notes, grey=True))
    for row in rows:
        sheet.append(cells(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _column(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
