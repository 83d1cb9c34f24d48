"""Read a dropped file of any kind: what it is, told by its content, and its bills."""

from __future__ import annotations

import re

from yaosu.exchange.files.columns import key_of
from yaosu.exchange.files.formats import client_txt, scan_xml, xls
from yaosu.exchange.files.formats.rows import Row, of_csv
from yaosu.exchange.files.formats.source import Source, opened
from yaosu.exchange.files.formats.table import TableReader, looks_like_codes
from yaosu.exchange.files.formats.xlsx import Workbook
from yaosu.exchange.files.model import FileContent, FileRefusedError, Ignored

_EXPLAINING = re.compile(r"说明|填写|explan|readme", re.IGNORECASE)
_RELATION_COLUMNS = (
    {"level", "packlayer", "包装级别", "级别"},
    {"batch_no", "batchno", "批号", "生产批号", "药品生产批号"},
)


def kind_of(source: Source) -> str:
    """`relation`, `scan_xml`, `client_txt`, `code_list`, `csv`, `xlsx` or `xls`.

    Raises FileRefusedError for what has another door, or none.
    """
    if source.kind != "text":
        return source.kind
    text = source.text.lstrip()
    if text.startswith("<"):
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
    if text.startswith("$") or (text.startswith("#") and "\n$" in text[:20_000]):
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
    kind = kind_of(source)
    if kind == "scan_xml":
        return scan_xml.read(source.text, source.encoding)
    if kind == "client_txt":
        return client_txt.read(source.text, source.encoding)
    if kind == "code_list":
        return client_txt.read_list(source.text, source.encoding)
    if kind == "csv":
        return TableReader("csv", source.encoding, letters=False).read(of_csv(source.text))
    if kind == "xlsx":
        return _xlsx(source.data)
    if kind == "xls":
        return _xls(source.data)
    return FileContent("relation", source.encoding)


def _xlsx(data: bytes) -> FileContent:
    book = Workbook(data)
    sheets = [s for s in book.sheets if not _EXPLAINING.search(s[0])] or book.sheets
    return _first_table("xlsx", [(title, lambda part=part: list(book.rows(part))) for title, part in sheets])


def _xls(data: bytes) -> FileContent:
    found = [(t, rows) for t, rows in xls.sheets(data)]
    named = [s for s in found if not _EXPLAINING.search(s[0])] or found
    return _first_table("xls", [(title, lambda rows=rows: rows) for title, rows in named])


def _first_table(format_: str, sheets: list[tuple[str, object]]) -> FileContent:
    """The first sheet that holds a table of bills; rows of later sheets are said to be left out."""
    problem = FileRefusedError("file_no_lines")
    for at, (_, rows) in enumerate(sheets):
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
            left = len(more())  # type: ignore[operator]
            if left:
                content.ignored.append(Ignored(0, "sheet", f"{other}: {left}"[:200]))
        return content
    raise problem
