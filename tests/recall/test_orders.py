"""Recall orders: who may recall, who approves, what publication does, and how it ends (R-E4, R-X7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from access.helpers import subject_of
from recall.helpers import Market, activate, draft_of, make_market, office, published, who
from yaosu.access.visibility import visible
from yaosu.circulation.service import void_of
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.recall import progress, service, store_task, tasks
from yaosu.stops import service as stops
from yaosu.stops.service import Memory
from yaosu.trace import service as trace
from yaosu.trace.public import PublicAnswer, QueryCounter, query


async def test_the_first_scan_after_publication_is_refused_with_the_recall_named(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    sale = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert sale.status == "refused"
    verdict = sale.results[0]
    assert verdict.verdict == "recalled"
    assert verdict.params["number"] == order.number
    assert order.stop_id is not None
    measured = await progress.times(db, order)
    assert await stops.first_hit_at(db, order.stop_id) is not None
    assert measured.first_refused_s is not None and 0 <= measured.first_refused_s < 60
    assert measured.located_ms is not None and measured.located_ms < 1000


async def test_every_holder_sender_receiver_and_seller_gets_a_task_and_is_told(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:2])
    await market.ship(market.wholesaler, market.hospital, goods.cases[:1])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.boxes_of(1)[:5])
    await market.move(321, market.pharmacy, goods.boxes_of(1)[:2])
    order = await published(market, db, draft_of(goods))
    rows = await store_task.of_order(db, visible(service.SYSTEM_READER), order.id, True, False)
    found = {t.org: (t.on_hand, t.coming, t.sent, t.sold) for t in rows}
    assert found == {
        market.maker: (20, 0, 0, 0),
        market.wholesaler: (5, 0, 10, 0),
        market.hospital: (0, 10, 0, 0),
        market.pharmacy: (3, 0, 0, 2),
    }
    told = await db.fetch("SELECT org FROM message WHERE kind = 'notice_recall'")
    assert {r["org"] for r in told} == set(found)
    assert all(t.told_at is not None for t in rows)


async def test_goods_on_the_way_are_booked_to_quarantine_when_they_arrive_and_stay_in_the_figures(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.ship(market.maker, market.hospital, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    await market.move(102, market.hospital, goods.cases[:1], from_org=market.maker)
    assert await market.stock(market.hospital, "Q") == 10
    line = await progress.of_task(db, order, await service.goods_of(db, order), market.hospital)
    assert (line.arrived, line.now, line.quarantined, line.coming) == (10, 10, 10, 0)


async def test_progress_is_what_the_bills_say(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=3)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:2])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases[1:2])
    order = await published(market, db, draft_of(goods))
    what = await service.goods_of(db, order)
    back = await market.move(211, market.wholesaler, goods.cases[:1], to_org=market.maker)
    assert back.status == "accepted"
    figures = await progress.figures(db, order, what)
    assert figures.by_org[market.wholesaler].returned == 10
    assert figures.on_the_way == 10 and figures.outstanding == 20
    await market.move(108, market.maker, goods.cases[:1], from_org=market.wholesaler)
    header = {"reason": "4", "executer_name": "张三", "superviser_name": "李四"}
    gone = await market.move(205, market.pharmacy, goods.boxes_of(1)[:4], header=header)
    assert gone.status == "accepted", gone
    figures = await progress.figures(db, order, what)
    assert (figures.recalled, figures.home) == (20, 10)
    assert (figures.back, figures.destroyed, figures.outstanding) == (10, 4, 6)
    line = figures.by_org[market.pharmacy]
    assert (line.due, line.destroyed, line.now) == (10, 4, 6)
    assert figures.rate == pytest.approx(0.7)


async def test_a_return_that_was_voided_counts_no_more(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    sent = await market.move(211, market.wholesaler, goods.cases[:1], to_org=market.maker, bill_no="ZH-1")
    assert sent.status == "accepted"
    row = await db.fetchrow("SELECT * FROM bill WHERE id = $1", sent.bill_id)
    await market.submit(void_of(row, "开错单", b"{}"))
    line = await progress.of_task(db, order, await service.goods_of(db, order), market.wholesaler)
    assert (line.due, line.returned, line.now, line.coming) == (10, 0, 10, 0)


async def test_single_codes_are_found_through_aggregation_at_any_level(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4, pallets=1)
    other = await activate(market, cases=1)
    await market.pass_on(market.maker, market.wholesaler, goods.pallets)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.boxes_of(3)[:2])
    # a case still inside the pallet, and a box that has left its case
    codes = (goods.cases[0], goods.boxes_of(3)[0])
    order = await published(market, db, draft_of(goods, batch_nos=(), codes=codes))
    rows = await store_task.of_order(db, visible(service.SYSTEM_READER), order.id, True, False)
    assert {t.org: t.on_hand for t in rows} == {market.wholesaler: 10, market.pharmacy: 1}
    refused = await market.move(321, market.pharmacy, goods.boxes_of(3)[:1])
    assert refused.results[0].verdict == "recalled"
    sold = await market.move(321, market.pharmacy, goods.boxes_of(3)[1:2])
    assert sold.status == "accepted"
    whole = await market.move(201, market.wholesaler, goods.pallets, to_org=market.hospital)
    assert whole.results[0].verdict == "recalled", "a pallet with a recalled case in it"
    await market.ship(market.maker, market.wholesaler, other.cases)
    back = await market.move(211, market.pharmacy, goods.boxes_of(3)[:1], to_org=market.maker)
    assert back.status == "accepted"
    figures = await progress.figures(db, order, await service.goods_of(db, order))
    assert figures.by_org[market.pharmacy].returned == 1
    assert (figures.recalled, figures.outstanding, figures.on_the_way) == (11, 11, 1)


async def test_a_drill_refuses_nothing_and_tells_everybody(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods, simulated=True))
    assert order.stop_id is None and not order.is_public
    sale = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert sale.status == "accepted"
    told = await db.fetch("SELECT org FROM message WHERE kind = 'notice_recall_drill'")
    assert {r["org"] for r in told} == {market.maker, market.pharmacy}


async def test_a_drill_asked_for_as_public_is_refused_and_says_which_of_both_to_leave_out(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market)
    maker = who(market, market.maker)
    with pytest.raises(YaosuError) as new:
        await service.draft(db, market.registry, maker, draft_of(goods, simulated=True, is_public=True))
    assert [f.code for f in new.value.findings] == ["recall_drill_public"]
    real = await service.draft(db, market.registry, maker, draft_of(goods))
    with pytest.raises(YaosuError) as changed:
        await service.revise(
            db, market.registry, maker, real, draft_of(goods, simulated=True, is_public=True)
        )
    assert [f.code for f in changed.value.findings] == ["recall_drill_public"]
    kept = await db.fetchrow("SELECT simulated, is_public FROM recall_order WHERE id = $1", real)
    assert tuple(kept) == (False, True)


async def test_in_a_drill_a_holder_is_named_once_it_answers(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:1])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods, simulated=True))
    maker, shop = who(market, market.maker), who(market, market.pharmacy)

    async def named() -> dict[int, bool]:
        rows = await store_task.of_order(db, visible(maker), order.id, True, True)
        return {t.org: t.named for t in rows}

    assert await named() == {market.maker: True, market.pharmacy: False}
    await tasks.acknowledge(db, shop, order.id)
    assert (await named())[market.pharmacy]


async def test_a_cancelled_recall_lifts_the_stop(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    await service.cancel(db, market.registry, who(market, market.maker), order.id, "复检合格")
    sale = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert sale.status == "accepted"
    told = await db.fetchval("SELECT count(*) FROM message WHERE kind = 'notice_recall_ended'")
    assert told == 2


async def test_whoever_drafted_a_recall_does_not_approve_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    order_id = await service.draft(db, market.registry, who(market, market.maker), draft_of(goods))
    with pytest.raises(YaosuError, match="approve") as refused:
        await service.approve(db, market.registry, who(market, market.maker), order_id)
    assert refused.value.code == "recall_second_person"
    with pytest.raises(YaosuError) as early:
        await service.publish(db, market.registry, who(market, market.maker), order_id)
    assert early.value.code == "recall_wrong_state"


async def test_whoever_made_the_key_that_drafted_a_recall_does_not_approve_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    maker = await subject_of(db, market.maker)
    await db.execute(
        "INSERT INTO api_key (prefix, secret_sha256, org_id, name, scopes, created_by) "
        "VALUES ('abcd1234', $1, $2, 'ERP', '{}', $3)",
        bytes(32),
        market.maker,
        maker.account_id,
    )
    key = replace(maker, kind="key", account_id=None, session_id="abcd1234")
    order_id = await service.draft(db, market.registry, key, draft_of(goods))
    with pytest.raises(YaosuError) as refused:
        await service.approve(db, market.registry, maker, order_id)
    assert refused.value.code == "recall_second_person"
    await service.approve(db, market.registry, await subject_of(db, market.maker), order_id)


async def test_only_the_products_firm_recalls_and_others_do_not_see_its_draft(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    with pytest.raises(YaosuError) as refused:
        await service.draft(db, market.registry, who(market, market.wholesaler), draft_of(goods))
    assert refused.value.http == 403
    order_id = await service.draft(db, market.registry, who(market, market.maker), draft_of(goods))
    with pytest.raises(YaosuError) as hidden:
        await service.shown(db, who(market, market.wholesaler), order_id)
    assert hidden.value.code == "not_found"


async def test_an_ordered_recall_is_approved_by_the_office_in_charge(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    province, elsewhere = await office(market, db), await office(market, db, "650000")
    order_id = await service.draft(
        db, market.registry, who(market, market.maker), draft_of(goods, kind="ordered")
    )
    told = await db.fetchval("SELECT org FROM message WHERE kind = 'notice_recall_approval'")
    assert told == province
    with pytest.raises(YaosuError) as own:
        await service.approve(db, market.registry, who(market, market.maker, 2), order_id)
    assert own.value.code == "recall_ordered_by_office"
    with pytest.raises(YaosuError) as foreign:
        await service.approve(db, market.registry, who(market, elsewhere, 9), order_id)
    assert foreign.value.code == "not_found"
    await service.approve(db, market.registry, who(market, province, 9), order_id)
    order = await service.publish(db, market.registry, who(market, market.maker), order_id)
    assert order.state == "published"


async def test_an_office_orders_a_recall_itself_and_the_maker_is_told(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    province = await office(market, db)
    order_id = await service.draft(
        db, market.registry, who(market, province), draft_of(goods, kind="ordered")
    )
    await service.approve(db, market.registry, who(market, province, 2), order_id)
    order = await service.publish(db, market.registry, who(market, province), order_id)
    assert (order.issuer, order.owner) == (province, market.maker)
    seen = await service.shown(db, who(market, market.maker), order_id)
    assert seen.number == order.number


async def test_a_regional_recall_asks_the_holders_of_its_regions_only(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.other, goods.cases[:1])  # 650102
    order = await published(market, db, draft_of(goods, regions=("650000",)))
    rows = await store_task.of_order(db, visible(service.SYSTEM_READER), order.id, True, False)
    assert {t.org for t in rows} == {market.other}


async def test_an_office_sees_the_recalls_that_touch_its_region_and_its_own_holders(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    xinjiang, sichuan = await office(market, db, "650000"), await office(market, db, "510000")
    await market.pass_on(market.maker, market.other, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    there = who(market, xinjiang)
    seen = await service.shown(db, there, order.id)
    assert not service.runs(there, market.registry, seen)
    rows = await store_task.of_order(db, visible(there), order.id, False, False)
    assert {t.org for t in rows} == {market.other}
    with pytest.raises(YaosuError):
        await service.shown(db, who(market, sichuan), order.id)


async def test_unknown_batches_codes_and_regions_are_all_named_at_once(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    with pytest.raises(YaosuError) as refused:
        given = draft_of(goods, regions=("999999",), measure="burn")
        await service.draft(db, market.registry, who(market, market.maker), given)
    assert {f.where for f in refused.value.findings} == {"regions", "measure"}
    with pytest.raises(YaosuError) as unknown:
        given = draft_of(goods, batch_nos=("NIX",), codes=("83857930000000000000",))
        await service.draft(db, market.registry, who(market, market.maker), given)
    assert [f.code for f in unknown.value.findings] == ["recall_batch_unknown", "recall_code_unknown"]


async def test_a_recall_with_goods_outstanding_ends_only_with_a_reason(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    order = await published(market, db, draft_of(goods))
    maker = who(market, market.maker)
    with pytest.raises(YaosuError) as refused:
        await service.finish(db, market.registry, maker, order.id)
    assert refused.value.code == "recall_order_open"
    assert refused.value.params["qty"] == 10
    await service.finish(db, market.registry, maker, order.id, "持有单位已注销，实物由监管部门控制")
    after = await market.move(321, market.pharmacy, goods.boxes[:1])
    assert after.results[0].verdict == "recalled", "the end of a recall puts nothing back into trade"


async def _verified(market: Market, org: int, code: str, lang: str = "zh") -> dict[str, Any]:
    """What verify says to somebody of `org`."""
    (body,) = await trace.verify_codes(market.conn, market.registry, who(market, org), [code], lang)
    return dict(body)


async def test_verify_names_the_recall_of_a_batch_a_code_and_what_holds_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4, pallets=1)
    assert (await _verified(market, market.maker, goods.boxes[0]))["verdict"] == "ok"
    order = await published(market, db, draft_of(goods, batch_nos=(), codes=(goods.cases[0],)))
    for code in (goods.cases[0], goods.boxes_of(0)[3], goods.pallets[0]):
        body = await _verified(market, market.maker, code)
        assert body["verdict"] == "recalled", code
        assert order.number in body["message"] and order.title in body["message"]
    beside = await _verified(market, market.maker, goods.boxes_of(1)[0])
    assert beside["verdict"] == "ok"
    await service.cancel(db, market.registry, who(market, market.maker), order.id, "误发")
    assert (await _verified(market, market.maker, goods.cases[0]))["verdict"] == "ok"


async def test_consumers_are_told_of_a_public_recall_and_only_of_the_stop_otherwise(db: Connection) -> None:
    market = await make_market(db)
    open_goods, closed_goods = await activate(market), await activate(market)
    order = await published(market, db, draft_of(open_goods))
    await published(market, db, draft_of(closed_goods, is_public=False))

    async def asked(code: str) -> PublicAnswer:
        return await query(db, market.registry, QueryCounter(), code, "zh", stops=Memory())

    found = await asked(open_goods.boxes[0])
    assert (found.finding.code, found.tone, found.recall) == ("public_recalled", "refused", order.number)
    assert order.number in found.finding.text("zh")
    hidden = await asked(closed_goods.boxes[0])
    assert (hidden.finding.code, hidden.recall) == ("public_stopped", "")
    assert "留样" not in hidden.finding.text("zh")


async def test_a_holder_can_see_that_the_recall_disclosed_its_stock_and_a_drill_discloses_nothing(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods, other = await activate(market), await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    await market.pass_on(market.maker, market.pharmacy, other.cases[:1])
    await published(market, db, draft_of(other, simulated=True))
    order = await published(market, db, draft_of(goods))
    reads = await db.fetch("SELECT org_id, what FROM read_record WHERE owner_org = $1", market.pharmacy)
    assert [tuple(r) for r in reads] == [(market.maker, f"recall {order.number}")]
