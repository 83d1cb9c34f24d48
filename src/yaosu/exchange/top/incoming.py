"""A request of the protocol as parameters and files: query and body together, whatever way clients send them.

Published clients send system parameters in the query and the method's in the body, or all in either. Forms are
urlencoded or multipart, UTF-8 or the charset of the content type, plain or gzip.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from yaosu.exchange.top.protocol import File, Refused

FIELDS_MAX = 500
FILES_MAX = 20


@dataclass(slots=True)
class Incoming:
    """What came in."""

    params: dict[str, str]
    files: dict[str, File] = field(default_factory=dict)
    charset: str = "utf-8"
    body: bytes = b""


async def read(request: Request, bytes_max: int) -> Incoming:
    """The request's parameters. Refused: 47 for text in another charset than announced, 41 for a parameter that
    stands there twice with different values, 43 for a form that cannot be read."""
    media, charset = _media(request.headers.get("content-type", ""))
    body = await _body(request, bytes_max)
    pairs = _query(request)
    files: dict[str, File] = {}
    if media == "multipart/form-data":
        more, files = await _multipart(request.headers, body)
        pairs += more
    elif body:
        pairs += _form(body, charset)
    return Incoming(_merged(pairs), files, charset, body)


async def read_batch(request: Request, bytes_max: int) -> Incoming:
    """A request whose body is no form: the parameters of its address alone, and the body. Refused as `read` does."""
    body = await _body(request, bytes_max)
    return Incoming(_merged(_query(request)), body=body)


def parameters(data: bytes) -> dict[str, str]:
    """One urlencoded form in UTF-8 by itself. Refused as `read` does."""
    return _merged(_form(data, "utf-8"))


async def _body(request: Request, bytes_max: int) -> bytes:
    """The body unpacked; also of a GET, since a published client sends its form so."""
    return _inflated(await request.body(), request.headers.get("content-encoding", ""), bytes_max)


def _query(request: Request) -> list[tuple[str, str]]:
    query = request.scope.get("query_string", b"")
    return _form(query, "utf-8") if query else []


def _media(header: str) -> tuple[str, str]:
    message = Message()
    message["content-type"] = header or "application/x-www-form-urlencoded"
    given = str(message.get_param("charset") or "utf-8").strip().lower()
    try:
        name = codecs.lookup(given).name
    except (LookupError, ValueError):
        raise Refused("isv.invalid-charset", f"不支持的字符集：{given[:20]}", 47) from None
    return message.get_content_type(), name


def _inflated(body: bytes, encoding: str, bytes_max: int) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Refused("isv.invalid-encoding", f"不支持的内容编码：{encoding[:20]}", 47)
    reader = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        data = reader.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Refused("isv.invalid-encoding", "压缩内容无法解开", 47) from None
    if len(data) > bytes_max:
        raise Refused("isv.body-too-large", f"请求超过 {bytes_max // 2**20} MB", 43, "Parameter Error")
    if not reader.eof:
        raise Refused("isv.invalid-encoding", "压缩内容不完整", 47)
    return data


def _form(data: bytes, charset: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            data.decode(charset),
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except UnicodeDecodeError:
        raise Refused("isv.invalid-encoding", "参数不是所声明字符集的文本", 47) from None
    except ValueError:
        raise Refused("isv.too-many-parameters", f"参数超过 {FIELDS_MAX} 个", 43, "Parameter Error") from None


async def _multipart(headers: Headers, body: bytes) -> tuple[list[tuple[str, str]], dict[str, File]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        headers, stream(), max_files=FILES_MAX, max_fields=FIELDS_MAX, max_part_size=max(len(body), 1)
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError, KeyError, ValueError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "multipart"
        raise Refused("isv.invalid-form", f"表单无法读取：{reason[:80]}", 43, "Parameter Error") from None
    pairs, files = [], {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = File(value.filename or "", await value.read(), value.content_type or "")
            else:
                pairs.append((name, value))
    finally:
        await form.close()
    return pairs, files


def _merged(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, value in pairs:
        if params.setdefault(name, value) != value:
            raise Refused(
                f"isv.invalid-parameter:{name[:40]}", f"参数 {name[:40]} 出现两次且值不同", 41,
                f"Invalid arguments:{name[:40]}",
            )  # fmt: skip
        if "\x00" in value or "\x00" in name:
            raise Refused(f"isv.invalid-parameter:{name[:40]}", "参数含有 NUL 字符", 41)
    return params
