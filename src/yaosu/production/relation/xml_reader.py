"""关联关系 XML 3.0 with expat: streaming, nothing external, no document type, bounded in every direction.

Element and attribute names are compared without case and without namespace prefix; `Events` and `Event` may be
there or not. Unknown elements and attributes are notes. Shape: domain of interfaces §2.11 (a), standards §5.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

import numpy as np

from yaosu.production.relation.columns import Columns, RefusedError
from yaosu.production.relation.dates import read_date
from yaosu.production.relation.fastlane import PAD, FastLane
from yaosu.production.relation.keys import TooManyError
from yaosu.production.relation.model import BatchPart, RelationHead

_RELATION = {
    "productcode",
    "subtypeno",
    "cascade",
    "packagespec",
    "comment",
    "linkproductcode",
    "assccorpcode",
}
_RELATION |= {"asscorpcode"}
_BATCH = {"batchno", "madedate", "validatedate", "workshop", "linename", "linemanager"}
_CODE = {"curcode", "packlayer", "parentcode", "flag"}
_WRAPPERS = {"document", "events", "event"}
_MOVEMENT = {"datafield", "data", "actionmapping"}
_EXPECTED_PARENT = {"batch": "relation", "code": "batch"}
CARRY_MAX = 1 << 20
TAIL = 4_096
LANE_MIN = 4_096
"""Smaller chunks go to the parser whole."""


class XmlReader:
    """One pass over one file. Raises RefusedError with the line where reading had to stop."""

    def __init__(self, columns: Columns, fast: bool = True) -> None:
        self.columns = columns
        self._limits = columns.limits
        self._lane = FastLane(columns.space) if fast else None
        self._path: list[str] = []
        self._head: RelationHead | None = None
        self._open = False
        self._skipped = 0
        self._seen = 0
        self._last_line = 0
        self._noted: set[tuple[str, str]] = set()
        parser = expat.ParserCreate(encoding="utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        self._parser = parser

    # -- elements ---------------------------------------------------------------------------------------------

    def _line(self) -> int:
        return int(self._parser.CurrentLineNumber) + self._skipped

    def _doctype(self, *_: object) -> None:
        raise RefusedError("relation_doctype", self._line())

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2].lower()
        if name == "code" and self._open and self._path[-1] == "batch":
            self._code(attributes)
            self._path.append(name)
            return
        line = self._line()
        if len(self._path) >= self._limits.depth:
            raise RefusedError("relation_too_deep", line, limit=self._limits.depth)
        self._check(attributes, line)
        expected = _EXPECTED_PARENT.get(name)
        if expected is not None and (not self._path or self._path[-1] != expected):
            raise RefusedError("relation_misplaced", line, element=tag[:40], parent=expected.capitalize())
        if name == "relation":
            self._relation(attributes, line)
        elif name == "batch":
            self._batch(attributes, line)
        elif name in _MOVEMENT:
            raise RefusedError("relation_is_movement_file", line)
        elif name not in _WRAPPERS:
            if not self._path:
                raise RefusedError("relation_root", line, element=tag[:40])
            self._note("relation_note_element", tag, line)
        self._path.append(name)

    def _end(self, tag: str) -> None:
        name = self._path.pop()
        if name == "batch":
            self.columns.close_part()
            self._open = False
        elif name == "relation":
            self._head = None

    def _check(self, attributes: dict[str, str], line: int) -> None:
        if len(attributes) > self._limits.attributes:
            raise RefusedError("relation_too_many", line, what="attribute", limit=self._limits.attributes)
        for name, value in attributes.items():
            if len(value) > self._limits.value_chars or len(name) > self._limits.value_chars:
                raise RefusedError(
                    "relation_value_too_long", line, name=name[:40], limit=self._limits.value_chars
                )

    def _note(self, code: str, name: str, line: int) -> None:
        if (code, name) not in self._noted and len(self._noted) < 200:
            self._noted.add((code, name))
            self.columns.notes.add(code, self.columns.where(line), name=name[:60])

    def _folded(self, attributes: dict[str, str], known: set[str], line: int) -> dict[str, str]:
        out: dict[str, str] = {}
        for name, value in attributes.items():
            low = name.lower()
            if ":" in low and not low.startswith(("xmlns", "xsi:")):
                low = low.rpartition(":")[2]
            if low in known:
                if low in out:
                    self.columns.problems.add(
                        "relation_attribute_twice", self.columns.where(line), name=name[:40]
                    )
                out[low] = value.strip()
            elif not low.startswith(("xmlns", "xsi:")):
                self._note("relation_note_attribute", name, line)
        return out

    def _relation(self, attributes: dict[str, str], line: int) -> None:
        got = self._folded(attributes, _RELATION, line)
        self._head = RelationHead(
            product_code=got.get("productcode", ""),
            sub_type_no=got.get("subtypeno", ""),
            cascade=got.get("cascade", ""),
            package_spec=got.get("packagespec", ""),
            comment=got.get("comment", ""),
            line=line,
        )

    def _batch(self, attributes: dict[str, str], line: int) -> None:
        got = self._folded(attributes, _BATCH, line)
        assert self._head is not None
        part = BatchPart(
            head=self._head,
            batch_no=got.get("batchno", ""),
            made_text=got.get("madedate", ""),
            expires_text=got.get("validatedate", ""),
            workshop=got.get("workshop", ""),
            line_name=got.get("linename", ""),
            line_manager=got.get("linemanager", ""),
            line=line,
        )
        read_date(part, self.columns)
        self.columns.open_part(part)
        self._open = True

    def _code(self, attributes: dict[str, str]) -> None:
        line = self._line()
        get = attributes.get
        code, layer, parent, flag = get("curCode"), get("packLayer"), get("parentCode"), get("flag")
        known = (code is not None) + (layer is not None) + (parent is not None) + (flag is not None)
        if known != len(attributes) or code is None or layer is None:
            self._check(attributes, line)
            got = self._folded(attributes, _CODE, line)
            code, layer = got.get("curcode", ""), got.get("packlayer", "")
            parent, flag = got.get("parentcode", ""), got.get("flag", "")
        elif len(code) > self._limits.value_chars or len(parent or "") > self._limits.value_chars:
            raise RefusedError(
                "relation_value_too_long", line, name="curCode", limit=self._limits.value_chars
            )
        self.columns.add(code, layer.strip(), (parent or "").strip(), (flag or "").strip(), line)
        self._seen += 1
        self._last_line = line

    # -- reading ----------------------------------------------------------------------------------------------

    def read(self, chunks: Iterator[bytes]) -> None:
        """Take in the whole UTF-8 text. Raises RefusedError; `relation_xml_syntax` names line and reason."""
        carry = b""
        begun = False
        for raw in chunks:
            chunk = raw
            if not begun:
                # web pages write line ends before the declaration, where XML allows none
                chunk = raw.lstrip(b" \t\r\n")
                self._skipped += raw.count(b"\n", 0, len(raw) - len(chunk))
                begun = bool(chunk)
            if self._lane is None:
                data = carry + chunk
                carry = data[-TAIL:]
                self._feed(data[: len(data) - len(carry)])
                continue
            data = carry + chunk
            cut = data.rfind(b"<")
            if cut <= 0:
                carry = data
                if len(carry) > CARRY_MAX:
                    self._feed(carry)
                    carry = b""
                continue
            carry = data[cut:]
            self._chunk(data[:cut])
            if len(carry) > CARRY_MAX:
                self._feed(carry)
                carry = b""
        # zeros and ^Z behind the end are what old systems fill the last block with
        self._feed(carry.rstrip(b"\0\x1a \t\r\n"))
        self._feed(b"", final=True)

    def _feed(self, data: bytes, final: bool = False) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise RefusedError(
                "relation_xml_syntax", error.lineno + self._skipped, reason=reason, column=error.offset + 1
            ) from None

    def _chunk(self, data: bytes) -> None:
        """Feed a chunk that ends before a `<`, taking runs of plain elements by the fast lane."""
        assert self._lane is not None
        if len(data) < LANE_MIN:
            self._feed(data)
            return
        buffer = np.frombuffer(data + bytes(PAD), dtype=np.uint8)
        starts = np.flatnonzero(buffer[: len(data)] == ord("<"))
        if len(starts) == 0:
            self._feed(data)
            return
        lengths = np.diff(np.append(starts, len(data)))
        try:
            found = self._lane.match(buffer, starts, lengths)
        except TooManyError as error:
            raise RefusedError(
                "relation_too_many", self._line(), what=error.what, limit=error.limit
            ) from None
        at = 0
        for first, end in found.runs():
            # the parser sees the first element of the run where it stands …
            probe_end = int(starts[first] + lengths[first])
            before = self._seen
            self._feed(data[at:probe_end])
            at = probe_end
            if self._seen == before or not self._open or self._path[-1] != "batch":
                continue  # … and it is no code there (a comment, say): no shortcut
            counted = self._last_line + np.cumsum(found.newlines[first : end - 1], dtype=np.uint32)
            run = slice(first + 1, end)
            self.columns.add_block(
                (
                    found.key[run],
                    found.parent[run],
                    found.layer[run],
                    found.flag[run],
                    counted.astype(np.uint32),
                )
            )
            self._skipped += int(found.newlines[run].sum())
            at = int(starts[end - 1] + lengths[end - 1])
        self._feed(data[at:])
