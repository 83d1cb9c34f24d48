"""Every method that is done takes what the published table declares: required fields, types, optional ones left out or
empty (interfaces §2; `fields.json` is the table)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from exchange.top.client import TopClient, china_now
from exchange.top.world import World, make_world
from yaosu.exchange.top.envelope import layout
from yaosu.exchange.top.fields import Param, published
from yaosu.exchange.top.protocol import METHODS, load_methods

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE = sorted(load_methods())
OURS = (
    "ref_ent_id",
    "ref_user_id",
    "des_ref_ent_id",
    "to_ref_user_id",
    "auth_ref_ent_id",
    "target_ref_ent_id",
)
WRONG: Mapping[str, tuple[str, ...]] = {
    "n": ("one", "1.5", "1e3", "0x10", "１", "9" * 40),
    "b": ("yes", "1"),
    "d": ("20260101", "2026-02-30 00:00:00", "2026-01-01T00:00:00Z", "yesterday"),
}
"""Texts that cannot be of a type. `s` and lists of texts take every text."""
DEMANDED = {
    "drug.kyt.upinoutfile": "file_content",
    "drug.kyt.upstorebillfile": "file_content",
    "drugtrace.top.lsyd.query.upbillcode": "code",
    "drugtrace.top.yljg.query.upbillcode": "code",
    "drugtrace.top.yljg.listupout.detail": "from_ref_user_id",
    "secondard.node.code.showurl": "code",
}
"""Published as if they could be left out, and nothing can be done or told without: said by name (40) all the same."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program(world: World) -> TopClient:
    return await world.client(world.market.wholesaler)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def me(world: World) -> str:
    return (await world.alias(world.market.wholesaler)).ref_ent_id


def value(param: Param, me: str) -> str:
    """Some value of the published type."""
    if param.name in OURS:
        return me
    if param.type == "n":
        return "1"
    if param.type == "b":
        return "true"
    if param.type == "d" or "time" in param.name:
        return china_now()
    if "date" in param.name:
        return china_now()[:10]
    if isinstance(param.type, dict):
        return orjson.dumps({k: "1" for k, kind in param.type.items() if isinstance(kind, str)}).decode()
    if isinstance(param.type, list) and isinstance(param.type[1], dict):
        return "[]"
    return "1"


def given(method: str, me: str, *, all_fields: bool) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """A call with its required fields, or with all of them."""
    fields = [p for p in published()[method].request.values() if p.required or all_fields]
    params = {p.name: value(p, me) for p in fields if not p.file}
    return params, {p.name: ("a.bin", b"PK") for p in fields if p.file}


async def asked(
    program: TopClient, method: str, params: dict[str, str], files: dict[str, tuple[str, bytes]]
) -> Mapping[str, Any]:
    """`error_response` of a call; empty where the method itself answered."""
    answer = await program.call(method, params, files or None)
    found: Mapping[str, Any] = answer.get("error_response", {})
    assert found.get("sub_code") != "isp.system-error", (method, params, answer)
    return found


async def test_the_table_is_whole() -> None:
    """Each method has a payload that its answer can carry, and each success flag is a yes or no."""
    for name in DONE:
        place = layout(name)
        assert place.success or place.payload or "msg_code" in place.box, name
        for flag in place.success:
            assert place.box[flag] in ("b", "s"), (name, flag)
    assert all(METHODS[name].fields is published()[name] for name in DONE)


async def test_a_required_field_that_is_missing_is_named_in_every_method(program: TopClient, me: str) -> None:
    for method in DONE:
        params, files = given(method, me, all_fields=False)
        for field in [*params, *files]:
            less = {k: v for k, v in params.items() if k != field}
            fewer = {k: v for k, v in files.items() if k != field}
            error = await asked(program, method, less, fewer)
            assert (error.get("code"), error.get("sub_code")) == (40, f"isv.missing-parameter:{field}"), (
                method
            )


async def test_a_field_of_another_type_is_named_in_every_method(program: TopClient, me: str) -> None:
    for method in DONE:
        params, files = given(method, me, all_fields=False)
        for field, param in published()[method].request.items():
            texts = WRONG.get(param.type, ()) if isinstance(param.type, str) else ()
            if isinstance(param.type, dict):
                texts = ("{", "[]", "text")
            elif isinstance(param.type, list) and isinstance(param.type[1], dict):
                texts = ("{}", "text")
            for text in texts:
                error = await asked(program, method, {**params, field: text}, files)
                said = (error.get("code"), error.get("sub_code"))
                assert said == (41, f"isv.invalid-parameter:{field}"), (method, field, text, error)


@pytest.mark.parametrize("how", ["required alone", "all", "the others empty"])
async def test_optional_fields_may_be_there_left_out_or_empty(program: TopClient, me: str, how: str) -> None:
    """Whatever the method says of the values: never that a field is missing or of another type, and never our fault."""
    refused: dict[str, str] = {}
    for method in DONE:
        params, files = given(method, me, all_fields=how == "all")
        if how == "the others empty":
            params |= {
                p: "" for p, one in published()[method].request.items() if p not in params and not one.file
            }
        error = await asked(program, method, params, files)
        if str(error.get("sub_code", "")).startswith("isv.missing-parameter") and how != "all":
            refused[method.removeprefix("alibaba.alihealth.")] = error["sub_code"].partition(":")[2]
    assert refused == (DEMANDED if how != "all" else {})
