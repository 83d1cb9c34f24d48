"""Recalls and locks find single codes in cartons on pallets; a carton's label names what is in it (R-E4, R-X7)."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from circulation.nested import Stack, make_stack
from recall.helpers import draft_of, make_market, published, who
from yaosu.db.engine import Connection
from yaosu.recall import locks


@pytest_asyncio.fixture(loop_scope="module")
async def stack(db: Connection) -> Stack:
    return await make_stack(await make_market(db))


async def held(stack: Stack, order_id: int) -> list[tuple[int, str, int]]:
    rows = await stack.market.conn.fetch(
        "SELECT org, status, sum(qty)::int AS qty FROM recall_holding WHERE order_id = $1 GROUP BY 1, 2",
        order_id,
    )
    return sorted((r["org"], r["status"], r["qty"]) for r in rows)


@pytest.mark.parametrize("named", ["box", "case", "carton", "pallet"])
async def test_a_recall_of_one_code_finds_it_through_two_containers(stack: Stack, named: str) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    code, qty = {
        "box": (stack.two.boxes_of(0)[0], 1),
        "case": (stack.two.cases[0], 10),
        "carton": (stack.mixed, 10),
        "pallet": (stack.pallet, 10),
    }[named]
    order = await published(market, market.conn, draft_of(stack.two, batch_nos=(), codes=(code,)))
    assert await held(stack, order.id) == [(market.wholesaler, "I", qty)]
    # the pallet stops whatever of it is recalled; what lies beside it goes on
    verdicts = []
    for one in (stack.pallet, stack.mixed, stack.two.boxes_of(0)[0]):
        result = await market.move(201, market.wholesaler, [one], to_org=market.pharmacy)
        verdicts += [r.verdict for r in result.results]
    assert verdicts == ["recalled"] * 3
    beside = await market.move(201, market.wholesaler, [stack.plain, stack.side], to_org=market.pharmacy)
    assert beside.status == "accepted"
    await stack.counted()


async def test_a_recalled_batch_is_located_whatever_it_is_packed_in(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    await market.pass_on(market.wholesaler, market.pharmacy, [stack.mixed])
    order = await published(market, market.conn, draft_of(stack.two))
    assert await held(stack, order.id) == sorted([(market.maker, "I", 30), (market.pharmacy, "I", 10)])


async def test_a_locked_carton_is_free_again_after_the_release(stack: Stack) -> None:
    market = stack.market
    conn, maker = market.conn, who(market, market.maker)
    values: dict[str, Any] = {
        "kind": "lock",
        "drug_id": stack.two.drug_id,
        "batch_nos": [],
        "reason": "quality",
    }
    made = await locks.place(conn, market.registry, maker, codes=[stack.mixed], **values)
    result = await market.move(201, market.maker, [stack.pallet], to_org=market.wholesaler)
    assert [r.verdict for r in result.results] == ["locked"]
    await locks.release(conn, market.registry, maker, made, "复检合格")
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    await stack.counted()
