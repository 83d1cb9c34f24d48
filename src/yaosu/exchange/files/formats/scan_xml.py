"""扫码单据 (in/out) XML 3.0 in both variants, with expat: nothing external, no document type, bounded everywhere.

Shape: domain/standards.md §5.5, domain/interfaces.md §2.11 (b). `Name` and `MainAction` stand on `Event`, or on
`Events` in the older variant. Names of elements and attributes in any case, with any namespace prefix. Every `Data`
is one code; Data of the same bill number under the same name are one bill.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from yaosu.errors import Finding
from yaosu.exchange.files.formats.cells import moment, plain
from yaosu.exchange.files.model import (
    BILLS_MAX,
    LINES_MAX,
    FileBill,
    FileContent,
    FileRefusedError,
    Problem,
)
from yaosu.exchange.files.names import main_action, type_of

DEPTH_MAX = 12
ATTRIBUTES_MAX = 40
VALUE_MAX = 1_000
FEED = 1 << 20
_NEXT = re.compile(r"</(?:\w+:)?Document\s*>\s*(?=<(?:\?xml|(?:\w+:)?Document))", re.IGNORECASE)
_USED = {
    "code",
    "corporderid",
    "actor",
    "actdate",
    "tocorpid",
    "fromcorpid",
    "asscorpid",
    "wrongcode",
    "corpproductid",
    "corpbatchno",
    "producedate",
}
_WRAPPERS = {
    "document",
    "events",
    "event",
    "datafield",
    "actionmapping",
    "datamaping",
    "datamapping",
    "datadesc",
}


class _Reader:
    def __init__(self, encoding: str) -> None:
        self.content = FileContent("scan_xml", encoding)
        self._bills: dict[tuple[str, str], FileBill] = {}
        self._by_number: dict[str, FileBill] = {}
        self._path: list[str] = []
        self._names: list[tuple[str, str]] = [("", "")]
        self._count = 0
        self._noted: set[str] = set()
        self._before = 0
        self._parser = self._fresh()

    def _fresh(self) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding="utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        return parser

    def _line(self) -> int:
        return int(self._parser.CurrentLineNumber) + self._before

    def _doctype(self, *_: object) -> None:
        raise FileRefusedError("file_doctype", line=self._line())

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2].lower()
        line = self._line()
        if len(self._path) >= DEPTH_MAX:
            raise FileRefusedError("file_too_deep", line=line, limit=DEPTH_MAX)
        if len(attributes) > ATTRIBUTES_MAX:
            raise FileRefusedError("file_too_many", line=line, what="attribute", limit=ATTRIBUTES_MAX)
        got = {}
        for key, value in attributes.items():
            if len(value) > VALUE_MAX or len(key) > 100:
                raise FileRefusedError("file_value_too_long", line=line, name=key[:40], limit=VALUE_MAX)
            got[key.rpartition(":")[2].lower()] = value
        if not self._path and name != "document":
            raise FileRefusedError("file_root", line=line, element=tag[:40])
        if name in {"relation", "batch"}:
            raise FileRefusedError("file_mixed", line=line)
        if name == "data":
            if "datafield" not in self._path:
                raise FileRefusedError("file_misplaced", line=line, element=tag[:40], parent="DataField")
            self._data(got, line)
        elif name in {"events", "event"}:
            above = self._names[-1]
            self._names.append((got.get("name") or above[0], got.get("mainaction") or above[1]))
        elif name not in _WRAPPERS:
            self._note("file_note_element", tag[:60], line)
        self._path.append(name)

    def _end(self, _tag: str) -> None:
        if self._path.pop() in {"events", "event"}:
            self._names.pop()

    def _note(self, code: str, name: str, line: int) -> None:
        if name not in self._noted and len(self._noted) < 100:
            self._noted.add(name)
            self.content.notes.append(Finding(code, {"name": name}, f"line {line}"))

    def _data(self, got: dict[str, str], line: int) -> None:
        self._count += 1
        if self._count > LINES_MAX:
            raise FileRefusedError("file_too_many", line=line, what="Data", limit=LINES_MAX)
        if not got.keys() <= _USED:
            for key in got.keys() - _USED:
                self._note("file_note_attribute", key[:60], line)
        number, (name, action) = plain(got.get("corporderid", "")), self._names[-1]
        bill = self._bills.get((name, number)) or self._open(name, action, number, line)
        code = plain(got.get("code", ""))
        bad = None
        if not code:
            bad = Finding("file_code_missing", {}, "")
        stamp = got.get("actdate", "").strip()[:100]
        at = moment(stamp) if stamp else None
        if stamp and at is None:
            bad = Finding("file_time_unreadable", {"value": stamp[:40]}, "")
        for side, key in (("sender", "fromcorpid"), ("receiver", "tocorpid"), ("principal", "asscorpid")):
            given = got.get(key)
            value = plain(given) if given else ""
            if value and value != getattr(bill, side):
                if getattr(bill, side):
                    params = {
                        "bill_no": number,
                        "field": key,
                        "one": getattr(bill, side)[:60],
                        "other": value[:60],
                    }
                    bad = Finding("file_bill_differs", params, "")
                else:
                    setattr(bill, side, value)
        if bad is not None:
            bill.bad += 1
            self.content.problem(Problem(line, "", bill.n, bad, code[:200]))
            return
        if at is not None and (bill.at is None or at > bill.at):
            bill.at = at
        if "oper_name" not in bill.header and (actor := plain(got.get("actor", ""))[:60]):
            bill.header["oper_name"] = actor
        if got.get("wrongcode", "").strip():
            self._note("file_note_wrong_code", "WrongCode", line)
        bill.codes.append(code)
        bill.lines.append(line)

    def _open(self, name: str, action: str, number: str, line: int) -> FileBill:
        if len(self.content.bills) >= BILLS_MAX:
            raise FileRefusedError("file_too_many", line=line, what="CorpOrderID", limit=BILLS_MAX)
        code = type_of(name)
        if code and action and action.casefold() != main_action(code).casefold():
            self._note("file_note_action", f"{name} / {action}"[:80], line)
        bill = FileBill(len(self.content.bills) + 1, number, name or action, code, line)
        self.content.bills.append(bill)
        self._bills[(name, number)] = bill
        return bill

    def read(self, text: str) -> FileContent:
        """Every document of the text: some software appends one behind the other."""
        at = 0
        for end in (*(found.end() for found in _NEXT.finditer(text)), len(text)):
            self._document(_undeclared(text[at:end]))
            self._before += text.count("\n", at, end)
            self._parser = self._fresh()
            at = end
        return self.content

    def _document(self, text: str) -> None:
        data = text.encode()
        try:
            for at in range(0, len(data), FEED):
                self._parser.Parse(data[at : at + FEED], False)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            cut = error.code in (
                expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
                expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
                expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
            )
            if cut:
                line = error.lineno + self._before
                raise FileRefusedError("file_cut", incomplete=True, line=line) from None
            raise FileRefusedError(
                "file_xml_syntax", line=error.lineno + self._before, column=error.offset + 1, reason=reason
            ) from None


def read(text: str, encoding: str) -> FileContent:
    """The bills of a scan-bill XML. Raises FileRefusedError with the line where reading had to stop."""
    content = _Reader(encoding).read(text)
    if not content.bills:
        raise FileRefusedError("file_no_lines")
    return content


def _undeclared(text: str) -> str:
    """The text is UTF-8 by now whatever its declaration says; it is blanked, so that lines keep their numbers."""
    lead = len(text) - len(text.lstrip())
    if text.startswith("<?xml", lead):
        end = text.find("?>", lead)
        if lead < end < lead + 400:
            breaks = text.count("\n", 0, end)
            return "\n" * breaks + " " * (end + 2 - breaks) + text[end + 2 :]
    return text


class _FoundError(Exception):
    pass


def kind_of(text: str) -> str:
    """`relation`, `scan`, `epcis` or `` for other XML, from the first elements that tell."""
    found = ""
    depth = 0
    root = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal found, depth, root
        depth += 1
        name = tag.rpartition(":")[2].lower()
        names = {k.rpartition(":")[2].lower(): v for k, v in list(attributes.items())[:ATTRIBUTES_MAX]}
        root = root or name
        named = name == "event" and type_of(names.get("name", "")) > 0
        if name in {"relation", "batch"} or names.get("name", "").lower() == "relationcreate":
            found = "relation"
        elif name in {"datafield", "data", "actionmapping"} or "mainaction" in names or named:
            found = "scan"
        elif name.startswith("epcis"):
            found = "epcis"
        if found or depth > 500:
            raise _FoundError

    def refuse(*_: object) -> None:
        raise FileRefusedError("file_doctype", line=int(parser.CurrentLineNumber))

    parser = expat.ParserCreate(encoding="utf-8")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_undeclared(text)[: 4 << 20].encode(), len(text) < 4 << 20)
    except _FoundError:
        pass
    except expat.ExpatError:
        # the reader proper will name the place, also where the text breaks off before it tells what it is
        return found or "scan" if root in {"", "document"} else found
    return found
