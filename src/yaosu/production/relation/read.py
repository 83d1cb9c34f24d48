"""Read a relation file of any accepted kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from yaosu.codes import CustomPattern
from yaosu.errors import YaosuError
from yaosu.production.relation.columns import Columns, RefusedError
from yaosu.production.relation.keys import KeySpace
from yaosu.production.relation.logistics import separate
from yaosu.production.relation.model import Limits, RelationFile
from yaosu.production.relation.source import (
    Encoding,
    WrongEncodingError,
    digest,
    encodings,
    peek,
    raw_chunks,
    unpacked,
    utf8_chunks,
)
from yaosu.production.relation.tables import read_csv, read_json
from yaosu.production.relation.xml_reader import XmlReader


def read(
    file: BinaryIO,
    customs: Sequence[CustomPattern] = (),
    limits: Limits | None = None,
    *,
    fast: bool = True,
) -> RelationFile:
    """The file's codes as columns, with everything that could not be read as findings.

    Accepts XML 3.0, CSV and JSON, plain or as the only member of a ZIP or gzip archive, in UTF-8, UTF-16 or
    GB18030. `file` must be seekable. `fast` off reads every element with the XML parser (for comparison).
    Raises YaosuError when reading had to stop: the code says why, `params["line"]` where.
    """
    chosen = limits or Limits()
    try:
        return _read(file, customs, chosen, fast)
    except RefusedError as refused:
        params = dict(refused.params)
        if refused.line:
            params["line"] = refused.line
        raise YaosuError(refused.code, {"line": "—", **params}) from None


def _read(file: BinaryIO, customs: Sequence[CustomPattern], limits: Limits, fast: bool) -> RelationFile:
    sha, size = digest(file, limits)
    if size == 0:
        raise RefusedError("relation_empty")
    head, _ = peek(raw_chunks(unpacked(file, limits), size, limits))
    candidates = encodings(head)
    for encoding in candidates:
        kind = _kind(head, encoding)
        space = KeySpace(customs, limits.prefixes, limits.texts)
        columns = Columns(space, limits, "item" if kind == "json" else "line")
        chunks = utf8_chunks(raw_chunks(unpacked(file, limits), size, limits), encoding)
        try:
            _parse(kind, chunks, columns, fast)
        except WrongEncodingError:
            continue
        if not encoding.sure:
            columns.notes.add("relation_note_encoding", "line 1", encoding=encoding.name)
        if columns.count == 0 and not columns.problems:
            raise RefusedError("relation_empty")
        key, parent, layer, flag, line = columns.finish()
        space.close()
        found = RelationFile(
            format=kind,
            encoding=encoding.name,
            sha256=sha,
            size=size,
            place=columns.place,
            parts=columns.parts,
            key=key,
            parent=parent,
            layer=layer,
            flag=flag,
            line=line,
            space=space,
            problems=columns.problems,
            notes=columns.notes,
        )
        separate(found)
        return found
    raise RefusedError("relation_encoding", encoding=candidates[0].declared or candidates[0].name)


def _kind(head: bytes, encoding: Encoding) -> str:
    text = head[encoding.skip :][:4_000].decode(encoding.name, "ignore").lstrip()
    if text.startswith("<"):
        return "xml"
    return "json" if text.startswith(("{", "[")) else "csv"


def _parse(kind: str, chunks: Iterator[bytes], columns: Columns, fast: bool) -> None:
    if kind == "xml":
        XmlReader(columns, fast).read(chunks)
    elif kind == "json":
        read_json(chunks, columns)
    else:
        read_csv(chunks, columns)
