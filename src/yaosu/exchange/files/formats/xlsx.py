"""Rows of an XLSX, streamed with expat: no entities, no formulas run, every part bounded before it is unpacked.

Own reader because a general library gives numbers as floats, where the digits that a spreadsheet took from a long
code can no longer be told from zeros, and because a sheet may claim a cell at the far end of 17 billion.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers import expat

from yaosu.exchange.files.formats.cells import number_text, plain
from yaosu.exchange.files.formats.rows import Row, checked
from yaosu.exchange.files.formats.source import PARTS_MAX
from yaosu.exchange.files.model import (
    COLUMNS_MAX,
    LINES_MAX,
    RATIO_MAX,
    TEXT_MB_MAX,
    FileRefusedError,
)

CHUNK = 256 << 10
STRINGS_MAX = 2_000_000
STRING_CHARS_MAX = 128 << 20
DEPTH_MAX = 60
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})\Z", re.ASCII)
_MACRO_TYPES = (b"macroEnabled", b"vbaProject")


class Workbook:
    """An XLSX in memory, its parts checked. Raises FileRefusedError: bombs, cut files, encrypted or macro parts."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            parts = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
            raise FileRefusedError("file_archive_cut", incomplete=True) from None
        if len(parts) > PARTS_MAX:
            raise FileRefusedError("file_too_many", line="—", what="part", limit=PARTS_MAX)
        total = 0
        for part in parts:
            if part.flag_bits & 1:
                raise FileRefusedError("archive_encrypted")
            total += part.file_size
            if total > TEXT_MB_MAX << 20:
                raise FileRefusedError("file_too_large", limit_mb=TEXT_MB_MAX)
            if part.file_size > 4 << 20 and part.file_size > RATIO_MAX * max(part.compress_size, 1):
                raise FileRefusedError("archive_ratio", limit=RATIO_MAX)
        self._names = {p.filename.casefold().lstrip("/"): p.filename for p in parts}
        self.sheets = self._sheets()
        self._strings: list[str] | None = None

    def _sheets(self) -> list[tuple[str, str]]:
        """(title, part) of the sheets in order; hidden ones are left out."""
        if "xl/workbook.xml" not in self._names:
            raise FileRefusedError("file_not_sheet")
        found: list[tuple[str, str]] = []
        targets: dict[str, str] = {}

        def relation(tag: str, attributes: dict[str, str]) -> None:
            if _local(tag) == "Relationship":
                targets[attributes.get("Id", "")] = attributes.get("Target", "")

        def sheet(tag: str, attributes: dict[str, str]) -> None:
            name = _local(tag)
            if name == "sheet" and attributes.get("state", "visible") == "visible" and len(found) < 200:
                key = next((v for k, v in attributes.items() if _local(k) == "id" and ":" in k), "")
                target = targets.get(key, "")
                path = target.lstrip("/") if target.startswith("/") else posixpath.join("xl", target)
                found.append((attributes.get("name", "")[:100], posixpath.normpath(path)))
            elif name == "workbookPr" and attributes.get("date1904", "0").lower() in {"1", "true"}:
                raise FileRefusedError("file_date_1904")

        self._parse("xl/_rels/workbook.xml.rels", relation)
        self._parse("xl/workbook.xml", sheet)
        return found

    def _chunks(self, part: str) -> Iterator[bytes]:
        name = self._names.get(part.casefold())
        if name is None:
            raise FileRefusedError("file_not_sheet")
        left = TEXT_MB_MAX << 20
        try:
            with self._zip.open(name) as opened:
                while chunk := opened.read(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise FileRefusedError("file_too_large", limit_mb=TEXT_MB_MAX)
                    yield chunk
        except (zipfile.BadZipFile, EOFError, OSError, zlib.error, RuntimeError, NotImplementedError):
            raise FileRefusedError("file_archive_cut", incomplete=True) from None

    def _parser(self, start: Callable[[str, dict[str, str]], None]) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = start

        def doctype(*_: Any) -> None:
            raise FileRefusedError("file_doctype", line=int(parser.CurrentLineNumber))

        parser.StartDoctypeDeclHandler = doctype
        parser.EntityDeclHandler = doctype
        return parser

    def _feed(self, part: str, parser: expat.XMLParserType) -> Iterator[None]:
        try:
            for chunk in self._chunks(part):
                parser.Parse(chunk, False)
                yield
            parser.Parse(b"", True)
            yield
        except expat.ExpatError as error:
            reason = f"{part}: {expat.ErrorString(error.code)}"
            raise FileRefusedError(
                "file_xml_syntax", line=error.lineno, column=error.offset + 1, reason=reason
            ) from None

    def _parse(self, part: str, start: Callable[[str, dict[str, str]], None]) -> None:
        for _ in self._feed(part, self._parser(start)):
            pass

    def strings(self) -> list[str]:
        """The shared texts, in order; phonetic runs left out."""
        if self._strings is not None:
            return self._strings
        found: list[str] = []
        self._strings = found
        if "xl/sharedstrings.xml" not in self._names:
            return found
        pieces: list[str] = []
        state = {"in_text": False, "skip": 0, "chars": 0}

        def start(tag: str, _attributes: dict[str, str]) -> None:
            name = _local(tag)
            if name == "si":
                pieces.clear()
            elif name == "rPh":
                state["skip"] += 1
            elif name == "t":
                state["in_text"] = not state["skip"]

        def end(tag: str) -> None:
            name = _local(tag)
            if name == "si":
                found.append(plain("".join(pieces)))
                if len(found) > STRINGS_MAX:
                    raise FileRefusedError("file_too_many", line="—", what="text", limit=STRINGS_MAX)
            elif name == "rPh":
                state["skip"] -= 1
            elif name == "t":
                state["in_text"] = False

        def text(value: str) -> None:
            if state["in_text"]:
                state["chars"] += len(value)
                if state["chars"] > STRING_CHARS_MAX:
                    raise FileRefusedError("file_too_large", limit_mb=STRING_CHARS_MAX >> 20)
                pieces.append(value)

        parser = self._parser(start)
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        for _ in self._feed("xl/sharedstrings.xml", parser):
            pass
        return found

    def rows(self, part: str) -> Iterator[Row]:
        """Rows of one sheet with content, in the order of the file."""
        sheet = _Sheet(self.strings())
        parser = self._parser(sheet.start)
        parser.EndElementHandler = sheet.end
        parser.CharacterDataHandler = sheet.text
        for _ in self._feed(part, parser):
            yield from sheet.done
            sheet.done.clear()


class _Sheet:
    """Builds rows while the parser runs."""

    def __init__(self, strings: list[str]) -> None:
        self.done: list[Row] = []
        self._strings = strings
        self._row = 0
        self._cells: list[str] = []
        self._marks: dict[int, str] = {}
        self._column = -1
        self._kind = ""
        self._value: list[str] = []
        self._take = False
        self._formula = False
        self._skip = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag if ":" not in tag else _local(tag)
        if name == "c":
            reference = attributes.get("r")
            column = self._column + 1
            if reference is not None:
                found = _REFERENCE.match(reference)
                if found is None:
                    raise FileRefusedError("file_cell_reference", line=self._row, cell=reference[:20])
                column = 0
                for letter in found.group(1):
                    column = column * 26 + ord(letter) - 64
                column -= 1
            if column >= 16_384 or column <= self._column:
                raise FileRefusedError("file_cell_reference", line=self._row, cell=(reference or "")[:20])
            self._column = column
            self._kind = attributes.get("t", "n")
            self._formula = False
            self._value.clear()
        elif name in {"v", "t"}:
            self._take = not self._skip
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._skip += 1
        elif name == "row":
            given = attributes.get("r")
            number = (
                int(given)
                if given and given.isascii() and given.isdigit() and len(given) < 9
                else self._row + 1
            )
            if number <= self._row:
                raise FileRefusedError("file_cell_reference", line=number, cell=f"row {given or ''}"[:20])
            self._row = number
            self._cells, self._marks, self._column = [], {}, -1

    def text(self, value: str) -> None:
        if self._take:
            self._value.append(value)

    def end(self, tag: str) -> None:
        name = tag if ":" not in tag else _local(tag)
        if name == "c":
            self._cell()
        elif name in {"v", "t"}:
            self._take = False
        elif name == "rPh":
            self._skip -= 1
        elif name == "row":
            row = checked(self._row, self._cells, self._marks)
            if row is not None:
                self.done.append(row)

    def _cell(self) -> None:
        raw = "".join(self._value)
        if self._formula:
            # shown as it was last calculated, and marked: nothing here calculates
            self._put(plain(self._strings_at(raw) if self._kind == "s" else raw) or "=", "formula")
            return
        if not raw:
            return
        kind = self._kind
        if kind == "s":
            self._put(self._strings_at(raw), "")
        elif kind == "n":
            text, lost = number_text(raw)
            self._put(text, "number" if lost else "")
        elif kind == "e":
            self._put(raw, "error")
        elif kind == "b":
            self._put("是" if raw == "1" else "否", "")
        else:
            self._put(plain(raw), "")

    def _strings_at(self, raw: str) -> str:
        if raw.isascii() and raw.isdigit() and len(raw) < 9 and int(raw) < len(self._strings):
            return self._strings[int(raw)]
        raise FileRefusedError("file_cell_reference", line=self._row, cell=f"string {raw[:12]}")

    def _put(self, text: str, mark: str) -> None:
        at = self._column
        if at >= COLUMNS_MAX:
            if text:
                raise FileRefusedError("file_too_many", line=self._row, what="column", limit=COLUMNS_MAX)
            return
        if self._row > LINES_MAX:
            raise FileRefusedError("file_too_many", line=self._row, what="row", limit=LINES_MAX)
        while len(self._cells) < at:
            self._cells.append("")
        self._cells.append(text)
        if mark:
            self._marks[at] = mark


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
