"""Goods under a recall go back up the chain and to nobody else (R-B5, R-E4), whatever the bill is called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from recall.helpers import Goods, Market, activate, draft_of, make_market, published
from registry.helpers import make_org, make_product
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.service import check
from yaosu.circulation.way_home import AloneError
from yaosu.db.engine import Connection
from yaosu.recall import progress, service
from yaosu.registry.model import OrgType
from yaosu.registry.places import create_place
from yaosu.registry.resolver import load_registry


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def recalled(market: Market, **more: Any) -> Goods:
    """Two cases at the pharmacy that came by the wholesaler, and are recalled."""
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    await published(market, market.conn, draft_of(goods, **more))
    return goods


async def sent(market: Market, owner: int, to: int, codes: list[str], type: int = 211) -> list[str]:
    """The verdicts of a bill that sends them back."""
    more = {"direct_org": market.other} if type == 237 else {}
    result = await market.move(type, owner, codes, to_org=to, **more)
    return [r.verdict for r in result.results]


@pytest.mark.parametrize("type", [211, 202, 218, 237])
async def test_recalled_goods_do_not_go_to_a_stranger_by_any_bill(market: Market, type: int) -> None:
    goods = await activate(market)
    holder = market.hospital if type == 218 else market.pharmacy
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, holder, goods.cases)
    order = await published(market, market.conn, draft_of(goods))
    stranger = await make_org(market.conn, OrgType.WHOLESALER)
    market.registry = await load_registry(market.conn)
    more = {"direct_org": market.other} if type == 237 else {}
    result = await market.move(type, holder, goods.cases, to_org=stranger, **more)
    assert [r.verdict for r in result.results] == ["not_way_home"] * 2
    assert await market.status(goods.cases[0]) == ("I", holder, None)
    # the answer names the recall and to whom they may go
    names = {o: market.registry.org(o).name for o in (market.maker, market.wholesaler)}  # type: ignore[union-attr]
    params = result.results[0].params
    assert params is not None and params["number"] == order.number
    assert set(str(params["to"]).split("、")) == set(names.values())
    assert await sent(market, holder, market.wholesaler, goods.cases[:1], type) == ["accepted"]
    assert await sent(market, holder, market.maker, goods.cases[1:], type) == ["accepted"]


async def test_they_do_not_go_down_the_chain_or_sideways(market: Market) -> None:
    goods = await activate(market, cases=3)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.hospital, goods.cases[:2])
    # one came back from the hospital, which makes it no seller
    await market.move(202, market.hospital, goods.cases[:1], to_org=market.wholesaler)
    await market.move(103, market.wholesaler, goods.cases[:1], from_org=market.hospital)
    # and one was turned away at its door
    await market.ship(market.wholesaler, market.hospital, goods.cases[2:])
    await market.move(102, market.hospital, goods.cases[2:], from_org=market.wholesaler, reject_all=True)
    await market.move(103, market.wholesaler, goods.cases[2:], from_org=market.hospital)
    await published(market, market.conn, draft_of(goods))
    held = [goods.cases[0], goods.cases[2]]
    assert await sent(market, market.wholesaler, market.hospital, held) == ["not_way_home"] * 2
    assert await sent(market, market.hospital, market.pharmacy, goods.cases[1:2]) == ["not_way_home"]
    assert await sent(market, market.wholesaler, market.maker, held) == ["accepted"] * 2


async def test_they_go_where_the_order_says(market: Market) -> None:
    depot = await make_org(market.conn, OrgType.LOGISTICS)
    market.registry = await load_registry(market.conn)
    goods = await recalled(market, return_to=depot)
    assert await sent(market, market.pharmacy, depot, goods.cases) == ["accepted"] * 2


async def test_they_go_to_a_logistics_firm_that_stores_for_one_of_them_while_it_does(market: Market) -> None:
    depot = await make_org(market.conn, OrgType.LOGISTICS)
    trader = await make_org(market.conn, OrgType.WHOLESALER)
    market.registry = await load_registry(market.conn)
    for agent in (depot, trader):
        await market.conn.execute(
            "INSERT INTO delegation (principal, agent, accepted_at, offered_by, kinds) "
            "VALUES ($1, $2, now(), $1, '{in,out}')",
            market.wholesaler,
            agent,
        )
    goods = await recalled(market)
    # an agent that is no logistics firm trades for itself
    assert await sent(market, market.pharmacy, trader, goods.cases) == ["not_way_home"] * 2
    assert await sent(market, market.pharmacy, depot, goods.cases[:1]) == ["accepted"]
    await market.conn.execute("UPDATE delegation SET revoked_at = now() WHERE agent = $1", depot)
    assert await sent(market, market.pharmacy, depot, goods.cases[1:]) == ["not_way_home"]


async def test_a_store_sends_to_its_headquarters_and_not_the_other_way(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    sister = await make_org(market.conn, OrgType.RETAIL, parent_id=market.pharmacy, sub_type=42)
    market.registry = await load_registry(market.conn)
    await market.pass_on(market.pharmacy, market.store, goods.cases[:1])
    await published(market, market.conn, draft_of(goods))
    boxes = goods.boxes_of(0)
    assert await sent(market, market.pharmacy, market.store, goods.cases[1:]) == ["not_way_home"]
    assert await sent(market, market.store, sister, boxes[:1]) == ["not_way_home"]
    assert await sent(market, market.store, market.pharmacy, boxes[:1]) == ["taken_out"]


async def test_places_of_one_legal_entity_send_to_one_another(market: Market) -> None:
    storehouse = (await create_place(market.conn, market.subject(market.hospital), "药库", 3901)).id
    ward = (await create_place(market.conn, market.subject(market.hospital), "内科病区", 3904)).id
    market.registry = await load_registry(market.conn)
    goods = await activate(market)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    await market.move(203, market.hospital, goods.cases, to_org=storehouse)
    await market.move(104, storehouse, goods.cases, from_org=market.hospital)
    await market.move(203, storehouse, goods.cases[:1], to_org=ward)
    await market.move(104, ward, goods.cases[:1], from_org=storehouse)
    await published(market, market.conn, draft_of(goods))
    assert await sent(market, ward, market.other, goods.cases[:1]) == ["not_way_home"]
    assert await sent(market, ward, storehouse, goods.cases[:1]) == ["accepted"]
    assert await sent(market, storehouse, market.hospital, goods.cases[1:]) == ["accepted"]


async def test_goods_of_an_overseas_holder_go_to_its_responsible_person_here(market: Market) -> None:
    conn = market.conn
    agent = await make_org(conn, OrgType.WHOLESALER)
    overseas = await make_org(conn, OrgType.MAH, sub_type=72, domestic_agent_id=agent)
    levels = (("盒", 1, "8391101"), ("箱", 10, "8391102"), ("托盘", 40, "8391103"))
    drug = await make_product(conn, market.maker, levels=levels, generic_name="进口测试片")
    await conn.execute("UPDATE product SET mah_id = $2 WHERE id = $1", drug, overseas)
    market.registry = await load_registry(conn)
    goods = await activate(replace(market, drug_id=drug, prefixes=("8391101", "8391102", "8391103")))
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    await published(market, conn, draft_of(goods))
    assert await sent(market, market.pharmacy, market.hospital, goods.cases) == ["not_way_home"] * 2
    assert await sent(market, market.pharmacy, agent, goods.cases[:1]) == ["accepted"]
    assert await sent(market, market.pharmacy, overseas, goods.cases[1:]) == ["accepted"]


async def test_other_goods_of_the_same_bill_move_on_and_a_finished_stop_binds_nobody(market: Market) -> None:
    goods = await recalled(market)
    free = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, free.cases)
    codes = [goods.cases[0], free.cases[0]]
    assert await sent(market, market.pharmacy, market.other, codes) == ["not_way_home", "accepted"]


async def test_what_was_received_beside_it_is_judged_before_it(market: Market) -> None:
    """A delivery and the way back of the same goods in one group: judged one by one."""
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await published(market, market.conn, draft_of(goods))
    other = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, other.cases)
    await market.ship(market.wholesaler, market.pharmacy, other.cases)
    bills = [
        market.movement(102, market.pharmacy, other.cases, from_org=market.wholesaler),
        market.movement(211, market.wholesaler, goods.cases[:1], to_org=market.other),
        market.movement(102, market.wholesaler, goods.cases[:1], from_org=market.other),
    ]
    prepared = [await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills]
    with pytest.raises(AloneError):
        async with market.conn.transaction():
            await apply_group(market.conn, prepared, market.batches)
    async with market.conn.transaction():
        (alone,) = await apply_group(market.conn, prepared[1:2], market.batches)
    assert isinstance(alone, MovementResult)
    assert [r.verdict for r in alone.results] == ["not_way_home"]
    async with market.conn.transaction():
        (got,) = await apply_group(market.conn, prepared[:1], market.batches)
    assert isinstance(got, MovementResult) and got.status == "accepted"


async def test_the_station_says_it_before_the_bill_is_sent(market: Market) -> None:
    goods = await recalled(market)
    subject = market.subject(market.pharmacy)
    for to, expected in ((market.other, "not_way_home"), (market.wholesaler, "accepted"), (None, "accepted")):
        movement = market.movement(211, market.pharmacy, goods.cases[:1], to_org=to)
        results, _ = await check(market.conn, market.registry, market.batches, subject, movement)
        assert [r.verdict for r in results] == [expected]


@pytest.mark.parametrize("single", [False, True])
async def test_what_was_sent_counts_as_back_when_the_collector_has_it(market: Market, single: bool) -> None:
    conn = market.conn
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    chosen = {"batch_nos": (), "codes": tuple(goods.cases)} if single else {}
    order = await published(market, conn, draft_of(goods, **chosen))
    named = await service.goods_of(conn, order)

    async def stands() -> tuple[int, ...]:
        all_of_it = await progress.figures(conn, order, named)
        line = all_of_it.by_org[market.pharmacy]
        return line.returned, line.under_way, all_of_it.back, all_of_it.on_the_way, all_of_it.outstanding

    assert await sent(market, market.pharmacy, market.maker, goods.cases[:1]) == ["accepted"]
    assert await sent(market, market.pharmacy, market.wholesaler, goods.cases[1:]) == ["accepted"]
    assert await stands() == (20, 20, 0, 20, 20)
    await market.move(108, market.maker, goods.cases[:1], from_org=market.pharmacy)
    assert await stands() == (20, 10, 10, 10, 10)
    # the wholesaler has it, who does not collect: it is still to be fetched back
    await market.move(108, market.wholesaler, goods.cases[1:], from_org=market.pharmacy)
    assert await stands() == (20, 0, 10, 0, 10)
    assert await sent(market, market.wholesaler, market.maker, goods.cases[1:]) == ["accepted"]
    await market.move(108, market.maker, goods.cases[1:], from_org=market.wholesaler)
    assert await stands() == (20, 0, 20, 0, 0)
