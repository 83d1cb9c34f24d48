"""JSON bodies read strictly: what two readers could understand differently is refused, with its place.

RFC 8259 leaves open what a repeated name, NaN or a number out of range means, and asks for UTF-8. A reader that takes
the last of two quantities drops the first silently, so none of that is let in. The framework reads every body
through `Request.json`, which `install` replaces: an operation cannot forget to be strict.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

_ESCAPE = b"\\u"
_DEEP = 200
"""Levels of nesting that some document of ours could ever need, with room to spare."""
_OPENING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KINDS = {
    "Expecting value": "此处应为一个值",
    "Expecting property name enclosed in double quotes": "此处应为双引号中的字段名",
    "Illegal trailing comma before end of object": "对象末尾多一个逗号",
    "Illegal trailing comma before end of array": "列表末尾多一个逗号",
    "Expecting ':' delimiter": "此处缺少冒号",
    "Expecting ',' delimiter": "此处缺少逗号",
    "Unterminated string starting at": "文本没有结束的引号",
    "Invalid control character at": "文本中有控制字符",
    "Extra data": "正文结束后还有内容",
}


class MalformedBodyError(HTTPException):
    """A body that is not JSON as we take it. `zh` and `en` say why, for the language of the answer."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(400, en)
        self.zh = zh
        self.en = en


def install() -> None:
    """Make every request read its JSON strictly."""
    Request.json = _json  # type: ignore[method-assign,assignment]


async def _json(request: Request) -> Any:
    if not hasattr(request, "_strict"):
        request._strict = parse(await request.body())  # type: ignore[attr-defined]
    return request._strict  # type: ignore[attr-defined]


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises MalformedBodyError, which says what is wrong and where."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{error.start + 1}"
        if _is_gb18030(body):
            raise MalformedBodyError(
                f"正文看来是 GB18030 编码，应为 UTF-8（第 {place} 字节）",
                f"GB18030, not UTF-8 (byte {place})",
            ) from None
        raise MalformedBodyError(f"第 {place} 字节不是 UTF-8", f"byte {place} is not UTF-8") from None
    if "\x00" in text:
        raise MalformedBodyError("正文含 NUL，应为 UTF-8", "NUL in the text; UTF-8 is needed")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        zh = _KINDS.get(error.msg, "格式不正确")
        raise MalformedBodyError(
            f"第 {error.lineno} 行第 {error.colno} 个字符：{zh}",
            f"line {error.lineno}, column {error.colno}: {error.msg}",
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if _depth_over(body):
        raise _too_deep()
    if _ESCAPE in body:
        try:
            orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError:
            raise MalformedBodyError(
                "含有不成对的代理字符（\\uD800–\\uDFFF）", "a lone surrogate (\\uD800-\\uDFFF)"
            ) from None
    return value


def _too_deep() -> MalformedBodyError:
    return MalformedBodyError(f"嵌套超过 {_DEEP} 层", f"nested deeper than {_DEEP} levels")


def _depth_over(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= _DEEP:
        return False
    depth = 0
    for found in _OPENING.finditer(body):
        mark = found.group()[:1]
        if mark in b"[{":
            depth += 1
            if depth > _DEEP:
                return True
        elif mark in b"]}":
            depth -= 1
    return False


def _is_gb18030(body: bytes) -> bool:
    try:
        body.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _shown(text: str) -> str:
    return _CONTROL.sub("·", text.encode("utf-8", "replace").decode())[:60]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedBodyError(f"字段「{_shown(twice)}」出现两次", f'field "{_shown(twice)}" stands twice')
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedBodyError(f"{name} 不是 JSON 数值", f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedBodyError(f"数值 {text[:40]} 超出范围", f"number {text[:40]} is out of range")
    return value


def _whole(text: str) -> int:
    # PostgreSQL's largest whole number has 19 digits; longer ones are codes that lost their quotes
    if len(text) > 40:
        raise MalformedBodyError(f"数值 {text[:40]}… 过长", f"number {text[:40]}... is too long")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
)
