"""From bytes as received to text or a workbook: what it is, told by its content and never by its name.

Archives, marks and encodings are read by the relation files' own source (production.relation.source), within the
limits of this room.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from yaosu.exchange.files.model import FILE_MB_MAX, LINE_CHARS_MAX, RATIO_MAX, TEXT_MB_MAX, FileRefusedError
from yaosu.production.relation import source
from yaosu.production.relation.columns import RefusedError
from yaosu.production.relation.model import Limits

LIMITS = Limits(file_bytes=FILE_MB_MAX << 20, text_bytes=TEXT_MB_MAX << 20, ratio=RATIO_MAX)
XLS_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PARTS_MAX = 500
_OURS = {
    "relation_too_large": "file_too_large",
    "relation_encoding": "file_encoding",
    "archive_not_one_file": "file_archive_members",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What the bytes are: `xlsx` and `xls` as they came, everything else as text."""

    kind: str
    data: bytes
    text: str
    encoding: str
    other_than: str = ""
    """The encoding that the file declares when it is plainly in another."""


def translated(error: RefusedError) -> FileRefusedError:
    """A refusal of the relation reader's source in this room's words."""
    params = dict(error.params)
    if error.code == "archive_unreadable":
        return FileRefusedError("file_archive_cut", incomplete=True)
    made = FileRefusedError(_OURS.get(error.code, error.code))
    made.params = {"line": error.line or "—", **params}
    return made


def opened(data: bytes) -> Source:
    """Look at the bytes. Raises FileRefusedError: empty, too large, a bomb, cut off, in no encoding that we know."""
    if not data.strip(b" \t\r\n\0"):
        raise FileRefusedError("file_empty", incomplete=True)
    if len(data) > FILE_MB_MAX << 20:
        raise FileRefusedError("file_too_large", limit_mb=FILE_MB_MAX)
    if data.startswith(XLS_MARK):
        return Source("xls", data, "", "")
    if data[:2] == b"PK":
        kind = _workbook(data)
        if kind:
            return Source(kind, data, "", "")
        if inside := _packed_workbook(data):
            return Source(_workbook(inside) or "xlsx", inside, "", "")
    try:
        return _text(data)
    except RefusedError as refused:
        raise translated(refused) from None


def _workbook(data: bytes) -> str:
    """`xlsx`; `xls` for XLSB and ODS, which go the careful way of old workbooks; nothing for other archives."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            names = {n.casefold() for n in packed.namelist()[: PARTS_MAX + 1]}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
        raise FileRefusedError("file_archive_cut", incomplete=True) from None
    if "[content_types].xml" in names:
        return "xls" if "xl/workbook.bin" in names else "xlsx"
    return "xls" if {"mimetype", "content.xml"} <= names else ""


def _packed_workbook(data: bytes) -> bytes:
    """The workbook that is the only member of an archive, unpacked within the limits; nothing where it is none."""
    try:
        with source.unpacked(io.BytesIO(data), LIMITS) as member:
            if member.read(2) != b"PK":
                return b""
            inside = b"PK" + member.read((FILE_MB_MAX << 20) - 1)
    except (RefusedError, zipfile.BadZipFile, EOFError, OSError, zlib.error, ValueError, RuntimeError):
        return b""  # read as any other archive, which names what is wrong
    if len(inside) > FILE_MB_MAX << 20:
        raise FileRefusedError("file_too_large", limit_mb=FILE_MB_MAX)
    try:
        return inside if _workbook(inside) else b""
    except FileRefusedError:
        return b""


def _text(data: bytes) -> Source:
    file = io.BytesIO(data)
    stream = source.unpacked(file, LIMITS)
    chunks = list(source.raw_chunks(stream, len(data), LIMITS))
    head = chunks[0] if chunks else b""
    if not b"".join(chunks[:1]).strip():
        raise FileRefusedError("file_empty", incomplete=True)
    if head.startswith(XLS_MARK):
        return Source("xls", b"".join(chunks), "", "")
    candidates = source.encodings(head)
    for encoding in candidates:
        try:
            text = b"".join(source.utf8_chunks(iter(chunks), encoding)).decode()
        except source.WrongEncodingError:
            continue
        # zeros and ^Z behind the end are what old systems fill the last block with
        text = text.rstrip("\0\x1a") if text[-1:] in {"\0", "\x1a"} else text
        if "\0" in text:
            raise FileRefusedError("file_binary")
        other_than = "" if encoding.sure else encoding.declared
        return Source("text", data, text.removeprefix("\ufeff"), encoding.name, other_than)
    if b"\0" in head[:4_096]:
        raise FileRefusedError("file_binary")
    name, line = _furthest(b"".join(chunks), [c.name for c in candidates])
    raise FileRefusedError("file_encoding", encoding=candidates[0].declared or name, line=line)


def _furthest(data: bytes, names: list[str]) -> tuple[str, int]:
    """The encoding in which most of the bytes can be read, and the line of the first that cannot."""
    best, reached = names[0], -1
    for name in names:
        try:
            data.decode(name)
        except UnicodeDecodeError as error:
            if error.start > reached:
                best, reached = name, error.start
        except LookupError:
            continue
    return best, data.count(b"\n", 0, max(reached, 0)) + 1


def lines(text: str) -> Iterator[str]:
    """Lines of a text, with their ends. Refused: a line of more than a million characters, by its number."""
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) > LINE_CHARS_MAX:
            raise FileRefusedError("file_line_too_long", line=number, limit=LINE_CHARS_MAX)
        yield line
