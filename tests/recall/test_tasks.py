"""What a holder does with a recall: acknowledge, count, close; and what the clock does when it does not (R-E4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recall.helpers import activate, draft_of, make_market, office, published, who
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.recall import clock, progress, reading, reports, service, tasks
from yaosu.settings import Settings

SETTINGS = Settings(Path("unused"), "", "127.0.0.1", 0, "http://test")


async def test_a_holder_acknowledges_once_and_the_first_and_last_times_are_measured(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    first = await tasks.acknowledge(db, who(market, market.pharmacy), order.id)
    again = await tasks.acknowledge(db, who(market, market.pharmacy), order.id)
    assert first.read_at == again.read_at is not None
    times = await progress.times(db, order)
    assert times.first_read_s is not None and times.last_read_s is None
    await tasks.acknowledge(db, who(market, market.maker), order.id)
    assert (await progress.times(db, order)).last_read_s is not None


async def test_nobody_answers_for_a_stranger_and_headquarters_answer_for_their_stores(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.store, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    for stranger in (market.wholesaler, market.hospital):
        with pytest.raises(YaosuError) as refused:
            await tasks.acknowledge(db, who(market, stranger), order.id, market.store)
        assert refused.value.code == "not_found"
    done = await tasks.acknowledge(db, who(market, market.pharmacy), order.id, market.store)
    assert done.org == market.store and done.read_at is not None


async def test_counting_by_scanning_counts_every_package_once_however_it_is_scanned(db: Connection) -> None:
    market = await make_market(db)
    goods, other = await activate(market, cases=3), await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:2])
    await market.pass_on(market.maker, market.pharmacy, other.cases[:1])
    order = await published(market, db, draft_of(goods))
    shop = who(market, market.pharmacy)
    found, total = await tasks.scan(
        db,
        market.registry,
        shop,
        order.id,
        [goods.boxes_of(0)[0], goods.cases[1], goods.boxes_of(1)[3], other.boxes[0], goods.cases[2], "xyz"],
    )
    assert [s.finding.code for s in found] == [
        "recall_scan_ours",
        "recall_scan_ours",
        "recall_scan_inside",
        "recall_scan_other",
        "recall_scan_elsewhere",
        "recall_scan_unknown",
    ]
    assert total == 11
    # the case of the box that was scanned first: the box is counted with it
    _, total = await tasks.scan(db, market.registry, shop, order.id, [goods.cases[0]])
    assert total == 20
    done = await tasks.count(db, shop, order.id, found=None)
    assert (done.counted, done.ledger_then) == (20, 20)
    assert (
        progress.gap(done, await progress.of_task(db, order, await service.goods_of(db, order), done.org))
        == 0
    )


async def test_looking_at_a_scan_keeps_nothing(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    shop = who(market, market.pharmacy)
    await tasks.scan(db, market.registry, shop, order.id, goods.cases[:1], keep=False)
    with pytest.raises(YaosuError) as refused:
        await tasks.count(db, shop, order.id, found=None)
    assert refused.value.code == "recall_not_counted"


async def test_a_task_closes_when_the_books_and_the_words_explain_each_other(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    shop = who(market, market.pharmacy)
    await tasks.count(db, shop, order.id, found=9, missing=1)
    with pytest.raises(YaosuError) as refused:
        await tasks.close(db, shop, order.id)
    assert refused.value.code == "recall_task_unsettled"
    assert (refused.value.params["remaining"], refused.value.params["gap"]) == (10, 9)
    sent = await market.move(211, market.pharmacy, goods.boxes[:9], to_org=market.maker)
    assert sent.status == "accepted"
    done = await tasks.close(db, shop, order.id)
    assert done.state == "done"
    view = await reading.task(db, market.registry, shop, order.id, None, "zh")
    assert [b["type"] for b in view["bills"]] == [211]
    assert view["difference"] == -1
    with pytest.raises(YaosuError) as settled:
        await tasks.count(db, shop, order.id, found=1)
    assert settled.value.code == "recall_task_settled"


async def test_holders_are_reminded_halfway_and_the_office_is_told_when_the_time_is_over(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    health = await office(market, db, "370100", 1102)
    insurance = await office(market, db, "370100", 1103)
    province = await office(market, db, sub_type=1101)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    await tasks.acknowledge(db, who(market, market.maker), order.id)

    async def told(kind: str) -> list[int]:
        rows = await db.fetch("SELECT DISTINCT org FROM message WHERE kind = $1 ORDER BY org", kind)
        return [r["org"] for r in rows]

    async def hours_ago(hours: float) -> None:
        then = datetime.now(UTC) - timedelta(hours=hours)
        await db.execute("UPDATE recall_order SET published_at = $2 WHERE id = $1", order.id, then)
        await db.execute("UPDATE recall_task SET told_at = $2 WHERE order_id = $1", order.id, then)
        await clock.tick(db, SETTINGS)
        await clock.tick(db, SETTINGS)

    await hours_ago(11)
    assert await told("notice_recall_reminder") == []
    await hours_ago(13)
    assert await told("notice_recall_reminder") == [market.pharmacy]
    assert await told("notice_recall_overdue") == []
    await hours_ago(25)
    assert await told("notice_recall_overdue") == sorted([market.maker, province])
    assert await told("notice_recall_report_due") == [market.maker]
    assert await told("notice_recall_report_overdue") == sorted([market.maker, province])
    anything = await db.fetch("SELECT kind FROM message WHERE org = ANY($1::int[])", [health, insurance])
    assert anything == []


async def test_reports_keep_the_figures_of_their_moment(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await office(market, db)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    maker = who(market, market.maker)
    first = await reports.file(db, market.registry, maker, order.id, "progress", "正在回收")
    assert (first.n, first.figures["outstanding"]) == (1, 10)
    with pytest.raises(YaosuError) as early:
        await reports.file(db, market.registry, maker, order.id, "summary", "")
    assert early.value.code == "recall_report_early"
    await market.move(211, market.pharmacy, goods.cases[:1], to_org=market.maker)
    await market.move(108, market.maker, goods.cases[:1], from_org=market.pharmacy)
    await service.finish(db, market.registry, maker, order.id, "全部收回")
    last = await reports.file(db, market.registry, maker, order.id, "summary", "含量测定偏差")
    assert (last.n, last.figures["back"], last.figures["rate"]) == (2, 10, 1.0)
    kept = await reports.made(db, order)
    assert [r.figures["outstanding"] for r in kept] == [10, 0]


def test_the_summary_is_due_after_ten_working_days() -> None:
    ended = datetime(2026, 9, 25, 2, tzinfo=UTC)  # a Friday
    due = reports.due_dates(
        ended - timedelta(days=3), ended, "finished", {"notice_hours": 24, "summary_working_days": 10}, []
    )
    assert due["summary"].date().isoformat() == "2026-10-09"
