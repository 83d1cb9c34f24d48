"""What happens in one instant has an order: a case that closes or opens while its goods are being released (R-B4), and
a logistics label that is filled while it is being shipped (R-X4). Two connections, one waiting for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from circulation.nested import Stack, make_stack
from yaosu.circulation import holds
from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.posting import Outcome
from yaosu.circulation.prepare import prepare
from yaosu.circulation.service import submit
from yaosu.circulation.store_write import ConflictError
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.production import packing
from yaosu.stops.service import place

T = TypeVar("T")
CASE = 7_001
REASON = {"reason_text": "复核合格"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


@pytest.mark.parametrize("row", ["unit", "balance"])
async def test_a_stop_is_placed_while_a_large_bill_is_at_work_which_then_hears_of_it(
    row: str, market: Market, pool: Pool
) -> None:
    """The large bill waits for a row, before it judges or after; a stop waits for neither (R-E1)."""
    goods = await activate(market)
    (batch,) = await market.conn.fetch(
        "SELECT DISTINCT drug_id, batch_id FROM unit WHERE code = ANY ($1)", goods.cases
    )
    movement = market.movement(201, market.maker, goods.cases, to_org=market.wholesaler)
    async with pool.acquire() as holder, pool.acquire() as works, pool.acquire() as stops:
        prepared = await prepare(works, market.registry, market.subject(market.maker), movement, 1_000)
        holding = holder.transaction()
        await holding.start()
        rows = await holder.fetch(
            f"SELECT 1 FROM {row} WHERE drug_id = $1 AND batch_id = $2 FOR UPDATE",
            *batch,
        )
        assert rows

        async def large() -> Sequence[Outcome]:
            async with works.transaction():
                return await apply_group(works, [prepared], BatchCache(), lock=True, late_gate=True)

        bill = await waits(pool, large())
        async with asyncio.timeout(120), stops.transaction():
            await place(
                stops, kind="lock", ref=0, number="L-1", title="待查", level=None, placed_by=market.maker,
                reason="质量待查", batches=[tuple(batch)], codes=[],
            )  # fmt: skip
        await holding.rollback()
        if row == "unit":
            (outcome,) = await asyncio.wait_for(bill, 120)
        else:
            with pytest.raises(ConflictError):
                await asyncio.wait_for(bill, 120)
            async with works.transaction():
                (outcome,) = await apply_group(works, [prepared], BatchCache(), lock=True)
    assert isinstance(outcome, MovementResult) and outcome.status == "refused"
    assert {one.verdict for one in outcome.results} == {"locked"}


@pytest_asyncio.fixture(loop_scope="module")
async def committer(pool: Pool) -> AsyncIterator[Committer]:
    """Not started: what is submitted waits until a test starts it."""
    made = Committer(pool, BatchCache())
    yield made
    await made.stop()


async def held(market: Market) -> tuple[Goods, list[int]]:
    """A case in the pharmacy's quarantine, and its entry there."""
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    await market.move(112, market.pharmacy, goods.cases[:1])
    rows = await market.conn.fetch("SELECT id FROM quarantine WHERE code = $1", goods.cases[0])
    return goods, [r["id"] for r in rows]


async def waits(pool: Pool, doing: Awaitable[T]) -> asyncio.Future[T]:
    """Begin it; returns when it waits for a lock that somebody holds."""
    begun = asyncio.ensure_future(doing)
    async with asyncio.timeout(120):
        while not await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND wait_event <> 'advisory'"
        ):
            assert not begun.done(), begun.result()
            await asyncio.sleep(0.01)
    return begun


def sent(market: Market, pool: Pool, committer: Committer, movement: Movement) -> Awaitable[MovementResult]:
    """Through the one door."""
    return submit(pool, committer, market.registry, market.subject(movement.owner), movement)


def said(result: MovementResult) -> list[str]:
    return [r.verdict for r in result.results]


async def test_a_release_that_waits_while_its_case_is_settled_is_judged_by_what_was_settled(
    market: Market, pool: Pool, committer: Committer
) -> None:
    goods, ids = await held(market)
    assert await holds.hold(market.conn, market.pharmacy, ids, CASE, "XC-1") == ids
    release = market.movement(6, market.pharmacy, goods.cases[:1], header=REASON)
    waiting = asyncio.ensure_future(sent(market, pool, committer, release))
    async with asyncio.timeout(120):
        while not committer._unanswered:  # noqa: ASYNC110 -- nobody tells that a bill has come to wait
            await asyncio.sleep(0.01)
    await holds.release(market.conn, CASE, saleable=False)
    committer.start()
    assert said(await waiting) == ["exception_decided"]
    assert await market.status(goods.cases[0]) == ("Q", market.pharmacy, None)


@pytest.mark.parametrize("saleable", [False, True])
async def test_a_case_that_closes_at_that_moment_comes_first(
    market: Market, pool: Pool, committer: Committer, saleable: bool
) -> None:
    goods, ids = await held(market)
    await holds.hold(market.conn, market.pharmacy, ids, CASE, "XC-2")
    committer.start()
    release = market.movement(6, market.pharmacy, goods.cases[:1], header=REASON)
    async with pool.acquire() as other, other.transaction():
        await holds.release(other, CASE, saleable=saleable)
        waiting = await waits(pool, sent(market, pool, committer, release))
    assert said(await waiting) == ["accepted" if saleable else "exception_decided"]


async def test_a_case_that_opens_at_that_moment_comes_first(
    market: Market, pool: Pool, committer: Committer
) -> None:
    goods, ids = await held(market)
    committer.start()
    release = market.movement(6, market.pharmacy, goods.cases[:1], header=REASON)
    async with pool.acquire() as other, other.transaction():
        await holds.hold(other, market.pharmacy, ids, CASE, "XC-3")
        waiting = await waits(pool, sent(market, pool, committer, release))
    assert said(await waiting) == ["exception_open"]
    assert await market.status(goods.cases[0]) == ("Q", market.pharmacy, None)
    await holds.release(market.conn, CASE)


async def test_a_case_that_opens_while_they_are_released_holds_nothing(market: Market, pool: Pool) -> None:
    goods, ids = await held(market)
    async with pool.acquire() as other:
        async with pool.acquire() as conn, conn.transaction():
            result = await _judged(market, conn, 6, goods.cases[:1])
            assert said(result) == ["accepted"]
            opening = await waits(pool, holds.hold(other, market.pharmacy, ids, CASE, "XC-4"))
        assert await opening == []


async def _judged(
    market: Market, conn: Connection, type: int, codes: list[str], owner: int = 0, to: int | None = None
) -> MovementResult:
    """Judged and written in the transaction of `conn`."""
    movement = market.movement(type, owner or market.pharmacy, codes, header=REASON, to_org=to)
    one = await prepare(conn, market.registry, market.subject(movement.owner), movement)
    (result,) = await apply_group(conn, [one], BatchCache())
    assert isinstance(result, MovementResult)
    return result


async def _pack(market: Market, conn: Connection, stack: Stack, label: str, *codes: str) -> None:
    await packing.pack(conn, market.subject(market.maker), market.registry, label, codes)


@pytest.mark.parametrize("outer", [False, True])
async def test_what_is_packed_into_a_label_at_that_moment_goes_with_it(
    market: Market, pool: Pool, committer: Committer, outer: bool
) -> None:
    """Into the label itself, and into a carton on the pallet that is shipped."""
    stack = await make_stack(market)
    if not outer:
        await stack.unpack(market.maker, stack.plain)
    shipped = stack.pallet if outer else stack.plain
    before = sum(await stack.holds(shipped))
    committer.start()
    ship = market.movement(201, market.maker, [shipped], to_org=market.wholesaler)
    case = stack.two.cases[1]
    async with pool.acquire() as other, other.transaction():
        # the first thing of another product in it
        await _pack(market, other, stack, stack.plain, case)
        await other.execute("UPDATE unit SET since = since - interval '1 day' WHERE since IS NOT NULL")
        waiting = await waits(pool, sent(market, pool, committer, ship))
    result = await waiting
    assert [(r.accepted, r.qty) for r in result.results] == [(True, before + 10)]
    assert await market.status(case) == ("O", market.maker, market.wholesaler)
    await stack.counted()


async def test_nothing_is_packed_into_a_label_that_has_just_left(market: Market, pool: Pool) -> None:
    stack = await make_stack(market)
    await stack.unpack(market.maker, stack.plain)
    case = stack.two.cases[1]
    async with pool.acquire() as other:

        async def pack() -> str:
            try:
                async with other.transaction():
                    await _pack(market, other, stack, stack.plain, case)
            except YaosuError as error:
                return ",".join(f.code for f in error.findings)
            return "packed"

        async with pool.acquire() as conn, conn.transaction():
            result = await _judged(market, conn, 201, [stack.plain], market.maker, market.wholesaler)
            assert said(result) == ["accepted"]
            packed = await waits(pool, pack())
        assert await packed == "pack_container_busy"
    assert await market.status(case) == ("I", market.maker, None)
    await stack.counted()
