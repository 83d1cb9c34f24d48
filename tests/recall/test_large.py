"""A batch of ten million boxes is located by holder in under a second and refuses the next scan (R-X7)."""

from __future__ import annotations

import time

from pace import Work
from recall.helpers import activate, draft_of, make_market, published, who
from yaosu.bench.rows.recall_locate import HOLDERS, SHIPMENTS, spread_boxes
from yaosu.db.engine import Connection
from yaosu.recall import progress, service

BOXES = 10_000_000
HOLDING = 4_000
TRAVELLING = 300


async def test_ten_million_boxes_are_located_and_everybody_is_told_in_under_a_second(
    db: Connection, database: str
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    orgs = [r[0] for r in await db.fetch(HOLDERS, HOLDING)]
    # accounts as ten million boxes leave them: locating never reads units, so none are needed for it
    rows = [
        (qty, goods.drug_id, goods.batch_id, org, "I" if n % 3 else "S")
        for n, (org, qty) in enumerate(zip(orgs, spread_boxes(BOXES, HOLDING), strict=True))
    ]
    rows.append((-sum(r[0] for r in rows), goods.drug_id, goods.batch_id, orgs[0], "P"))
    columns = ("qty", "drug_id", "batch_id", "org", "status")
    await db.copy_records_to_table("balance", records=rows, columns=columns)
    await db.execute(SHIPMENTS, goods.drug_id, goods.batch_id, market.maker, orgs[:TRAVELLING])
    await db.execute("ANALYZE balance, notice, notice_line, bill, org")
    maker = who(market, market.maker)
    given = draft_of(goods)
    order_id = await service.draft(db, market.registry, maker, given)
    await service.approve(db, market.registry, who(market, market.maker, 2), order_id)
    # a busy machine makes it later, not more: the work is what counts
    begun, work = time.perf_counter(), Work(database)
    order = await service.publish(db, market.registry, maker, order_id)
    whole_s, work_s = time.perf_counter() - begun, work.seconds()
    print(f"located {order.located_ms} ms, published {whole_s:.2f} s, {work_s:.2f} s of processor")
    assert work_s < 1
    assert order.located_ms is not None and order.located_ms < whole_s * 1000
    times = await progress.times(db, order)
    assert times.holders == HOLDING + 2
    assert times.last_told_s is not None and times.last_told_s <= whole_s, "everybody by the same act"
    sale = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert sale.results[0].verdict == "recalled"
    work = Work(database)
    figures = await progress.figures(db, order, await service.goods_of(db, order))
    print(f"figures {work.seconds():.2f} s of processor")
    assert work.seconds() < 1
    assert figures.recalled > BOXES // 2 and len(figures.by_org) > HOLDING // 2


async def test_a_small_market_publishes_at_once(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    order = await published(market, db, draft_of(goods))
    assert order.located_ms is not None and order.located_ms < 1000
