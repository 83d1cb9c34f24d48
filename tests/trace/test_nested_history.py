"""A box in a carton on a pallet: its history, its place and its recall go through both containers (R-X4, R-X7)."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import make_market
from circulation.nested import Stack, label, make_stack
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.trace import service
from yaosu.trace.store_public import public_unit


@pytest_asyncio.fixture(loop_scope="module")
async def stack(db: Connection) -> Stack:
    return await make_stack(await make_market(db))


async def told(stack: Stack, code: str, org: int, **more: Any) -> list[tuple[int, str | None]]:
    market = stack.market
    body: Any = await service.history(market.conn, market.registry, market.subject(org), code, **more)
    return [(e["bill_type"], e["via"]) for e in body["events"]]


async def test_what_happened_to_the_pallet_happened_to_the_box(stack: Stack) -> None:
    market, box, case = stack.market, stack.two.boxes_of(0)[0], stack.two.cases[0]
    packed = [(1, None), (2, case), (2, stack.mixed)]
    assert await told(stack, box, market.maker) == packed
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    moved = [*packed, (201, stack.pallet), (102, stack.pallet)]
    assert await told(stack, box, market.wholesaler) == moved
    # the carton leaves the pallet; what the pallet does then is no event of the box
    await stack.unpack(market.wholesaler, stack.mixed)
    await market.pass_on(market.wholesaler, market.pharmacy, [stack.pallet])
    await market.pass_on(market.wholesaler, market.hospital, [stack.mixed])
    off = [*moved, (3, stack.mixed), (201, stack.mixed), (102, stack.mixed)]
    assert await told(stack, box, market.wholesaler) == off
    # a box out of the case in the carton
    await market.move(323, market.hospital, [box])
    assert await told(stack, box, market.wholesaler) == [*off, (323, None)]
    body: Any = await service.history(market.conn, market.registry, market.subject(market.maker), box)
    stays = [(s["code"], s["container"], s["open"]) for s in body["stays"]]
    assert stays == [(box, case, False), (case, stack.mixed, True), (stack.mixed, stack.pallet, False)]
    first = next(e for e in body["events"] if e["bill_type"] == 201)
    assert [s["container"] for s in first["because"]] == [case, stack.mixed, stack.pallet]
    assert first["certainty"] == "inferred"


async def test_a_carton_emptied_on_the_pallet_leaves_its_history_to_the_box(stack: Stack) -> None:
    market, box, case = stack.market, stack.two.boxes_of(0)[0], stack.two.cases[0]
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    before = await told(stack, box, market.wholesaler)
    await stack.unpack(market.wholesaler, stack.mixed, whole=True)
    assert await stack.holds(stack.mixed) == []
    after = [*before, (3, case)]
    assert await told(stack, box, market.wholesaler) == after
    # the pallet goes on, and the label has a second life on another one
    await market.pass_on(market.wholesaler, market.pharmacy, [stack.pallet])
    await stack.pack(market.wholesaler, stack.mixed, stack.one.cases[0])
    other = label()
    await stack.pack(market.wholesaler, other, stack.mixed)
    await market.pass_on(market.wholesaler, market.hospital, [other])
    assert await told(stack, box, market.wholesaler) == after
    again = await told(stack, stack.one.boxes_of(0)[0], market.wholesaler)
    assert again[-4:] == [(2, stack.one.cases[0]), (2, stack.mixed), (201, other), (102, other)]


async def test_verifying_and_looking_inside(stack: Stack) -> None:
    market, conn, box = stack.market, stack.market.conn, stack.two.boxes_of(0)[0]
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    reader = market.subject(market.wholesaler)
    body: Any = await service.verify_codes(
        conn, market.registry, reader, [box, stack.mixed, stack.pallet], "zh"
    )
    inside, carton, pallet = body
    assert inside["inside"] == {"code": stack.pallet, "parent": stack.two.cases[0]}
    assert carton["inside"] == {"code": stack.pallet, "parent": stack.pallet}
    assert stack.pallet in inside["explanation"], inside["explanation"]
    assert len(carton["others"]) == 1 and len(pallet["others"]) == 1
    tree: Any = await service.contents(conn, market.registry, reader, stack.pallet, drug_id=stack.two.drug_id)
    assert tree["complete"] and tree["qty"] == 10
    depth = {i["code"]: i["depth"] for i in tree["items"]}
    assert depth[stack.pallet] == 0 and depth[stack.mixed] == 1 and depth[box] == 3
    # after the second product is sold out of the carton, its label stands for what is in it
    await market.pass_on(market.wholesaler, market.pharmacy, [stack.two.cases[0]])
    body = await service.verify_codes(conn, market.registry, reader, [stack.mixed], "zh")
    assert body[0]["qty"] == 11 and body[0]["others"] == []
    assert (await told(stack, stack.mixed, market.wholesaler))[-1] == (102, stack.pallet)


async def test_where_the_batch_is_does_not_ask_what_it_is_packed_in(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    body: Any = await service.where(
        market.conn, market.registry, market.subject(market.maker), stack.two.drug_id, stack.two.batch_no
    )
    assert sorted((h["status"], h["qty"]) for h in body["items"]) == [("I", 10), ("I", 30)]
    assert body["totals"] == {"I": 40}


async def test_the_public_is_told_the_box_s_own_batch(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    unit = await public_unit(market.conn, stack.two.drug_id, stack.two.boxes_of(0)[0])
    assert unit is not None and unit.batch_no == stack.two.batch_no and unit.status == "I" and unit.level == 1
    with pytest.raises(YaosuError):
        await service.history(market.conn, market.registry, market.subject(market.maker), stack.pallet)
