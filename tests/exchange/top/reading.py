"""A caller that holds every answer against the published shape and remembers which methods it called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.top.client import TopClient
from yaosu.exchange.top.fields import published
from yaosu.exchange.top.protocol import METHODS

P = "alibaba.alihealth."
CALLED: set[str] = set()
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def plain(tree: Any, value: Any, where: str) -> Any:
    """The value with lists unwrapped; fails on a name, depth or type that is not published."""
    if isinstance(tree, dict):
        assert isinstance(value, dict), f"{where} is an object: {value!r}"
        strange = value.keys() - tree.keys() - {"request_id"}
        assert not strange, f"{where} has {strange}"
        return {k: plain(tree[k], v, f"{where}.{k}") for k, v in value.items() if k != "request_id"}
    if isinstance(tree, list):
        assert isinstance(value, dict) and set(value) == {tree[0]}, (
            f"{where} is a list of {tree[0]}: {value!r}"
        )
        return [plain(tree[1], one, where) for one in value[tree[0]]]
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "s": str,
        "n": int,
        "b": bool,
        "d": str,
        "f": (int, float),
    }
    assert isinstance(value, kinds[tree]), f"{where} is of type {tree}: {value!r}"
    assert tree != "n" or not isinstance(value, bool), where
    if tree == "d":
        assert _TIME.fullmatch(value), f"{where}: {value!r}"
    return value


@dataclass
class Caller:
    """One program, with answers read against their shape."""

    client: TopClient

    async def __call__(
        self, method: str, files: Mapping[str, tuple[str, bytes]] | None = None, /, **business: object
    ) -> Any:
        """The answer of `alibaba.alihealth.<method>`, unwrapped; must not be an error."""
        name = P + method
        CALLED.add(name)
        given = {k: str(v) for k, v in business.items() if v is not None}
        answer = await self.client.call(name, given, files)
        assert "error_response" not in answer, answer
        return plain(dict(published()[name].response), answer, method)

    async def result(self, method: str, /, **business: object) -> Any:
        """`result` of an answer that must be a success."""
        found = (await self(method, **business))["result"]
        good = [found[k] for k in ("response_success", "success", "is_success", "issuccess") if k in found]
        assert [str(g).lower() for g in good] == ["true"], found
        return found

    async def refused(self, method: str, /, **business: object) -> Any:
        """`result`, or the whole answer, of one that must be no success."""
        whole = await self(method, **business)
        found = whole.get("result", whole)
        good = [found[k] for k in ("response_success", "success", "response_status") if k in found]
        assert [str(g).lower() for g in good] == ["false"], found
        return found

    async def error(self, method: str, /, **business: object) -> Any:
        """The `error_response` that must come."""
        return await self.client.error(P + method, {k: str(v) for k, v in business.items()})


def of_modules(*modules: str) -> set[str]:
    """Methods whose handlers are in these modules of the gateway."""
    names = {f"yaosu.exchange.top.{m}" for m in modules}
    return {name for name, one in METHODS.items() if one.handler.__module__ in names}
