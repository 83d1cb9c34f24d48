"""What many an ERP saves under the name of a workbook: a table of HTML, or the XML of Excel 2003. Nothing is run,
nothing fetched, no document type read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from xml.parsers import expat

from yaosu.exchange.files.formats.cells import number_text, plain
from yaosu.exchange.files.formats.rows import Row, checked
from yaosu.exchange.files.model import COLUMNS_MAX, LINES_MAX, FileRefusedError

HTML_MB_MAX = 48
"""Largest page, in millions of characters."""
TAG_MAX = 2_000
"""Characters of a tag that are looked at."""
DEPTH_MAX = 40
SPAN_MAX = 200_000
_TAG = re.compile(r"/?[A-Za-z][A-Za-z0-9]*", re.ASCII)
_QUIET_ENDS = re.compile(r"</(?:script|style)", re.IGNORECASE)
_SPAN = re.compile(r"(rowspan|colspan)\s*=\s*[\"']?([0-9]{1,6})", re.IGNORECASE | re.ASCII)
_SPREADSHEET = "urn:schemas-microsoft-com:office:spreadsheet"


def kind_of(text: str) -> str:
    """`html`, `excel_xml` or `` by the first few thousand characters."""
    head = text[:4_000].lower()
    if _SPREADSHEET in head and "<workbook" in head:
        return "excel_xml"
    return "html" if any(mark in head for mark in ("<html", "<table", "<!doctype html")) else ""


def sheets(text: str, kind: str) -> list[tuple[str, list[Row]]]:
    """(title, rows) of the tables. Raises FileRefusedError where it is too large or cannot be read."""
    if kind == "excel_xml":
        return _excel_xml(text)
    if len(text) > HTML_MB_MAX << 20:
        raise FileRefusedError("file_too_large", limit_mb=HTML_MB_MAX)
    reader = _Html()
    reader.feed(text)
    return [(f"{n}", rows) for n, rows in enumerate(reader.tables(), 1)]


class _Html:
    """Tables of a page: the innermost counts where one stands inside another.

    Own scanner, because a general one may look at the rest of the page anew for every sign of a hostile one. This one
    only goes forward.
    """

    def __init__(self) -> None:
        self._found: list[list[Row]] = []
        self._open: list[_Table] = []

    def tables(self) -> Iterator[list[Row]]:
        """Those with rows."""
        yield from self._found

    def feed(self, text: str) -> None:
        """The whole page."""
        at = 0
        while (begin := text.find("<", at)) >= 0:
            if self._open and begin > at:
                self._open[-1].text(unescape(text[at:begin]))
            if text.startswith("<!--", begin):
                end = text.find("-->", begin)
                at = end + 3
            elif not text[begin + 1 : begin + 2].isalpha() and text[begin + 1 : begin + 2] not in (
                "/",
                "!",
                "?",
            ):
                if self._open:
                    self._open[-1].text("<")
                end = at = begin + 1
            else:
                end = text.find(">", begin)
                at = end + 1
                if end > begin:
                    name = self._tag(text[begin + 1 : min(end, begin + TAG_MAX)])
                    if name in ("script", "style"):
                        closing = _QUIET_ENDS.search(text, at)
                        end = at = closing.start() if closing is not None else -1
            if end < 0:
                break
        if self._open:
            # a table that does not end: the rest of the page never came
            raise FileRefusedError("file_cut", incomplete=True, line=text.count("\n") + 1)

    def _tag(self, inside: str) -> str:
        found = _TAG.match(inside)
        name = found.group().lower() if found is not None else ""
        if not name.startswith("/"):
            self._start(name, inside)
        elif self._open and name == "/table":
            self._close()
        elif self._open and name == "/tr":
            self._open[-1].end_row()
        elif self._open and name in ("/td", "/th"):
            self._open[-1].end_cell()
        return name

    def _close(self) -> None:
        table = self._open.pop()
        table.end_row()
        if table.rows:
            self._found.append(table.rows)

    def _start(self, name: str, inside: str) -> None:
        if name == "table":
            if len(self._open) >= DEPTH_MAX:
                raise FileRefusedError("file_too_deep", line="—", limit=DEPTH_MAX)
            self._open.append(_Table())
        elif self._open and name == "tr":
            self._open[-1].end_row()
            self._open[-1].begin_row()
        elif self._open and name in ("td", "th"):
            spans = {k.lower(): int(v) for k, v in _SPAN.findall(inside)} if "span" in inside.lower() else {}
            self._open[-1].begin_cell(spans.get("rowspan", 1), spans.get("colspan", 1))
        elif self._open and name == "br":
            self._open[-1].text("\n")


class _Table:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._number = 0
        self._cells: list[str] | None = None
        self._piece: list[str] | None = None
        self._span = (1, 1)
        # rows that a merged cell above still covers, by column
        self._covered: dict[int, int] = {}

    def begin_row(self) -> None:
        self._number += 1
        self._cells = []

    def begin_cell(self, down: int, across: int) -> None:
        self.end_cell()
        if self._cells is None:
            self.begin_row()
        self._span = (min(down, SPAN_MAX), min(max(across, 1), COLUMNS_MAX + 1))
        self._piece = []

    def text(self, text: str) -> None:
        if self._piece is not None:
            self._piece.append(text)

    def end_cell(self) -> None:
        if self._piece is None or self._cells is None:
            return
        self._cover()
        down, across = self._span
        for n in range(across):
            if down > 1:
                self._covered[len(self._cells)] = down - 1
            # what a merged cell says stands in its first cell, as in a workbook
            self._cells.append(plain("".join(self._piece)) if n == 0 else "")
        self._piece = None
        if len(self._cells) > COLUMNS_MAX * 2:
            raise FileRefusedError("file_too_many", line=self._number, what="column", limit=COLUMNS_MAX)

    def _cover(self) -> None:
        assert self._cells is not None
        while (at := len(self._cells)) in self._covered:
            self._covered[at] -= 1
            if self._covered[at] <= 0:
                del self._covered[at]
            self._cells.append("")

    def end_row(self) -> None:
        self.end_cell()
        if self._cells is None:
            return
        self._cover()
        row = checked(self._number, self._cells, {})
        self._cells = None
        if row is not None:
            self.rows.append(row)
            if len(self.rows) > LINES_MAX:
                raise FileRefusedError("file_too_many", line=self._number, what="row", limit=LINES_MAX)


def _excel_xml(text: str) -> list[tuple[str, list[Row]]]:
    reader = _ExcelXml()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text

    def doctype(*_: object) -> None:
        raise FileRefusedError("file_doctype", line=int(parser.CurrentLineNumber))

    parser.StartDoctypeDeclHandler = doctype
    end = text.find("?>")
    body = text[end + 2 :] if text.lstrip().startswith("<?xml") and end > 0 else text
    try:
        parser.Parse(body.strip().encode(), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise FileRefusedError(
            "file_xml_syntax", line=error.lineno, column=error.offset + 1, reason=reason
        ) from None
    return reader.sheets


class _ExcelXml:
    """Worksheets, rows and cells; `Index` skips, `MergeAcross` covers, formulas are marked."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, list[Row]]] = []
        self._depth = self._row = self._skip = 0
        self._cells: list[str] = []
        self._marks: dict[int, str] = {}
        self._take: list[str] | None = None
        self._type = self._mark = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise FileRefusedError("file_too_deep", line=self._row, limit=DEPTH_MAX)
        name = tag.rpartition(":")[2]
        got = {k.rpartition(":")[2]: v for k, v in attributes.items()}
        if name == "Worksheet":
            self.sheets.append((got.get("Name", "")[:100], []))
            self._row = 0
        elif name == "Row":
            self._row = self._index(got, self._row, LINES_MAX, "row")
            self._cells, self._marks = [], {}
        elif name == "Cell":
            at = self._index(got, len(self._cells), COLUMNS_MAX, "column") - 1
            self._cells += [""] * (at - len(self._cells))
            merged = got.get("MergeAcross", "0")
            self._skip = min(int(merged), COLUMNS_MAX) if merged.isdigit() and len(merged) < 6 else 0
            self._mark = "formula" if got.get("Formula") else ""
            self._cells.append("")
        elif name == "Data" and self._cells:
            self._type, self._take = got.get("Type", "String"), []

    def _index(self, got: dict[str, str], before: int, most: int, what: str) -> int:
        given = got.get("Index", "")
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else before + 1
        if number <= before:
            raise FileRefusedError("file_cell_reference", line=self._row, cell=f"{what} {given}"[:20])
        if number > most + 1:
            raise FileRefusedError("file_too_many", line=self._row, what=what, limit=most)
        return number

    def text(self, value: str) -> None:
        if self._take is not None:
            self._take.append(value)

    def end(self, tag: str) -> None:
        self._depth -= 1
        name = tag.rpartition(":")[2]
        if name == "Data" and self._take is not None:
            raw, lost = "".join(self._take), False
            if self._type == "Number":
                raw, lost = number_text(raw)
            self._cells[-1] = plain(raw)
            mark = self._mark or ("number" if lost else "error" if self._type == "Error" else "")
            if mark:
                self._marks[len(self._cells) - 1] = mark
            self._take = None
        elif name == "Cell":
            self._cells += [""] * self._skip
        elif name == "Row" and self.sheets:
            row = checked(self._row, self._cells, self._marks)
            if row is not None:
                self.sheets[-1][1].append(row)
