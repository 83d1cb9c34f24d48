"""Large bills of alike boxes: judged by a few of them, and never on a guess (decision 0023, D2, R-X1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.circulation.apply import apply_group
from yaosu.circulation.assume import RUN_MIN, SAMPLE
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.service import submit
from yaosu.circulation.store_write import AssumptionError
from yaosu.db.engine import Connection, Pool
from yaosu.stops import service as stops

BOXES = 160


@pytest_asyncio.fixture
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def loose(market: Market) -> Goods:
    """Boxes that stand at the wholesaler, out of their cases."""
    goods = await activate(market, cases=BOXES // 20, per_case=20)
    await market.pass_on(market.maker, market.other, goods.cases)
    await market.pass_on(market.other, market.wholesaler, goods.boxes)
    return goods


async def guess(market: Market, type: int, owner: int, codes: list[str], to: int | None = None) -> None:
    """One try without a second one that reads everything."""
    movement = market.movement(type, owner, codes, to_org=to)
    prepared = await prepare(market.conn, market.registry, market.subject(owner), movement)
    async with market.conn.transaction():
        await apply_group(market.conn, [prepared], market.batches)


async def lines(market: Market, bill_id: int) -> list[tuple[str, int, str, str]]:
    rows = await market.conn.fetch(
        "SELECT code, prev_bill, pre, post FROM bill_line WHERE bill_id = $1 ORDER BY code", bill_id
    )
    return [tuple(r) for r in rows]


def told(result: MovementResult) -> Counter[str]:
    return Counter(r.verdict for r in result.results)


async def test_a_large_bill_of_alike_boxes_records_each_of_them(market: Market) -> None:
    goods = await loose(market)
    codes = goods.boxes
    shipped = await market.ship(market.wholesaler, market.pharmacy, codes)
    assert told(shipped) == {"accepted": len(codes)}
    before = {
        r["code"]
        for r in await market.conn.fetch("SELECT code FROM unit WHERE last_bill = $1", shipped.bill_id)
    }
    assert before == set(codes)
    received = await market.move(102, market.pharmacy, codes, from_org=market.wholesaler)
    assert received.status == "accepted"
    assert received.checks[0]["outcome"] == "matched"
    assert await lines(market, received.bill_id) == [(c, shipped.bill_id, "O", "I") for c in sorted(codes)]
    assert await market.stock(market.pharmacy) == len(codes)


@pytest.mark.parametrize("at", range(0, BOXES, 7))
async def test_one_box_that_differs_is_found_wherever_it_stands(market: Market, at: int) -> None:
    goods = await loose(market)
    odd = goods.boxes[at]
    await market.ship(market.wholesaler, market.hospital, [odd])
    result = await market.move(201, market.wholesaler, goods.boxes, to_org=market.pharmacy)
    assert told(result) == {"accepted": BOXES - 1, "already_shipped": 1}
    assert [r.code for r in result.results if not r.accepted] == [odd]
    assert await market.status(odd) == ("O", market.wholesaler, market.hospital)


async def test_no_verdict_rests_on_a_guess(market: Market) -> None:
    """Each way of being different that a sample can miss, and refusals of everything."""
    goods, others = await loose(market), await loose(market)
    cases = await activate(market, cases=10, per_case=2)
    await market.pass_on(market.maker, market.wholesaler, cases.cases)
    bill = goods.boxes
    # a box of another batch in the same state, a box inside a case, one nobody activated
    for stranger in (others.boxes[0], cases.boxes[0], f"{goods.boxes[0][:7]}9999999990001"):
        mixed = [*bill[:9], stranger, *bill[9:]]
        with pytest.raises(AssumptionError):
            await guess(market, 201, market.wholesaler, mixed, market.pharmacy)
    # what is refused is refused for what is there, not for what was guessed
    with pytest.raises(AssumptionError):
        await guess(market, 201, market.other, bill, market.pharmacy)
    refused = await market.move(201, market.other, bill, to_org=market.pharmacy)
    assert told(refused) == {"held_elsewhere": BOXES}
    mixed = [*bill[:9], others.boxes[0], cases.boxes[0], f"{bill[0][:7]}9999999990001", bill[3], *bill[9:]]
    result = await market.move(201, market.wholesaler, mixed, to_org=market.pharmacy)
    assert told(result) == {"accepted": BOXES + 1, "taken_out": 1, "not_activated": 1, "duplicate_in_bill": 1}


async def test_the_sample_is_all_that_is_read_of_alike_boxes(market: Market) -> None:
    goods = await loose(market)
    asked: list[int] = []
    market.conn.add_query_logger(
        lambda q: (
            asked.append(len(q.args[1]))
            if "JOIN unit u ON u.drug_id = a.drug_id AND u.code" in q.query
            else None
        )
    )
    await guess(market, 201, market.wholesaler, goods.boxes, market.pharmacy)
    assert asked == [SAMPLE]
    assert await market.stock(market.wholesaler, "O") >= BOXES


async def test_small_bills_read_what_they_name(market: Market) -> None:
    goods = await loose(market)
    await guess(market, 201, market.other, goods.boxes[: RUN_MIN - 1], market.pharmacy)
    assert await market.stock(market.wholesaler) == BOXES


async def test_a_box_or_case_stopped_by_its_code_is_refused_among_alike_ones(market: Market) -> None:
    goods = await loose(market)
    cases = await activate(market, cases=RUN_MIN + 20, per_case=2)
    await market.pass_on(market.maker, market.wholesaler, cases.cases)
    box, inside = goods.boxes[11], cases.boxes_of(33)[1]
    stop: dict[str, Any] = {
        "kind": "lock",
        "ref": 1,
        "number": "SD-1",
        "title": "疑似质量问题",
        "level": None,
    }
    stop |= {"placed_by": market.maker, "reason": "复检", "batches": []}
    await stops.place(market.conn, codes=[(goods.drug_id, box), (goods.drug_id, inside)], **stop)
    for bill, stopped in ((goods.boxes, box), (cases.cases, cases.cases[33])):
        result = await market.move(201, market.wholesaler, bill, to_org=market.pharmacy)
        assert told(result) == {"accepted": len(bill) - 1, "locked": 1}
        assert [r.code for r in result.results if not r.accepted] == [stopped]
        assert (await market.status(stopped))[:2] == ("I", market.wholesaler)


async def test_what_is_said_of_single_boxes_of_a_large_delivery_holds_for_them_alone(market: Market) -> None:
    goods = await loose(market)
    shipped = await market.ship(market.wholesaler, market.pharmacy, goods.boxes)
    back = goods.boxes[9]
    received = await market.move(
        102,
        market.pharmacy,
        goods.boxes,
        from_org=market.wholesaler,
        rejects=[back],
        expected=[(goods.drug_id, "")],
    )
    assert told(received) == {"accepted": BOXES - 1, "rejected_by_you": 1}
    assert await market.status(back) == ("O", market.wholesaler, market.wholesaler)
    assert received.checks[0]["counts"] == {"matched": BOXES - 1, "refused": 1}
    assert {line[1] for line in await lines(market, received.bill_id)} == {shipped.bill_id}


async def test_a_large_delivery_of_another_batch_than_ordered_goes_to_quarantine_whole(
    market: Market,
) -> None:
    goods = await loose(market)
    await market.ship(market.wholesaler, market.pharmacy, goods.boxes)
    received = await market.move(
        102, market.pharmacy, goods.boxes, from_org=market.wholesaler, expected=[(goods.drug_id, "其他批号")]
    )
    assert told(received) == {"wrong_batch": BOXES}
    assert await market.stock(market.pharmacy, "Q") == BOXES
    held = await market.conn.fetch("SELECT code FROM quarantine WHERE bill_id = $1", received.bill_id)
    assert {r["code"] for r in held} == set(goods.boxes)


async def test_a_large_bill_before_the_last_event_warns_of_each_box_and_names_that_event(
    market: Market,
) -> None:
    goods = await loose(market)
    early = datetime.now(UTC) - timedelta(days=2)
    bill = [*goods.boxes, goods.boxes[5]]
    result = await market.move(201, market.wholesaler, bill, to_org=market.pharmacy, happened_at=early)
    assert told(result) == {"out_of_order": BOXES, "duplicate_in_bill": 1}
    assert len({r.evidence_bill for r in result.results if r.accepted}) == 1
    assert await market.stock(market.wholesaler, "O") == BOXES


async def test_a_delivery_and_its_receipt_in_one_commit_leave_a_notice_and_its_check(market: Market) -> None:
    goods = await loose(market)
    bills = [
        market.movement(201, market.wholesaler, goods.boxes[:3], to_org=market.pharmacy),
        market.movement(102, market.pharmacy, goods.boxes[:3], from_org=market.wholesaler),
    ]
    prepared = [await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills]
    async with market.conn.transaction():
        shipped, received = await apply_group(market.conn, prepared, market.batches)
    assert isinstance(shipped, MovementResult) and isinstance(received, MovementResult)
    notice = await market.conn.fetchrow("SELECT * FROM notice WHERE bill_id = $1", shipped.bill_id)
    assert (notice["to_org"], notice["expected"], notice["received"], notice["state"]) == (
        market.pharmacy, 3, 3, "received",
    )  # fmt: skip
    assert [(c["notice_bill"], c["outcome"]) for c in received.checks] == [(shipped.bill_id, "matched")]


async def test_two_tills_that_ship_overlapping_boxes_ship_each_box_once(pool: Pool) -> None:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await loose(market)
        committers = [Committer(pool, BatchCache()) for _ in range(2)]
        for committer in committers:
            committer.start()
        bills = [goods.boxes[:120], goods.boxes[40:]]
        results = await asyncio.gather(
            *(
                submit(
                    pool,
                    committer,
                    market.registry,
                    market.subject(market.wholesaler),
                    market.movement(
                        201,
                        market.wholesaler,
                        codes,
                        to_org=to,
                        happened_at=datetime.now(UTC) - timedelta(minutes=1),
                    ),
                )
                for committer, codes, to in zip(
                    committers, bills, (market.pharmacy, market.hospital), strict=True
                )
            )
        )
        for committer in committers:
            await committer.stop()
        moved = Counter(r.code for result in results for r in result.results if r.accepted)
        assert set(moved) == set(goods.boxes) and set(moved.values()) == {1}
        await market.conserved()
