"""Values of our rooms cut to what a method publishes.

One set of facts (a product, a code, a bill) goes out by many methods that each name a part of it, some of it as text
and some as numbers. A handler gathers the facts once under all their published names; `fit` keeps the names that the
called method has, so that a name it does not publish never leaves, and converts each to its published type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from yaosu.exchange.top.aliases import Alias
from yaosu.exchange.top.envelope import layout
from yaosu.exchange.top.fields import CHINA, Tree
from yaosu.exchange.top.protocol import Call


def payload_tree(method: str) -> Tree:
    """The published shape of a method's payload."""
    place = layout(method)
    return place.box[place.payload]


def fit_box(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of methods whose facts stand beside success and message, without a payload field of their own."""
    found = {k: v for k, v in values.items() if k not in ("msg_code", "msg_info", "response_success")}
    cut_down: dict[str, Any] = cut(dict(layout(call.method).box), found)
    return cut_down


def fit(call: Call, values: Any) -> Any:
    """`values` as far as the called method publishes their names, in its types."""
    return cut(payload_tree(call.method), values)


def cut(tree: Tree, values: Any) -> Any:
    """`values` cut to `tree`; what is None stays None, which answers leave out."""
    if values is None:
        return None
    if isinstance(tree, dict):
        return {k: cut(sub, values[k]) for k, sub in tree.items() if values.get(k) is not None}
    if isinstance(tree, list):
        return [cut(tree[1], one) for one in values]
    return leaf(tree, values)


def leaf(kind: str, value: Any) -> Any:
    """One value as its published type; times and days as people in China write them where text is published."""
    if kind == "s":
        return text(value)
    if kind == "n" and isinstance(value, str):
        return int(value) if is_number(value.strip().removeprefix("-")) else None
    return value


def text(value: Any) -> str:
    """A value as text: `yyyy-MM-dd HH:mm:ss` and `yyyy-MM-dd` for times and days, true and false for yes and no,
    lists with commas."""
    if isinstance(value, datetime):
        return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(text(one) for one in value)
    return str(value)


def is_number(given: str) -> bool:
    """Whether a text is digits 0 to 9 and nothing else."""
    return given.isascii() and given.isdigit()


class Names:
    """Both ids and the name of organisations that an answer mentions, fetched at once."""

    def __init__(self, call: Call, found: Mapping[int | None, Alias]) -> None:
        self._call, self._found = call, found

    def ent(self, org: int | None) -> str | None:
        """`ent_id`."""
        one = self._found.get(org)
        return one.ent_id if one is not None else None

    def ref(self, org: int | None) -> str | None:
        """`ref_ent_id`."""
        one = self._found.get(org)
        return one.ref_ent_id if one is not None else None

    def name(self, org: int | None) -> str | None:
        """The name."""
        return self._call.name_of(org)


async def names_of(call: Call, orgs: Iterable[int | None]) -> Names:
    """The names of these organisations; None among them is nobody."""
    return Names(call, await call.aliases.of(call.pool, orgs))
