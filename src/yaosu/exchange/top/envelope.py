"""Answers on the wire: JSON or XML, wrapped or simplified, every value of its published type (§2.7).

* JSON: `{"<method with underscores>_response": {…, "request_id": …}}`, lists as `{"name": {"item": […]}}`; with
  `simplify` the wrapper and the item names go away.
* XML: the same as elements, lists with `list="true"`; `simplify` changes nothing.
* Errors: `{"error_response": {code, msg, sub_code, sub_msg, request_id}}`, in both forms, also when simplified. Without
  any blank between: published clients cut it out by position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from yaosu.exchange.top.fields import CHINA, Tree, published

if TYPE_CHECKING:
    from yaosu.exchange.top.protocol import Reply

SUCCESS = ("response_success", "success", "response_status", "is_success", "succeed")
PAYLOAD = ("model", "models", "model_list", "results", "result", "result_list", "data", "list", "value")
_ABOUT = frozenset((*SUCCESS, "msg_code", "msg_info", "sub_msg_code", "http_status_code"))
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

MESSAGES: Mapping[int, str] = {
    7: "App Call Limited",
    10: "Service Currently Unavailable",
    11: "Insufficient ISV Permissions",
    15: "Remote service error",
    21: "Missing Method",
    22: "Invalid Method",
    23: "Invalid Format",
    24: "Missing Signature",
    25: "Invalid Signature",
    28: "Missing App Key",
    29: "Invalid App Key",
    30: "Missing Timestamp",
    31: "Invalid Timestamp",
    32: "Missing Version",
    33: "Invalid Version",
    34: "Unsupported Version",
    40: "Missing Required Arguments",
    41: "Invalid Arguments",
    42: "Forbidden Request",
    47: "Invalid encoding",
}
"""Names of the gateway's codes, as published for the protocol."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of an answer stand in one method's published shape."""

    top: Mapping[str, Tree]
    inside: str
    """The object that holds payload, success and message; "" when they stand at the top."""
    box: Mapping[str, Tree]
    payload: str
    success: tuple[str, ...]


@cache
def layout(method: str) -> Layout:
    """The layout of a published method."""
    top = published()[method].response
    inside = ""
    if not _ABOUT & top.keys():
        for name, tree in top.items():
            if isinstance(tree, dict) and _ABOUT & tree.keys():
                inside = name
                break
    box = top[inside] if inside else top
    payload = next((n for n in PAYLOAD if n in box and n != inside), "")
    if not payload:
        others = [n for n in box if n not in _ABOUT]
        payload = others[0] if len(others) == 1 else ""
    return Layout(top, inside, box, payload, tuple(n for n in SUCCESS if n in box))


def filled(method: str, reply: Reply) -> dict[str, Any]:
    """The answer in the published shape, lists still plain. Raises ValueError for a name that is not published."""
    place = layout(method)
    box: dict[str, Any] = {}
    out = box
    if place.inside:
        out = {place.inside: box}
    if reply.model is not None:
        if not place.payload:
            raise ValueError(f"{method} has no payload field")
        box[place.payload] = typed(place.box[place.payload], reply.model, place.payload)
    for name, value in (("msg_code", reply.msg_code), ("msg_info", reply.msg_info)):
        if name in place.box:
            box[name] = typed(place.box[name], value, name)
    for name in place.success:
        box[name] = typed(place.box[name], reply.success, name)
    for name, value in reply.fields.items():
        if value is None:
            continue
        if name in place.box:
            box[name] = typed(place.box[name], value, name)
        elif name in place.top:
            out[name] = typed(place.top[name], value, name)
        elif name not in _all_names():
            raise ValueError(f"{method} has no field {name}")
    return out


@cache
def _all_names() -> frozenset[str]:
    """Every name that any method publishes."""
    found: set[str] = set()

    def walk(tree: Tree) -> None:
        if isinstance(tree, list):
            walk(tree[1])
        elif isinstance(tree, dict):
            found.update(tree)
            for one in tree.values():
                walk(one)

    for method in published().values():
        walk(method.response)
    return frozenset(found)


def typed(tree: Tree, value: Any, where: str) -> Any:
    """`value` as the published type; None is left out of objects."""
    if isinstance(tree, str):
        return _leaf(tree, value)
    if isinstance(tree, list):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise ValueError(f"{where} is a list")
        return [typed(tree[1], one, where) for one in value]
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is an object")
    made = {}
    for name, one in value.items():
        if one is None:
            continue
        inner = tree.get(name)
        if inner is None:
            if name not in _all_names():
                raise ValueError(f"{where} has no field {name}")
            continue  # a name that a sister method publishes; one handler serves several
        made[name] = typed(inner, one, name)
    return made


def _leaf(kind: str, value: Any) -> Any:
    if kind == "s":
        return text(value)
    if kind == "n":
        return int(value)
    if kind == "b":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "d":
        return text(value if isinstance(value, datetime) or not isinstance(value, date) else _midnight(value))
    return float(value) if kind == "f" else text(value)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)


def text(value: Any) -> str:
    """Any value as text the way the protocol writes it: times in China time, objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return orjson.dumps(value).decode()
    return str(value)


def root(method: str) -> str:
    """The name of the answer of a method."""
    return method.replace(".", "_") + "_response"


def answer(method: str, reply: Reply, request_id: str, *, xml: bool, simplify: bool) -> bytes:
    """The answer of a method as sent."""
    content = filled(method, reply)
    shape = dict(published()[method].response)
    content["request_id"] = request_id
    shape["request_id"] = "s"
    if xml:
        name = root(method)
        return f'<?xml version="1.0" encoding="utf-8" ?><{name}>{_xml(shape, content)}</{name}>'.encode()
    if simplify:
        return orjson.dumps(content)
    return orjson.dumps({root(method): _wrapped(shape, content)})


def _wrapped(tree: Tree, value: Any) -> Any:
    if isinstance(tree, str):
        return value
    if isinstance(tree, list):
        inner = tree[1]
        return {tree[0]: value if isinstance(inner, str) else [_wrapped(inner, one) for one in value]}
    return {
        name: one if isinstance(tree[name], str) else _wrapped(tree[name], one) for name, one in value.items()
    }


def _xml(tree: Tree, value: Mapping[str, Any]) -> str:
    parts = []
    for name, one in value.items():
        inner = tree[name]
        if isinstance(inner, list):
            item = inner[0]
            rows = "".join(f"<{item}>{_xml_one(inner[1], row)}</{item}>" for row in one)
            parts.append(f'<{name} list="true">{rows}</{name}>')
        else:
            parts.append(f"<{name}>{_xml_one(inner, one)}</{name}>")
    return "".join(parts)


def _xml_one(tree: Tree, value: Any) -> str:
    return escaped(text(value)) if isinstance(tree, str) else _xml(tree, value)


def escaped(value: str) -> str:
    """Text for an XML element; characters that XML 1.0 cannot hold become U+FFFD."""
    clean = _NOT_XML.sub("\ufffd", value)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def error(code: int, msg: str, sub_code: str, sub_msg: str, request_id: str, *, xml: bool) -> bytes:
    """An `error_response`."""
    content: dict[str, Any] = {"code": code, "msg": msg or MESSAGES.get(code, "Remote service error")}
    if sub_code:
        content["sub_code"] = sub_code
    if sub_msg:
        content["sub_msg"] = sub_msg
    content["request_id"] = request_id
    if xml:
        inner = "".join(f"<{k}>{escaped(text(v))}</{k}>" for k, v in content.items())
        head = '<?xml version="1.0" encoding="utf-8" ?>'
        return f"{head}<error_response>{inner}</error_response>".encode()
    return orjson.dumps({"error_response": content})
