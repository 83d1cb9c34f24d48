"""Read a dropped file of any kind: what it is, told by its content, and its bills."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from yaosu.errors import Finding
from yaosu.exchange.files.columns import key_of
from yaosu.exchange.files.formats import client_txt, markup, scan_xml, xls
from yaosu.exchange.files.formats.code_list import looks_like_codes, read_list
from yaosu.exchange.files.formats.rows import Row, of_csv
from yaosu.exchange.files.formats.source import Source, opened
from yaosu.exchange.files.formats.table import TableReader, has_bills
from yaosu.exchange.files.formats.xlsx import Workbook
from yaosu.exchange.files.model import LINES_MAX, FileContent, FileRefusedError, Ignored, SheetTaken

_EXPLAINING = re.compile(r"说明|填写|explan|readme", re.IGNORECASE)
_RELATION_COLUMNS = (
    {"level", "packlayer", "包装级别", "级别"},
    {"batch_no", "batchno", "批号", "生产批号", "药品生产批号"},
)


def kind_of(source: Source) -> str:
    """`relation`, `scan_xml`, `client_txt`, `code_list`, `csv`, `xlsx`, `xls`, `html` or `excel_xml`.

    Raises FileRefusedError for what has another door, or none.
    """
    if source.kind != "text":
        return source.kind
    text = source.text.lstrip()
    if text.startswith("<"):
        if found := markup.kind_of(text):
            return found
        found = scan_xml.kind_of(source.text)
        if found == "epcis":
            raise FileRefusedError("file_is_epcis")
        if not found:
            raise FileRefusedError("file_unknown")
        return "scan_xml" if found == "scan" else found
    if text.startswith(("{", "[")) and '"' in text[:4_000]:
        if '"relations"' in text[:4_000] or text.startswith('{"batch'):
            return "relation"
        raise FileRefusedError("file_is_json")
    first = client_txt.opening(text[:200])
    if first.startswith("$") or (
        first.startswith("#") and re.search(r"^\s*[$＄]", text[:20_000], re.MULTILINE)
    ):
        return "client_txt"
    if _relation_table(text):
        return "relation"
    return "code_list" if looks_like_codes(text) else "csv"


def _relation_table(text: str) -> bool:
    head = {h.strip().strip('"').lower() for h in re.split(r"[,;\t]", text[:4_000].split("\n", 1)[0])}
    return all(head & names for names in _RELATION_COLUMNS) and not any(key_of(h) == "bill_no" for h in head)


def content_of(data: bytes) -> FileContent:
    """The bills of a file, and every line that is in none. Raises FileRefusedError; a relation file has no bills.

    Blocking, about two seconds for 100,000 lines: run it in a thread.
    """
    source = opened(data)
    content = _content(source, kind_of(source))
    if source.other_than:
        params = {"declared": source.other_than, "encoding": source.encoding}
        content.notes.append(Finding("file_note_encoding", params))
    return content


def _content(source: Source, kind: str) -> FileContent:
    if kind == "scan_xml":
        return scan_xml.read(source.text, source.encoding)
    if kind == "client_txt":
        return client_txt.read(source.text, source.encoding)
    if kind == "code_list":
        return read_list(source.text, source.encoding)
    if kind == "csv":
        return TableReader("csv", source.encoding, letters=False).read(of_csv(source.text))
    if kind == "xlsx":
        return _xlsx(source.data)
    if kind == "xls":
        return _named("xls", xls.sheets(source.data))
    if kind in ("html", "excel_xml"):
        # old workbooks to the people who save them
        return _named("xls", markup.sheets(source.text, kind))
    return FileContent("relation", source.encoding)


def _xlsx(data: bytes) -> FileContent:
    book = Workbook(data)
    sheets = [s for s in book.sheets if not _EXPLAINING.search(s[0])] or book.sheets
    return _sheets("xlsx", [(title, partial(_rows, book, part)) for title, part in sheets])


def _rows(book: Workbook, part: str) -> list[Row]:
    return list(book.rows(part))


def _named(format_: str, sheets: Iterable[tuple[str, list[Row]]]) -> FileContent:
    found = list(sheets)
    named = [s for s in found if not _EXPLAINING.search(s[0])] or found
    return _sheets(format_, [(title, partial(list, rows)) for title, rows in named])


def _sheets(format_: str, sheets: Sequence[tuple[str, Callable[[], list[Row]]]]) -> FileContent:
    """The bills of all sheets that hold some, in their order; of the others it is said that they were left out."""
    taken: list[tuple[str, list[Row]]] = []
    others: list[tuple[str, list[Row]]] = []
    total = 0
    for title, load in sheets:
        try:
            rows = load()
        except FileRefusedError as refused:
            if len(sheets) > 1 and "line" in refused.params:
                refused.params["line"] = f"{title}!{refused.params['line']}"
            raise
        total += len(rows)
        if total > LINES_MAX:
            raise FileRefusedError("file_too_many", line=f"{title}!", what="row", limit=LINES_MAX)
        if has_bills(rows):
            taken.append((title, rows))
        elif rows:
            others.append((title, rows))
    reader = TableReader(format_, "", letters=True)
    if len(taken) > 1:
        content = reader.read_sheets(taken)
    else:
        # what has no heading, or nothing below it, is refused with the reason
        title, rows = (taken or others or [("", [])])[0]
        if not rows:
            raise FileRefusedError("file_no_lines")
        content = reader.read(rows)
        content.sheets.append(
            SheetTaken(
                title,
                len(rows),
                len(content.bills),
                sum(b.items for b in content.bills),
                content.problem_count,
            )
        )
    for title, rows in others:
        content.ignored.append(Ignored(0, "sheet", f"{title}: {len(rows)}"[:200]))
        content.sheets.append(SheetTaken(title, len(rows)))
    return content
