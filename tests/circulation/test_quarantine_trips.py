"""What is in quarantine or under a stop comes out saleable by a release and by nothing else (R-B4, R-B5, R-E4).

The acts that let goods out are listed in docs/exceptions.md; each of the round trips here is none of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from circulation.nested import label, make_stack
from circulation.test_stops import place
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import MovementResult, Quantity
from yaosu.circulation.prepare import prepare
from yaosu.circulation.way_home import AloneError
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import packing
from yaosu.stops import service as stops

REASON = {"reason_text": "复核合格"}
GONE = {"reason": "1", "executer_name": "张示例", "superviser_name": "李示例"}


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


def said(result: MovementResult) -> list[str]:
    """The verdicts."""
    return [r.verdict for r in result.results]


async def set_aside(market: Market, org: int | None = None) -> Goods:
    """A case in the quarantine of a pharmacy, held for scrapping; another one beside it in stock."""
    org = org if org is not None else market.pharmacy
    goods = await activate(market)
    if org == market.store:
        await market.pass_on(market.maker, market.pharmacy, goods.cases)
        await market.pass_on(market.pharmacy, org, goods.cases)
    else:
        await market.pass_on(market.maker, org, goods.cases)
    held = await market.move(112, org, goods.cases[:1])
    assert held.status == "accepted" and await market.status(goods.cases[0]) == ("Q", org, None)
    return goods


@pytest.mark.parametrize("loss", [214, 215, 220])
@pytest.mark.parametrize("found", [111, 118])
async def test_what_was_lost_from_quarantine_is_found_back_into_it(
    market: Market, loss: int, found: int
) -> None:
    goods = await set_aside(market)
    case, beside = goods.cases
    assert (await market.move(loss, market.pharmacy, [case, beside])).status == "accepted"
    back = await market.move(found, market.pharmacy, [case, beside])
    assert back.status == "accepted" and said(back) == ["back_to_quarantine", "accepted"]
    assert [r.quarantined for r in back.results] == [True, False]
    assert await market.status(case) == ("Q", market.pharmacy, None)
    assert await market.status(beside) == ("I", market.pharmacy, None)
    entry = await market.conn.fetchrow("SELECT * FROM quarantine WHERE code = $1 AND closed_at IS NULL", case)
    assert entry is not None and (entry["verdict"], entry["moved"]) == ("held_for_scrap", True)
    assert said(await market.move(321, market.pharmacy, goods.boxes_of(0)[:1])) == ["in_quarantine"]
    assert (await market.move(6, market.pharmacy, [case], header=REASON)).status == "accepted"
    assert await market.status(case) == ("I", market.pharmacy, None)


async def test_a_box_out_of_a_lost_case_is_found_into_quarantine_too(market: Market) -> None:
    goods = await set_aside(market)
    await market.move(214, market.pharmacy, goods.cases[:1])
    box, other = goods.boxes_of(0)[:2]
    assert said(await market.move(111, market.pharmacy, [box])) == ["back_to_quarantine"]
    assert await market.status(box) == ("Q", market.pharmacy, None)
    # and one that was lost out of a case that stayed
    await market.move(111, market.pharmacy, goods.cases[:1])
    await market.move(220, market.pharmacy, [other])
    assert said(await market.move(111, market.pharmacy, [other])) == ["back_to_quarantine"]


async def test_voiding_what_found_or_lost_them_changes_nothing_about_that(market: Market) -> None:
    goods = await set_aside(market)
    case = goods.cases[0]
    lost = await market.move(214, market.pharmacy, [case])
    found = await market.move(111, market.pharmacy, [case])
    await market.move(111, market.pharmacy, [], bill_no=found.bill_no, revision=2, void=True)
    assert await market.status(case) == ("N", market.pharmacy, None)
    assert said(await market.move(111, market.pharmacy, [case], bill_no="F2")) == ["back_to_quarantine"]
    await market.move(111, market.pharmacy, [], bill_no="F2", revision=2, void=True)
    await market.move(214, market.pharmacy, [], bill_no=lost.bill_no, revision=2, void=True)
    assert await market.status(case) == ("Q", market.pharmacy, None)
    assert (
        await market.conn.fetchval(
            "SELECT count(*) FROM quarantine WHERE code = $1 AND closed_at IS NULL", case
        )
        == 1
    )
    await market.move(214, market.pharmacy, [case])
    assert said(await market.move(111, market.pharmacy, [case])) == ["back_to_quarantine"]


async def test_a_scrapping_that_was_taken_back_hides_nothing(market: Market) -> None:
    """Lost from quarantine, written off for good, and that voided: together and one by one."""
    for loss in (214, 220):
        goods = await set_aside(market)
        case, beside = goods.cases
        await market.move(loss, market.pharmacy, [case, beside])
        gone = await market.move(216, market.pharmacy, [case, beside])
        assert (await market.status(case))[0] == "X"
        await market.move(216, market.pharmacy, [], bill_no=gone.bill_no, revision=2, void=True)
        ended = await market.move(205, market.pharmacy, [case], header=GONE)
        void = market.movement(205, market.pharmacy, [], bill_no=ended.bill_no, revision=2, void=True)
        find = market.movement(111, market.pharmacy, [case, beside])
        prepared = [
            await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in (void, find)
        ]
        with pytest.raises(AloneError):
            async with market.conn.transaction():
                await apply_group(market.conn, prepared, market.batches)
        await market.submit(void)
        assert said(await market.submit(find)) == ["back_to_quarantine", "accepted"]
        assert await market.status(beside) == ("I", market.pharmacy, None)


async def test_a_loss_that_is_taken_back_in_between_counts_for_nothing(market: Market) -> None:
    goods = await set_aside(market)
    case = goods.cases[0]
    await market.move(220, market.pharmacy, [case])
    found = await market.move(111, market.pharmacy, [case])
    free = await market.move(6, market.pharmacy, [case], header=REASON)
    again = await market.move(214, market.pharmacy, [case])
    for type, one in ((214, again), (6, free), (111, found)):
        await market.move(type, market.pharmacy, [], bill_no=one.bill_no, revision=2, void=True)
    assert await market.status(case) == ("N", market.pharmacy, None)
    assert said(await market.move(111, market.pharmacy, [case])) == ["back_to_quarantine"]


async def test_the_same_within_one_commit(market: Market) -> None:
    goods = await set_aside(market)
    case = goods.cases[0]
    bills = [
        market.movement(214, market.pharmacy, [case]),
        market.movement(111, market.pharmacy, [case]),
        market.movement(321, market.pharmacy, goods.boxes_of(0)[:1]),
    ]
    prepared = [await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills]
    async with market.conn.transaction():
        results = await apply_group(market.conn, prepared, market.batches)
    assert [said(r) for r in results if isinstance(r, MovementResult)] == [
        ["accepted"],
        ["back_to_quarantine"],
        ["in_quarantine"],
    ]


async def test_stopped_goods_that_were_lost_are_found_into_quarantine(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    await market.move(214, market.pharmacy, goods.cases[:1])
    stop = await place(market, batches=[(goods.drug_id, goods.batch_id)])
    found = await market.move(111, market.pharmacy, goods.cases[:1])
    assert [(r.verdict, r.quarantined) for r in found.results] == [("recalled", True)]
    assert await market.status(goods.cases[0]) == ("Q", market.pharmacy, None)
    await stops.lift(market.conn, stop, "误召")
    assert said(await market.move(321, market.pharmacy, goods.boxes_of(0)[:1])) == ["in_quarantine"]


async def test_expired_goods_that_were_found_are_not_sold(market: Market) -> None:
    goods = await activate(market, expires_on=date(2026, 3, 1))
    early = datetime(2026, 2, 1, tzinfo=UTC)
    await market.ship(market.maker, market.pharmacy, goods.cases, happened_at=early)
    await market.move(102, market.pharmacy, goods.cases, from_org=market.maker, happened_at=early)
    await market.move(214, market.pharmacy, goods.cases[:1])
    await market.move(111, market.pharmacy, goods.cases[:1])
    assert said(await market.move(321, market.pharmacy, goods.boxes_of(0)[:1])) == ["expired"]


@pytest.mark.parametrize("receipt", [102, 103, 104, 24])
async def test_what_a_store_sends_to_its_headquarters_from_quarantine_arrives_in_quarantine(
    market: Market, receipt: int
) -> None:
    goods = await set_aside(market, market.store)
    case, beside = goods.cases
    sent = await market.move(202, market.store, [case, beside], to_org=market.pharmacy)
    assert sent.status == "accepted"
    if receipt == 24:
        # codes supplemented for goods that stand in the uncoded stock
        await _uncoded(market, goods)
    got = await market.move(receipt, market.pharmacy, [case, beside], from_org=market.store)
    assert said(got) == ["back_to_quarantine", "accepted"], said(got)
    assert await market.status(case) == ("Q", market.pharmacy, None)
    assert await market.status(beside) == ("I", market.pharmacy, None)
    # not by voiding the receipt and receiving its boxes either
    await market.move(receipt, market.pharmacy, [], bill_no=got.bill_no, revision=2, void=True)
    box = await market.move(102, market.pharmacy, goods.boxes_of(0)[:1], from_org=market.store)
    assert said(box) == ["back_to_quarantine"]


async def _uncoded(market: Market, goods: Goods) -> None:
    header = {"invoice_no": "FP-1", "invoice_date": "2025-01-01"}
    quantities = [Quantity(goods.drug_id, goods.batch_no, 40)]
    got = await market.move(21, market.pharmacy, [], header=header, quantities=quantities)
    assert got.status == "accepted", got.results


async def test_what_the_supplier_turns_away_comes_back_into_quarantine(market: Market) -> None:
    goods = await set_aside(market)
    case, beside = goods.cases
    await market.move(202, market.pharmacy, [case, beside], to_org=market.maker)
    await market.move(103, market.maker, [case, beside], from_org=market.pharmacy, reject_all=True)
    assert (await market.status(case))[0] == "O"
    home = await market.move(102, market.pharmacy, [case, beside], from_org=market.maker)
    assert said(home) == ["back_to_quarantine", "accepted"]
    assert await market.status(case) == ("Q", market.pharmacy, None)


async def test_another_firm_that_takes_goods_back_decides_itself(market: Market) -> None:
    goods = await set_aside(market)
    await market.move(202, market.pharmacy, goods.cases[:1], to_org=market.maker)
    got = await market.move(103, market.maker, goods.cases[:1], from_org=market.pharmacy)
    assert said(got) == ["accepted"]


async def test_a_bill_that_empties_one_product_of_a_label_leaves_the_rest_to_the_next(db: Connection) -> None:
    """In one commit as in two."""
    market = await make_market(db)
    stack = await make_stack(market)
    await stack.unpack(market.maker, stack.mixed)
    inside = [stack.two.cases[0]]
    for together in (True, False):
        bills = [
            market.movement(201, market.maker, inside, to_org=market.pharmacy),
            market.movement(201, market.maker, [stack.mixed], to_org=market.wholesaler),
        ]
        trial = market.conn.transaction()
        await trial.start()
        prepared = [await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills]
        if together:
            first, second = await apply_group(market.conn, prepared, market.batches)
        else:
            (first,) = await apply_group(market.conn, prepared[:1], market.batches)
            (second,) = await apply_group(market.conn, prepared[1:], market.batches)
        assert isinstance(first, MovementResult) and isinstance(second, MovementResult)
        assert said(first) == ["taken_out"] and said(second) == ["accepted"]
        assert [r.qty for r in second.results] == [11]
        await market.conserved()
        await trial.rollback()


async def test_quarantined_goods_are_neither_packed_nor_unpacked_nor_put_under_a_label(
    market: Market,
) -> None:
    goods = await set_aside(market)
    subject, box = market.subject(market.pharmacy), goods.boxes_of(0)[0]
    doing = (
        lambda: packing.pack(market.conn, subject, market.registry, goods.cases[1], [box]),
        lambda: packing.pack(market.conn, subject, market.registry, label(), [goods.cases[0]]),
        lambda: packing.unpack(market.conn, subject, market.registry, [box]),
        lambda: packing.unpack(market.conn, subject, market.registry, [goods.cases[0]], True),
    )
    for act in doing:
        with pytest.raises(YaosuError) as refused:
            async with market.conn.transaction():
                await act()
        assert refused.value.findings
    assert await market.status(box) == ("Q", market.pharmacy, None)


async def test_a_label_with_goods_in_quarantine_keeps_each_of_them_there(db: Connection) -> None:
    """A pallet of two products and a carton: held, lost, found, sent to the own headquarters."""
    market = await make_market(db)
    stack = await make_stack(market)
    await market.pass_on(market.maker, market.pharmacy, [stack.pallet])
    await market.pass_on(market.pharmacy, market.store, [stack.pallet])
    await market.move(112, market.store, [stack.pallet])
    await market.move(214, market.store, [stack.pallet])
    assert said(await market.move(111, market.store, [stack.mixed])) == ["back_to_quarantine"]
    assert said(await market.move(111, market.store, [stack.pallet])) == ["back_to_quarantine"]
    assert said(await market.move(321, market.store, [stack.loose])) == ["in_quarantine"]
    both = [stack.mixed, stack.pallet]
    assert (await market.move(202, market.store, both, to_org=market.pharmacy)).status == "accepted"
    box = stack.two.boxes_of(0)[0]
    got = await market.move(103, market.pharmacy, [box, stack.pallet, stack.loose], from_org=market.store)
    assert set(said(got)) == {"back_to_quarantine"}
    assert await market.stock(market.pharmacy) == 0
    await stack.counted()
