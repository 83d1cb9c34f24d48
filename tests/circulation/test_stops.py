"""Recalls, locks and suspensions on the write path (R-E4, R-X7, R-B5): refused from the commit on, with the name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.db.engine import Connection
from yaosu.stops import service as stops


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def place(market: Market, **more: Any) -> int:
    values: dict[str, Any] = {
        "kind": "recall",
        "ref": 1,
        "number": "ZH-1",
        "title": "装量差异",
        "level": 2,
        "placed_by": market.maker,
        "reason": "留样检验不合格",
        "batches": [],
        "codes": [],
        **more,
    }
    return await stops.place(market.conn, **values)


async def test_every_scan_of_a_recalled_batch_is_refused_and_names_the_recall(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, [goods.cases[0]])
    stop = await place(market, batches=[(goods.drug_id, goods.batch_id)])
    sale = await market.move(321, market.pharmacy, [goods.boxes[0]])
    assert [(r.verdict, r.params["number"], r.params["level"]) for r in sale.results] == [
        ("recalled", "ZH-1", 2)
    ]
    ship = await market.move(201, market.wholesaler, [goods.cases[1]], to_org=market.pharmacy)
    assert [r.verdict for r in ship.results] == ["recalled"]
    hits = await stops.hits(market.conn, stop)
    assert [(h.org, h.count) for h in hits] == [(market.pharmacy, 1), (market.wholesaler, 1)]
    assert hits[0].first_code == goods.boxes[0]


async def test_recalled_goods_go_back_and_are_received_into_quarantine(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await place(market, batches=[(goods.drug_id, goods.batch_id)])
    back = await market.move(211, market.wholesaler, goods.cases, to_org=market.maker)
    assert back.status == "accepted"
    came = await market.move(108, market.maker, goods.cases, from_org=market.wholesaler)
    assert came.status == "accepted"
    assert await market.status(goods.cases[0]) == ("Q", market.maker, None)


async def test_goods_on_their_way_when_the_recall_came_out_are_booked_to_quarantine(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases)
    await place(market, batches=[(goods.drug_id, goods.batch_id)])
    received = await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    assert [(r.verdict, r.quarantined) for r in received.results] == [("recalled", True)] * 2
    assert await market.status(goods.cases[0]) == ("Q", market.wholesaler, None)
    free = await market.move(6, market.wholesaler, goods.cases, header={"reason_text": "误放"})
    assert {r.verdict for r in free.results} == {"recalled"}


async def test_one_recalled_box_stops_the_case_it_is_in_and_not_its_neighbours(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    box, neighbour = goods.boxes_of(0)[:2]
    await place(market, kind="lock", level=None, codes=[(goods.drug_id, box)])
    result = await market.move(201, market.wholesaler, goods.cases, to_org=market.pharmacy)
    assert [r.verdict for r in result.results] == ["locked", "accepted"]
    single = await market.move(201, market.wholesaler, [neighbour, box], to_org=market.pharmacy)
    assert [r.verdict for r in single.results] == ["taken_out", "locked"]


async def test_a_recalled_case_stops_each_box_that_was_in_it(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    await place(market, codes=[(goods.drug_id, goods.cases[0])])
    result = await market.move(321, market.pharmacy, [goods.boxes_of(0)[0], goods.boxes_of(1)[0]])
    assert [r.verdict for r in result.results] == ["recalled", "taken_out"]
    # taken out for destruction and put back: it is stopped by its own code, not only by the case's
    assert (goods.drug_id, goods.boxes_of(0)[5]) in await stops.of_units(
        market.conn, [(goods.drug_id, goods.boxes_of(0)[5]), (goods.drug_id, goods.boxes_of(1)[5])]
    )


async def test_a_suspension_binds_its_owner_only_and_ends_when_lifted(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, [goods.cases[0]])
    stop = await place(
        market,
        kind="suspension",
        level=None,
        org=market.wholesaler,
        batches=[(goods.drug_id, goods.batch_id)],
    )
    held = await market.move(201, market.wholesaler, [goods.cases[1]], to_org=market.pharmacy)
    assert [r.verdict for r in held.results] == ["suspended"]
    sold = await market.move(321, market.pharmacy, [goods.boxes_of(0)[0]])
    assert sold.status == "accepted"
    assert await stops.lift(market.conn, stop, "复核无误")
    assert not await stops.lift(market.conn, stop, "复核无误")
    await market.ship(market.wholesaler, market.pharmacy, [goods.cases[1]])


async def test_what_was_returned_by_a_customer_may_come_in_and_recalled_goods_may_be_destroyed(
    market: Market,
) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    box = goods.boxes[0]
    await market.move(321, market.pharmacy, [box])
    await place(market, batches=[(goods.drug_id, goods.batch_id)])
    back = await market.move(116, market.pharmacy, [box])
    assert back.status == "accepted"
    header = {"reason": "1", "executer_name": "张示例", "superviser_name": "李示例"}
    gone = await market.move(205, market.pharmacy, [box], header=header)
    assert gone.status == "accepted", gone.results


async def test_a_locked_case_that_was_emptied_stops_its_pallet_no_longer(market: Market) -> None:
    """In bills of their own, and in one commit."""
    for together in (False, True):
        goods = await activate(market, cases=2, pallets=1)
        await market.pass_on(market.maker, market.wholesaler, goods.pallets)
        await place(market, kind="lock", level=None, codes=[(goods.drug_id, goods.cases[0])])
        pallet = market.movement(201, market.wholesaler, goods.pallets, to_org=market.pharmacy)
        assert [r.verdict for r in (await market.submit(pallet)).results] == ["locked"]
        bills = [
            market.movement(211, market.wholesaler, goods.boxes_of(0), to_org=market.maker),
            market.movement(201, market.wholesaler, goods.pallets, to_org=market.pharmacy),
        ]
        if together:
            prepared = [
                await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills
            ]
            async with market.conn.transaction():
                back, shipped = await apply_group(market.conn, prepared, market.batches)
            assert isinstance(back, MovementResult) and isinstance(shipped, MovementResult)
        else:
            back, shipped = [await market.submit(bill) for bill in bills]
        assert back.status == "accepted"
        assert [(r.verdict, r.qty) for r in shipped.results] == [("accepted", len(goods.boxes_of(1)))]
