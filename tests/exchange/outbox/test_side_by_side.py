"""People change deliveries while senders settle them: nobody waits in a circle, and nothing stays behind (R-X9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from circulation.helpers import make_market
from exchange.outbox.world import Exchange, exchange, forgotten
from yaosu.db.engine import Connection, Pool
from yaosu.exchange.outbox import connections, deliveries, store_bills
from yaosu.exchange.outbox.model import Outcome
from yaosu.notify.outbox import Entry, enqueue_many

WAITS_S = 120
"""Only a sender that waits for a row somebody holds needs longer than this."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool) -> AsyncIterator[Exchange]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        yield exchange(pool, market)


@pytest_asyncio.fixture(loop_scope="module")
async def box(world: Exchange) -> Exchange:
    return await forgotten(world)


async def put(box: Exchange, link: int, count: int, lane: str = "") -> list[int]:
    """Deliveries to a connection; their numbers."""
    async with box.pool.acquire() as conn, conn.transaction():
        entries = [
            Entry(box.market.maker, "jianguan", link, "x", {"n": n}, f"erp:{link}-{n}", lane=lane)
            for n in range(count)
        ]
        return [number for number, _ in await enqueue_many(conn, entries)]


async def hold(conn: Connection, *numbers: int) -> None:
    await conn.execute("SELECT 1 FROM delivery WHERE id = ANY ($1::bigint[]) FOR UPDATE", list(numbers))


async def test_who_settles_the_first_of_a_lane_does_not_wait_for_who_holds_the_next(box: Exchange) -> None:
    link = await box.connect(box.market.maker, "jianguan")
    first, second, third = await put(box, link, 3, lane="C1")
    async with box.pool.acquire() as conn, conn.transaction():
        await hold(conn, second, third)
        assert await asyncio.wait_for(box.box.once(), WAITS_S) == 1
        # and whoever has the next one may go on to the first
        await asyncio.wait_for(hold(conn, first), WAITS_S)
    box.box._swept = float("-inf")
    await box.sent()
    assert [state for _, state in await box.states(link)] == ["processed"] * 3, "the sweep brings the next"


async def test_a_line_that_is_back_does_not_wait_for_what_a_person_changes(box: Exchange) -> None:
    link = await box.connect(box.market.maker, "jianguan")
    one, two, three = await put(box, link, 3)
    box.other.answers += [Outcome("failed", None, "ConnectError")] * 3
    assert await box.box.once() == 3
    async with box.pool.acquire() as conn:
        # the others are not due by themselves while this runs
        await conn.execute("UPDATE delivery SET next_at = now() + interval '6 hours'")
        await conn.execute("UPDATE delivery SET next_at = now() WHERE id = $1", one)
        async with conn.transaction():
            await hold(conn, three)
            assert await asyncio.wait_for(box.box.once(), WAITS_S) == 1, "the first one gets through"
            assert await asyncio.wait_for(box.box.once(), WAITS_S) == 1, "the free one follows at once"
            await asyncio.wait_for(hold(conn, one, two), WAITS_S)
    await box.sent()
    assert [state for _, state in await box.states(link)] == ["processed"] * 3


async def test_two_people_at_one_connection_come_one_after_the_other(box: Exchange) -> None:
    """One takes a delivery back into line, the other tries everything again: whatever order the rows lie in."""
    link = await box.connect(box.market.maker, "jianguan")
    subject = box.subject(box.market.maker)
    numbers = await put(box, link, 6, lane="C2")
    box.other.answers += [Outcome("failed", 400, "wrong", final=True)] * 6
    await box.sent()
    async with box.pool.acquire() as conn, box.pool.acquire() as other:
        # rows lie in another order than their numbers
        for number in reversed(numbers):
            await conn.execute("UPDATE delivery SET note = 'moved' WHERE id = $1", number)
        mine = conn.transaction()
        await mine.start()
        await conn.fetchval(store_bills.LOCK_OF, subject.org, numbers[-1])

        async def all_again() -> int:
            async with other.transaction():
                return await deliveries.retry_all(other, subject, link, refused=True)

        theirs = asyncio.create_task(all_again())
        await waiting_for(conn, other.get_server_pid())
        assert await asyncio.wait_for(_again(conn, box, numbers[0]), WAITS_S) is None
        await mine.commit()
        assert await asyncio.wait_for(theirs, WAITS_S) >= 1
    await box.sent()
    assert [state for _, state in await box.states(link)] == ["processed"] * 6


async def _again(conn: Connection, box: Exchange, number: int) -> None:
    await deliveries.retry(conn, box.subject(box.market.maker), number)


async def waiting_for(conn: Connection, process: int) -> None:
    """Until the other connection waits for a lock that this one holds."""
    async with asyncio.timeout(WAITS_S):
        while conn.get_server_pid() not in (  # noqa: ASYNC110 - another connection's wait
            await conn.fetchval("SELECT pg_blocking_pids($1)", process)
        ):
            await asyncio.sleep(0.02)


async def test_who_ends_a_connection_does_not_wait_for_who_is_told_to_come_later(box: Exchange) -> None:
    """A sender hears «too many calls» and closes the gate while a person ends the connection."""
    link = await box.connect(box.market.maker, "jianguan")
    (number,) = await put(box, link, 1)
    async with box.pool.acquire() as conn, box.pool.acquire() as other:
        mine = conn.transaction()
        await mine.start()
        await hold(conn, number)

        async def ends() -> None:
            async with other.transaction():
                await connections.set_state(other, box.subject(box.market.maker), link, "ended", "不再使用")

        theirs = asyncio.create_task(ends())
        await waiting_for(conn, other.get_server_pid())
        closes = "INSERT INTO delivery_gate (target, target_id, shut_till) VALUES ('jianguan', $1, now())"
        await asyncio.wait_for(conn.execute(closes + " ON CONFLICT DO NOTHING", link), WAITS_S)
        await mine.commit()
        await asyncio.wait_for(theirs, WAITS_S)
    assert [state for _, state in await box.states(link)] == ["given_up"]
