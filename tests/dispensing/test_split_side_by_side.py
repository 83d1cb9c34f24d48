"""Desks at one pool take turns: whoever changes its boxes holds the pool first, so nobody waits in a circle (R-C3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from asyncpg import Record

from dispensing.split_helpers import Ward, ward_on
from dispensing.test_split_pools import a_pool, number
from yaosu.db.engine import Connection, Pool
from yaosu.dispensing import split_orders as orders
from yaosu.dispensing import split_pools as pools
from yaosu.dispensing import split_store_pool as store
from yaosu.dispensing.split_clock import STALE_AFTER
from yaosu.dispensing.split_pools import Want
from yaosu.dispensing.split_store import STALE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with ward_on(pool) as found:
        yield found


async def test_an_order_is_finished_by_whoever_holds_its_pool(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:2])
    no = number()
    await pools.draw(ward.desk, made, no, [Want(ward.market.drug_id, 3, "P1")], b"{}")
    order, bill = await ward.pool.fetchrow(
        "UPDATE split_order SET state = 'planned', made_at = made_at - interval '1 hour' "
        "WHERE number = $1 RETURNING id, bill_id",
        no,
    )
    # as it was before its bill
    await ward.pool.execute(
        store.RESERVE,
        *zip(
            *await ward.pool.fetch("SELECT drug_id, code, units FROM split_share WHERE order_id = $1", order),
            strict=True,
        ),
    )

    async def finish(conn: Connection) -> Record | None:
        async with conn.transaction():
            return await orders.finish(conn, order, bill, made)

    async with ward.pool.acquire() as drawing, ward.pool.acquire() as finishing:
        held = drawing.transaction()
        await held.start()
        # another desk is choosing boxes
        await drawing.execute(store.LOCK, made)
        done = asyncio.ensure_future(finish(finishing))
        blocked = "SELECT $1 = ANY (pg_blocking_pids($2))"
        async with asyncio.timeout(300):
            while not await drawing.fetchval(blocked, drawing.get_server_pid(), finishing.get_server_pid()):
                assert not done.done(), "it went on without the pool"
                await asyncio.sleep(0.01)
        # it holds nothing that the other may want, nor does the clock when it looks for orders nobody came back to
        async with ward.pool.acquire() as clock, clock.transaction():
            assert order in [r["id"] for r in await clock.fetch(STALE, STALE_AFTER)]
            await drawing.fetch("SELECT 1 FROM split_order WHERE id = $1 FOR UPDATE NOWAIT", order)
        await drawing.fetch("SELECT 1 FROM pool_box WHERE pool_id = $1 FOR UPDATE NOWAIT", made)
        await held.commit()
        row = await done
        assert row is not None and row["state"] == "done"
