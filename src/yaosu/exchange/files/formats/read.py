"""Read a dropped file of any kind: what it is, told by its content, and its bills."""

from __future__ import annotations

import re
from collections.abc import Iterable

from yaosu.errors import Finding
from yaosu.exchange.files.columns import key_of
from yaosu.exchange.files.formats import client_txt, markup, scan_xml, xls
from yaosu.exchange.files.formats.code_list import looks_like_codes, read_list
from yaosu.exchange.files.formats.rows import Row, of_csv
from yaosu.exchange.files.formats.source import Source, opened
from yaosu.exchange.files.formats.table import TableReader
from yaosu.exchange.files.formats.xlsx import Workbook
from yaosu.exchange.files.model import FileContent, FileRefusedError, Ignored

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
    return _first_table("xlsx", [(title, lambda part=part: list(book.rows(part))) for title, part in sheets])


def _named(format_: str, sheets: Iterable[tuple[str, list[Row]]]) -> FileContent:
    found = list(sheets)
    named = [s for s in found if not _EXPLAINING.search(s[0])] or found
    return _first_table(format_, [(title, lambda rows=rows: rows) for title, rows in named])


def _first_table(format_: str, sheets: list[tuple[str, object]]) -> FileContent:
    """The one sheet that holds a table of bills; rows of other sheets after it are said to be left out.

    Refused: two sheets with bills. Leaving one out would drop codes, and a line number would name two places.
    """
    problem = FileRefusedError("file_no_lines")
    for at, (title, rows) in enumerate(sheets):
        held: list[Row] = rows()  # type: ignore[operator]
        if not held:
            continue
        try:
            content = TableReader(format_, "", letters=True).read(held)
        except FileRefusedError as refused:
            if refused.code not in {"file_no_heading", "file_no_lines"}:
                raise
            problem = refused
            continue
        for other, more in sheets[at + 1 :]:
            left: list[Row] = more()  # type: ignore[operator]
            if left and _holds_bills(format_, left):
                raise FileRefusedError("file_two_tables", one=title[:40], other=other[:40])
            if left:
                content.ignored.append(Ignored(0, "sheet", f"{other}: {len(left)}"[:200]))
        return content
    raise problem


def _holds_bills(format_: str, rows: list[Row]) -> bool:
    try:
        return bool(TableReader(format_, "", letters=True).read(rows).bills)
    except FileRefusedError as refused:
        return refused.code not in {"file_no_heading", "file_no_lines"}
