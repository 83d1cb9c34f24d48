"""Our own two plain formats for relation files: CSV and JSON (docs/formats.md)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any

import orjson

from yaosu.production.relation.columns import Columns, RefusedError
from yaosu.production.relation.dates import read_date
from yaosu.production.relation.json_stream import JsonStream
from yaosu.production.relation.model import BatchPart, RelationHead
from yaosu.production.relation.source import lines

LINE_MAX = 8_192

_NAMES = {
    "code": ("code", "curcode", "追溯码", "药品追溯码"),
    "level": ("level", "packlayer", "包装级别", "级别"),
    "parent": ("parent", "parentcode", "上级码", "父码"),
    "flag": ("flag", "零箱标志", "满箱标志"),
    "batch_no": ("batch_no", "batchno", "批号", "生产批号", "药品生产批号"),
    "made_on": ("made_on", "madedate", "生产日期"),
    "expires_on": ("expires_on", "validatedate", "有效期至"),
    "product_code": ("product_code", "productcode", "产品编码"),
    "ratio": ("ratio", "cascade", "包装比例"),
    "workshop": ("workshop", "车间", "生产车间"),
    "line_name": ("line_name", "linename", "生产线"),
    "line_manager": ("line_manager", "linemanager", "生产负责人"),
}
_COLUMN = {name: key for key, names in _NAMES.items() for name in names}
_NEEDED = ("code", "level", "batch_no", "made_on", "expires_on")
_PART = (
    "batch_no",
    "made_on",
    "expires_on",
    "product_code",
    "ratio",
    "workshop",
    "line_name",
    "line_manager",
)


def _part(got: dict[str, str], line: int, columns: Columns) -> BatchPart:
    head = RelationHead(product_code=got.get("product_code", ""), cascade=got.get("ratio", ""), line=line)
    part = BatchPart(
        head=head,
        batch_no=got.get("batch_no", ""),
        made_text=got.get("made_on", ""),
        expires_text=got.get("expires_on", ""),
        workshop=got.get("workshop", ""),
        line_name=got.get("line_name", ""),
        line_manager=got.get("line_manager", ""),
        line=line,
    )
    read_date(part, columns)
    columns.open_part(part)
    return part


def read_csv(chunks: Iterator[bytes], columns: Columns) -> None:
    """One row per code with a header row; batch columns repeat, a change of them opens a new part."""
    rows = lines(chunks, LINE_MAX)
    header, at = "", 0
    for header in rows:
        at += 1
        if header.strip():
            break
    delimiter = max(",\t;", key=header.count)
    names = [n.strip().lower() for n in next(csv.reader([header], delimiter=delimiter), [])]
    keys = [_COLUMN.get(n, "") for n in names]
    for name, key in zip(names, keys, strict=True):
        if not key and name:
            columns.notes.add("relation_note_column", columns.where(at), name=name[:60])
    missing = [n for n in _NEEDED if n not in keys]
    if missing:
        raise RefusedError("relation_csv_columns", at, missing=", ".join(missing))
    twice = sorted({k for k in keys if k and keys.count(k) > 1})
    if twice:
        raise RefusedError("relation_csv_twice", at, names=", ".join(twice))
    index = {key: i for i, key in enumerate(keys) if key}
    part_columns = [(name, index[name]) for name in _PART if name in index]
    place = [index.get(n, -1) for n in ("code", "level", "parent", "flag")]
    current: tuple[str, ...] | None = None
    width = len(keys)
    for line in rows:
        at += 1
        if not line.strip():
            continue
        cells = _cells(line, delimiter, at)
        if len(cells) > width and not any(map(str.strip, cells[width:])):
            # spreadsheets write empty cells behind the last column
            del cells[width:]
        if len(cells) != width:
            columns.problems.add("relation_csv_width", columns.where(at), given=len(cells), expected=width)
            continue
        batch = tuple(cells[i] for _, i in part_columns)
        if batch != current:
            if current is not None:
                columns.close_part()
            current = batch
            got = {name: cells[i].strip() for name, i in part_columns}
            _part(got, at, columns)
        code, level, parent, flag = (cells[i].strip() if i >= 0 else "" for i in place)
        columns.add(code, level, parent, flag, at)
    if current is not None:
        columns.close_part()


def _cells(line: str, delimiter: str, at: int) -> list[str]:
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        raise RefusedError("relation_csv_quotes", at) from None


def read_json(chunks: Iterator[bytes], columns: Columns) -> None:
    """`{"relations": [{"batch_no", "made_on", "expires_on", …, "codes": [{"code", "level", "parent", "flag"}]}]}`.

    Held whole up to `limits.json_bytes`; larger files are streamed.
    """
    collected = bytearray()
    for chunk in chunks:
        collected += chunk
        if len(collected) > columns.limits.json_bytes:
            _streamed(JsonStream(chain((bytes(collected),), chunks)), columns)
            return
    try:
        body = orjson.loads(collected)
    except orjson.JSONDecodeError as error:
        raise RefusedError("relation_json_syntax", error.lineno, reason=error.msg[:100]) from None
    del collected
    relations = body.get("relations") if isinstance(body, dict) else None
    if not isinstance(relations, list):
        raise RefusedError("relation_json_shape", what="relations")
    number = 0
    for relation in relations:
        if not isinstance(relation, dict) or not isinstance(relation.get("codes"), list):
            raise RefusedError("relation_json_shape", number + 1, what="codes")
        _json_part({k: v for k, v in relation.items() if k != "codes"}, number + 1, columns)
        number = _json_codes(relation["codes"], number, columns)
        columns.close_part()


def _streamed(stream: JsonStream, columns: Columns) -> None:
    """The same, in the order of the file: a batch's fields stand before its codes."""
    number, found = 0, False
    stream.take(b"{")
    more = stream.peek() != b"}"
    while more:
        name = stream.value()
        stream.take(b":")
        if name == "relations" and not found:
            found = True
            stream.take(b"[")
            another = stream.peek() != b"]"
            while another:
                number = _streamed_relation(stream, number, columns)
                another = stream.after(b"]")
        else:
            stream.value()
        more = stream.after(b"}")
    if stream.peek():
        raise stream.wrong("more than one value")
    if not found:
        raise RefusedError("relation_json_shape", what="relations")


def _streamed_relation(stream: JsonStream, number: int, columns: Columns) -> int:
    fields: dict[str, Any] = {}
    begun = False
    stream.take(b"{")
    more = stream.peek() != b"}"
    while more:
        name = stream.value()
        stream.take(b":")
        if not isinstance(name, str) or (begun and (name in _PART or name == "codes")):
            raise RefusedError("relation_json_order", stream.line, name=str(name)[:60])
        if name == "codes":
            begun = True
            _json_part(fields, number + 1, columns)
            for block in stream.entries():
                number = _json_codes(block, number, columns)
            columns.close_part()
        else:
            fields[name] = stream.value()
        more = stream.after(b"}")
    if not begun:
        raise RefusedError("relation_json_shape", number + 1, what="codes")
    return number


def _json_part(fields: dict[str, Any], number: int, columns: Columns) -> None:
    for name in sorted(set(fields) - set(_PART))[:20]:
        columns.notes.add("relation_note_attribute", columns.where(number), name=str(name)[:60])
    _part({k: _text(fields.get(k)) for k in _PART}, number, columns)


def _json_codes(entries: list[Any], number: int, columns: Columns) -> int:
    for entry in entries:
        number += 1
        if not isinstance(entry, dict):
            columns.problems.add("relation_json_entry", columns.where(number))
            continue
        values = [_text(entry.get(k)) for k in ("code", "level", "parent", "flag")]
        columns.add(values[0], values[1], values[2], values[3], number)
    return number


def _text(value: Any) -> str:
    """Numbers are accepted for level and flag; a code written as a number has lost digits and is refused as such."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip()
