"""Goods without codes in the same ledger (无码库; R-C8, R-D1): in with a proof, out by quantity, codes supplemented."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from people.helpers import card
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import Movement, MovementResult, Quantity
from yaosu.circulation.prepare import prepare
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError

HEADER = {"invoice_no": "FP-2025-0017", "invoice_date": "2025-06-01"}
PRODUCED, EXPIRES = date(2025, 1, 1), date(2059, 12, 31)


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def book(market: Market, type_: int, *lines: tuple[str, int], **more: Any) -> MovementResult:
    quantities: Sequence[Quantity] = [
        Quantity(market.drug_id, batch, qty, *((PRODUCED, EXPIRES) if type_ == 21 else ()))
        for batch, qty in lines
    ]
    values = {"header": {**HEADER, "reason_text": "破损"}, **more}
    return await market.move(type_, market.pharmacy, [], quantities=quantities, **values)


async def uncoded(market: Market, batch_no: str, status: str = "U") -> int:
    found: int = await market.conn.fetchval(
        "SELECT coalesce(sum(x.qty), 0)::bigint FROM balance x JOIN batch b ON b.drug_id = x.drug_id "
        "AND b.id = x.batch_id WHERE b.batch_no = $1 AND x.status = $2 AND x.org = $3",
        batch_no,
        status,
        market.pharmacy,
    )
    return found


async def test_uncoded_goods_come_in_and_are_sold_by_quantity(market: Market) -> None:
    entered = await book(market, 21, ("U-1", 50))
    assert (entered.status, entered.qty) == ("accepted", 50)
    sold = await book(market, 23, ("U-1", 8))
    assert sold.status == "accepted", sold.results
    assert (await uncoded(market, "U-1"), await uncoded(market, "U-1", "T")) == (42, 8)
    assert await uncoded(market, "U-1", "W") == -50


async def test_no_more_leaves_the_uncoded_stock_than_is_in_it(market: Market) -> None:
    await book(market, 21, ("U-2", 5))
    result = await book(market, 23, ("U-2", 6), ("U-none", 1))
    assert [(r.verdict, dict(r.params or {}).get("have")) for r in result.results] == [
        ("uncoded_short", 5),
        ("uncoded_unknown_batch", None),
    ]
    part = await book(market, 22, ("U-2", 3), ("U-none", 1), to_org=market.wholesaler)
    assert part.status == "partial"
    assert await uncoded(market, "U-2") == 2


async def test_a_repeated_bill_moves_nothing_twice_and_says_the_same(market: Market) -> None:
    first = await book(market, 21, ("U-3", 5), bill_no="WM-3")
    at = await market.conn.fetchval("SELECT happened_at FROM bill WHERE id = $1", first.bill_id)
    again = await book(market, 21, ("U-3", 5), bill_no="WM-3", happened_at=at)
    assert again.replayed
    assert [(r.verdict, r.qty) for r in again.results] == [("accepted", 5)]
    assert await uncoded(market, "U-3") == 5


async def test_an_entry_is_voided_while_the_goods_are_still_there(market: Market) -> None:
    await book(market, 21, ("U-4", 5), bill_no="WM-4")
    await book(market, 23, ("U-4", 1), bill_no="WM-4-sale")
    with pytest.raises(YaosuError) as refused:
        await market.move(21, market.pharmacy, [], bill_no="WM-4", revision=2, void=True)
    assert refused.value.code == "later_fact"
    assert [(f.code, f.params) for f in refused.value.findings] == [
        ("uncoded_gone_since", {"batch": "U-4", "asked": 0, "gone": 1, "bills": "WM-4-sale（1）"})
    ]
    await market.move(23, market.pharmacy, [], bill_no="WM-4-sale", revision=2, void=True)
    await market.move(21, market.pharmacy, [], bill_no="WM-4", revision=2, void=True)
    assert [await uncoded(market, "U-4", s) for s in "UTW"] == [0, 0, 0]


async def test_a_correction_replaces_the_quantity(market: Market) -> None:
    await book(market, 21, ("U-5", 5), bill_no="WM-5")
    await book(market, 21, ("U-5", 7), bill_no="WM-5", revision=2)
    assert await uncoded(market, "U-5") == 7


async def test_supplemented_codes_turn_quantity_into_units(market: Market) -> None:
    await book(market, 21, ("U-6", 12))
    goods = await activate(market, batch_no="U-6-other", cases=2, per_case=10)
    await market.conn.execute(
        "UPDATE unit SET batch_id = (SELECT id FROM batch WHERE batch_no = 'U-6') WHERE batch_id = $1",
        goods.batch_id,
    )
    await market.conn.execute(
        "UPDATE balance SET batch_id = (SELECT id FROM batch WHERE batch_no = 'U-6') "
        "WHERE batch_id = $1 AND drug_id = $2",
        goods.batch_id,
        goods.drug_id,
    )
    await market.conn.execute(
        "UPDATE entry SET batch_id = (SELECT id FROM batch WHERE batch_no = 'U-6') WHERE batch_id = $1",
        goods.batch_id,
    )
    await market.ship(market.maker, market.pharmacy, goods.cases)
    first = await market.move(24, market.pharmacy, goods.cases, from_org=market.maker)
    assert [r.verdict for r in first.results] == ["accepted", "uncoded_short"]
    assert (await uncoded(market, "U-6"), await uncoded(market, "U-6", "I")) == (2, 10)
    rest = await market.move(102, market.pharmacy, [goods.cases[1]], from_org=market.maker)
    assert rest.status == "accepted"


async def test_quantities_and_codes_do_not_mix_and_each_wrong_line_is_named(market: Market) -> None:
    with pytest.raises(YaosuError) as refused:
        await market.move(321, market.pharmacy, [], quantities=[Quantity(market.drug_id, "U", 1)])
    assert {f.code for f in refused.value.findings} == {"quantities_not_here", "no_codes"}
    with pytest.raises(YaosuError) as refused:
        await book(market, 21, ("U-7", 0), ("U-8", 1), ("U-8", 2))
    assert [f.where for f in refused.value.findings] == ["quantities[0]", "quantities[2]"]
    without = await market.move(
        21, market.pharmacy, [], quantities=[Quantity(market.drug_id, "U-9", 1)], header=HEADER
    )
    assert [r.verdict for r in without.results] == ["uncoded_batch_dates_needed"]


async def test_the_batch_on_record_keeps_its_expiry(market: Market) -> None:
    await book(market, 21, ("U-10", 1))
    other = Quantity(market.drug_id, "U-10", 1, PRODUCED, date(2030, 1, 1))
    result = await market.move(21, market.pharmacy, [], quantities=[other], header=HEADER)
    assert [r.verdict for r in result.results] == ["uncoded_dates_differ"]


async def test_a_date_of_purchase_that_cannot_be_read_never_counts_as_today(market: Market) -> None:
    for written in ("2025/06/01", "去年六月", "2025-06-31"):
        with pytest.raises(YaosuError) as refused:
            await book(market, 21, ("U-8", 5), header={**HEADER, "invoice_date": written})
        assert [f.where for f in refused.value.findings] == ["header.invoice_date"], written
    number = card("370102", "19700101", 12)
    with pytest.raises(YaosuError) as refused:
        await book(market, 21, (f"批{number}", 5))
    assert [(f.code, f.where) for f in refused.value.findings] == [
        ("personal_in_text", "quantities[0].batch_no")
    ]


async def test_bills_of_one_commit_know_when_the_goods_of_the_others_were_bought(market: Market) -> None:
    def bill(kind: int, qty: int, bought: str) -> Movement:
        dates = (PRODUCED, EXPIRES) if kind == 21 else ()
        quantities = [Quantity(market.drug_id, "U-9", qty, *dates)]
        header = {**HEADER, "invoice_date": bought}
        return market.movement(kind, market.pharmacy, [], quantities=quantities, header=header)

    await book(market, 21, ("U-9", 1))
    bills = [
        bill(21, 10, "2025-05-01"),
        bill(21, 10, "2025-06-01"),
        bill(23, 9, "2025-05-01"),
        bill(23, 9, "2025-05-01"),
        bill(23, 9, "2025-06-01"),
    ]
    prepared = [await prepare(market.conn, market.registry, market.subject(m.owner), m) for m in bills]
    async with market.conn.transaction():
        outcomes = await apply_group(market.conn, prepared, market.batches)
    told = [o.results[0].verdict for o in outcomes if isinstance(o, MovementResult)]
    # of 10 bought in May 9 are sold; what is left was bought in June
    assert told == ["accepted", "accepted", "accepted", "uncoded_bought_later", "accepted"]
    assert await uncoded(market, "U-9") == 3
