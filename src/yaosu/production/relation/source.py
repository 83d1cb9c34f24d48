"""From bytes as received to a stream of UTF-8: archives, byte-order marks, encodings, each within limits."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from yaosu.production.relation.columns import RefusedError
from yaosu.production.relation.model import Limits

CHUNK = 2 << 20
RATIO_FROM = 16 << 20
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CHINESE = {
    "gb18030",
    "gbk",
    "gb2312",
    "gb_2312-80",
    "cp936",
    "ms936",
    "936",
    "x-gbk",
    "euc-cn",
    "gb13000",
    "windows-936",
    "csgb2312",
}
_OTHERS = {"iso-8859-1", "latin1", "windows-1252", "big5", "utf-16", "utf-16le", "utf-16be", "unicode"}
"""Declared by software that writes another encoding than it says. Such a file is read where it is plainly UTF-8."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class WrongEncodingError(ValueError):
    """The bytes are not what the encoding tried allows; another may fit."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """`name` to decode with, how it was found, and how many bytes of mark to skip."""

    name: str
    declared: str
    skip: int
    sure: bool
    """Whether a mark or a matching declaration named it."""


_MAC = re.compile(r"__MACOSX/|(?:.*/)?\.DS_Store\Z")


def digest(file: BinaryIO, limits: Limits) -> tuple[bytes, int]:
    """SHA-256 and size of the file as received. Raises RefusedError (`relation_too_large`)."""
    file.seek(0)
    sha, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        size += len(chunk)
        if size > limits.file_bytes:
            raise RefusedError("relation_too_large", limit_mb=limits.file_bytes >> 20)
        sha.update(chunk)
    return sha.digest(), size


def unpacked(file: BinaryIO, limits: Limits) -> BinaryIO:
    """The one file inside a ZIP or gzip archive, or the file itself; still unread."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    if head[:2] == b"PK":
        return _from_zip(file, limits)
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    return file


def _from_zip(file: BinaryIO, limits: Limits) -> BinaryIO:
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
        raise RefusedError("archive_unreadable") from None
    if any(m.filename == "[Content_Types].xml" for m in members[:500]):
        raise RefusedError("relation_is_workbook")
    # what a Mac adds of its own to every archive
    members = [m for m in members if not _MAC.match(m.filename)]
    if len(members) != 1 or members[0].is_dir():
        raise RefusedError("archive_not_one_file", count=len(members))
    member = members[0]
    if re.search(r"[/\\]|\A\.\.|\A[A-Za-z]:", member.filename):
        raise RefusedError("archive_path", name=member.filename[:80])
    if member.flag_bits & 1:
        raise RefusedError("archive_encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError("archive_method")
    if member.file_size > limits.text_bytes:
        raise RefusedError("relation_too_large", limit_mb=limits.text_bytes >> 20)
    try:
        return archive.open(member)  # type: ignore[return-value]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        raise RefusedError("archive_unreadable") from None


def raw_chunks(stream: BinaryIO, size: int, limits: Limits) -> Iterator[bytes]:
    """Decompressed bytes within the limits on size and ratio (`size` is that of the file as received)."""
    total = 0
    while True:
        try:
            chunk = stream.read(CHUNK)
        except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, OSError, zlib.error, ValueError):
            raise RefusedError("archive_unreadable") from None
        if not chunk:
            return
        if total == 0 and (chunk[:4] == b"PK\x03\x04" or chunk[:2] == b"\x1f\x8b"):
            raise RefusedError("archive_nested")
        total += len(chunk)
        if total > limits.text_bytes:
            raise RefusedError("relation_too_large", limit_mb=limits.text_bytes >> 20)
        if total > RATIO_FROM and total > size * limits.ratio:
            raise RefusedError("archive_ratio", limit=limits.ratio)
        yield chunk


def encodings(head: bytes) -> list[Encoding]:
    """Encodings to try, in order, from the first bytes of the text."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return [Encoding(name, "", len(mark), True)]
    # without a mark, UTF-16 shows by the zero in every second byte of ASCII characters
    if len(head) >= 4 and head[1] == 0 and head[3] == 0 and head[0]:
        return [Encoding("utf-16-le", "", 0, True)]
    if len(head) >= 4 and head[0] == 0 and head[2] == 0 and head[1]:
        return [Encoding("utf-16-be", "", 0, True)]
    # and where the text begins in Chinese: zeros stand beside its commas and digits, always on one side
    early = head[: 1 << 12]
    even, odd = early[::2].count(0), early[1::2].count(0)
    if min(even, odd) == 0 and max(even, odd) >= 4 and b"\0\0\0" not in early:
        return [Encoding("utf-16-be" if even else "utf-16-le", "", 0, True)]
    found = _DECLARED.match(head)
    declared = found.group(1).decode("ascii").lower() if found else ""
    if declared in _CHINESE:
        chinese = Encoding("gb18030", declared, 0, True)
        return [Encoding("utf-8", declared, 0, False), chinese] if _is_utf8(head) else [chinese]
    if declared in {"", "utf-8", "utf8", "us-ascii", "ascii"}:
        return [Encoding("utf-8", declared, 0, True), Encoding("gb18030", declared, 0, False)]
    if declared in _OTHERS and (head.isascii() or _is_utf8(head)):
        return [Encoding("utf-8", declared, 0, head.isascii())]
    raise RefusedError("relation_encoding", encoding=declared)


def _is_utf8(head: bytes) -> bool:
    """Whether the first bytes are UTF-8 with Chinese in it, whatever they declare: declared GBK, saved as UTF-8.

    Chinese in GBK is never taken for it: its common characters begin with a byte that opens two bytes of UTF-8, which
    say no Chinese, or none at all.
    """
    if head.isascii():
        return False
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        text = decoder.decode(head)
    except UnicodeError:
        return False
    return all(c < "\x80" or c in "\xa0\xb7\xd7\xb1\xb0\xae" or c >= "\u2000" for c in text)


def utf8_chunks(chunks: Iterator[bytes], encoding: Encoding) -> Iterator[bytes]:
    """The text as UTF-8 without mark. Raises WrongEncodingError at the first byte that does not fit."""
    skip = encoding.skip
    decoder = codecs.getincrementaldecoder(encoding.name)("strict")
    plain = encoding.name == "utf-8"
    pending = False
    try:
        for raw in chunks:
            chunk = raw
            if skip:
                chunk, skip = chunk[skip:], 0
            if plain:
                # ASCII needs no decoding; anything else is checked but handed on as it is
                if pending or not chunk.isascii():
                    decoder.decode(chunk)
                    pending = bool(decoder.getstate()[0])
                yield chunk
            else:
                yield decoder.decode(chunk).encode()
        tail = decoder.decode(b"", final=True)
    except UnicodeError:
        raise WrongEncodingError(encoding.name) from None
    if tail and not plain:
        yield tail.encode()


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first chunk, and the whole stream again."""
    first = next(chunks, b"")

    def again() -> Iterator[bytes]:
        if first:
            yield first
        yield from chunks

    return first, again()


def lines(chunks: Iterator[bytes], limit: int) -> Iterator[str]:
    """Text lines of a UTF-8 stream, without ends. Raises RefusedError for a line longer than `limit` bytes."""
    rest = b""
    number = 0
    for chunk in chunks:
        data = rest + chunk
        if data.endswith(b"\r"):
            # the line feed of a CR LF may open the next chunk
            body, rest_tail = data[:-1], b"\r"
        else:
            body, rest_tail = data, b""
        parts = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = parts.pop() + rest_tail
        if len(rest) > limit or any(len(p) > limit for p in parts):
            raise RefusedError("relation_line_too_long", number + 1, limit=limit)
        for part in parts:
            number += 1
            yield part.decode()
    if rest := rest.rstrip(b"\r\x1a\0"):
        yield rest.decode()


def as_file(data: bytes) -> BinaryIO:
    """Bytes in hand as a file."""
    return io.BytesIO(data)
