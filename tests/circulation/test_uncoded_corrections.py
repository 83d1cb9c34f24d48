"""Receipts of goods without codes are corrected although part of them is gone (无码库; R-C8, R-A6, R-X3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from circulation.test_uncoded import uncoded as on_account
from yaosu.circulation.model import MovementResult, Quantity
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError

HEADER = {"invoice_no": "FP-2025-0017", "invoice_date": "2025-06-01", "reason_text": "破损"}
PRODUCED, EXPIRES = date(2025, 1, 1), date(2059, 12, 31)
AT = datetime.now(UTC) - timedelta(hours=2)
Dates = tuple[date, date]


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def book(
    market: Market, type_: int, *lines: tuple[str, int], dates: Dates = (PRODUCED, EXPIRES), **more: Any
) -> MovementResult:
    quantities = [
        Quantity(market.drug_id, batch, qty, *(dates if type_ == 21 else (None, None)))
        for batch, qty in lines
    ]
    values = {"header": HEADER, "happened_at": AT, **more}
    return await market.move(type_, market.pharmacy, [], quantities=quantities, **values)


async def refused(market: Market, *args: Any, **more: Any) -> list[tuple[str, dict[str, object]]]:
    with pytest.raises(YaosuError) as caught:
        await book(market, *args, **more)
    assert caught.value.code == "later_fact"
    return [(f.code, dict(f.params)) for f in caught.value.findings]


async def test_a_receipt_partly_sold_is_corrected_up_and_down_to_what_is_gone(market: Market) -> None:
    await book(market, 21, ("K-1", 10), bill_no="WM-K1")
    await book(market, 23, ("K-1", 3), bill_no="WS-K1")
    await book(market, 25, ("K-1", 1), bill_no="WH-K1")
    up = await book(market, 21, ("K-1", 12), bill_no="WM-K1", revision=2)
    assert (up.status, await on_account(market, "K-1")) == ("accepted", 8)
    down = await book(market, 21, ("K-1", 4), bill_no="WM-K1", revision=3)
    assert (down.status, await on_account(market, "K-1"), await on_account(market, "K-1", "W")) == (
        "accepted",
        0,
        -3,
    )
    told = await refused(market, 21, ("K-1", 3), bill_no="WM-K1", revision=4)
    assert told == [
        (
            "uncoded_gone_since",
            {"batch": "K-1", "asked": 3, "gone": 4, "bills": "WH-K1（1）、WS-K1（3）"},
        )
    ]
    assert await on_account(market, "K-1") == 0


async def test_a_header_is_corrected_although_all_is_gone(market: Market) -> None:
    await book(market, 21, ("K-2", 5), bill_no="WM-K2")
    await book(market, 23, ("K-2", 5), bill_no="WS-K2")
    header = {**HEADER, "invoice_no": "FP-2025-0018"}
    done = await book(market, 21, ("K-2", 5), bill_no="WM-K2", revision=2, header=header)
    assert (done.status, await on_account(market, "K-2")) == ("accepted", 0)


async def test_the_rest_goes_to_the_right_batch_what_was_sold_stays(market: Market) -> None:
    await book(market, 21, ("K-3", 10), bill_no="WM-K3")
    await book(market, 23, ("K-3", 4), bill_no="WS-K3")
    told = await refused(market, 21, ("K-3b", 10), bill_no="WM-K3", revision=2)
    assert [(code, params["gone"]) for code, params in told] == [("uncoded_gone_since", 4)]
    done = await book(market, 21, ("K-3", 4), ("K-3b", 6), bill_no="WM-K3", revision=2)
    assert done.status == "accepted"
    assert (await on_account(market, "K-3"), await on_account(market, "K-3b")) == (0, 6)


async def test_other_receipts_of_the_batch_leave_room_and_an_older_sale_keeps_its_older_goods(
    market: Market,
) -> None:
    old, new = {**HEADER, "invoice_date": "2025-05-01"}, HEADER
    await book(market, 21, ("K-4", 5), bill_no="WM-K4a", header=old)
    await book(market, 21, ("K-4", 10), bill_no="WM-K4b", header=new)
    await book(market, 23, ("K-4", 4), bill_no="WS-K4", header=old)
    # 15 entered, 4 gone: the later purchase may go whole, of the earlier one 4 were sold as such
    told = await refused(market, 21, ("K-4", 3), bill_no="WM-K4a", revision=2, header=old)
    assert told == [
        (
            "uncoded_sold_older",
            {"batch": "K-4", "asked": 3, "claimed": "2025-05-01", "short": 1, "bills": "WS-K4（4）"},
        )
    ]
    # nor does it become a later one
    told = await refused(market, 21, ("K-4", 5), bill_no="WM-K4a", revision=2, header=new)
    assert [(code, params["short"]) for code, params in told] == [("uncoded_sold_older", 4)]
    assert (await book(market, 21, ("K-4", 4), bill_no="WM-K4a", revision=2, header=old)).status == "accepted"
    gone = await market.move(21, market.pharmacy, [], bill_no="WM-K4b", revision=2, void=True)
    assert gone.status == "void"
    assert await on_account(market, "K-4") == 0


async def test_a_line_that_is_refused_leaves_the_whole_receipt_as_it_was(market: Market) -> None:
    await book(market, 21, ("K-5", 5), bill_no="WM-K5")
    await book(market, 23, ("K-5", 2), bill_no="WS-K5")
    await book(market, 21, ("K-5x", 1), bill_no="WM-K5x")
    quantities = [
        Quantity(market.drug_id, "K-5", 6, PRODUCED, EXPIRES),
        Quantity(market.drug_id, "K-5x", 6, PRODUCED, date(2031, 1, 1)),
    ]
    result = await market.move(
        21,
        market.pharmacy,
        [],
        quantities=quantities,
        bill_no="WM-K5",
        revision=2,
        header=HEADER,
        happened_at=AT,
    )
    assert (result.status, [r.verdict for r in result.results]) == (
        "refused",
        ["accepted", "uncoded_dates_differ"],
    )
    assert (await on_account(market, "K-5"), await on_account(market, "K-5x")) == (3, 1)


async def test_a_wrong_expiry_is_corrected_while_only_this_receipt_knows_the_batch(market: Market) -> None:
    async def dates_of(batch_no: str) -> Dates:
        row = await market.conn.fetchrow(
            "SELECT produced_on, expires_on FROM batch WHERE drug_id = $1 AND batch_no = $2",
            market.drug_id,
            batch_no,
        )
        return row["produced_on"], row["expires_on"]

    await book(market, 21, ("K-6", 5), bill_no="WM-K6")
    await book(market, 23, ("K-6", 2), bill_no="WS-K6")
    right = (date(2025, 2, 1), date(2058, 1, 31))
    done = await book(market, 21, ("K-6", 5), bill_no="WM-K6", revision=2, dates=right)
    assert (done.status, await dates_of("K-6")) == ("accepted", right)
    # but not to a day before goods of it were sold
    past = (date(2022, 2, 1), date(2024, 1, 31))
    told = await refused(market, 21, ("K-6", 5), bill_no="WM-K6", revision=3, dates=past)
    assert told == [
        ("uncoded_sold_expired", {"batch": "K-6", "expires": "2024-01-31", "bills": "WS-K6（2）"})
    ]
    # nor once another receipt says the dates too
    await book(market, 21, ("K-6", 1), bill_no="WM-K6b", dates=right)
    result = await book(market, 21, ("K-6", 5), bill_no="WM-K6", revision=3)
    assert [r.verdict for r in result.results] == ["uncoded_dates_differ"]
    assert await dates_of("K-6") == right


async def test_the_dates_of_a_batch_that_a_maker_activated_are_the_makers(market: Market) -> None:
    goods = await activate(market, batch_no="K-7")
    dates: Dates = tuple(
        await market.conn.fetchrow("SELECT produced_on, expires_on FROM batch WHERE id = $1", goods.batch_id)
    )
    await book(market, 21, ("K-7", 5), bill_no="WM-K7", dates=dates)
    result = await book(
        market, 21, ("K-7", 5), bill_no="WM-K7", revision=2, dates=(dates[0], date(2035, 1, 1))
    )
    assert [r.verdict for r in result.results] == ["uncoded_dates_differ"]


async def test_codes_that_moved_on_stay_out_of_the_account_when_their_receipt_is_corrected(
    market: Market,
) -> None:
    goods = await activate(market, batch_no="K-8", cases=3, per_case=10)
    dates: Dates = tuple(
        await market.conn.fetchrow("SELECT produced_on, expires_on FROM batch WHERE id = $1", goods.batch_id)
    )
    await book(market, 21, ("K-8", 40), bill_no="WM-K8", dates=dates)
    await market.ship(market.maker, market.pharmacy, goods.cases, happened_at=AT)
    args: dict[str, Any] = {"from_org": market.maker, "bill_no": "WB-K8", "happened_at": AT}
    await market.move(24, market.pharmacy, goods.cases[:2], **args)
    assert await on_account(market, "K-8") == 20
    await market.move(321, market.pharmacy, goods.boxes[:1], bill_no="LS-K8")
    # a case of which a box was sold stays as it was, a late scan is appended
    second = await market.move(24, market.pharmacy, goods.cases, revision=2, **args)
    assert [r.verdict for r in second.results] == ["kept", "accepted", "accepted"]
    assert (await on_account(market, "K-8"), await on_account(market, "K-8", "I")) == (10, 29)
    await market.move(321, market.pharmacy, [], bill_no="LS-K8", revision=2, void=True)
    third = await market.move(24, market.pharmacy, goods.cases[:1], revision=3, **args)
    assert third.results[0].accepted
    assert await on_account(market, "K-8") + await on_account(market, "K-8", "I") == 40
