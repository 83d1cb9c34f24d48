"""Bills whose goods were recalled, or whose partner is gone, since: corrected and voided still (R-X3, R-E4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.registry.resolver import load_registry
from yaosu.stops import service as stops

AT = datetime.now(UTC) - timedelta(hours=1)


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def recall(market: Market, goods: Goods) -> None:
    await stops.place(
        market.conn,
        kind="recall",
        ref=1,
        number="ZH-1",
        title="召回",
        level=1,
        placed_by=market.maker,
        reason="质量可疑",
        batches=[(goods.drug_id, goods.batch_id)],
        codes=[],
    )


async def test_a_sale_of_goods_recalled_since_is_corrected_and_voided(market: Market) -> None:
    goods = await activate(market, cases=1)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    sold, more = goods.boxes[:3], goods.boxes[3]
    at = datetime.now(UTC)
    first = await market.move(321, market.pharmacy, sold, bill_no="LS-1", happened_at=at)
    assert first.status == "accepted"
    await recall(market, goods)
    args = {"bill_no": "LS-1", "happened_at": at}
    header = await market.move(321, market.pharmacy, sold, revision=2, header={"doctor": "甲"}, **args)
    assert [r.verdict for r in header.results] == ["kept"] * 3
    # no further box is sold, one that was not sold comes back
    late = await market.move(321, market.pharmacy, [*sold, more], revision=3, **args)
    assert [r.verdict for r in late.results] == ["kept"] * 3 + ["recalled"]
    fewer = await market.move(321, market.pharmacy, sold[:2], revision=4, **args)
    assert (fewer.status, fewer.taken_back) == ("accepted", sold[2:])
    assert [(await market.status(c))[0] for c in sold] == ["S", "S", "I"]
    void = await market.move(321, market.pharmacy, [], revision=5, void=True, **args)
    assert void.status == "void"
    assert {(await market.status(c))[0] for c in sold} == {"I"}


async def test_a_bill_to_a_partner_that_is_gone_since_is_voided(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.other, goods.cases, bill_no="XS-1", happened_at=AT)
    await market.conn.execute("UPDATE org SET status = 0 WHERE id = $1", market.other)
    market.registry = await load_registry(market.conn)
    with pytest.raises(YaosuError) as refused:
        await market.ship(market.maker, market.other, goods.cases, bill_no="XS-2", happened_at=AT)
    assert [f.code for f in refused.value.findings] == ["party_abolished"]
    void = await market.move(
        201, market.maker, [], to_org=market.other, bill_no="XS-1", revision=2, void=True
    )
    assert void.status == "void"
    assert {(await market.status(c))[0] for c in goods.cases} == {"I"}
