"""Whatever a program writes into the fields, it gets an answer of the protocol, never our fault (design §6)."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from exchange.top.client import TopClient
from exchange.top.world import World, make_world
from yaosu.db.engine import Pool
from yaosu.exchange.top.protocol import load_methods

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = [
    "", "0", "1", "-1", "9" * 18, "9" * 40, "x" * 3000, "{}", "[]", "null", "[1,2]", '[{"a":[1]}]', '{"a":null}',
    "'; DROP TABLE bill; --", "é€😀", "2026-13-45", "2026-01-01", "2026-01-01 00:00:00", "9999-12-31",
    "0001-01-01", "A", "AO", "true", "F1", "F" + "9" * 30, "1-2-3", "83857930000000000001", "%s%n", "\t",
    "83857930000000000001," * 30,
    "1e9", "０１２", "²", "-0", "1" * 18, "UEsDBA==", "H4sIAAAA", "eJwDAAAAAAE=", "bnVsbA==",
]  # fmt: skip
TRIES = int(os.environ.get("YAOSU_HOSTILE_TRIES", "2"))
"""Odd values tried in each field."""
OWN = (
    "ref_ent_id", "ref_user_id", "ref_entid", "ower_ref_ent_id", "auth_ref_user_id", "terminal_ent_id",
    "from_ref_user_id", "to_ref_user_id", "from_user_id", "to_user_id", "des_ref_ent_id",
)  # fmt: skip
USUAL = {
    "begin_date": "2026-01-01", "end_date": "2030-01-01", "start_date": "2026-01-01", "start_time": "2026-09-01",
    "end_time": "2026-09-03", "begin_time": "2026-09-01", "begin_oper_date": "2026-09-01",
    "end_oper_date": "2026-09-03",
    "recall_begin_time": "2026-01-01", "recall_end_time": "2030-01-01", "page": "1", "page_size": "10", "cur_page": "1",
    "invocation": "formal", "c_type": "1012100", "process_flag": "A", "operate_type": "1", "produce_date": "2025-01-01",
    "expire_date": "2028-01-01", "delete_reason": "x", "mobile_phone": "13800000000", "auth_begin_date": "2026-01-01",
    "auth_end_date": "2030-01-01", "query_param": '{"ent_name":"x"}', "top_ent_info_req_dto": '{"ent_name":"x"}',
    "query_flag": "0", "physic_type": "3",
}  # fmt: skip


def usual(name: str, kind: object, code: str, own: str) -> str:
    """A value that a field may well have."""
    if name in OWN:
        return own
    if name in USUAL:
        return USUAL[name]
    if "code" in name and "bill" not in name:
        return code
    if name == "bill_type":
        return "201" if kind == "n" else "A"
    return {"n": "1", "d": "2026-01-01 00:00:00", "b": "true"}.get(str(kind), "1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


async def test_nothing_a_program_writes_is_our_fault(world: World) -> None:
    m = world.market
    program: TopClient = await world.client(m.maker)
    own = (await world.alias(m.maker)).ref_ent_id
    goods = await world.goods(m.maker)
    chance = random.Random("top")
    tried, faults = set(), []
    for name, done in sorted(load_methods().items()):
        if ".lsyd." in name or ".yljg." in name or done.handler in tried:
            continue
        tried.add(done.handler)
        fields = done.fields.request
        files = {"lic_picture_byte": ("x", b"GIF8x")} if "lic_picture_byte" in fields else None
        base = {n: usual(n, f.type, goods.boxes[0], own) for n, f in fields.items() if not f.file}
        for field in base:
            for odd in chance.sample(ODD, TRIES):
                answer = await program.call(name, base | {field: odd}, files)
                if answer.get("error_response", {}).get("sub_code") == "isp.system-error":
                    faults.append((name, field, odd[:60]))
    assert faults == [] and len(tried) > 60
    await m.conserved()
