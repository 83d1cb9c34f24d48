"""出入库 XML 3.0 (终端接口XML Schema-3.0) as uploads carry it: read within limits, and written (interfaces §2.11 b).

Attribute and element names are taken in any case. Nothing external is read, a document type is refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from yaosu.circulation.model import CODES_MAX

TEXT_MAX = 32 << 20
RATIO_MAX = 200
NAMES = {
    101: "ProduceWareHouseIn",
    102: "PurchaseWareHouseIn",
    103: "ReturnWareHouseIn",
    104: "AllocateWareHouseIn",
    201: "SalesWareHouseOut",
    202: "ReturnWareHouseOut",
    203: "AllocateWareHouseOut",
    204: "ReworkWareHouseOut",
    205: "DestoryWareHouseOut",
    206: "CheckWareHouseOut",
    207: "DirectAllocateWareHouseOut",
}
"""Event names that are published, by bill type; the misspelling is theirs."""
_TYPES = {name.lower(): kind for kind, name in NAMES.items()} | {"destroywarehouseout": 205}


class NotReadableError(ValueError):
    """The file cannot be read; `code` in the incumbent's words and `why` for people, with the line where known."""

    def __init__(self, code: str, why: str) -> None:
        self.code, self.why = code, why
        super().__init__(why)


@dataclass(slots=True)
class InOut:
    """What a file says. `kind` is None for an event whose name is not published."""

    kind: int | None = None
    event: str = ""
    codes: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    """Bill numbers on its lines (CorpOrderID)."""


def unpacked(text: str) -> bytes:
    """The bytes of a base64 text: gzip, ZIP of one file, zlib or plain, within limits on size and ratio."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotReadableError("BILL_DECODE_ERROR", "文件内容不是 Base64") from None
    if data[:2] == b"PK":
        return _zipped(data)
    if data[:2] == b"\x1f\x8b":
        return _inflated(data, zlib.MAX_WBITS | 16)
    if data[:1] == b"\x78" and len(data) > 2 and int.from_bytes(data[:2], "big") % 31 == 0:
        return _inflated(data, zlib.MAX_WBITS)
    if len(data) > TEXT_MAX:
        raise _too_large()
    return data


def _too_large() -> NotReadableError:
    return NotReadableError("BILL_DECODE_ERROR", f"文件展开后超过 {TEXT_MAX >> 20} MB")


def _inflated(data: bytes, window: int) -> bytes:
    reader = zlib.decompressobj(window)
    try:
        found = reader.decompress(data, TEXT_MAX + 1)
    except zlib.error:
        raise NotReadableError("BILL_DECODE_ERROR", "压缩内容无法解开") from None
    if len(found) > TEXT_MAX or (len(found) > 1 << 20 and len(found) > RATIO_MAX * len(data)):
        raise _too_large()
    if not reader.eof:
        raise NotReadableError("BILL_DECODE_ERROR", "压缩内容不完整")
    return found


def _zipped(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].is_dir():
                raise NotReadableError("BILL_DECODE_ERROR", f"压缩包应只含一个文件，现有 {len(members)} 个")
            one = members[0]
            if one.flag_bits & 1:
                raise NotReadableError("BILL_DECODE_ERROR", "压缩包有密码")
            if one.file_size > TEXT_MAX or one.file_size > RATIO_MAX * max(len(data), 5000):
                raise _too_large()
            with archive.open(one) as inner:
                found = inner.read(TEXT_MAX + 1)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error) as error:
        if isinstance(error, NotReadableError):
            raise
        raise NotReadableError("BILL_DECODE_ERROR", "压缩包无法解开") from None
    if len(found) > TEXT_MAX:
        raise _too_large()
    return found


class _Reader:
    def __init__(self) -> None:
        self.found = InOut()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.events = 0

    def _doctype(self, *_: object) -> None:
        raise NotReadableError("BILL_DECODE_ERROR", "文件不得含有文档类型声明或实体")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.lower()
        given = {k.lower(): v for k, v in attributes.items()}
        if name == "event":
            self.events += 1
            if self.events > 1:
                raise NotReadableError("BILL_DECODE_ERROR", "一个文件只应有一个 Event")
            self.found.event = given.get("name", "").strip()
            self.found.kind = _TYPES.get(self.found.event.lower())
        elif name == "data":
            code = given.get("code", "").strip()
            if not code:
                line = self.parser.CurrentLineNumber
                raise NotReadableError("BILL_DECODE_ERROR", f"第 {line} 行的 Data 没有 Code")
            self.found.codes.append(code)
            if len(self.found.codes) > CODES_MAX:
                raise NotReadableError("FAIL_BIZ_PARAM_CODE_COUNT_ERROR", f"追溯码超过 {CODES_MAX} 个")
            number = given.get("corporderid", "").strip()
            if number and len(self.found.numbers) < 10:
                self.found.numbers.add(number)


def read(data: bytes) -> InOut:
    """The codes of a file. Raises `NotReadableError` with the line."""
    reader = _Reader()
    if not data.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
        raise NotReadableError("BILL_DECODE_ERROR", "文件内容不是 XML")
    try:
        reader.parser.Parse(_utf8(data), True)
    except expat.ExpatError as error:
        raise NotReadableError("BILL_DECODE_ERROR", f"第 {error.lineno} 行 XML 有误") from None
    if not reader.events:
        raise NotReadableError("BILL_DECODE_ERROR", "文件没有 Event")
    if not reader.found.codes:
        raise NotReadableError("BILL_DECODE_ERROR", "文件没有追溯码")
    return reader.found


def _utf8(data: bytes) -> bytes:
    """Chinese encodings as UTF-8, which the parser knows; the declaration is adjusted to it."""
    head = data[:200].lower()
    for name in (b"gb18030", b"gbk", b"gb2312"):
        if name in head:
            try:
                text = data.decode("gb18030")
            except UnicodeDecodeError:
                raise NotReadableError("BILL_DECODE_ERROR", "文件内容不是所声明的编码") from None
            end = text.find("?>")
            return ('<?xml version="1.0" encoding="utf-8"?>' + text[end + 2 :]).encode()
    return data


def written(kind: int, head: Mapping[str, str], lines: Sequence[Mapping[str, str]]) -> bytes:
    """A bill as such a file: `head` attributes go on every line."""
    event = NAMES.get(kind, f"WareHouse{kind}")
    action = "WareHouseIn" if kind < 200 else "WareHouseOut"
    rows = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<Document xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="终端接口XML Schema-3.0.xsd" SN="" Version="3.0" License="">',
        f'<Events><Event Name="{event}" MainAction="{action}"><DataField>',
    ]
    for line in lines:
        given = {**line, **head}
        rows.append("<Data " + " ".join(f"{k}={quoteattr(v)}" for k, v in given.items()) + "/>")
    rows.append("</DataField></Event></Events></Document>")
    return "\n".join(rows).encode()
