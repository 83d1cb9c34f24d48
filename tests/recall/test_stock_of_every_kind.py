"""A recall finds and stops goods in whatever form they stand: uncoded, opened, in quarantine (R-C8, R-C9, R-E4)."""

from __future__ import annotations

from datetime import date

from recall.helpers import Goods, Market, activate, draft_of, make_market, published, who
from yaosu.circulation.model import MovementResult, Quantity
from yaosu.db.engine import Connection
from yaosu.recall import locks, progress, service, tasks

INVOICE = {"invoice_no": "FP-2025-0017", "invoice_date": "2025-06-01", "reason_text": "破损"}


async def _uncoded(market: Market, goods: Goods, type_: int, qty: int, **more: object) -> MovementResult:
    dates = (date(2026, 1, 1), date(2059, 12, 31)) if type_ == 21 else ()
    line = Quantity(goods.drug_id, goods.batch_no, qty, *dates)
    return await market.move(type_, market.pharmacy, [], quantities=[line], header=INVOICE, **more)


async def test_uncoded_stock_of_a_recalled_batch_is_found_and_not_sold(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    assert (await _uncoded(market, goods, 21, 50)).status == "accepted"
    assert (await _uncoded(market, goods, 23, 8)).status == "accepted"
    order = await published(market, db, draft_of(goods))
    _, task = await tasks.mine(db, who(market, market.pharmacy), order.id)
    assert (task.on_hand, task.sold) == (42, 8)
    stopped = await _uncoded(market, goods, 23, 1)
    assert [r.verdict for r in stopped.results] == ["recalled"]
    again = await _uncoded(market, goods, 21, 5)
    assert [r.verdict for r in again.results] == ["recalled"]
    back = await _uncoded(market, goods, 22, 40, to_org=market.wholesaler)
    assert back.status == "accepted", back.results
    await market.conserved()
    line = (await progress.figures(db, order, await service.goods_of(db, order))).by_org[market.pharmacy]
    assert (line.now, line.returned) == (2, 40)
    shop = who(market, market.pharmacy)
    await tasks.count(db, shop, order.id, found=2, sealed=2)
    await tasks.close(db, shop, order.id)


async def test_an_opened_box_of_a_recalled_batch_gives_no_more_units(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.hospital, goods.cases[:1])
    box = goods.boxes_of(0)[0]
    assert (await market.move(7, market.hospital, [box])).status == "accepted"
    order = await published(market, db, draft_of(goods))
    given = await market.move(323, market.hospital, [box], parts={box: 2})
    assert [r.verdict for r in given.results] == ["recalled"]
    opened = await market.move(7, market.hospital, goods.boxes_of(0)[1:2])
    assert [r.verdict for r in opened.results] == ["recalled"]
    _, task = await tasks.mine(db, who(market, market.hospital), order.id)
    assert task.on_hand == 10
    answers, total = await tasks.scan(
        db, market.registry, who(market, market.hospital), order.id, [box, *goods.boxes_of(0)[1:]]
    )
    assert ({a.finding.code for a in answers}, total) == ({"recall_scan_ours"}, 10)


async def test_goods_in_quarantine_are_found_and_are_not_released(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    box = goods.boxes_of(0)[0]
    await market.move(321, market.pharmacy, [box])
    await market.move(116, market.pharmacy, [box], header={"reason_text": "顾客退回"})
    assert (await market.status(box))[0] == "Q"
    order = await published(market, db, draft_of(goods))
    _, task = await tasks.mine(db, who(market, market.pharmacy), order.id)
    assert task.on_hand == 10
    released = await market.move(6, market.pharmacy, [box], header={"reason_text": "放行"})
    assert [r.verdict for r in released.results] == ["recalled"]


async def test_a_firms_own_suspension_stops_its_uncoded_sales_until_it_is_lifted(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await _uncoded(market, goods, 21, 50)
    shop = who(market, market.pharmacy)
    made = await locks.place(
        db,
        market.registry,
        shop,
        kind="suspension",
        drug_id=goods.drug_id,
        batch_nos=[goods.batch_no],
        codes=[],
        reason="quality",
    )
    assert [r.verdict for r in (await _uncoded(market, goods, 23, 1)).results] == ["suspended"]
    assert (await _uncoded(market, goods, 25, 1)).status == "accepted"
    await locks.release(db, market.registry, shop, made, "查清")
    assert (await _uncoded(market, goods, 23, 1)).status == "accepted"
