"""Code files (码包): the codes of a request as TXT, CSV or XML, plain or zipped, streamed in bounded memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from yaosu.codes.issue import derive, iter_codes
from yaosu.errors import YaosuError
from yaosu.production.requests import CodeRange, CodeRequest

FORMATS = ("txt", "csv", "xml")
MEDIA = {
    "txt": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "xml": "application/xml",
    "zip": "application/zip",
}


def file_name(request: CodeRequest, form: str, level: int | None) -> str:
    """`codes-17.txt`, `codes-17-level1.csv.zip` …"""
    part = f"-level{level}" if level is not None else ""
    return f"codes-{request.id}{part}.{form}"


def media_type(form: str) -> str:
    """Content type of a format."""
    return MEDIA["zip" if form.endswith(".zip") else form]


def _lines(one: CodeRange, master: bytes, start: int, count: int) -> Iterator[bytes]:
    return iter_codes(one.prefix, derive(master, one.key_id), one.start_no + start, count)


def _txt(one: CodeRange, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks


def _csv(one: CodeRange, chunks: Iterator[bytes]) -> Iterator[bytes]:
    end = b",%d\n" % one.level
    for chunk in chunks:
        yield chunk.replace(b"\n", end)


def _xml(one: CodeRange, chunks: Iterator[bytes]) -> Iterator[bytes]:
    before, after = b'<Code curCode="', b'" packLayer="%d"/>\n' % one.level
    for chunk in chunks:
        # n codes, n line feeds: every code gets its tag, the last line feed opens none
        yield before + chunk[:-1].replace(b"\n", after + before) + after


_ROWS = {"txt": _txt, "csv": _csv, "xml": _xml}
_HEAD = {"txt": b"", "csv": b"code,level\n"}


def _plain(
    request: CodeRequest, ranges: list[tuple[CodeRange, int, int]], form: str, master: bytes
) -> Iterator[bytes]:
    if form == "xml":
        yield (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Codes request="{request.id}" '
            f'count="{sum(c for _, _, c in ranges)}">\n'
        ).encode()
    else:
        yield _HEAD[form]
    for one, start, count in ranges:
        yield from _ROWS[form](one, _lines(one, master, start, count))
    if form == "xml":
        yield b"</Codes>\n"


class _Sink(io.RawIOBase):
    """Takes what the archive writes and hands it on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._parts.append(piece)
        return len(piece)

    def take(self) -> bytes:
        out = b"".join(self._parts)
        self._parts.clear()
        return out


def _zipped(
    request: CodeRequest, ranges: list[tuple[CodeRange, int, int]], form: str, master: bytes
) -> Iterator[bytes]:
    """One member per level; digits compress to less than half, and level 1 keeps up with the network."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for one, start, count in ranges:
            info = zipfile.ZipInfo(file_name(request, form, one.level), request.made_at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                for chunk in _plain(request, [(one, start, count)], form, master):
                    member.write(chunk)
                    if out := sink.take():
                        yield out
    if out := sink.take():
        yield out


def stream(
    request: CodeRequest,
    master: bytes,
    form: str = "txt",
    level: int | None = None,
    start: int = 0,
    count: int | None = None,
) -> Iterator[bytes]:
    """The codes of a request as a stream of bytes.

    `form` is txt, csv or xml, with `.zip` for an archive of one file per level. `level` picks one package level;
    `start` and `count` then pick a range of it, 0 being the first code. Without a level the largest package comes
    first. Refused: `code_download_format`, `code_download_range`, `code_request_level`.
    """
    plain = form.removesuffix(".zip")
    if plain not in FORMATS:
        raise YaosuError("code_download_format", {"format": form[:20]})
    if level is None:
        if start or count is not None:
            if len(request.ranges) != 1:
                raise YaosuError("code_request_level", {"level": "—"})
            level = request.ranges[0].level
        else:
            ranges = [(one, 0, one.count) for one in reversed(request.ranges)]
    if level is not None:
        found = request.range(level)
        if found is None:
            raise YaosuError("code_request_level", {"level": level})
        size = found.count - start if count is None else count
        if start < 0 or size < 1 or start + size > found.count:
            raise YaosuError(
                "code_download_range", {"start": start, "end": start + size, "count": found.count}
            )
        ranges = [(found, start, size)]
    make = _zipped if form.endswith(".zip") else _plain
    return make(request, ranges, plain, master)
