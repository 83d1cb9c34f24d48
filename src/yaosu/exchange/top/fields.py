"""What each method takes and gives: names, types and nesting of all published methods, read from `fields.json`.

Leaves are `s` text, `n` whole number, `f` number, `b` boolean, `d` date and time, `bytes` a file; `[item, type]` is a
list whose elements are called `item` on the wire; a mapping is an object. In `request` each field carries `!` when it
must be given. `generation` is T for the newest published set of methods, O for an older one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import orjson

CHINA = ZoneInfo("Asia/Shanghai")
YEAR_MIN, YEAR_MAX = 1900, 2999
"""Years of times in calls; beyond, arithmetic with days would leave the calendar."""
Tree: TypeAlias = Any
"""`str` for a leaf, `[item name, Tree]` for a list, `dict[str, Tree]` for an object."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_LIST_PARTS = re.compile(r"[,，;；\s]+")


@dataclass(frozen=True, slots=True)
class Param:
    """One request field."""

    name: str
    type: Tree
    required: bool

    @property
    def file(self) -> bool:
        """Whether it comes as a file part."""
        return bool(self.type == "bytes")


@dataclass(frozen=True, slots=True)
class MethodFields:
    """Published shape of one method."""

    name: str
    generation: str
    request: Mapping[str, Param]
    response: Mapping[str, Tree]


@cache
def published() -> Mapping[str, MethodFields]:
    """All methods by name."""
    text = (resources.files("yaosu.exchange.top") / "fields.json").read_bytes()
    found = {}
    for name, one in orjson.loads(text).items():
        params = {k: Param(k, kind, need == "!") for k, (need, kind) in one["request"].items()}
        found[name] = MethodFields(name, one["generation"], params, one["response"])
    return found


def moment(text: str) -> datetime | None:
    """`yyyy-MM-dd HH:mm:ss` (also a bare day) in China time; None for anything else, and for years nobody means."""
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            found = datetime.strptime(text.strip(), pattern).replace(tzinfo=CHINA)
        except ValueError:
            continue
        return found if YEAR_MIN <= found.year <= YEAR_MAX else None
    return None


def parts_of(text: str) -> list[str]:
    """The elements of a basic list: separated by commas, or a JSON array of texts."""
    text = text.strip()
    if text.startswith("["):
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, list) and all(isinstance(x, str | int) for x in found):
            return [str(x).strip() for x in found if str(x).strip()]
    return [part for part in _LIST_PARTS.split(text) if part]


def fits(text: str, kind: Tree) -> bool:
    """Whether `text` can be a value of the published type."""
    if kind == "n":
        return _WHOLE.fullmatch(text.strip()) is not None
    if kind == "f":
        return _NUMBER.fullmatch(text.strip()) is not None
    if kind == "b":
        return text.strip().lower() in ("true", "false")
    if kind == "d":
        return moment(text) is not None
    if isinstance(kind, dict):
        return _json_is(text, dict)
    if isinstance(kind, list) and isinstance(kind[1], dict):
        return _json_is(text, list)
    return True


def _json_is(text: str, kind: type) -> bool:
    try:
        return isinstance(orjson.loads(text), kind)
    except orjson.JSONDecodeError:
        return False
