"""Locks by the MAH or an office, suspensions by the firm itself, and their release (R-E4, R-B5)."""

from __future__ import annotations

from typing import Any

import pytest

from recall.helpers import Market, activate, draft_of, make_market, office, who
from registry.helpers import make_org
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.recall import locks, service
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject


async def _place(market: Market, by: Subject, **more: Any) -> int:
    values: dict[str, Any] = {
        "kind": "lock",
        "drug_id": market.drug_id,
        "batch_nos": [],
        "codes": [],
        "reason": "quality",
        **more,
    }
    return await locks.place(market.conn, market.registry, by, **values)


async def test_a_lock_of_the_mah_stops_everybody_until_it_is_released_with_a_reason(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    maker = who(market, market.maker)
    made = await _place(market, maker, batch_nos=[goods.batch_no], reason_text="留样异常")
    sale = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert sale.results[0].verdict == "locked"
    assert "留样异常" in str(sale.results[0].params["reason"])
    told = await db.fetch("SELECT org FROM message WHERE kind = 'notice_lock'")
    assert {r["org"] for r in told} == {market.pharmacy}
    with pytest.raises(YaosuError) as refused:
        await locks.release(db, market.registry, who(market, market.pharmacy), made, "我要卖")
    assert refused.value.code == "lock_not_yours"
    with pytest.raises(YaosuError):
        await locks.release(db, market.registry, maker, made, "  ")
    await locks.release(db, market.registry, maker, made, "复检合格")
    assert (await market.move(321, market.pharmacy, goods.boxes[:1])).status == "accepted"
    with pytest.raises(YaosuError) as twice:
        await locks.release(db, market.registry, maker, made, "再一次")
    assert twice.value.code == "lock_released"


async def test_a_suspension_binds_the_firm_alone_and_only_it_sees_and_releases_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    await market.pass_on(market.maker, market.store, goods.cases[1:2])
    shop = who(market, market.pharmacy)
    made = await _place(market, shop, kind="suspension", batch_nos=[goods.batch_no])
    assert (await market.move(321, market.pharmacy, goods.boxes_of(0)[:1])).results[0].verdict == "suspended"
    assert (await market.move(321, market.store, goods.boxes_of(1)[:1])).status == "accepted"
    for other in (market.wholesaler, market.hospital):
        with pytest.raises(YaosuError) as hidden:
            await locks.shown(db, who(market, other), made)
        assert hidden.value.code == "not_found"
    province = await office(market, db)
    with pytest.raises(YaosuError) as foreign:
        await locks.release(db, market.registry, who(market, province), made, "放行")
    assert foreign.value.code == "lock_not_yours"
    await locks.release(db, market.registry, shop, made, "核实无误")
    assert (await market.move(321, market.pharmacy, goods.boxes_of(0)[:1])).status == "accepted"


async def test_a_trader_cannot_lock_for_everybody(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    with pytest.raises(YaosuError) as refused:
        await _place(market, who(market, market.wholesaler), batch_nos=[goods.batch_no])
    assert refused.value.code == "recall_not_yours"


async def test_an_office_locks_within_its_remit(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.other, goods.cases[:1])  # 650102
    shandong, xinjiang = await office(market, db), await office(market, db, "650000")
    there = who(market, xinjiang)
    # of a holder elsewhere, of a whole batch of a firm elsewhere: not its business
    for more in ({}, {"org": market.maker}, {"org": market.wholesaler}):
        with pytest.raises(YaosuError) as refused:
            await _place(market, there, batch_nos=[goods.batch_no], **more)
        assert refused.value.code == "lock_beyond_remit"
    with pytest.raises(YaosuError):
        await _place(market, there, codes=[goods.boxes_of(1)[0]])
    bound = await _place(market, there, batch_nos=[goods.batch_no], org=market.other)
    held = await market.move(201, market.other, goods.cases[:1], to_org=market.pharmacy)
    assert held.results[0].verdict == "locked"
    assert (
        await market.move(201, market.maker, goods.cases[1:2], to_org=market.pharmacy)
    ).status == "accepted"
    await locks.release(db, market.registry, there, bound, "查清")
    one = await _place(market, there, codes=[goods.boxes_of(0)[0]], reason="counterfeit")
    assert (await locks.shown(db, who(market, market.maker), one)).org is None
    whole = await _place(market, who(market, shandong), batch_nos=[goods.batch_no], reason="sampling")
    # what an office locked the firm does not release
    with pytest.raises(YaosuError) as own:
        await locks.release(db, market.registry, who(market, market.maker), whole, "自检合格")
    assert own.value.code == "lock_not_yours"


async def test_reasons_are_those_of_the_list(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    shop = who(market, market.pharmacy)
    for reason in ("whatever", "investigation"):
        with pytest.raises(YaosuError) as refused:
            await _place(market, shop, kind="suspension", batch_nos=[goods.batch_no], reason=reason)
        assert refused.value.code == "lock_reason_unknown"


async def test_single_codes_that_are_locked_are_told_to_their_holder_and_so_is_the_release(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    maker = who(market, market.maker)
    made = await _place(market, maker, codes=[goods.boxes_of(0)[3]], reason="counterfeit")
    await locks.release(db, market.registry, maker, made, "查清")
    rows = await db.fetch("SELECT kind FROM message WHERE org = $1 ORDER BY id", market.pharmacy)
    assert [r["kind"] for r in rows] == ["notice_lock", "notice_lock_released"]


async def test_a_lock_names_a_firm_that_exists_and_a_parent_stops_only_stores_of_its_chain(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await make_org(db, OrgType.WHOLESALER, parent_id=market.wholesaler)
    market.registry = await load_registry(db)
    daughter = next(o.id for o in market.registry.orgs() if o.parent_id == market.wholesaler)
    with pytest.raises(YaosuError) as unknown:
        await _place(market, who(market, market.maker), batch_nos=[goods.batch_no], org=2_000_000_000)
    assert unknown.value.code == "field_invalid"
    more = {"kind": "suspension", "batch_nos": [goods.batch_no]}
    with pytest.raises(YaosuError) as own:
        await _place(market, who(market, market.wholesaler), org=daughter, **more)
    assert own.value.code == "recall_not_yours"
    assert await _place(market, who(market, market.pharmacy), org=market.store, **more)


async def test_a_health_authority_neither_locks_goods_nor_orders_a_recall(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    health = who(market, await office(market, db, sub_type=1102))
    for more in ({"codes": goods.cases[:1]}, {"batch_nos": [goods.batch_no], "org": market.pharmacy}):
        with pytest.raises(YaosuError) as refused:
            await _place(market, health, **more)
        assert refused.value.code == "lock_beyond_remit"
    with pytest.raises(YaosuError) as ordered:
        await service.draft(db, market.registry, health, draft_of(goods, kind="ordered"))
    assert ordered.value.code == "recall_not_yours"
