"""Recalled goods that come to somebody after the publication: the holder of tomorrow is asked too (R-E4, R-X7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recall.helpers import Market, activate, draft_of, make_market, published, who
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.recall import clock, progress, service, tasks
from yaosu.settings import Settings

SETTINGS = Settings(data=None, database_url="", host="", port=0, public_url="")  # type: ignore[arg-type]


async def _told(db: Connection, order_id: int) -> list[int]:
    rows = await db.fetch("SELECT org FROM recall_task WHERE order_id = $1 AND told_at IS NOT NULL", order_id)
    return sorted(r["org"] for r in rows)


async def _sent_back(market: Market, codes: list[str]) -> None:
    """The pharmacy returns goods to the wholesaler, who has none and no task."""
    back = await market.move(202, market.pharmacy, codes, to_org=market.wholesaler)
    assert back.status == "accepted", back.results


async def test_who_takes_recalled_goods_back_gets_a_task_and_full_time_for_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    order = await published(market, db, draft_of(goods))
    assert await _told(db, order.id) == [market.pharmacy]
    then = datetime.now(UTC) - timedelta(hours=30)
    await db.execute("UPDATE recall_order SET published_at = $2 WHERE id = $1", order.id, then)
    await tasks.acknowledge(db, who(market, market.pharmacy), order.id)
    await _sent_back(market, goods.cases[:1])
    await clock.tick(db, SETTINGS)
    await clock.tick(db, SETTINGS)
    assert await _told(db, order.id) == sorted([market.pharmacy, market.wholesaler])
    news = await db.fetch(
        "SELECT kind FROM message WHERE org = $1 AND kind LIKE 'notice_recall%'", market.wholesaler
    )
    assert [r["kind"] for r in news] == ["notice_recall"]
    await market.move(103, market.wholesaler, goods.cases[:1], from_org=market.pharmacy)
    done = await tasks.acknowledge(db, who(market, market.wholesaler), order.id)
    assert (done.coming, done.read_at is not None) == (10, True)
    counted = await tasks.count(db, who(market, market.wholesaler), order.id, found=10, sealed=10)
    assert counted.ledger_then == 10
    await tasks.close(db, who(market, market.wholesaler), order.id)


async def test_single_codes_that_wander_are_followed_to_their_new_holder(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    order = await published(market, db, draft_of(goods, batch_nos=(), codes=tuple(goods.boxes[:2])))
    await _sent_back(market, goods.boxes[:1])
    await clock.tick(db, SETTINGS)
    assert await _told(db, order.id) == sorted([market.pharmacy, market.wholesaler])


async def test_a_regional_recall_asks_newcomers_of_its_region_only(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=3)
    await market.pass_on(market.maker, market.other, goods.cases[:1])  # 650102
    await market.pass_on(market.maker, market.wholesaler, goods.cases[1:])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases[1:])
    order = await published(market, db, draft_of(goods, regions=("370000",)))
    before = await _told(db, order.id)
    await _sent_back(market, goods.cases[1:2])
    await clock.tick(db, SETTINGS)
    assert await _told(db, order.id) == sorted([*before, market.wholesaler])
    figures = await progress.figures(db, order, await service.goods_of(db, order))
    assert figures.by_org[market.wholesaler].coming == 10


async def test_nobody_is_asked_twice_and_a_drill_asks_newcomers_too(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    order = await published(market, db, draft_of(goods, simulated=True))
    await market.pass_on(market.wholesaler, market.hospital, goods.cases[:1])
    for _ in range(3):
        await clock.tick(db, SETTINGS)
    assert await _told(db, order.id) == sorted([market.wholesaler, market.hospital])
    kinds = await db.fetch("SELECT kind FROM message WHERE org = $1", market.hospital)
    assert [r["kind"] for r in kinds].count("notice_recall_drill") == 1
    assert not await db.fetchval(
        "SELECT EXISTS (SELECT 1 FROM read_record WHERE owner_org = $1)", market.hospital
    )


async def test_the_thousandth_order_of_a_day_has_its_number(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    first = await service.draft(db, market.registry, who(market, market.maker), draft_of(goods))
    await db.execute("UPDATE recall_order SET number = left(number, -3) || '999' WHERE id = $1", first)
    made = [
        await service.draft(db, market.registry, who(market, market.maker), draft_of(goods)) for _ in range(2)
    ]
    numbers = await db.fetch("SELECT number FROM recall_order WHERE id = ANY($1::int[]) ORDER BY id", made)
    assert [r["number"].rsplit("-", 1)[1] for r in numbers] == ["1000", "1001"]


async def test_no_citizens_number_is_kept_in_what_a_holder_or_a_firm_says(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    order = await published(market, db, draft_of(goods))
    citizen = "经办人 11010519491231002X"
    maker = who(market, market.maker)
    for doing in (
        tasks.count(db, maker, order.id, found=1, note=citizen),
        service.finish(db, market.registry, maker, order.id, citizen),
        service.cancel(db, market.registry, maker, order.id, citizen),
    ):
        with pytest.raises(YaosuError) as refused:
            await doing
        assert [f.code for f in refused.value.findings] == ["personal_in_text"]
