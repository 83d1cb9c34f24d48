"""What was recorded before a connection goes out in order, a portion at a time, and nothing new waits for it (R-X9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import activate, make_market
from exchange.outbox.world import Exchange, exchange, forgotten
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import backfill, deliveries
from yaosu.exchange.outbox.why import why
from yaosu.notify.outbox import Outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVER = datetime(2020, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool) -> AsyncIterator[Exchange]:
    async with pool.acquire() as conn:
        yield exchange(pool, await make_market(conn))


@pytest_asyncio.fixture(loop_scope="module")
async def box(world: Exchange, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """Five bills before a connection, portions of two."""
    monkeypatch.setattr(backfill, "PORTION", 2)
    monkeypatch.setattr(backfill, "UNDER_WAY_MAX", 2)
    fresh = await forgotten(world)
    async with fresh.pool.acquire() as conn:
        await conn.execute("TRUNCATE route_backfill")
    return fresh


async def shipped(box: Exchange, number: str, count: int = 1) -> list[str]:
    goods = await activate(box.market, cases=1)
    codes = goods.boxes_of(0)
    for n in range(1, count + 1):
        await box.market.ship(box.market.maker, box.market.wholesaler, [codes[n - 1]], bill_no=f"{number}{n}")
    return codes


async def begun(box: Exchange, link: int, since: datetime) -> int:
    async with box.pool.acquire() as conn, conn.transaction():
        return await deliveries.backfill(conn, box.subject(box.market.maker), link, since)


async def standing(box: Exchange, link: int) -> backfill.Backfill:
    async with box.pool.acquire() as conn:
        found = await backfill.of(conn, link)
    assert found is not None
    return found


async def through(box: Exchange, link: int) -> None:
    """Until the back-fill is at its end."""
    for _ in range(200):
        await box.routed()
        await box.sent()
        if (await standing(box, link)).state == "done":
            return
    raise AssertionError(await standing(box, link))


async def test_bills_from_before_go_in_their_order_and_a_bill_of_today_waits_for_no_more_than_a_portion(
    box: Exchange,
) -> None:
    begin = datetime.now(UTC) - timedelta(hours=1)
    await shipped(box, "V", 5)
    link = await box.connect(box.market.maker, "jianguan")
    assert await begun(box, link, begin) >= 5
    box.other.answers.extend([Outcome("pending", None, "closed")] * 4)
    await box.routed()
    waiting = len(await box.states(link))
    assert waiting < 5, "the rest is taken when this has gone"
    await shipped(box, "N", 1)
    await box.routed()
    ahead = [key for key, _ in await box.states(link)]
    assert ahead[-1] == "N1:1", "the bill of today is in the queue before what is still to be looked at"
    await through(box, link)
    order = [key for key, state in await box.states(link) if state == "processed"]
    assert [k for k in order if k.startswith("V")] == [f"V{n}:1" for n in range(1, 6)]
    assert order.index("N1:1") < order.index("V5:1")
    assert len(box.other.order) == len(set(box.other.order)), "nothing twice"


async def test_a_backfill_goes_on_where_it_was_when_it_was_paused_or_its_process_died(box: Exchange) -> None:
    begin = datetime.now(UTC)
    await shipped(box, "P", 5)
    link = await box.connect(box.market.maker, "jianguan")
    await begun(box, link, begin)
    subject = box.subject(box.market.maker)
    assert await box.router.once() == 2
    async with box.pool.acquire() as conn, conn.transaction():
        await deliveries.backfill_state(conn, subject, link, "paused")
    await box.routed()
    await box.sent()
    half = await standing(box, link)
    assert (half.state, half.looked) == ("paused", 2) and 0 < half.percent < 100

    async def cut(*_: object) -> bool:
        raise ConnectionError

    whole = box.router._route
    async with box.pool.acquire() as conn, conn.transaction():
        await deliveries.backfill_state(conn, subject, link, "running")
    box.router._route = cut  # type: ignore[assignment,method-assign]
    with pytest.raises(ConnectionError):
        await box.router.once()
    box.router._route = whole  # type: ignore[method-assign]
    assert (await standing(box, link)).looked == 2, "its place is kept with what was made of it"
    await through(box, link)
    keys = [key for key, _ in await box.states(link)]
    assert [k for k in keys if k.startswith("P")] == [f"P{n}:1" for n in range(1, 6)]
    async with box.pool.acquire() as conn, conn.transaction():
        with pytest.raises(YaosuError) as refused:
            await deliveries.backfill_state(conn, subject, link, "paused")
    assert refused.value.code == "not_found"


async def test_a_code_that_waits_for_the_backfill_says_so(box: Exchange) -> None:
    begin = datetime.now(UTC)
    codes = await shipped(box, "W", 5)
    link = await box.connect(box.market.maker, "jianguan")
    subject = box.subject(box.market.maker)
    await begun(box, link, begin)
    assert await box.router.once() == 2
    async with box.pool.acquire() as conn:
        waits = await why(conn, subject, box.market.registry, box.router.channels, codes[4])
    assert waits.answer.finding.code == "why_backfill"


async def test_what_a_later_revision_has_overtaken_is_not_told_afterwards(box: Exchange) -> None:
    market = box.market
    codes = await shipped(box, "R", 1)
    link = await box.connect(market.maker, "jianguan")
    await market.move(201, market.maker, codes[:2], to_org=market.wholesaler, bill_no="R1", revision=2)
    await box.routed()
    await box.sent()
    await begun(box, link, EVER)
    await through(box, link)
    keys = [k.split(":", 1)[1] for k in box.other.order]
    assert [k for k in keys if k.startswith("R1")] == ["R1:2"]


async def test_nobody_else_sees_or_moves_it(box: Exchange) -> None:
    link = await box.connect(box.market.maker, "jianguan")
    async with box.pool.acquire() as conn, conn.transaction():
        for verb in (
            deliveries.backfill(conn, box.subject(box.market.wholesaler), link, EVER),
            deliveries.backfill_state(conn, box.subject(box.market.wholesaler), link, "paused"),
        ):
            with pytest.raises(YaosuError) as refused:
                await verb
            assert refused.value.code == "not_found"
