"""How a province's platform differs from the common form of the 医保 interface (list `yibao_profile`, D11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from yaosu.registry.lists import CodeLists

LIST = "yibao_profile"
COMMON = "national"


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile; the meaning of each field stands at the head of `registry/lists/yibao_profile.yaml`."""

    code: str = COMMON
    path: str = ""
    signtype: str = "SM2"
    enc_type: str = ""
    gateway: str = ""
    batch: int = 100
    codes_most: int = 100
    correction: Literal["delete", "return"] = "delete"
    settle: Literal["3505", "2207", "both"] = "3505"
    uncoded: Literal["memo", "leave"] = "memo"
    uncoded_memo: str = "无码库"
    exempt_memo: str = "免采集"
    opter_type: str = "1"
    signin: bool = False
    already: tuple[str, ...] = ("已上传", "已存在", "重复上传", "重复上报", "主键冲突")
    again: tuple[str, ...] = ("签名", "解密", "报文不是有效", "繁忙", "稍后", "超时")
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)


def _made(code: str, attrs: Mapping[str, Any]) -> Profile:
    known = {f for f in Profile.__dataclass_fields__ if f != "code"}
    given: dict[str, Any] = {k: v for k, v in attrs.items() if k in known}
    for name in ("more", "less", "also", "already", "again"):
        if name in given:
            given[name] = tuple(str(one) for one in given[name] or ())
    given["rename"] = {str(k): str(v) for k, v in (given.get("rename") or {}).items()}
    return Profile(code=code, **given)


def profile(lists: CodeLists, code: str = "", region: str = "", at: date | None = None) -> Profile:
    """The profile named `code`; without a name the one of the region, else the common one. KeyError: unknown name."""
    if code:
        item = lists.item(LIST, code, at, region) or next(
            (i for i in lists.whole(LIST).items if i.code == code), None
        )
        if item is None:
            raise KeyError(code)
        return _made(item.code, item.attrs)
    near = [i for i in lists.get(LIST, at, region) if i.region]
    if near:
        closest = max(near, key=lambda i: len(i.region))
        return _made(closest.code, closest.attrs)
    item = lists.item(LIST, COMMON, at)
    return _made(COMMON, item.attrs if item is not None else {})
